"""Real processes at the documents of a store: of two that want the same thing at once one wins, and nobody's update is lost."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import processes
import pytest
import race_workers as work
from race_workers import FIELDS, PROCESSES, Barrier

from fsstore import RunStatus, RunStepStatus, Store, ThreadNotFoundError


@pytest.fixture
def rounds(campaign: bool) -> int:
    return 1000 if campaign else 25


@pytest.fixture
def barrier(tmp_path: Path) -> Path:
    return Barrier.make(tmp_path / "barrier")


def test_a_new_root_may_be_opened_by_all_at_once(root: Path, barrier: Path, rounds: int):
    won = processes.run_all(work.makes_the_same_threads, [(root, barrier, me, rounds) for me in range(PROCESSES)])
    assert sorted(number for one in won for number in one) == list(range(rounds)), "each thread was made by exactly one"
    store = Store.open(root)
    for me, one in enumerate(won):
        for number in one:
            thread = store.threads[f"same {number}"]
            assert thread.info().name == f"by {me}"
            assert [message.content for message in thread.messages] == [f"by {me}"]


def test_runs_and_steps_are_begun_and_ended_by_exactly_one(store: Store, root: Path, barrier: Path, rounds: int):
    runs = store.threads.create("t").runs
    won = processes.run_all(work.races_for_runs, [(root, "t", barrier, me, rounds) for me in range(PROCESSES)])
    count = Counter(prize for one in won for prize in one)
    assert count == {(kind, number): 1 for kind in ("run", "step", "end") for number in range(rounds)}
    ends = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.EXPIRED]
    for me, one in enumerate(won):
        for kind, number in one:
            run = runs[f"run {number}"]
            if kind == "run":
                assert run.info().model == f"by {me}"
            elif kind == "step":
                assert run.steps["step"].step_details == {"by": me}
            else:
                assert run.info().status == ends[me % 4]


def test_runs_with_steps_of_many_processes_are_all_there(store: Store, root: Path, campaign: bool):
    thread, count = store.threads.create("t"), 100 if campaign else 6
    made = processes.run_all(work.makes_runs_and_steps, [(root, "t", me, count) for me in range(PROCESSES)])
    assert sorted(run.id for run in thread.runs) == sorted(id for one in made for id in one)
    for me, one in enumerate(made):
        for id in one:
            assert thread.runs[id].info().status == RunStatus.COMPLETED
            assert [step.id for step in thread.runs[id].steps] == [f"{me}.{step}" for step in range(3)]
            assert {step.status for step in thread.runs[id].steps} == {RunStepStatus.COMPLETED}
    assert sorted(message.content for message in thread.messages) == sorted(id for one in made for id in one)


def test_no_update_of_another_field_is_lost(store: Store, root: Path, campaign: bool):
    thread, count = store.threads.create("t"), 500 if campaign else 25
    last = processes.run_all(work.updates_a_field, [(root, "t", me, count) for me in range(len(FIELDS) + 1)])
    info = thread.info()
    assert [getattr(info, field) for field in FIELDS] == last[:-1]
    assert not info.archived


def test_upserts_leave_one_whole_record(store: Store, root: Path, campaign: bool):
    processes.run_all(work.upserts, [(root, "t", me, 300 if campaign else 15) for me in range(PROCESSES)])
    info = store.thread("t").info()
    assert len({getattr(info, field) for field in (*FIELDS, "name")}) == 1


@pytest.mark.parametrize("durability", ["process", "full"])
def test_an_append_goes_along_to_the_trash_or_is_refused(store: Store, root: Path, durability: str, rounds: int):
    stop = root.with_name("stop")
    store.threads.create("t")
    arguments = [(root, "t", me, durability, stop) for me in range(PROCESSES)]
    writers = [processes.start(work.appends_to_what_may_vanish, *each) for each in arguments]
    directory = Path(store.thread("t").directory)
    try:
        for writer in writers:
            writer.hear()
        while not len(store.thread("t").messages):
            time.sleep(0.001)
        for _ in range(rounds):
            time.sleep(0.01)  # lets the writers in; nothing depends on how many come
            assert store.threads.delete("t")
            assert not directory.exists()
            time.sleep(0.003)
            assert not directory.exists(), "a late write recreates nothing"
            with pytest.raises(ThreadNotFoundError):
                store.thread("t").messages.append("user", "late")
            store.threads.create("t")
        assert store.threads.delete("t")
    finally:
        stop.touch()
    acknowledged = [id for writer in writers for id in writer.result()]
    assert not directory.exists()
    assert acknowledged
    logs = list((root / ".fsstore" / "trash").glob("*/threads/*/messages.jsonl"))
    assert len(list((root / ".fsstore" / "trash").iterdir())) == rounds + 1
    records = [record["id"] for log in logs for record in work.raw_records(log) if "role" in record]
    assert Counter(acknowledged) - Counter(records) == Counter(), "every acknowledged append went along"
    assert len(acknowledged) == len(set(acknowledged))
