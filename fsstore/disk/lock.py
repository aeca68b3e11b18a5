"""Mutual exclusion between processes and between threads; the only module that imports filelock.

A lock is a file under `.fsstore/locks`, never deleted: unlinking a locked file would split its waiters over two inodes.
The kernel frees it when its holder dies, however it dies (flock(2)). One descriptor is one owner, so a mutex keeps the
threads of this process apart before the file keeps the processes apart.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

from fsstore.disk import fs, machine
from fsstore.errors import LockTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

#: Seconds between attempts: longer ones starve (one writer got 1 turn against 4,294), no pause burns a core.
POLL = 0.0001
#: Nanoseconds for which a lock file that was there is taken to be there still: to look costs as much as to lock.
LOOK = 10_000_000

#: filelock's `lock_descriptor` and `unlock_descriptor`, once they are needed.
_lock: Callable[..., bool] | None = None
_unlock: Callable[[int], None]


def _load() -> None:
    """Import filelock: late, because it takes longer than all of fsstore and a reader never needs it."""
    global _lock, _unlock
    from filelock import lock_descriptor, unlock_descriptor

    _unlock = unlock_descriptor
    _lock = lock_descriptor


class Lock:
    """One lock: a context manager, held by one thread of one process at a time.

    Invariants:
        The descriptor is only closed while the mutex is held. `generation` is the lock file's length when it was last
        looked at; a writer that failed to sync makes it longer, and so makes every other writer look (see `signal`).
    """

    __slots__ = ("_locks", "_looked", "_mutex", "fd", "generation", "path")

    def __init__(self, locks: Locks, path: str) -> None:
        self._locks = locks
        self._mutex = threading.RLock()
        self.path = path
        self.fd = -1
        self.generation = -1
        self._looked = -LOOK

    def take(self, among: int = 0) -> None:
        """Take the lock, waiting at most the store's `lock_timeout`.

        Args:
            among: How many locks of the same operation this thread holds already.

        Raises:
            RuntimeError: The thread holds a lock that is not of this operation: two such threads could wait for each other.
            LockTimeoutError: It was not free in time.
        """
        held = self._locks.held
        if held.count != among:
            raise RuntimeError(f"taking {self.path} while holding another lock: name all of an operation at once")
        try:
            if not self._mutex.acquire(False):
                self._wait_for_thread()
            if self.fd < 0 or not _lock(self.fd, blocking=False):  # type: ignore[misc]  # an open file means that it is loaded
                self._take_slowly()
            if time.monotonic_ns() - self._looked > LOOK:
                self._look()
            held.count = among + 1
        except BaseException:
            self.release(among)
            raise

    def give(self, *_: object) -> None:
        """Give the lock back."""
        held = self._locks.held
        left = held.count - 1
        try:
            _unlock(self.fd)
            held.count = left
            self._mutex.release()
        except BaseException:
            self.release(left)
            raise

    def release(self, left: int = 0) -> None:
        """Let go of whatever an interrupt left this thread holding; closing the only descriptor frees the file.

        `left` is how many other locks the thread still holds.
        """
        if self._mutex._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001  # as threading.Condition asks it
            self._locks.held.count = left
            try:
                self.drop()
            finally:
                self._mutex.release()

    __enter__ = take
    __exit__ = give

    def _wait_for_thread(self) -> None:
        timeout = self._locks.timeout
        if not self._mutex.acquire(timeout=-1 if timeout is None else timeout):
            raise LockTimeoutError(self.path, timeout or 0.0, f"another thread of process {machine.pid()}")

    def _take_slowly(self) -> None:
        """Open the file where it is not, and wait for it."""
        self._looked = -LOOK
        if _lock is None:
            _load()
        if self.fd < 0:
            self.fd = self._locks.restoring(self.path, fs.open_lock)
            self._locks.opened(self)
        timeout = self._locks.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _lock(self.fd, blocking=False):  # type: ignore[misc]  # _load has set it
            if deadline is not None and time.monotonic() >= deadline:
                raise LockTimeoutError(self.path, timeout or 0.0, machine.lock_holder(self.fd))
            time.sleep(POLL)

    def _look(self) -> None:
        """See whether the file still is the one that others lock, and whether one of them gave a signal."""
        while not (status := fs.fstat(self.fd)).st_nlink:
            self.drop()  # somebody removed it (git clean -x): others lock another one by now
            self._take_slowly()
        self.generation = status.st_size
        self._looked = time.monotonic_ns()

    def signal(self) -> None:
        """Make every user of this lock see a new `generation`, those of this process the next time they take it."""
        self._looked = -LOOK
        fd = self._locks.restoring(self.path, fs.open_lock)
        try:
            fs.write(fd, b"\n")
        finally:
            fs.close(fd)

    def drop(self) -> None:
        """Close the descriptor; whoever calls this holds the mutex, or is a forked child."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # somebody closed it already (a daemon closes all it inherits)
                fs.close(fd)

    def __del__(self) -> None:
        self.drop()

    def drop_if_idle(self) -> bool:
        """Close the descriptor unless a thread uses it; say whether it is closed."""
        return self.if_idle(self.drop)

    def if_idle(self, call: Callable[[], None]) -> bool:
        """Call something while no thread of this process holds or awaits the lock; say whether it was called."""
        if self._mutex._is_owned() or not self._mutex.acquire(blocking=False):  # type: ignore[attr-defined]  # noqa: SLF001
            return False
        try:
            call()
        finally:
            self._mutex.release()
        return True

    def forget(self) -> None:
        """Start anew in a forked child: its copy of the descriptor goes, the parent's lock stays."""
        self._mutex = threading.RLock()
        self.drop()


