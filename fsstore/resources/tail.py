"""The newest messages of a branch, read from the end of the log without the rest of it."""

from __future__ import annotations

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import raw_blocks_back
from fsstore.records.messages import draft_from, has_body, is_message, redacted, usual_draft
from fsstore.resources.lines import HEAD, is_usual

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object
    from fsstore.records.messages import Draft
    from fsstore.resources.stamp import Stamp

#: Bytes read backwards without a hit before the wanted line is looked for by bisection.
_PATIENCE = 1 << 17
#: Bytes behind the stamp that are read to see that they ascend too.
_REST = 1 << 22
#: Bytes read at first for more than a few messages.
_FIRST_BLOCK = 1 << 15
_ABOVE_ALL = b"~"


class NeedIndex(Exception):  # noqa: N818  # a turn of the reading, not an error
    """The end of the log does not tell; the index of the whole log does."""


class Tail:
    """One walk from the end of a log up its current branch.

    Attributes:
        found: The messages of the branch, the leaf first; the last of them does not show its parent yet.
        whole: Whether the walk came to the root of the branch.
    """

    def __init__(self, fd: int, size: int, stamp: Stamp, limit: int) -> None:
        if size - stamp.length > _REST:
            raise NeedIndex
        self._fd = fd
        self._stamp = stamp
        self._limit = limit
        self._gone: set[str] = set()
        self._redactions: dict[str, Object] = {}  # by message, of those that were not met yet
        self._wanted: bytes | None = None  # None: the leaf is not known yet
        self._before = _ABOVE_ALL
        self._joined = False
        self.found: list[Draft] = []
        self.whole = False
        place: int | None = size
        while place is not None:
            place = self._walk(place)

    def _walk(self, end: int) -> int | None:
        """Read lines backwards from `end` to the end of the walk, or to a place from where to go on."""
        idle, length = 0, self._stamp.length
        for stop, lines in raw_blocks_back(self._fd, end, _FIRST_BLOCK if self._limit > 16 else 1 << 14):
            at = stop
            while lines:
                if at <= length and not (self._gone or self._redactions):
                    self._join()
                    at -= self._take_run(lines)
                    if not lines:
                        break
                raw = lines.pop()
                at -= len(raw)
                id = raw[7:43]
                in_rest, done = at >= length, self._is_done()
                if not in_rest:
                    self._join()
                if done and not in_rest:
                    if is_usual(raw):
                        self._ascends(id)
                    elif not self._take_line(raw):
                        continue
                    return None  # one record more was looked at: a second one of the last one's id would stand there
                if not in_rest and idle > _PATIENCE and self._wanted is not None:
                    return self._jump(at)
                if is_usual(raw):
                    self._ascends(id)
                    if done or (self._wanted is not None and id > self._wanted):
                        idle += len(raw)
                        continue
                idle = 0
                self._take_line(raw)
        if not self._is_done():
            raise NeedIndex  # the file ended before the branch did
        return None

    def _join(self) -> None:
        """See that the rest ascends from the stamp's prefix."""
        if not self._joined:
            self._joined = True
            if self._before < self._stamp.greatest.encode():
                raise NeedIndex

    def _take_run(self, lines: list[bytes]) -> int:
        """Take messages off the end of some lines while each is the wanted one, and nothing else; give how many bytes.

        It does what the walk does line by line for lines that a plain conversation is made of, in a third of the time.
        """
        wanted = lines[-1][7:43] if self._wanted is None else self._wanted  # a message that is the last record is the leaf
        found, taken = self.found, 0
        last = found[-1] if found else None
        while lines and not self.whole and len(found) < self._limit:
            raw = lines[-1]
            values = codec.decode_usual(raw) if raw[7:43] == wanted and raw[:7] == HEAD and wanted < self._before else None
            if values is None:
                break
            draft = usual_draft(*values)
            found.append(draft)
            if last is not None:
                last.parent_id = draft.id
                last.done()
            last = draft
            self._before = wanted
            if values[1] is None:
                self.whole = True
            else:
                self._wanted = wanted = values[1].encode()
            taken += len(lines.pop())
        return taken

    def _link(self, draft: Draft) -> None:
        """Add a message above the one found before, which now can show its parent."""
        if self.found:
            last = self.found[-1]
            last.parent_id = draft.id
            last.done()
        self.found.append(draft)

    def _is_done(self) -> bool:
        return self.whole or len(self.found) >= self._limit

    def _ascends(self, id: bytes) -> None:
        if id >= self._before:
            raise NeedIndex  # out of order, or a second record of one id
        self._before = id

    def _take_line(self, raw: bytes) -> bool:
        """Take what a line holds; say whether that is any record."""
        line = codec.read_line(raw)
        for piece in reversed(line.records):
            id = piece.record["id"].encode()
            if not is_usual(raw):
                self._ascends(id)
            codec.check_type(piece.record)
            if not self._is_done():
                self._take(piece.record, id)
        return bool(line.records)

    def _take(self, record: Object, id: bytes) -> None:
        kind = record.get("type")
        if kind is None:
            self._take_message(record, id)
        elif kind == "leaf":
            if self._wanted is None:
                self._want(record.get("leaf_id"))
        elif kind == "removed":
            self._lose(record.get("message_id"))
        elif kind == "redacted":
            self._redact(record.get("message_id"), record)
        elif kind == "gone":
            if self._wanted is None or id == self._wanted:
                self._want(record.get("parent_id"))
        elif kind == "clear" or not isinstance(kind, str) or kind.startswith("!"):
            raise NeedIndex  # what is cleared is a matter of the whole tree
        elif self._wanted is not None and id < self._wanted:
            raise NeedIndex

    def _take_message(self, record: Object, id: bytes) -> None:
        if not is_message(record):
            raise NeedIndex
        if self._wanted is None or id == self._wanted:
            redaction = self._redactions.pop(record["id"], None)
            if record["id"] not in self._gone:
                self._link(draft_from(redacted(record, redaction) if redaction else record))
            self._want(record.get("parent_id"))
        elif id < self._wanted:
            raise NeedIndex  # the wanted message is not where it must be
        self._lose(record.get("replaces"))

    def _lose(self, id: Json) -> None:
        if isinstance(id, str):  # else it names nothing
            self._gone.add(id)

    def _redact(self, id: Json, redaction: Object) -> None:
        if isinstance(id, str) and has_body(redaction):
            self._redactions.setdefault(id, redaction)  # the first one met is the newest

    def _want(self, id: Json) -> None:
        if id is None:
            self.whole = True
        elif isinstance(id, str):
            self._wanted = id.encode("utf-8", "replace")
        else:
            raise NeedIndex

    def _jump(self, end: int) -> int:
        """Find the wanted line far back; give the place just after it."""
        if not self._stamp.plain or self._gone:
            raise NeedIndex  # a removal on the way would not be seen
        at = find_line(self._fd, self._wanted or b"", end)
        if at < 0:
            raise NeedIndex
        self._before = _ABOVE_ALL
        return at + _line_length(self._fd, at)


