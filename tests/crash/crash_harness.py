"""The crash test's machine: do an operation under a recorder, then look at every disk that a crash may leave."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from fsstore import JobStateRecord, Store, codec, layout
from fsstore.disk import fs, machine
from fsstore.testing.crash_states import State, after_all
from fsstore.testing.image import Image
from fsstore.testing.trace import Recorder

View = dict[str, Any]
#: What `check` may find after a crash: a write that is not whole, a temp file nobody needs, a cache that does not fit.
CRASH_LEAVES = frozenset(("torn", "nul", "utf8", "not-json", "no-object", "leftover-temp", "stale-cache", "abandoned-run"))


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
    before the first crash. `frees`: what is not there in the end is meant to be gone,
    and what is in the trash is whole.
    """

    name: str
    steps: tuple[Step, ...]
    prepare: Step = lambda desk: desk.store
    between: Callable[[View, View], list[View]] = lambda before, after: []
    leaves: frozenset[str] = frozenset()
    repeats: bool = True
    place: str = "store"
    since: int = 0
    frees: bool = False


@dataclass
class Recording:
    """An operation done, what it looked like from outside after each step, and how many calls that had taken.

    `made` is all that had been made by then: see `made_on`.
    """

    operation: Operation
    recorder: Recorder
    views: list[View] = field(default_factory=list)
    made: list[frozenset[str]] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def look(self, world: Path) -> None:
        self.views.append(view(world / self.operation.place))
        self.made.append(made_on(Image.read(str(world))[0]))

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
        objects, lists = ("threads", "names", "paths", "recipes"), ("deleted", "jobs", "workflows", "prompts")
        empty = {**{name: {} for name in objects}, **{name: [] for name in lists}}
        return {"store": False, **empty, "work": _view_work(root)}
    carriers = {name: (root / name).read_text() for name in layout.CARRIER_FILES}
    assert carriers == layout.CARRIER_FILES, f"git and rsync are told {carriers}"
    with Store.open(root, read_only=True) as store:
        threads = {id: {**_view_thread(store.thread(id)), "data": _view_data(store, id)} for id in store.threads.ids()}
        index = store.threads._index
        index.called("")  # reads it
        called = index._view
        names = store.names.get_all({*threads, *called.names})
        words = {*called.spoken, *(name for name in names.values() if name is not None)}
        paths = {word.casefold(): path for word in words if (path := store.names.path_of(word)) is not None}
        for info in (thread["info"] for thread in threads.values()):
            assert names[info.id] == info.name, f"the name and the meta.json of {info.id} disagree"
            found = None in (info.name, info.rollout_path) or info.name.casefold() in paths
            assert found, f"{info.id} is not found by the name that its meta.json gives"
        return {
            "store": True,
            "threads": threads,
            "deleted": sorted(index.deletions()),
            "names": {id: name for id, name in names.items() if name is not None},
            "paths": paths,
            "jobs": store.jobs.recent(None),
            "workflows": [_view_workflow(store.workflows[run.id]) for run in store.workflows.recent(None)],
            "prompts": store.prompts.recent(),
            "recipes": store.recipes.all(),
            "work": _view_work(root),
        }


def _view_thread(thread: Any) -> View:
    return {
        "newest": [message.id for message in thread.messages.branch(3)],  # first: from the end of the file where it can
        "info": thread.info(),
        "messages": list(thread.messages),
        "branch": [message.id for message in thread.messages.branch()],
        "leaves": [message.id for message in thread.messages.leaves()],
        "runs": {run.id: (run, list(thread.runs.handle(run.id).steps)) for run in thread.runs},
        "state": thread.state.get(),
        "goal": thread.goal.get(),
        "tools": thread.tools.all(),
        "checkpoints": thread.checkpoints.recent(None),
        "newest checkpoint": thread.checkpoints.newest(),
    }


def _view_data(store: Store, id: str) -> View:
    session = store.data.session(id, cwd="/")
    return {
        "histories": session.histories.all(),
        "runs": session.metadata().runs,
        "said": session.runs.content().runs,
        "tools": session.runs.tools(),
        "stack": [entry.id for entry in session.rewinds._entries()],
        "recipe": session.recipe.own(),
        "checkpoint": session.checkpoint.load(),
        "costs": session.costs(),
    }


def working_directory(root: Path) -> Path:
    """Where the files of rewinds are."""
    return root.parent / "work"


