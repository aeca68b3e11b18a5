"""The files of a `DataStore` session: its logs, and writing into a session that may not be there yet."""

from __future__ import annotations

from contextlib import suppress

from fsstore import layout
from fsstore.errors import ThreadNotFoundError
from fsstore.resources.beginning import beginning
from fsstore.resources.content_log import ContentView, WholeContentView
from fsstore.resources.rewind_log import RewindView
from fsstore.resources.viewed_log import ViewedLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from fsstore.codec import Object
    from fsstore.resources.threads import Threads
    from fsstore.resources.views import Views

    T = TypeVar("T")

#: Whose the threads are that a `DataStore` began: see `ThreadInfo.kind`.
KIND = "data"


class SessionFiles:
    """Where a session's histories, runs and rewind stack are kept. Making one touches no disk.

    Attributes:
        thread: The thread that the session is.
        place: Where it is.
        content: What it went through.
        rewind: What it can go back to.
    """

    def __init__(self, threads: Threads, views: Views, id: str, cwd: str) -> None:
        self.thread = threads.handle(id)
        self.place = place = self.thread.place
        self._threads = threads
        self._cwd = cwd
        rest = (place.stripe, place.meta, place.missing, views)
        self.content = ViewedLog(place.root, place.path(layout.CONTENT), *rest, ContentView)
        self.rewind = ViewedLog(place.root, place.path(layout.REWIND), *rest, RewindView)

    def write(self, call: Callable[[], T]) -> T:
        """Call what writes into the session, which is begun where it is missing; see `beginning`."""
        return beginning(self._threads, self.place.id, call, kind=KIND, cwd=self._cwd)

    def write_there(self, call: Callable[[], object]) -> None:
        """Call what writes into the session, unless it is missing: one that was deleted meanwhile is not begun again for it."""
        with suppress(ThreadNotFoundError):
            call()

    def append(self, describe: Callable[[ContentView], Object | None]) -> None:
        """Append a record to what the session went through; see `ViewedLog.append`."""
        self.write(lambda: self.content.append(describe))

    def append_if(self, describe: Callable[[ContentView], Object | None]) -> None:
        """Append a record to what the session went through, where there is one to append; no session is begun for it."""
        with self.content.reading() as view:
            needed = describe(view) is not None
        if needed:
            self.write_there(lambda: self.content.append(describe))

    def whole(self) -> WholeContentView:
        """Read all that the session went through, what was said in its runs included."""
        view = WholeContentView(self.content.path)
        view.refresh()
        return view
