from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import faults
import processes
import pytest

from fsstore import (
    AlreadyExistsError,
    CorruptError,
    RunError,
    RunInfo,
    RunInTerminalStateError,
    RunNotFoundError,
    RunStatus,
    RunStepNotFoundError,
    StepInfo,
    Store,
    ThreadNotFoundError,
)
from fsstore.resources.runs import RunHandle, Runs

TERMINAL = ["completed", "cancelled", "failed", "expired"]


@pytest.fixture
def runs(store: Store) -> Runs:
    return store.threads.create("t").runs


@pytest.fixture
def run(runs: Runs) -> RunHandle:
    return runs.create("r", model="claude")


def status_file(runs: Runs, id: str = "r") -> Path:
    return Path(runs.directory(id), "status.json")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=2, sort_keys=True) + "\n")


def test_a_created_run_is_queued_and_carries_what_was_given(runs: Runs, run: RunHandle):
    info = run.info()
    assert (info.id, info.thread_id, info.status, info.model, info.last_error) == ("r", "t", RunStatus.QUEUED, "claude", None)
    assert info == runs.get("r")
    assert not info.is_terminal
    assert runs["r"].info() == info
    assert runs.create().id.startswith("run_")


def test_a_missing_run_is_none_or_raises(runs: Runs):
    assert runs.get("r") is None
    for call in (
        lambda: runs["r"],
        runs.handle("r").info,
        runs.handle("r").finish,
        lambda: runs.handle("r").update("queued", force=True),
        lambda: runs.handle("r").steps.create("s"),
    ):
        with pytest.raises(RunNotFoundError) as raised:
            call()
        assert raised.value.id == "r"
    assert list(runs) == []
    assert list(runs.handle("r").steps) == []
    assert not Path(runs.directory("r")).exists()


def test_a_run_of_a_missing_thread_is_refused_and_makes_nothing(store: Store, root: Path):
    with pytest.raises(ThreadNotFoundError):
        store.thread("nowhere").runs.create("r")
    assert os.listdir(root / "threads") == []


def test_a_second_creation_is_refused_and_changes_nothing(runs: Runs, run: RunHandle):
    run.finish("failed", RunError(code="x", message="y"))
    before = status_file(runs).read_bytes()
    with pytest.raises(AlreadyExistsError):
        runs.create("r")
    assert status_file(runs).read_bytes() == before


def test_a_record_that_names_another_thread_or_run_is_refused(runs: Runs, run: RunHandle):
    with pytest.raises(ValueError, match="names thread other"):
        runs.add(RunInfo(id="q", thread_id="other"))
    with pytest.raises(ValueError, match="names run other"):
        run.steps.add(StepInfo(id="s", run_id="other", thread_id="t"))
    with pytest.raises(ValueError, match="names run r of thread other"):
        run.steps.add(StepInfo(id="s", run_id="r", thread_id="other"))
    assert runs.get("q") is None
    assert list(run.steps) == []


@pytest.mark.parametrize("status", TERMINAL)
def test_a_run_that_has_ended_changes_no_more_without_force(runs: Runs, run: RunHandle, status: str):
    run.update("in_progress")
    assert run.finish(status).is_terminal
    before = status_file(runs).read_bytes()
    for call in (run.finish, lambda: run.update("queued"), lambda: run.update(status), lambda: run.finish(status)):
        with pytest.raises(RunInTerminalStateError) as raised:
            call()
        assert (raised.value.id, raised.value.status) == ("r", status)
    assert status_file(runs).read_bytes() == before
    assert run.update("queued", force=True).status is RunStatus.QUEUED
    assert run.finish("expired").status is RunStatus.EXPIRED


def test_finish_takes_only_a_status_that_ends_a_run(runs: Runs, run: RunHandle):
    before = status_file(runs).read_bytes()
    for status in ("queued", "in_progress", "unheard of"):
        with pytest.raises(ValueError, match="does not end a run"):
            run.finish(status)
    assert status_file(runs).read_bytes() == before


def test_an_update_without_an_error_clears_the_last_one(run: RunHandle):
    error = RunError(code="rate_limit", message="slow down", extra={"retry_after": 3})
    assert run.update("in_progress", error).last_error == error
    assert run.info().last_error == error
    assert run.update("in_progress").last_error is None
    assert run.info().last_error is None


def test_created_at_stays_through_every_update(runs: Runs):
    run = runs.add(RunInfo(id="r", thread_id="t", created_at=5))
    run.update("in_progress")
    run.finish()
    assert run.info().created_at == 5


