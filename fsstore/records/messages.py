"""Messages: `Message` as the store has it, and the views of it in the words of the stores."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

from fsstore import clock, codec
from fsstore.codec import ABSENT
from fsstore.records.base import member
from fsstore.records.enums import MessageRole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from fsstore.codec import Absent, Json, Object

#: Keys of a line that are the store's own; a caller's key of such a name is kept under `extra`.
OWN_KEYS = frozenset(
    ("id", "parent_id", "given_id", "type", "leaf_id", "leaf_ids", "message_id", "replaces", "versions", "extra")
)
#: Keys of a line that are arguments of their own.
FIELD_KEYS = frozenset(("role", "content", "item", "created_at", "run_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a thread's tree.

    Attributes:
        id: What the message answers to: the id that its caller gave, else the record's.
        record_id: The record's own id (UUIDv7); its order is the order of the log.
        parent_id: The `id` of the message above it, the nearest that still is there; None for a root.
        role: Who speaks. Any text.
        content: A string, or any JSON value (a list of content blocks).
        item: A structured payload; `ABSENT` where none was given, which is not the same as None (JSON null).
        created_at: Unix seconds; 0 where an imported source did not say.
        run_id: The run that made it, or None.
        extra: Every other key.
    """

    id: str
    record_id: str
    parent_id: str | None
    role: str
    content: Json
    item: Json | Absent = ABSENT
    created_at: int = 0
    run_id: str | None = None
    extra: Object = field(default_factory=dict)

    @property
    def has_item(self) -> bool:
        """Whether an item was given, null included."""
        return self.item is not ABSENT


class Draft:
    """A `Message` under construction: the same layout in memory, but open to assignment.

    A frozen dataclass sets each field through object.__setattr__, which made loading a branch a third slower; this sets
    them plainly, and `done` then turns the object into a `Message`.
    """

    __slots__ = ("content", "created_at", "extra", "id", "item", "parent_id", "record_id", "role", "run_id")

    def __init__(
        self,
        id: str,
        role: str,
        content: Json,
        item: Json | Absent,
        created_at: int,
        run_id: str | None,
        extra: Object,
    ) -> None:
        self.id = id
        self.role = role
        self.content = content
        self.item = item
        self.created_at = created_at
        self.run_id = run_id
        self.extra = extra
        self.record_id = ""
        self.parent_id: str | None = None

    def done(self) -> Message:
        """Turn the draft into the message it is; it answers to its record's id where it has no other."""
        if not self.id:
            self.id = self.record_id
        self.__class__ = Message  # type: ignore[assignment]  # the same slots in the same order
        return self  # type: ignore[return-value]

    def record(self, id: str, parent_id: str | None, **first: Json) -> Object:
        """Give the record of the message at a place of the log, keys of `first` before the others."""
        if self.item is ABSENT and self.run_id is None and not (self.id or self.extra or first):
            return {
                "id": id,
                "parent_id": parent_id,
                "role": self.role,
                "content": self.content,
                "created_at": self.created_at,
            }
        record: Object = {"id": id, "parent_id": parent_id}
        if self.id:
            record["given_id"] = self.id
        if first:
            record.update(first)
        record["role"] = self.role
        record["content"] = self.content
        if self.item is not ABSENT:
            record["item"] = self.item
        record["created_at"] = self.created_at
        if self.run_id is not None:
            record["run_id"] = self.run_id
        if self.extra:
            record.update(_hide_own_keys(self.extra))
        return record


