"""Bytes and JSON, both ways; the only module that imports orjson.

A log line and a document are read here, and nowhere else. Damage in a line is described, never raised: one bad line hides
nothing. Damage in a document raises, since a default in its place would sooner or later be written over it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from math import isfinite

import orjson

from fsstore import clock
from fsstore.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final, TypeAlias

    #: A JSON value: None, bool, int (64 bits), float (finite), str, list of values, dict of str to values.
    Json: TypeAlias = Any
    Object: TypeAlias = dict[str, Json]

# orjson would silently turn these into something else; they go to `default`, which is not given, and so are refused.
_STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_LINE = _STRICT | orjson.OPT_APPEND_NEWLINE
_DOCUMENT = _STRICT | orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
#: Types that orjson reads exactly: an integer over 64 bits comes as a float, never as another integer.
_EXACT = frozenset({str, bool, type(None), int})
#: What comes as a float from here on may have been an integer.
_WIDE = float(2**63)

#: The keys of a message's line that has none but those that every one has.
USUAL_KEYS = ("id", "parent_id", "role", "content", "created_at")

#: What closes a torn line, so that no reader takes the fragment for a record.
SEAL = b"~\n"

_decoder = json.JSONDecoder()
_CANDIDATE = re.compile(r'\{\s*"id"\s*:\s*"[0-9a-f]{8}-')
_BLANKS = re.compile(r"[ \t\r\0]*")
_OPEN_OR_END = re.compile(r"[ \t\r\0]*(?:\{|\Z)")
#: How a line of the usual form begins; then comes its id.
HEAD = b'{"id":"'
#: What a line of the usual form holds once.
QUOTED_ID = b'"id"'
#: A character's escape but a control character's; a backslash before it that is one itself takes a pair.
_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[01])")
_NO_OBJECT = " where an object belongs"
_CONFLICT = re.compile(rb"(<{7}|={7}|>{7}|\|{7})( |$)")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


#: Nothing was given, which is not the same as JSON null.
ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in a log that is not a good record.

    Attributes:
        offset: Where it begins, in bytes from the start of the file.
        kind: One word of FORMAT.md's table of problems: `torn`, `glued`, `nul`, `utf8`, `not-json`, ...
        reason: The same for people.
    """

    offset: int
    kind: str
    reason: str


def check_type(record: Object) -> None:
    """Refuse a record that must be understood, and is not.

    Raises:
        FormatError: Its `type` begins with `!`, and this version knows none that does.
    """
    kind = record.get("type")
    if isinstance(kind, str) and kind.startswith("!"):
        raise FormatError(f"record {record['id']}", f"its type {kind!r} must be understood, and is not: use a newer fsstore")


def shown(value: Json) -> str:
    """Spell a value for people, the first 60 characters of it in quotes."""
    try:
        return repr(str(value)[:60])
    except RecursionError:
        return "something nested deep"


def may_be_glued(raw: bytes) -> bool:
    """Say whether a line that begins with a record may hold a second one.

    A quote inside a JSON string is escaped, so that a key of this name behind the first one shows itself.
    """
    return raw.find(QUOTED_ID, 5) >= 0


def may_hold_escapes(data: bytes) -> bool:
    """Say whether some lines hold a character spelled by its number that is no control character.

    Nobody need spell one so, and this store does not.
    """
    return data.rfind(b"\\u") >= 0 and _ESCAPE.search(data) is not None


def check_json(value: Json, what: str) -> None:
    """Refuse a value that JSON would not give back exactly.

    Raises:
        ValueError: A NaN, an infinity, an integer over 64 bits, a lone surrogate, a tuple, a set, or any other type
            than those of `Json`; also a value nested over 250 levels deep.
    """
    try:
        orjson.dumps(value, option=_STRICT)  # refuses what is endless, so that the walk below ends
    except TypeError as error:
        raise ValueError(f"{what} cannot be stored as JSON: {error}") from None
    for item in _unusual(value):
        if type(item) is not float:
            raise ValueError(f"{what} cannot be stored as JSON: {type(item).__name__} would come back as another type")
        if not isfinite(item):
            raise ValueError(f"{what} cannot be stored as JSON: {item} is no JSON number")


def _unusual(value: Json) -> Iterator[Json]:
    """Give what in a value, at any depth, is no list, no object, and nothing of which orjson is known to keep the value."""
    waiting: list[Iterable[Json]] = [(value,)]
    while waiting:
        for item in waiting.pop():
            kind = type(item)
            if kind in _EXACT:
                continue
            if kind is dict:
                waiting.append(item.values())
            elif kind is list:
                waiting.append(item)
            elif not (kind is float and -_WIDE < item < _WIDE):  # a NaN is not
                yield item


