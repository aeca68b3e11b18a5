"""A log held open for appending, and what its writer knows of it."""

from __future__ import annotations

from threading import Lock, get_ident

from fsstore import clock, codec
from fsstore.disk import fs
from fsstore.disk.follow import Follower

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from fsstore.codec import Object
    from fsstore.disk import lock as locking

_LOST = 1 << 62  # an end that no file has


class Fold:
    """What a writer must know of all records before its own. This base knows the greatest id and the order.

    Attributes:
        greatest: The greatest id.
        stamp: Its time (`clock.stamp_of`).
        ascending: Whether each record's id is at least that of the one before.
    """

    def __init__(self) -> None:
        self.greatest = ""
        self.stamp = 0
        self.ascending = True

    def start(self, fd: int, status: os.stat_result) -> int:  # noqa: ARG002  # for those that override it
        """Learn the log from its file; give how far it was read, or 0 to have every record given to `add`."""
        return 0

    def add(self, record: Object) -> None:
        """Learn one record that another writer appended.

        Raises:
            FormatError: It must be understood, and is not.
        """
        codec.check_type(record)
        id = record["id"]
        if id < self.greatest:
            self.ascending = False
        else:
            self.know(id)

    def skim(self, data: bytes, start: int) -> bool:  # noqa: ARG002  # for those that override it
        """Learn what stands in some bytes from `start` on without decoding all of it, where that can be; say if so."""
        return False

    def know(self, id: str) -> None:
        """Take an id as the greatest."""
        self.greatest = id
        self.stamp = clock.stamp_of(id)

    def let_go(self, end: int, tail: bytes) -> None:
        """The log, read up to `end`, is closed: keep what makes the next start cheaper."""


class Writer(Follower):
    """A log held open for appending, and what is known of it. Used under the log's lock only.

    Attributes:
        seal: What the next append must begin with, since the file does not end in a newline.
        directory: The inode and the time of change of the log's directory, at a moment when the log was in its place; None
            where that time is too young to tell the next change from the last.

    Invariants:
        The descriptor stays open while a thread has it pinned, to sync it outside the lock.
    """

    __slots__ = (
        "_doomed",
        "_guard",
        "_users",
        "directory",
        "fd",
        "fold",
        "generation",
        "lock",
        "seal",
        "suffix",
        "synced_up",
        "used",
    )

    def __init__(self, fd: int, fold: Fold, lock: locking.Lock) -> None:
        super().__init__()
        self.fd = fd
        self.fold = fold
        self.lock = lock
        self.generation = lock.generation
        self.seal = b""
        self.suffix = clock.random_suffix()
        self.synced_up = False
        self.used = True
        self.directory: tuple[int, int] | None = None
        self._users: set[int] = set()
        self._doomed = False
        self._guard = Lock()

    def mint(self) -> str:
        """Give an id greater than every id of the log."""
        fold = self.fold
        fold.stamp, fold.greatest = clock.next_id(fold.stamp, self.suffix)
        return fold.greatest

    def mint_many(self, count: int) -> list[str]:
        """Give ids greater than every id of the log, ascending."""
        fold = self.fold
        fold.stamp, ids = clock.next_ids(fold.stamp, self.suffix, count)
        fold.greatest = ids[-1]
        return ids

    def lose(self) -> None:
        """Have the file read anew before the next append."""
        self.end = _LOST
        self.fold.ascending = False

    def pin(self) -> None:
        """Keep the descriptor open for this thread."""
        self._users.add(get_ident())

    def unpin(self) -> None:
        """Let this thread's hold on the descriptor go."""
        with self._guard:
            self._users.discard(get_ident())
            if self._doomed and not self._users:
                self.forget()

    def is_pinned(self) -> bool:
        """Say whether a thread syncs the descriptor just now."""
        return bool(self._users)

    def close(self) -> None:
        """Let the log go."""
        with self._guard:
            if self._users:
                self._doomed = True
            else:
                self.forget()
        if not self.seal and self.fold.ascending:
            self.fold.let_go(self.end, self.tail)

    def forget(self) -> None:
        """Close the descriptor, and write nothing: in a forked child, for one."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            fs.close(fd)

    def __del__(self) -> None:
        self.forget()
