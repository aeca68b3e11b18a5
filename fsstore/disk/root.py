"""What all files of one store share: its directory, its durability, its locks, its open descriptors."""

from __future__ import annotations

import atexit
import contextlib
import os.path
import weakref
from functools import partial

from fsstore import codec, layout
from fsstore.disk import fs, machine
from fsstore.disk.lock import Locks
from fsstore.errors import ReadOnlyError, SyncFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol, TypeVar

    from fsstore.disk.lock import Lock

    T = TypeVar("T")

    class Held(Protocol):
        """A log's descriptor as the root sees it."""

        lock: Lock
        used: bool

        def is_pinned(self) -> bool:
            """Say whether a thread uses the descriptor outside the lock."""

        def close(self) -> None:
            """Let the log go."""

        def forget(self) -> None:
            """Close the descriptor in a forked child, and write nothing."""


class Root:
    """A store's directory as the disk layer sees it.

    Attributes:
        path: The directory, absolute.
        full: Whether an acknowledged effect has reached the medium.
        local: Whether descriptors may stay open between operations: only where no other machine writes.

    Invariants:
        At most `max_open_files` descriptors stay open, logs and locks together.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        lock_timeout: float | None = 10.0,
        max_open_files: int = 128,
        read_only: bool = False,
    ) -> None:
        if durability not in ("full", "process"):
            raise ValueError(f'durability is "full" or "process", not {durability!r}')
        if max_open_files < 8:
            raise ValueError(f"max_open_files must be 8 or more, not {max_open_files}")
        self.path = path
        self.full = durability == "full"
        self.read_only = read_only
        self.locks = Locks(f"{path}/{layout.LOCKS}", lock_timeout, max_open_files // 4, self.with_own_directories)
        #: Logs of which a sync failed in this process, in case the mark on disk could not be made.
        self.tainted: set[str] = set()
        self._log_limit = max_open_files - max_open_files // 4
        #: Logs held open, by path, the longest held first.
        self.held: dict[str, Held] = {}
        self._local: bool | None = None
        #: Called in a forked child: what else holds mutexes that a thread of the parent may have held.
        self.on_fork: list[Callable[[], None]] = []
        #: Says whether a deletion took along what an append of some ids wrote to the log at a path.
        self.was_deleted: Callable[[str, tuple[str, ...]], bool] = lambda path, ids: False  # noqa: ARG005
        _all.add(self)

    @property
    def local(self) -> bool:
        """Whether the directory is known to lie on a local file system."""
        if self._local is None:
            self._local = machine.is_local(self.path)
        return self._local

    def check_writable(self) -> None:
        """Refuse every write in a store that was opened read-only."""
        if self.read_only:
            raise ReadOnlyError(self.path)

    def hold(self, path: str, held: Held) -> None:
        """Keep a log's descriptor open, and above the limit let go of one that was not used lately."""
        self.held[path] = held
        while len(self.held) > self._log_limit and self._let_one_go(held):
            pass

    def _let_one_go(self, newest: Held) -> bool:
        for path, held in list(self.held.items()) * 2:
            if held is newest or held.used:
                held.used = False  # a second chance: it goes the next time unless it is used before
                continue
            close = partial(self._let_go_unused, path, held)
            if held.lock is newest.lock:  # held by this very thread
                close()
            else:
                held.lock.if_idle(close)
            if path not in self.held:
                return True
        return False

    def _let_go_unused(self, path: str, held: Held) -> None:
        if not held.is_pinned():
            self.let_go(path, held)

    def let_go(self, path: str, held: Held) -> None:
        """Close a log's descriptor; whoever calls this holds its lock."""
        if self.held.get(path) is held:
            del self.held[path]
        held.close()

    def close(self) -> None:
        """Close every descriptor that no thread uses just now."""
        for path, held in list(self.held.items()):
            held.lock.if_idle(partial(self._let_go_unused, path, held))
        self.locks.close()

    def forget(self) -> None:
        """Start anew in a forked child: close its copies of the descriptors, and touch nothing on disk."""
        held = list(self.held.values())
        self.held.clear()
        for one in held:
            one.forget()
        for forget in self.on_fork:
            forget()

    def make_own_directories(self) -> None:
        """Make what the store keeps beside the data, where it is missing."""
        for name in (*layout.OWN_DIRECTORIES, layout.THREADS):
            fs.make_directory(f"{self.path}/{name}")

    def with_own_directories(self, path: str, call: Callable[[str], T]) -> T:
        """Call with a path below the store's own directories, through no symbolic link; see `check_no_link`.

        Where that fails because `git clean -x` took these directories, they are made, and it is called again.
        """
        self.check_no_link(os.path.dirname(path))
        try:
            return call(path)
        except FileNotFoundError:
            if not fs.is_file(f"{self.path}/{layout.FORMAT_FILE}"):
                raise
            self.make_own_directories()
            return call(path)

    def check_no_link(self, path: str) -> None:
        """Refuse to write where a symbolic link inside the store leads; above the root links are the user's own.

        Raises:
            OSError: With `errno.ELOOP` and the link.
        """
        fs.check_no_link(path, self.path)

    def make_directories(self, path: str) -> None:
        """Make a directory in the store and its missing parents; see `check_no_link`."""
        self.check_no_link(path)
        fs.make_directories(path)

    def temp(self, path: str) -> str:
        """Give a fresh name for what will replace `path`."""
        return f"{self.path}/{layout.TMP}/{layout.temp_name(path, machine.host(), machine.pid(), machine.salt())}"

    def replace(
        self,
        path: str,
        data: bytes,
        *,
        sync_directory: bool,
        synced: bool = True,
        before: Callable[[], object] | None = None,
    ) -> None:
        """Put a file in the place of `path`, whole, at one moment.

        `before` is called when the disk has room for it; what it raises leaves the old file.

        On disk: A temporary file in `.fsstore/tmp`, synced unless it is to be a cache; then rename(2); then the directory is
            synced.
        Crash: The old file or the new one, never another.

        Raises:
            SyncFailedError: The directory could not be synced: the new file is there, but may not survive a power cut.
        """
        with self.replacement(path, data, synced=synced) as temp:
            if before is not None:
                before()
            fs.rename(temp, path)
        if sync_directory:
            self.sync_up(os.path.dirname(path))

    @contextlib.contextmanager
    def replacement(self, path: str, data: bytes, *, synced: bool = True) -> Iterator[str]:
        """Give a new file that is to be renamed to `path`, or unlinked; on any failure nothing is left of it."""
        self.check_no_link(os.path.dirname(path))
        temp = self.temp(path)
        self.with_own_directories(temp, partial(fs.create_temp, data=data, synced=synced))
        try:
            yield temp
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # renamed already
                fs.unlink(temp)
            raise

    def trash_path(self, path: str, deletion: str) -> str:
        """Give the place in the trash for what stands at a path; touches no disk."""
        return f"{self.path}/{layout.trash_path(path.removeprefix(f'{self.path}/'), deletion)}"

    def trash_place(self, path: str, deletion: str) -> str:
        """Make the place in the trash for what stands at a path; give it."""
        place = self.trash_path(path, deletion)
        self.with_own_directories(os.path.dirname(place), self.make_directories)
        return place

    def quarantine(self, path: str, id: str, pieces: list[tuple[int, bytes, str]]) -> None:
        """Keep bytes that are taken out of a file, synced, with a document beside them that says where they came from.

        Args:
            path: The file.
            id: The id of what takes them out.
            pieces: The offset of each, its bytes, and why.
        """
        raw, about = (f"{self.path}/{place}" for place in layout.quarantine_paths(id))
        self.with_own_directories(os.path.dirname(raw), self.make_directories)
        said = [{"offset": offset, "length": len(data), "reason": reason} for offset, data, reason in pieces]
        below = path.removeprefix(f"{self.path}/")
        self.replace(about, codec.encode_document({"path": below, "pieces": said}), sync_directory=False)
        self.replace(raw, b"".join(data for _, data, _ in pieces), sync_directory=False)
        self.sync_up(os.path.dirname(raw), always=True)  # at either durability: the file is rewritten without them next

    def copy_to_trash(self, path: str, deletion: str) -> None:
        """Put a copy of a document into the trash, synced at either durability; the document stays where it is."""
        self.check_no_link(os.path.dirname(path))
        place = self.trash_place(path, deletion)
        self.replace(place, fs.read_file(path), sync_directory=False)
        self.sync_up(os.path.dirname(place), always=True)

    def move_to_trash(self, path: str, deletion: str) -> None:
        """Rename a directory into the trash; it, and its absence, are synced at either durability."""
        self.check_no_link(os.path.dirname(path))
        place = self.trash_place(path, deletion)
        self.sync_up(os.path.dirname(place), always=True)  # before: what is moved into a directory that is lost is lost
        fs.rename(path, place)
        self.sync_up(os.path.dirname(place))
        self.sync_up(os.path.dirname(path))

    def taint_path(self, path: str) -> str:
        """Give the place of the mark which says that syncs of a log prove nothing; touches no disk."""
        return f"{self.path}/{layout.TAINTED}/{layout.taint_name(path.removeprefix(f'{self.path}/'))}"

    def taint(self, path: str) -> None:
        """Mark a log of which a sync failed: syncs of that file prove nothing any more (fsync(2): an error is told once)."""
        self.tainted.add(path)
        with contextlib.suppress(OSError):  # a disk that fails may refuse this too; this process knows all the same
            self.with_own_directories(self.taint_path(path), self._make_mark)

    @contextlib.contextmanager
    def distrusted(self, *paths: str) -> Iterator[None]:
        """Mark logs as tainted meanwhile, and for good where this fails: whoever has one open copies it before he goes on."""
        marks = [mark for mark in map(self.taint_path, paths) if not fs.exists(mark, 0)]
        for mark in marks:
            self.with_own_directories(mark, self._make_mark)
        yield
        for mark in marks:
            fs.unlink(mark)

    @staticmethod
    def _make_mark(mark: str) -> None:
        fs.close(fs.open_lock(mark))

    def move_from_trash(self, path: str, deletion: str) -> None:
        """Rename a directory from the trash back to its place, where nothing stands; synced at either durability."""
        place = self.trash_path(path, deletion)
        self.make_directories(os.path.dirname(path))
        self.sync_up(os.path.dirname(path), always=True)  # before: see `move_to_trash`
        fs.rename(place, path)
        self.sync_up(os.path.dirname(path))
        self.sync_up(os.path.dirname(place))
        self.prune_trash(place)

    def prune_trash(self, place: str) -> None:
        """Take away the directories of the trash above a place that nothing stands in any more."""
        with contextlib.suppress(OSError):  # something else stands there, or comes just now
            while (place := os.path.dirname(place)) != f"{self.path}/{layout.TRASH}":
                fs.rmdir(place)

    def sync_up(self, directory: str, *, always: bool = False) -> None:
        """Sync a directory, and at full durability, or `always`, every one above it up to the root.

        A directory made by a writer that did not sync is only as durable as its entry in the one above.
        """
        try:
            fs.sync_directory(directory)
            while (self.full or always) and directory != self.path:
                directory = os.path.dirname(directory)
                fs.sync_directory(directory)
        except OSError as error:
            raise SyncFailedError(directory, (), str(error), error.errno) from error


_all: weakref.WeakSet[Root] = weakref.WeakSet()


def _forget_all() -> None:
    for root in list(_all):
        root.forget()


def _close_all() -> None:
    for root in list(_all):
        root.close()


machine.after_fork(_forget_all)
atexit.register(_close_all)  # a store that nobody closed keeps its stamps all the same
