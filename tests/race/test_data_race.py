"""Real processes at one `DataStore` session: neither overwrites what is the other's."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import data_workers as work
import processes
import pytest
from race_workers import PROCESSES, Barrier, raw_records

from fsstore import RunType, Store


@pytest.fixture
def rounds(campaign: bool) -> int:
    return 300 if campaign else 15


@pytest.fixture
def barrier(tmp_path: Path) -> Path:
    return Barrier.make(tmp_path / "barrier")


@pytest.mark.parametrize("durability", ["process", "full"])
def test_runs_histories_choices_and_costs_of_all_are_there(root: Path, rounds: int, durability: str):
    Store.open(root)
    given = [(root, "s", me, rounds, durability) for me in range(PROCESSES)]
    lengths = processes.run_all(work.runs_and_histories, given)
    data = work.opened(root, "s")
    prompts = [f"{me} {number}" for me in range(PROCESSES) for number in range(rounds)]
    said = data.content()
    assert sorted(run.prompt for run in said.runs) == sorted(prompts)
    histories = data.histories()
    assert sorted(turn.content for turn in histories["shared"]) == sorted(prompts * 2)
    assert [turn.content for turn in histories["shared"][::2]] == [turn.content for turn in histories["shared"][1::2]]
    for me in range(PROCESSES):
        assert [turn.content for turn in histories[f"own {me}"][::2]] == [f"{me} {number}" for number in range(rounds)]
        assert [one[f"own {me}"] for one in lengths[me]] == [2 * number for number in range(rounds)]
    shared = [one["shared"] for each in lengths for one in each]
    assert sorted(shared) == [2 * number for number in range(len(prompts))], "no two appends saw the same length"
    assert data.cost_per_model() == {"m": 0.25 * len(prompts)}
    assert {run.selected for run in data.metadata().runs} <= {"", *(f"by {me}" for me in range(PROCESSES))}
    assert data.last_active_tools()[0].startswith("tool ")


def test_a_session_that_all_write_first_into_is_begun_once_and_keeps_all(root: Path, barrier: Path, rounds: int):
    Store.open(root)
    processes.run_all(work.begins, [(root, barrier, me, rounds) for me in range(PROCESSES)])
    for number in range(rounds):
        prompts = [run.prompt for run in work.opened(root, f"s{number}").content().runs]
        assert sorted(prompts) == [f"by {me}" for me in range(PROCESSES)]


def test_of_one_prompt_noted_by_all_at_once_one_is_noted(root: Path, barrier: Path, rounds: int):
    Store.open(root)
    noted = processes.run_all(work.prompts, [(root, barrier, me, rounds) for me in range(PROCESSES)])
    assert sorted(number for one in noted for number in one) == list(range(rounds))
    assert work.opened(root, "s").prompt_history() == [f"prompt {number}" for number in reversed(range(rounds))]


def test_each_entry_is_gone_back_to_once(root: Path, rounds: int):
    Store.open(root)
    found = processes.run_all(work.pushes_and_rewinds, [(root, "s", me, rounds) for me in range(PROCESSES)])
    data = work.opened(root, "s")
    count = Counter(index for one in found for index in one)
    while data.can_rewind():
        count[data.rewind().feed_index] += 1
    assert count == {me * 1000 + number: 1 for me in range(PROCESSES) for number in range(rounds)}
    assert len(data.metadata().runs) == len(count)
    assert {run.type for run in data.metadata().runs} == {RunType.REWIND}


def test_a_session_that_is_deleted_again_and_again_is_begun_anew_each_time(root: Path, store: Store, rounds: int):
    stop = root.with_name("stop")
    writers = [processes.start(work.writes_to_what_may_vanish, root, "s", me, stop) for me in range(4)]
    deleted = 0
    try:
        for writer in writers:
            writer.hear()
        deadline = time.monotonic() + 600  # a machine may be busy
        while deleted < rounds and time.monotonic() < deadline:
            deleted += store.threads.delete("s")
            time.sleep(0.003)
    finally:
        stop.touch()
    acknowledged = [prompt for writer in writers for prompt in writer.result()]
    assert deleted == rounds
    data = work.opened(root, "s")
    data.persist_run_state("after it all", work.answers("x"))
    assert data.content().runs[-1].prompt == "after it all"
    logs = [data.content_path(), *(root / ".fsstore" / "trash").glob("*/threads/s/session_content.jsonl")]
    records = [record for log in logs for record in raw_records(log) if record["type"] == "run"]
    kept = Counter(record["content"]["prompt"] for record in records)
    assert kept == dict.fromkeys((*acknowledged, "after it all"), 1), "each went along to the trash, or is here"
