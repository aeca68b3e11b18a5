"""Channel sessions: messages, what a session is and what it is doing, and how to look for it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from fsstore.records.base import Record
from fsstore.records.message_views import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fsstore.codec import Object
    from fsstore.records.messages import Message


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message in the words of `SessionStore`: its content is always text."""

    role: str
    content: str
    _: KW_ONLY
    extra: Object = field(default_factory=dict)

    @classmethod
    def system(cls, content: str) -> Self:
        """Make a message of the system's."""
        return cls("system", content)

    @classmethod
    def user(cls, content: str) -> Self:
        """Make a message of the user's."""
        return cls("user", content)

    @classmethod
    def assistant(cls, content: str) -> Self:
        """Make a message of the assistant's."""
        return cls("assistant", content)

    @classmethod
    def tool(cls, content: str) -> Self:
        """Make a message of a tool's."""
        return cls("tool", content)

    @classmethod
    def of(cls, message: Message) -> Self:
        """Make it of a message."""
        return cls(message.role, text_of(message.content), extra=message.extra)

    def to_append(self) -> Object:
        """Give the arguments of `Messages.append` and `Messages.replace_last` that store it.

        Raises:
            ValueError: Its content is no text.
        """
        if not isinstance(self.content, str):
            raise ValueError(f"the content of a session's message must be a string, not {type(self.content).__name__}")
        return {"role": self.role, "content": self.content, "extra": self.extra}


#: The word for a session in whose turn somebody works.
RUNNING = "running"
#: What is said for the assistant where a turn was interrupted.
INTERRUPTED = ChatMessage.assistant("[Interrupted before an answer was given; this request is closed.]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState(Record):
    """What a session is doing: idle, running, error, or any other word; a turn and its start (Unix seconds) while it runs."""

    KIND = "the state"

    state: str = "idle"
    turn_id: str | None = None
    turn_started_at: int | None = None
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetadata:
    """What a session is. Times are whole Unix seconds; `message_count` is how many messages `load` gives."""

    key: str
    name: str | None = None
    created_at: int = 0
    last_activity: int = 0
    message_count: int = 0
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """What to look for.

    Attributes:
        keyword: Words, any of which is enough; None for every session.
        limit: How many sessions at the most; None for all, 0 for none.
    """

    keyword: str | None = None
    limit: int | None = 50
