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
    """The views used last, and no more: memory does not grow with the number of threads ever touched.

    Args:
        count: How many views are kept at the most.
        size: Up to how many bytes of logs, read for the views kept, another one may come to them: a view can hold as much as
            its log.
    """

    def __init__(self, count: int = 256, size: int = 1 << 28) -> None:
        self._count = count
        self._size = size
        self._views: OrderedDict[str, View] = OrderedDict()
        self._mutex = threading.Lock()

    def get(self, path: str, kind: type[V]) -> V:
        """Give the view of a log, made anew where it is not kept."""
        with self._mutex:
            view = self._views.get(path)
            if not isinstance(view, kind):
                self._views.pop(path, None)
                view = self._views[path] = kind(path)
                self._make_room()
            self._views.move_to_end(path)
            return view

    def _make_room(self) -> None:
        total = sum(view.end for view in self._views.values())
        while len(self._views) > self._count or (total > self._size and len(self._views) > 1):
            total -= self._views.popitem(last=False)[1].end

    def forget(self) -> None:
        """Drop them all; in a forked child, whose parent's threads may have held their mutexes."""
        self._mutex = threading.Lock()
        self._views.clear()
