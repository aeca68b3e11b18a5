from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import children
import faults
import pytest
from processes import start

from fsstore import (
    CorruptError,
    NotFoundError,
    ReadOnlyError,
    Store,
    ThreadGoalRecord,
    ThreadGoalStatus,
    ThreadNotFoundError,
    clock,
)
from fsstore.resources.goal import Goal


@pytest.fixture
def goal(store: Store) -> Goal:
    return store.threads.create("t").goal


def on_disk(goal: Goal) -> dict[str, Any]:
    return json.loads(Path(goal._path).read_text())


def edit(goal: Goal, **changes: Any) -> None:
    Path(goal._path).write_text(json.dumps({**on_disk(goal), **changes}, indent=2, sort_keys=True) + "\n")


def fresh(goal: Goal) -> ThreadGoalRecord | None:
    """Give the goal as another process would see it."""
    with Store.open(goal._place.root.path, read_only=True) as other:
        return other.thread("t").goal.get()


# set, put, update


def test_a_goal_that_was_set_is_there_with_what_was_given(goal: Goal):
    given = goal.set("Ship 1.0", token_budget=50_000, status="blocked", extra={"priority": "high"})
    assert goal.get() == fresh(goal) == given
    assert (given.objective, given.token_budget, given.status) == ("Ship 1.0", 50_000, ThreadGoalStatus.BLOCKED)
    assert given.extra == {"priority": "high"}
    assert given.created_at == given.updated_at


def test_setting_a_goal_begins_another_one(goal: Goal):
    first = goal.set("Ship")
    goal.accrue(tokens=5)
    second = goal.set("Rest")
    assert second.goal_id != first.goal_id
    assert goal.get() == second
    assert second.tokens_used == 0
    assert goal.accrue(tokens=1).tokens_used == 1


def test_what_stands_on_disk_is_the_goal_as_it_was_when_its_epoch_began(goal: Goal):
    goal.set("Ship", goal_id="g", tokens_used=3, created_at=1, updated_at=2)
    goal.accrue(tokens=10, seconds=5, now=9)
    said = on_disk(goal)
    versions, base = said.pop("versions"), said.pop("base")
    assert said == {"id": "t", "goal_id": "g", "objective": "Ship", "status": "active", "created_at": 1, "updated_at": 2}
    epoch = base.pop("epoch")
    assert base == {"tokens_used": 3, "time_used_seconds": 0, "continuation_count": 0}
    assert clock.is_id(epoch)
    assert set(versions) == {"", "id"}
    assert [json.loads(line)["epoch"] for line in Path(goal.usage.path).read_bytes().splitlines()] == [epoch]
    assert goal.get().tokens_used == 13


def test_only_what_changed_gets_a_version(goal: Goal):
    goal.set("Ship")
    goal.update(status="paused", updated_at=goal.get().updated_at)
    assert set(on_disk(goal)["versions"]) == {"", "id", "status"}
    goal.accrue(tokens=1, now=1)
    goal.update(objective="Ship it", updated_at=goal.get().updated_at)
    assert set(on_disk(goal)["versions"]) == {"", "id", "status", "objective"}  # the base is what it was


def test_an_update_changes_what_it_names_and_tells_the_time(goal: Goal):
    goal.set("Ship", token_budget=5, created_at=1, updated_at=2, extra={"note": "kept"})
    goal.accrue(tokens=10, now=3)
    updated = goal.update(objective="Ship more", status=ThreadGoalStatus.COMPLETE)
    assert updated == goal.get() == fresh(goal)
    assert (updated.objective, updated.status, updated.token_budget) == ("Ship more", ThreadGoalStatus.COMPLETE, 5)
    assert (updated.created_at, updated.tokens_used, updated.extra) == (1, 10, {"note": "kept"})
    assert updated.updated_at >= clock.now() - 5
    assert goal.update(token_budget=None).token_budget is None


