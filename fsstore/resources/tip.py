"""What a writer knows of a thread's log without its index: the current leaf."""

from __future__ import annotations

from fsstore import codec, tree
from fsstore.disk.writer import Fold
from fsstore.records.messages import given_id_of, is_message
from fsstore.resources import stamp
from fsstore.resources.lines import last_usual
from fsstore.resources.tail import NeedIndex, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    from fsstore.codec import Object
    from fsstore.resources.branches import TreeReader
    from fsstore.resources.index import Index

    #: A message: its record id, what it answers to, its role.
    Spot: TypeAlias = tuple[str, str, str]

#: How much of the current branch's end is learnt at once.
TRAIL = 64
#: Keys that stand before `role` where they stand at all, so that no line of the usual form has them.
_RARE = frozenset(("given_id", "replaces"))


class Tip(Fold):
    """What a writer must know of a thread's log: its current leaf.

    Attributes:
        leaf: The record id of the current leaf, None where there is none.
        shown: What the leaf answers to.
        known: Whether the two are known; if not, the index tells.
        plain: See `Index.plain`.
        trail: The end of the current branch, as far as it is known: the leaf last; first None where that is all of it.
    """

    def __init__(self, reader: TreeReader) -> None:
        super().__init__()
        self.leaf: str | None = None
        self.shown: str | None = None
        self.known = True
        self.plain = True
        self.trail: list[Spot | None] = []
        self._reader = reader
        self._stamped = 0

    def start(self, fd: int, status: os.stat_result) -> int:
        """Learn the log from its end where a stamp allows it, else from its index."""
        mark = self._reader.stamp(fd, status.st_size)
        if mark is not None:
            try:
                found = Tail(fd, mark.length, mark, 1).found
            except NeedIndex:
                self.known = False
            else:
                self.moved(found[0].record_id, found[0].id) if found else self.moved(None)
            self.know(mark.greatest)
            self.plain, self._stamped = mark.plain, mark.length
            return mark.length
        return self._reader.with_index(fd, self.learn)

    def learn(self, fd: int, index: Index) -> int:
        """Learn the log from its index; give how far that was read."""
        at = index.tree.current()
        record = {} if at == tree.NONE else index.record_at(fd, at)
        self.moved(record.get("id"), given_id_of(record))
        if index.greatest:
            self.know(index.greatest)
        self.ascending, self.plain = index.sorted, index.plain
        return index.follower.end

    def moved(self, leaf: str | None, given_id: str | None = None, *, plain: bool = True) -> None:
        """Take a message as the current leaf; not `plain` where the same record made another one go."""
        self.leaf, self.shown, self.known = leaf, given_id or leaf, True
        self.plain &= plain
        self.trail = []

    def grew(self, record_id: str, shown: str, role: str) -> None:
        """Take a message below the current leaf as the leaf, where that is known."""
        self.leaf, self.shown = record_id, shown
        if self.trail:
            self.trail.append((record_id, shown, role))
            if len(self.trail) > 2 * TRAIL:
                del self.trail[:TRAIL]

    def shrank(self) -> None:
        """Take the message above the current leaf as the leaf; the trail knows both."""
        trail = self.trail
        trail.pop()
        above = trail[-1]
        self.moved(*(above[:2] if above else (None,)), plain=False)
        self.trail = trail

    def removed(self, record_id: str) -> None:
        """Note that a message is gone; where it was the leaf, the index tells which one is now."""
        self.plain = False
        self.trail = []
        if self.leaf == record_id:
            self.lose_leaf()

    def lose_leaf(self) -> None:
        """Note that only the index tells which message is the leaf now."""
        self.known = False
        self.trail = []

    def skim(self, data: bytes, start: int) -> bool:
        """Learn lines that are all messages of the usual form: only the last one is decoded, since it alone tells the leaf."""
        last = last_usual(data, start, self.greatest.encode())
        line = codec.read_line(data[last:]) if last >= 0 else None
        if line is None or len(line.records) != 1:
            return False
        record = line.records[0].record
        if record["id"].encode() != data[last + 7 : last + 43] or not is_message(record) or not _RARE.isdisjoint(record):
            return False
        self.know(record["id"])
        self.moved(self.greatest)
        return True

    def add(self, record: Object) -> None:
        """Learn one record that another writer appended."""
        newest = record["id"] > self.greatest
        self.trail = []
        super().add(record)
        kind = record.get("type")
        if not newest:
            self.known = self.plain = False  # a second record of one id, or one out of order
        elif kind is None:
            if is_message(record):
                self.moved(record["id"], given_id_of(record))
            self.plain &= "replaces" not in record
        elif kind == "redacted":
            self.plain = False
        else:
            self.known = False
            self.plain &= kind == "leaf"

    def let_go(self, end: int, tail: bytes) -> None:
        """Keep a stamp, where the log is long enough to deserve one."""
        if end >= stamp.SMALLEST and end != self._stamped:
            self._reader.keep_stamp(stamp.Stamp(end, self.greatest, self.plain, tail))
