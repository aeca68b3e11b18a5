"""Whole directories: walking, measuring and deleting them."""

from __future__ import annotations

import contextlib
import errno
import stat as _stat

from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


def walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give every entry below a directory with its own (not a link's target's) status, parents first, sorted."""
    for name in fs.names(path):
        entry = f"{path}/{name}"
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
            status = fs.own_status(entry)
            yield entry, status
            if _stat.S_ISDIR(status.st_mode):
                yield from walk(entry)


def usage(path: str) -> tuple[int, int, int]:
    """Give the bytes in files at and below a path, the bytes that they and their directories take, and how many files.

    Nothing where nothing stands there; of a link its own.
    """
    size = disk = files = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for status in (fs.own_status(path), *(status for _, status in walk(path))):
            disk += status.st_blocks * 512  # stat(2): whatever the file system's own blocks are
            if not _stat.S_ISDIR(status.st_mode):
                size += status.st_size
                files += 1
    return size, disk, files


def remove_empty(path: str) -> bool:
    """Delete a directory unless something is in it; say whether it went."""
    try:
        fs.rmdir(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            return False
        raise
    return True


def discard(path: str) -> bool:
    """Delete a file, a link, or a directory with all in it; say whether it was there."""
    try:
        fs.unlink(path)
    except FileNotFoundError:
        return False
    except (IsADirectoryError, PermissionError):  # POSIX lets fs.unlink(2) say either of a directory
        remove_tree(path)
    return True


def remove_tree(path: str) -> None:
    """Delete a directory and all in it; what somebody else deletes meanwhile is no error."""
    with contextlib.suppress(FileNotFoundError):
        for entry, status in reversed(list(walk(path))):
            if _stat.S_ISDIR(status.st_mode):
                fs.rmdir(entry)
            else:
                fs.unlink(entry)
        fs.rmdir(path)