def new_draft(
    role: str,
    content: Json,
    item: Json | Absent = ABSENT,
    given_id: str | None = None,
    created_at: int | None = None,
    run_id: str | None = None,
    extra: Mapping[str, Json] | None = None,
) -> Draft:
    """Begin a message of what a caller gave.

    Raises:
        ValueError: A value that JSON cannot hold exactly or of the wrong type, or a key in `extra` that is an argument.
    """
    if type(role) is not str or not role.isascii():
        role = _text("role", role)
    if type(content) is not str or not content.isascii():
        codec.check_json(content, "content")
    if item is not ABSENT:
        codec.check_json(item, "item")
    if given_id is not None and not _text("given_id", given_id):
        raise ValueError("given_id must have at least one character")
    if run_id is not None:
        run_id = _text("run_id", run_id)
    if created_at is None:
        created_at = int(time.time())
    elif not isinstance(created_at, int) or isinstance(created_at, bool):
        raise ValueError(f"created_at must be whole Unix seconds, not {created_at!r}")
    return Draft(given_id or "", role, content, item, int(created_at), run_id, _checked_extra(extra) if extra else {})


def _text(what: str, value: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, not {type(value).__name__}")
    codec.check_json(str(value), what)
    return str(value)


def _checked_extra(extra: Mapping[str, Json]) -> Object:
    clash = FIELD_KEYS.intersection(extra)
    if clash:
        raise ValueError(f"extra holds {', '.join(sorted(clash))}: give it as an argument of that name")
    checked = dict(extra)
    codec.check_json(checked, "extra")
    return checked


def draft_of(fields: Mapping[str, Json]) -> Draft:
    """Begin a message of a mapping; keys that are no argument of `new_draft` are kept as they are.

    Raises:
        ValueError: It has no role or no content, or as `new_draft`.
    """
    missing = [name for name in ("role", "content") if name not in fields]
    if missing:
        raise ValueError(f"a message needs {' and '.join(missing)}: {str(fields)[:80]}")
    if len(fields) == 2:
        return new_draft(fields["role"], fields["content"])
    named = {name: fields[name] for name in (*FIELD_KEYS, "given_id") if name in fields}
    return new_draft(**named, extra={name: value for name, value in fields.items() if name not in named})


def given_id_of(record: Object) -> str | None:
    """Give the id that a caller or an import brought, where the record has a usable one."""
    given = record.get("given_id")
    return given if isinstance(given, str) and given else None


def shown_id(record: Object) -> str:
    """Give the id that the message of a record answers to."""
    return given_id_of(record) or record["id"]


def is_message(record: Object) -> bool:
    """Say whether a record is a message: no type, a role that is text, and a content."""
    return record.get("type") is None and isinstance(record.get("role"), str) and "content" in record


def make_message(record: Object, parent_id: str | None) -> Message:
    """Make a message of its record, which is used up; `parent_id` is the parent's id as shown."""
    draft = draft_from(record)
    draft.parent_id = parent_id
    return draft.done()


def draft_from(record: Object) -> Draft:
    """Make all of a message but what its parent shows of its record, which is used up."""
    if tuple(record) == codec.USUAL_KEYS and type(record["created_at"]) is int:
        record_id, _, role, content, created_at = record.values()
        draft = Draft(record_id, role, content, ABSENT, created_at, None, {})
        draft.record_id = record_id
        return draft
    shown, record_id, created_at = shown_id(record), record.pop("id"), record.pop("created_at", None)
    draft = Draft(shown, record.pop("role"), record.pop("content"), ABSENT, created_at, None, record)
    draft.record_id = record_id
    if type(created_at) is not int:
        draft.created_at = clock.seconds_of(record_id)
    _take_rare(draft, record)
    return draft


def _take_rare(draft: Draft, record: Object) -> None:
    for name in ("parent_id", "given_id", "replaces"):
        record.pop(name, None)
    draft.item = record.pop("item", ABSENT)
    draft.run_id = record.pop("run_id", None)
    if "extra" in record:
        hidden = record.pop("extra")
        draft.extra = {**record, **hidden} if isinstance(hidden, dict) else {**record, "extra": hidden}


def _hide_own_keys(extra: Object) -> Object:
    hidden = {name: value for name, value in extra.items() if name in OWN_KEYS}
    keys = {name: value for name, value in extra.items() if name not in OWN_KEYS}
    return {**keys, "extra": hidden} if hidden else keys


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
