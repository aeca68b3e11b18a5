"""What a number means, everywhere: a limit is None for all, 0 for none; a bool is no number."""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from fsstore.codec import Json

    T = TypeVar("T")


def checked_limit(limit: int | None) -> int | None:
    """Give a limit back.

    Raises:
        ValueError: It is negative.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, or None for all, not {limit}")
    return limit


def whole(name: str, value: Json) -> int:
    """Give a whole number back as a plain one.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, not {value!r}")
    return int(value)


def first(limit: int | None, items: Iterable[T]) -> list[T]:
    """Give the first items; no more are looked at."""
    return list(islice(items, limit))
