"""What a log says to its readers: folded once, then kept in step by reading only what is new."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from fsstore import codec
from fsstore.codec import Damage
from fsstore.disk import fs
from fsstore.disk.follow import Follower, read_new
from fsstore.disk.writer import Fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fsstore.codec import Object


class Unfit(Exception):  # noqa: N818  # a finding, not an error
    """A record does not say what its type promises; `kind` and the message go to the damage."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def twin(offset: int, id: str, *, same: bool) -> Damage:
    """Tell of a record whose id stands in the log before."""
    if same:
        return Damage(offset, "duplicate-id", f"id {id} stands here twice")
    return Damage(offset, "conflicting-id", f"id {id} stands here twice, and says different things")


class _OutOfOrder(Exception):  # noqa: N818  # a turn of the reading, not an error
    """A record came behind a greater one: a merge left the lines so."""


class View(ABC):
    """A log folded in ascending order of id, each record once, whatever the order of its lines.

    A subclass says in `begin` and `take` what is kept.

    Attributes:
        damage: What was passed over.
        greatest: The greatest id, empty where there is no record.
        sorted: Whether the file's own order is the order of the ids.
        span: Where the record that is being taken begins and ends.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.mutex = threading.RLock()
        self._changed = -1
        self._clear()

    @abstractmethod
    def begin(self) -> None:
        """Forget all that was kept."""

    @abstractmethod
    def take(self, record: Object) -> None:
        """Keep what a record says.

        Raises:
            Unfit: The record is none that can be kept; it is counted as damage.
        """

    def skips(self, raw: bytes) -> bool:  # noqa: ARG002  # for those that override it
        """Say whether a line is one whole record behind all before, of which nothing is kept; its id is `greatest` then."""
        return False

    def refresh(self, then: Callable[[int], object] | None = None) -> None:
        """Read what is new in the log; the caller holds `mutex`. `then` is called with its descriptor, where there is one."""
        try:
            fd = fs.open_read(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self._clear()
            return
        try:
            self.follow(fd, fs.fstat(fd))
            if then is not None:
                then(fd)
        finally:
            fs.close(fd)

    def follow(self, fd: int, status: os.stat_result) -> None:
        """Read what is new in the log open as `fd`, or all of it where it was replaced; the caller holds `mutex`."""
        follower = self._follower
        changed = status.st_size == follower.end and status.st_ctime_ns != self._changed
        if changed or not follower.holds(fd, status):
            self._clear()
            self._follower.start(status)
        elif status.st_size == follower.end:
            return
        self._follower.inode = -1  # what an interrupt leaves half read fits no file
        try:
            self._read(fd, status.st_size)
        except _OutOfOrder:
            self._clear()
            self._read_unsorted(fd, status.st_size)
        self._follower.device, self._follower.inode = status.st_dev, status.st_ino
        self._changed = status.st_ctime_ns

    @property
    def end(self) -> int:
        """How far the log was read."""
        return self._follower.end

    def _clear(self) -> None:
        self._follower = Follower()
        self._changed = -1
        self.damage: list[Damage] = []
        self.greatest = ""
        self.sorted = True
        self.span = 0, 0
        self.begin()

    def _read(self, fd: int, size: int) -> None:
        for at, line in read_new(fd, self._follower, size, self.skips):
            if line.damage:
                self._note_damage(at, line)
            for piece in line.records:
                self._add((at + piece.start, at + piece.end), piece.record)

    def _note_damage(self, at: int, line: codec.Line) -> None:
        self.damage += [Damage(at, kind, reason) for kind, reason in line.damage]

    def _add(self, span: tuple[int, int], record: Object) -> None:
        id = record["id"]
        if id <= self.greatest:
            raise _OutOfOrder
        codec.check_type(record)
        self.greatest, self.span = id, span
        try:
            self.take(record)
        except Unfit as unfit:
            self.damage.append(Damage(span[0], unfit.kind, str(unfit)))

    def _read_unsorted(self, fd: int, size: int) -> None:
        """Fold the records in the order of their ids; of two of one id the one with the greater bytes counts."""
        found: dict[str, tuple[bytes, tuple[int, int], Object]] = {}
        last = ""
        for at, line in read_new(fd, self._follower, size):
            self._note_damage(at, line)
            for piece in line.records:
                id = piece.record["id"]
                codec.check_type(piece.record)  # of twins, too, the one that does not count
                self.sorted &= id >= last
                last = id
                span = at + piece.start, at + piece.end
                row = fs.read_range(fd, *span), span, piece.record
                if id in found:
                    self.damage.append(twin(span[0], id, same=row[0] == found[id][0]))
                found[id] = max(row, found[id], key=lambda one: one[0]) if id in found else row
        for _, (_, span, record) in sorted(found.items()):
            self._add(span, record)


class ViewFold(Fold):
    """What a writer must know of a log that has a view: learnt from the view, so that nothing is read twice."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def start(self, fd: int, status: os.stat_result) -> int:
        """Learn the log from its view; give how far that was read."""
        view = self._view
        with view.mutex:
            view.follow(fd, status)
            if view.greatest:
                self.know(view.greatest)
            self.ascending = view.sorted
            return view.end
