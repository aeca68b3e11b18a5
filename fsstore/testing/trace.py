"""Recording the changing system calls of an operation, for `fsstore.testing.crash_states`.

    with Recorder(base) as recorder:
        store.thread("t").messages.append("user", "hello")
    recorder.calls

It replaces attributes of `fsstore.disk.fs`, through which every system call of the store is made.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from fsstore.disk import fs
from fsstore.testing.image import BASE, Image, inode_of, is_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TypeAlias


@dataclass(frozen=True, slots=True)
class Create:
    """A file came to be, empty (open(2) with O_CREAT). In all calls `path` is for people: the name below the base."""

    path: str
    directory: int
    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Mkdir:
    """A directory came to be."""

    path: str
    directory: int
    name: str
    child: int


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written to a file, up to `grown` where that is a new end."""

    path: str
    file: int
    offset: int
    data: bytes
    grown: int | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was given another size."""

    path: str
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Rename:
    """A file or a directory was given another name."""

    path: str
    node: int
    source: tuple[int, str]
    target: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name of a file went."""

    path: str
    directory: int
    name: str
    node: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A file's bytes and size were synced."""

    path: str
    file: int


@dataclass(frozen=True, slots=True)
class FailedSync:
    """A file's sync failed: what was written before may be lost, and a later sync says nothing of it (fsync(2))."""

    path: str
    file: int


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    """A directory's entries were synced."""

    path: str
    directory: int


if TYPE_CHECKING:
    #: One system call that changes the disk, or what it will still hold after a power cut.
    Call: TypeAlias = Create | Mkdir | Write | Truncate | Rename | Unlink | Sync | FailedSync | SyncDirectory


class Killed(BaseException):
    """The process died here; see `Recorder`. No `except Exception` and no cleanup gets in its way."""


