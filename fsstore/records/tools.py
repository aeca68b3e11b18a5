"""Dynamic tools: what a thread's agent may call beside what it always may."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore.records.base import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicToolRecord(Record):
    """A tool. `position` orders the set, and is unique in it; `input_schema` is a JSON object."""

    KIND = "the tool"

    position: int
    name: str
    description: str | None = None
    input_schema: Object = field(default_factory=dict)
    extra: Object = field(default_factory=dict)