def find_line(fd: int, id: bytes, end: int) -> int:
    """Find the line of a record before `end` by bisection; give its offset, or -1 where it is not where it would stand.

    It would stand there in a log whose ids ascend.
    """
    start = 0
    while end - start > 1 << 14:
        middle = (start + end) // 2
        at, found = _line_after(fd, middle, end)
        if at < 0 or found > id:
            end = middle + 1
        else:
            start = at
    begin = b"\n" + HEAD + id
    at = (b"\n" + fs.read_range(fd, start, end + len(begin) - 2)).find(begin)
    return start + at if at >= 0 else -1


def _line_after(fd: int, place: int, end: int) -> tuple[int, bytes]:
    """Give the first line of a record that begins after `place` and before `end`: its offset and id, or -1."""
    block, data, at = 1 << 12, b"", place
    while at < end:
        data = fs.read_at(fd, block, at)
        cut = data.find(b"\n") + 1
        if not data:
            break
        if not cut:
            at += len(data)
            continue
        at += cut
        head = fs.read_at(fd, 43, at)
        if at < end and head[:7] == HEAD and len(head) == 43:
            return at, head[7:]
    return -1, b""


def _line_length(fd: int, start: int) -> int:
    length, block = 0, 1 << 14
    while data := fs.read_at(fd, block, start + length):
        cut = data.find(b"\n") + 1
        if cut:
            return length + cut
        length += len(data)
    return length