@pytest.mark.damaged
def test_unknown_keys_and_values_are_kept_through_every_rewrite(runs: Runs):
    run = runs.create("r", extra={"usage": {"tokens": [1, None]}})
    edit(status_file(runs), from_future={"a": 1}, status="requires_action")
    assert run.info().status == "requires_action"
    assert not run.info().is_terminal
    run.update("in_progress", RunError(code="c", message="m"))
    run.finish()
    assert run.info().extra == {"usage": {"tokens": [1, None]}, "from_future": {"a": 1}}
    run.steps.create("s", extra={"mine": 1})
    path = Path(run.steps.directory, "s.json")
    edit(path, from_future=[2], step_type="unheard of")
    step = run.steps.update("s", "failed", "why")
    assert step.extra == {"mine": 1, "from_future": [2]}
    assert step.step_type == "unheard of"
    assert json.loads(path.read_text())["from_future"] == [2]


@pytest.mark.parametrize("key", ["deleted", "versions", "thread_id", "run_id"])
def test_a_callers_key_with_a_name_of_the_stores_own_hides_no_record(runs: Runs, key: str):
    try:
        run = runs.create("r", extra={key: True})
    except ValueError:
        assert runs.get("r") is None
        return
    assert [info.id for info in runs] == ["r"]
    assert run.info().thread_id == "t"
    run.finish()
    assert run.info().status == "completed"


def test_runs_are_listed_oldest_first_and_ties_in_the_order_of_creation(runs: Runs):
    for id, at in (("c", 20), ("a", 20), ("b", 10)):
        runs.add(RunInfo(id=id, thread_id="t", created_at=at))
    runs["c"].finish()
    assert [info.id for info in runs] == ["b", "c", "a"]


CORRUPT = {
    "empty": b"",
    "torn": b'{"id": "r", "st',
    "no object": b"[]\n",
    "no versions": b'{"id": "r", "status": "completed"}\n',
    "another id": b'{"id": "q", "versions": {"": "01890000-0000-7000-8000-000000000000"}}\n',
}


