"""workflows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Result, fsstore

from fsstore import Store


@pytest.fixture
def traced(store: Store) -> Store:
    """A store of three workflow runs; in the first one everything happened that can."""
    review = store.workflows.create(
        "review", id="run-1", goal="Review it", started_at=60, status="completed", completed_at=3_721, metadata={"by": "ada"}
    )
    review.branches.create(
        "b1", branch_id="left", node_id="n1", started_at=60, status="completed", completed_at=72, result="fine"
    )
    review.branches.create("b2", branch_id="right", started_at=61)
    review.leaves.create(
        "l1", branch_run_id="b1", leaf_id="sum", task_id="t1", started_at=60, completed_at=64, status="failed", output=[1, 2]
    )
    review.leaves.create("l2", branch_run_id="b2", leaf_id="test", started_at=70)
    review.leaves.create("l3", branch_run_id="b1", leaf_id="sum", started_at=80, output=False)
    review.leaves.create("l4", leaf_id="alone", started_at=90)
    review.control_nodes.create("c1", node_id="pick", kind="vote", started_at=100, selected_children=["left", "right"])
    review.candidates.create(
        "t1",
        control_node_run_id="c1",
        branch_run_id="b1",
        candidate_id="a",
        score=0.5,
        passed=True,
        rationale="short",
        created_at=1,
    )
    review.candidates.create("t2", control_node_run_id="c1", candidate_id="b", passed=False, created_at=2)
    review.candidates.create("t3", candidate_id="c", score=1, created_at=3)
    store.workflows.create("triage", id="run-2", started_at=300, status="queued")
    store.workflows.create("review", id="other", goal="Again", started_at=200)
    store.workflows.create("review", id="run-12")
    store.workflows.delete("run-12")
    return store


LISTED = """\
RUN    STARTED           STATUS      WHAT
run-2  1970-01-01 00:05  queued      triage
other  1970-01-01 00:03  running     review: Again
run-1  1970-01-01 00:01  completed   review: Review it
"""


def test_runs_are_listed_the_last_started_first(traced: Store) -> None:
    assert fsstore("workflows", "--root", traced.root) == Result(0, LISTED, "")


def test_runs_for_programs_are_one_object_a_line_as_stored(traced: Store) -> None:
    rows = fsstore("workflows", "--json", "--root", traced.root).lines()
    assert rows == [traced.workflows[id].info().to_json() for id in ("run-2", "other", "run-1")]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--status", "running"], ["other"]),
        (["--workflow", "review"], ["other", "run-1"]),
        (["--workflow", "review", "--status", "completed"], ["run-1"]),
        (["--workflow", "review", "-n", "1"], ["other"]),
        (["--workflow", "rev"], []),
        (["--limit", "0"], []),
    ],
    ids=" ".join,
)
def test_runs_can_be_chosen(traced: Store, options: list[str], ids: list[str]) -> None:
    rows = fsstore("workflows", *options, "--json", "--root", traced.root).lines()
    assert [row["id"] for row in rows] == ids


def test_where_there_is_none_that_is_said(traced: Store, tmp_path: Path) -> None:
    assert fsstore("workflows", "--status", "lost", "--root", traced.root).out == f"No such workflow runs in {traced.root}.\n"
    empty = Store.open(tmp_path / "empty")
    assert fsstore("workflows", "--root", empty.root) == Result(0, f"No workflow runs in {empty.root}.\n", "")


SHOWN = """\
run-1  review

    Review it

status     completed
started    1970-01-01 00:01
completed  1970-01-01 01:02 after 1 h 1 min
metadata   {"by": "ada"}

branch left  completed after 12 s  node n1  -> fine
  leaf sum  failed after 4 s  task t1  -> 1 2
  leaf sum  running, begun 1970-01-01 00:01  -> false
branch right  running, begun 1970-01-01 00:01
  leaf test  running, begun 1970-01-01 00:01
leaf alone  running, begun 1970-01-01 00:01
control node pick  vote  running, begun 1970-01-01 00:01  selected left, right
  candidate a  score 0.5  passed  branch left  -> short
  candidate b  not passed
