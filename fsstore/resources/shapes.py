"""What the records of a log must look like to be kept."""

from __future__ import annotations

from fsstore import codec
from fsstore.disk.folding import Unfit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fsstore.codec import Json, Object


def take_by_type(record: Object, takes: Mapping[str, Callable[[Object], None]]) -> None:
    """Have a record kept by what is there for its type.

    Raises:
        Unfit: Nothing is, or the record lacks what its type promises.
    """
    kind = record.get("type")
    take = takes.get(kind) if isinstance(kind, str) else None
    if take is None:
        raise Unfit("unknown-type", f"a record of unknown type {codec.shown(kind)}")
    try:
        take(record)
    except (KeyError, TypeError, ValueError) as error:
        raise Unfit("bad-record", f"a record of type {kind} lacks what that promises: {error!r}"[:200]) from None


def an_object(value: Json) -> Object:
    """Give a value that is an object."""
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where an object belongs")
    return value


def a_list(value: Json) -> list[Json]:
    """Give a value that is a list."""
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list belongs")
    return value


def a_text(value: Json) -> str:
    """Give a value that is a text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value


def a_count(value: Json) -> int:
    """Give a value that is an integer of 0 or more."""
    if type(value) is not int or value < 0:
        raise TypeError(f"{codec.shown(value)} where an integer of 0 or more belongs")
    return value


def texts(value: Json) -> list[str]:
    """Give a value that is a list of texts."""
    return list(map(a_text, a_list(value)))


def counts(value: Json) -> dict[str, int]:
    """Give a value that is an object of integers of 0 or more."""
    return {name: a_count(count) for name, count in an_object(value).items()}


def numbers(value: Json) -> dict[str, float]:
    """Give a value that is an object of numbers."""
    for name, number in an_object(value).items():
        if type(number) not in (int, float):
            raise TypeError(f"{number!r} for {name} where a number belongs")
    return value  # type: ignore[no-any-return]  # it was looked at