def _view_work(root: Path) -> View:
    work = working_directory(root)
    files = (path for path in sorted(work.rglob("*")) if path.is_file() and path.suffix != ".fsstore")
    return {str(path.relative_to(work)): path.read_bytes() for path in files}


def _view_workflow(run: Any) -> View:
    parts = {name: list(getattr(run, name)) for name in ("branches", "leaves", "control_nodes", "candidates")}
    return {"id": run.id, "info": run.info(), **parts}


def made_on(image: Image) -> frozenset[str]:
    """What was ever made and is on a disk, in its place, in the trash or in the quarantine: the ids of records, and of the
    documents' creation; and what stands between the records of a log, or was put aside."""
    tree = image.tree()
    files = [(path, data) for path, data in tree.items() if data and "/.fsstore/tmp/" not in path]
    return frozenset().union(
        *(_made_in_document(data) for path, data in files if path.endswith(".json")),
        *(_made_in_log(data) for path, data in files if path.endswith(".jsonl")),
        *(_put_aside(data, tree.get(f"{path.removesuffix('.raw')}.json")) for path, data in files if path.endswith(".raw")),
        *(_made_by_hand(data) for path, data in files if path.startswith("work/")),
    )


def _in_trash(image: Image) -> dict[str, dict[str, bytes | None]]:
    """The files that each deletion left in the trash, by its id."""
    found: dict[str, dict[str, bytes | None]] = {}
    for path, data in image.tree().items():
        _, is_there, below = path.partition(f"/{layout.TRASH}/")
        if is_there:
            found.setdefault(below.partition("/")[0], {})[below] = data
    return found


@lru_cache(maxsize=4096)
def _made_in_document(data: bytes) -> frozenset[str]:
    try:
        fields = codec.decode_object(data)
    except ValueError:
        return frozenset()
    return frozenset() if fields.get("deleted") or "versions" not in fields else frozenset((fields["versions"]["id"],))


@lru_cache(maxsize=4096)
def _made_in_log(data: bytes) -> frozenset[str]:
    made: set[str] = set()
    for raw in data.splitlines(keepends=True):
        at = 0
        for piece in codec.read_line(raw).records:
            made |= {piece.record["id"], *_rest(raw[at : piece.start])}
            at = piece.end
        made |= _rest(raw[at:])
    return frozenset(made)


def _rest(data: bytes) -> set[str]:
    """Bytes that are no record, told by what they are without what closes them off."""
    bare = data.strip(b" \t\r\n\0~")
    return {repr(bare)} if bare else set()


@lru_cache(maxsize=4096)
def _put_aside(data: bytes, about: bytes | None) -> frozenset[str]:
    try:
        pieces = codec.decode_object(about or b"")["pieces"]
    except ValueError:
        return frozenset()
    ends = list(itertools.accumulate(piece["length"] for piece in pieces))
    return frozenset().union(*(_rest(data[start:end]) for start, end in zip([0, *ends], ends, strict=False)))


#: What somebody who knows nothing of the store writes into a file that a rewind restores.
BY_HAND = "by hand"


def _made_by_hand(data: bytes) -> set[str]:
    return _rest(data) if BY_HAND.encode() in data else set()


@cache
def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@contextmanager
def as_a_dead_process() -> Iterator[None]:
    """What is done in here bears the name of a process that is dead when the crash is looked at."""
    real, machine.pid = machine.pid, dead_pid
    try:
        yield
    finally:
        machine.pid = real


def record(operation: Operation, world: Path, durability: str = "full", **options: Any) -> Recording:
    """Do an operation on a real disk, under the name of a process that is dead when the crash is looked at."""
    world.mkdir()
    root = world / operation.place
    operation.prepare(Desk(root))
    recording = Recording(operation, Recorder(world, **options))
    recording.look(world)
    desk = Desk(root, durability)
    with as_a_dead_process(), recording.recorder:
        for step in operation.steps:
            step(desk)
            recording.marks.append(len(recording.recorder.calls))
            recording.look(world)
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
    done = max(recording.done(position) for position, _ in disk.moments) if promises == "each step" else 0
    kept = recording.made[-1] if recording.operation.frees else recording.made[done]
    if recording.operation.frees:
        whole = _in_trash(recording.recorder.before)
        halves = [id for id, files in _in_trash(disk.image).items() if files != whole.get(id)]
        yield from (f"what the deletion {id} left in the trash is there in part" for id in halves)
    vanished = recording.made[done] & kept - made_on(disk.image)
    if vanished:
        yield f"what was made with the ids {sorted(vanished)} is neither in its place nor in the trash"
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
    found, other = dict(items(seen)), dict(items(wanted))
    keys = [key for key in {**found, **other} if found.get(key) != other.get(key)]
    return "; ".join(f"{key}: {found.get(key)!r} for {other.get(key)!r}"[:600] for key in keys) or "the order differs"


