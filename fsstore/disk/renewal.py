"""Rewriting a log to a new inode: where its lines do not ascend, or where its syncs can no longer be believed."""

from __future__ import annotations

import os.path

from fsstore import codec
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.disk.root import Root


def renew(root: Root, path: str, change: Callable[[bytes], bytes]) -> None:
    """Put a log's bytes, changed, into a new file in its place, synced at either durability; the caller holds its lock.

    Whoever writes without the lock may come between: then all is done again, so that nobody's file is written over.
    """
    done = False
    while not done:
        try:
            fd = fs.open_read(path)
        except FileNotFoundError:
            return
        try:
            done = _renew_from(fd, root, path, change)
        finally:
            fs.close(fd)
    root.sync_up(os.path.dirname(path))


def _renew_from(fd: int, root: Root, path: str, change: Callable[[bytes], bytes]) -> bool:
    status = fs.fstat(fd)
    data = fs.read_range(fd, 0, status.st_size)
    data = data[: data.rfind(b"\n") + 1]  # behind it somebody may be writing still

    def same() -> bool:
        try:
            now = fs.stat(path)
        except FileNotFoundError:
            return False
        return (now.st_ino, now.st_dev, now.st_size) == (status.st_ino, status.st_dev, status.st_size)

    if not root.replace(path, change(data), sync_directory=False, unless=lambda: not same()):
        return False
    now = fs.read_range(fd, 0, fs.fstat(fd).st_size)
    late = now[len(data) :] if now.startswith(data) else _other_lines(now, data)
    if late:  # what was not whole yet, and what came from somebody who had the old file open
        new = fs.open_log(path, create=False)
        try:
            fs.write_all(new, late)
            fs.sync(new)
        finally:
            fs.close(new)
    return True


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
