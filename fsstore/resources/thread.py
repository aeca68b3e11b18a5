"""One thread: its handle."""

from __future__ import annotations

from functools import cached_property

from fsstore import clock
from fsstore.resources.messages import Messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from fsstore.codec import Json
    from fsstore.records.threads import ThreadInfo
    from fsstore.resources.checkpoints import Checkpoints
    from fsstore.resources.goal import Goal
    from fsstore.resources.indexes import Indexes
    from fsstore.resources.place import Place
    from fsstore.resources.runs import Runs
    from fsstore.resources.state import State
    from fsstore.resources.tools import Tools
    from fsstore.resources.views import Views

    class Owner(Protocol):
        """What a handle asks of the threads that it is one of: see `Threads`."""

        def get(self, id: str) -> ThreadInfo | None:
            """Read a thread."""

        def last_activity(self, info: ThreadInfo) -> int:
            """Give the time at which a thread was last used."""

        def update(self, id: str, **changes: Json) -> ThreadInfo:
            """Change a thread."""

        def delete(self, id: str) -> bool:
            """Delete a thread."""


class ThreadHandle:
    """One thread. Making a handle touches no disk, and says nothing of whether the thread is there.

    Attributes:
        id: The thread's id.
        place: Where it is.
        directory: Its directory.
        messages: Its message tree.
    """

    def __init__(self, threads: Owner, place: Place, indexes: Indexes, views: Views) -> None:
        self.id = place.id
        self.place = place
        self.directory = place.directory
        self.messages = Messages(place, indexes)
        self._threads = threads
        self._views = views

    # Each is imported when it is first used: importing all of them takes longer than opening a store.

    @cached_property
    def runs(self) -> Runs:
        """Its runs."""
        from fsstore.resources.runs import Runs

        return Runs(self.place)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        from fsstore.resources.checkpoints import Checkpoints

        return Checkpoints(self.place)

    @cached_property
    def goal(self) -> Goal:
        """Its goal, with what was spent on it."""
        from fsstore.resources.goal import Goal

        return Goal(self.place, self._views)

    @cached_property
    def state(self) -> State:
        """What it is doing."""
        from fsstore.resources.state import State

        return State(self.place)

    @cached_property
    def tools(self) -> Tools:
        """Its dynamic tools."""
        from fsstore.resources.tools import Tools

        return Tools(self.place)

    def info(self) -> ThreadInfo:
        """Read what the thread is.

        Raises:
            ThreadNotFoundError: It does not exist.
            CorruptError: Its meta.json cannot be read.
        """
        info = self._threads.get(self.id)
        if info is None:
            raise self.place.missing()
        return info

    def last_activity(self) -> int:
        """Give the time of the newest message, or of the last upsert, whichever is later (Unix seconds)."""
        return self._threads.last_activity(self.info())

    def rename(self, name: str | None) -> ThreadInfo:
        """Give the thread another name, or none. See `Threads.update`."""
        return self._threads.update(self.id, name=name)

    def archive(self) -> ThreadInfo:
        """Mark the thread as archived, now. See `Threads.update`."""
        return self._threads.update(self.id, archived=True, archived_at=clock.now(), status="archived")

    def unarchive(self) -> ThreadInfo:
        """Mark the thread as not archived; a status of `archived` becomes `idle`. See `Threads.update`."""
        return self._threads.update(self.id, archived=False, archived_at=None)

    def delete(self) -> bool:
        """Move the thread to the trash. See `Threads.delete`."""
        return self._threads.delete(self.id)
