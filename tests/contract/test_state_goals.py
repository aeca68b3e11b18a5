"""Goals in `StateStore` (contract 2A, rows 11 to 15, part 0 first), and the behaviours (1), (2), (9), (15) to (17) of 3A."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import contract_children as children
import onroot
import pytest

from fsstore import (
    CorruptError,
    FormatError,
    InvalidNameError,
    LockTimeoutError,
    StateStore,
    Store,
    ThreadGoalRecord,
    ThreadGoalStatus,
    ThreadMetadata,
    ThreadNotFoundError,
    clock,
)

FULL = ThreadGoalRecord(
    thread_id="t",
    goal_id="goal-1",
    objective="Ship 1.0",
    status=ThreadGoalStatus.USAGE_LIMITED,
    token_budget=50_000,
    tokens_used=1_200,
    time_used_seconds=90,
    continuation_count=3,
    created_at=100,
    updated_at=150,
)


@pytest.fixture
def goal(state: StateStore, thread: str) -> ThreadGoalRecord:
    """A goal on which nothing was spent yet."""
    begun = ThreadGoalRecord(thread_id=thread, goal_id="g", objective="Ship", created_at=100, updated_at=100)
    state.upsert_thread_goal(begun)
    return begun


def goal_of(state: StateStore, thread: str = "t") -> ThreadGoalRecord:
    found = state.get_thread_goal(thread)
    assert found is not None
    return found


def spent(found: ThreadGoalRecord | None) -> tuple[int, int, int, int]:
    assert found is not None
    return found.tokens_used, found.time_used_seconds, found.continuation_count, found.updated_at


def ledger(root: Path) -> Path:
    return onroot.in_thread(root, "t", "usage.jsonl")


def document(root: Path) -> Path:
    return onroot.in_thread(root, "t", "goal.json")


# upsert_thread_goal, get_thread_goal


def test_a_goal_of_a_thread_alone_takes_defaults(state: StateStore, thread: str) -> None:
    before = int(time.time())
    state.upsert_thread_goal(ThreadGoalRecord(thread_id=thread))
    found = goal_of(state)
    assert (found.objective, found.status, found.token_budget, found.extra) == ("", ThreadGoalStatus.ACTIVE, None, {})
    assert spent(found)[:3] == (0, 0, 0)
    assert clock.is_id(found.goal_id)
    assert before <= found.created_at <= found.updated_at <= time.time()


def test_a_thread_has_one_goal_and_another_threads_stays(state: StateStore, goal: ThreadGoalRecord) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    state.upsert_thread_goal(dataclasses.replace(FULL, thread_id="other"))
    state.upsert_thread_goal(dataclasses.replace(goal, goal_id="second", tokens_used=7))
    assert goal_of(state) == dataclasses.replace(goal, goal_id="second", tokens_used=7)
    assert goal_of(state, "other") == dataclasses.replace(FULL, thread_id="other")


def test_no_goal_is_none(state: StateStore, thread: str) -> None:
    assert (state.get_thread_goal(thread), state.get_thread_goal("missing")) == (None, None)


def test_an_upsert_with_no_created_at_keeps_the_old_one(state: StateStore, goal: ThreadGoalRecord) -> None:
    state.upsert_thread_goal(ThreadGoalRecord(thread_id="t", goal_id="g", objective="Ship more"))
    found = goal_of(state)
    assert (found.objective, found.created_at) == ("Ship more", goal.created_at)
    assert found.updated_at > goal.updated_at


@pytest.mark.parametrize("status", ThreadGoalStatus)
def test_every_status_comes_back_as_the_enum_given_as_such_or_as_text(
    state: StateStore, thread: str, status: ThreadGoalStatus
) -> None:
    for given in (status, status.value):
        state.upsert_thread_goal(ThreadGoalRecord(thread_id=thread, status=given))
        assert goal_of(state).status is status


def test_a_goal_outlives_the_process_and_what_is_done_to_its_thread(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    state.record_thread_goal_usage("t", 5, 1, 200)
    shown = goal_of(state)
    state.append_message("t", "user", "hi")
    state.clear_messages("t")
    state.upsert_thread(ThreadMetadata(id="t", name="renamed"))
    state.mark_archived("t")
    assert goal_of(state) == goal_of(StateStore.open(root)) == shown


def test_keys_that_no_field_knows_are_kept_by_every_write(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_thread_goal(dataclasses.replace(FULL, extra={"mine": {"deep": [1, None]}}))
    onroot.edit(document(root), lambda fields: fields.update(theirs="kept"))
    state.upsert_thread_goal(dataclasses.replace(FULL, objective="other"))
    state.record_thread_goal_usage(thread, 1, 1, 1)
    state.record_thread_goal_continuation(thread, 1)
    assert goal_of(state).extra == {"mine": {"deep": [1, None]}, "theirs": "kept"}


@pytest.mark.parametrize("key", ["id", "base", "versions", "deleted", "tokens_used"])
def test_extra_keys_that_cannot_be_kept_are_refused(state: StateStore, goal: ThreadGoalRecord, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        state.upsert_thread_goal(dataclasses.replace(goal, extra={key: 1}))
    assert goal_of(state) == goal


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_what_json_cannot_hold_is_refused_before_anything_changes(
    state: StateStore, root: Path, thread: str, value: object
) -> None:
    before = onroot.snapshot(root)
    for wrong in ({"extra": {"value": value}}, {"objective": value if isinstance(value, str) else [value]}):
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            state.upsert_thread_goal(dataclasses.replace(FULL, **wrong))
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize(
    "wrong",
    [
        *({"tokens_used": "many"}, {"tokens_used": 1.5}, {"time_used_seconds": None}, {"continuation_count": True}),
        *({"token_budget": "all"}, {"updated_at": None}, {"created_at": "now"}, {"tokens_used": 2**64}),
        *({"status": "dreaming"}, {"status": None}, {"thread_id": "other"}),
    ],
    ids=repr,
)
def test_a_goal_that_could_not_be_read_again_is_refused(state: StateStore, root: Path, thread: str, wrong: object) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    with Store.open(root) as store, pytest.raises(ValueError, match=r"(?i)integer|status|other"):
        store.thread(thread).goal.put(dataclasses.replace(FULL, **wrong))  # type: ignore[arg-type]
    assert (state.get_thread_goal(thread), state.get_thread_goal("other")) == (None, None)


@pytest.mark.damaged
@pytest.mark.parametrize("data", onroot.CORRUPT.values(), ids=onroot.CORRUPT)
def test_a_corrupt_goal_is_an_error_everywhere_and_is_never_written_over(
    state: StateStore, root: Path, goal: ThreadGoalRecord, data: bytes
) -> None:
    document(root).write_bytes(data)
    calls = (
        lambda: state.get_thread_goal("t"),
        lambda: state.upsert_thread_goal(goal),
        lambda: state.record_thread_goal_usage("t", 1, 1, 1),
        lambda: state.record_thread_goal_continuation("t", 1),
    )
    for call in calls:
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(document(root))
        assert raised.value.reason
    assert document(root).read_bytes() == data
    assert not ledger(root).exists()
    assert [(problem.kind, problem.path) for problem in Store.open(root).check()] == [("corrupt", "threads/t/goal.json")]


@pytest.mark.damaged
@pytest.mark.parametrize(
    "change",
    [
        *({"base": None}, {"base": {}}, {"base": []}, {"base": {"epoch": 1, "tokens_used": 0}}, {"updated_at": "then"}),
        {"base": {"epoch": "e", "tokens_used": "5", "time_used_seconds": 0, "continuation_count": 0}},
    ],
    ids=repr,
)
def test_a_goal_whose_sums_or_time_are_none_is_corrupt(
    state: StateStore, root: Path, goal: ThreadGoalRecord, change: dict[str, object]
) -> None:
    onroot.edit(document(root), lambda fields: fields.update(change))
    before = document(root).read_bytes()
    for call in (state.get_thread_goal, lambda thread: state.record_thread_goal_usage(thread, 1, 1, 1)):
        with pytest.raises(CorruptError):
            call("t")
    with pytest.raises(CorruptError):
        state.upsert_thread_goal(goal)
    assert document(root).read_bytes() == before


def test_a_corrupt_goal_can_be_deleted_and_a_new_one_begun(state: StateStore, root: Path, goal: ThreadGoalRecord) -> None:
    document(root).write_bytes(b"{")
    assert state.delete_thread_goal("t") is True
    assert state.get_thread_goal("t") is None
    assert [path.read_bytes() for path in root.glob(".fsstore/trash/*/threads/t/goal.json")] == [b"{"]
    state.upsert_thread_goal(goal)
    assert goal_of(state) == goal


def test_a_refusal_of_the_system_is_never_taken_for_no_goal(
    state: StateStore, goal: ThreadGoalRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    onroot.refuse_to_open(monkeypatch, "goal.json")
    calls = (
        lambda: state.get_thread_goal("t"),
        lambda: state.upsert_thread_goal(goal),
        lambda: state.record_thread_goal_usage("t", 1, 1, 1),
        lambda: state.record_thread_goal_continuation("t", 1),
        lambda: state.delete_thread_goal("t"),
    )
    for call in calls:
        with pytest.raises(PermissionError):
            call()
    monkeypatch.undo()
    assert goal_of(state) == goal


def test_a_ledger_that_cannot_be_read_is_an_error_and_not_an_empty_one(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    state.record_thread_goal_usage("t", 5, 5, 200)
    kept = ledger(root).read_bytes()
    ledger(root).unlink()
    ledger(root).mkdir()
    for call in (state.get_thread_goal, lambda thread: state.record_thread_goal_usage(thread, 1, 1, 1)):
        with pytest.raises(IsADirectoryError):
            call("t")
    ledger(root).rmdir()
    ledger(root).write_bytes(kept)
    assert spent(goal_of(state)) == (5, 5, 0, 200)


@pytest.mark.parametrize("id", ["", "x" * 1001, "half \ud800"])
def test_an_id_that_cannot_be_kept_is_a_value_error(state: StateStore, root: Path, id: str) -> None:
    before = onroot.snapshot(root)
    calls = (
        lambda: state.upsert_thread_goal(ThreadGoalRecord(thread_id=id)),
        lambda: state.get_thread_goal(id),
        lambda: state.delete_thread_goal(id),
        lambda: state.record_thread_goal_usage(id, 1, 1, 1),
    )
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert onroot.snapshot(root) == before


# record_thread_goal_usage, record_thread_goal_continuation


def test_an_accrual_adds_and_leaves_every_other_field(state: StateStore, thread: str) -> None:
    state.upsert_thread_goal(dataclasses.replace(FULL, extra={"kept": 1}))
    expected = dataclasses.replace(FULL, tokens_used=1_210, time_used_seconds=95, updated_at=160, extra={"kept": 1})
    assert state.record_thread_goal_usage(thread, 10, 5, 160) == goal_of(state) == expected
    expected = dataclasses.replace(expected, continuation_count=4, updated_at=170)
    assert state.record_thread_goal_continuation(thread, 170) == goal_of(state) == expected


def test_a_first_accrual_of_an_earlier_time_leaves_the_time(state: StateStore, goal: ThreadGoalRecord) -> None:
    assert spent(state.record_thread_goal_usage("t", 5, 1, 50)) == spent(goal_of(state)) == (5, 1, 0, 100)


def test_negative_deltas_take_back(state: StateStore, goal: ThreadGoalRecord) -> None:
    state.record_thread_goal_usage("t", 100, 10, 110)
    assert spent(state.record_thread_goal_usage("t", -150, -4, 120)) == (-50, 6, 0, 120)


def test_an_accrual_of_nothing_still_tells_the_time(state: StateStore, goal: ThreadGoalRecord) -> None:
    assert spent(state.record_thread_goal_usage("t", 0, 0, 300)) == spent(goal_of(state)) == (0, 0, 0, 300)


def test_an_accrual_is_one_line_of_the_ledger_and_touches_no_document(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    before = onroot.snapshot(root / "threads")
    state.record_thread_goal_usage("t", 3, 2, 200)
    state.record_thread_goal_continuation("t", 201)
    after = onroot.snapshot(root / "threads")
    assert {name for name in after if after[name] != before.get(name)} == {"t/usage.jsonl"}
    usage, continuation = onroot.rows(ledger(root))
    assert (usage["type"], usage["tokens"], usage["seconds"], usage["at"]) == ("goal", 3, 2, 200)
    assert (continuation["type"], continuation["continuations"], continuation["at"]) == ("goal", 1, 201)
    assert usage["epoch"] == continuation["epoch"]
    assert str(usage["id"]) < str(continuation["id"])


def test_accruals_of_several_stores_add_up(state: StateStore, root: Path, goal: ThreadGoalRecord) -> None:
    with StateStore.open(root) as second:
        for number in range(1, 11):
            for opened in (state, second):
                assert spent(opened.record_thread_goal_usage("t", number, 1, 100 + number))[1] in (2 * number, 2 * number - 1)
        assert goal_of(second) == goal_of(state)
    assert spent(goal_of(state)) == (110, 20, 0, 110)


@pytest.mark.parametrize("wrong", [1.5, "5", None, True, 2**64, -(2**63) - 1], ids=repr)
def test_an_accrual_that_is_no_integer_is_refused_and_writes_nothing(
    state: StateStore, root: Path, goal: ThreadGoalRecord, wrong: object
) -> None:
    before = onroot.snapshot(root)
    calls = [
        lambda: state.record_thread_goal_usage("t", wrong, 1, 1),  # type: ignore[arg-type]
        lambda: state.record_thread_goal_usage("t", 1, wrong, 1),  # type: ignore[arg-type]
    ]
    if wrong is not None:  # no time is now
        calls += [
            lambda: state.record_thread_goal_usage("t", 1, 1, wrong),  # type: ignore[arg-type]
            lambda: state.record_thread_goal_continuation("t", wrong),  # type: ignore[arg-type]
        ]
    for call in calls:
        with pytest.raises(ValueError, match=r"integer|JSON"):
            call()
    assert onroot.snapshot(root) == before


def test_a_time_taken_from_a_record_is_a_time(state: StateStore, goal: ThreadGoalRecord) -> None:
    now = ThreadGoalRecord(thread_id="t").updated_at
    assert spent(state.record_thread_goal_usage("t", 1, 1, now)) == (1, 1, 0, now)


def test_an_upsert_of_what_is_shown_goes_on_with_the_ledger(state: StateStore, root: Path, goal: ThreadGoalRecord) -> None:
    state.record_thread_goal_usage("t", 10, 1, 200)
    state.upsert_thread_goal(dataclasses.replace(goal_of(state), status=ThreadGoalStatus.PAUSED, updated_at=210))
    assert spent(state.record_thread_goal_usage("t", 5, 1, 220)) == (15, 2, 0, 220)
    first, second = onroot.rows(ledger(root))
    assert first["epoch"] == second["epoch"]


@pytest.mark.parametrize("other", [{"tokens_used": 4}, {"goal_id": "another"}, {"continuation_count": 1}], ids=repr)
def test_an_upsert_of_other_sums_or_of_another_goal_begins_anew_from_its_own(
    state: StateStore, root: Path, goal: ThreadGoalRecord, other: dict[str, object]
) -> None:
    state.record_thread_goal_usage("t", 10, 1, 200)
    given = dataclasses.replace(goal_of(state), **other)  # type: ignore[arg-type]
    state.upsert_thread_goal(given)
    assert goal_of(state) == goal_of(StateStore.open(root)) == given
    state.record_thread_goal_usage("t", 5, 0, 210)
    assert goal_of(state).tokens_used == given.tokens_used + 5
    first, second = onroot.rows(ledger(root))
    assert first["epoch"] != second["epoch"]


def test_an_upsert_of_what_was_shown_before_an_accrual_counts_as_it_was_given(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    shown = goal_of(state)
    StateStore.open(root).record_thread_goal_usage("t", 10, 1, 200)
    state.upsert_thread_goal(dataclasses.replace(shown, updated_at=300))
    assert spent(goal_of(state)) == (0, 0, 0, 300)


def test_updated_at_is_never_behind_the_accruals_that_are_shown(state: StateStore, goal: ThreadGoalRecord) -> None:
    state.record_thread_goal_usage("t", 10, 1, 200)
    state.upsert_thread_goal(dataclasses.replace(goal_of(state), updated_at=150))
    assert spent(goal_of(state)) == (10, 1, 0, 200)


@pytest.mark.damaged
def test_a_torn_line_of_the_ledger_hides_no_accrual_before_or_after_it(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    for number in (1, 10, 100):
        state.record_thread_goal_usage("t", number, 1, 200)
    lines = ledger(root).read_bytes().splitlines(keepends=True)
    ledger(root).write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2])
    assert spent(goal_of(state)) == (101, 2, 0, 200)
    assert spent(state.record_thread_goal_usage("t", 1_000, 1, 300)) == (1_101, 3, 0, 300)
    assert [problem.kind for problem in Store.open(root).check()] == ["torn"]


@pytest.mark.damaged
def test_records_of_a_later_version_are_passed_over_or_stop_the_reading(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    state.record_thread_goal_usage("t", 1, 1, 200)
    first = ledger(root).read_text()
    later = f'{{"id":"{clock.new_id()}","type":"cost","usd":1}}\n'
    ledger(root).write_text(first + later)
    assert spent(state.record_thread_goal_usage("t", 1, 1, 200)) == (2, 2, 0, 200)
    assert later in ledger(root).read_text()
    ledger(root).write_text(first + later.replace("cost", "!cost"))
    kept = ledger(root).read_bytes()
    for call in (state.get_thread_goal, lambda thread: state.record_thread_goal_usage(thread, 1, 1, 1)):
        with pytest.raises(FormatError, match="!cost"):
            call("t")
    assert ledger(root).read_bytes() == kept


# Beside others


def test_a_goal_is_read_without_a_lock_and_written_under_the_threads(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    with children.holding(root, "t"), StateStore.open(root, lock_timeout=0) as other:
        assert goal_of(other) == goal
        calls = (
            lambda: other.upsert_thread_goal(goal),
            lambda: other.record_thread_goal_usage("t", 1, 1, 1),
            lambda: other.delete_thread_goal("t"),
        )
        for call in calls:
            with pytest.raises(LockTimeoutError):
                call()
    assert goal_of(state) == goal


def test_reading_a_goal_changes_nothing(state: StateStore, root: Path, goal: ThreadGoalRecord) -> None:
    state.record_thread_goal_usage("t", 1, 1, 200)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    before = onroot.snapshot(root)
    assert spent(goal_of(StateStore.open(root)))[0] == 1
    assert onroot.snapshot(root) == before
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


# delete_thread_goal, and threads that are not there


def test_delete_says_whether_there_was_a_goal_and_keeps_a_copy(state: StateStore, root: Path, goal: ThreadGoalRecord) -> None:
    before = document(root).read_bytes()
    found = (state.delete_thread_goal("missing"), state.delete_thread_goal("t"), state.delete_thread_goal("t"))
    assert found == (False, True, False)
    assert [path.read_bytes() for path in root.glob(".fsstore/trash/*/threads/t/goal.json")] == [before]


def test_what_was_spent_on_a_deleted_goal_counts_for_no_later_one(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    state.record_thread_goal_usage("t", 10, 10, 200)
    state.delete_thread_goal("t")
    assert state.record_thread_goal_usage("t", 1, 1, 300) is None
    assert state.record_thread_goal_continuation("t", 300) is None
    state.upsert_thread_goal(goal)
    assert goal_of(state) == goal_of(StateStore.open(root)) == goal
    assert spent(state.record_thread_goal_usage("t", 1, 1, 300)) == (1, 1, 0, 300)
    assert len(onroot.rows(ledger(root))) == 2


def test_a_deleted_thread_has_no_goal_and_none_when_it_begins_anew(
    state: StateStore, root: Path, goal: ThreadGoalRecord
) -> None:
    state.record_thread_goal_usage("t", 10, 10, 200)
    state.delete_thread("t")
    before = onroot.snapshot(root)
    assert state.get_thread_goal("t") is None
    assert state.record_thread_goal_usage("t", 1, 1, 1) is None
    assert state.record_thread_goal_continuation("t", 1) is None
    assert state.delete_thread_goal("t") is False
    with pytest.raises(ThreadNotFoundError):
        state.upsert_thread_goal(goal)
    assert onroot.snapshot(root) == before
    state.upsert_thread(ThreadMetadata(id="t"))
    assert state.get_thread_goal("t") is None
    state.upsert_thread_goal(goal)
    assert spent(state.record_thread_goal_usage("t", 1, 1, 300)) == (1, 1, 0, 300)


# Contract 3A


def test_3a_01_an_upsert_replaces_the_whole_goal_and_a_deletion_leaves_none(state: StateStore, root: Path, thread: str) -> None:
    assert len(dataclasses.fields(ThreadGoalRecord)) == 10 + 1  # the contract's, and `extra`
    state.upsert_thread_goal(FULL)
    assert goal_of(state) == goal_of(StateStore.open(root)) == FULL
    second = ThreadGoalRecord(
        thread_id=thread,
        goal_id="goal-2",
        objective="Rest",
        status=ThreadGoalStatus.COMPLETE,
        token_budget=None,
        tokens_used=1,
        time_used_seconds=2,
        continuation_count=0,
        created_at=7,
        updated_at=8,
    )
    state.upsert_thread_goal(second)
    assert goal_of(state) == goal_of(StateStore.open(root)) == second
    assert state.delete_thread_goal(thread) is True
    assert state.get_thread_goal(thread) is None
    assert state.delete_thread_goal(thread) is False


def test_3a_02_a_goal_of_a_missing_thread_is_an_error_that_names_it(state: StateStore, root: Path) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(ThreadNotFoundError, match="thread missing-thread not found"):
        state.upsert_thread_goal(dataclasses.replace(FULL, thread_id="missing-thread"))
    assert onroot.snapshot(root) == before


@pytest.mark.damaged
@pytest.mark.parametrize("status", ["dreaming", "ACTIVE", "", None, 5])
def test_3a_09_a_goal_of_unknown_status_reads_as_paused_and_keeps_it(
    state: StateStore, root: Path, goal: ThreadGoalRecord, status: object
) -> None:
    onroot.edit(document(root), lambda fields: fields.update(status=status))
    assert goal_of(state).status is ThreadGoalStatus.PAUSED
    found = state.record_thread_goal_usage("t", 1, 1, 200)
    assert found is not None
    assert found.status is ThreadGoalStatus.PAUSED
    assert [problem.kind for problem in Store.open(root).check()] == ["unknown-value"]
    state.upsert_thread_goal(dataclasses.replace(found, objective="resume"))
    assert Store.open(root).thread("t").goal.get() == goal_of(state) == dataclasses.replace(found, objective="resume")
    kept: list[object] = []
    onroot.edit(document(root), lambda fields: kept.append(fields["status"]))
    assert kept == [status]  # unless somebody says another
    state.upsert_thread_goal(dataclasses.replace(found, status=ThreadGoalStatus.ACTIVE))
    assert goal_of(state).status is ThreadGoalStatus.ACTIVE


def test_3a_15_usage_adds_up_and_a_stale_now_never_moves_updated_at_back(state: StateStore, root: Path, thread: str) -> None:
    begun = dataclasses.replace(FULL, tokens_used=0, time_used_seconds=0, continuation_count=0, updated_at=100)
    state.upsert_thread_goal(begun)
    state.record_thread_goal_usage(thread, 250, 12, 150)
    expected = dataclasses.replace(begun, tokens_used=325, time_used_seconds=20, updated_at=200)
    assert state.record_thread_goal_usage(thread, 75, 8, 200) == expected
    assert state.record_thread_goal_usage(thread, 0, 0, 1) == expected
    assert goal_of(state) == goal_of(StateStore.open(root)) == expected


def test_3a_16_usage_without_a_goal_is_none_and_creates_nothing(state: StateStore, root: Path, thread: str) -> None:
    before = onroot.snapshot(root)
    for id in (thread, "missing"):
        assert state.record_thread_goal_usage(id, 5, 5, 200) is None
        assert state.record_thread_goal_continuation(id, 200) is None
    assert onroot.snapshot(root) == before


def test_3a_17_continuations_count_and_a_stale_now_keeps_the_time(state: StateStore, root: Path, thread: str) -> None:
    begun = dataclasses.replace(FULL, continuation_count=0, updated_at=100)
    state.upsert_thread_goal(begun)
    first = dataclasses.replace(begun, continuation_count=1, updated_at=120)
    assert state.record_thread_goal_continuation(thread, 120) == first
    second = dataclasses.replace(first, continuation_count=2)
    assert state.record_thread_goal_continuation(thread, 1) == second
    assert goal_of(state) == goal_of(StateStore.open(root)) == second
