"""Where each message of a log stands, and their tree: built by one pass over the file, then by what is new in it."""

from __future__ import annotations

import threading
from array import array

from fsstore import clock, codec, tree
from fsstore.codec import Damage, may_be_glued
from fsstore.disk import fs
from fsstore.disk.folding import twin
from fsstore.disk.follow import Follower, raw_lines, read_new
from fsstore.records.messages import given_id_of, has_body, is_in_tree, is_message, redacted
from fsstore.resources.lines import HEAD, PARENT, ROLE, ROOT_ROLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from fsstore.codec import Json, Object

#: How many ids are remembered for parents that are not the line before; older ones are found by bisection.
_RECENT = 4096

_LATE_KEYS = frozenset(("given_id", "replaces"))
_LAST_ID = clock.LAST_ID.encode()
_DECODE = -2


class Unsorted(Exception):  # noqa: N818  # a turn of the reading, not an error
    """The records do not ascend by id: a merge left them so."""


class Provisional(Exception):  # noqa: N818  # a turn of the reading, not an error
    """A line that was taken for a message by its first keys is none: build the index by decoding every line."""


class Index:
    """Positions, offsets and lengths of a log's messages, in ascending order of id, and their `Tree`.

    Bodies are not kept. A line of the usual form is taken for a message by its first keys alone; whoever decodes it and
    finds otherwise raises `Provisional`, and `build(exact=True)` then decodes every line.

    Attributes:
        given: The newest message of each given id.
        older_given: For a message whose given id was given before, the one that had it last.
        redacted: For a message that was redacted, which record says what it is now: its id, its offset, its length.
        damage: What was passed over; complete only where `exact`.
        sorted: Whether the file's own order is the order of the ids.
        plain: Whether all records are messages and moves of the leaf, so that no message is gone or redacted.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.mutex = threading.RLock()
        self._begin(exact=False)

    def _begin(self, *, exact: bool) -> None:
        self.follower = Follower()
        self.tree = tree.Tree()
        self.offsets = array("Q")
        self.lengths = array("I")
        self.given: dict[str, int] = {}
        self.older_given: dict[int, int] = {}
        self.redacted: dict[int, tuple[str, int, int]] = {}
        self.damage: list[Damage] = []
        self.sorted = True
        self.plain = True
        self.exact = exact
        self._newest = b""
        self._changed = 0
        self._last_is_message = False
        self._last: Object = {}
        self._last_place = (0, 0)
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def greatest(self) -> str:
        """The greatest id of any record, empty where there is none."""
        return self._newest.decode()

    def refresh(self, fd: int, status: os.stat_result) -> None:
        """Read what is new in the log: only the bytes after the last time when it grew, all of it when it was replaced."""
        # No descriptor is held between reads, so an inode number may have come back: where nothing was appended, the time
        # of change must be the same as well.
        changed = status.st_size == self.follower.end and status.st_ctime_ns != self._changed
        if changed or not self.follower.holds(fd, status):
            self.build(fd, status, exact=False)
        elif status.st_size > self.follower.end:
            self.follower.inode = -1  # what an interrupt leaves half read fits no file
            known = len(self.damage)
            try:
                self._read(fd, status.st_size)
                if len(self.damage) > known and not self.exact:
                    self.build(fd, status, exact=True)
            except Unsorted:
                self.build(fd, status, exact=self.exact)
            self.follower.inode, self._changed = status.st_ino, status.st_ctime_ns

    def build(self, fd: int, status: os.stat_result, *, exact: bool) -> None:
        """Read the whole log."""
        self._begin(exact=exact)
        try:
            self._read(fd, status.st_size)
            if self.damage and not exact:  # what made it may hide a good record in a line not decoded
                self._begin(exact=True)
                self._read(fd, status.st_size)
        except Unsorted:
            self._begin(exact=True)
            self._read_unsorted(fd, status.st_size)
        self.follower.device, self.follower.inode = status.st_dev, status.st_ino
        self._changed = status.st_ctime_ns

    def _read(self, fd: int, size: int) -> None:
        if not self.exact:
            self._read_fast(fd, size)
            return
        for at, line in read_new(fd, self.follower, size):
            self._add_line(fd, at, line)

    def _read_fast(self, fd: int, size: int) -> None:
        """Read as `read_new` does, but without decoding lines of the usual form."""
        end = self.follower.end
        newest, at = self._newest, len(self.offsets)
        for start, raw in raw_lines(fd, end, size):
            id = raw[7:43]
            if raw[:7] == HEAD and raw[-2:] == b"}\n" and newest < id <= _LAST_ID and not may_be_glued(raw):
                if raw[43:58] == PARENT and raw[94:104] == ROLE:
                    up = raw[58:94]
                    parent = at - 1 if up == newest and self._last_is_message else self._find_parent(fd, up, id, start)
                elif raw[43:70] == ROOT_ROLE:
                    parent = tree.NONE
                else:
                    parent = _DECODE
                if parent != _DECODE:
                    self._add_message(id, parent, start, len(raw) - 1)
                    newest, end, at = id, start + len(raw), at + 1
                    continue
            line = codec.read_line(raw)
            terminated = raw.endswith(b"\n")
            if not (terminated or line.records):
                break
            self._add_line(fd, start, line)
            newest, at = self._newest, len(self.offsets)
            end = start + (len(raw) if terminated else line.end)
        self.follower.advance(fd, end)

    def _add_message(self, id: bytes, parent: int, offset: int, length: int) -> None:
        at = self.tree.add(parent)
        self.tree.leaf = at
        self.offsets.append(offset)
        self.lengths.append(length)
        self._newest = id
        self._last_is_message = True
        self._young[id] = at
        if len(self._young) >= _RECENT:
            self._old, self._young = self._young, {}

    def _add_line(self, fd: int, start: int, line: codec.Line) -> None:
        for kind, reason in line.damage:
            self.damage.append(Damage(start, kind, reason))
        for piece in line.records:
            self._add_record(fd, start + piece.start, piece.end - piece.start, piece.record)

    def _add_record(self, fd: int, offset: int, length: int, record: Object) -> None:
        id = record["id"].encode()
        if id < self._newest:
            raise Unsorted
        again = id == self._newest
        self._newest = id
        kind = record.get("type")
        at = self._find(fd, id) if again else tree.NONE
        if again and is_in_tree(record) != is_in_tree(self._last):
            self.damage.append(Damage(offset, "shared-id", f"a message and another record have the id {record['id']}"))
        elif again:
            here, there = (fs.read_range(fd, start, end) for start, end in ((offset, offset + length), self._last_place))
            self.damage.append(twin(offset, record["id"], same=here == there))
        self._last, self._last_place = record, (offset, offset + length)
        if kind is not None and kind != "gone":
            self._apply(fd, offset, length, kind, record)
            if at == tree.NONE:
                self._last_is_message = False
            elif not self.tree.gone[at]:
                self.tree.leaf = at  # a message and another record of one id: in either order the message counts last
        elif at != tree.NONE:
            self._add_twin(fd, at, offset, length, record)
        else:
            self._add_node(fd, offset, length, record, id)

    def _add_node(self, fd: int, offset: int, length: int, record: Object, id: bytes) -> None:
        gone = record.get("type") == "gone"
        if not gone and not is_message(record):
            self._last_is_message = False
            self.damage.append(Damage(offset, "no-message", "a record without a role and a content"))
            return
        self._add_message(id, self._parent_of(fd, record, offset), offset, length)
        at = len(self.offsets) - 1
        if gone:
            self._remove(at)
        else:
            self._add_keys(fd, at, offset, record)

    def _add_twin(self, fd: int, at: int, offset: int, length: int, record: Object) -> None:
        """Meet a message again: `gone` beats it, and of two that differ the one with the greater bytes counts."""
        self.plain = False
        if record.get("type") == "gone":
            self.tree.remove(at)
        elif is_message(record) and not self.tree.gone[at]:
            here, there = (fs.read_range(fd, o, o + n) for o, n in ((offset, length), (self.offsets[at], self.lengths[at])))
            if here > there:
                self.offsets[at], self.lengths[at] = offset, length
                self.tree.parents[at] = self._parent_of(fd, record, offset)
                self._forget_given(at)
                self._add_keys(fd, at, offset, record)
            elif record.get("replaces") is not None:
                self._remove(self._named(fd, record["replaces"], offset))

    def _forget_given(self, at: int) -> None:
        """Have the given id of the newest message be that of the one that had it before, if any."""
        older = self.older_given.pop(at, tree.NONE)
        places = {given: older if place == at else place for given, place in self.given.items()}
        self.given = {given: place for given, place in places.items() if place != tree.NONE}

    def _add_keys(self, fd: int, at: int, offset: int, record: Object) -> None:
        given = given_id_of(record)
        if given:
            if given in self.given:
                self.older_given[at] = self.given[given]
            self.given[given] = at
        if record.get("replaces") is not None:
            self._remove(self._named(fd, record["replaces"], offset))

    def _parent_of(self, fd: int, record: Object, offset: int) -> int:
        parent = record.get("parent_id")
        if parent is None:
            return tree.NONE
        text = parent if isinstance(parent, str) else codec.shown(parent)
        return self._find_parent(fd, text.encode("utf-8", "replace"), record["id"].encode(), offset)

    def _apply(self, fd: int, offset: int, length: int, kind: Json, record: Object) -> None:
        if kind == "leaf":
            named = record.get("leaf_id")
            at = tree.NONE if named is None else self._named(fd, named, offset)
            if named is None or at != tree.NONE:
                self.tree.leaf = at
        elif kind == "removed":
            self._remove(self._named(fd, record.get("message_id"), offset))
        elif kind == "redacted":
            self._redact(fd, self._named(fd, record.get("message_id"), offset), offset, length, record)
        elif kind == "clear":
            self.plain = False
            named = record.get("leaf_ids")
            if not isinstance(named, list):
                self.damage.append(Damage(offset, "dangling", "it names no list of messages"))
                return
            for leaf in named:
                self.tree.clear(self.find_record(fd, leaf if isinstance(leaf, str) else ""))
        else:
            codec.check_type(record)
            self.plain = False
            self.damage.append(Damage(offset, "unknown-type", f"a record of unknown type {codec.shown(kind)}"))

    def _remove(self, at: int) -> None:
        self.plain = False
        if at != tree.NONE:
            self.tree.remove(at)

    def _redact(self, fd: int, at: int, offset: int, length: int, record: Object) -> None:
        self.plain = False
        if at == tree.NONE or not has_body(record):
            return
        id, start, size = self.redacted.get(at, ("", 0, 0))
        twin = fs.read_range(fd, start, start + size) if id == record["id"] else b""
        if twin <= fs.read_range(fd, offset, offset + length):
            self.redacted[at] = record["id"], offset, length

    def _named(self, fd: int, id: Json, offset: int) -> int:
        at = self.find_record(fd, id) if isinstance(id, str) else tree.NONE
        if at == tree.NONE:
            self.damage.append(Damage(offset, "dangling", f"it names message {codec.shown(id)}, which is not here"))
        return at

    def _find_parent(self, fd: int, parent: bytes, id: bytes, offset: int) -> int:
        if parent >= id:
            self.damage.append(Damage(offset, "cycle", f"its parent {_text(parent)} is not older than itself"))
            return tree.NONE
        at = self._find(fd, parent)
        if at == tree.NONE:
            self.damage.append(Damage(offset, "missing-parent", f"its parent {_text(parent)} is not here"))
            at = self.first_above(fd, parent) - 1  # a lost record must not cut off all that was said before it
        return at

    def find_record(self, fd: int, id: str) -> int:
        """Give the position of a record id, or `tree.NONE`."""
        return self._find(fd, id.encode("utf-8", "replace"))

    def find(self, fd: int, id: str) -> int:
        """Give the position of a message that is not gone, by the id it shows or its record id, or `tree.NONE`.

        Of several that show one id, the newest.
        """
        at = self.given.get(id, tree.NONE)
        if at != tree.NONE and self.tree.gone[at]:
            at = self.older_alive(at)
        if at == tree.NONE:
            at = self.find_record(fd, id)
        return tree.NONE if at == tree.NONE or self.tree.gone[at] else at

    def older_alive(self, at: int) -> int:
        """Give the newest message that is not gone among the older ones of the same given id, or `tree.NONE`."""
        at = self.older_given.get(at, tree.NONE)
        while at != tree.NONE and self.tree.gone[at]:
            at = self.older_given.get(at, tree.NONE)
        return at

    def _find(self, fd: int, id: bytes) -> int:
        at = self._young.get(id, tree.NONE)
        if at == tree.NONE:
            at = self._old.get(id, tree.NONE)
        if at != tree.NONE:
            return at
        at = self.first_above(fd, id) - 1
        return at if at >= 0 and self.id_at(fd, at) == id else tree.NONE

    def first_above(self, fd: int, id: bytes) -> int:
        """Give the first position whose record id is greater than `id`."""
        if not id:
            return 0
        low, high = 0, len(self.offsets)
        while low < high:
            middle = (low + high) // 2
            if self.id_at(fd, middle) <= id:
                low = middle + 1
            else:
                high = middle
        return low

    def id_at(self, fd: int, at: int) -> bytes:
        """Give the record id of a position, read from the file."""
        head = fs.read_at(fd, 43, self.offsets[at])
        if head[:7] == HEAD:
            return head[7:]
        return str(self.record_at(fd, at)["id"]).encode()

    def record_at(self, fd: int, at: int) -> Object:
        """Decode the record of a position.

        Raises:
            Provisional: The line is no message after all.
        """
        start = self.offsets[at]
        return self.checked(fd, at, fs.read_range(fd, start, start + self.lengths[at]))

    def checked(self, fd: int, at: int, raw: bytes) -> Object:
        """Decode the line of a position, as the message is now; raise `Provisional` where it is no message after all."""
        record = _decode(raw)
        if not self.exact and not (is_message(record) and _is_as_placed(raw, record)):
            raise Provisional("no message, or one with keys out of their place")
        return redacted(record, self.redaction_at(fd, at)) if at in self.redacted else record

    def redaction_at(self, fd: int, at: int) -> Object:
        """Decode the record that says what a message that was redacted is now."""
        _, start, length = self.redacted[at]
        return _decode(fs.read_range(fd, start, start + length))

    def _read_unsorted(self, fd: int, size: int) -> None:
        """Read the records in the order of their ids, which is not the file's."""
        self.sorted = self.plain = False
        found = []
        for at, line in read_new(fd, self.follower, size):
            self.damage.extend(Damage(at, kind, reason) for kind, reason in line.damage)
            found += [(piece.record["id"], at + piece.start, piece.end - piece.start) for piece in line.records]
        for id, offset, length in sorted(found):
            for piece in codec.read_line(fs.read_range(fd, offset, offset + length)).records:
                if piece.record["id"] == id:  # it may have been written over since
                    self._add_record(fd, offset, length, piece.record)


def _decode(raw: bytes) -> Object:
    try:
        return codec.decode_object(raw)
    except ValueError as error:
        raise Provisional(str(error)) from None


def _is_as_placed(raw: bytes, record: Object) -> bool:
    """Say whether a line, decoded, says what its first bytes said of it."""
    if raw[94:104] == ROLE:
        parent = raw[58:94].decode("latin-1")
    elif raw[43:70] == ROOT_ROLE:
        parent = None
    else:
        return True  # it was decoded when it was placed
    return record["parent_id"] == parent and _LATE_KEYS.isdisjoint(record)


def _text(id: bytes) -> str:
    return id.decode("utf-8", "replace")[:60]
