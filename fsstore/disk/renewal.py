"""Rewriting a log to a new inode: where its lines do not ascend, or where its syncs can no longer be believed."""

from __future__ import annotations

import os.path
from contextlib import nullcontext

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import TAIL
from fsstore.errors import SyncFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fsstore.disk.root import Root


def renew(
    root: Root,
    path: str,
    change: Callable[[bytes], bytes | None],
    lock: Callable[[], AbstractContextManager[object]] = nullcontext,
    *,
    whole: bool = False,
) -> bool:
    """Put a log's lines, changed, into a new file in its place, synced at either durability; say whether there is a log.

    Whoever writes without the lock may come between: then all is done again, so that nobody's file is written over.

    Args:
        root: The store's directory.
        path: The log.
        change: Makes the new lines of the old ones; None where they may stay.
        lock: Takes the lock of the log's writers, once the new file is written, to copy what was appended meanwhile; not given
            where the caller holds it.
        whole: Whether `change` is given a last line without its newline, too; else it stays as it is, since somebody may be
            writing it still.

    Raises:
        SyncFailedError: The new file is in place, but the disk did not confirm it, or what somebody wrote meanwhile.
    """
    done = False
    while not done:
        try:
            fd = fs.open_read(path)
        except FileNotFoundError:
            return False
        try:
            done = _renew_from(fd, root, path, change, lock, whole)
        finally:
            fs.close(fd)
    return True


def _renew_from(
    fd: int,
    root: Root,
    path: str,
    change: Callable[[bytes], bytes | None],
    lock: Callable[[], AbstractContextManager[object]],
    whole: bool,
) -> bool:
    data = fs.read_range(fd, 0, fs.fstat(fd).st_size)
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    changed = change(data)
    if changed is None:
        return True
    with root.replacement(path, changed) as temp, lock():
        if not _begins_with(fd, path, data):
            fs.unlink(temp)
            return False
        known = data + _copy_appended(fd, len(data), temp)
        fs.rename(temp, path)
        try:
            _copy_overtaken(fd, known, path)
        except OSError as error:
            root.taint(path)  # before the lock is let go: no writer may come in between
            raise SyncFailedError(path, (), str(error), error.errno) from error
        root.sync_up(os.path.dirname(path))
    return True


def _copy_appended(fd: int, known: int, temp: str) -> bytes:
    """Copy what was appended since so many bytes were read; give it."""
    late = fs.read_range(fd, known, fs.fstat(fd).st_size)
    if late:
        fs.append_synced(temp, late)
    return late


def _copy_overtaken(fd: int, known: bytes, path: str) -> None:
    """Copy what somebody who had the old file open wrote without the lock, before the rename or since."""
    now = fs.read_range(fd, 0, fs.fstat(fd).st_size)
    late = now[len(known) :] if now.startswith(known) else _other_lines(now, known)
    if late:
        fs.append_synced(path, late)


def _begins_with(fd: int, path: str, data: bytes) -> bool:
    """Say whether the file open as `fd` is the log still, and goes on where it ended."""
    try:
        there = fs.stat(path)
    except FileNotFoundError:
        return False
    status = fs.fstat(fd)
    end = data[-TAIL:]
    same = (there.st_ino, there.st_dev) == (status.st_ino, status.st_dev)
    return same and fs.read_at(fd, len(end), len(data) - len(end)) == end


def _other_lines(data: bytes, known: bytes) -> bytes:
    """Give the lines that others do not hold, of a file that somebody wrote over (git checks out into a new, empty file)."""
    lines = set(known.split(b"\n"))
    return b"".join(line + b"\n" for line in data.split(b"\n") if line not in lines)


def sort_lines(data: bytes) -> bytes:
    """Give a log's bytes with its records ascending by id; what is no record stays behind the one it stood after."""
    groups: list[tuple[str, bytes]] = [("", b"")]
    for raw in data.split(b"\n"):
        pieces = codec.read_line(raw + b"\n").records
        at = 0
        for piece in pieces:
            _put_behind(groups, raw[at : piece.start], codec.SEAL)
            groups.append((piece.record["id"], raw[piece.start : piece.end] + b"\n"))
            at = piece.end
        _put_behind(groups, raw[at:], codec.SEAL if pieces and not raw.endswith(b"~") else b"\n")
    return b"".join(group for _, group in sorted(groups))


def _put_behind(groups: list[tuple[str, bytes]], rest: bytes, end: bytes) -> None:
    if rest.strip(b" \t\r"):
        groups[-1] = (groups[-1][0], groups[-1][1] + rest + end)
