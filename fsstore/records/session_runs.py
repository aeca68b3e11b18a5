"""The histories and runs of a `DataStore` session."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.enums import MessageRole, RunRating, RunType, StopReason
from fsstore.records.nested import NestedRecord, Word, each, many, one, parts
from fsstore.records.responses import EventEntry, ModelResponse, WriteEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsstore.codec import Object

#: Characters of a prompt that a preview shows.
PREVIEW = 120


def preview(prompt: str) -> str:
    """Give the beginning of a prompt."""
    return prompt[:PREVIEW]


def prompt_hash(prompt: str) -> str:
    """Give what stands for a prompt where runs of one prompt are told from others."""
    import hashlib  # loads OpenSSL, which few programs need

    return f"ph_{hashlib.sha256(prompt.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTurn(NestedRecord):
    """One turn of a panel's history."""

    PARTS = parts(role=Word(MessageRole))

    role: MessageRole | str
    content: str
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary(NestedRecord):
    """What a run came to, model by model, or the mark that one was rewound. Times are whole Unix seconds."""

    PARTS = parts(rating=Word(RunRating), type=Word(RunType))

    id: str = ""
    timestamp: int = field(default_factory=clock.now)
    prompt_hash: str = ""
    prompt_preview: str = ""
    models: list[str] = field(default_factory=list)
    selected: str = ""
    rating: RunRating | str = RunRating.NONE
    type: RunType | str = RunType.NORMAL
    latencies_ms: dict[str, int] = field(default_factory=dict)
    costs_usd: dict[str, float] = field(default_factory=dict)
    input_tokens: dict[str, int] = field(default_factory=dict)
    output_tokens: dict[str, int] = field(default_factory=dict)
    tool_calls: dict[str, dict[str, int]] = field(default_factory=dict)
    proposed_writes_count: dict[str, int] = field(default_factory=dict)
    applied_files: list[str] = field(default_factory=list)
    config_hash: str = ""
    note: str = ""
    extra: Object = field(default_factory=dict)

    @property
    def is_rewind(self) -> bool:
        """Whether this is no run, but the mark that one was rewound."""
        return self.type == RunType.REWIND


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRunContent(NestedRecord):
    """What one model said and did in a run."""

    PARTS = parts(
        proposed_writes=many(one(WriteEntry)),
        events=many(one(EventEntry)),
        stop_reason=Word(StopReason),
    )

    model_id: str
    text: str = ""
    proposed_writes: list[WriteEntry] = field(default_factory=list)
    events: list[EventEntry] = field(default_factory=list)
    stop_reason: StopReason | str = ""
    steps: int = 0
    reasoning_tokens: int = 0
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent(NestedRecord):
    """All that was said in a run."""

    PARTS = parts(models=many(one(ModelRunContent)))

    prompt: str
    prompt_hash: str = ""
    models: list[ModelRunContent] = field(default_factory=list)
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContent(NestedRecord):
    """All that was said in a session: its runs, oldest first, and the histories of its panels."""

    PARTS = parts(runs=many(one(RunContent)), histories=each(many(one(ConversationTurn))))

    session_id: str = ""
    runs: list[RunContent] = field(default_factory=list)
    histories: dict[str, list[ConversationTurn]] = field(default_factory=dict)
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSessionMetadata(NestedRecord):
    """What a `DataStore` session is. Times are whole Unix seconds; `runs` are its runs and rewind marks, oldest first."""

    PARTS = parts(runs=many(one(RunSummary)))

    id: str
    created_at: int = field(default_factory=clock.now)
    last_active_at: int = field(default_factory=clock.now)
    models: list[str] = field(default_factory=list)
    first_prompt: str = ""
    last_prompt: str = ""
    prompt_count: int = 0
    config_hash: str = ""
    runs: list[RunSummary] = field(default_factory=list)
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionParams:
    """Which answer was chosen. `prompt` and `responses` are for the caller's own use; nothing is kept of them."""

    selected_model_id: str
    prompt: str = ""
    responses: Sequence[ModelResponse] = ()
    applied_files: Sequence[str] = ()
    rating: RunRating | str = RunRating.NONE
