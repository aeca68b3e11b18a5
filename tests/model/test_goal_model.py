"""Random operations on one goal by several handles and another machine, with damage in its ledger, against a plain model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine import GARBAGE, TWINS, StoreMachine, garbage, newlines, pick, play, who

from fsstore import NotFoundError, Store, ThreadGoalRecord, ThreadNotFoundError, clock

THREAD = "t"
NOTHING = (0, 0, 0)

amounts = st.sampled_from([0, 1, 7, -3, 1 << 40])
times = st.none() | st.sampled_from([0, 100, 1 << 33])
texts = st.sampled_from(["", "Ship 1.0", '"}\n', "é😀"])
statuses = st.sampled_from(["active", "paused", "complete"])
budgets = st.none() | st.sampled_from([0, 1000])


@dataclass
class Copy:
    """What one machine has: its goal and its ledger. The goal's sums and its time are those of the beginning of its epoch."""

    goal: ThreadGoalRecord | None = None
    epoch: str = ""
    #: By id: the epoch, what it adds to each sum, and its time.
    ledger: dict[str, tuple[str, tuple[int, int, int], int]] = field(default_factory=dict)

    def shown(self) -> ThreadGoalRecord | None:
        if self.goal is None:
            return None
        mine = [(counts, at) for epoch, counts, at in self.ledger.values() if epoch == self.epoch]
        tokens, seconds, continuations = (sum(column) for column in zip(NOTHING, *(counts for counts, _ in mine), strict=True))
        return dataclasses.replace(
            self.goal,
            tokens_used=self.goal.tokens_used + tokens,
            time_used_seconds=self.goal.time_used_seconds + seconds,
            continuation_count=self.goal.continuation_count + continuations,
            updated_at=max([self.goal.updated_at, *(at for _, at in mine)]),
        )


def sums_of(goal: ThreadGoalRecord) -> tuple[int, int, int]:
    return goal.tokens_used, goal.time_used_seconds, goal.continuation_count


def with_sums(goal: ThreadGoalRecord, sums: tuple[int, int, int]) -> ThreadGoalRecord:
    return dataclasses.replace(goal, **dict(zip(("tokens_used", "time_used_seconds", "continuation_count"), sums, strict=True)))


class GoalMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stores[0].threads.create(THREAD)
        self.model = Copy()
        self.theirs: Copy | None = None
        self.lines = 0

    # What the rules are made of

    @property
    def ledger(self) -> Path:
        return self.root / "threads" / THREAD / "usage.jsonl"

    @property
    def their_root(self) -> Path:
        return self.root.with_name("theirs")

    def goal(self, who: int) -> Any:
        return self.stores[who].thread(THREAD).goal

    def put(self, model: Copy, goal: ThreadGoalRecord, root: Path) -> None:
        """A goal was put: it goes on with its sums, or begins anew with others."""
        shown = model.shown()
        goes_on = shown is not None and (shown.goal_id, sums_of(shown)) == (goal.goal_id, sums_of(goal))
        epoch = json.loads((root / "threads" / THREAD / "goal.json").read_bytes())["base"]["epoch"]
        assert (epoch == model.epoch) == goes_on
        model.goal = with_sums(goal, sums_of(model.goal)) if goes_on and model.goal else goal
        model.epoch = epoch

    def spend(self, model: Copy, goal: Any, path: Path, counts: tuple[int, int, int], now: int | None) -> None:
        tokens, seconds, continuations = counts
        given = goal.note_continuation(now=now) if continuations else goal.accrue(tokens=tokens, seconds=seconds, now=now)
        if model.goal is None:
            assert given is None
            return
        record = json.loads(path.read_bytes().splitlines()[-1])
        assert record["id"] not in model.ledger
        assert record["id"] > max(model.ledger, default="")
        assert now in (None, record["at"])
        assert record["epoch"] == model.epoch
        model.ledger[record["id"]] = (model.epoch, counts, record["at"])
        assert given == model.shown()

    # Operations

    @rule(who=who, objective=texts, budget=budgets)
    def set(self, who, objective, budget):
        goal = self.goal(who).set(objective, token_budget=budget)
        assert sums_of(goal) == NOTHING
        self.put(self.model, goal, self.root)

    @rule(who=who, status=statuses, sums=st.none() | st.tuples(amounts, amounts, amounts), other=st.booleans(), time=times)
    def put_a_goal(self, who, status, sums, other, time):
        """Put one over the one that is shown: with its sums or with others, as the same goal or as another."""
        shown = self.model.shown() or ThreadGoalRecord(thread_id=THREAD, objective="begun", created_at=3, updated_at=3)
        goal = dataclasses.replace(with_sums(shown, sums or sums_of(shown)), status=status)
        if other:
            goal = dataclasses.replace(goal, goal_id=clock.new_id(), token_budget=None)
        if time is not None:
            goal = dataclasses.replace(goal, updated_at=time)
        self.goal(who).put(goal)
        self.put(self.model, goal, self.root)

    @rule(who=who, objective=texts, tokens=st.none() | amounts)
    def update(self, who, objective, tokens):
        changes = {"objective": objective, **({} if tokens is None else {"tokens_used": tokens})}
        shown = self.model.shown()
        if shown is None:
            with pytest.raises(NotFoundError):
                self.goal(who).update(**changes)
            return
        goal = self.goal(who).update(**changes)
        assert goal.updated_at in (shown.updated_at, *range(clock.now() - 1, clock.now() + 1))
        assert goal.updated_at >= shown.updated_at
        assert goal == dataclasses.replace(shown, **changes, updated_at=goal.updated_at)
        self.put(self.model, goal, self.root)

    @rule(who=who, tokens=amounts, seconds=amounts, now=times)
    def accrue(self, who, tokens, seconds, now):
        self.lines += self.model.goal is not None
        self.spend(self.model, self.goal(who), self.ledger, (tokens, seconds, 0), now)

    @rule(who=who, now=times)
    def note_continuation(self, who, now):
        self.lines += self.model.goal is not None
        self.spend(self.model, self.goal(who), self.ledger, (0, 0, 1), now)

    @rule(who=who)
    def delete(self, who):
        assert self.goal(who).delete() == (self.model.goal is not None)
        self.model.goal, self.model.epoch = None, ""

    @rule(who=who, other=who)
    def delete_and_recreate_the_thread(self, who, other):
        assert self.stores[who].threads.delete(THREAD)
        for one in range(2):
            assert self.goal(one).get() is self.goal(one).accrue(tokens=1) is self.goal(one).note_continuation() is None
            assert not self.goal(one).delete()
            with pytest.raises(ThreadNotFoundError):
                self.goal(one).set("late")
        assert not self.ledger.parent.exists()
        self.stores[other].threads.create(THREAD)
        self.model = Copy()
        self.lines = 0

    # Another machine, and a merge that knows nothing of this format

    @rule()
    def take_a_copy(self):
        shutil.rmtree(self.their_root, ignore_errors=True)
        shutil.copytree(self.root, self.their_root)
        self.theirs = dataclasses.replace(self.model, ledger=dict(self.model.ledger))

    @precondition(lambda self: self.theirs is not None)
    @rule(tokens=amounts, now=times, update=st.booleans())
    def spend_on_the_other_machine(self, tokens, now, update):
        assert self.theirs
        with Store.open(self.their_root) as store:
            goal = store.thread(THREAD).goal
            self.spend(self.theirs, goal, self.their_root / "threads" / THREAD / "usage.jsonl", (tokens, 0, 0), now)
            if update and self.theirs.goal:
                self.put(self.theirs, goal.update(objective="theirs", tokens_used=5), self.their_root)

    @precondition(lambda self: self.theirs is not None and (self.their_root / "threads" / THREAD / "usage.jsonl").exists())
    @rule(ours_first=st.booleans(), twice=st.booleans())
    def unite_the_ledgers(self, ours_first, twice):
        """As `git merge` with merge=union: lines of both, in one order or the other; some twice, where it cannot tell."""
        assert self.theirs
        ours = self.ledger.read_bytes().splitlines() if self.ledger.exists() else []
        theirs = (self.their_root / "threads" / THREAD / "usage.jsonl").read_bytes().splitlines()
        new = theirs if twice else [line for line in theirs if line not in ours]
        lines = [*ours, *new] if ours_first else [*new, *ours]
        with self.ledger.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
        self.model.ledger.update(self.theirs.ledger)
        self.allowed |= {*TWINS, *GARBAGE}

    # Damage

    @precondition(lambda self: self.ledger.exists())
    @rule(data=garbage, newline=newlines)
    def append_garbage(self, data, newline):
        self.spoil(self.ledger, data + newline, *GARBAGE)

    @precondition(lambda self: self.ledger.exists())
    @rule(record=st.sampled_from([{"type": "cost"}, {"type": "goal", "epoch": 1, "at": 1}, {"type": "goal", "epoch": "e"}]))
    def append_what_counts_for_nothing(self, record):
        greatest = max([*self.model.ledger, clock.FIRST_ID])
        line = json.dumps({"id": clock.new_id(greatest), **record, "tokens": 1}).encode() + b"\n"
        self.spoil(self.ledger, line, "unknown-type", "bad-record", *TWINS, *GARBAGE, whole=True)

    @precondition(lambda self: self.ledger.exists())
    @rule(pick=pick, newline=newlines)
    def append_line_again(self, pick, newline):
        lines = [line for line in self.ledger.read_bytes().split(b"\n") if line.endswith(b"}")]
        if lines:
            self.spoil(
                self.ledger,
                lines[pick % len(lines)] + newline,
                "duplicate-id",
                "conflicting-id",
                "unsorted",
                *GARBAGE,
                whole=True,
            )

    @precondition(lambda self: self.ledger.exists())
    @rule(pick=pick)
    def swap_two_lines(self, pick):
        *lines, rest = self.ledger.read_bytes().split(b"\n")
        if len(lines) > 1:
            at = pick % (len(lines) - 1)
            lines[at : at + 2] = lines[at + 1], lines[at]
            changed = self.ledger.with_name("changed")
            changed.write_bytes(b"\n".join([*lines, rest]))
            changed.replace(self.ledger)
            self.allowed |= {"unsorted"}

    # What must hold after each step

    @invariant()
    def all_is_well(self):
        before = self.ledger.read_bytes() if self.ledger.exists() else None
        with Store.open(self.root, read_only=True) as fresh:
            for store in (*self.stores, fresh):
                assert store.thread(THREAD).goal.get() == self.model.shown()
        assert (self.ledger.read_bytes() if self.ledger.exists() else None) == before, "readers change nothing"
        self.check_finds_only_what_was_spoiled()
        if not self.allowed and before is not None:
            ids = [json.loads(line)["id"] for line in before.splitlines()]
            assert ids == sorted(self.model.ledger)
            assert len(ids) == self.lines

    @invariant()
    def the_other_machine_has_its_own(self):
        if self.theirs:
            with Store.open(self.their_root, read_only=True) as store:
                assert store.thread(THREAD).goal.get() == self.theirs.shown()


def test_a_goal_and_what_was_spent_on_it_are_what_a_plain_model_says(tmp_path: Path, seed: int, campaign: bool):
    play(GoalMachine, tmp_path, seed, campaign)
