"""The stamp: a cache that says up to where a log is known to ascend, so that its end can be read without the rest.

It may vanish or be wrong at any time: it counts only while the log still holds its last bytes in their place.
"""

from __future__ import annotations

import contextlib
import os.path
from dataclasses import dataclass

from fsstore import clock, codec, layout
from fsstore.disk import fs
from fsstore.disk.follow import TAIL, raw_lines_back
from fsstore.resources.lines import HEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.disk.root import Root

#: More bytes than the first line of a stamp has.
_HEAD = 1 << 10
#: A log shorter than this, in bytes, is read whole sooner than its stamp is found.
SMALLEST = 1 << 16


@dataclass(slots=True)  # a frozen one takes longer to make than all else that reading it takes
class Stamp:
    """What is known of a log's first `length` bytes.

    Attributes:
        length: How many bytes, up to the end of a record.
        greatest: The greatest id in them, which is the last one.
        plain: Whether all their records are messages and moves of the leaf, so that none of them changes another.
        tail: The last of the bytes, which the log must still hold.
    """

    length: int
    greatest: str
    plain: bool
    tail: bytes


def read(root: Root, thread_name: str, fd: int, size: int) -> Stamp | None:
    """Give the stamp of the log open as `fd`, or None where there is none that fits."""
    return _read(_path(root, thread_name), fd, size)


def fits(path: str, log: str) -> bool:
    """Say whether the stamp in a file fits a log; where the log is gone it does not."""
    try:
        fd = fs.open_read(log)
    except OSError:
        return False
    try:
        return _read(path, fd, fs.fstat(fd).st_size) is not None
    finally:
        fs.close(fd)


def _read(path: str, fd: int, size: int) -> Stamp | None:
    try:
        data = fs.read_start(path, TAIL + _HEAD)
        head, _, tail = data.partition(b"\n")
        fields = codec.decode_object(head)
        stamp = Stamp(int(fields["length"]), str(fields["greatest"]), fields["plain"] is True, tail)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not clock.is_id(stamp.greatest) or not 0 < len(tail) <= stamp.length <= size:
        return None
    if fs.read_at(fd, len(tail), stamp.length - len(tail)) != tail:
        return None
    return stamp if _ends_in(fd, stamp) else None


def _ends_in(fd: int, stamp: Stamp) -> bool:
    """Say whether the last line of a stamp's bytes is the record of its greatest id."""
    head = HEAD + stamp.greatest.encode()
    start = stamp.tail.rfind(b"\n", 0, -1) + 1
    if start or len(stamp.tail) == stamp.length:
        return stamp.tail.startswith(head, start)
    return next(raw_lines_back(fd, stamp.length))[1].startswith(head)  # a line longer than the tail


def write(root: Root, thread_name: str, stamp: Stamp) -> None:
    """Keep a stamp; not synced, since a torn one does not fit."""
    if HEAD + stamp.greatest.encode() not in stamp.tail and len(stamp.tail) < TAIL:
        return  # the log ends in something else than its greatest record
    head = codec.encode_line({"length": stamp.length, "greatest": stamp.greatest, "plain": stamp.plain})
    root.replace(_path(root, thread_name), head + stamp.tail, sync_directory=False, synced=False)


def remove(root: Root, thread_name: str) -> None:
    """Delete a stamp, where there is one."""
    path = _path(root, thread_name)
    with contextlib.suppress(OSError):
        root.check_no_link(os.path.dirname(path))
        fs.unlink(path)


def _path(root: Root, thread_name: str) -> str:
    return f"{root.path}/{layout.CACHE}/{layout.cache_name(thread_name)}"
