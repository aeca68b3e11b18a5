"""What the processes and threads of the race tests do; each gives what was acknowledged. And how to look at what they left."""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import pickle
import random
import time
from pathlib import Path
from typing import Any

import processes

from fsstore import (
    AlreadyExistsError,
    Message,
    MessageNotFoundError,
    RunInTerminalStateError,
    RunNotFoundError,
    RunStatus,
    RunStepStatus,
    Store,
    ThreadNotFoundError,
    clock,
)
from fsstore.disk import fs
from fsstore.stores.state import StateStore

PROCESSES = 8


class Barrier:
    """Lets processes begin each round at the same moment: one byte counter each in a shared file, watched without sleeping."""

    def __init__(self, path: Path, me: int, parties: int = PROCESSES) -> None:
        with path.open("r+b") as file:
            self._rounds = memoryview(mmap.mmap(file.fileno(), 8 * parties)).cast("Q")
        self._me = me

    @staticmethod
    def make(path: Path, parties: int = PROCESSES) -> Path:
        path.write_bytes(bytes(8 * parties))
        return path

    def wait(self) -> None:
        mine = self._rounds[self._me] + 1
        self._rounds[self._me] = mine
        deadline = time.monotonic() + 60
        while min(self._rounds) < mine:
            assert time.monotonic() < deadline, "another process never came"
            os.sched_yield()


# Messages


def appends(root: Path, thread: str, me: int, count: int, durability: str) -> list[str]:
    return append_all(Store.open(root, durability=durability, lock_timeout=60), thread, me, count)


def append_all(store: Store, thread: str, me: int, count: int) -> list[str]:
    messages = store.thread(thread).messages
    return [messages.append("user", f"{me} {number}").record_id for number in range(count)]


def appends_until(root: Path, thread: str, me: int, durability: str, stop: Path) -> list[tuple[int, str]]:
    """Append until `stop` appears; give each id with the time at which its append began."""
    messages = Store.open(root, durability=durability, lock_timeout=60).thread(thread).messages
    done = [(0, messages.append("user", f"{me} begins").record_id)]
    processes.say("begun")
    while not stop.exists():
        began = time.monotonic_ns()
        done.append((began, messages.append("user", f"{me} {len(done)}").record_id))
        time.sleep(0.0005)
    return done


def batches(root: Path, thread: str, me: int, count: int, durability: str) -> list[list[str]]:
    """Batches of several sizes, with single appends between them."""
    messages = Store.open(root, durability=durability, lock_timeout=60).thread(thread).messages
    acknowledged = []
    for number in range(count):
        batch = [{"role": "user", "content": f"{me} {number} {part}" + "x" * 3000} for part in range(1 + (number + me) % 6)]
        acknowledged.append([message.record_id for message in messages.extend(batch)])
    return acknowledged


def spread(root: Path, threads: list[str], me: int, count: int, durability: str) -> dict[str, list[str]]:
    """Appends to many threads in an order of its own."""
    store = Store.open(root, durability=durability, lock_timeout=60, max_open_files=16)
    acknowledged: dict[str, list[str]] = {thread: [] for thread in threads}
    order = random.Random(me)
    for number in range(count):
        thread = order.choice(threads)
        acknowledged[thread].append(store.thread(thread).messages.append("user", f"{me} {number}").record_id)
    return acknowledged


def tree_work(root: Path, thread: str, me: int, count: int, seed: int) -> dict[str, list[Any]]:
    """Every operation on one tree, on messages that all processes know."""
    messages = Store.open(root, durability="process", lock_timeout=60).thread(thread).messages
    order = random.Random(seed + me)
    done: dict[str, list[Any]] = {"added": [], "batches": [], "removed": [], "replaced": [], "moved": []}
    for number in range(count):
        known = [message.id for message in messages.branch(6)]
        one = order.choice(known) if known else None
        kind = order.choice(["append", "extend", "fork", "checkout", "remove", "replace", "read"])
        try:
            if kind == "append":
                done["added"].append(messages.append("user", f"{me} {number}").record_id)
            elif kind == "extend":
                batch = messages.extend([{"role": "user", "content": f"{me} {number} {part}"} for part in range(3)])
                done["batches"].append([message.record_id for message in batch])
            elif kind == "read":
                check_branch(messages.branch())
            elif one is None:
                continue
            elif kind == "fork":
                message = messages.fork(one, "user", f"{me} {number}")
                assert message.parent_id == one
                done["added"].append(message.record_id)
            elif kind == "checkout":
                messages.checkout(one)
                done["moved"].append(one)
            elif kind == "replace":
                done["added"].append(messages.replace(one, "user", f"{me} {number}").record_id)
                done["replaced"].append(one)
            elif messages.remove(one):
                done["removed"].append(one)
        except MessageNotFoundError:
            continue  # another process took it away first
    return done


