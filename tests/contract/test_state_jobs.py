"""Jobs in `StateStore` (contract 2A, rows 28 to 31, part 0 first)."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import contract_children as children
import onroot
import pytest

from fsstore import (
    CorruptError,
    InvalidNameError,
    JobStateRecord,
    JobStateStatus,
    LockTimeoutError,
    StateStore,
    Store,
)

FULL = JobStateRecord(
    id="j",
    name="Index the repository",
    status=JobStateStatus.RUNNING,
    progress=40,
    detail='{"attempt": 2}',
    created_at=100,
    updated_at=150,
)


def ids(found: list[JobStateRecord]) -> list[str]:
    return [job.id for job in found]


def document(root: Path, job: str = "j") -> Path:
    return root / "jobs" / f"{job}.json"


# upsert_job, get_job


def test_a_job_comes_back_with_every_field(state: StateStore, root: Path) -> None:
    assert len(dataclasses.fields(JobStateRecord)) == 7 + 1  # the contract's, and `extra`
    state.upsert_job(FULL)
    assert state.get_job("j") == StateStore.open(root).get_job("j") == FULL


def test_a_job_of_an_id_alone_takes_defaults(state: StateStore) -> None:
    before = int(time.time())
    state.upsert_job(JobStateRecord(id="j"))
    found = state.get_job("j")
    assert found is not None
    assert (found.name, found.status, found.progress, found.detail) == ("", JobStateStatus.QUEUED, None, None)
    assert before <= found.created_at <= found.updated_at <= time.time()


def test_an_upsert_overwrites_every_field_the_time_of_creation_too(state: StateStore) -> None:
    state.upsert_job(FULL)
    other = JobStateRecord(id="j", name="n", status=JobStateStatus.FAILED, created_at=7, updated_at=8)
    state.upsert_job(other)
    assert state.get_job("j") == other


def test_an_upsert_with_no_created_at_keeps_the_old_one(state: StateStore) -> None:
    state.upsert_job(FULL)
    state.upsert_job(JobStateRecord(id="j"))
    found = state.get_job("j")
    assert found is not None
    assert found.created_at == 100
    assert found.updated_at > 150


def test_no_job_is_none(state: StateStore) -> None:
    assert state.get_job("missing") is None


@pytest.mark.parametrize("status", JobStateStatus)
def test_every_status_comes_back_as_the_enum_given_as_such_or_as_text(state: StateStore, status: JobStateStatus) -> None:
    for given in (status, status.value):
        state.upsert_job(dataclasses.replace(FULL, status=given))
        found = state.get_job("j")
        assert found is not None
        assert found.status is status


@pytest.mark.damaged
def test_an_unknown_status_is_kept_as_text_and_reported(state: StateStore, root: Path) -> None:
    state.upsert_job(FULL)
    onroot.edit(document(root), lambda fields: fields.update(status="dreaming"))
    found = state.get_job("j")
    assert found == dataclasses.replace(FULL, status="dreaming")
    assert state.list_jobs() == [found]
    state.upsert_job(dataclasses.replace(FULL, status="dreaming", progress=50))
    assert json.loads(document(root).read_text())["status"] == "dreaming"
    assert [problem.kind for problem in Store.open(root).check()] == ["unknown-value"]


def test_keys_that_no_field_knows_are_kept(state: StateStore, root: Path) -> None:
    state.upsert_job(dataclasses.replace(FULL, extra={"mine": {"deep": [1, None]}}))
    onroot.edit(document(root), lambda fields: fields.update(theirs="kept"))
    state.upsert_job(FULL)
    assert state.get_job("j") == dataclasses.replace(FULL, extra={"mine": {"deep": [1, None]}, "theirs": "kept"})


@pytest.mark.parametrize("progress", [None, 0, 1, 99, 100])
def test_progress_is_0_to_100_or_none(state: StateStore, progress: int | None) -> None:
    state.upsert_job(dataclasses.replace(FULL, progress=progress))
    assert state.get_job("j") == dataclasses.replace(FULL, progress=progress)


@pytest.mark.parametrize("progress", [-1, 101, 255, 256, 2**70, 50.0, "50", True, float("nan")], ids=repr)
def test_any_other_progress_is_a_value_error_and_changes_nothing(state: StateStore, root: Path, progress: object) -> None:
    state.upsert_job(FULL)
    before = onroot.snapshot(root)
    for id in ("j", "new"):
        with pytest.raises(ValueError, match="progress"):
            state.upsert_job(dataclasses.replace(FULL, id=id, progress=progress))  # type: ignore[arg-type]
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_what_json_cannot_hold_is_refused_before_anything_changes(state: StateStore, root: Path, value: object) -> None:
    before = onroot.snapshot(root)
    for wrong in ({"detail": value}, {"extra": {"key": value}}):
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            state.upsert_job(dataclasses.replace(FULL, **wrong))  # type: ignore[arg-type]
    assert onroot.snapshot(root) == before


def test_every_id_up_to_1000_characters_has_its_own_job_and_comes_back(state: StateStore, root: Path) -> None:
    for id in onroot.STRANGE_IDS:
        state.upsert_job(JobStateRecord(id=id, name=f"{id!r}", updated_at=1))
    with StateStore.open(root) as again:
        assert ids(again.list_jobs(None)) == list(reversed(onroot.STRANGE_IDS))
        assert [again.get_job(id) for id in reversed(onroot.STRANGE_IDS)] == again.list_jobs(None)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize("id", ["", "x" * 1001, "half \ud800"])
def test_an_id_that_cannot_be_kept_is_a_value_error(state: StateStore, root: Path, id: str) -> None:
    before = onroot.snapshot(root)
    for call in (lambda: state.upsert_job(JobStateRecord(id=id)), lambda: state.get_job(id), lambda: state.delete_job(id)):
        with pytest.raises(ValueError, match=r"id|JSON"):
            call()
    with pytest.raises(InvalidNameError):
        state.get_job(id)
    assert onroot.snapshot(root) == before


# list_jobs


def test_the_newest_update_is_first_and_of_one_time_the_last_written(state: StateStore, root: Path) -> None:
    for id, updated_at in (("a", 5), ("b", 9), ("c", 5), ("d", 7)):
        state.upsert_job(JobStateRecord(id=id, updated_at=updated_at))
    assert ids(state.list_jobs()) == ["b", "d", "c", "a"]
    state.upsert_job(JobStateRecord(id="a", updated_at=5, progress=1))
    assert ids(state.list_jobs()) == ids(StateStore.open(root).list_jobs()) == ["b", "d", "a", "c"]


def test_a_limit_is_100_where_nothing_is_said_none_is_all_and_0_is_none(root: Path) -> None:
    with StateStore.open(root, durability="process") as state:
        assert state.list_jobs() == []
        for number in range(103):
            state.upsert_job(JobStateRecord(id=f"j{number}", updated_at=number))
        newest = [f"j{number}" for number in range(102, -1, -1)]
        assert ids(state.list_jobs()) == newest[:100]
        assert (ids(state.list_jobs(None)), state.list_jobs(0), ids(state.list_jobs(3))) == (newest, [], newest[:3])
        assert ids(state.list_jobs(500)) == newest
        with pytest.raises(ValueError, match="-1"):
            state.list_jobs(-1)


# delete_job


def test_delete_says_whether_there_was_one_and_keeps_a_copy(state: StateStore, root: Path) -> None:
    state.upsert_job(FULL)
    before = document(root).read_bytes()
    assert [state.delete_job(id) for id in ("missing", "j", "j")] == [False, True, False]
    assert (state.get_job("j"), state.list_jobs()) == (None, [])
    assert [path.read_bytes() for path in root.glob(".fsstore/trash/*/jobs/j.json")] == [before]


def test_a_deleted_job_can_be_put_again_and_keeps_nothing_of_the_old(state: StateStore, root: Path) -> None:
    state.upsert_job(dataclasses.replace(FULL, extra={"mine": 1}))
    state.delete_job("j")
    begun = JobStateRecord(id="j")
    state.upsert_job(begun)
    assert state.get_job("j") == StateStore.open(root).get_job("j") == begun


def test_a_store_without_jobs_is_told_so_and_gets_no_directory(state: StateStore, root: Path) -> None:
    assert (state.get_job("j"), state.list_jobs(), state.delete_job("j")) == (None, [], False)
    assert not (root / "jobs").exists()


# Damage


@pytest.mark.damaged
@pytest.mark.parametrize("data", onroot.CORRUPT.values(), ids=onroot.CORRUPT)
def test_a_corrupt_job_is_an_error_is_not_listed_and_is_never_written_over(state: StateStore, root: Path, data: bytes) -> None:
    state.upsert_job(dataclasses.replace(FULL, id="other"))
    state.upsert_job(FULL)
    document(root).write_bytes(data)
    for call in (lambda: state.get_job("j"), lambda: state.upsert_job(FULL)):
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(document(root))
        assert raised.value.reason
    assert ids(state.list_jobs()) == ["other"]
    assert document(root).read_bytes() == data
    assert [(problem.kind, problem.path) for problem in Store.open(root).check()] == [("corrupt", "jobs/j.json")]
    assert state.delete_job("j") is True
    state.upsert_job(FULL)
    assert state.get_job("j") == FULL


@pytest.mark.damaged
@pytest.mark.parametrize("time_", [None, "then", [5], 1.5], ids=repr)
def test_a_time_that_is_none_stops_no_listing(state: StateStore, root: Path, time_: object) -> None:
    state.upsert_job(FULL)
    state.upsert_job(dataclasses.replace(FULL, id="other"))
    onroot.edit(document(root), lambda fields: fields.update(updated_at=time_))
    assert ids(state.list_jobs()) == ["other", "j"]


def test_a_refusal_of_the_system_is_never_taken_for_no_job(state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    state.upsert_job(FULL)
    onroot.refuse_to_open(monkeypatch, "jobs/j.json")
    calls = (lambda: state.get_job("j"), state.list_jobs, lambda: state.upsert_job(FULL), lambda: state.delete_job("j"))
    for call in calls:
        with pytest.raises(PermissionError):
            call()
    monkeypatch.undo()
    assert state.list_jobs() == [FULL]


# Beside others


def test_jobs_belong_to_no_thread(state: StateStore, thread: str) -> None:
    state.upsert_job(dataclasses.replace(FULL, id=thread))
    state.delete_thread(thread)
    assert ids(state.list_jobs()) == [thread]


def test_jobs_are_read_without_a_lock_and_written_under_one_of_their_own(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_job(FULL)
    with children.holding_jobs(root), StateStore.open(root, lock_timeout=0) as other:
        assert (other.get_job("j"), other.list_jobs()) == (FULL, [FULL])
        for call in (lambda: other.upsert_job(FULL), lambda: other.delete_job("j")):
            with pytest.raises(LockTimeoutError):
                call()
        other.append_message(thread, "user", "no job")
    with children.holding(root, thread), StateStore.open(root, lock_timeout=0) as other:
        other.upsert_job(dataclasses.replace(FULL, progress=41))
    assert state.list_jobs() == [dataclasses.replace(FULL, progress=41)]
