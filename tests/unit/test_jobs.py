from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import children
import pytest
from processes import run_all

from fsstore import (
    CorruptError,
    JobStateRecord,
    JobStateStatus,
    LockTimeoutError,
    NotFoundError,
    ReadOnlyError,
    Store,
    clock,
)
from fsstore.resources.jobs import Jobs


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return store.jobs


def on_disk(store: Store, id: str = "j") -> dict[str, object]:
    return json.loads(Path(store.root, "jobs", f"{id}.json").read_text())


def test_what_was_put_is_there(store: Store, jobs: Jobs):
    job = JobStateRecord(id="j", name="Index", progress=5, detail="{}", extra={"mine": [1]})
    jobs.put(job)
    assert jobs["j"] == jobs.get("j") == job
    assert list(jobs) == jobs.recent() == [job]
    said = on_disk(store)
    versions = said.pop("versions")
    assert said == {**job.to_json(), "id": "j"}
    assert versions == {"": versions["id"], "id": versions["id"]}


def test_what_is_not_there_is_none_or_raises(store: Store, jobs: Jobs):
    assert (jobs.get("j"), jobs.recent(), list(jobs), jobs.damage(), jobs.delete("j")) == (None, [], [], [], False)
    for call in (lambda: jobs["j"], lambda: jobs.update("j", progress=1)):
        with pytest.raises(NotFoundError, match="job j not found"):
            call()
    assert not Path(store.root, "jobs").exists()


def test_jobs_are_one_object_of_the_store(store: Store):
    assert store.jobs is store.jobs


def test_an_update_changes_what_it_names_and_tells_the_time(store: Store, jobs: Jobs):
    jobs.put(JobStateRecord(id="j", name="Index", created_at=1, updated_at=2, extra={"mine": 1}))
    updated = jobs.update("j", progress=50, status=JobStateStatus.RUNNING)
    assert updated == jobs["j"]
    assert (updated.name, updated.progress, updated.status) == ("Index", 50, JobStateStatus.RUNNING)
    assert (updated.created_at, updated.extra) == (1, {"mine": 1})
    assert clock.now() - 5 <= updated.updated_at <= clock.now()
    assert set(on_disk(store)["versions"]) == {"", "id", "progress", "status", "updated_at"}
    assert jobs.update("j", status="completed", updated_at=7).updated_at == 7
    assert jobs["j"].status is JobStateStatus.COMPLETED
    assert jobs.update("j", progress=None).progress is None


@pytest.mark.parametrize("wrong", [{"progress": 101}, {"progress": "5"}, {"detail": float("nan")}, {"versions": 1}], ids=repr)
def test_an_update_that_is_refused_changes_nothing(store: Store, jobs: Jobs, wrong: dict[str, object]):
    jobs.put(JobStateRecord(id="j"))
    before = on_disk(store)
    with pytest.raises(ValueError, match=r"progress|JSON|versions"):
        jobs.update("j", **wrong)
    assert on_disk(store) == before


def test_an_inserted_job_keeps_its_place_among_those_of_one_time(jobs: Jobs):
    jobs.put(JobStateRecord(id="mine", updated_at=5))
    old = JobStateRecord(id="old", created_at=1, updated_at=5)
    assert jobs.insert(old, clock.spell_id(5_000 << 12, clock.random_suffix())) is True
    assert jobs["old"] == old
    assert [job.id for job in jobs.recent()] == ["mine", "old"]
    assert jobs.insert(old, clock.new_id()) is False
    jobs.delete("old")
    assert jobs.insert(old, clock.new_id()) is False
    with pytest.raises(ValueError, match="progress"):
        jobs.insert(JobStateRecord(id="new", progress=101), clock.new_id())
    assert [job.id for job in jobs] == ["mine"]


def test_a_limit_is_counted_after_sorting(jobs: Jobs):
    for number in (3, 1, 2):
        jobs.put(JobStateRecord(id=f"j{number}", updated_at=number))
    assert [job.id for job in jobs.recent(2)] == ["j3", "j2"]
    assert jobs.recent(0) == []
    with pytest.raises(ValueError, match="-5"):
        jobs.recent(-5)


@pytest.mark.damaged
def test_a_corrupt_job_is_told_and_passed_over(store: Store, jobs: Jobs):
    jobs.put(JobStateRecord(id="good"))
    jobs.put(JobStateRecord(id="bad"))
    path = Path(store.root, "jobs", "bad.json")
    path.write_text("{")
    assert [job.id for job in jobs] == ["good"]
    assert [error.path for error in jobs.damage()] == [str(path)]
    for call in (lambda: jobs["bad"], lambda: jobs.put(JobStateRecord(id="bad")), lambda: jobs.update("bad", name="n")):
        with pytest.raises(CorruptError):
            call()
    assert path.read_text() == "{"
    assert jobs.delete("bad") is True
    assert jobs.damage() == []


@pytest.mark.damaged
def test_a_progress_that_another_program_wrote_is_shown_as_it_stands(store: Store, jobs: Jobs):
    jobs.put(JobStateRecord(id="j"))
    path = Path(store.root, "jobs", "j.json")
    path.write_text(json.dumps({**on_disk(store), "progress": 300}))
    assert jobs["j"].progress == 300
    with pytest.raises(ValueError, match="300"):
        jobs.update("j", name="n")
    assert jobs.update("j", progress=100).progress == 100


def test_a_read_only_store_and_a_held_lock_take_no_job(store: Store, jobs: Jobs):
    jobs.put(JobStateRecord(id="j"))
    calls = (
        lambda other: other.put(JobStateRecord(id="j")),
        lambda other: other.update("j", name="n"),
        lambda other: other.delete("j"),
    )
    with Store.open(store.root, read_only=True) as reader, Store.open(store.root, lock_timeout=0) as hasty:
        with store._root.locks["jobs"]:
            for call in calls:
                with pytest.raises(LockTimeoutError):
                    call(hasty.jobs)
        for call in calls:
            with pytest.raises(ReadOnlyError):
                call(reader.jobs)
    assert list(jobs) == [JobStateRecord(id="j", created_at=jobs["j"].created_at, updated_at=jobs["j"].updated_at)]


def test_updates_of_different_fields_by_several_processes_are_all_kept(root: Path, jobs: Jobs):
    jobs.put(JobStateRecord(id="j"))
    jobs = children.patient(str(root)).jobs
    mine = [
        threading.Thread(target=lambda name=name: [jobs.update("j", **{name: f"{number}"}) for number in range(15)])
        for name in ("name", "detail")
    ]
    for one in mine:
        one.start()
    run_all(children.update_job_often, [(str(root), "j", "first", 15), (str(root), "j", "second", 15)])
    for one in mine:
        one.join()
    found = jobs["j"]
    assert (found.name, found.detail, found.extra) == ("14", "14", {"first": "14", "second": "14"})
    assert os.listdir(root / "jobs") == ["j.json"]
