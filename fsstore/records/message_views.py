"""Messages in the words of the stores."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import member
from fsstore.records.enums import MessageRole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fsstore.codec import Json, Object
    from fsstore.records.messages import Message


def text_of(content: Json) -> str:
    """Give the text of any content: a string itself, or the text blocks of a list joined with newlines."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(text for block in content if (text := _block_text(block)) is not None)


def _block_text(block: Json) -> str | None:
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) else None
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else None


def blocks_of(content: Json) -> list[Json]:
    """Give any content as a list of content blocks."""
    if isinstance(content, list):
        return content
    text = content if isinstance(content, str) else ""
    blocks: list[Json] = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return blocks if isinstance(content, str) else [content]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """A message in the words of `StateStore`.

    Attributes:
        content: As stored: a string, or any JSON value.
        item: None both for null and for none; `has_item` tells them apart.
        parent_entry_id: The message above it, or None.
    """

    id: str
    thread_id: str
    role: str
    content: Json
    item: Json = None
    has_item: bool = False
    created_at: int = field(default_factory=clock.default_now)
    parent_entry_id: str | None = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, thread_id: str, message: Message) -> Self:
        """Make it of a message."""
        return cls(
            id=message.id,
            thread_id=thread_id,
            role=message.role,
            content=message.content,
            item=message.item if message.has_item else None,
            has_item=message.has_item,
            created_at=message.created_at,
            parent_entry_id=message.parent_id,
            extra=message.extra,
        )

    def text_content(self) -> str:
        """Give the content as text; text blocks are joined with newlines."""
        return text_of(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMessage:
    """A message in the words of `ThreadStore`: its content is always a list of blocks."""

    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    object: str = "thread.message"
    created_at: int = field(default_factory=clock.default_now)
    thread_id: str
    role: MessageRole | str
    content: list[Json]
    run_id: str | None = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def new_user(cls, thread_id: str, text: str) -> Self:
        """Make a user's message of a text."""
        return cls(thread_id=thread_id, role=MessageRole.USER, content=blocks_of(text))

    @classmethod
    def new_assistant(cls, thread_id: str, run_id: str, text: str) -> Self:
        """Make an assistant's message of a text, made by a run."""
        return cls(thread_id=thread_id, role=MessageRole.ASSISTANT, content=blocks_of(text), run_id=run_id)

    @classmethod
    def of(cls, thread_id: str, message: Message) -> Self:
        """Make it of a message."""
        return cls(
            id=message.id,
            created_at=message.created_at,
            thread_id=thread_id,
            role=member(MessageRole, message.role),
            content=blocks_of(message.content),
            run_id=message.run_id,
            extra=message.extra,
        )

    def to_append(self, thread_id: str) -> Object:
        """Give the arguments of `Messages.append` that store it in a thread.

        Raises:
            ValueError: It names another thread.
        """
        if self.thread_id != thread_id:
            raise ValueError(f"message {self.id} names thread {self.thread_id}, not {thread_id}")
        return {
            "role": str(self.role),
            "content": self.content,
            "given_id": self.id,
            "created_at": int(self.created_at),
            "run_id": self.run_id,
            "extra": self.extra,
        }

    def text_content(self) -> str:
        """Give the content as text; text blocks are joined with newlines."""
        return text_of(self.content)
