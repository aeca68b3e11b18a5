"""Real processes and threads at one message tree: every acknowledged record once, one line each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import processes
import pytest
import race_workers as work
from race_workers import PROCESSES, fork, gather

from fsstore import Store

BOTH = pytest.mark.parametrize("durability", ["process", "full"])


@pytest.fixture
def many(campaign: bool, durability: str) -> int:
    """How many operations one process does."""
    return (30 if durability == "full" else 100) * (20 if campaign else 1)


@contextmanager
def readers(root: Path, thread: str, *, grows: bool = True) -> Iterator[None]:
    """Two processes that read meanwhile; they fail the test with what they saw."""
    stop = root.with_name("stop reading")
    running = [processes.start(work.read_on, root, thread, stop, grows) for _ in range(2)]
    try:
        yield
    finally:
        stop.touch()
    for reader in running:
        assert reader.result() >= 2


@BOTH
def test_appends_of_many_processes_form_one_chain_while_others_read(store: Store, root: Path, durability: str, many: int):
    store.threads.create("t")
    with readers(root, "t"):
        done = processes.run_all(work.appends, [(root, "t", me, many, durability) for me in range(PROCESSES)])
    work.assert_one_chain(store, "t", done)
    assert [len(one) for one in done] == [many] * PROCESSES


@BOTH
def test_batches_are_never_interleaved(store: Store, root: Path, durability: str, many: int):
    store.threads.create("t")
    with readers(root, "t"):
        done = processes.run_all(work.batches, [(root, "t", me, many // 4, durability) for me in range(PROCESSES)])
    work.assert_one_chain(store, "t", [[id for batch in one for id in batch] for one in done])
    place = {id: at for at, id in enumerate(work.ids_on_disk(store.thread("t").messages.path))}
    for batch in (batch for one in done for batch in one):
        assert [place[id] for id in batch] == list(range(place[batch[0]], place[batch[0]] + len(batch)))


@BOTH
def test_each_place_is_redacted_once_while_others_append_compact_and_read(store: Store, root: Path, durability: str, many: int):
    messages = store.threads.create("t").messages
    stop = root.with_name("stop redacting")
    with readers(root, "t"):
        redactors = [processes.start(work.redacts_until, root, "t", durability, stop, me == 2) for me in range(3)]
        done = processes.run_all(work.appends_secrets, [(root, "t", me, many, durability) for me in range(2)])
        stop.touch()
        places = sum(redactor.result() for redactor in redactors)
    acknowledged = sorted(id for one in done for id in one)
    assert places == len(acknowledged) == 2 * many
    assert [message.id for message in messages.branch()] == [message.id for message in messages] == acknowledged
    expected = sorted(f"[redacted] {me} {number}" for me in range(2) for number in range(many))
    assert sorted(message.content for message in messages) == expected
    messages.compact()
    assert b"secret" not in Path(messages.path).read_bytes()


@BOTH
def test_processes_at_many_threads_lose_nothing(store: Store, root: Path, durability: str, many: int):
    threads = [f"thread {number}" for number in range(30)]
    for thread in threads:
        store.threads.create(thread)
    done = processes.run_all(work.spread, [(root, threads, me, many, durability) for me in range(PROCESSES)])
    for thread in threads:
        work.assert_one_chain(store, thread, [one[thread] for one in done])


def test_every_operation_on_one_tree_counts_once(store: Store, root: Path, seed: int, campaign: bool):
    messages = store.threads.create("t").messages
    first = messages.append("user", "first")
    many = 1000 if campaign else 60
    with readers(root, "t", grows=False):
        done = processes.run_all(work.tree_work, [(root, "t", me, many, seed) for me in range(PROCESSES)])

    ids = work.ids_on_disk(messages.path)
    place = {id: at for at, id in enumerate(ids)}
    batches = [batch for one in done for batch in one["batches"]]
    for batch in batches:
        assert [place[id] for id in batch] == list(range(place[batch[0]], place[batch[0]] + len(batch)))
    added = [id for one in done for id in one["added"]] + [id for batch in batches for id in batch]
    removed = [id for one in done for id in one["removed"] + one["replaced"]]
    assert len(removed) == len(set(removed)), "of two that take a message away, one does"
    records = work.raw_records(messages.path)
    assert sorted([first.id, *added]) == [record["id"] for record in records if "role" in record]
    assert sorted(removed) == sorted(
        record.get("message_id") or record["replaces"] for record in records if "message_id" in record or "replaces" in record
    )
    assert sorted(id for one in done for id in one["moved"]) == sorted(r["leaf_id"] for r in records if "leaf_id" in r)
    assert {message.id for message in messages} == {first.id, *added} - set(removed)
    work.check_branch(messages.branch())


def test_each_message_is_cleared_once_or_stays(store: Store, root: Path):
    messages = store.threads.create("t").messages
    done = processes.run_all(work.clears, [(root, "t", me, 40) for me in range(PROCESSES)])
    added = sum(len(acknowledged) for acknowledged, _ in done)
    assert sum(counted for _, counted in done) + len(messages) == added
    assert sum("role" in record for record in work.raw_records(messages.path)) == added


@BOTH
def test_forked_children_append_beside_each_other(store: Store, root: Path, durability: str, many: int):
    with Store.open(root, durability=durability, lock_timeout=60) as shared:
        messages = shared.threads.create("t").messages
        first = messages.append("user", "first").record_id  # the children inherit a log held open and a lock file
        children = [fork(lambda me=me: work.append_all(shared, "t", me, many)) for me in range(PROCESSES)]
        mine = work.append_all(shared, "t", PROCESSES, many)
        work.assert_one_chain(store, "t", [[first, *mine], *map(gather, children)])


@BOTH
@pytest.mark.parametrize("shared", [True, False], ids=["one store", "a store each"])
def test_threads_of_one_process_form_one_chain_while_others_read(root: Path, durability: str, many: int, shared: bool):
    def open_store() -> Store:
        return one if shared else Store.open(root, durability=durability, lock_timeout=60)

    one = Store.open(root, durability=durability, lock_timeout=60)
    one.threads.create("t")
    reading, stop = 0, threading.Event()

    def read() -> int:
        count = 0
        messages = open_store().thread("t").messages
        while not stop.is_set() or not count:
            before = [message.id for message in messages]
            work.check_branch(branch := messages.branch())
            ids = [message.id for message in branch]
            assert ids[: len(before)] == before
            work.check_links(newest := messages.branch(5))
            after = [message.id for message in messages]
            at = after.index(newest[0].id) if newest else 0
            assert after[at : at + len(newest)] == [message.id for message in newest]
            assert len(messages) >= len(after) >= len(ids)
            count += 1
        return count

    with ThreadPoolExecutor(PROCESSES + 2) as pool:
        readings = [pool.submit(read) for _ in range(2)]
        writings = [pool.submit(lambda me=me: work.append_all(open_store(), "t", me, many // 2)) for me in range(PROCESSES)]
        done = [writing.result() for writing in writings]
        stop.set()
        reading = sum(one.result() for one in readings)
    assert reading >= 2
    work.assert_one_chain(one, "t", done)


def test_few_open_files_serve_many_threads_of_one_process(root: Path):
    store = Store.open(root, durability="full", max_open_files=8, lock_timeout=60)
    threads = [store.threads.create(f"t{number}").id for number in range(20)]

    def write(me: int) -> dict[str, list[str]]:
        return {thread: work.append_all(store, thread, me, 2) for thread in threads[me:] + threads[:me]}

    with ThreadPoolExecutor(PROCESSES) as pool:
        done = list(pool.map(write, range(PROCESSES)))
    for thread in threads:
        work.assert_one_chain(store, thread, [one[thread] for one in done])


@BOTH
def test_a_fork_while_threads_append_leaves_both_sides_working(root: Path, durability: str, campaign: bool):
    store = Store.open(root, durability=durability, lock_timeout=60)
    store.threads.create("t")
    stop = threading.Event()

    def write(me: int) -> list[str]:
        done = []
        while not stop.is_set():
            done += work.append_all(store, "t", me, 1)
            store.thread("t").messages.leaf()
        return done

    with ThreadPoolExecutor(4) as pool:
        writings = [pool.submit(write, me) for me in range(4)]
        children = [gather(fork(lambda me=me: work.append_all(store, "t", me, 5))) for me in range(4, 104 if campaign else 24)]
        stop.set()
        done = [writing.result() for writing in writings]
    work.assert_one_chain(store, "t", [*done, *children])
    assert all(len(one) == 5 for one in children)
