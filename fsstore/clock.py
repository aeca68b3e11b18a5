"""The time of day, and ids that carry it: UUIDv7 (RFC 9562), ascending within a log whatever the clock does."""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeGuard

ID_LENGTH = 36
#: No id is below this one.
FIRST_ID = "00000000-0000-7000-8000-000000000000"
#: An id above this one (1 January 3000) is damage: one bad clock would drag every later id along.
LAST_ID = "1d8fda4c-e000-7000-8000-000000000000"
_LAST_MILLISECOND = 0x1D8FDA4CE000
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Moment(int):
    """Seconds that nobody gave: the default of a time field, which an overwrite does not take over."""


def now() -> int:
    """Give the time of day in whole Unix seconds."""
    return int(time.time())


def default_now() -> Moment:
    """Give the time of day as the default of a field; see `Moment`."""
    return Moment(time.time())


def is_id(value: object) -> TypeGuard[str]:
    """Say whether a value is an id of the store: a lower-case UUIDv7 before the year 3000."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None and value <= LAST_ID


def stamp_of(id: str) -> int:
    """Give an id's time: milliseconds since 1970 in the high 48 bits, a fraction in the low 12."""
    return int(id[0:8] + id[9:13] + id[15:18], 16)


def seconds_of(id: str) -> int:
    """Give an id's time in whole Unix seconds."""
    return (stamp_of(id) >> 12) // 1000


def random_suffix() -> str:
    """Draw the part of an id that keeps two writers apart: the variant and 62 random bits."""
    bits = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return suffix_of(bits)


def suffix_of(bits: int) -> str:
    """Spell 64 bits, the variant included, as the end of an id."""
    text = f"{bits:016x}"
    return f"{text[:4]}-{text[4:]}"


def spell_id(stamp: int, suffix: str) -> str:
    """Spell an id from its time (see `stamp_of`) and its suffix."""
    text = f"{stamp:015x}"
    return f"{text[:8]}-{text[8:12]}-7{text[12:]}-{suffix}"


def next_id(last: int, suffix: str) -> tuple[int, str]:
    """Give the id of the next record, and its time.

    It ascends from now, or from just after `last` when the clock stands still or went back.

    Raises:
        OverflowError: The clock, or an id already written, stands at the year 3000.
    """
    stamp = (time.time_ns() << 12) // 1_000_000
    if stamp <= last:
        stamp = last + 1
    return stamp, f"{_head(stamp >> 12)}{hex(stamp & 0xFFF | 0x7000)[2:]}-{suffix}"


def next_ids(last: int, suffix: str, count: int) -> tuple[int, list[str]]:
    """Give the ids of the next records, at least one, and the time of the last of them; see `next_id`."""
    stamp, id = next_id(last, suffix)
    ids = [id]
    while len(ids) < count:
        stamp += 1
        head, digits = _head(stamp >> 12), stamp & 0xFFF | 0x7000
        more = range(digits, min(digits + count - len(ids), 0x8000))
        ids += [f"{head}{hex(digits)[2:]}-{suffix}" for digits in more]
        stamp += len(more) - 1
    return stamp, ids


@lru_cache(maxsize=4)
def _head(milliseconds: int) -> str:
    """Spell an id's time but for its fraction and the version before that, which is 7; many ids share it."""
    if milliseconds >= _LAST_MILLISECOND:
        raise OverflowError("the clock or the newest id is past the year 3000: set the clock right and try again")
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}-"


def id_after(id: str) -> str:
    """Give the id just after another: of the same time, before every id of a later one."""
    return spell_id(stamp_of(id), suffix_of(int(id[19:23] + id[24:], 16) + 1))


def new_id(after: str = FIRST_ID) -> str:
    """Mint an id greater than `after`."""
    return next_id(stamp_of(after), random_suffix())[1]