@pytest.mark.damaged
@pytest.mark.parametrize("data", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_status_raises_is_never_overwritten_and_listings_skip_it(
    store: Store, runs: Runs, run: RunHandle, data: bytes
):
    runs.create("good")
    status_file(runs).write_bytes(data)
    calls: list[Callable[[], object]] = [
        run.info,
        lambda: runs.get("r"),
        lambda: runs["r"],
        run.finish,
        lambda: run.update("queued", force=True),
        lambda: run.steps.create("s"),
    ]
    for call in calls:
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(status_file(runs))
    with pytest.raises((CorruptError, AlreadyExistsError)):
        runs.create("r")
    assert status_file(runs).read_bytes() == data
    assert [info.id for info in runs] == ["good"]
    assert [problem.path for problem in store.check()] == ["threads/t/runs/r/status.json"]


@pytest.mark.damaged
def test_a_corrupt_step_raises_is_never_overwritten_and_listings_skip_it(store: Store, run: RunHandle):
    run.steps.create("good")
    run.steps.create("s")
    path = Path(run.steps.directory, "s.json")
    path.write_bytes(b'{"id": "s"')
    for call in (lambda: run.steps["s"], lambda: run.steps.get("s"), lambda: run.steps.update("s", "completed")):
        with pytest.raises(CorruptError):
            call()
    with pytest.raises((CorruptError, AlreadyExistsError)):
        run.steps.create("s")
    assert path.read_bytes() == b'{"id": "s"'
    assert [step.id for step in run.steps] == ["good"]
    assert [problem.path for problem in store.check()] == ["threads/t/runs/r/steps/s.json"]


def test_of_threads_that_finish_one_run_exactly_one_wins(run: RunHandle):
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def finish(status: str) -> None:
        barrier.wait()
        try:
            run.finish(status)
            outcomes.append(status)
        except RunInTerminalStateError:
            outcomes.append("late")

    threads = [threading.Thread(target=finish, args=(status,)) for status in TERMINAL]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert outcomes.count("late") == 3
    assert run.info().status in outcomes


def test_of_processes_that_finish_one_run_exactly_one_wins(store: Store, root: Path):
    runs = store.threads.create("t").runs
    ids = [runs.create().id for _ in range(20)]
    answers = processes.run_all(children.finish, [(str(root), "t", ids, status) for status in TERMINAL[:3]])
    for id, won in zip(ids, zip(*answers, strict=True), strict=True):
        assert sum(won) == 1
        assert runs[id].info().status == TERMINAL[won.index(True)]


# Steps


def test_a_created_step_is_in_progress_and_carries_what_was_given(run: RunHandle):
    step = run.steps.create("s", step_type="tool_calls", step_details={"calls": [1]})
    assert step == run.steps["s"] == run.steps.get("s")
    assert (step.id, step.run_id, step.thread_id, step.status) == ("s", "r", "t", "in_progress")
    assert step.step_details == {"calls": [1]}
    assert (step.completed_at, step.failed_at, step.error) == (None, None, None)
    assert run.steps.create().id.startswith("step-")


def test_a_missing_step_is_none_or_raises(run: RunHandle):
    assert run.steps.get("s") is None
    for call in (lambda: run.steps["s"], lambda: run.steps.update("s", "completed")):
        with pytest.raises(RunStepNotFoundError):
            call()
    assert list(run.steps) == []


def test_a_second_step_of_one_id_is_refused(run: RunHandle):
    run.steps.create("s", step_details=1)
    with pytest.raises(AlreadyExistsError):
        run.steps.create("s", step_details=2)
    assert run.steps["s"].step_details == 1


def test_a_step_gets_the_time_of_its_end(run: RunHandle, monkeypatch: pytest.MonkeyPatch):
    for id in "abcd":
        run.steps.add(StepInfo(id=id, run_id="r", thread_id="t", created_at=5))
    monkeypatch.setattr("fsstore.clock.now", lambda: 7)
    done = run.steps.update("a", "completed")
    assert (done.status, done.completed_at, done.failed_at) == ("completed", 7, None)
    failed = run.steps.update("b", "failed", "no network")
    assert (failed.failed_at, failed.completed_at, failed.error) == (7, None, "no network")
    cancelled = run.steps.update("c", "cancelled")
    assert (cancelled.completed_at, cancelled.failed_at) == (None, None)
    going = run.steps.update("d", "in_progress")
    assert (going.completed_at, going.failed_at, going.created_at) == (None, None, 5)


def test_a_steps_error_and_details_change_only_where_given(run: RunHandle):
    run.steps.create("s", step_details={"a": 1})
    run.steps.update("s", "in_progress", "first")
    step = run.steps.update("s", "completed")
    assert (step.error, step.step_details) == ("first", {"a": 1})
    assert run.steps.update("s", "completed", "second", {"b": 2}).step_details == {"b": 2}
    assert run.steps["s"].error == "second"


def test_a_step_may_be_added_to_a_run_that_has_ended(run: RunHandle):
    run.finish()
    run.steps.create("s")
    assert [step.id for step in run.steps] == ["s"]


def test_steps_are_listed_oldest_first_and_ties_in_the_order_of_creation(run: RunHandle):
    for id, at in (("c", 20), ("a", 20), ("b", 10)):
        run.steps.add(StepInfo(id=id, run_id="r", thread_id="t", created_at=at))
    run.steps.update("c", "completed")
    assert [step.id for step in run.steps] == ["b", "c", "a"]


@pytest.mark.parametrize("bad", [float("nan"), 2**64, (1,), {1: 1}, object()])
def test_what_json_cannot_hold_is_refused_before_anything_changes(runs: Runs, run: RunHandle, bad: Any):
    before = {path: path.read_bytes() for path in Path(runs.directory("r")).rglob("*.json")}
    calls: list[Callable[[], object]] = [
        lambda: runs.create("q", extra={"x": bad}),
        lambda: run.steps.create("s", step_details=bad),
        lambda: run.steps.create("s", extra={"x": bad}),
        lambda: run.update("in_progress", RunError(code="c", message="m", extra={"x": bad})),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="cannot be stored"):
            call()
    assert {path: path.read_bytes() for path in Path(runs.directory("r")).rglob("*.json")} == before
    assert not Path(runs.directory("q")).exists()


def test_ids_of_runs_and_steps_may_be_any_text(runs: Runs):
    ids = ["../../x", "A", "a", "CON", "x" * 500, "🙂", "."]
    for id in ids:
        runs.create(id).steps.create(id)
    assert sorted(info.id for info in runs) == sorted(ids)
    for id in ids:
        assert [step.id for step in runs[id].steps] == [id]


def test_a_status_is_replaced_by_a_rename_and_synced(run: RunHandle, monkeypatch: pytest.MonkeyPatch):
    calls = faults.Calls(monkeypatch, ["write", "sync", "rename", "sync_directory"])
    run.finish()
    assert calls.names()[:4] == ["write", "sync", "rename", "sync_directory"]
