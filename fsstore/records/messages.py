"""The message of a thread's tree, and how it is made and stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsstore import clock, codec
from fsstore.codec import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsstore.codec import Absent, Json, Object

#: Keys of a line that are the store's own; a caller's key of such a name is kept under `extra`.
OWN_KEYS = frozenset(
    ("id", "parent_id", "given_id", "type", "leaf_id", "leaf_ids", "message_id", "replaces", "versions", "extra")
)
#: Keys of a line that are arguments of their own.
FIELD_KEYS = frozenset(("role", "content", "item", "created_at", "run_id"))
#: Keys of a message's line that say which message it is, and where it stands.
_LINKS = ("id", "parent_id", "given_id", "replaces")
#: Those, and the keys that are fields of the message.
_TAKEN = FIELD_KEYS | {*_LINKS, "extra"}
#: Keys under which a caller's own are hidden: a store writes none of the fields there, but a foreign line may hold them.
_HIDDEN = OWN_KEYS | FIELD_KEYS


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

    A frozen dataclass sets each field through object.__setattr__, which made loading a branch a third slower; whoever makes
    a draft sets each of its fields once, and `done` then turns the object into a `Message`.
    """

    __slots__ = ("content", "created_at", "extra", "id", "item", "parent_id", "record_id", "role", "run_id")

    id: str
    record_id: str
    parent_id: str | None
    role: str
    content: Json
    item: Json | Absent
    created_at: int
    run_id: str | None
    extra: Object

    def done(self) -> Message:
        """Turn the draft into the message it is; it answers to its record's id where it has no other."""
        if not self.id:
            self.id = self.record_id
        self.__class__ = Message  # type: ignore[assignment]  # the same slots in the same order
        return self  # type: ignore[return-value]

    def redaction(self, id: str) -> Object:
        """Give the record that says what the message is from now on."""
        body = self.record(id, None)
        links = {"id": id, "type": "redacted", "message_id": self.record_id}
        return links | {name: value for name, value in body.items() if name not in _LINKS}

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
    plain = item is ABSENT and given_id is None and created_at is None and run_id is None and not extra
    if plain and type(role) is str and type(content) is str and role.isascii() and content.isascii():
        return usual_draft("", None, role, content, clock.now())
    if type(role) is not str or not role.isascii():
        role = _text("role", role)
    if type(content) is not str or not content.isascii():
        codec.check_json(content, "content")
    if item is not ABSENT:
        codec.check_json(item, "item")
    if given_id is not None:
        given_id = _text("given_id", given_id)
        if not given_id:
            raise ValueError("given_id must have at least one character")
    draft = usual_draft(given_id or "", None, role, content, clock.now() if created_at is None else _seconds(created_at))
    draft.item = item
    if run_id is not None:
        draft.run_id = _text("run_id", run_id)
    if extra:
        draft.extra = _checked_extra(extra)
    return draft


def _seconds(created_at: int) -> int:
    if not isinstance(created_at, int) or isinstance(created_at, bool):
        raise ValueError(f"created_at must be whole Unix seconds, not {created_at!r}")
    return int(created_at)


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
    if len(fields) == 2 and "role" in fields and "content" in fields:
        return new_draft(fields["role"], fields["content"])
    missing = [name for name in ("role", "content") if name not in fields]
    if missing:
        raise ValueError(f"a message needs {' and '.join(missing)}: {str(fields)[:80]}")
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
    return record.get("type") is None and has_body(record)


def has_body(record: Object) -> bool:
    """Say whether a record holds what a message shows: a role that is text, and a content."""
    return isinstance(record.get("role"), str) and "content" in record


def redacted(record: Object, redaction: Object) -> Object:
    """Give the record of a message as a redaction has it: its own links, and the body of the redaction."""
    links: Object = {"id": record["id"], "parent_id": record.get("parent_id")}
    links.update((name, record[name]) for name in ("given_id", "replaces") if name in record)
    return links | {name: value for name, value in redaction.items() if name == "extra" or name not in OWN_KEYS}


def is_in_tree(record: Object) -> bool:
    """Say whether a record is a message, or what compaction left of one."""
    return record.get("type") == "gone" or is_message(record)


def make_message(record: Object, parent_id: str | None) -> Message:
    """Make a message of its record; `parent_id` is the parent's id as shown."""
    draft = draft_from(record)
    draft.parent_id = parent_id
    return draft.done()


def draft_from(record: Object) -> Draft:
    """Make all of a message but what its parent shows of its record."""
    if tuple(record) == codec.USUAL_KEYS and type(record["created_at"]) is int:
        return usual_draft(*record.values())
    record_id, created_at = record["id"], record.get("created_at")
    seconds = created_at if type(created_at) is int else clock.seconds_of(record_id)
    draft = usual_draft(record_id, None, record["role"], record["content"], seconds)
    draft.id = shown_id(record)
    draft.extra = {name: value for name, value in record.items() if name not in _TAKEN}
    draft.item = record.get("item", ABSENT)
    draft.run_id = record.get("run_id")
    if "extra" in record:
        hidden = record["extra"]
        draft.extra.update(hidden if isinstance(hidden, dict) else {"extra": hidden})
    return draft


def usual_draft(id: str, _parent: str | None, role: str, content: Json, created_at: int) -> Draft:
    """Make all of a message but what its parent shows of the values of `codec.USUAL_KEYS`."""
    draft = Draft()
    draft.id = draft.record_id = id
    draft.parent_id = None
    draft.role = role
    draft.content = content
    draft.item = ABSENT
    draft.created_at = created_at
    draft.run_id = None
    draft.extra = {}
    return draft


def _hide_own_keys(extra: Object) -> Object:
    hidden = {name: value for name, value in extra.items() if name in _HIDDEN}
    keys = {name: value for name, value in extra.items() if name not in _HIDDEN}
    return {**keys, "extra": hidden} if hidden else keys
