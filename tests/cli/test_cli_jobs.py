"""jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import Result, fsstore

from fsstore import Store
from fsstore.records.jobs import JobStateRecord


@pytest.fixture
def busy(store: Store) -> Store:
    """A store of three jobs, and one that was deleted."""
    for job in (
        JobStateRecord(id="index-1", name="Index it", status="running", progress=40, created_at=60, updated_at=120),
        JobStateRecord(id="index-2", name="", created_at=60, updated_at=300, detail='{"tries": 2}', extra={"by": "ada"}),
        JobStateRecord(id="upload", name="Upload", status="failed", progress=0, created_at=60, updated_at=60, detail="a\nb"),
        JobStateRecord(id="up", name="gone"),
    ):
        store.jobs.put(job)
    store.jobs.delete("up")
    return store


LISTED = """\
JOB      STATUS      PROGRESS  UPDATED           NAME
index-2  queued             -  1970-01-01 00:05
index-1  running          40%  1970-01-01 00:02  Index it
upload   failed            0%  1970-01-01 00:01  Upload
"""


def test_jobs_are_listed_the_last_updated_first(busy: Store) -> None:
    assert fsstore("jobs", "--root", busy.root) == Result(0, LISTED, "")


def test_jobs_for_programs_are_one_object_a_line_as_stored(busy: Store) -> None:
    rows = fsstore("jobs", "--json", "--root", busy.root).lines()
    assert rows == [busy.jobs[id].to_json() for id in ("index-2", "index-1", "upload")]
    assert rows[0]["by"] == "ada"


def test_the_list_can_be_cut(busy: Store) -> None:
    shown = [fsstore("jobs", "-n", str(limit), "--json", "--root", busy.root).lines() for limit in (0, 1)]
    assert [[row["id"] for row in rows] for rows in shown] == [[], ["index-2"]]


def test_a_store_without_jobs_says_so(store: Store) -> None:
    assert fsstore("jobs", "--root", store.root) == Result(0, f"No jobs in {store.root}.\n", "")
    assert fsstore("jobs", "--json", "--root", store.root) == Result(0, "", "")


SHOWN = """\
upload  Upload

    a
    b

status    failed
progress  0%
created   1970-01-01 00:01
updated   1970-01-01 00:01
"""


def test_a_job_is_shown_by_its_id_or_a_beginning_that_no_other_has(busy: Store) -> None:
    assert fsstore("jobs", "upload", "--root", busy.root) == Result(0, SHOWN, "")
    assert fsstore("jobs", "up", "--root", busy.root).out == SHOWN, "a deleted job is no job"
    assert fsstore("jobs", "index-2", "--json", "--root", busy.root).lines() == [busy.jobs["index-2"].to_json()]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("index", 3, "2 jobs begin with 'index': index-1, index-2"),
        ("UPLOAD", 3, "job UPLOAD not found"),
        ("x" * 1001, 3, f"job {'x' * 1001} not found"),
        ("", 2, "JOB is empty: `fsstore jobs` shows the jobs"),
    ],
    ids=["several", "none", "long", "empty"],
)
def test_what_names_no_job_or_several_is_refused(busy: Store, given: str, code: int, said: str) -> None:
    assert fsstore("jobs", given, "--root", busy.root).error(code) == said[:1000]


def test_one_job_and_a_limit_exclude_each_other(busy: Store) -> None:
    assert "JOB and --limit exclude" in fsstore("jobs", "upload", "-n", "3", "--root", busy.root).error(2)


@pytest.mark.damaged
def test_a_job_that_cannot_be_read_is_said_and_the_others_are_listed(busy: Store) -> None:
    path = Path(busy.root, "jobs", "index-1.json")
    path.write_text('{"id": \x1b')
    for options in ([], ["--json"], ["-n", "1"]):
        result = fsstore("jobs", *options, "--root", busy.root)
        assert "index-2" in result.out
        assert "index-1" not in result.out
        assert result.code == 0
        assert result.err.startswith(f"fsstore: passed over 1 job that cannot be read, the first: {path}: ")
    assert fsstore("jobs", "index-1", "--root", busy.root).error(1).startswith(f"corrupt: {path}: ")


@pytest.mark.damaged
def test_fields_of_another_type_are_shown_as_they_are(busy: Store) -> None:
    path = Path(busy.root, "jobs", "upload.json")
    text = path.read_text().replace('"progress": 0', '"progress": "much"').replace('"name": "Upload"', '"name": {"a": 1}')
    path.write_text(text.replace('"updated_at": 60', '"updated_at": "\\u001b[31m"'))
    listed = fsstore("jobs", "--root", busy.root).out.splitlines()[-1]
    assert re.split("  +", listed) == ["upload", "failed", "much%", r"\x1b[31m", '{"a": 1}']
    shown = fsstore("jobs", "upload", "--root", busy.root)
    assert (shown.code, shown.out.splitlines()[0]) == (0, 'upload  {"a": 1}')
    assert shown.out.endswith("updated   \\x1b[31m\n")
