"""Where a thread is: what all that is kept in a thread's directory needs to know of it."""

from __future__ import annotations

from contextlib import contextmanager

from fsstore import layout
from fsstore.disk import fs
from fsstore.errors import ThreadNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.disk.lock import Lock
    from fsstore.disk.root import Root


class Place:
    """A thread's directory. Making one touches no disk.

    Attributes:
        root: The store's directory.
        id: The thread's id.
        name: Its directory's name.
        directory: Its directory.
        meta: Its `meta.json`: the thread is there where this file is.
        stripe: The name of the lock that its writers take.
    """

    __slots__ = ("directory", "id", "meta", "name", "root", "stripe")

    def __init__(self, root: Root, id: str) -> None:
        self.root = root
        self.id = id
        self.name = layout.encode_name(id)
        self.stripe = layout.stripe(self.name)
        self.directory = f"{root.path}/{layout.THREADS}/{self.name}"
        self.meta = f"{self.directory}/{layout.META}"

    def path(self, file: str) -> str:
        """Give the path of a file of the thread."""
        return f"{self.directory}/{file}"

    def is_there(self) -> bool:
        """Say whether the thread exists."""
        return fs.is_file(self.meta)

    def missing(self) -> ThreadNotFoundError:
        """Make the error that says it does not."""
        return ThreadNotFoundError(self.id)

    def lock(self) -> Lock:
        """Give the thread's lock, to be held while something in its directory changes.

        Raises:
            ReadOnlyError: The store was opened read-only.
        """
        self.root.check_writable()
        return self.root.locks[self.stripe]

    @contextmanager
    def lock_existing(self) -> Iterator[None]:
        """Hold the lock of a thread that exists.

        Raises:
            ReadOnlyError: The store was opened read-only.
            ThreadNotFoundError: The thread does not exist.
            LockTimeoutError: Another writer held it for `lock_timeout` seconds.

        On disk: Nothing but what the holder does.
        Crash: The lock is free again.
        Concurrency: No other writer of the thread comes between; deleting it is one.
        """
        with self.lock():
            if not self.is_there():
                raise self.missing()
            yield
