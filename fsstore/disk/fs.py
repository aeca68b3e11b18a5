"""The one door to the file system: every system call on a file or directory is made here, and nothing else is.

Plain calls are the system's own under a name that says what they are for; a test replaces them here to count, record or
fail them, so other modules must call them as attributes of this module.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat as _stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW
#: Up to so many bytes are read at once; a buffered reader costs more to make.
_SMALL = 1 << 16

open_fd = os.open
close = os.close
read_at = os.pread
write = os.write
seek = os.lseek
stat = os.stat
own_status = os.lstat  # of a link itself
fstat = os.fstat
exists = os.access  # exists(path, 0): a missing file costs no exception
truncate = os.ftruncate
rename = os.rename
unlink = os.unlink
rmdir = os.rmdir
list_names = os.listdir
mkdir = os.mkdir
SEEK_END = os.SEEK_END
RIGHTS = 0o777


def open_log(path: str, *, create: bool) -> int:
    """Open a log for reading and appending; never through a symbolic link (open(2), O_NOFOLLOW)."""
    fd = open_fd(path, os.O_RDWR | os.O_APPEND | _OPEN | (os.O_CREAT if create else 0), 0o600)
    if create:
        os.fchmod(fd, 0o600)  # the umask only ever takes bits away; this gives the owner's back
    return fd


def open_read(path: str) -> int:
    """Open a regular file for reading.

    Raises:
        OSError: What the system says; `IsADirectoryError` for anything that is no regular file.
    """
    fd = open_fd(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)  # O_NONBLOCK: a FIFO must not hang the reader
    if not _stat.S_ISREG(fstat(fd).st_mode):
        close(fd)
        raise IsADirectoryError(errno.EISDIR, "not a regular file", path)
    return fd


def open_lock(path: str) -> int:
    """Open, or make, a lock file. Appending, so that a byte more is a signal to its other users."""
    flags = os.O_RDWR | os.O_APPEND | _OPEN
    try:
        return open_fd(path, flags)
    except FileNotFoundError:
        pass
    except PermissionError:
        _own(path)  # another process is just making it, under a umask that takes the owner's rights
    fd = open_fd(path, flags | os.O_CREAT, 0o600)
    os.fchmod(fd, 0o600)
    return fd


def _own(path: str) -> None:
    """Give the owner's rights to a file, or a directory, that a process with such a umask made and did not come to open."""
    mode = own_status(path).st_mode
    if _stat.S_ISREG(mode) or _stat.S_ISDIR(mode):
        os.chmod(path, 0o700 if _stat.S_ISDIR(mode) else 0o600)


def read_file(path: str) -> bytes:
    """Give a regular file's bytes."""
    fd = open_read(path)
    try:
        return read_range(fd, 0, fstat(fd).st_size)
    finally:
        close(fd)


def read_foreign(path: str) -> bytes:
    """Give the bytes of a file that is not the store's, wherever a link leads."""
    with open(path, "rb") as file:
        return file.read()


def read_start(path: str, count: int) -> bytes:
    """Give the first bytes of a regular file, fewer where it is shorter."""
    fd = open_read(path)
    try:
        return read_at(fd, count, 0)
    finally:
        close(fd)


def read_end(path: str, count: int) -> bytes:
    """Give the last bytes of a regular file, fewer where it is shorter."""
    fd = open_read(path)
    try:
        return read_at(fd, count, max(0, fstat(fd).st_size - count))
    finally:
        close(fd)


