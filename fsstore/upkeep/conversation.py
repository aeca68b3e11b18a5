"""What an import reads, whatever format it came in: conversations, each a thread to be."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field

from fsstore.codec import ABSENT
from fsstore.errors import CorruptError, FormatError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fsstore.codec import Absent, Json, Object

#: Keys that an import gives itself; a source's own key of such a name is kept under `source`.
_TAKEN = frozenset(("id", "parent_id", "given_id", "role", "content", "item", "created_at", "run_id", "source"))


class SourceError(StoreError, ValueError):
    """A file that is not what an import expects; what stood before the place was imported, nothing of it was.

    Attributes:
        file: The file, as its caller calls it.
        place: Where in it: a line or an entry; empty where it is the file as a whole.
    """

    def __init__(self, file: str, place: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file
        self.place = place

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.reason}" if self.place else f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a source.

    Attributes:
        role: Who speaks.
        content: What was said.
        parent: The position of the turn above it, which stands before it; None for a root.
        given_id: The source's own id, where it has one.
        time: Milliseconds since 1970, 0 where the source does not say.
        item: A structured payload, None for null; absent where there is none.
        extra: Every other key of the source.
    """

    role: str
    content: str
    parent: int | None
    given_id: str | None = None
    time: int = 0
    item: Json | Absent = ABSENT
    extra: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One thread of a source.

    Attributes:
        thread_id: The source's id of it.
        turns: Its messages, parents before children.
        leaf: The position of the turn that is to be the current leaf, None for none; absent for the last one.
        metadata: What the source says of the whole.
        place: Where in the file it stands, for error messages.
    """

    thread_id: str
    turns: list[Turn]
    leaf: int | Absent | None = ABSENT
    metadata: Object = field(default_factory=dict)
    place: str = ""


@contextlib.contextmanager
def reading(file: str, place: str) -> Iterator[None]:
    """Turn a `ValueError` of the block into a `SourceError` that says where; what is wrong with the store passes through."""
    try:
        yield
    except (CorruptError, FormatError):
        raise
    except json.JSONDecodeError as error:
        raise SourceError(file, place, f"no valid JSON: {error.msg} (at character {error.pos} of it)") from None
    except ValueError as error:
        raise SourceError(file, place, str(error)) from None


def text_at(fields: Mapping[str, Json], key: str) -> str:
    """Give the text under a key.

    Raises:
        ValueError: There is none.
    """
    value = fields.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is missing" if key not in fields else f"{key!r} must be a string, not {_kind(value)}")
    return value


def objects_at(fields: Mapping[str, Json], key: str) -> list[Object]:
    """Give the list of objects under a key.

    Raises:
        ValueError: There is none, or something else is in it.
    """
    value = fields.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is missing" if key not in fields else f"{key!r} must be a list, not {_kind(value)}")
    for item in value:
        if not isinstance(item, dict):
            raise ValueError(f"{key!r} must hold objects only, not {_kind(item)}")
    return value


def others(fields: Mapping[str, Json], *used: str) -> Object:
    """Give all keys but those used, in the source's order; see `_TAKEN`."""
    rest = {name: value for name, value in fields.items() if name not in used}
    clash = {name: value for name, value in rest.items() if name in _TAKEN}
    kept = {name: value for name, value in rest.items() if name not in clash}
    return {**kept, "source": clash} if clash else kept


def _kind(value: Json) -> str:
    return "null" if value is None else type(value).__name__