def clears(root: Path, thread: str, me: int, count: int) -> tuple[list[str], int]:
    """Appends, and now and then clears; gives what was appended and how many messages the clears counted."""
    messages = Store.open(root, durability="process", lock_timeout=60).thread(thread).messages
    added, counted = [], 0
    for number in range(count):
        added.append(messages.append("user", f"{me} {number}").record_id)
        if number % 10 == me:
            counted += messages.clear()
    return added, counted


def appends_secrets(root: Path, thread: str, me: int, count: int, durability: str) -> list[str]:
    messages = Store.open(root, durability=durability, lock_timeout=60).thread(thread).messages
    return [messages.append("user", f"secret {me} {number}").record_id for number in range(count)]


def redacts_until(root: Path, thread: str, durability: str, stop: Path, compacts: bool) -> int:
    """Redact what others append, until `stop` appears and all is redacted; give in how many places."""
    messages = Store.open(root, durability=durability, lock_timeout=60).thread(thread).messages
    places = 0
    while True:
        last_round = stop.exists()
        places += sum(messages.redact(message.id, "secret") for message in messages if "secret" in message.content)
        if compacts:
            messages.compact()
        if last_round:
            return places


def read_on(root: Path, thread: str, stop: Path, grows: bool) -> int:
    """Read until `stop` appears, never a lock taken; give how often.

    Where the log only grows, each reading begins with the one before.
    """
    fs.open_lock = _no_lock
    read, seen = 0, []
    kept = Store.open(root, read_only=True).thread(thread).messages
    while True:
        last_round = stop.exists()
        for messages in (kept, Store.open(root, read_only=True).thread(thread).messages):
            newest = messages.branch(3)
            check_links(newest)
            branch = messages.branch()
            check_branch(branch)
            assert [message.id for message in messages] or not branch or not grows  # all may have been removed since
            for leaf in messages.leaves()[:3]:
                with contextlib.nullcontext() if grows else contextlib.suppress(MessageNotFoundError):  # removed since
                    assert messages.branch(leaf=leaf.id)[-1].id == leaf.id
            if grows:
                ids = [message.id for message in branch]
                assert ids[: len(seen)] == seen
                assert not newest or newest[-1].id in ids
                assert [message.id for message in messages][: len(ids)] == ids
                seen = ids
            read += 1
        if last_round:
            return read


def _no_lock(path: str) -> int:
    raise AssertionError(f"a reader opened the lock {path}")


def check_links(branch: list[Message]) -> None:
    for above, below in itertools.pairwise(branch):
        assert below.parent_id == above.id
        assert above.record_id < below.record_id


def check_branch(branch: list[Message]) -> None:
    assert not branch or branch[0].parent_id is None
    check_links(branch)


# Threads, runs and steps


def makes_the_same_threads(root: Path, barrier: Path, me: int, rounds: int) -> list[int]:
    """Give the rounds that this process won."""
    store, together, won = Store.open(root, lock_timeout=60), Barrier(barrier, me), []
    for number in range(rounds):
        together.wait()
        try:
            store.threads.create(f"same {number}", name=f"by {me}").messages.append("user", f"by {me}")
            won.append(number)
        except AlreadyExistsError:
            pass
    return won


def races_for_runs(root: Path, thread: str, barrier: Path, me: int, rounds: int) -> list[tuple[str, int]]:
    """All processes create the same run and the same step, and finish the same run; gives what this one won."""
    runs, together, won = Store.open(root, lock_timeout=60).thread(thread).runs, Barrier(barrier, me), []
    ends = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.EXPIRED]
    for number in range(rounds):
        run = runs.handle(f"run {number}")
        together.wait()
        try:
            runs.create(run.id, model=f"by {me}")
            won.append(("run", number))
        except AlreadyExistsError:
            pass
        together.wait()
        try:
            run.steps.create("step", step_details={"by": me})
            won.append(("step", number))
        except AlreadyExistsError:
            pass
        together.wait()
        try:
            assert run.finish(ends[me % 4]).status == ends[me % 4]
            won.append(("end", number))
        except RunInTerminalStateError as error:
            assert error.status == run.info().status  # noqa: PT017  # the winner's, and it stays
    return won