def test_an_update_never_moves_the_time_back_unless_it_is_told_to(goal: Goal):
    later = clock.now() + 1_000
    goal.set("Ship", updated_at=later)
    assert goal.update(objective="x").updated_at == later
    assert goal.update(updated_at=5).updated_at == goal.get().updated_at == 5


def test_an_update_of_what_was_spent_begins_anew_from_there(goal: Goal):
    goal.set("Ship")
    goal.accrue(tokens=10)
    first = on_disk(goal)["base"]["epoch"]
    assert goal.update(tokens_used=4).tokens_used == goal.get().tokens_used == 4
    assert on_disk(goal)["base"]["epoch"] > first
    assert goal.accrue(tokens=1).tokens_used == 5


@pytest.mark.parametrize(
    "wrong",
    [
        *({"tokens_used": "5"}, {"updated_at": None}, {"status": "dreaming"}, {"status": None}, {"token_budget": 1.5}),
        *({"thread_id": "other"}, {"base": {}}, {"id": "other"}, {"versions": {}}, {"note": float("nan")}),
    ],
    ids=repr,
)
def test_an_update_that_could_not_be_read_again_is_refused(goal: Goal, wrong: dict[str, Any]):
    given = goal.set("Ship")
    before = Path(goal._path).read_bytes()
    with pytest.raises(ValueError, match=r"integer|status|thread|extra|JSON"):
        goal.update(**wrong)
    assert Path(goal._path).read_bytes() == before
    assert goal.get() == given


@pytest.mark.damaged
def test_an_unknown_status_outlives_an_update_of_something_else(goal: Goal):
    goal.set("Ship")
    edit(goal, status="dreaming")
    assert goal.update(objective="Dream").status is ThreadGoalStatus.PAUSED
    assert (on_disk(goal)["status"], "status" in on_disk(goal)["versions"]) == ("dreaming", False)
    assert goal.update(status="active").status is ThreadGoalStatus.ACTIVE
    assert on_disk(goal)["status"] == "active"


def test_there_is_nothing_to_update_without_a_goal_or_a_thread(store: Store, goal: Goal):
    with pytest.raises(NotFoundError, match="goal of thread t"):
        goal.update(objective="x")
    for call in (lambda missing: missing.update(objective="x"), lambda missing: missing.set("x")):
        with pytest.raises(ThreadNotFoundError):
            call(store.thread("missing").goal)
    assert not Path(goal._path).exists()
    assert not Path(store.thread("missing").directory).exists()


def test_a_goal_of_another_thread_is_refused(goal: Goal):
    with pytest.raises(ValueError, match="other"):
        goal.put(ThreadGoalRecord(thread_id="other"))
    assert goal.get() is None


# insert: where there never was a goal


def test_an_inserted_goal_goes_on_from_its_sums(goal: Goal):
    version = clock.new_id()
    given = ThreadGoalRecord(thread_id="t", tokens_used=7, created_at=1, updated_at=2)
    assert goal.insert(given, version) is True
    assert on_disk(goal)["versions"] == {"": version, "id": version}
    assert on_disk(goal)["base"]["epoch"] == version
    assert goal.accrue(tokens=1, now=5).tokens_used == 8
    assert goal.insert(given, version) is False
    assert goal.get().tokens_used == 8


def test_a_deleted_goal_is_not_inserted_again(goal: Goal):
    goal.set("Ship")
    goal.delete()
    assert goal.insert(ThreadGoalRecord(thread_id="t"), clock.new_id()) is False
    assert goal.get() is None


# accrue, note_continuation


def test_an_accrual_gives_the_goal_after_it(goal: Goal):
    goal.set("Ship", updated_at=1)
    before = clock.now()
    first = goal.accrue(tokens=5, seconds=2)
    assert first == goal.get() == fresh(goal)
    assert (first.tokens_used, first.time_used_seconds, first.continuation_count) == (5, 2, 0)
    assert before <= first.updated_at <= clock.now()
    assert goal.note_continuation(now=1) == dataclasses.replace(first, continuation_count=1)


