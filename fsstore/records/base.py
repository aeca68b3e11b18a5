"""What all records share: from JSON and back, losing nothing."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from fsstore import clock, codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self, TypeVar

    from fsstore.codec import Json, Object

    Member = TypeVar("Member", bound=StrEnum)


class Record:
    """A record that can be read from a JSON object and written to one.

    Fields stand under their own names. Keys that are no field are kept in `extra` and written back; a status that no enum
    member has is kept as its text.
    """

    __slots__ = ()
    #: What errors call such a record.
    KIND = "the record"
    extra: Object

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Make the record of a JSON object."""
        known = {name: data[name] for name in _names(cls) if name in data}
        extra = {name: value for name, value in data.items() if name not in known}
        return cls(**cls._decoded(known), extra=extra)  # type: ignore[call-arg]  # every record is a dataclass with `extra`

    def to_json(self) -> Object:
        """Give the record as a JSON object; a field that is None by default is left out while it is None.

        Raises:
            ValueError: `extra` holds a key that has a meaning of its own.
        """
        clash = _RESERVED.union(_names(type(self))).intersection(self.extra)
        if clash:
            raise ValueError(f"extra cannot hold {', '.join(sorted(clash))}: the store gives it another meaning")
        fields: Object = dict(self.extra)
        for name, default in _names(type(self)).items():
            value = getattr(self, name)
            if value is not None or default is not None:
                fields[name] = _plain(value)
        return fields

    def over(self, old: Mapping[str, Json] | None) -> Object:
        """Give the JSON object that replaces an old one: this record, and the keys of the old one that no field knows.

        A time of creation that nobody gave does not replace the old one.

        Raises:
            ValueError: It holds what JSON cannot.
        """
        fields = self.to_json()
        codec.check_json(fields, self.KIND)
        if old is None:
            return fields
        known = _RESERVED.union(_names(type(self)))
        fields = {**{name: value for name, value in old.items() if name not in known}, **fields}
        for name in _TIMES_OF_CREATION:
            if isinstance(getattr(self, name, None), clock.Moment) and name in old:
                fields[name] = old[name]
        return fields

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        """Turn texts into the enums of this record's fields."""
        return known


_RESERVED = frozenset(("versions", "deleted"))
_TIMES_OF_CREATION = ("created_at", "started_at")
_cache: dict[type, dict[str, object]] = {}


def _names(cls: type) -> dict[str, object]:
    """Give the fields of a record with their defaults."""
    names = _cache.get(cls)
    if names is None:
        fields = dataclasses.fields(cls)
        names = {field.name: field.default for field in fields if field.name != "extra"}
        _cache[cls] = names
    return names


def _plain(value: Json) -> Json:
    if isinstance(value, StrEnum):
        return value.value
    if type(value) is not bool and isinstance(value, int):
        return int(value)  # a Moment is stored as what it is
    if isinstance(value, Record):
        return value.to_json()
    return value


def member(kind: type[Member], text: Json) -> Member | str:
    """Give the enum member of a text, or the text itself where there is none."""
    try:
        return kind(text)
    except ValueError:
        return text  # type: ignore[no-any-return]  # kept as read, whatever it is
