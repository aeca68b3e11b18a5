"""The views of a store's logs that are kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from fsstore.disk.folding import View

    V = TypeVar("V", bound=View)


class Views:
    """The views used last, and no more: memory does not grow with the number of threads ever touched."""

    def __init__(self, count: int = 256) -> None:
        self._count = count
        self._views: OrderedDict[str, View] = OrderedDict()
        self._mutex = threading.Lock()

    def get(self, path: str, kind: type[V]) -> V:
        """Give the view of a log, made anew where it is not kept."""
        with self._mutex:
            view = self._views.get(path)
            if not isinstance(view, kind):
                view = self._views[path] = kind(path)
            self._views.move_to_end(path)
            while len(self._views) > self._count:
                self._views.popitem(last=False)
            return view

    def forget(self) -> None:
        """Drop them all; in a forked child, whose parent's threads may have held their mutexes."""
        self._mutex = threading.Lock()
        self._views.clear()