def read_range(fd: int, start: int, end: int) -> bytes:
    """Give the bytes of a range, fewer where the file is shorter."""
    data = read_at(fd, end - start, start)
    while 0 < len(data) < end - start:
        more = read_at(fd, end - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def lines(fd: int, start: int, end: int) -> BinaryIO:
    """Give a reader of the lines from a position on, at least up to another; it leaves the descriptor open.

    The descriptor's own position may move, so no other reader may rely on it.
    """
    if end - start <= _SMALL:
        return io.BytesIO(read_range(fd, start, max(start, end)))
    seek(fd, start, os.SEEK_SET)
    return open(fd, "rb", buffering=1 << 18, closefd=False)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte to a file that nobody else sees yet."""
    view = memoryview(data)
    while view:
        view = view[write(fd, view) :]


def name_file(error: BaseException, path: str) -> None:
    """Have an error of a call that knows only a descriptor (write(2), fdatasync(2)) name the file."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = path


def append_synced(path: str, data: bytes) -> None:
    """Write bytes behind those of a file that is there, and sync it."""
    fd = open_log(path, create=False)
    try:
        write_all(fd, data)
        sync(fd)
    except OSError as error:
        name_file(error, path)
        raise
    finally:
        close(fd)


def sync(fd: int) -> None:
    """Return once a file's bytes and size are on the medium (fdatasync(2); on macOS fcntl(2), F_FULLFSYNC)."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_directory(path: str | int) -> None:
    """Return once a directory's entries are on the medium: the file's own sync does not cover them (fsync(2)).

    `path` may be a descriptor of the directory, which stays open.
    """
    fd = path if isinstance(path, int) else open_fd(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)
    finally:
        if fd != path:
            close(fd)


def make_directory(path: str) -> bool:
    """Make a directory 0700 whatever the umask; say whether it is new. What stands there already is no link to one."""
    try:
        mkdir(path, 0o700)
    except FileExistsError:
        mode = own_status(path).st_mode
        if _stat.S_ISLNK(mode):
            raise link_in_the_way(path) from None
        if not _stat.S_ISDIR(mode):
            raise
        if not mode & 0o700:  # a crash came between the two calls below
            _own(path)
        return False
    os.chmod(path, 0o700)
    return True


def make_directories(path: str) -> None:
    """Make a directory and its missing parents, 0700 each."""
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directories(parent)
    make_directory(path)


def link_in_the_way(path: str) -> OSError:
    """Make the error that says that a symbolic link stands where nothing is written through one (open(2), ELOOP)."""
    return OSError(errno.ELOOP, "a symbolic link stands in the way", path)


def check_no_link(path: str, above: str) -> None:
    """Refuse a path that leads through a symbolic link below a directory, itself included; what is missing is none.

    `O_NOFOLLOW` looks at the last part of a path only.

    Raises:
        OSError: With `errno.ELOOP` and the link.
    """
    at = len(above)
    while at < len(path):
        at = path.find("/", at + 1)
        at = len(path) if at < 0 else at
        try:
            if _stat.S_ISLNK(own_status(path[:at]).st_mode):
                raise link_in_the_way(path[:at])
        except (FileNotFoundError, NotADirectoryError):
            return


def create_temp(path: str, data: bytes, *, synced: bool = True) -> None:
    """Write a new file, and sync it unless it is a cache; on any failure nothing is left of it."""
    fd = open_fd(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        os.fchmod(fd, 0o600)
        write_all(fd, data)
        if synced:
            sync(fd)
    except BaseException as error:
        unlink(path)
        name_file(error, path)
        raise
    finally:
        close(fd)


def is_directory(path: str) -> bool:
    """Say whether a real directory, no link to one, stands here."""
    try:
        return _stat.S_ISDIR(own_status(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_regular(path: str) -> bool:
    """Say whether a regular file, no link to one, stands here."""
    try:
        return _stat.S_ISREG(own_status(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_link(path: str) -> bool:
    """Say whether a symbolic link stands here, wherever it leads."""
    return os.path.islink(path)


def make_private(path: str) -> None:
    """Take all rights from others than the owner of a file or directory; never through a symbolic link."""
    fd = open_fd(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
    try:
        os.fchmod(fd, fstat(fd).st_mode & 0o700)
    except OSError as error:
        name_file(error, path)
        raise
    finally:
        close(fd)


def leads_to_directory(path: str) -> bool:
    """Say whether a directory, or a link to one, stands here."""
    return os.path.isdir(path)


def is_file(path: str) -> bool:
    """Say whether something stands at a path; what forbids to look raises."""
    try:
        stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def names(path: str) -> list[str]:
    """Give the sorted names in a directory, none where there is no directory."""
    try:
        return sorted(list_names(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def changed_at(path: str) -> float:
    """Give the time of an entry's last change (Unix seconds), now where nothing stands there."""
    try:
        return own_status(path).st_ctime
    except FileNotFoundError:
        return time.time()


def contains(path: str, needles: tuple[bytes, ...], buffer: bytearray) -> bool:
    """Say whether a file holds any of some bytes; through a buffer that is used again and again. No file holds nothing."""
    try:
        fd = open_fd(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
    except (FileNotFoundError, NotADirectoryError):
        return False
    at, kept, overlap = 0, 0, max(map(len, needles)) - 1
    view = memoryview(buffer)
    try:
        while count := os.preadv(fd, [view[kept:]], at):
            end = kept + count
            if any(buffer.find(needle, 0, end) >= 0 for needle in needles):
                return True
            at += count
            if end < len(buffer):
                return False  # a short read: the end of the file
            kept = min(overlap, end)
            view[:kept] = view[end - kept : end]
        return False
    finally:
        close(fd)


def real_path(path: str) -> str:
    """Give the absolute path to which a path leads, all symbolic links followed; it need not exist."""
    return os.path.realpath(path)


# Files that are not the store's own, reached from one open directory to the next, so that no link leads elsewhere (openat(2)).


def open_directory(name: str, directory: int | None = None) -> int:
    """Open a directory, of another one that is open where there is one; never through a symbolic link."""
    return open_fd(name, os.O_RDONLY | os.O_DIRECTORY | _OPEN, dir_fd=directory)


def make_directory_in(directory: int, name: str) -> None:
    """Make a directory, with the rights that any program's get, in an open one where it is missing; synced."""
    with contextlib.suppress(FileExistsError):
        mkdir(name, 0o777, dir_fd=directory)
        sync_directory(directory)


def read_in(directory: int, name: str) -> tuple[bytes, int]:
    """Give the bytes of a regular file in an open directory, and its rights: the last nine bits of its mode.

    Raises:
        OSError: What the system says; `IsADirectoryError` for anything that is no regular file.
    """
    fd = open_fd(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=directory)
    try:
        status = fstat(fd)
        if not _stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "not a regular file", name)
        return read_range(fd, 0, status.st_size), status.st_mode & RIGHTS
    finally:
        close(fd)


def replace_in(directory: int, name: str, temp: str, data: bytes, mode: int) -> None:
    """Put a file in the place of another in an open directory, whole, at one moment, synced.

    Before that it is called `temp`; what an attempt that was cut short left there goes first.
    """
    with contextlib.suppress(FileNotFoundError):
        unlink(temp, dir_fd=directory)
    fd = open_fd(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600, dir_fd=directory)
    try:
        write_all(fd, data)
        os.fchmod(fd, mode & RIGHTS)
        sync(fd)
        rename(temp, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            unlink(temp, dir_fd=directory)
        name_file(error, name)
        raise
    finally:
        close(fd)
    sync_directory(directory)


def unlink_in(directory: int, name: str) -> None:
    """Take a file out of an open directory, synced; never a directory."""
    unlink(name, dir_fd=directory)
    sync_directory(directory)
