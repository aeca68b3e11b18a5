"""What models answer, and the checkpoint of a run that was interrupted."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.enums import EventType, StopReason
from fsstore.records.nested import NestedRecord, Word, many, one, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from fsstore.codec import Json, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWrite(NestedRecord):
    """A file that a model wants written, or deleted."""

    path: str
    content: str = ""
    delete: bool = False
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteEntry(NestedRecord):
    """A file that a model wanted written, or deleted, as the content of its run keeps it."""

    path: str
    content: str = ""
    delete: bool = False
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry(NestedRecord):
    """Something that a model did while it worked; `data` is any JSON value."""

    PARTS = parts(type=Word(EventType))

    type: EventType | str
    data: Json = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse(NestedRecord):
    """What one model answered. An empty `error` means that nothing went wrong."""

    PARTS = parts(proposed_writes=many(one(FileWrite)), stop_reason=Word(StopReason))

    model_id: str
    text: str = ""
    latency_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    proposed_writes: list[FileWrite] = field(default_factory=list)
    tool_calls: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    error: str = ""
    interrupted: bool = False
    stop_reason: StopReason | str = ""
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSnapshot(NestedRecord):
    """What one model had answered when a checkpoint was made. `completed`: it was not interrupted, and nothing went wrong."""

    PARTS = parts(proposed_writes=many(one(FileWrite)))

    model_id: str
    text: str = ""
    latency_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    proposed_writes: list[FileWrite] = field(default_factory=list)
    tool_calls: dict[str, int] = field(default_factory=dict)
    error: str = ""
    interrupted: bool = False
    completed: bool = False
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, response: ModelResponse) -> Self:
        """Make it of a response."""
        shared = {name: getattr(response, name) for name in cls.__slots__ if name not in ("completed", "extra")}
        return cls(**shared, completed=not response.interrupted and not response.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(NestedRecord):
    """A run that was interrupted: its prompt and what each model had answered, in the order of `adapter_ids`.

    `run_id` is what the savers of one run share: see `RunCheckpoint.saver`.
    """

    PARTS = parts(responses=many(one(ResponseSnapshot)))

    prompt: str
    timestamp: int = field(default_factory=clock.now)
    adapter_ids: list[str] = field(default_factory=list)
    responses: list[ResponseSnapshot] = field(default_factory=list)
    verbose: bool = False
    run_id: str = ""
    extra: Object = field(default_factory=dict)

    @classmethod
    def build(
        cls, prompt: str, adapter_ids: Iterable[str], responses: Iterable[ModelResponse], *, verbose: bool = False
    ) -> Self | None:
        """Make the checkpoint of a run, or None where no response was interrupted: then there is nothing to resume."""
        snapshots = [ResponseSnapshot.of(response) for response in responses]
        if not any(snapshot.interrupted for snapshot in snapshots):
            return None
        return cls(prompt=prompt, adapter_ids=list(adapter_ids), responses=snapshots, verbose=verbose)