def items(seen: View) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each thing of a view by itself."""
    yield ("store",), seen["store"]
    yield ("deleted",), seen["deleted"]
    yield ("prompts",), seen["prompts"]
    for name in ("names", "paths", "recipes", "work"):
        yield from (((name, id), one) for id, one in seen[name].items())
    yield from (((job.id, "job"), job) for job in seen["jobs"])
    for run in seen["workflows"]:
        yield from (((run["id"], name), value) for name, value in run.items())
    for id, thread in seen["threads"].items():
        yield from (((id, name), value) for name, value in thread.items() if name not in ("runs", "checkpoints"))
        yield from (((id, "runs", key), value) for key, value in thread["runs"].items())
        yield from (((id, "checkpoints", one.checkpoint_id), one) for one in thread["checkpoints"])


def _goes_on(recording: Recording, disk: Disk, root: Path, seen: View) -> Iterator[str]:
    """Write to everything and read it back; do what was not done again; let `check` look at it all."""
    desk = Desk(root, "process")
    if not seen["threads"]:
        desk.store.threads.create("after-the-crash")
        seen = view(root)
    more = [_write_more(desk, id, before) for id, before in seen["threads"].items()]
    for run in seen["workflows"]:
        desk.store.workflows[run["id"]].leaves.create("after", leaf_id="after")
    if seen["jobs"]:
        desk.store.jobs.put(JobStateRecord(id="after", updated_at=1 << 40))
    after = view(root)
    for (id, before), (message, accrued) in zip(seen["threads"].items(), more, strict=True):
        yield from _read_back(after["threads"][id], before, message, accrued)
    for run, longer in zip(seen["workflows"], after["workflows"], strict=True):
        if [leaf.id for leaf in longer["leaves"]] != [*(leaf.id for leaf in run["leaves"]), "after"]:
            yield f"a leaf after it reads back as {longer} behind {run}"
    if seen["jobs"] and [job.id for job in after["jobs"]] != ["after", *(job.id for job in seen["jobs"])]:
        yield f"a job after it reads back as {after['jobs']} behind {seen['jobs']}"
    done = min(recording.done(position) for position, _ in disk.moments)
    if recording.operation.repeats and done < len(recording.views) - 1 and _same(seen, recording.views[done]):
        recording.operation.steps[done](desk)
    desk.store.close()
    with Store.open(root, read_only=True) as store:
        yield from (
            f"check finds {problem}"
            for problem in itertools.islice(store.check(), 3)
            if problem.kind not in CRASH_LEAVES | recording.operation.leaves
        )


def _same(seen: View, other: View) -> bool:
    threads = {id: thread for id, thread in seen["threads"].items() if id != "after-the-crash"}
    return _readable({**seen, "threads": threads}) == _readable(other)


def _write_more(desk: Desk, id: str, before: View) -> tuple[Any, Any]:
    """Append to a thread, and where it has a goal or checkpoints, to them."""
    thread = desk[id]
    if before["checkpoints"]:
        thread.checkpoints.save("after", "the crash")
    return thread.messages.append("user", "after the crash"), before["goal"] and thread.goal.accrue(tokens=1, now=0)


def _read_back(after: View, before: View, message: Any, accrued: Any) -> Iterator[str]:
    if (after["messages"], after["branch"]) != ([*before["messages"], message], [*before["branch"], message.id]):
        yield f"an append after it reads back as {after['messages']!r}, {after['branch']!r} behind {before!r}"
    goal = before["goal"]
    if goal and not after["goal"] == accrued == replace(goal, tokens_used=goal.tokens_used + 1):
        yield f"an accrual after it gives {accrued!r} and reads back as {after['goal']!r} behind {goal!r}"
    names = [one.checkpoint_id for one in before["checkpoints"]]
    if names and [one.checkpoint_id for one in after["checkpoints"]] != ["after", *names]:
        yield f"a checkpoint after it reads back as {after['checkpoints']!r} behind {before['checkpoints']!r}"
