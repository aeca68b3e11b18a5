"""What a CodeWhale database holds: each table's columns, and each value as what its column must be.

SQLite keeps any type in any column, so nothing here is taken on trust: what a column must not hold is reported, and kept
beside the rest under `codewhale`, with something harmless in its place; a row that makes no sense without it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsstore.codec import ABSENT
from fsstore.upkeep.codewhale_values import (
    ENTRY,
    FLAG,
    ITEM,
    KEY,
    LEAF,
    LIST,
    MAYBE_FLAG,
    MAYBE_KEY,
    MAYBE_TEXT,
    MAYBE_WHOLE,
    MOMENT,
    NEEDED_JSON,
    NEEDED_TEXT,
    NEEDED_WHOLE,
    OBJECT,
    PARENT,
    PROGRESS,
    SCORE,
    TEXT,
    WHOLE,
    readable,
    word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fsstore.codec import Object
    from fsstore.upkeep.codewhale_values import Column, Value

#: Where in `extra` the values stand that could not be taken.
KEPT_UNDER = "codewhale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A row that could not be taken, or not as it stands.

    Attributes:
        table: Its table; the session index counts as one.
        key: Its key, or its line.
        reason: Why, and what was done instead.
    """

    table: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.reason}"


_TABLES = (
    "threads messages checkpoints thread_dynamic_tools thread_goals jobs"
    " workflow_runs branch_runs leaf_runs control_node_runs teacher_candidates"
)
THREADS, MESSAGES, CHECKPOINTS, TOOLS, GOALS, JOBS, RUNS, BRANCHES, LEAVES, NODES, CANDIDATES = _TABLES.split()

_NAMED = {"id": KEY, "status": word("unknown"), "started_at": WHOLE, "completed_at": MAYBE_WHOLE}

#: The columns of each table that a move takes.
COLUMNS: Mapping[str, Mapping[str, Column]] = {
    THREADS: {
        "id": KEY,
        "rollout_path": MAYBE_TEXT,
        "preview": TEXT,
        "ephemeral": FLAG,
        "model_provider": TEXT,
        "created_at": WHOLE,
        "updated_at": WHOLE,
        "status": word("idle"),
        "path": MAYBE_TEXT,
        "cwd": TEXT,
        "cli_version": TEXT,
        "source": word("unknown"),
        "title": MAYBE_TEXT,
        "sandbox_policy": MAYBE_TEXT,
        "approval_mode": MAYBE_TEXT,
        "archived": FLAG,
        "archived_at": MAYBE_WHOLE,
        "git_sha": MAYBE_TEXT,
        "git_branch": MAYBE_TEXT,
        "git_origin_url": MAYBE_TEXT,
        "memory_mode": MAYBE_TEXT,
        "current_leaf_id": LEAF,
    },
    MESSAGES: {
        "id": ENTRY,
        "role": TEXT,
        "content": TEXT,
        "item_json": ITEM,
        "created_at": MOMENT,
        "parent_entry_id": PARENT,
    },
    CHECKPOINTS: {"thread_id": KEY, "checkpoint_id": KEY, "state_json": NEEDED_JSON, "created_at": WHOLE},
    TOOLS: {
        "position": NEEDED_WHOLE,
        "name": NEEDED_TEXT,
        "description": MAYBE_TEXT,
        "input_schema": NEEDED_JSON,
    },
    GOALS: {
        "thread_id": KEY,
        "goal_id": TEXT,
        "objective": TEXT,
        "status": word("paused"),
        "token_budget": MAYBE_WHOLE,
        "tokens_used": WHOLE,
        "time_used_seconds": WHOLE,
        "created_at": WHOLE,
        "updated_at": WHOLE,
        "continuation_count": WHOLE,
    },
    JOBS: {
        "id": KEY,
        "name": TEXT,
        "status": word("queued"),
        "progress": PROGRESS,
        "detail": MAYBE_TEXT,
        "created_at": WHOLE,
        "updated_at": WHOLE,
    },
    RUNS: {**_NAMED, "workflow_id": TEXT, "goal": TEXT, "input_hash": MAYBE_TEXT, "metadata_json": OBJECT},
    BRANCHES: {**_NAMED, "workflow_run_id": KEY, "branch_id": TEXT, "node_id": TEXT, "result_json": OBJECT},
    LEAVES: {
        **_NAMED,
        "workflow_run_id": KEY,
        "branch_run_id": MAYBE_KEY,
        "leaf_id": TEXT,
        "task_id": TEXT,
        "input_hash": MAYBE_TEXT,
        "output_json": OBJECT,
        "artifacts_json": LIST,
    },
    NODES: {
        **_NAMED,
        "workflow_run_id": KEY,
        "node_id": TEXT,
        "kind": TEXT,
        "selected_children_json": LIST,
        "result_json": OBJECT,
    },
    CANDIDATES: {
        "id": KEY,
        "workflow_run_id": KEY,
        "control_node_run_id": MAYBE_KEY,
        "candidate_id": TEXT,
        "branch_run_id": MAYBE_KEY,
        "score": SCORE,
        "passed": MAYBE_FLAG,
        "rationale_json": OBJECT,
        "created_at": WHOLE,
    },
}
#: The columns that name a row of a table, where that is not its `id`.
KEYS = {CHECKPOINTS: ("thread_id", "checkpoint_id"), TOOLS: ("thread_id", "position"), GOALS: ("thread_id",)}
#: The field of its record that each column becomes.
_FIELDS = {name: name.removesuffix("_json") for columns in COLUMNS.values() for name in columns} | {"title": "name"}


def take_row(table: str, row: Mapping[str, Value], report: Callable[[str], None]) -> Object | None:
    """Give the fields of a row's record, or None where the row is refused.

    Args:
        table: Its table.
        row: Its values by column, those that this version of the database has.
        report: Takes what is wrong with it.
    """
    fields: Object = {}
    kept: Object = {}
    for name, column in COLUMNS[table].items():
        if name not in row and column.instead:
            fields[_FIELDS[name]] = column.instead(ABSENT)
            continue
        value = row.get(name)
        try:
            fields[_FIELDS[name]] = column.take(value)
        except ValueError as error:
            report(f"{name} {error}")
            if column.instead is None:
                return None
            fields[_FIELDS[name]] = column.instead(value)
            kept[name] = value if isinstance(value, int) else readable(value)
    return {**fields, "extra": {KEPT_UNDER: kept} if kept else {}}
