"""The words that a status, a role or a source can be."""

from __future__ import annotations

from enum import StrEnum


class ThreadStatus(StrEnum):
    """What a thread is doing."""

    RUNNING = "running"
    IDLE = "idle"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    ARCHIVED = "archived"


class SessionSource(StrEnum):
    """How a thread was begun."""

    INTERACTIVE = "interactive"
    RESUME = "resume"
    FORK = "fork"
    API = "api"
    UNKNOWN = "unknown"


class MessageRole(StrEnum):
    """Who speaks in an assistants-style thread."""

    USER = "user"
    ASSISTANT = "assistant"


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this status has ended."""
        return self not in (RunStatus.QUEUED, RunStatus.IN_PROGRESS)


class RunStepType(StrEnum):
    """What a step of a run did."""

    MESSAGE_CREATION = "message_creation"
    TOOL_CALLS = "tool_calls"


class RunStepStatus(StrEnum):
    """Where a step stands."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether a step in this status has ended."""
        return self is not RunStepStatus.IN_PROGRESS


class ThreadGoalStatus(StrEnum):
    """Where a thread's goal stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    BLOCKED = "blocked"
    USAGE_LIMITED = "usage_limited"
    BUDGET_LIMITED = "budget_limited"
    COMPLETE = "complete"


class JobStateStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


class StopReason(StrEnum):
    """Why a model stopped."""

    COMPLETE = "complete"
    TIMEOUT = "timeout"
    MAX_STEPS = "max_steps"
    CONTEXT_OVERFLOW = "context_overflow"
    CANCELLED = "cancelled"
    ERROR = "error"


class EventType(StrEnum):
    """What a model did while it worked on an answer."""

    TEXT = "text"
    READING = "reading"
    WRITING = "writing"
    ERROR = "error"
    BASH = "bash"
    SNAPSHOT = "snapshot"
    REQUEST = "request"


class RunRating(StrEnum):
    """What somebody thought of the answer that was chosen."""

    NONE = ""
    GOOD = "good"
    BAD = "bad"


class RunType(StrEnum):
    """What a run of a `DataStore` session is: a prompt that was answered, or the mark that one was rewound."""

    NORMAL = ""
    REWIND = "rewind"
