"""Reading a log that others go on writing: where one has read up to, and whether that is still the same log."""

from __future__ import annotations

from io import BytesIO

from fsstore import codec
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

#: How many of the last bytes prove that a log still is what it was.
TAIL = 4096


class Follower:
    """A place in a log, and the proof that everything before it has been read.

    The proof is the file's device and inode, its length, and its last bytes. None of them is enough alone: an inode
    number is used again at once (ext4), and an editor keeps it.

    Invariants:
        `end` is just after a whole record, or at 0.
    """

    __slots__ = ("device", "end", "inode", "tail")

    def __init__(self) -> None:
        self.device = -1
        self.inode = -1
        self.end = 0
        self.tail = b""

    def holds(self, fd: int, status: os.stat_result) -> bool:
        """Say whether the log open as `fd` still begins with all that was read."""
        return (
            status.st_ino == self.inode
            and status.st_dev == self.device
            and status.st_size >= self.end
            and fs.read_at(fd, len(self.tail), self.end - len(self.tail)) == self.tail
        )

    def start(self, status: os.stat_result) -> None:
        """Begin anew with a file."""
        self.device, self.inode = status.st_dev, status.st_ino
        self.end, self.tail = 0, b""

    def advance(self, fd: int, end: int) -> None:
        """Note that everything before `end` has been read."""
        self.end = end
        length = min(end, TAIL)
        self.tail = fs.read_at(fd, length, end - length)


def raw_lines(fd: int, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Give each line of a range with its offset; the last one may lack its newline.

    What others append while this runs is left for the next time.
    """
    at = start
    with fs.lines(fd, start, size) as reader:
        for raw in reader:
            if at >= size:
                return
            yield at, raw[: size - at]
            at += len(raw)


def raw_lines_back(fd: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Give each line before `end` with its offset, the last one first."""
    for at, lines in raw_blocks_back(fd, end):
        stop = at
        for raw in reversed(lines):
            stop -= len(raw)
            yield stop, raw


def last_id(path: str) -> str:
    """Give the id of a log's last good record, empty where there is none."""
    try:
        fd = fs.open_read(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        for _, raw in raw_lines_back(fd, fs.fstat(fd).st_size):
            for piece in reversed(codec.read_line(raw).records):
                return str(piece.record["id"])
        return ""
    finally:
        fs.close(fd)


def raw_blocks_back(fd: int, end: int, block: int = 1 << 14) -> Iterator[tuple[int, list[bytes]]]:
    """Give the lines before `end`, a block at a time and the last block first: where the block ends, and its lines in order.

    The blocks grow, from `block` bytes on.
    """
    rest = b""
    while end > 0:
        start = max(0, end - block)
        data = fs.read_range(fd, start, end) + rest
        cut = data.find(b"\n", 0, -1) + 1 if start else 0
        if start and not cut:
            block, rest, end = block * 2, data, start  # one line longer than the block
            continue
        yield start + len(data), BytesIO(data[cut:]).readlines()
        rest, end, block = data[:cut], start, min(block * 2, 1 << 18)


def whole_lines(fd: int, block: int = 1 << 20) -> Iterator[bytes]:
    """Give a log's bytes in blocks that end where a line does, a short log in one."""
    size, at = fs.fstat(fd).st_size, 0
    while at < size:
        data = fs.read_range(fd, at, min(size, at + block))
        cut = data.rfind(b"\n") + 1 if at + len(data) < size else len(data)
        if not cut:
            if not data:
                return  # it was cut short meanwhile
            block *= 2  # one line longer than the block
            continue
        yield data if cut == len(data) else data[:cut]
        at += cut


def read_new(
    fd: int, follower: Follower, size: int, skips: Callable[[bytes], bool] = lambda _: False
) -> Iterator[tuple[int, codec.Line]]:
    """Give what each line after `follower.end` holds, and advance over all that is whole.

    A last line without its newline counts as far as it holds whole records; a fragment is not read yet. A line of which
    `skips` says so is neither decoded nor given.
    """
    end = follower.end
    for at, raw in raw_lines(fd, follower.end, size):
        if skips(raw):
            end = at + len(raw)
            continue
        line = codec.read_line(raw)
        terminated = raw.endswith(b"\n")
        if not (terminated or line.records):
            break
        end = at + (len(raw) if terminated else line.end)
        yield at, line
    follower.advance(fd, end)
