"""Jobs: work of the whole store, which belongs to no thread."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record, member
from fsstore.records.enums import JobStateStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStateRecord(Record):
    """A job. `progress` is 0 to 100, or None where nobody knows; times are whole Unix seconds."""

    KIND = "the job"

    id: str
    name: str = ""
    status: JobStateStatus | str = JobStateStatus.QUEUED
    progress: int | None = None
    detail: str | None = None
    created_at: int = field(default_factory=clock.default_now)
    updated_at: int = field(default_factory=clock.default_now)
    extra: Object = field(default_factory=dict)

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        if "status" in known:
            known["status"] = member(JobStateStatus, known["status"])
        return known
