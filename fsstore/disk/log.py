"""The append-only log: one way to append, for every log of the store (FORMAT.md, *Appending*)."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as _stat
import time

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import TAIL, Follower, read_new
from fsstore.disk.renewal import renew, sort_lines
from fsstore.disk.writer import Fold, Writer
from fsstore.errors import NotFoundError, SyncFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from fsstore.disk.lock import Lock
    from fsstore.disk.root import Root

    #: What an append makes under the lock, once the log's end is known: the bytes of whole lines, and their ids.
    Made: TypeAlias = tuple[bytes, tuple[str, ...]]


#: Bytes that are skimmed at once: what a neighbour appends meanwhile, and what came since a log was last open.
_FEW, _MANY = 1 << 17, 1 << 20
_TICK, _LONG_TICK = 50_000_000, 2_100_000_000  # nanoseconds


class Log:
    """One append-only file of one JSON record a line.

    Args:
        root: The store's directory.
        path: The log.
        lock: The name of the lock that its writers take.
        owner: What must exist for the log to be begun: its thread's `meta.json`.
        missing: Makes the error where `owner` is not there.
        fold: Makes what a writer must know of the log.
    """

    __slots__ = ("_directory", "_fold", "_lock", "_missing", "_owner", "_taint", "path", "root")

    def __init__(
        self, root: Root, path: str, lock: str, owner: str, missing: Callable[[], Exception], fold: Callable[[], Fold] = Fold
    ) -> None:
        self.root = root
        self.path = path
        self._lock = root.locks[lock]
        self._directory = os.path.dirname(path)
        self._taint = root.taint_path(path)
        self._owner = owner
        self._missing = missing
        self._fold = fold

    def append(self, make: Callable[[Writer], Made]) -> tuple[str, ...]:
        """Append what `make` gives, in one write; give its ids.

        `make` runs under the lock and may run again where the file was replaced under it.

        Raises:
            LockTimeoutError: Another writer held the lock for `lock_timeout` seconds; nothing was written.
            SyncFailedError: The record is written, but the disk did not confirm it.
            OSError: What the disk refused; nothing was left behind, unless it refused even to take that back.

        On disk: One write at the end of the file, sealed before if its tail was torn; then, at full durability, one sync.
        Crash: The lines whole, or a prefix of them and a fragment that the next writer seals.
        Concurrency: Every append of every process survives once.
        """
        root = self.root
        if root.read_only:
            root.check_writable()
        lock = self._lock
        try:
            with lock:
                writer, data, ids = self.append_locked(make)
                if not (root.full and data):
                    return ids
                if not root.local:
                    self._sync(writer, ids)  # before another machine is let in
                    return ids
                writer.pin()
        except BaseException:
            lock.release()  # an interrupt may have come between the lock and the block
            raise
        try:
            self._sync(writer, ids)
        except NotFoundError:
            pass  # the thread was moved away meanwhile, with the lines in it or not
        finally:
            writer.unpin()
        self._confirm(writer, data, ids)
        return ids

    def append_locked(self, make: Callable[[Writer], Made]) -> tuple[Writer, bytes, tuple[str, ...]]:
        """Append under a lock that the caller holds, without the sync; see `append` and `sync_locked`."""
        while True:
            writer = self.writer()
            try:
                data, ids = make(writer)
                done = self._put(writer, data) if data else self._is_in_place(writer)
            except NotFoundError:
                if self._is_in_place(writer):
                    raise
                done = False  # what was not found may be in the file that replaced this one
            except BaseException:
                writer.lose()  # an interrupt may have come after the fold learnt what was not written
                raise
            if done:
                return writer, data, ids
            self.root.let_go(self.path, writer)

    def rewrite(self, change: Callable[[bytes], bytes | None]) -> bool:
        """Replace the log's lines by what `change` makes of them (None: they stay); say whether there is a log.

        On disk: A new file, synced at either durability, then renamed over the old one.
        Crash: The old log or the new one.
        Concurrency: `change` runs without the lock; other writers wait only while what they appended meanwhile is copied.
        """
        self.root.check_writable()
        return renew(self.root, self.path, change, self._locked)

    def mend(self, change: Callable[[bytes], bytes | None]) -> None:
        """Replace the log's lines by what `change` makes of them, a fragment at the end included. See `rewrite`.

        On disk: As `rewrite`.
        Crash: As `rewrite`.
        Concurrency: Other writers wait: a fragment that is there while the lock is held is nobody's any more.
        """
        self.root.check_writable()
        with self._locked():
            renew(self.root, self.path, change, whole=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock, and let the descriptor of the old file go."""
        with self._lock:
            held = self.root.held.get(self.path)
            if held is not None:
                self.root.let_go(self.path, held)
            yield

    def sync_locked(self, writer: Writer, ids: tuple[str, ...], *, always: bool = False) -> None:
        """Sync what `append_locked` wrote, for operations of several files whose order matters.

        At durability "process" only where `always`: before data is moved away.
        """
        if self.root.full or always:
            self._sync(writer, ids)

    def writer(self) -> Writer:
        """Give the log held open and known to its end; the caller holds the lock."""
        writer: Writer | None = self.root.held.get(self.path)  # type: ignore[assignment]  # the root knows logs by what it needs
        if writer is None:
            return self._open()
        writer.used = True
        if writer.generation != writer.lock.generation:
            if not self.root.local or self._is_tainted():
                return self._open()  # off the local disk, a descriptor held over another machine's write is stale
            writer.generation = writer.lock.generation
        tail, end = writer.tail, writer.end
        # One byte more than there should be: one read tells the length and the last bytes. (lseek or fstat would cost
        # another call, and fstat makes the next write slower: the kernel then stamps it with a finer time.)
        if not writer.seal and fs.read_at(writer.fd, len(tail) + 1, end - len(tail)) == tail and writer.fold.ascending:
            return writer
        return writer if self._catch_up(writer) else self._open()

    def _catch_up(self, writer: Writer) -> bool:
        """Fold in what others appended; say whether the log can be used as it is held."""
        known = len(writer.tail)
        if writer.seal or not writer.fold.ascending:
            return False
        data = fs.read_at(writer.fd, known + _FEW, writer.end - known)
        if not data.startswith(writer.tail):
            return False
        if len(data) < known + _FEW and writer.fold.skim(data, known):
            writer.end += len(data) - known
            writer.tail = data[-TAIL:]
            return True
        self._fold_new(writer, fs.fstat(writer.fd).st_size)
        return writer.fold.ascending

    def _fold_new(self, writer: Writer, size: int) -> None:
        data = fs.read_range(writer.fd, writer.end, max(writer.end, min(size, writer.end + _MANY)))
        whole = data[: data.rfind(b"\n") + 1]
        if writer.fold.skim(whole, 0):
            writer.advance(writer.fd, writer.end + len(whole))
        for _, line in read_new(writer.fd, writer, size):
            for piece in line.records:
                writer.fold.add(piece.record)
        writer.seal = b""
        if writer.end < size:
            writer.seal = codec.SEAL  # a fragment: it stays, closed off
            writer.advance(writer.fd, size)
        elif size and not writer.tail.endswith(b"\n"):
            writer.seal = b"\n"  # a whole record that lacks only its newline

    def _open(self) -> Writer:
        root = self.root
        held = root.held.get(self.path)
        if held is not None:
            root.let_go(self.path, held)
        if self._is_tainted():
            renew(self.root, self.path, lambda data: data)
            self._clear_taint()
        writer = self._open_file()
        if not writer.fold.ascending:
            writer.forget()
            renew(self.root, self.path, sort_lines)  # a merge left the lines unsorted
            writer = self._open_file()
        root.hold(self.path, writer)
        return writer

    def _open_file(self) -> Writer:
        if not fs.is_file(self._owner):
            raise self._missing()
        self.root.check_no_link(self._directory)
        try:
            fd = fs.open_log(self.path, create=False)
        except FileNotFoundError:
            fd = fs.open_log(self.path, create=True)
        writer = Writer(fd, self._fold(), self._lock)
        try:
            status = fs.fstat(fd)
            if not _stat.S_ISREG(status.st_mode):
                raise OSError(f"{self.path} is not a regular file")
            if not self.root.local:
                writer.generation = -1
            writer.start(status)
            known = writer.fold.start(fd, status)
            if known:
                writer.advance(fd, known)
            self._fold_new(writer, status.st_size)
        except BaseException:
            writer.forget()
            raise
        return writer

    def _put(self, writer: Writer, data: bytes) -> bool:
        """Write at the end of the file; say whether that was still the file at the log's path."""
        if writer.seal:
            data = writer.seal + data
        written = 0
        try:
            written = fs.write(writer.fd, data)
            while written < len(data):
                written += fs.write(writer.fd, data[written:])  # short: the disk is nearly full, and this one says so
            status = fs.stat(self._directory)
            in_place = (status.st_ino, status.st_ctime_ns) == writer.directory or self._is_in_place(writer)
        except FileNotFoundError:
            in_place = False
        except BaseException as error:
            self._cut_off(writer, written)
            fs.name_file(error, self.path)
            raise
        if not in_place:
            self._cut_off(writer, written)
            return False
        # Where somebody appended without the lock just before, the bytes at this end are not `data`, and the next append
        # reads the file anew.
        writer.end += written
        writer.tail = data[-TAIL:]
        writer.seal = b""
        return True

    def _is_in_place(self, writer: Writer) -> bool:
        """Say whether the file held open still is the one at the log's path.

        Any rename, creation or deletion in a directory changes the directory's own time of change, which nobody can set
        back (inode(7)); appending does not. So the file is looked at only when its directory changed.
        """
        try:
            status = fs.stat(self._directory)
            if (status.st_ino, status.st_ctime_ns) == writer.directory:
                return True
            file = fs.stat(self.path)
        except FileNotFoundError:
            return False
        # Two changes in one tick of this time look the same: up to 10 ms before Linux 6.13, and 1 or 2 s on file systems
        # that keep whole seconds.
        tick = _TICK if status.st_ctime_ns % 1_000_000_000 else _LONG_TICK
        settled = time.time_ns() - status.st_ctime_ns > tick
        writer.directory = (status.st_ino, status.st_ctime_ns) if settled else None
        return file.st_ino == writer.inode and file.st_dev == writer.device

    def _cut_off(self, writer: Writer, written: int) -> None:
        """Take back an append that failed, unless somebody else's bytes follow it, and let the file go."""
        try:
            if written and fs.fstat(writer.fd).st_size == writer.end + written:
                fs.truncate(writer.fd, writer.end)
        except OSError:
            pass  # a full disk may refuse even this (EDQUOT on btrfs); the next writer seals what is left
        writer.lose()  # what it knows includes the record taken back
        self.root.let_go(self.path, writer)

    def _sync(self, writer: Writer, ids: tuple[str, ...]) -> None:
        try:
            fs.sync(writer.fd)
        except OSError as error:
            self._set_taint(writer.lock)
            raise SyncFailedError(self.path, ids, str(error), error.errno) from error
        if not writer.synced_up:
            self._sync_up(writer, ids)

    def _sync_up(self, writer: Writer, ids: tuple[str, ...]) -> None:
        try:
            self.root.sync_up(self._directory)
        except SyncFailedError as error:
            if error.errno == errno.ENOENT:
                raise self._missing() from None  # the thread went to the trash meanwhile
            self._set_taint(writer.lock)
            raise SyncFailedError(error.path, ids, error.cause, error.errno) from error
        writer.synced_up = True

    def _confirm(self, writer: Writer, data: bytes, ids: tuple[str, ...]) -> None:
        """Make sure that what was synced is the file at the log's path, and one whose syncs can be believed."""
        while self._is_tainted() or not self._is_in_place(writer):
            try:
                with writer.lock:
                    if self.root.was_deleted(self.path, ids):
                        # After it was written, and with the lines in it; what stands at the path now was begun since.
                        if self._is_tainted():
                            raise SyncFailedError(self.path, ids, "a sync of it failed, then it was deleted")
                        return
                    writer = self._carry_over(data, ids)
            except SyncFailedError as error:
                raise SyncFailedError(error.path, ids, error.cause, error.errno) from error
            except OSError as error:  # a lock that was not free in time included: the lines are written
                raise SyncFailedError(self.path, ids, str(error), error.errno) from error

    def _carry_over(self, data: bytes, ids: tuple[str, ...]) -> Writer:
        """Have the lines of an append in the file that is at the log's path now, synced."""
        while True:
            writer = self._open()
            missing = self._lines_missing(writer.fd, data, ids)
            if not missing or self._put(writer, missing):
                break
        if missing:
            writer.lose()  # the ids may stand below newer ones now: the next append sorts the file
        self._sync(writer, ids)
        return writer

    def _lines_missing(self, fd: int, data: bytes, ids: tuple[str, ...]) -> bytes:
        """Give those lines of an append that a log does not hold, neither whole nor as `gone`."""
        follower = Follower()
        lines = (line for _, line in read_new(fd, follower, fs.fstat(fd).st_size))
        held = {piece.record["id"] for line in lines for piece in line.records}
        own = zip(data.split(b"\n"), ids, strict=False)  # JSON escapes newlines; behind the last one stands nothing
        return b"".join(line + b"\n" for line, id in own if id not in held)

    def _is_tainted(self) -> bool:
        return self.path in self.root.tainted or fs.exists(self._taint, 0)

    def _set_taint(self, lock: Lock) -> None:
        """Tell every writer, those too that have the log open, that syncs of it prove nothing any more."""
        self.root.taint(self.path)
        with contextlib.suppress(OSError):  # a disk that fails may refuse this too
            lock.signal()

    def _clear_taint(self) -> None:
        self.root.tainted.discard(self.path)
        self.root.check_no_link(os.path.dirname(self._taint))
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(self._taint)
