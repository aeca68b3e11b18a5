"""Real processes at the names of threads, and at the look-up of threads by a message, while threads come and go."""

from __future__ import annotations

from pathlib import Path

import processes
import pytest
import resource_workers as work
from race_workers import PROCESSES, ids_on_disk, raw_records

from fsstore import Store, layout


@pytest.fixture
def many(campaign: bool) -> int:
    return 500 if campaign else 10


def test_a_reader_finds_a_thread_under_its_names_and_no_other(store: Store, root: Path, many: int, readers):
    store.threads.create("spelled", name=work.SPELLINGS[0], rollout_path="/spelled")
    store.threads.create("turned", name="left", rollout_path="/turned")
    store.threads.create("stays", name="LEFT", rollout_path="/stays", updated_at=1)
    with readers("names_that_were_given"):
        processes.run_all(work.renames, [(root, me, many) for me in range(4)])
    work.names_that_were_given()(store)
    assert store.names.get("stays") == "LEFT"


@pytest.mark.parametrize("durability", ["process", "full"])
def test_names_of_many_processes_are_all_noted(store: Store, root: Path, durability: str, many: int):
    store.threads.create("here", updated_at=5)
    processes.run_all(work.names_threads, [(root, me, many, durability) for me in range(PROCESSES)])
    index = root / layout.INDEX
    assert len(ids_on_disk(index)) == 3 * PROCESSES * many
    fresh = Store.open(root, read_only=True).names
    for names in (store.names, fresh):
        assert names.get_all(f"of {me}" for me in range(PROCESSES)) == {f"of {me}": f"{many - 1}" for me in range(PROCESSES)}
        assert names.get("shared") == f"{PROCESSES - 1} {many - 1}", "the newest by its time"
        assert names.path_of(f"{PROCESSES - 1} {many - 1}") == f"/shared/{PROCESSES - 1}/{many - 1}"
    last = [record["thread_name"] for record in raw_records(index) if record["thread_id"] == "here"][-1]
    assert store.thread("here").info().name == fresh.get("here") == last, "a thread that is here: the one that came last"


def test_an_index_lost_under_open_stores_begins_anew_with_all_names(store: Store, root: Path):
    for time, id in enumerate(("a", "b")):
        store.threads.create(id, name="same", rollout_path=f"/{id}", updated_at=time)
    (root / layout.INDEX).unlink()
    store.thread("a").rename("other")
    store.thread("a").rename("same")
    for names in (store.names, Store.open(root).names):
        assert names.path_of("same") == "/b", "the one updated last"


def test_a_message_is_found_while_threads_come_and_go(store: Store, root: Path, many: int, readers):
    stay = []
    for number in range(5):
        thread = store.threads.create(f"stays {number}")
        message = thread.messages.append("user", "hi", given_id=f"given to {number}")
        stay += [(thread.id, message.id), (thread.id, message.record_id)]
    with readers("messages_that_stay", stay):
        processes.run_all(work.begins_and_deletes_threads, [(root, me, many) for me in range(4)])
    work.messages_that_stay(stay)(store)
    assert len(store.threads.ids()) == 5 + 4 * (many // 2)


def test_threads_of_one_process_find_messages_while_others_delete(root: Path, many: int):
    from concurrent.futures import ThreadPoolExecutor

    store = work.opened(root)
    message = store.threads.create("stays").messages.append("user", "hi")

    def begin_and_delete(me: int) -> None:
        for number in range(many):
            thread = store.threads.create(f"{me} {number}", name=f"{me}")
            new = thread.messages.append("user", "hi")
            assert store.threads.with_message(new.id).id == thread.id
            assert store.threads.with_message(message.id).id == "stays"
            assert store.names.get(thread.id) == f"{me}"
            thread.delete()
            assert store.names.get(thread.id) is None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin_and_delete, range(4)))
    assert store.threads.ids() == ["stays"]
