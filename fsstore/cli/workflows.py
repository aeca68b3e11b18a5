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
    print_row,
    print_table,
    print_text,
    titled,
    when,
)
from fsstore.records.workflows import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from fsstore.codec import Json
    from fsstore.records.workflows import BranchRun, ControlNodeRun, LeafRun, TeacherCandidate, WorkflowRun
    from fsstore.resources.workflows import WorkflowHandle
    from fsstore.store import Store

Above = TypeVar("Above", bound=Part)
Below = TypeVar("Below", bound=Part)


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
            _print_list(store, store.workflows.recent(limit, status=status, workflow_id=workflow), as_json)
        else:
            known = store.workflows
            id = whole_id(run, "workflow run", "workflows", known.get, lambda: (one.id for one in known))
            _print_run(known[id], as_json)


def _print_list(store: Store, runs: list[WorkflowRun], as_json: bool) -> None:
    console = make_console()
    if as_json:
        for run in runs:
            emit(run.to_json())
    elif runs:
        columns = {"STARTED": "16", "STATUS": "10", "WHAT": ""}
        rows = (
            (when(run.started_at), brief(run.status, 20), f"{brief(run.workflow_id, 60)}: {brief(run.goal)}") for run in runs
        )
        print_table(console, "RUN", [run.id for run in runs], columns, rows)
    else:
        console.print(f"No such workflow runs in {clean(store.root)}.")
    note_unreadable(store.workflows.damage(), "workflow run")


def _print_run(handle: WorkflowHandle, as_json: bool) -> None:
    run, outline = handle.info(), Outline(handle)
    if as_json:
        emit({"run": run.to_json(), **outline.to_json()})
    else:
        console = make_console()
        _print_head(console, run)
        for indent, line in outline.lines():
            print_row(console, Text(indent).append_text(line))
    note_unreadable(handle.damage(), "part")


def _print_head(console: Console, run: WorkflowRun) -> None:
    console.print(titled(run.id, run.workflow_id))
    if run.goal:
        print_text(console, run.goal)
    fields = {"status": _state(run.status, run.started_at, run.completed_at)}
    if run.metadata:
        fields["metadata"] = brief(run.metadata)
    print_fields(console, fields)
    console.print()
