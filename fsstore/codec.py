"""Bytes and JSON, both ways; the only module that imports orjson.

A log line and a document are read here, and nowhere else. Damage in a line is described, never raised: one bad line hides
nothing. Damage in a document raises, since a default in its place would sooner or later be written over it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

import orjson

from fsstore import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TypeAlias

    #: A JSON value: None, bool, int (64 bits), float (finite), str, list of values, dict of str to values.
    Json: TypeAlias = Any
    Object: TypeAlias = dict[str, Json]

# orjson would silently turn these into something else; they go to `default`, which is not given, and so are refused.
_STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_LINE = _STRICT | orjson.OPT_APPEND_NEWLINE
_DOCUMENT = _STRICT | orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
_PLAIN = frozenset({str, bool, type(None)})

#: What closes a torn line, so that no reader takes the fragment for a record.
SEAL = b"~\n"

_decoder = json.JSONDecoder()
_CANDIDATE = re.compile(r'\{\s*"id"\s*:')
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


def check_json(value: Json, what: str) -> None:
    """Refuse a value that JSON would not give back exactly.

    Raises:
        ValueError: A NaN, an infinity, an integer over 64 bits, a lone surrogate, a tuple, a set, or any other type
            than those of `Json`; also a value nested over 250 levels deep.
    """
    if type(value) is str:
        return  # a lone surrogate is refused by the encoder, which is called before anything changes
    try:
        orjson.dumps(value, option=_STRICT)  # refuses what is endless, so that the walk below ends
    except TypeError as error:
        raise ValueError(f"{what} cannot be stored as JSON: {error}") from None
    for item in _walk(value):
        kind = type(item)
        if kind is float:
            if item != item or item in (float("inf"), float("-inf")):
                raise ValueError(f"{what} cannot be stored as JSON: {item} is no JSON number")
        elif kind not in _PLAIN and kind not in (int, list, dict):
            raise ValueError(f"{what} cannot be stored as JSON: {kind.__name__} would come back as another type")


def _walk(value: Json) -> Iterator[Json]:
    open_values = [value]
    while open_values:
        item = open_values.pop()
        yield item
        if isinstance(item, dict):
            open_values.extend(item.values())
        elif isinstance(item, (list, tuple)):
            open_values.extend(item)


def encode_line(record: Object) -> bytes:
    """Give a record as one line, its newline included, keys in the order given.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(record, option=_LINE)
    except TypeError as error:  # orjson.JSONEncodeError is a TypeError
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def message_line(id: str, parent_id: str | None, body: bytes) -> bytes:
    """Give the line of a message whose other keys are encoded already (`encode_line`), before the lock was taken."""
    if parent_id is None:
        return b'{"id":"%b","parent_id":null,%b' % (id.encode(), body[1:])
    return b'{"id":"%b","parent_id":"%b",%b' % (id.encode(), parent_id.encode(), body[1:])


def encode_document(fields: Object) -> bytes:
    """Give a document's bytes: indented by 2, keys sorted, a newline at the end.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(fields, option=_DOCUMENT)
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
        raise ValueError(f"{type(value).__name__} where an object belongs")
    for item in value.values():
        if type(item) not in _PLAIN and _maybe_rounded(item):
            return _exact(data)
    return value


def _maybe_rounded(value: Json) -> bool:
    return any(type(item) is float and abs(item) >= 2**63 for item in _walk(value))


def _exact(data: bytes) -> Object:
    value: Object = json.loads(data)
    return value


@dataclass(frozen=True, slots=True)
class Piece:
    """A good record inside a line: the record, and where its bytes stand within the line."""

    record: Object
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a log holds: as a rule one record, in damaged ones none or several."""

    records: list[Piece]
    damage: list[tuple[str, str]]  # (kind, reason)


def read_line(raw: bytes) -> Line:
    """Read one line of a log, whatever is in it.

    Args:
        raw: The line's bytes, with or without its newline.

    Returns:
        Its good records, each with a valid id, and what was passed over. A blank line is neither.
    """
    try:
        record = decode_object(raw)
    except ValueError as error:
        return _salvage(raw, str(error))
    if not clock.is_id(record.get("id")):
        return Line([], [("bad-id", f"no valid id: {str(record.get('id'))[:60]!r}")])
    return Line([Piece(record, 0, len(raw.rstrip(b"\r\n")))], [])


def _salvage(raw: bytes, reason: str) -> Line:
    body = raw.rstrip(b"\r\n")
    if not body.strip():
        return Line([], [])
    bare = body.strip(b"\0")
    if bare != body:
        skipped = body.index(bare) if bare else 0
        inner = read_line(bare) if bare else Line([], [])
        moved = [Piece(p.record, p.start + skipped, p.end + skipped) for p in inner.records]
        return Line(moved, [("nul", f"{len(body) - len(bare)} NUL bytes"), *inner.damage])
    if _CONFLICT.match(body):
        return Line([], [("conflict-marker", "a merge left its marker")])
    records = list(_pieces(body))
    return Line(records, [_name_damage(body, records, reason)])


def _pieces(body: bytes) -> Iterator[Piece]:
    # latin-1 keeps byte and character positions equal; each piece is then decoded from its own bytes.
    text = body.decode("latin-1")
    at = 0
    while found := _CANDIDATE.search(text, at):
        start = found.start()
        at = start + 1
        try:
            _, end = _decoder.raw_decode(text, start)
            record = decode_object(body[start:end])
        except (ValueError, RecursionError):
            continue
        # A nested object of a torn record is no record: a glued one reaches the end of the line or the next one.
        if clock.is_id(record.get("id")) and (end == len(body) or body[end : end + 1] == b"{"):
            yield Piece(record, start, end)
            at = end


def _name_damage(body: bytes, records: list[Piece], reason: str) -> tuple[str, str]:
    if records:
        return "glued", f"{len(records)} good records and other bytes in one line"
    if body.endswith(b"~"):
        return "torn", "a fragment, sealed by a later writer"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "utf8", "no valid UTF-8"
    if not body.startswith(b"{"):
        return "not-json" if body[:1] not in b'["-0123456789tfn' else "no-object", reason
    return "torn", f"an unfinished record: {reason}"


def ends_whole(tail: bytes) -> bool:
    """Say whether an unterminated last line ends in a whole record, and so is closed by a newline alone."""
    line = read_line(tail)
    return bool(line.records) and line.records[-1].end == len(tail)
