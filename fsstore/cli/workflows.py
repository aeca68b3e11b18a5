"""`fsstore workflows`: what happened in runs of workflows."""

from __future__ import annotations

from typing import TypeVar

import click
from rich.text import Text

from fsstore.cli.options import limit_option, open_store, refuse_beside, store_options, whole_id
from fsstore.cli.output import (
    brief,
    clean,
    emit,
    how_long,
    make_console,
    note_unreadable,
    print_fields,
    print_head,
    print_row,
    print_table,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from fsstore.codec import Json, Object
    from fsstore.records.workflows import BranchRun, ControlNodeRun, LeafRun, Part, TeacherCandidate, WorkflowRun
    from fsstore.resources.workflows import WorkflowHandle
    from fsstore.store import Store

Above = TypeVar("Above", bound="Part")
Below = TypeVar("Below", bound="Part")


@click.command(short_help="List the workflow runs, or show one.")
@click.argument("run", required=False)
@click.option("--status", metavar="WORD", help="Only runs of this status.")
@click.option("--workflow", metavar="ID", help="Only runs of this workflow.")
@limit_option("runs")
@store_options
def workflows(run: str | None, status: str | None, workflow: str | None, limit: int | None, root: str, as_json: bool) -> None:
    """List the workflow runs, the last started first; with RUN, show that one and all that happened in it.

    A leaf stands below its branch, and what a teacher judged below the control node that asked for it.
    """
    if run is not None:
        refuse_beside("RUN", {"--status": status, "--workflow": workflow, "--limit": limit})
    with open_store(root) as store:
        if run is None:
            _print_list(store, limit, status, workflow, as_json)
        else:
            known = store.workflows
            id = whole_id(run, "workflow run", "workflows", known.get, lambda: (one.id for one in known))
            _print_run(known[id], as_json)


def _print_list(store: Store, limit: int | None, status: str | None, workflow: str | None, as_json: bool) -> None:
    runs = store.workflows.recent(limit, status=status, workflow_id=workflow)
    console = make_console()
    if as_json:
        for run in runs:
            emit(run.to_json())
    elif runs:
        columns = {"STARTED": "16", "STATUS": "10", "WHAT": ""}
        rows = ((when(run.started_at), brief(run.status, 20), _what(run)) for run in runs)
        print_table(console, "RUN", [run.id for run in runs], columns, rows)
    else:
        such = "" if status is workflow is None else "such "
        console.print(f"No {such}workflow runs in {clean(store.root)}.")
    note_unreadable(store.workflows.damage(), "workflow run")


def _what(run: WorkflowRun) -> str:
    return f"{brief(run.workflow_id, 60)}: {brief(run.goal)}" if run.goal else brief(run.workflow_id, 60)


def _print_run(handle: WorkflowHandle, as_json: bool) -> None:
    run, trace = handle.info(), Trace(handle)
    if as_json:
        emit({"run": run.to_json(), **trace.to_json()})
    else:
        console = make_console()
        _print_head(console, run)
        lines = list(trace.outline())
        if lines:
            console.print()
        for line in lines:
            print_row(console, line)
    note_unreadable(handle.damage(), "part")


def _print_head(console: Console, run: WorkflowRun) -> None:
    print_head(console, run.id, run.workflow_id, run.goal)
    fields = {"status": brief(run.status, 40), "started": when(run.started_at)}
    if run.completed_at is not None:
        fields["completed"] = f"{when(run.completed_at)}{_after(run.started_at, run.completed_at)}"
    if run.metadata:
        fields["metadata"] = brief(run.metadata)
    print_fields(console, fields)


class Trace:
    """All that happened in a workflow run."""

    def __init__(self, run: WorkflowHandle) -> None:
        self.branches = list(run.branches)
        self.leaves = list(run.leaves)
        self.control_nodes = list(run.control_nodes)
        self.candidates = list(run.candidates)

    def to_json(self) -> Object:
        """Give the parts for programs, each kind by its name."""
        return {kind: [part.to_json() for part in parts] for kind, parts in vars(self).items()}

    def outline(self) -> Iterator[Text]:
        """Give a line a part, indented below the part that it belongs to."""
        names = {branch.id: branch.branch_id for branch in self.branches}
        yield from _nested(self.branches, _branch, self.leaves, _leaf, lambda leaf: leaf.branch_run_id)
        yield from _nested(
            self.control_nodes,
            _control_node,
            self.candidates,
            lambda candidate: _candidate(candidate, names),
            lambda candidate: candidate.control_node_run_id,
        )


def _nested(
    above: list[Above],
    draw: Callable[[Above], Text],
    below: list[Below],
    draw_below: Callable[[Below], Text],
    belongs_to: Callable[[Below], str | None],
) -> Iterator[Text]:
    groups: dict[str | None, list[Text]] = {part.id: [] for part in above}
    for part in below:
        id = belongs_to(part)
        groups.setdefault(id if id in groups else None, []).append(draw_below(part))
    for upper in above:
        yield draw(upper)
        yield from (Text("  ").append_text(line) for line in groups[upper.id])
    yield from groups.get(None, ())


def _branch(branch: BranchRun) -> Text:
    state = _state(branch.status, branch.started_at, branch.completed_at)
    return _line("branch", branch.branch_id, state, _named("node", branch.node_id), _result(branch.result))


def _leaf(leaf: LeafRun) -> Text:
    state = _state(leaf.status, leaf.started_at, leaf.completed_at)
    return _line("leaf", leaf.leaf_id, state, _named("task", leaf.task_id), _result(leaf.output))


def _control_node(node: ControlNodeRun) -> Text:
    state = _state(node.status, node.started_at, node.completed_at)
    selected = _named("selected", node.selected_children)
    return _line("control node", node.node_id, brief(node.kind, 40), state, selected, _result(node.result))


def _candidate(candidate: TeacherCandidate, branches: dict[str, str]) -> Text:
    passed = "" if candidate.passed is None else "passed" if candidate.passed else "not passed"
    score = "" if candidate.score is None else f"score {brief(candidate.score, 20)}"
    branch = _named("branch", branches.get(candidate.branch_run_id or ""))
    return _line("candidate", candidate.candidate_id, score, passed, branch, _result(candidate.rationale))


def _line(kind: str, name: str, *facts: str) -> Text:
    line = Text(f"{kind} ", style="dim").append(brief(name, 60), style="not dim bold")
    return line.append("".join(f"  {fact}" for fact in facts if fact), style="not dim")


def _named(what: str, value: Json) -> str:
    words = ", ".join(brief(one, 60) for one in value) if isinstance(value, list) else brief(value or "", 60)
    return f"{what} {words}" if words else ""


def _state(status: Json, started: Json, completed: Json) -> str:
    after = f", begun {when(started)}" if completed is None else _after(started, completed)
    return brief(status, 40) + after


def _after(started: Json, completed: Json) -> str:
    known = type(started) is int and type(completed) is int
    return f" after {how_long(completed - started)}" if known else ""


def _result(value: Json) -> str:
    return "" if value in ({}, None) else f"-> {brief(value)}"
