"""The message tree by position: pure arithmetic over parents, no ids, no bytes, no I/O.

A position is a message's place in ascending order of id. A parent always stands before its child, so that no walk can
loop; what claims otherwise is damage, and counts as a root.
"""

from __future__ import annotations

from array import array

#: Where a root's parent would stand.
NONE = -1

REMOVED = 1
#: Removed together with all its ancestors.
CLEARED = 2


class Tree:
    """Parents, removals and the current leaf of a log's messages.

    Invariants:
        `parents[at] < at`. `leaf` is what the last record that moves it said; `current` is where that is now.
    """

    __slots__ = ("gone", "leaf", "parents", "removals")

    def __init__(self) -> None:
        self.parents = array("i")
        self.gone = bytearray()
        self.removals = 0
        self.leaf = NONE

    def __len__(self) -> int:
        return len(self.parents)

    def add(self, parent: int) -> int:
        """Add a message below `parent` (or `NONE`); give its position. The leaf does not move."""
        at = len(self.parents)
        self.parents.append(parent)
        self.gone.append(0)
        return at

    def remove(self, at: int) -> None:
        """Take one message out; its children count as children of its nearest surviving ancestor."""
        if not self.gone[at]:
            self.removals += 1
            self.gone[at] = REMOVED

    def clear(self, at: int) -> None:
        """Take a message and all its ancestors out."""
        while at != NONE and self.gone[at] != CLEARED:
            self.removals += not self.gone[at]
            self.gone[at] = CLEARED
            at = self.parents[at]

    def count(self) -> int:
        """Count the messages that are not gone."""
        return len(self.parents) - self.removals

    def nearest(self, at: int) -> int:
        """Give `at` itself when it is there, else its nearest surviving ancestor, or `NONE`."""
        while at != NONE and self.gone[at]:
            at = self.parents[at]
        return at

    def parent(self, at: int) -> int:
        """Give the nearest surviving ancestor of a message, or `NONE`."""
        return self.nearest(self.parents[at])

    def current(self) -> int:
        """Give the current leaf, or `NONE`."""
        return self.nearest(self.leaf)

    def branch(self, leaf: int, limit: int | None = None) -> list[int]:
        """Give the `limit` messages nearest `leaf` on its branch, root first, `leaf` included."""
        path: list[int] = []
        at = self.nearest(leaf)
        while at != NONE and len(path) != limit:
            path.append(at)
            at = self.parent(at)
        path.reverse()
        return path

    def alive(self) -> list[int]:
        """Give every message that is not gone, in order."""
        if not self.removals:
            return list(range(len(self.parents)))
        return [at for at, gone in enumerate(self.gone) if not gone]

    def leaves(self) -> list[int]:
        """Give the messages that no surviving message stands below, in order."""
        has_child = bytearray(len(self.parents) + 1)  # the last place stands for NONE
        for at, parent in enumerate(self._effective_parents()):
            if not self.gone[at]:
                has_child[parent] = 1
        return [at for at in self.alive() if not has_child[at]]

    def children(self) -> dict[int, list[int]]:
        """Give the surviving children of every message, and under `NONE` the roots, in order."""
        below: dict[int, list[int]] = {}
        for at, parent in enumerate(self._effective_parents()):
            if not self.gone[at]:
                below.setdefault(parent, []).append(at)
        return below

    def _effective_parents(self) -> array[int]:
        if not self.removals:
            return self.parents
        effective = array("i")
        for parent in self.parents:
            effective.append(effective[parent] if parent != NONE and self.gone[parent] else parent)
        return effective
