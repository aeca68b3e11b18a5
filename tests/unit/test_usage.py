"""The usage ledger: every accrual counts once, whatever happened to the lines."""

from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import children
import pytest
from damage import line_of
from faults import Bytes, Calls, replace
from processes import run_all

from fsstore import Store, ThreadGoalRecord, clock
from fsstore.disk.follow import TAIL
from fsstore.resources.goal import Goal
from fsstore.resources.usage import Sums, Usage, UsageView


@pytest.fixture
def goal(store: Store) -> Goal:
    goal = store.threads.create("t").goal
    goal.set("Ship", goal_id="g", created_at=1, updated_at=1)
    return goal


@pytest.fixture
def ledger(goal: Goal) -> Path:
    return Path(goal.usage.path)


def epoch_of(goal: Goal) -> str:
    (epoch,) = view_of(goal).epochs
    return epoch


def view_of(goal: Goal) -> UsageView:
    view = UsageView(goal.usage.path)
    view.refresh()
    return view


def fresh(store: Store) -> tuple[int, int, int, int]:
    """Give the sums as another process would see them."""
    with Store.open(store.root, read_only=True) as other:
        goal = other.thread("t").goal.get()
        assert goal is not None
        return goal.tokens_used, goal.time_used_seconds, goal.continuation_count, goal.updated_at


def test_an_empty_ledger_sums_to_nothing(goal: Goal, ledger: Path):
    assert goal.usage.sums("any") == Sums()
    assert not ledger.exists()


def test_accruals_are_summed_by_their_epoch(goal: Goal):
    goal.accrue(tokens=1, seconds=2, now=10)
    first = epoch_of(goal)
    goal.put(ThreadGoalRecord(thread_id="t", goal_id="g2", objective="Next"))
    goal.accrue(tokens=10, seconds=20, now=5)
    goal.note_continuation(now=7)
    sums = view_of(goal).epochs
    assert sums.pop(first) == goal.usage.sums(first) == Sums(tokens=1, seconds=2, at=10)
    assert list(sums.values()) == [Sums(tokens=10, seconds=20, continuations=1, at=7)]


def test_the_sums_given_are_not_changed_by_what_comes_later(goal: Goal):
    goal.accrue(tokens=1, now=1)
    epoch = epoch_of(goal)
    given = goal.usage.sums(epoch)
    goal.accrue(tokens=1, now=2)
    assert goal.usage.sums(epoch) == Sums(tokens=2, at=2)
    assert given == Sums(tokens=1, at=1)


def test_a_reader_never_sees_half_an_accrual(store: Store, goal: Goal):
    goal.accrue(now=1)
    done = threading.Event()
    wrong = []

    def look() -> None:
        while not done.is_set():
            shown = goal.get()
            if not shown.tokens_used == shown.time_used_seconds == shown.updated_at - 1:
                wrong.append(shown)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    with Store.open(store.root, durability="process") as other:
        for number in range(2, 300):
            other.thread("t").goal.accrue(tokens=1, seconds=1, now=number)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"epoch": None}, {"epoch": 5}, {"at": None}, {"at": "now"}, {"at": 1.5}, {"at": True}),
        *({"tokens": "5"}, {"tokens": None}, {"seconds": 1.0}, {"continuations": [1]}),
    ],
    ids=repr,
)
def test_a_record_that_is_no_accrual_is_passed_over_and_told(store: Store, goal: Goal, ledger: Path, wrong: dict[str, Any]):
    goal.accrue(tokens=5, seconds=5, now=9)
    good = {"id": clock.new_id(), "type": "goal", "epoch": epoch_of(goal), "tokens": 1, "seconds": 1, "at": 9}
    at = ledger.stat().st_size
    with ledger.open("ab") as file:
        file.write(line_of({**good, **wrong}))
    assert fresh(store) == (5, 5, 0, 9)
    assert [(damage.kind, damage.offset) for damage in view_of(goal).damage] == [("bad-record", at)]
    assert goal.accrue(tokens=1, now=10).tokens_used == 6
    assert fresh(store) == (6, 5, 0, 10)
    ledger.write_bytes(ledger.read_bytes()[:at])


def test_numbers_over_64_bits_written_elsewhere_are_summed_exactly(store: Store, goal: Goal, ledger: Path):
    goal.accrue(tokens=1, now=9)
    with ledger.open("ab") as file:
        file.write(line_of({"id": clock.new_id(), "type": "goal", "epoch": epoch_of(goal), "tokens": 2**80, "at": 9}))
    assert fresh(store)[0] == 2**80 + 1
    assert goal.accrue(tokens=-1, now=9).tokens_used == 2**80