def encode_line(record: Object) -> bytes:
    """Give a record as one line, its newline included, keys in the order given.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(record, option=_LINE)
    except TypeError as error:  # orjson.JSONEncodeError is a TypeError
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def encode_lines(records: list[Object], *, flat: bool = False) -> bytes:
    """Give records as lines; see `encode_line`.

    Args:
        records: One at least, each with `id` as its first key.
        flat: No value of any is a list or an object. Then all are encoded in one go, in less than half the time: what stands
            between two of them stands nowhere else, since a quote inside a JSON string is escaped.

    Raises:
        ValueError: One of them holds what JSON cannot.
    """
    try:
        if flat:
            return orjson.dumps(records, option=_STRICT).replace(b'},{"id":"', b'}\n{"id":"')[1:-1] + b"\n"
        return b"".join([orjson.dumps(record, option=_LINE) for record in records])
    except TypeError as error:
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def encode_document(fields: Object) -> bytes:
    """Give a document's bytes: indented by 2, keys sorted, a newline at the end.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(fields, option=_DOCUMENT)
    except TypeError as error:
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def encode_compact(fields: Object) -> bytes:
    """Give an object's bytes for a hash: keys sorted, no blanks.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(fields, option=_STRICT | orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def decode_object(data: bytes) -> Object:
    """Read one JSON object.

    Integers over 64 bits come back exact, never rounded.

    Raises:
        ValueError: The bytes are no JSON object; the message says why.
    """
    value = orjson.loads(data)
    if type(value) is not dict:
        raise ValueError(f"{type(value).__name__}{_NO_OBJECT}")
    if _EXACT.issuperset(map(type, value.values())) or all(False for _ in _unusual(value)):
        return value
    return _exact(data)


def decode_usual(raw: bytes) -> tuple[str, str | None, str, str, int] | None:
    """Give the values of `USUAL_KEYS` of a message's line that has no other key; None for any other line."""
    try:
        record = orjson.loads(raw)
        id, parent_id, role = record["id"], record["parent_id"], record["role"]
        content, created_at = record["content"], record["created_at"]
    except (ValueError, KeyError, TypeError):
        return None
    usual = type(role) is str and type(content) is str and type(created_at) is int and len(record) == len(USUAL_KEYS)
    return (id, parent_id, role, content, created_at) if usual and (parent_id is None or type(parent_id) is str) else None


def _exact(data: bytes) -> Object:
    try:
        value: Object = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep to be read exactly") from None
    return value


@dataclass(slots=True)  # one a line is made, and a frozen one takes three times as long
class Piece:
    """A good record inside a line: the record, and where its bytes stand within the line."""

    record: Object
    start: int
    end: int


@dataclass(slots=True)  # one a line is made, and a frozen one takes three times as long
class Line:
    """What one line of a log holds: as a rule one record, in damaged ones none or several.

    Attributes:
        records: The good records.
        damage: (kind, reason) of what was passed over.
        end: Up to where nothing but whole records and blanks stands in the line.
    """

    records: list[Piece]
    damage: list[tuple[str, str]]
    end: int


def read_line(raw: bytes) -> Line:
    """Read one line of a log, whatever is in it.

    Args:
        raw: The line's bytes. Without its newline it is taken for one that is still being written: then only whole
            records from its beginning on count, and the rest is a fragment.

    Returns:
        Its good records, each with a valid id, and what was passed over. A blank line is neither.
    """
    try:
        record = decode_object(raw)
    except ValueError as error:
        return _salvage(raw, str(error))
    if not _is_known_by_its_id(record, raw):
        return Line([], [("bad-id", f"no valid id, or two: {shown(record.get('id'))}")], len(raw))
    return Line([Piece(record, 0, len(raw.rstrip(b"\r\n")))], [], len(raw))


def _salvage(raw: bytes, reason: str) -> Line:
    body = raw.rstrip(b"\n")
    # latin-1 keeps byte and character positions equal; each piece is then decoded from its own bytes.
    text = body.decode("latin-1")
    records, end = _whole_pieces(body, text)
    if end < len(body) and raw.endswith(b"\n"):
        records += _pieces_behind(body, text, end)
    damage = _name_damage(body, records, end, reason)
    return Line(records, [damage] if damage else [], len(raw) if end == len(body) else end)


def _whole_pieces(body: bytes, text: str) -> tuple[list[Piece], int]:
    """Give the records from the beginning on, as far as nothing but whole ones and blanks stands there."""
    records: list[Piece] = []
    at = 0
    while True:
        at += len(_BLANKS.match(text, at)[0])  # type: ignore[index]  # it matches nothing as well
        piece = _piece(body, text, at) if text[at : at + 1] == "{" else None
        if piece is None:
            return records, at
        records.append(piece)
        at = piece.end


def _pieces_behind(body: bytes, text: str, at: int) -> list[Piece]:
    """Give the records behind a fragment.

    A nested object of the torn record is no record; a glued one reaches the end of the line, or the next object. The mark
    of a sealed fragment is neither.
    """
    records = []
    while found := _CANDIDATE.search(text, at):
        at = found.start() + 1
        piece = _piece(body, text, found.start())
        if piece and _OPEN_OR_END.match(text, piece.end):
            records.append(piece)
            at = piece.end
    return records


def _piece(body: bytes, text: str, start: int) -> Piece | None:
    try:
        _, end = _decoder.raw_decode(text, start)
        record = decode_object(body[start:end])
    except (ValueError, RecursionError):
        return None
    return Piece(record, start, end) if _is_known_by_its_id(record, body[start:end]) else None


def _is_known_by_its_id(record: Object, raw: bytes) -> bool:
    """Say whether a record has one valid id: of a key that stands twice decoders take the last, and who finds it the first."""
    id = record.get("id")
    return clock.is_id(id) and (raw[:7] != HEAD or raw.startswith(id.encode(), 7))


def _name_damage(body: bytes, records: list[Piece], end: int, reason: str) -> tuple[str, str] | None:
    if not body.strip():
        return None
    if len(records) > 1 or (records and end < len(body)):
        return "glued", f"{len(records)} good records and other bytes in one line"
    if b"\0" in body and (records or not body.strip(b"\0 \t\r")):
        return "nul", f"{body.count(0)} NUL bytes"
    if records:
        return None
    if _CONFLICT.match(body):
        return "conflict-marker", "a merge left its marker"
    if body.endswith(b"~"):
        return "torn", "a fragment, sealed by a later writer"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "utf8", "no valid UTF-8"
    if not body.lstrip(b"\0").startswith(b"{"):
        return "no-object" if reason.endswith(_NO_OBJECT) else "not-json", reason
    return "torn", f"an unfinished record: {reason}"
