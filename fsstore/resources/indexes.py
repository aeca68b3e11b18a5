"""The indexes of a store's logs that are kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from fsstore.resources.index import Index


class Indexes:
    """The indexes used last, and no more: memory does not grow with the number of threads ever touched.

    Args:
        count: How many indexes are kept at the most.
        messages: How many messages they may hold together; the one used last is kept in any case.
    """

    def __init__(self, count: int = 64, messages: int = 4_000_000) -> None:
        self._count = count
        self._messages = messages
        self._indexes: OrderedDict[str, Index] = OrderedDict()
        self._mutex = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self._indexes

    def __getitem__(self, path: str) -> Index:
        with self._mutex:
            index = self._indexes.get(path)
            if index is None:
                index = self._indexes[path] = Index(path)
            self._indexes.move_to_end(path)
            total = sum(map(len, self._indexes.values())) if len(self._indexes) > 1 else 0
            while len(self._indexes) > self._count or (total > self._messages and len(self._indexes) > 1):
                total -= len(self._indexes.popitem(last=False)[1])
            return index

    def forget(self) -> None:
        """Drop them all; in a forked child, whose parent's threads may have held their mutexes."""
        self._mutex = threading.Lock()
        self._indexes.clear()
