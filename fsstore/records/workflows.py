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


class Trace(Record):
    """What all records of a workflow trace have in common."""

    __slots__ = ()
    #: The field that says what of the workflow's definition it is of.
    OF = ""

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        return {cls.OF: "", **known}  # a document of another make may lack it, and is shown all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun(Trace):
    """One run of a workflow. `metadata` is any JSON value."""

    KIND, OF = "the workflow run", "workflow_id"

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
class Part(Trace):
    """What the parts of a workflow run have in common."""

    id: str = field(default_factory=clock.new_id)
    workflow_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRun(Part):
    """One branch of a workflow run. `result` is any JSON value."""

    KIND, OF = "the branch run", "branch_id"

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

    KIND, OF = "the leaf run", "leaf_id"

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

    KIND, OF = "the control node run", "node_id"

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

    KIND, OF = "the teacher candidate", "candidate_id"

    control_node_run_id: str | None = None
    candidate_id: str
    branch_run_id: str | None = None
    score: float | None = None
    passed: bool | None = None
    rationale: Json = field(default_factory=dict)
    created_at: int = field(default_factory=clock.default_now)
    extra: Object = field(default_factory=dict)