class Recorder:
    """A context manager: while it is entered, every changing call of this process below a directory is recorded.

    For one thread; the calls of others would come into an order that they did not have.

    Args:
        base: The directory, as a rule the one that the store's root lies in.
        leave_out: Which syncs are neither made nor recorded: what would be lost without them?
        fail: Which syncs fail with EIO. A directory's entries are then as if nobody had asked; what file systems keep of them
            is in a journal, which stops for good when it cannot be written, so that a later success can be believed.
        dies_at: The number of the first changing call that is not made any more: it and all that follow raise `Killed`,
            so that what was done before is what a killed process leaves.

    Attributes:
        before: What the directory held when the recording began.
        calls: What was recorded, oldest first.
    """

    _NAMES = ("open_fd", "write", "truncate", "rename", "unlink", "rmdir", "mkdir", "sync", "sync_directory")

    def __init__(
        self,
        base: str | os.PathLike[str],
        *,
        leave_out: Callable[[Sync | SyncDirectory], bool] | None = None,
        fail: Callable[[Sync | SyncDirectory], bool] | None = None,
        dies_at: int | None = None,
    ) -> None:
        self._base = os.fspath(base)
        self._leave_out = leave_out
        self._fail = fail
        self._real: dict[str, Callable[..., Any]] = {}
        self.dies_at = dies_at
        self.calls: list[Call] = []
        self.before, self._nodes = Image.read(self._base)
        self._now = self.before.copy()  # for the numbers of new nodes only
        self._paths = {BASE: "", **self.before.paths()}

    def __enter__(self) -> Self:
        for name in self._NAMES:
            self._real[name] = getattr(fs, name)
            setattr(fs, name, getattr(self, f"_{name}"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, real in self._real.items():
            setattr(fs, name, real)

    def _open_fd(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        real = self._real["open_fd"]
        path = self._whole(name, dir_fd)
        directory = self._directory_of(path)
        if directory is None or not flags & (os.O_CREAT | os.O_TRUNC):
            return int(real(name, flags, mode, dir_fd=dir_fd))
        is_new = not fs.exists(path, 0)
        if is_new or flags & os.O_TRUNC:
            self._live()
        fd: int = real(name, flags, mode, dir_fd=dir_fd)
        inode = inode_of(fs.fstat(fd))
        if is_lock(path):
            self._nodes.pop(inode, None)  # its number may have been another file's before
        elif is_new:
            self._nodes[inode] = file = self._now.add_file()
            self.calls.append(Create(self._named(file, path), directory, os.path.basename(path), file))
        elif flags & os.O_TRUNC:
            self.calls.append(Truncate(self._named(self._nodes[inode], path), self._nodes[inode], 0))
        return fd

    def _mkdir(self, name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        path = self._whole(name, dir_fd)
        directory = self._directory_of(path)
        if directory is None or fs.exists(path, 0):
            self._real["mkdir"](name, mode, dir_fd=dir_fd)
            return
        self._live()
        self._real["mkdir"](name, mode, dir_fd=dir_fd)
        self._nodes[inode_of(fs.stat(path))] = child = self._now.add_directory()
        self.calls.append(Mkdir(self._named(child, path), directory, os.path.basename(path), child))

    def _write(self, fd: int, data: bytes) -> int:
        file = self._nodes.get(inode_of(fs.fstat(fd)))
        if file is None:
            return int(self._real["write"](fd, data))
        self._live()
        size = fs.fstat(fd).st_size
        written: int = self._real["write"](fd, data)
        offset = fs.seek(fd, 0, os.SEEK_CUR) - written
        end = offset + written
        self.calls.append(Write(self._paths[file], file, offset, bytes(data[:written]), end if end > size else None))
        return written

    def _truncate(self, fd: int, size: int) -> None:
        file = self._nodes.get(inode_of(fs.fstat(fd)))
        if file is not None:
            self._live()
        self._real["truncate"](fd, size)
        if file is not None:
            self.calls.append(Truncate(self._paths[file], file, size))

    def _rename(self, *names: str, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        source, target = map(self._whole, names, (src_dir_fd, dst_dir_fd))
        old, new = self._directory_of(source), self._directory_of(target)
        if old is None or new is None:
            raise ValueError(f"cannot record a rename out of or into {self._base}: {source} to {target}")
        self._live()
        node = self._nodes[inode_of(fs.stat(source))]
        self._real["rename"](*names, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        places = (old, os.path.basename(source)), (new, os.path.basename(target))
        self.calls.append(Rename(self._named(node, target), node, *places))

    def _unlink(self, name: str, *, dir_fd: int | None = None) -> None:
        self._take_away("unlink", name, dir_fd)

    def _rmdir(self, name: str) -> None:
        self._take_away("rmdir", name, None)

    def _take_away(self, call: str, name: str, dir_fd: int | None) -> None:
        path = self._whole(name, dir_fd)
        directory = self._directory_of(path)
        if directory is None:
            self._real[call](name, dir_fd=dir_fd)
            return
        self._live()
        node = self._nodes[inode_of(fs.stat(path))] if fs.exists(path, 0) else -1
        self._real[call](name, dir_fd=dir_fd)
        self.calls.append(Unlink(self._paths.get(node, path), directory, os.path.basename(path), node))

    def _sync(self, fd: int) -> None:
        file = self._nodes.get(inode_of(fs.fstat(fd)))
        call = None if file is None else Sync(self._paths[file], file)
        if call is not None and self._fails(call):
            self.calls.append(FailedSync(call.path, call.file))
            raise OSError(errno.EIO, os.strerror(errno.EIO), call.path)
        self._sync_unless_left_out("sync", fd, call)

    def _sync_directory(self, path: str | int) -> None:
        directory = self._nodes.get(inode_of(fs.stat(path)))
        call = None if directory is None else SyncDirectory(self._paths[directory], directory)
        if call is not None and self._fails(call):
            raise OSError(errno.EIO, os.strerror(errno.EIO), call.path)
        self._sync_unless_left_out("sync_directory", path, call)

    def _fails(self, call: Sync | SyncDirectory) -> bool:
        if self._fail is None or not self._fail(call):
            return False
        self._live()
        return True

    def _sync_unless_left_out(self, name: str, what: int | str, call: Sync | SyncDirectory | None) -> None:
        if call is None:
            self._real[name](what)
        elif self._leave_out is None or not self._leave_out(call):
            self._live()
            self._real[name](what)
            self.calls.append(call)

    def _live(self) -> None:
        if self.dies_at is not None and len(self.calls) >= self.dies_at:
            raise Killed

    def _whole(self, name: str, directory: int | None) -> str:
        """Give the path of a name in an open directory, where there is one."""
        node = None if directory is None else self._nodes.get(inode_of(fs.fstat(directory)))
        return name if node is None else os.path.join(self._base, self._paths[node], name)

    def _directory_of(self, path: str) -> int | None:
        try:
            return self._nodes.get(inode_of(fs.stat(os.path.dirname(path))))
        except FileNotFoundError:
            return None

    def _named(self, node: int, path: str) -> str:
        """Note what a node is called now; give it, below the base."""
        self._paths[node] = name = os.path.relpath(path, self._base)
        return name