def test_without_a_goal_no_ledger_is_begun(store: Store, goal: Goal):
    for missing in (goal, store.thread("missing").goal):
        assert missing.accrue(tokens=5) is None
        assert missing.note_continuation() is None
        assert not Path(missing.usage.path).exists()


def test_an_accrual_that_meets_a_deletion_under_the_lock_writes_nothing(goal: Goal, monkeypatch: pytest.MonkeyPatch):
    goal.set("Ship")
    goal.accrue(tokens=1)
    before = Path(goal.usage.path).read_bytes()

    def delete_first(*args: Any) -> Any:
        with Store.open(goal._place.root.path) as other:
            other.thread("t").goal.delete()
        return real(*args)

    real = goal.usage.accrue
    monkeypatch.setattr(type(goal.usage), "accrue", lambda self, *args: delete_first(*args))
    assert goal.accrue(tokens=5) is None
    assert Path(goal.usage.path).read_bytes() == before


def test_a_failed_accrual_counts_nothing_and_the_next_one_counts(goal: Goal, monkeypatch: pytest.MonkeyPatch):
    goal.set("Ship")
    goal.accrue(tokens=1)
    for call in ("write", "read_at"):
        with monkeypatch.context() as context:
            faults.fail_once(context, call)
            with pytest.raises(OSError, match="Input/output"):
                goal.accrue(tokens=10)
        assert goal.get().tokens_used == fresh(goal).tokens_used == 1
    assert goal.accrue(tokens=100).tokens_used == fresh(goal).tokens_used == 101


def test_a_goal_is_read_and_not_written_in_a_read_only_store(store: Store, goal: Goal):
    goal.set("Ship")
    with Store.open(store.root, read_only=True) as reader:
        theirs = reader.thread("t").goal
        assert theirs.get() == goal.get()
        for call in (
            lambda: theirs.set("x"),
            lambda: theirs.accrue(tokens=1),
            theirs.delete,
            lambda: theirs.update(status="paused"),
        ):
            with pytest.raises(ReadOnlyError):
                call()


# delete


def test_a_deletion_leaves_its_own_document_and_a_copy_in_the_trash(store: Store, goal: Goal):
    goal.set("Ship")
    before = Path(goal._path).read_bytes()
    assert goal.delete() is True
    said = on_disk(goal)
    assert (said["deleted"], said["id"], set(said)) == (True, "t", {"deleted", "id", "versions"})
    assert said["versions"][""] > json.loads(before)["versions"][""]
    (copy,) = Path(store.root, ".fsstore", "trash").glob("*/threads/t/goal.json")
    assert copy.read_bytes() == before
    assert copy.parts[-4] == said["versions"][""]
    assert (goal.get(), goal.delete()) == (None, False)
    goal.set("Again")
    assert on_disk(goal)["versions"][""] > said["versions"][""]
    assert on_disk(goal)["versions"]["id"] == on_disk(goal)["versions"][""]


@pytest.mark.damaged
def test_a_goal_without_valid_sums_says_where_and_can_be_deleted(goal: Goal):
    goal.set("Ship")
    edit(goal, base={"epoch": "e"})
    with pytest.raises(CorruptError) as raised:
        goal.get()
    assert raised.value.path == goal._path
    with pytest.raises(CorruptError):
        goal.update(objective="x")
    assert goal.delete() is True
    assert goal.set("Again") == goal.get()


# Beside others


def test_updates_and_accruals_of_several_processes_are_all_kept(root: Path, store: Store, goal: Goal):
    goal.set("Ship")
    goal = children.patient(str(root)).thread("t").goal
    with start(children.accrue_often, str(root), "t", 60) as child:
        updaters = [
            threading.Thread(target=lambda name=name: [goal.update(**{name: number}) for number in range(20)])
            for name in ("one", "two", "token_budget")
        ]
        for updater in updaters:
            updater.start()
        for updater in updaters:
            updater.join()
        child.result()
    found = fresh(goal)
    assert found.extra == {"one": 19, "two": 19}
    assert (found.token_budget, found.tokens_used, found.continuation_count) == (19, sum(range(60)), 60)
