"""Reading a thread's message tree: its branches, its leaves, single messages, all of them."""

from __future__ import annotations

import contextlib
import gc
import sys
from copy import copy
from functools import partial

from fsstore import codec, layout, tree
from fsstore.disk import fs
from fsstore.disk.follow import raw_lines_back, whole_lines
from fsstore.errors import CorruptError, MessageNotFoundError
from fsstore.records.messages import Message, is_message, make_message, shown_id
from fsstore.resources import stamp as stamps
from fsstore.resources.index import Index, Provisional
from fsstore.resources.lines import chain
from fsstore.resources.tail import NeedIndex, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from fsstore.codec import Damage, Object
    from fsstore.resources.indexes import Indexes
    from fsstore.resources.place import Place

    T = TypeVar("T")

#: Bytes read at once while bodies are read in order.
_BLOCK = 1 << 17
_CHANGING = "it is being changed in place by another program"


class TreeReader:
    """The reading half of `Messages`."""

    __slots__ = ("_indexes", "_place", "path", "thread_id")

    def __init__(self, place: Place, indexes: Indexes) -> None:
        self.thread_id = place.id
        self.path = place.path(layout.MESSAGES)
        self._place = place
        self._indexes = indexes

    def branch(self, limit: int | None = None, *, leaf: str | None = None) -> list[Message]:
        """Give the messages from the root to the current leaf.

        Args:
            limit: Only so many, the nearest to the leaf; None for all.
            leaf: Another message to end at, instead of the current leaf.

        Raises:
            ValueError: A negative limit.
            MessageNotFoundError: The thread has no message `leaf`.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, or None for all, not {limit}")
        collecting = gc.isenabled()
        gc.disable()  # none of the messages is in a cycle, and the collector would look at all of them again and again
        try:
            if leaf is None and self.path not in self._indexes:
                newest = self._newest(sys.maxsize - 1 if limit is None else limit)
                if newest is not None:
                    return newest
            return self._reading(lambda fd, index: self.branch_of(fd, index, limit, leaf)) or []
        finally:
            if collecting:
                gc.enable()

    def leaf(self) -> Message | None:
        """Give the current leaf, or None."""
        newest = self.branch(1)
        return newest[0] if newest else None

    def leaves(self) -> list[Message]:
        """Give the messages that have none below them, oldest first."""
        return self._reading(lambda fd, index: self._messages(fd, index, index.tree.leaves()), exact=True) or []

    def get(self, message_id: str) -> Message | None:
        """Give a message by its id, or None."""

        def find(fd: int, index: Index) -> Message | None:
            at = index.find(fd, message_id)
            return None if at == tree.NONE else self._messages(fd, index, [at])[0]

        return self._reading(find)

    def __getitem__(self, message_id: str) -> Message:
        message = self.get(message_id)
        if message is None:
            raise MessageNotFoundError(message_id)
        return message

    def __contains__(self, message_id: str) -> bool:
        return self.get(message_id) is not None

    def __len__(self) -> int:
        return self._reading(lambda _, index: index.tree.count(), exact=True) or 0

    def length(self) -> int:
        """Count the messages of the current branch; none is decoded, and no index kept that was not kept before."""
        opened = self._open()
        if opened is None:
            return 0
        try:
            counted = None if self.path in self._indexes else _length_of_chain(opened)
            if counted is None:
                counted = self.with_index(opened, lambda _, index: len(index.tree.branch(index.tree.current())), keep=False)
            return counted
        finally:
            fs.close(opened)

    def any_on_branch(self, test: Callable[[Message], bool]) -> bool:
        """Say whether any message of the current branch passes a test; one at a time is in memory, and no index is kept."""

        def look(fd: int, index: Index) -> bool:
            path = index.tree.branch(index.tree.current())
            return any(test(make_message(index.checked(fd, at, raw), None)) for at, raw in _bodies(fd, index, path))

        return self._reading(look, keep=False) or False

    def __iter__(self) -> Iterator[Message]:
        """Give every message in the order of the log, one at a time: memory does not hold their bodies."""
        last, stuck = "", 0
        while stuck < 4:
            opened = self._open()
            if opened is None:
                return
            begun = last
            try:
                for message in self._stream(opened, *self.with_index(opened, partial(_from_above, last))):
                    yield message
                    last = message.record_id
                return
            except Provisional:  # from here on, read exactly
                stuck = stuck + 1 if last == begun else 0
                self._build_exactly(opened)
            finally:
                fs.close(opened)
        raise CorruptError(self.path, _CHANGING)

    def children(self) -> dict[str | None, list[str]]:
        """Give for each message that has any the ids below it, oldest first; under None the roots."""

        def collect(fd: int, index: Index) -> dict[str | None, list[str]]:
            shown = _Shown(fd, index)
            below: dict[str | None, list[str]] = {}
            for at, children in index.tree.children().items():
                parent = None if at == tree.NONE else shown[at]
                below.setdefault(parent, []).extend(shown[child] for child in children)
            return below

        return self._reading(collect, exact=True) or {}

    def damage(self) -> list[Damage]:
        """Decode every line, and give what is no good record: each with its offset, its kind and a reason."""
        opened = self._open()
        if opened is None:
            return []
        try:
            return self.with_index(opened, lambda _, index: list(index.damage), exact=True)
        finally:
            fs.close(opened)

    def last_time(self) -> int:
        """Give the time of the newest message of the log, gone or not, in Unix seconds; 0 where there is none."""
        opened = self._open()
        if opened is None:
            return 0
        try:
            for _, raw in raw_lines_back(opened, fs.fstat(opened).st_size):
                for piece in reversed(codec.read_line(raw).records):
                    if is_message(piece.record):
                        return make_message(piece.record, None).created_at
            return 0
        finally:
            fs.close(opened)

    def _newest(self, limit: int) -> list[Message] | None:
        opened = self._open()
        if opened is None:
            return []
        try:
            return self.newest_of(opened, limit)
        finally:
            fs.close(opened)

    def newest_of(self, fd: int, limit: int) -> list[Message] | None:
        """Read the newest of the branch from the end of the log open as `fd`; None where only the index can tell."""
        size = fs.fstat(fd).st_size
        mark = self.stamp(fd, size)
        if mark is None:
            return None
        try:
            tail = Tail(fd, size, mark, limit + 1)  # one more, for what the first one's parent shows
        except NeedIndex:
            return None
        if tail.found:
            tail.found[-1].done()  # a root; or one more than was asked for, whose own parent nobody is shown
        return tail.found[:limit][::-1]  # type: ignore[return-value]  # they are messages now

    def branch_of(self, fd: int, index: Index, limit: int | None, leaf: str | None = None) -> list[Message]:
        """Give a branch of the log open as `fd`, of which `index` is the index; see `branch`."""
        at = index.tree.current() if leaf is None else self._at(fd, index, leaf)
        path = index.tree.branch(at, limit)
        parent = index.tree.parent(path[0]) if path else tree.NONE
        shown = None if parent == tree.NONE else _Shown(fd, index)[parent]
        messages = []
        for at, raw in _bodies(fd, index, path):
            message = make_message(index.checked(fd, at, raw), shown)
            messages.append(message)
            shown = message.id
        return messages

    def _messages(self, fd: int, index: Index, places: list[int]) -> list[Message]:
        shown = _Shown(fd, index)
        return [make_message(index.checked(fd, at, raw), shown.parent(at)) for at, raw in _bodies(fd, index, places)]

    def _stream(self, fd: int, index: Index, start: int) -> Iterator[Message]:
        shown = _Shown(fd, index)
        places = (at for at in range(start, len(index)) if not index.tree.gone[at])
        for at, raw in _bodies(fd, index, places):
            record = index.checked(fd, at, raw)
            shown.keep(at, record)
            yield make_message(record, shown.parent(at))

    # The file and its index

    def _open(self) -> int | None:
        try:
            return fs.open_read(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _reading(self, call: Callable[[int, Index], T], *, exact: bool = False, keep: bool = True) -> T | None:
        opened = self._open()
        if opened is None:
            return None
        try:
            return self.with_index(opened, call, exact=exact, keep=keep)
        finally:
            fs.close(opened)

    def _warm(self, *, exact: bool = False) -> None:
        """Read the log before the lock is taken, so that little is left to read under it."""
        self._reading(lambda _fd, _index: None, exact=exact)

    def with_index(self, fd: int, call: Callable[[int, Index], T], *, exact: bool = False, keep: bool = True) -> T:
        """Call with the index of the log open as `fd`, in step with it.

        With `exact` every line of the log has been decoded; without, a line that turns out to be no message when it is
        decoded has all lines decoded, and the call made again. Without `keep` an index that is not kept yet is made for this
        call alone, so that whoever goes over all logs does not push out the indexes that are in use.
        """
        index = self._indexes[self.path] if keep or self.path in self._indexes else Index(self.path)
        with index.mutex:
            for turn in range(4):
                try:
                    if not turn:
                        index.refresh(fd, fs.fstat(fd))
                    if exact and not index.exact:
                        index.build(fd, fs.fstat(fd), exact=True)
                    return call(fd, index)
                except Provisional:
                    exact, index.exact = True, False
            raise CorruptError(self.path, _CHANGING)

    def _build_exactly(self, fd: int) -> None:
        index = self._indexes[self.path]
        with index.mutex:
            index.build(fd, fs.fstat(fd), exact=True)

    def seen(self) -> tuple[list[str], str]:
        """Give the record ids of the leaves, and the greatest id of the log."""

        def look(fd: int, index: Index) -> tuple[list[str], str]:
            return [index.id_at(fd, at).decode() for at in index.tree.leaves()], index.greatest

        return self._reading(look, exact=True) or ([], "")

    def held(self, record_ids: list[str]) -> set[str]:
        """Give those of some record ids whose messages stand in the log, gone ones too."""

        def look(fd: int, index: Index) -> set[str]:
            return {id for id in record_ids if index.find_record(fd, id) != tree.NONE}

        return self._reading(look, exact=True) or set()

    def stamp(self, fd: int, size: int) -> stamps.Stamp | None:
        """Give the log's stamp, where it is worth one and has one that fits."""
        return stamps.read(self._place.root, self._place.name, fd, size) if size >= stamps.SMALLEST else None

    def forget_stamp(self) -> None:
        """Delete the log's stamp: the log has gone."""
        stamps.remove(self._place.root, self._place.name)

    def keep_stamp(self, mark: stamps.Stamp) -> None:
        """Keep the log's stamp, while the log is there and holds what the stamp says: it may have been rewritten since."""
        with contextlib.suppress(OSError):  # a cache that cannot be kept is no reason to fail
            opened = fs.open_read(self.path)
            try:
                if fs.read_at(opened, len(mark.tail), mark.length - len(mark.tail)) == mark.tail:
                    stamps.write(self._place.root, self._place.name, mark)
            finally:
                fs.close(opened)

    # What writers ask

    def _ids(self, fd: int, index: Index, message_id: str) -> tuple[str, str]:
        record = self._record(fd, index, message_id)
        return record["id"], shown_id(record)

    def _record(self, fd: int, index: Index, message_id: str) -> Object:
        return index.record_at(fd, self._at(fd, index, message_id))

    def _record_id(self, fd: int, index: Index, message_id: str) -> str | None:
        at = index.find(fd, message_id)
        return None if at == tree.NONE else index.record_at(fd, at)["id"]

    def _around(self, fd: int, index: Index, message_id: str) -> tuple[str, str | None, str | None]:
        at = self._at(fd, index, message_id)
        parent = index.tree.parent(at)
        above = {} if parent == tree.NONE else index.record_at(fd, parent)
        return index.record_at(fd, at)["id"], above.get("id"), shown_id(above) if above else None

    def _at(self, fd: int, index: Index, message_id: str) -> int:
        at = index.find(fd, message_id)
        if at == tree.NONE:
            raise MessageNotFoundError(message_id)
        return at


