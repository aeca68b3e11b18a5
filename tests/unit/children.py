"""What the unit tests run in other processes: small functions for `processes.start`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from processes import hear, say

from fsstore import DynamicToolRecord, RunInTerminalStateError, Store, clock
from fsstore.disk import document, fs
from fsstore.disk.collection import Collection


def append(root: str, thread: str, content: Any, durability: str = "full") -> str:
    with Store.open(root, durability=durability) as store:
        return store.thread(thread).messages.append("user", content).id


def append_many(root: str, thread: str, count: int) -> list[str]:
    with Store.open(root, durability="process") as store:
        return [store.thread(thread).messages.append("user", number).id for number in range(count)]


def append_when_told(root: str, thread: str, durability: str = "process") -> None:
    """Append what the parent tells, through one warm handle, until told None; say the id or the error of each."""
    with Store.open(root, durability=durability) as store:
        say("open")
        while (content := hear()) is not None:
            try:
                say(store.thread(thread).messages.append("user", content).id)
            except Exception as error:  # the parent judges it
                say(error)


def hold_lock(root: str, thread: str) -> None:
    """Take a thread's lock, say so, and keep it until told."""
    store = Store.open(root)
    handle = store.thread(thread)
    with store._root.locks[handle.place.stripe]:
        say(os.getpid())
        hear()
    store.close()


def die_in_write(root: str, thread: str, share: float) -> None:
    """Write only a share of a record, under the lock, and hang there."""
    store = Store.open(root)
    store.thread(thread).messages.append("user", "whole")
    real = fs.write

    def write_some(fd: int, data: bytes) -> int:
        real(fd, bytes(data)[: int(len(data) * share)])
        say("half")
        time.sleep(600)
        return 0

    fs.write = write_some
    store.thread(thread).messages.append("user", "torn" * 50)


def fail_sync(root: str, thread: str, content: Any) -> Exception:
    """Append with a disk that refuses to confirm; give the error."""
    with Store.open(root) as store:
        handle = store.thread(thread)

        def fail(fd: int) -> None:
            raise OSError(5, "Input/output error")

        real, fs.sync = fs.sync, fail
        try:
            handle.messages.append("user", content)
        except Exception as error:  # the parent judges it
            return error
        finally:
            fs.sync = real
    raise AssertionError("the append raised nothing")


def open_store(root: str) -> None:
    with Store.open(root) as store:
        store.threads.create().messages.append("user", "hello")


def kill_creations(directory: str) -> int:
    """Create stores, each by a process that dies at a later changing call of `fs`; give how many died."""
    for number in range(1_000):
        pid = os.fork()
        if pid == 0:
            _die_at_call(number)
            Store.open(f"{directory}/store-{number}")
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return number
    raise AssertionError("no end to it")


def _die_at_call(number: int) -> None:
    left = number

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return real(*args)

        return call

    for name in ("mkdir", "write", "sync", "rename", "sync_directory"):
        setattr(fs, name, counted(getattr(fs, name)))


def kill_deletions(root: str) -> list[bool]:
    """Delete threads in processes that die at a later changing call of `fs` each; say which the next open shows."""
    there = []
    for number in range(1_000):
        with Store.open(root) as store:
            store.threads.create(str(number)).messages.append("user", "x")
        pid = os.fork()
        if pid == 0:
            store = Store.open(root)
            _die_at_call(number)
            store.threads.delete(str(number))
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return there
        with Store.open(root) as store:
            there.append(str(number) in store.threads)
    raise AssertionError("no end to it")


def create(root: str, thread: str) -> str:
    with Store.open(root) as store:
        try:
            store.threads.create(thread)
        except Exception as error:  # the parent judges it
            return type(error).__name__
    return "created"


def update_often(root: str, thread: str, field: str, count: int) -> None:
    with Store.open(root, durability="process") as store:
        for number in range(count):
            store.threads.update(thread, **{field: str(number)})


def patient(root: str) -> Store:
    """Open a store that waits for its locks however slow the disk is."""
    return Store.open(root, durability="process", lock_timeout=None)


def accrue_often(root: str, thread: str, count: int, store: Store | None = None) -> None:
    """Accrue to a thread's goal, and note a continuation each time."""
    goal = (store or patient(root)).thread(thread).goal
    for number in range(count):
        goal.accrue(tokens=number, seconds=1)
        goal.note_continuation()


def save_often(root: str, thread: str, checkpoint: str, writer: int, count: int) -> Any:
    """Save a checkpoint over and over; give what was saved last."""
    with patient(root) as store:
        for number in range(count):
            state = {"text": f"{writer}" * 50_000, "number": number, "writer": writer}
            store.thread(thread).checkpoints.save(checkpoint, state)
    return state


def save_ahead(root: str, thread: str, checkpoint: str, hours: int) -> None:
    """Save a checkpoint with a clock that is ahead."""
    with Store.open(root, durability="process") as store, ahead(hours + 1):
        store.thread(thread).checkpoints.save(checkpoint, hours)


@contextlib.contextmanager
def ahead(hours: int) -> Iterator[None]:
    """Have the store's clock stand still at some hours from now."""
    at, real = time.time_ns() + hours * 3_600_000_000_000, clock.time
    clock.time = SimpleNamespace(time=lambda: at / 1e9, time_ns=lambda: at)
    try:
        yield
    finally:
        clock.time = real


def replace_tools_often(root: str, thread: str, name: str, count: int) -> None:
    """Replace a thread's tools by twenty of one name, over and over."""
    with patient(root) as store:
        for _ in range(count):
            store.thread(thread).tools.replace([DynamicToolRecord(position=at, name=name) for at in range(20)])


def update_job_often(root: str, job: str, field: str, count: int) -> None:
    with patient(root) as store:
        for number in range(count):
            store.jobs.update(job, **{field: str(number)})


def create_leaves(root: str, run: str, count: int) -> list[str]:
    with patient(root) as store:
        leaves = store.workflows.handle(run).leaves
        return [leaves.create(leaf_id=str(number)).id for number in range(count)]


def put_ahead(directory: str, id: str, hours: int) -> str:
    """Put a document into an ordered collection of a store, with a clock that is ahead; give the id of the write."""
    with Store.open(os.path.dirname(directory), durability="process") as store, ahead(hours + 1):
        return document.newest(Collection(store._root, directory, ordered=True).put(id, lambda old: {}))


def finish(root: str, thread: str, runs: list[str], status: str) -> list[bool]:
    """Finish runs one after the other; say of each whether this process was the one."""
    won = []
    with Store.open(root, durability="process") as store:
        for id in runs:
            try:
                store.thread(thread).runs[id].finish(status)
                won.append(True)
            except RunInTerminalStateError:
                won.append(False)
    return won
