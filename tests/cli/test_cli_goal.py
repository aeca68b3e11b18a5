"""goal."""

from __future__ import annotations

import pytest
from command import Result, fsstore

from fsstore import Store
from fsstore.records.goals import ThreadGoalRecord


@pytest.fixture
def ship(store: Store) -> Store:
    """A store of two threads, one of which has a goal on which something was spent."""
    thread = store.threads.create("ship-1", name="Ship it")
    thread.goal.put(
        ThreadGoalRecord(
            thread_id="ship-1", objective="Ship 1.0.\n\nWith tests.", token_budget=50_000, created_at=60, updated_at=60
        )
    )
    thread.goal.accrue(tokens=1_200, seconds=7_525, now=3_600)
    thread.goal.note_continuation(now=3_600)
    store.threads.create("idle")
    return store


SHOWN = """\
ship-1  Ship it

    Ship 1.0.

    With tests.

status         active
tokens         1,200 of 50,000 (2%)
time           2 h 5 min
continuations  1
begun          1970-01-01 00:01
updated        1970-01-01 01:00
"""


def test_goal_shows_what_is_to_be_reached_and_what_was_spent(ship: Store) -> None:
    assert fsstore("goal", "sh", "--root", ship.root) == Result(0, SHOWN, "")


def test_goal_for_programs_gives_the_goal_as_stored(ship: Store) -> None:
    goal = ship.thread("ship-1").goal.get()
    assert goal is not None
    (row,) = fsstore("goal", "ship-1", "--json", "--root", ship.root).lines()
    assert row == {"thread_id": "ship-1", "goal": goal.to_json()}
    assert (row["goal"]["tokens_used"], row["goal"]["time_used_seconds"]) == (1_200, 7_525)


def test_a_thread_without_a_goal_says_so(ship: Store) -> None:
    assert fsstore("goal", "idle", "--root", ship.root) == Result(0, "idle has no goal.\n", "")
    assert fsstore("goal", "idle", "--json", "--root", ship.root).lines() == [{"thread_id": "idle", "goal": None}]


def test_a_goal_is_begun_with_a_budget_or_without(ship: Store) -> None:
    shown = fsstore("goal", "idle", "--set", "Rest well", "--budget", "7", "--root", ship.root)
    assert (shown.code, shown.err) == (0, "")
    assert "    Rest well\n" in shown.out
    assert "tokens         0 of 7 (0%)\n" in shown.out
    (row,) = fsstore("goal", "ship-1", "--set", "-x", "--json", "--root", ship.root).lines()
    goal = ship.thread("ship-1").goal.get()
    assert goal is not None
    assert row["goal"] == goal.to_json()
    assert (goal.objective, goal.token_budget, goal.tokens_used, goal.continuation_count) == ("-x", None, 0, 0)
    assert "tokens         0, no budget\n" in fsstore("goal", "ship-1", "--root", ship.root).out


def test_status_and_budget_change_and_nothing_else_does(ship: Store) -> None:
    before = ship.thread("ship-1").goal.get()
    assert "status         paused\n" in fsstore("goal", "ship-1", "--status", "paused", "--root", ship.root).out
    assert "1,200 of 600 (200%)\n" in fsstore("goal", "ship-1", "--budget", "600", "--root", ship.root).out
    (row,) = fsstore("goal", "ship-1", "--no-budget", "--status", "complete", "--json", "--root", ship.root).lines()
    after = ship.thread("ship-1").goal.get()
    assert before is not None
    assert after is not None
    assert row["goal"] == after.to_json()
    assert after == ThreadGoalRecord.from_json(
        {**before.to_json(), "status": "complete", "token_budget": None, "updated_at": after.updated_at}
    )
    assert after.updated_at > before.updated_at


def test_a_budget_of_nothing_is_shown_without_a_share(ship: Store) -> None:
    assert "tokens         1,200 of 0\n" in fsstore("goal", "ship-1", "--budget", "0", "--root", ship.root).out


def test_a_goal_is_taken_away_once_and_twice(ship: Store) -> None:
    first, second = (fsstore("goal", "ship-1", "--clear", "--root", ship.root) for _ in range(2))
    assert first == Result(0, "ship-1 has no goal any more; a copy is in the store's trash.\n", "")
    assert second == Result(0, "ship-1 has no goal.\n", "")
    assert ship.thread("ship-1").goal.get() is None
    assert fsstore("goal", "ship-1", "--clear", "--json", "--root", ship.root).lines() == [
        {"thread_id": "ship-1", "goal": None}
    ]


def test_what_is_not_there_cannot_be_changed(ship: Store) -> None:
    assert fsstore("goal", "idle", "--status", "paused", "--root", ship.root).error(3) == "goal of thread idle not found"
    assert fsstore("goal", "nobody", "--set", "x", "--root", ship.root).error(3) == "thread nobody not found"
    assert ship.thread("idle").goal.get() is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--clear", "--set", "x"], "--clear and --set exclude"),
        (["--clear", "--status", "paused"], "--clear and --status exclude"),
        (["--clear", "--budget", "0"], "--clear and --budget exclude"),
        (["--clear", "--no-budget"], "--clear and --no-budget exclude"),
        (["--no-budget", "--budget", "1"], "--no-budget and --budget exclude"),
        (["--status", "asleep"], "'asleep' is not one of 'active', 'paused'"),
        (["--budget", "-1"], "-1 is not in the range"),
        (["--budget", "many"], "not a valid integer"),
        (["--set", " "], "TEXT of --set is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_changes_nothing(ship: Store, options: list[str], said: str) -> None:
    before = ship.thread("ship-1").goal.get()
    assert said in fsstore("goal", "ship-1", *options, "--root", ship.root).error(2)
    assert ship.thread("ship-1").goal.get() == before


def test_what_the_store_cannot_keep_is_refused_and_changes_nothing(ship: Store) -> None:
    before = ship.thread("ship-1").goal.get()
    assert "64-bit" in fsstore("goal", "ship-1", "--budget", str(2**70), "--root", ship.root).error(1)
    assert "UTF-8" in fsstore("goal", "ship-1", "--set", "ab\udcff", "--root", ship.root).error(1)
    assert ship.thread("ship-1").goal.get() == before


@pytest.mark.damaged
def test_a_goal_that_cannot_be_read_is_named_and_not_written_over(ship: Store) -> None:
    path = ship.thread("ship-1").place.path("goal.json")
    with open(path, "w") as file:
        file.write("{")
    for options in ([], ["--json"], ["--set", "x"], ["--status", "paused"]):
        assert fsstore("goal", "ship-1", *options, "--root", ship.root).error(1).startswith(f"corrupt: {path}: ")
    with open(path) as file:
        assert file.read() == "{"


@pytest.mark.damaged
def test_a_goal_is_shown_where_its_threads_name_cannot_be_read(ship: Store) -> None:
    with open(ship.thread("ship-1").place.meta, "w") as file:
        file.write("{")
    assert fsstore("goal", "ship-1", "--root", ship.root).out == SHOWN.replace("ship-1  Ship it", "ship-1")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3_661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_405, "1 d 5 s"),
        (-61, "-1 min 1 s"),
    ],
)
def test_the_time_is_shown_in_its_two_greatest_units(ship: Store, seconds: int, shown: str) -> None:
    ship.thread("ship-1").goal.update(time_used_seconds=seconds)
    assert f"time           {shown}\n" in fsstore("goal", "ship-1", "--root", ship.root).out
