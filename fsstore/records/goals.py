"""The goal of a thread, and what was spent on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record
from fsstore.records.enums import ThreadGoalStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadGoalRecord(Record):
    """The goal of a thread. Times are whole Unix seconds.

    Attributes:
        thread_id: Its thread; a thread has one goal.
        goal_id: The goal's own id; another one begins another goal.
        objective: What is to be reached.
        status: Where it stands. A status that no member has reads as paused: it must not drive work.
        token_budget: How many tokens it may cost; None for any number.
        tokens_used: What it has cost so far.
        time_used_seconds: How long it has taken so far.
        continuation_count: How often it was gone on with.
    """

    KIND = "the goal"

    thread_id: str
    goal_id: str = field(default_factory=clock.new_id)
    objective: str = ""
    status: ThreadGoalStatus | str = ThreadGoalStatus.ACTIVE
    token_budget: int | None = None
    tokens_used: int = 0
    time_used_seconds: int = 0
    continuation_count: int = 0
    created_at: int = field(default_factory=clock.default_now)
    updated_at: int = field(default_factory=clock.default_now)
    extra: Object = field(default_factory=dict)

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        if "status" in known:
            try:
                known["status"] = ThreadGoalStatus(known["status"])
            except ValueError:
                known["status"] = ThreadGoalStatus.PAUSED
        return known