candidate c  score 1
"""


def test_a_run_is_shown_with_all_that_happened_in_it(traced: Store) -> None:
    result = fsstore("workflows", "run-1", "--root", traced.root)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == SHOWN.splitlines()


def test_a_run_in_which_nothing_happened_is_shown_alone(traced: Store) -> None:
    shown = "run-2  triage\nstatus   queued\nstarted  1970-01-01 00:05\n"
    assert fsstore("workflows", "run-2", "--root", traced.root) == Result(0, shown, "")


def test_a_run_for_programs_is_one_object_with_everything(traced: Store) -> None:
    (row,) = fsstore("workflows", "run-1", "--json", "--root", traced.root).lines()
    run = traced.workflows["run-1"]
    assert row == {
        "run": run.info().to_json(),
        "branches": [part.to_json() for part in run.branches],
        "leaves": [part.to_json() for part in run.leaves],
        "control_nodes": [part.to_json() for part in run.control_nodes],
        "candidates": [part.to_json() for part in run.candidates],
    }
    assert [len(row[kind]) for kind in ("branches", "leaves", "control_nodes", "candidates")] == [2, 4, 1, 3]


def test_what_names_a_part_that_was_deleted_stands_alone(traced: Store) -> None:
    run = traced.workflows["run-1"]
    run.branches.delete("b1")
    run.control_nodes.delete("c1")
    lines = fsstore("workflows", "run-1", "--root", traced.root).out.splitlines()
    assert [line.split("  ")[0] for line in lines[lines.index("") :] if line.startswith(("leaf", "candidate"))] == [
        "leaf sum",
        "leaf sum",
        "leaf alone",
        "candidate a",
        "candidate b",
        "candidate c",
    ]


def test_a_run_is_found_by_its_id_or_a_beginning_that_no_other_has(traced: Store) -> None:
    assert fsstore("workflows", "ot", "--root", traced.root).out.startswith("other  review\n")
    assert fsstore("workflows", "run-1", "--root", traced.root).out.startswith("run-1  review\n")
    assert fsstore("workflows", "run", "--root", traced.root).error(3) == "2 workflow runs begin with 'run': run-1, run-2"
    assert fsstore("workflows", "run-12", "--root", traced.root).error(3) == "workflow run run-12 not found"
    assert "is empty: `fsstore workflows` shows" in fsstore("workflows", "", "--root", traced.root).error(2)


@pytest.mark.parametrize("options", [["--status", "x"], ["--workflow", "x"], ["-n", "0"]], ids=" ".join)
def test_one_run_and_a_choice_exclude_each_other(traced: Store, options: list[str]) -> None:
    assert "RUN and --" in fsstore("workflows", "run-1", *options, "--root", traced.root).error(2)


@pytest.mark.damaged
def test_a_run_that_cannot_be_read_is_said_and_the_others_are_listed(traced: Store) -> None:
    path = Path(traced.root, "workflows", "run-1", "run.json")
    path.write_text("{")
    result = fsstore("workflows", "--root", traced.root)
    assert result.out == "".join(LISTED.splitlines(keepends=True)[:3])
    assert result.err.startswith(f"fsstore: passed over 1 workflow run that cannot be read, the first: {path}: ")
    assert fsstore("workflows", "run-1", "--root", traced.root).error(1).startswith(f"corrupt: {path}: ")


@pytest.mark.damaged
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_part_that_cannot_be_read_is_said_and_no_other_is_lost(traced: Store, options: list[str]) -> None:
    directory = Path(traced.root, "workflows", "run-1")
    for file in ("branches/b1.json", "candidates/t3.json"):
        (directory / file).write_text("{")
    result = fsstore("workflows", "run-1", *options, "--root", traced.root)
    assert result.err.startswith(f"fsstore: passed over 2 parts that cannot be read, the first: {directory}/branches/b1.json: ")
    if options:
        assert [part["id"] for part in json.loads(result.out)["leaves"]] == ["l1", "l2", "l3", "l4"]
    else:
        assert [line.split("  ")[0] for line in result.out.splitlines() if line.startswith("leaf")] == [
            "leaf sum",
            "leaf sum",
            "leaf alone",
        ]
