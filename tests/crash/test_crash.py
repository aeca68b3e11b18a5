from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from crash_another import then_a_sync_fails, then_another
from crash_harness import Desk, Operation, Recording, problems, record
from crash_operations import OPERATIONS, STORE, append_more, named
from crash_scenes import conversation

from fsstore import SyncFailedError, codec
from fsstore.disk import fs
from fsstore.disk.log import Log
from fsstore.testing.crash_states import SHORT, State, kills, power_cuts
from fsstore.testing.trace import Sync, SyncDirectory

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name.replace(" ", "-"))
#: Whose line is torn at every byte in the short run too.
TORN_EVERYWHERE = ("append",)

#: Before each call of which a process dies in the short run too.
DEAD_EVERYWHERE = ("set another goal", "rename to the name of others", "delete checkpoint")


@pytest.fixture
def short(request: pytest.FixtureRequest, campaign: bool) -> int:
    return SHORT if campaign or request.getfixturevalue("operation").name in TORN_EVERYWHERE else 0


def cut(recording: Recording, **options: int):
    return power_cuts(recording.recorder.before, recording.recorder.calls, start=recording.start, **options)


Counted = Callable[[Iterable[State]], Iterator[State]]


@pytest.fixture
def counted(figures: Callable[[str], None]) -> Counted:
    """Say how many states were looked at."""

    def count(states: Iterable[State]) -> Iterator[State]:
        number = 0
        for number, state in enumerate(states, 1):  # noqa: B007  # it is said at the end
            yield state
        figures(f"crash states: {number:,} of 1 recordings")

    return count


@every_operation
def test_a_power_cut_leaves_before_or_after(operation: Operation, tmp_path: Path, seed: int, short: int, counted: Counted):
    recording = record(operation, tmp_path / "world")
    states = counted(cut(recording, short=short, seed=seed))
    assert list(problems(recording, states, tmp_path / "after")) == []


@every_operation
def test_a_death_leaves_before_or_after_though_nothing_was_synced(
    operation: Operation, tmp_path: Path, campaign: bool, counted: Counted
):
    recording = record(operation, tmp_path / "world", "process")
    states = kills(recording.recorder.before, recording.recorder.calls, start=recording.start, short=SHORT if campaign else 0)
    assert list(problems(recording, counted(states), tmp_path / "after")) == []


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if len(one.steps) == 1 and one not in STORE],
    ids=lambda one: one.name.replace(" ", "-"),
)
def test_a_power_cut_at_durability_process_harms_nothing_that_was_synced_before(
    operation: Operation, tmp_path: Path, seed: int, counted: Counted
):
    recording = record(operation, tmp_path / "world", "process")
    states = counted(cut(recording, short=0, seed=seed))
    assert list(problems(recording, states, tmp_path / "after", promises="nothing")) == []


@pytest.mark.parametrize(
    ("operation", "begun"),
    [
        pytest.param(one, begun, id=f"{one.name.replace(' ', '-')}-{'one-that-has-begun' if begun else 'the-next-one'}")
        for one in OPERATIONS
        for begun in (False, True)
        if one not in STORE or not begun
    ],
)
def test_what_a_dead_process_left_half_done_takes_nothing_from_another(
    operation: Operation, begun: bool, tmp_path: Path, seed: int, campaign: bool
):
    count = len(record(operation, tmp_path / "world").recorder.calls)
    every = campaign or operation.name in DEAD_EVERYWHERE
    deaths = range(count) if every else random.Random(seed).sample(range(count), min(count, 2))
    for dies_at in deaths:
        wrong = then_another(operation, tmp_path, seed, dies_at=dies_at, begun=begun)
        assert list(wrong) == [], f"the first process died before call {dies_at}"


@every_operation
def test_what_one_process_did_unsynced_takes_nothing_from_the_next_one(operation: Operation, tmp_path: Path, seed: int):
    assert list(then_another(operation, tmp_path, seed, durability="process")) == []


def test_what_is_acknowledged_after_a_failed_sync_survives_a_power_cut(tmp_path: Path, seed: int):
    def fails_once(desk: Desk) -> None:
        with pytest.raises(SyncFailedError):
            desk["t"].messages.append("user", "not confirmed")

    failures = iter((True,))
    again = Operation("append after a failed sync", (fails_once, append_more), conversation)
    recording = record(again, tmp_path / "world", fail=lambda call: next(failures, False))
    states = power_cuts(recording.recorder.before, recording.recorder.calls, start=recording.marks[-1], seed=seed)
    assert list(problems(recording, states, tmp_path / "after")) == []


def test_a_sync_tried_again_on_the_same_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Log, "_is_tainted", lambda log: False)
    failures = iter((True,))

    def tried_again(desk: Desk) -> None:
        with suppress(SyncFailedError):
            append_more(desk)
        append_more(desk)

    recording = record(
        Operation("append twice", (tried_again,), conversation), tmp_path / "world", fail=lambda call: next(failures, False)
    )
    assert next(problems(recording, cut(recording, short=0), tmp_path / "after"), None)


def test_a_missing_seal_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "SEAL", b"")
    recording = record(named("append"), tmp_path / "world")
    assert next(problems(recording, cut(recording), tmp_path / "after"), None)


def test_the_recorder_leaves_the_door_as_it_found_it(tmp_path: Path):
    before = dict(vars(fs))
    record(Operation("nothing", (lambda desk: None,), conversation), tmp_path / "world")
    assert dict(vars(fs)) == before


@every_operation
def test_a_sync_that_fails_is_told_and_takes_nothing_that_is_acknowledged(
    operation: Operation, tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    calls = record(operation, tmp_path / "world").recorder.calls
    syncs = range(sum(isinstance(call, Sync | SyncDirectory) for call in calls))
    chance = random.Random(f"{seed} {operation.name}")
    cases = [(number, same) for number in syncs for same in (False, True)]
    chosen = cases if campaign else chance.sample(cases, min(len(cases), 1))
    figures(f"a sync fails in an operation: {len(chosen):,} of {len(cases):,} cases")
    for number, same in chosen:
        wrong = then_a_sync_fails(operation, tmp_path, seed, number, same=same)
        assert list(wrong) == [], f"sync {number + 1} of {len(syncs)} failed"