class Together:
    """Several locks, taken in ascending order so that no two operations wait for each other."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Lock]) -> None:
        self._parts = parts

    def __enter__(self) -> None:
        for number, part in enumerate(self._parts):
            try:
                part.take(number)
            except BaseException:
                for taken in self._parts[:number]:
                    taken.give()
                raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for part in reversed(self._parts):
            part.give()


class _Held(threading.local):
    """How many locks of one store this thread holds."""

    count = 0


class Locks:
    """All locks of one store.

    Invariants:
        At most `limit` lock files are open, as far as other threads do not hold more at the same time.
    """

    def __init__(
        self,
        directory: str,
        timeout: float | None,
        limit: int,
        restoring: Callable[[str, Callable[[str], int]], int] = lambda path, call: call(path),
    ) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError(f"lock_timeout must be 0 or more seconds, or None to wait without end, not {timeout}")
        self.timeout = timeout
        #: Calls what opens a lock file, and makes their directory where it is missing.
        self.restoring = restoring
        self.held = _Held()
        self._directory = directory
        self._limit = limit
        self._locks: dict[str, Lock] = {}
        self._open: dict[Lock, None] = {}
        _all.add(self)

    def __getitem__(self, name: str) -> Lock:
        """Give the lock of a name; no file is touched before it is taken."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks.setdefault(name, Lock(self, f"{self._directory}/{name}"))
        return lock

    def together(self, names: Iterable[str]) -> Together:
        """Give several locks as one context manager."""
        return Together([self[name] for name in sorted(set(names))])

    def opened(self, lock: Lock) -> None:
        """Note an open lock file, and close idle ones above the limit, the longest open first."""
        self._open[lock] = None
        if len(self._open) > self._limit:
            for other in list(self._open):
                self._close_idle(other)
                if len(self._open) <= self._limit:
                    break

    def _close_idle(self, lock: Lock) -> None:
        self._open.pop(lock, None)  # first, since its next user notes it again
        if not lock.drop_if_idle():
            self._open[lock] = None

    def close(self) -> None:
        """Close every lock file that is not held."""
        for lock in list(self._open):
            self._close_idle(lock)

    def forget(self) -> None:
        """Start anew in a forked child."""
        self.held = _Held()
        for lock in self._locks.values():
            lock.forget()
        self._open.clear()


_all: weakref.WeakSet[Locks] = weakref.WeakSet()


def _forget_all() -> None:
    for locks in list(_all):
        locks.forget()


machine.after_fork(_forget_all)
