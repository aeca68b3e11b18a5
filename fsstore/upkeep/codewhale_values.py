"""What one column of a CodeWhale database must hold, and what is taken where it holds something else."""

from __future__ import annotations

import json
from math import isfinite
from typing import NamedTuple

from fsstore import clock, codec, layout
from fsstore.codec import ABSENT
from fsstore.errors import InvalidNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from fsstore.codec import Absent, Json

    #: What SQLite gives; text that is no valid UTF-8 comes with surrogates in it.
    Value: TypeAlias = str | int | float | bytes | None

#: The first second that no id can carry.
END_OF_TIME = (clock.stamp_of(clock.LAST_ID) >> 12) // 1000


class Column(NamedTuple):
    """What a column must hold.

    Attributes:
        take: Gives the value as the store keeps it, or raises `ValueError`.
        instead: Gives what is taken where `take` refused a value, or `ABSENT` where this version has no such column; None
            where the row is refused.
    """

    take: Callable[[Value], Json]
    instead: Callable[[Value | Absent], Json] | None = None


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text")
    if not value.isascii() and value != readable(value):
        raise ValueError("is no valid UTF-8")
    return value


def readable(value: Value | Absent) -> str:
    """Give a text for any value, with a mark in the place of what is no UTF-8."""
    if value is None or value is ABSENT:
        return ""
    data = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    return data.decode(errors="replace")


def _id(value: Value) -> str:
    try:
        layout.encode_name(found := _text(value))
    except InvalidNameError as error:
        raise ValueError(f"is no id: {error.reason}") from None
    return found


def _entry_id(value: Value) -> str:
    """Take a message's id, an integer as a rule, as text."""
    found = str(value) if type(value) is int else _text(value)
    if not found:
        raise ValueError("is empty")
    return found


def _whole(value: Value) -> int:
    if type(value) is not int:
        raise ValueError("is no integer")
    return value


def _moment(value: Value) -> int:
    found = _whole(value)
    if found >= END_OF_TIME:
        raise ValueError("is after the year 3000")
    return found


def _percent(value: Value) -> int:
    found = _whole(value)
    if not 0 <= found <= 100:
        raise ValueError("is not from 0 to 100")
    return found


def _flag(value: Value) -> bool:
    return _whole(value) != 0


def _number(value: Value) -> float:
    if not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError("is no number")
    return value


def _json(value: Value) -> Json:
    written = _text(value)
    try:
        found = json.loads(written)
        codec.check_json([[[[found]]]], "the value")  # at least as deep as it will stand in a document
    except json.JSONDecodeError as error:
        raise ValueError(f"is no valid JSON: {error.msg} (at character {error.pos} of it)") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"cannot be kept exactly: {error}") from None
    return found


def _list(value: Value) -> list[Json]:
    found = _json(value)
    if not isinstance(found, list):
        raise ValueError("is no list")
    return found


def _item(value: Value) -> Json:
    return ABSENT if value is None else _json(value)


def _maybe(take: Callable[[Value], Json]) -> Column:
    return Column(lambda value: None if value is None else take(value), lambda _: None)


def word(default: str) -> Column:
    """Describe a column that holds a word, and what stands for none."""
    return Column(_text, lambda value: readable(value) or default)


#: An id that becomes a file name; the row is refused where it is none.
KEY, MAYBE_KEY = Column(_id), _maybe(_id)
TEXT, NEEDED_TEXT = Column(_text, readable), Column(_text)
MAYBE_TEXT = Column(_maybe(_text).take, lambda value: readable(value) or None)
WHOLE, MAYBE_WHOLE, NEEDED_WHOLE = Column(_whole, lambda _: 0), _maybe(_whole), Column(_whole)
#: A time that becomes that of an id.
MOMENT = Column(_moment, lambda _: 0)
FLAG, MAYBE_FLAG = Column(_flag, lambda _: False), _maybe(_flag)
PROGRESS, SCORE = _maybe(_percent), _maybe(_number)
OBJECT, LIST, NEEDED_JSON = Column(_json, lambda _: {}), Column(_list, lambda _: []), Column(_json)
#: A JSON value, null included; none where the column is NULL.
ITEM = Column(_item, lambda _: ABSENT)
#: The id of a message; the message above another, where a version without such a column is told from none above; the current
#: leaf, where the last message stands for what is none.
ENTRY = Column(_entry_id)
PARENT = Column(_maybe(_entry_id).take, lambda value: ABSENT if value is ABSENT else None)
LEAF = Column(_maybe(_entry_id).take, lambda _: ABSENT)
