"""Checkpoints: states that a caller can come back to."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord(Record):
    """A state that was saved. `created_at` is the time of the last save, in whole Unix seconds; `state` is any JSON value."""

    thread_id: str
    checkpoint_id: str
    state: Json = None
    created_at: int = field(default_factory=clock.now)
    extra: Object = field(default_factory=dict)
