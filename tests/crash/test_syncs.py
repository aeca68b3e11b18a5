"""A store with one kind of sync taken out is caught: the crash test can see, and no sync is there for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from crash_harness import Desk, Operation, no_sync, problems, record
from crash_operations import OPERATIONS, named, restore
from crash_scenes import conversation, placeless, thread
from data_operations import ANSWERS, session
from sync_kinds import NEEDED, NEEDED_AFTER_ANOTHER, SPARE, Kinds

from fsstore import RewindEntry, Store
from fsstore.disk import fs
from fsstore.testing.crash_states import power_cuts
from fsstore.testing.trace import Killed


def unsynced(do: Any) -> Any:
    """A step of another process, which does not sync."""

    def step(desk: Desk) -> None:
        other = Desk(desk.root, "process")
        do(other)
        other.store.close()

    return step


def push(desk: Desk) -> None:
    session(desk).rewinds.push(RewindEntry(prompt="Why?", history_lengths={"a": 0}))


def dying_in_a_deletion(desk: Desk) -> None:
    def die(fd: int) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(fs, "sync", die)
        desk["t"].delete()


def append_while_another_deletes(desk: Desk) -> None:
    """The first append to a thread, synced, but not yet told as done."""
    other = Desk(desk.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fs, "sync", after(fs.sync, lambda: (patch.undo(), other["t"].delete())))
        desk["t"].messages.append("user", "goes along")
    other.store.close()


def after(real: Callable[[int], None], do: Callable[[], object]) -> Callable[[int], None]:
    def call(fd: int) -> None:
        real(fd)
        do()

    return call


AFTER_ANOTHER = [
    Operation(
        "append to a thread that was not synced",
        (unsynced(thread), lambda desk: desk["t"].messages.append("user", "synced")),
    ),
    Operation(
        "spend on a goal that was not synced",
        (
            lambda desk: desk["t"].goal.usage.accrue_cost("m", 1.0),
            unsynced(lambda desk: desk["t"].goal.set("Ship 1.0")),
            lambda desk: desk["t"].goal.accrue(tokens=5),
        ),
        thread,
    ),
    Operation(
        "rewind a session that was not synced",
        (
            push,
            unsynced(lambda desk: session(desk).histories.append(["a"], ANSWERS, "Why?")),
            lambda desk: session(desk).rewinds.rewind(),
        ),
    ),
    Operation(
        "compact a thread that was not synced",
        (
            unsynced(conversation),
            unsynced(lambda desk: desk["t"].messages.remove_last()),
            lambda desk: desk["t"].messages.compact(),
        ),
    ),
    Operation("restore a job without a sync where its directory is gone", (unsynced(restore("job")),), placeless),
    Operation("delete a thread while another appends", (append_while_another_deletes,), thread),
    Operation("finish a deletion that was not synced", (dying_in_a_deletion, lambda desk: Store.open(desk.root)), conversation),
]


def wrong(operation: Operation, tmp_path: Path, left_out: str | None, *, at_the_end: bool) -> Iterator[str]:
    """What the crash test finds where a kind of sync is left out."""
    kinds = Kinds()
    recording = record(operation, tmp_path / "world", leave_out=lambda call: kinds.of(call) == left_out)
    recorder, start = recording.recorder, recording.marks[-1] if at_the_end else recording.start
    states = list(power_cuts(recorder.before, recorder.calls, start=start, short=0))
    while states:  # the last ones first, some at a time: what is missing is missing from there on
        some = [states.pop() for _ in range(min(len(states), 40))]
        yield from problems(recording, some, tmp_path / "after")


@pytest.mark.parametrize(("kind", "name"), NEEDED.items())
def test_a_kind_of_sync_left_out_is_seen(kind: str, name: str, tmp_path: Path):
    assert next(wrong(named(name), tmp_path, kind, at_the_end=False), None)


@pytest.mark.parametrize(("kind", "name"), NEEDED_AFTER_ANOTHER.items())
def test_a_kind_of_sync_left_out_after_somebody_who_did_not_is_seen(kind: str, name: str, tmp_path: Path):
    operation = next(one for one in AFTER_ANOTHER if one.name == name)
    assert next(wrong(operation, tmp_path, kind, at_the_end=True), None)


@pytest.mark.parametrize("operation", AFTER_ANOTHER, ids=lambda one: one.name.replace(" ", "-"))
def test_who_syncs_after_somebody_who_did_not_has_it_all(operation: Operation, tmp_path: Path):
    assert list(wrong(operation, tmp_path, None, at_the_end=True)) == []


def test_every_kind_of_sync_is_known(tmp_path: Path):
    kinds, seen = Kinds(), set()
    for number, operation in enumerate([*OPERATIONS, *AFTER_ANOTHER]):
        (tmp_path / str(number)).mkdir()
        with no_sync():
            record(operation, tmp_path / str(number) / "world", leave_out=lambda call: bool(seen.add(kinds.of(call))))
    assert seen == {*NEEDED, *NEEDED_AFTER_ANOTHER, *SPARE}
