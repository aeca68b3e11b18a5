"""Workflow traces: a run of a workflow, and what happened in it.

Statuses are words of the workflow engine's own. Times are whole Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun(Record):
    """One run of a workflow. `metadata` is any JSON value."""

    KIND = "the workflow run"

    id: str = field(default_factory=clock.new_id)
    workflow_id: str
    goal: str = ""
    status: str = "running"
    input_hash: str | None = None
    started_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    metadata: Json = field(default_factory=dict)
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Record):
    """What the parts of a workflow run have in common."""

    id: str = field(default_factory=clock.new_id)
    workflow_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRun(Part):
    """One branch of a workflow run. `result` is any JSON value."""

    KIND = "the branch run"

    branch_id: str
    node_id: str = ""
    status: str = "running"
    started_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    result: Json = field(default_factory=dict)
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRun(Part):
    """One task of a workflow run. A later run may take over its `output` where leaf and `input_hash` are the same.

    `output` is any JSON value, `artifacts` a list of such.
    """

    KIND = "the leaf run"

    branch_run_id: str | None = None
    leaf_id: str
    task_id: str = ""
    input_hash: str | None = None
    status: str = "running"
    output: Json = field(default_factory=dict)
    artifacts: list[Json] = field(default_factory=list)
    started_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlNodeRun(Part):
    """One decision of a workflow run. `selected_children` is a list, `result` any JSON value."""

    KIND = "the control node run"

    node_id: str
    kind: str = ""
    status: str = "running"
    selected_children: list[Json] = field(default_factory=list)
    result: Json = field(default_factory=dict)
    started_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherCandidate(Part):
    """One answer that a teacher judged. `rationale` is any JSON value."""

    KIND = "the teacher candidate"

    control_node_run_id: str | None = None
    candidate_id: str
    branch_run_id: str | None = None
    score: float | None = None
    passed: bool | None = None
    rationale: Json = field(default_factory=dict)
    created_at: int = field(default_factory=clock.default_now)
    extra: Object = field(default_factory=dict)
