"""Records that hold other records."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from fsstore.records.base import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import ClassVar, TypeAlias

    from fsstore.codec import Json, Object

    #: How the fields of a record that are no plain JSON are made of JSON.
    Parts: TypeAlias = Mapping[str, Callable[[Json], Json]]


class NestedRecord(Record):
    """A record some of whose fields hold records. A field that has its default is left out of its JSON object."""

    __slots__ = ()
    #: How the fields that hold records are made of JSON; a value of another shape is kept as read.
    PARTS: ClassVar[Parts] = {}

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        return {name: cls.PARTS[name](value) if name in cls.PARTS else value for name, value in known.items()}

    def to_json(self) -> Object:
        """Give the record as a JSON object.

        Raises:
            ValueError: `extra` holds a key that has a meaning of its own.
        """
        fields = {name: plain(value) for name, value in Record.to_json(self).items()}
        defaults = _defaults(type(self))
        return {name: value for name, value in fields.items() if name not in defaults or value != defaults[name]}


def _defaults(kind: type[NestedRecord]) -> Object:
    """Give the defaults of a record's fields, but for times and the like, which are made anew each time."""
    defaults = _cache.get(kind)
    if defaults is None:
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # every record is a dataclass
        fixed: Object = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
        empty: Object = {field.name: field.default_factory() for field in fields if field.default_factory in (list, dict)}
        _cache[kind] = defaults = {name: plain(value) for name, value in {**fixed, **empty}.items() if name != "extra"}
    return defaults


_cache: dict[type, Object] = {}


def parts(**makers: Callable[[Json], Json]) -> Parts:
    """Give a record's `PARTS`."""
    return makers


def one(kind: type[Record]) -> Callable[[Json], Json]:
    """Give what makes a record of an object."""
    return lambda value: kind.from_json(value) if isinstance(value, dict) else value


def many(make: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Give what makes a list of a list, item by item."""
    return lambda value: [make(item) for item in value] if isinstance(value, list) else value


def each(make: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Give what makes an object of an object, value by value."""
    return lambda value: {key: make(item) for key, item in value.items()} if isinstance(value, dict) else value


class Word:
    """What makes an enum's member of its text, and leaves any other text as it is."""

    __slots__ = ("_members",)

    def __init__(self, kind: type[StrEnum]) -> None:
        self._members = {member.value: member for member in kind}

    def __call__(self, value: Json) -> Json:
        """Give the member, or the value where it is the text of none."""
        return self._members.get(value, value) if isinstance(value, str) else value


def strange_words(value: Json) -> Iterator[tuple[str, str]]:
    """Give the fields, of all records in a value, whose text is none of the enum's, each with the text."""
    if isinstance(value, NestedRecord):
        for name, make in value.PARTS.items():
            inner = getattr(value, name)
            if isinstance(make, Word):
                if inner and not isinstance(inner, StrEnum):
                    yield name, str(inner)
            else:
                yield from strange_words(inner)
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strange_words(inner)


def plain(value: Json) -> Json:
    """Give a value as JSON: a record as its object, a tuple of records as a list, an enum's member as its text."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, list) or (isinstance(value, tuple) and all(isinstance(item, Record) for item in value)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
