"""Runs and their steps, as the store has them and in the words of `ThreadStore`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record, member
from fsstore.records.enums import RunStatus, RunStepStatus, RunStepType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fsstore.codec import Json, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError(Record):
    """Why a run failed."""

    code: str
    message: str
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo(Record):
    """What a run is: its `status.json`. Times are whole Unix seconds.

    Attributes:
        process: The `host` and `pid` of the process that last set it in progress; the store fills it in.
    """

    KIND = "the run"

    id: str
    thread_id: str
    status: RunStatus | str = RunStatus.QUEUED
    model: str = ""
    last_error: RunError | None = None
    created_at: int = field(default_factory=clock.default_now)
    process: Json = field(default=None, compare=False)
    extra: Object = field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return isinstance(self.status, RunStatus) and self.status.is_terminal

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        if "status" in known:
            known["status"] = member(RunStatus, known["status"])
        if isinstance(known.get("last_error"), dict):
            known["last_error"] = RunError.from_json({"code": "", "message": "", **known["last_error"]})
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo(Record):
    """What a step of a run is: its document under `steps`. Times are whole Unix seconds."""

    KIND = "the step"

    id: str
    run_id: str
    thread_id: str
    step_type: RunStepType | str = RunStepType.MESSAGE_CREATION
    status: RunStepStatus | str = RunStepStatus.IN_PROGRESS
    created_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    failed_at: int | None = None
    error: str | None = None
    step_details: Json = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        if "status" in known:
            known["status"] = member(RunStepStatus, known["status"])
        if "step_type" in known:
            known["step_type"] = member(RunStepType, known["step_type"])
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the words of `ThreadStore`."""

    id: str = field(default_factory=lambda: f"run_{uuid.uuid4().hex}")
    object: str = "thread.run"
    created_at: int = field(default_factory=clock.default_now)
    thread_id: str
    status: RunStatus | str = RunStatus.QUEUED
    model: str = ""
    last_error: RunError | None = None
    process: Json = field(default=None, compare=False)
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, info: RunInfo) -> Self:
        """Make it of a run's info."""
        return cls(**{name: getattr(info, name) for name in RunInfo.__slots__})

    def to_info(self) -> RunInfo:
        """Give what the store keeps of it."""
        return RunInfo(**{name: getattr(self, name) for name in RunInfo.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """A step of a run in the words of `ThreadStore`."""

    id: str = field(default_factory=lambda: f"step-{uuid.uuid4().hex}")
    object: str = "thread.run.step"
    run_id: str
    thread_id: str
    step_type: RunStepType | str = RunStepType.MESSAGE_CREATION
    status: RunStepStatus | str = RunStepStatus.IN_PROGRESS
    created_at: int = field(default_factory=clock.default_now)
    completed_at: int | None = None
    failed_at: int | None = None
    error: str | None = None
    step_details: Json = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, info: StepInfo) -> Self:
        """Make it of a step's info."""
        return cls(**{name: getattr(info, name) for name in StepInfo.__slots__})

    def to_info(self) -> StepInfo:
        """Give what the store keeps of it."""
        return StepInfo(**{name: getattr(self, name) for name in StepInfo.__slots__})