def test_two_ledgers_merged_line_by_line_sum_to_the_union(store: Store, goal: Goal, ledger: Path, tmp_path: Path, seed: int):
    for number in range(10):
        goal.accrue(tokens=1, seconds=number, now=100 + number)
    common = ledger.read_bytes().splitlines(keepends=True)
    sides = []
    for add in (100, 10_000):
        replace(ledger, b"".join(common))
        for number in range(10):
            goal.accrue(tokens=add, now=200 + number)
        sides.append(ledger.read_bytes().splitlines(keepends=True))
    union = sides[0] + sides[1]  # what both had stands twice
    random.Random(seed).shuffle(union)
    expected = (10 + 1_000 + 100_000, 45, 0, 209)
    replace(ledger, b"".join(union))
    assert fresh(store) == expected
    assert goal.accrue(now=5).tokens_used == expected[0]
    assert fresh(store) == expected
    ids = [line[:43] for line in ledger.read_bytes().splitlines()]
    assert ids == sorted(ids)
    replace(ledger, b"".join(dict.fromkeys(ledger.read_bytes().splitlines(keepends=True))))
    assert fresh(store) == expected


def test_a_ledger_of_100_000_entries_costs_nothing_to_read_again(store: Store, goal: Goal, ledger: Path, monkeypatch):
    goal.accrue(tokens=1, seconds=1, now=9)
    epoch, ids = epoch_of(goal), clock.next_ids(0, clock.random_suffix(), 100_000)[1]
    filler = [
        b'{"id":"%s","type":"goal","epoch":"%s","tokens":1,"seconds":0,"at":5}\n' % (id.encode(), epoch.encode()) for id in ids
    ]
    replace(ledger, ledger.read_bytes() + b"".join(filler))
    assert goal.accrue(now=9).tokens_used == 100_001
    count = Bytes(monkeypatch)
    for _ in range(10):
        assert goal.get().tokens_used == 100_001
    assert count.take() < 10 * 2 * TAIL  # of thirteen megabytes
    assert goal.accrue(tokens=1, now=9).tokens_used == 100_002
    assert count.take() < 10 * TAIL
    with Store.open(store.root) as other:
        other.thread("t").goal.accrue(tokens=1, now=9)
    count.take()
    assert goal.get().tokens_used == 100_003
    assert count.take() < 4 * TAIL


def test_a_ledger_replaced_under_a_writer_is_read_anew(store: Store, goal: Goal, ledger: Path):
    goal.accrue(tokens=1, now=9)
    kept = ledger.read_bytes()
    goal.accrue(tokens=10, now=10)
    replace(ledger, kept)
    assert goal.accrue(tokens=100, now=11).tokens_used == 101
    assert fresh(store) == (101, 0, 0, 11)
    os.unlink(ledger)
    assert goal.accrue(tokens=1_000, now=5).tokens_used == 1_000
    assert fresh(store) == (1_000, 0, 0, 5)


def test_more_ledgers_than_are_kept_in_memory_stay_right(root: Path):
    with Store.open(root, durability="process") as store:
        store.threads._views._count = 4
        goals = [store.threads.create(str(number)).goal for number in range(10)]
        for goal in goals:
            goal.set("Ship")
        for _ in range(3):
            for number, goal in enumerate(goals):
                goal.accrue(tokens=number, now=9)
        assert [goal.get().tokens_used for goal in goals] == [3 * number for number in range(10)]
        assert len(store.threads._views._views) == 4


def test_accruals_of_threads_and_processes_sum_exactly(root: Path, store: Store, goal: Goal):
    with children.patient(str(root)) as mine:
        work = [threading.Thread(target=children.accrue_often, args=(str(root), "t", 50, mine)) for _ in range(3)]
        for one in work:
            one.start()
        run_all(children.accrue_often, [(str(root), "t", 50)] * 2)
        for one in work:
            one.join()
        assert mine.thread("t").goal.get().tokens_used == sum(range(50)) * 5
    assert fresh(store)[:3] == (sum(range(50)) * 5, 250, 250)


def test_a_deletion_remembers_the_ledger_and_lets_go_of_it(store: Store, goal: Goal):
    goal.accrue(tokens=1, now=9)
    greatest = json.loads(Path(goal.usage.path).read_bytes())["id"]
    store.threads.delete("t")
    (deletion,) = store.threads._index.deletions_of("t")
    assert deletion["greatest"] == {"usage.jsonl": greatest}
    assert goal.usage.path not in store._root.held
    assert goal.usage.sums("any") == Sums()
    assert goal.accrue(tokens=1, now=9) is None
    assert not Path(goal.usage.path).parent.exists()


def test_making_a_ledger_touches_no_disk(store: Store, monkeypatch: pytest.MonkeyPatch):
    calls = Calls(monkeypatch)
    assert isinstance(store.thread("missing").goal.usage, Usage)
    assert calls == []
