"""The message tree, told twice: here as plainly as it can be, by folding a dict of records in the order of their ids."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fsstore import ABSENT, Message


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message as somebody wrote it."""

    parent: str | None
    role: str
    content: Any
    given: str | None = None
    item: Any = ABSENT
    created_at: int = 0
    run_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    replaces: str | None = None


@dataclass(frozen=True)
class Moved:
    """The current leaf is this message, or none."""

    leaf: str | None


@dataclass(frozen=True)
class Removed:
    """That message is gone."""

    message: str


@dataclass(frozen=True)
class Cleared:
    """These messages and all above them are gone."""

    leaves: tuple[str, ...]


@dataclass(frozen=True)
class Redacted:
    """That message says this from now on."""

    message: str
    content: Any
    item: Any
    extra: dict[str, Any]


class TreeModel:
    """What a log says: a set of records by id, folded anew after each change."""

    def __init__(self) -> None:
        self.records: dict[str, Said | Moved | Removed | Cleared | Redacted] = {}
        self._fold()

    def add(self, id: str, record: Said | Moved | Removed | Cleared | Redacted) -> None:
        assert id not in self.records
        self.records[id] = record
        self._fold()

    def _fold(self) -> None:
        self.nodes: dict[str, Said] = {}
        self.gone: set[str] = set()
        self._leaf: str | None = None
        for id in sorted(self.records):
            match self.records[id]:
                case Said() as said:
                    self.nodes[id] = said
                    self._leaf = id
                    if said.replaces is not None:
                        self.gone.add(said.replaces)
                case Moved(leaf):
                    self._leaf = leaf
                case Removed(message):
                    self.gone.add(message)
                case Cleared(leaves):
                    for leaf in leaves:
                        self._clear(leaf)
                case Redacted(message, content, item, extra):
                    self.nodes[message] = replace(self.nodes[message], content=content, item=item, extra=extra)
        self.alive = [id for id in self.nodes if id not in self.gone]

    def _clear(self, at: str | None) -> None:
        while at is not None:
            self.gone.add(at)
            at = self._parent_as_written(at)

    def _parent_as_written(self, id: str) -> str | None:
        """Below a parent that is not older a message is a root; for one that is not here the newest older one stands in."""
        parent = self.nodes[id].parent if id in self.nodes else None
        if parent is None or parent >= id:
            return None
        return max((node for node in self.nodes if node <= parent), default=None)

    def _nearest(self, id: str | None) -> str | None:
        while id is not None and id in self.gone:
            id = self._parent_as_written(id)
        return id

    def parent(self, id: str) -> str | None:
        return self._nearest(self._parent_as_written(id))

    def leaf(self) -> str | None:
        return self._nearest(self._leaf)

    def branch(self, leaf: str | None) -> list[str]:
        path = []
        while leaf is not None:
            path.append(leaf)
            leaf = self.parent(leaf)
        return path[::-1]

    def leaves(self) -> list[str]:
        inner = {self.parent(id) for id in self.alive}
        return [id for id in self.alive if id not in inner]

    def children(self) -> dict[str | None, list[str]]:
        """By what messages answer to; two that answer to the same share one entry."""
        below: dict[str | None, list[str]] = {}
        for parent in (None, *self.alive):
            for id in self.alive:
                if self.parent(id) == parent:
                    below.setdefault(self.shown(parent), []).append(self.shown(id) or "")
        return below

    def shown(self, id: str | None) -> str | None:
        return id and (self.nodes[id].given or id)

    def find(self, name: str) -> str | None:
        """The newest surviving message that answers to a name, else the one whose record id it is."""
        given = [id for id in self.alive if self.nodes[id].given == name]
        return given[-1] if given else name if name in self.nodes and name not in self.gone else None

    def message(self, id: str) -> Message:
        said = self.nodes[id]
        return Message(
            id=said.given or id,
            record_id=id,
            parent_id=self.shown(self.parent(id)),
            role=said.role,
            content=said.content,
            item=said.item,
            created_at=said.created_at,
            run_id=said.run_id,
            extra=said.extra,
        )

    def messages(self, ids: list[str]) -> list[Message]:
        return [self.message(id) for id in ids]
