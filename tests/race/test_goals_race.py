"""Real processes and threads at one goal: what all of them spent adds up, each accrual once."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import processes
import pytest
import resource_workers as work
from race_workers import PROCESSES, fork, gather, ids_on_disk, raw_records

from fsstore import Store

BOTH = pytest.mark.parametrize("durability", ["process", "full"])


@pytest.fixture
def many(campaign: bool) -> int:
    return 1000 if campaign else 40


@pytest.fixture
def goal(store: Store):
    goal = store.threads.create("t").goal
    goal.set("Ship 1.0", goal_id="g", created_at=5, updated_at=5)
    return goal


def ledger(goal) -> list[dict]:
    assert len(ids_on_disk(goal.usage.path)) == len(raw_records(goal.usage.path))
    return raw_records(goal.usage.path)


@BOTH
def test_accruals_of_many_processes_add_up_while_others_read(root: Path, goal, durability: str, many: int, readers):
    with readers("a_goal_that_grows"):
        done = processes.run_all(work.accrues, [(root, me, many, durability) for me in range(PROCESSES)])
    total = PROCESSES * many
    assert sorted(tokens for one in done for tokens in one) == list(range(1, total + 1)), "each was told its own sum"
    assert all(one == sorted(one) for one in done)
    shown = goal.get()
    assert (shown.tokens_used, shown.time_used_seconds, shown.updated_at) == (total, total, many - 1)
    assert len(ledger(goal)) == total


def test_no_accrual_is_lost_while_others_change_the_goal(root: Path, goal, many: int, readers):
    spending = [processes.start(work.accrues, root, me, many, "process") for me in range(4)]
    continuing = [processes.start(work.continues, root, me, many) for me in range(2)]
    with readers("a_goal_that_grows"):
        processes.run_all(work.changes_the_goal, [(root, me, many) for me in range(2)])
        told = [tokens for one in spending for tokens in one.result()]
        counts = [count for one in continuing for count in one.result()]
    assert sorted(told) == list(range(1, 4 * many + 1))
    assert sorted(counts) == list(range(1, 2 * many + 1))
    shown = goal.get()
    assert (shown.objective, shown.token_budget) == (str(many - 1), many - 1), "no change of another field is lost"
    assert (shown.tokens_used, shown.time_used_seconds, shown.continuation_count) == (4 * many, 4 * many, 2 * many)
    assert len(ledger(goal)) == 6 * many


def test_a_reader_sees_goal_and_sums_of_one_moment(root: Path, goal, many: int, readers):
    goal.update(objective="0")
    with readers("a_goal_of_one_moment"):
        processes.run(work.spends_and_tells, root, 4 * many)
    assert goal.get().tokens_used == 4 * many


@BOTH
def test_an_accrual_goes_along_to_the_trash_or_is_told_that_there_is_no_goal(
    store: Store, root: Path, goal, durability: str, campaign: bool
):
    stop, rounds = root.with_name("stop"), 500 if campaign else 15
    writers = [processes.start(work.accrues_to_what_may_vanish, root, me, durability, stop) for me in range(PROCESSES)]
    directory = Path(store.thread("t").directory)
    try:
        for writer in writers:
            writer.hear()
        while not goal.get().tokens_used:
            time.sleep(0.001)
        for number in range(rounds):
            time.sleep(0.01)  # lets the writers in; nothing depends on how many come
            assert store.threads.delete("t")
            time.sleep(0.003)
            assert not directory.exists(), "a late accrual recreates nothing"
            assert goal.get() is goal.accrue(tokens=1) is None
            store.threads.create("t")
            assert goal.accrue(tokens=1) is None
            assert goal.get() is None, "a late accrual begins no goal"
            assert not raw_records(goal.usage.path), "a late accrual counts for nothing"
            goal.set(f"round {number}")
        assert goal.delete()
        assert goal.accrue(tokens=1) is None
        assert store.threads.delete("t")
    finally:
        stop.touch()
    counted = [number for writer in writers for number in writer.result()]
    assert counted
    assert not directory.exists()
    ledgers = list(map(raw_records, (root / ".fsstore" / "trash").glob("*/threads/t/usage.jsonl")))
    kept = {(record["epoch"], record["seconds"]) for records in ledgers for record in records}
    assert set(counted) <= {seconds for _, seconds in kept}, "what counted went along"
    assert len(kept) == sum(map(len, ledgers)), "each stands once"
    assert len({seconds for _, seconds in kept}) == len(kept), "each counts for one goal"


@BOTH
@pytest.mark.parametrize("shared", [True, False], ids=["one store", "a store each"])
def test_accruals_of_threads_of_one_process_add_up_while_others_read(
    root: Path, goal, durability: str, many: int, shared: bool
):
    one, stop, interval = work.opened(root, durability), threading.Event(), sys.getswitchinterval()

    def open_store() -> Store:
        return one if shared else work.opened(root, durability)

    def read() -> int:
        look, count, store = work.a_goal_that_grows(), 0, open_store()
        while not stop.is_set() or not count:
            look(store)
            count += 1
        return count

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(PROCESSES + 2) as pool:
            readings = [pool.submit(read) for _ in range(2)]
            writings = [pool.submit(lambda: work.accrue_all(open_store(), many // 2)) for _ in range(PROCESSES)]
            done = [writing.result() for writing in writings]
            stop.set()
            assert sum(reading.result() for reading in readings) >= 2
    finally:
        sys.setswitchinterval(interval)
    total = PROCESSES * (many // 2)
    assert sorted(tokens for one in done for tokens in one) == list(range(1, total + 1))
    assert goal.get().tokens_used == len(ledger(goal)) == total


def test_forked_children_accrue_beside_each_other(root: Path, goal, many: int):
    with work.opened(root) as shared:
        shared.thread("t").goal.accrue(tokens=1, seconds=1)  # the children inherit a ledger held open and what it says
        children = [fork(lambda: work.accrue_all(shared, many)) for _ in range(4)]
        mine = work.accrue_all(shared, many)
        done = [tokens for one in (mine, *map(gather, children)) for tokens in one]
    assert sorted(done) == list(range(2, 5 * many + 2))
    assert len(ledger(goal)) == 5 * many + 1
