"""The crash test's machine: do an operation under a recorder, then look at every disk that a crash may leave."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fsstore import Store
from fsstore.disk import fs
from fsstore.testing.crash_states import State, after_all, power_cuts
from fsstore.testing.image import Image
from fsstore.testing.trace import Killed, Recorder

View = dict[str, Any]
#: What `check` may find after a crash: a write that is not whole, a temp file nobody needs, a cache that does not fit.
CRASH_LEAVES = frozenset(("torn", "nul", "utf8", "not-json", "no-object", "leftover-temp", "stale-cache"))


@dataclass
class Desk:
    """Where an operation is done: a store at a durability, opened at its first use."""

    root: Path
    durability: str = "full"

    @cached_property
    def store(self) -> Store:
        return Store.open(self.root, durability=self.durability)

    def __getitem__(self, id: str) -> Any:
        return self.store.thread(id)

    def facade(self, opened_by: Callable[..., Any]) -> Any:
        return opened_by(self.root, durability=self.durability)


Step = Callable[[Desk], object]


@dataclass(frozen=True)
class Operation:
    """What is done, step by step; each step is acknowledged when it returns.

    `between` gives what may also be seen while a step has not returned, beside the views before and after it.
    `leaves` are more kinds of problem that a crash in it may leave. `repeats`: a caller to whom it was not acknowledged
    may do the step again. `place` is the store's root, below a directory that exists. `since` is how many steps to take
    before the first crash.
    """

    name: str
    steps: tuple[Step, ...]
    prepare: Step = lambda desk: desk.store
    between: Callable[[View, View], list[View]] = lambda before, after: []
    leaves: frozenset[str] = frozenset()
    repeats: bool = True
    place: str = "store"
    since: int = 0


@dataclass
class Recording:
    """An operation done, what it looked like from outside after each step, and how many calls that had taken."""

    operation: Operation
    recorder: Recorder
    views: list[View] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def done(self, position: int) -> int:
        return sum(mark <= position for mark in self.marks)

    @property
    def start(self) -> int:
        return self.marks[self.operation.since - 1] if self.operation.since else 0

    def allowed(self, position: int) -> list[View]:
        done = self.done(position)
        seen = self.views[done : done + 2]
        return seen + (self.operation.between(*seen) if len(seen) == 2 else [])


def view(root: Path) -> View:
    """All that can be read, through the public interface of a fresh read-only store."""
    if not (root / "fsstore.json").exists():
        return {"store": False, "threads": {}, "deleted": []}
    with Store.open(root, read_only=True) as store:
        threads = {id: _view_thread(store.thread(id)) for id in store.threads.ids()}
        return {"store": True, "threads": threads, "deleted": sorted(store.threads._index.deletions())}


def _view_thread(thread: Any) -> View:
    return {
        "newest": [message.id for message in thread.messages.branch(3)],  # first: from the end of the file where it can
        "info": thread.info(),
        "messages": list(thread.messages),
        "branch": [message.id for message in thread.messages.branch()],
        "leaves": [message.id for message in thread.messages.leaves()],
        "runs": {run.id: (run, list(thread.runs.handle(run.id).steps)) for run in thread.runs},
    }


@cache
def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def record(operation: Operation, world: Path, durability: str = "full", **options: Any) -> Recording:
    """Do an operation on a real disk, under the name of a process that is dead when the crash is looked at."""
    world.mkdir()
    root = world / operation.place
    operation.prepare(Desk(root))
    recording = Recording(operation, Recorder(world, **options))
    recording.views.append(view(root))
    desk = Desk(root, durability)
    real_pid, fs.pid = fs.pid, dead_pid
    try:
        with recording.recorder:
            for step in operation.steps:
                step(desk)
                recording.marks.append(len(recording.recorder.calls))
                recording.views.append(view(root))
    finally:
        fs.pid = real_pid
    done = after_all(recording.recorder.before, recording.recorder.calls)
    assert done.tree() == Image.read(str(world))[0].tree(), "the recorder missed a change"
    shutil.rmtree(world)
    return recording


@contextmanager
def no_sync() -> Iterator[None]:
    """Looking at a disk needs no other disk to keep it."""
    real = fs.sync, fs.sync_directory
    fs.sync = fs.sync_directory = lambda what: None
    try:
        yield
    finally:
        fs.sync, fs.sync_directory = real


@dataclass
class Disk:
    """One disk that a crash may leave, and all the moments at which it may."""

    image: Image
    moments: list[tuple[int, str]] = field(default_factory=list)


def disks(states: Iterable[State]) -> list[Disk]:
    """Give each different disk once."""
    found: dict[object, Disk] = {}
    for state in states:
        # Nobody reads a temp file or the empty directory of locks: only that they are there counts.
        tree = state.image.tree()
        key = frozenset((path, b"" if "/.fsstore/tmp/" in path else data) for path, data in tree.items())
        found.setdefault(key, Disk(state.image)).moments.append((state.position, state.what))
    return list(found.values())


def problems(recording: Recording, states: Iterable[State], place: Path, *, promises: str = "each step") -> Iterator[str]:
    """Give what is wrong with each disk. `promises` is how much of what was acknowledged must be there: each step,
    or, where nothing was synced, none of them."""
    with no_sync():
        yield from _problems(recording, states, place, promises)


def _problems(recording: Recording, states: Iterable[State], place: Path, promises: str) -> Iterator[str]:
    for disk in disks(states):
        root = place / recording.operation.place
        disk.image.write(str(place))
        try:
            for wrong in _inspect(recording, disk, root, promises):
                where = "\n    ".join(what for _, what in disk.moments[:4])
                yield f"{recording.operation.name}: {wrong}\n    {where}"
        finally:
            shutil.rmtree(place)


def _inspect(recording: Recording, disk: Disk, root: Path, promises: str) -> Iterator[str]:
    try:
        read_only = view(root)
        seen = dict(read_only)
        with Store.open(root, durability="process"):  # makes the store that is not there, ends the deletion that was begun
            if not seen["store"] or set(seen["deleted"]) & set(seen["threads"]):
                seen = {**view(root), "store": read_only["store"]}
    except Exception as error:
        yield f"cannot be read: {error!r}"
        return
    moments = disk.moments if promises == "each step" else [(position, "") for position in range(len(recording.recorder.calls))]
    allowed = [recording.allowed(position) for position, _ in moments]
    if promises != "each step":
        allowed = [[one for views in allowed for one in views]]
    for what, found, same in (("is", seen, dict), ("looks to a reader like", read_only, _readable)):
        wrong = [views for views in allowed if same(found) not in map(same, views)]
        if wrong:
            yield f"it {what} no state before or after: {_differ(found, wrong[0][-1])}"
    try:
        yield from _goes_on(recording, disk, root, seen)
    except Exception as error:
        yield f"does not go on: {error!r}"


def _readable(seen: View) -> View:
    return {**seen, "deleted": None}


def _differ(seen: View, wanted: View) -> str:
    parts = [f"{name}: {seen[name]!r} for {wanted[name]!r}" for name in ("store", "deleted") if seen[name] != wanted[name]]
    for id in {*seen["threads"], *wanted["threads"]}:
        one, other = seen["threads"].get(id, {}), wanted["threads"].get(id, {})
        parts += [f"{id[:20]}.{n}: {one.get(n)!r} for {other.get(n)!r}" for n in {*one, *other} if one.get(n) != other.get(n)]
    return "; ".join(part[:600] for part in parts)


def _goes_on(recording: Recording, disk: Disk, root: Path, seen: View) -> Iterator[str]:
    """Append to every thread and read it back; do what was not done again; let `check` look at it all."""
    desk = Desk(root, "process")
    if not seen["threads"]:
        desk.store.threads.create("after-the-crash")
        seen["threads"] = view(root)["threads"]
    for id, before in seen["threads"].items():
        message = desk[id].messages.append("user", "after the crash")
        after = view(root)["threads"][id]
        if (after["messages"], after["branch"]) != ([*before["messages"], message], [*before["branch"], message.id]):
            yield f"an append after it reads back as {after['messages']!r}, {after['branch']!r} behind {before!r}"
    seen["threads"].pop("after-the-crash", None)
    done = min(recording.done(position) for position, _ in disk.moments)
    if recording.operation.repeats and done < len(recording.views) - 1 and _readable(seen) == _readable(recording.views[done]):
        recording.operation.steps[done](desk)
    desk.store.close()
    with Store.open(root, read_only=True) as store:
        yield from (
            f"check finds {problem}"
            for problem in itertools.islice(store.check(), 3)
            if problem.kind not in CRASH_LEAVES | recording.operation.leaves
        )


def then_another(
    operation: Operation, tmp_path: Path, seed: int, *, durability: str = "full", dies_at: int | None = None
) -> Iterator[str]:
    """Let one process do the operation, or die before a call of it; let another one go on and be acknowledged; cut the power.

    Give what is wrong: all that stood there before, and all that the second one did, must be there.
    """
    world, place = tmp_path / "world", tmp_path / "after"
    world.mkdir()
    root = world / operation.place
    operation.prepare(Desk(root))
    before = view(root)
    real_pid, fs.pid = fs.pid, dead_pid
    try:
        with Recorder(world, dies_at=dies_at) as recorder:
            with suppress(Killed):
                desk = Desk(root, durability)
                for step in operation.steps:
                    step(desk)
            recorder.dies_at = None
            second = Desk(root)
            second.store.threads.create("second")  # without a name: nothing that syncs what the first one began
            for id in second.store.threads.ids():
                second[id].messages.append("user", "by the second process")
            wanted = view(root)
    finally:
        fs.pid = real_pid
    shutil.rmtree(world)
    calls = recorder.calls
    with no_sync():
        for disk in disks(power_cuts(recorder.before, calls, start=len(calls), seed=seed)):
            disk.image.write(str(place))
            seen = view(place / operation.place)
            shutil.rmtree(place)
            yield from (f"{wrong}: {disk.moments[0][1]}" for wrong in _missing(before, wanted, seen))


def _missing(before: View, wanted: View, seen: View) -> Iterator[str]:
    for id, thread in wanted["threads"].items():
        found = [message.id for message in seen["threads"].get(id, {"messages": []})["messages"]]
        for message in thread["messages"]:
            acknowledged = (
                message.content == "by the second process" or message in before["threads"].get(id, thread)["messages"]
            )
            if acknowledged and found.count(message.id) != 1:
                yield f"message {message.content!r} of {id!r} is there {found.count(message.id)} times"
        if id in before["threads"] and seen["threads"].get(id, {}).get("info") not in (
            thread["info"],
            before["threads"][id]["info"],
        ):
            yield f"thread {id!r} is {seen['threads'].get(id)}"
    for id in before["threads"].keys() - seen["threads"].keys():
        if id not in seen["deleted"]:
            yield f"thread {id!r} is gone, and nothing remembers its deletion"