def _length_of_chain(fd: int) -> int | None:
    """Count the messages of a log that is one chain of them and nothing else; None where it is not."""
    counted, newest = 0, b""
    for data in whole_lines(fd):
        ids = chain(data, newest)
        if not ids:
            return None
        counted, newest = counted + len(ids), ids[-1]
    return counted


def _from_above(id: str, fd: int, index: Index) -> tuple[Index, int]:
    """Give an index that stays that of the file open as `fd`, and its first position above an id.

    Built anew for another file, the index gets new arrays and a new tree; the copy keeps the old ones.
    """
    return copy(index), index.first_above(fd, id.encode())


class _Shown:
    """What messages answer to, by position, remembering the last ones asked for."""

    def __init__(self, fd: int, index: Index) -> None:
        self._fd = fd
        self._index = index
        self._known: dict[int, str] = {}

    def __getitem__(self, at: int) -> str:
        known = self._known.get(at)
        if known is not None:
            return known
        if self._index.given or not self._index.exact:  # decoding also proves that there is a message
            return self.keep(at, self._index.record_at(self._fd, at))
        return self._index.id_at(self._fd, at).decode()

    def keep(self, at: int, record: Object) -> str:
        """Remember a record that was decoded anyway."""
        if len(self._known) > 4096:
            self._known.clear()
        shown = shown_id(record)
        self._known[at] = shown
        return shown

    def parent(self, at: int) -> str | None:
        """Give what the parent of a message answers to."""
        parent = self._index.tree.parent(at)
        return None if parent == tree.NONE else self[parent]


def _bodies(fd: int, index: Index, places: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Give the bytes of each position; in one read where they stand close together."""
    offsets, lengths = index.offsets, index.lengths
    data, begin = b"", 0
    for at in places:
        start = offsets[at] - begin
        end = start + lengths[at]
        if start < 0 or end > len(data):
            block = _BLOCK if 0 <= start <= len(data) + _BLOCK else 0
            begin = offsets[at]
            data = fs.read_range(fd, begin, begin + max(lengths[at], block))
            start, end = 0, lengths[at]
        yield at, data[start:end]