def makes_runs_and_steps(root: Path, thread: str, me: int, count: int) -> list[str]:
    """Runs and steps of its own beside those of others, brought to an end."""
    store, made = Store.open(root, durability="process", lock_timeout=60), []
    for number in range(count):
        run = store.thread(thread).runs.create(f"{me}/{number}")
        for step in range(3):
            run.steps.create(f"{me}.{step}")
        for step in range(3):
            run.steps.update(f"{me}.{step}", RunStepStatus.COMPLETED, step_details={"by": me})
        run.update(RunStatus.IN_PROGRESS)
        run.finish(RunStatus.COMPLETED)
        store.thread(thread).messages.append("assistant", run.id, run_id=run.id)
        made.append(run.id)
    return made


FIELDS = ("preview", "cwd", "cli_version", "sandbox_policy", "approval_mode", "git_branch", "memory_mode")


def updates_a_field(root: Path, thread: str, me: int, count: int) -> str:
    """Change a field of its own while others change theirs, and never see it as another value than its last."""
    store = Store.open(root, durability="process", lock_timeout=60)
    if me == len(FIELDS):
        for _ in range(count):
            assert store.thread(thread).archive().archived
            assert store.thread(thread).info().archived
            assert not store.thread(thread).unarchive().archived
            assert store.thread(thread).info().status == "idle"
        return ""
    for number in range(count):
        value = f"{me} {number}"
        store.threads.update(thread, **{FIELDS[me]: value})
        assert getattr(store.thread(thread).info(), FIELDS[me]) == value
    return value


def upserts(root: Path, thread: str, me: int, count: int) -> None:
    """Put whole records over each other; each one read back is whole."""
    from fsstore import ThreadMetadata

    with StateStore.open(root, durability="process", lock_timeout=60) as state:
        for number in range(count):
            tag = f"{me} {number}"
            state.upsert_thread(ThreadMetadata(id=thread, **dict.fromkeys(FIELDS, tag), name=tag))
            found = state.get_thread(thread)
            assert found is not None
            assert len({getattr(found, field) for field in (*FIELDS, "name")}) == 1


# Deletion


def appends_to_what_may_vanish(root: Path, thread: str, me: int, durability: str, stop: Path) -> list[str]:
    """Append until `stop` appears, whether the thread is there or not; give what was acknowledged."""
    store, acknowledged = Store.open(root, durability=durability, lock_timeout=60), []
    processes.say("begins")
    while not stop.exists():
        try:
            acknowledged.append(store.thread(thread).messages.append("user", f"{me} {len(acknowledged)}").record_id)
            run = store.thread(thread).runs.create()
            run.update(RunStatus.IN_PROGRESS)
        except (ThreadNotFoundError, RunNotFoundError):
            time.sleep(0.001)
    return acknowledged


# What is on disk


def raw_lines(path: str | Path) -> list[bytes]:
    """The lines of a log by their newlines, none where there is no log; what is no line is not passed over."""
    data = Path(path).read_bytes() if Path(path).exists() else b""
    assert data.endswith(b"\n") or not data
    return data.split(b"\n")[:-1]


def raw_records(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw_lines(path)]


def ids_on_disk(path: str | Path) -> list[str]:
    """The ids of a log's lines, each once and ascending."""
    ids = [record["id"] for record in raw_records(path)]
    assert ids == sorted(set(ids))
    assert all(map(clock.is_id, ids))
    return ids


def assert_one_chain(store: Store, thread: str, acknowledged: list[list[str]]) -> None:
    """Every acknowledged append stands once in one line, each below the one before."""
    messages = store.thread(thread).messages
    records = raw_records(messages.path)
    ids = ids_on_disk(messages.path)
    assert sorted(ids) == sorted(id for one in acknowledged for id in one)
    assert [record["parent_id"] for record in records] == [None, *ids][:-1] if ids else not records
    assert [message.record_id for message in messages.branch()] == ids
    for one in acknowledged:
        assert one == sorted(one), "a writer's own messages stand in its own order"


# Forked children


def fork(call) -> tuple[int, int]:
    """Run a call in a forked child that ends without any of Python's own clean-up."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            answer = call()
        except BaseException as error:
            answer = error
        with open(writing, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(writing)
    return pid, reading


def gather(child: tuple[int, int]) -> Any:
    """Give what a forked child's call gave, or raise what it raised."""
    pid, reading = child
    with open(reading, "rb") as file:
        answer = pickle.load(file)
    os.waitpid(pid, 0)
    if isinstance(answer, BaseException):
        raise answer
    return answer
