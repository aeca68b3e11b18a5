"""Mutual exclusion between processes and between threads; the only module that imports filelock.

A lock is a file under `.fsstore/locks`, never deleted: unlinking a locked file would split its waiters over two inodes.
The kernel frees it when its holder dies, however it dies (flock(2)). One descriptor is one owner, so a mutex keeps the
threads of this process apart before the file keeps the processes apart.
"""

from __future__ import annotations

import threading
import time
import weakref

from fsstore.disk import fs
from fsstore.errors import LockTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

#: Seconds between attempts: longer ones starve (one writer got 1 turn against 4,294), no pause burns a core.
POLL = 0.0001

_try_lock: Callable[[int], bool] | None = None
_unlock: Callable[[int], None]


def _load() -> None:
    """Import filelock: late, because it takes longer than all of fsstore and a reader never needs it."""
    global _try_lock, _unlock
    from filelock import lock_descriptor, unlock_descriptor

    def try_lock(fd: int) -> bool:
        return lock_descriptor(fd, blocking=False)

    _unlock = unlock_descriptor
    _try_lock = try_lock


class Lock:
    """One lock: a context manager, held by one thread of one process at a time.

    Invariants:
        The descriptor is only closed while the mutex is held. `generation` is the lock file's length when it was last
        taken; a writer that failed to sync makes it longer, and so makes every other writer look (see `signal`).
    """

    __slots__ = ("_locks", "_mutex", "fd", "generation", "path")

    def __init__(self, locks: Locks, path: str) -> None:
        self._locks = locks
        self._mutex = threading.Lock()
        self.path = path
        self.fd = -1
        self.generation = -1

    def __enter__(self) -> Lock:
        held = self._locks.held
        if getattr(held, "count", 0):
            raise RuntimeError(f"taking {self.path} while holding another lock: name all of an operation at once")
        self.take()
        held.count = 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._locks.held.count = 0
        self.give()

    def take(self) -> None:
        """Take the lock, waiting at most the store's `lock_timeout`."""
        if not self._mutex.acquire(blocking=False):
            self._wait_for_thread()
        try:
            self._take_file()
        except BaseException:
            self.drop()  # an interrupt may have come after the lock: closing its only descriptor frees it
            self._mutex.release()
            raise

    def give(self) -> None:
        """Give the lock back."""
        try:
            _unlock(self.fd)
        finally:
            self._mutex.release()

    def _wait_for_thread(self) -> None:
        timeout = self._locks.timeout
        if not self._mutex.acquire(timeout=-1 if timeout is None else timeout):
            raise LockTimeoutError(self.path, timeout or 0.0, f"another thread of process {fs.pid()}")

    def _take_file(self) -> None:
        if _try_lock is None:
            _load()
        while True:
            if self.fd < 0:
                self.fd = fs.open_lock(self.path)
                self._locks.opened(self)
            if not _try_lock(self.fd):  # type: ignore[misc]  # _load has set it
                self._poll()
            status = fs.fstat(self.fd)
            if status.st_nlink:
                self.generation = status.st_size
                return
            self.drop()  # somebody removed the file (git clean -x): others lock another one by now

    def _poll(self) -> None:
        timeout = self._locks.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _try_lock(self.fd):  # type: ignore[misc]  # see _take_file
            if deadline is not None and time.monotonic() >= deadline:
                raise LockTimeoutError(self.path, timeout or 0.0, fs.lock_holder(self.fd))
            time.sleep(POLL)

    def signal(self) -> None:
        """Make every other user of this lock see a new `generation`."""
        fd = fs.open_lock(self.path)
        try:
            fs.write(fd, b"\n")
        finally:
            fs.close(fd)

    def drop(self) -> None:
        """Close the descriptor; whoever calls this holds the mutex, or is a forked child."""
        if self.fd >= 0:
            fs.close(self.fd)
            self.fd = -1

    def drop_if_idle(self) -> bool:
        """Close the descriptor unless a thread uses it; say whether it is closed."""
        return self.if_idle(self.drop)

    def if_idle(self, call: Callable[[], None]) -> bool:
        """Call something while no thread of this process holds or awaits the lock; say whether it was called."""
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            call()
        finally:
            self._mutex.release()
        return True

    def forget(self) -> None:
        """Start anew in a forked child: its copy of the descriptor goes, the parent's lock stays."""
        self._mutex = threading.Lock()
        self.drop()


class Together:
    """Several locks, taken in ascending order so that no two operations wait for each other."""

    __slots__ = ("_locks", "_parts")

    def __init__(self, locks: Locks, parts: list[Lock]) -> None:
        self._locks = locks
        self._parts = parts

    def __enter__(self) -> Together:
        held = self._locks.held
        if getattr(held, "count", 0):
            raise RuntimeError("taking locks while holding another: name all of an operation at once")
        for number, part in enumerate(self._parts):
            try:
                part.take()
            except BaseException:
                for taken in self._parts[:number]:
                    taken.give()
                raise
        held.count = len(self._parts)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._locks.held.count = 0
        for part in reversed(self._parts):
            part.give()


class Locks:
    """All locks of one store.

    Invariants:
        At most `limit` lock files are open, as far as other threads do not hold more at the same time.
    """

    def __init__(self, directory: str, timeout: float | None, limit: int) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError(f"lock_timeout must be 0 or more seconds, or None to wait without end, not {timeout}")
        self.timeout = timeout
        self.held = threading.local()
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
        return Together(self, [self[name] for name in sorted(set(names))])

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
        self.held = threading.local()
        for lock in self._locks.values():
            lock.forget()
        self._open.clear()


_all: weakref.WeakSet[Locks] = weakref.WeakSet()


def _forget_all() -> None:
    for locks in list(_all):
        locks.forget()


fs.after_fork(_forget_all)
