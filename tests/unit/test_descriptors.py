from __future__ import annotations

import gc
import os
import random
import resource
import threading
from pathlib import Path

import faults
import processes
import pytest

from fsstore import Store, layout

LIMIT = 128  # the default of max_open_files
AGAIN = 500  # threads that have a second turn


def make_threads(root: str, first: int, last: int) -> None:
    """Make thread directories by hand, from one that the store made: 5,000 creations would sync 15,000 times."""
    with Store.open(root) as store:
        if "thread-0" not in store.threads:
            store.threads.create("thread-0")
        meta = Path(store.thread("thread-0").directory, layout.META).read_bytes()
    for number in range(max(first, 1), last):
        directory = Path(root, layout.THREADS, f"thread-{number}")
        directory.mkdir(mode=0o700)
        (directory / layout.META).write_bytes(meta.replace(b'"thread-0"', b'"thread-%d"' % number))


def resident() -> int:
    """Give the process's memory in bytes."""
    words = Path("/proc/self/statm").read_text().split()
    return int(words[1]) * resource.getpagesize()


def append_round_robin(root: str, count: int) -> dict[str, int]:
    """Append to every thread in turn, and to some again, under a low limit of open files; give the most descriptors seen."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    make_threads(root, 0, count)
    store = Store.open(root, durability="process")
    most = 0
    for step in range(count + AGAIN):
        number = step % count
        store.thread(f"thread-{number}").messages.append("user", f"{step // count} of {number}")
        if step % 50 == 0:
            most = max(most, len(faults.descriptors(root)))
    store.close()
    return {"most": most, "left": len(faults.descriptors(root))}


def test_5000_threads_take_turns_under_a_limit_of_256_open_files(root: Path, seed: int):
    seen = processes.run(append_round_robin, str(root), 5_000)
    assert LIMIT // 2 < seen["most"] <= LIMIT
    assert seen["left"] == 0
    with Store.open(root, read_only=True) as store:
        for number in random.Random(seed).sample(range(5_000), 50):
            texts = [message.content for message in store.thread(f"thread-{number}").messages.branch()]
            assert texts == [f"{turn} of {number}" for turn in range(1 + (number < AGAIN))]


def append_from_threads(root: str, count: int, workers: int, durability: str) -> dict[str, int]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    make_threads(root, 0, count)
    store = Store.open(root, durability=durability)
    errors: list[BaseException] = []
    seen: list[int] = []

    def work(worker: int) -> None:
        try:
            order = list(range(count))
            random.Random(worker).shuffle(order)
            for step, number in enumerate(order):
                thread = store.thread(f"thread-{number}")
                thread.messages.append("user", worker)
                if step % 25 == 0:
                    thread.messages.branch(3)
                    seen.append(len(faults.descriptors(root)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    store.close()
    if errors:
        raise errors[0]
    return {"most": max(seen), "left": len(faults.descriptors(root))}


@pytest.mark.parametrize(("durability", "count"), [("process", 200), ("full", 150)])
def test_many_system_threads_stay_within_the_limit_too(root: Path, durability: str, count: int):
    workers = 8
    seen = processes.run(append_from_threads, str(root), count, workers, durability)
    assert seen["most"] <= LIMIT + 4 * workers  # each may hold a lock, a log, an index' file and a directory just now
    assert seen["left"] == 0
    with Store.open(root, read_only=True) as store:
        for number in range(count):
            messages = list(store.thread(f"thread-{number}").messages)
            assert sorted(message.content for message in messages) == list(range(workers))
            assert faults.is_chain(messages)


def watch_memory(root: str, rounds: int, each: int) -> list[int]:
    """Touch ever more threads, reading and writing; give the memory after each round."""
    make_threads(root, 0, rounds * each)
    store = Store.open(root, durability="process")
    sizes = []
    for turn in range(rounds):
        for number in range(turn * each, (turn + 1) * each):
            messages = store.thread(f"thread-{number}").messages
            messages.extend([{"role": "user", "content": "x" * 500}] * 20)
            assert len(messages) == 20
        sizes.append(resident())
    return sizes


def test_memory_does_not_grow_with_the_number_of_threads_ever_touched(root: Path):
    first, *others = processes.run(watch_memory, str(root), 3, 300)
    assert max(others) - first < 3_000_000  # 600 more threads; their bodies alone are 6 MB


def test_the_limit_can_be_set(root: Path):
    with Store.open(root, max_open_files=8, durability="process") as store:
        for number in range(30):
            store.threads.create(str(number)).messages.append("user", "x")
        assert 0 < len(faults.descriptors(root)) <= 8


def test_closing_a_store_closes_its_descriptors_and_no_others(tmp_path: Path):
    stores = [Store.open(tmp_path / name) for name in "ab"]
    for store in stores:
        store.threads.create("t").messages.append("user", "x")
        assert len(faults.descriptors(store.root)) == 3  # the log, its lock, the index's lock
    stores[0].close()
    assert faults.descriptors(tmp_path / "a") == []
    assert len(faults.descriptors(tmp_path / "b")) == 3
    stores[1].threads["t"].messages.append("user", "y")
    stores[1].close()


def test_leaving_the_context_closes_them_too(root: Path):
    with Store.open(root) as store:
        store.threads.create("t").messages.append("user", "x")
    assert faults.descriptors(root) == []


def test_a_store_that_nobody_has_any_more_closes_its_descriptors(root: Path):
    Store.open(root).threads.create("t").messages.append("user", "x")
    gc.collect()
    assert faults.descriptors(root) == []


def test_reading_keeps_nothing_open(store: Store, root: Path):
    thread = store.threads.create("t")
    thread.messages.extend([{"role": "user", "content": number} for number in range(10)])
    with Store.open(root, read_only=True) as reader:
        store.close()
        thread = reader.thread("t")
        next(iter(thread.messages))
        assert len(thread.messages.branch(3)) == 3
        assert thread.messages.leaf() is not None
        assert [info.id for info in reader.threads.recent()] == ["t"]
        assert faults.descriptors(root) == []


def test_an_error_leaves_no_descriptor_behind(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    thread = store.threads.create("t")
    thread.messages.append("user", "x")
    store.close()
    for name in ("write", "sync", "fstat", "read_at", "stat", "sync_directory"):
        faults.fail_once(monkeypatch, name)
        with pytest.raises(OSError, match="Input/output error"):
            thread.messages.append("user", "y")
        monkeypatch.undo()
        store.close()
        assert faults.descriptors(root) == [], name
    for name in ("write", "sync", "rename", "sync_directory"):
        faults.fail_once(monkeypatch, name)
        with pytest.raises(OSError, match="Input/output error"):
            store.threads.update("t", preview=name)
        monkeypatch.undo()
        store.close()
        assert faults.descriptors(root) == [], name
        assert os.listdir(root / layout.TMP) == []
