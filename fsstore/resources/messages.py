"""A thread's messages: a tree in an append-only log."""

from __future__ import annotations

from fsstore import clock, codec, tree
from fsstore.codec import ABSENT
from fsstore.disk import fs
from fsstore.disk.log import Fold, Log
from fsstore.errors import CorruptError, FormatError, MessageNotFoundError, ThreadNotFoundError
from fsstore.records.messages import FIELD_KEYS, OWN_KEYS, Message, make_message, new_message
from fsstore.resources import stamp
from fsstore.resources.index import Provisional
from fsstore.resources.tail import NeedIndex, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeVar

    from fsstore.codec import Absent, Damage, Json, Object
    from fsstore.disk.log import Made, Writer
    from fsstore.disk.root import Root
    from fsstore.resources.index import Index, Indexes

    T = TypeVar("T")

#: Bytes read at once while bodies are read in order.
_BLOCK = 1 << 17


class Tip(Fold):
    """What a writer must know of a thread's log: its current leaf.

    Attributes:
        leaf: The record id of the current leaf, None where there is none.
        shown: What the leaf answers to.
        known: Whether the two are known; if not, the index tells.
        plain: See `Index.plain`.
    """

    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self.leaf: str | None = None
        self.shown: str | None = None
        self.known = True
        self.plain = True
        self._messages = messages
        self._stamped = 0

    def start(self, fd: int, status: os.stat_result) -> int:
        """Learn the log from its end where a stamp allows it, else from its index."""
        mark = self._messages.stamp(fd, status.st_size)
        if mark is not None:
            try:
                found = Tail(fd, mark.length, mark, 1).found
            except NeedIndex:
                self.known = False
            else:
                self.move(found[0]["id"], found[0].get("given_id")) if found else self.move(None)
            self.know(mark.greatest)
            self.plain, self._stamped = mark.plain, mark.length
            return mark.length
        return self._messages.with_index(fd, self._learn)

    def _learn(self, fd: int, index: Index) -> int:
        at = index.tree.current()
        record = {} if at == tree.NONE else index.record_at(fd, at)
        self.move(record.get("id"), record.get("given_id"))
        if index.greatest:
            self.know(index.greatest)
        self.ascending, self.plain = index.sorted, index.plain
        return index.follower.end

    def move(self, leaf: str | None, given_id: str | None = None) -> None:
        """Take a message as the current leaf."""
        self.leaf, self.shown, self.known = leaf, given_id or leaf, True

    def add(self, record: Object) -> None:
        """Learn one record that another writer appended."""
        super().add(record)
        kind = record.get("type")
        if kind is None:
            if isinstance(record.get("role"), str) and "content" in record:
                self.move(record["id"], record.get("given_id"))
            self.plain &= "replaces" not in record
        elif isinstance(kind, str) and kind.startswith("!"):
            raise FormatError(
                self._messages.path, f"a record of type {kind!r} must be understood, and is not: use a newer fsstore"
            )
        else:
            self.known = False
            self.plain &= kind == "leaf"

    def let_go(self, end: int, tail: bytes) -> None:
        """Keep a stamp, where the log is long enough to deserve one."""
        if end >= stamp.SMALLEST and end != self._stamped:
            self._messages.keep_stamp(stamp.Stamp(end, self.greatest, self.plain, tail))


class Messages:
    """The messages of one thread.

    Every method that takes a message id takes the id that the message shows, or its record id. `len` counts the messages
    that are there; iterating gives them in the order of the log.
    """

    __slots__ = ("_indexes", "_log", "_name", "_root", "path", "thread_id")

    def __init__(self, root: Root, indexes: Indexes, thread_id: str, name: str, lock: str, paths: tuple[str, str]) -> None:
        self.thread_id = thread_id
        self.path, owner = paths
        self._root = root
        self._indexes = indexes
        self._name = name
        self._log = Log(root, self.path, lock, owner, self._missing, self._tip)

    def _missing(self) -> ThreadNotFoundError:
        return ThreadNotFoundError(self.thread_id)

    def _tip(self) -> Tip:
        return Tip(self)

    # Writing

    def append(
        self,
        role: str,
        content: Json,
        *,
        item: Json | Absent = ABSENT,
        given_id: str | None = None,
        created_at: int | None = None,
        run_id: str | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> Message:
        """Add a message below the current leaf and make it the leaf.

        Args:
            role: Who speaks. Any text; the store gives it no meaning.
            content: A string, or any JSON value (a list of content blocks).
            item: A structured payload. Absent stores none; None stores null.
            given_id: An id of the caller's own, which the message then answers to.
            created_at: Unix seconds; now where None.
            run_id: The run that made it.
            extra: Any other keys, with JSON values.

        Returns:
            The message as stored, with its id and its parent.

        Raises:
            ValueError: A value that JSON cannot hold exactly; nothing was written.
            ThreadNotFoundError: The thread does not exist.
            LockTimeoutError: Another writer held the thread for `lock_timeout` seconds.
            SyncFailedError: It is written, but the disk did not confirm it.

        On disk: One line at the end of messages.jsonl, in one write.
        Crash: The message is there whole, or not at all.
        Concurrency: Appends of several processes all survive, each once.
        """
        draft = _Draft(role, content, item, given_id, created_at, run_id, extra)
        return self._add([draft], self._leaf_of)[0]

    def extend(self, messages: Iterable[Mapping[str, Json]]) -> list[Message]:
        """Add several messages, each below the one before; the last one becomes the leaf.

        Args:
            messages: Mappings with `role` and `content`, and where wanted `item`, `given_id`, `created_at`, `run_id`;
                other keys are kept as they are.

        Returns:
            The messages as stored.

        Raises:
            ValueError: As `append`; nothing was written.
            ThreadNotFoundError: The thread does not exist.

        On disk: One line each, all in one write and one sync.
        Crash: All of them; after a power cut that tears the write, the first ones whole and in order, or none.
        Concurrency: No other message comes between them.
        """
        drafts = [_Draft.of(message) for message in messages]
        return self._add(drafts, self._leaf_of) if drafts else []

    def fork(
        self,
        message_id: str,
        role: str,
        content: Json,
        *,
        item: Json | Absent = ABSENT,
        given_id: str | None = None,
        created_at: int | None = None,
        run_id: str | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> Message:
        """Add a message below any other and make it the leaf. See `append`.

        Raises:
            MessageNotFoundError: The thread has no message of that id.

        On disk: One line at the end of messages.jsonl, in one write.
        Crash: The message is there whole, or not at all.
        Concurrency: As `append`.
        """
        draft = _Draft(role, content, item, given_id, created_at, run_id, extra)
        self._warm()
        return self._add([draft], lambda writer: self._shown_of(writer, message_id))[0]

    def replace(self, message_id: str, role: str, content: Json, *, item: Json | Absent = ABSENT) -> Message:
        """Put a new message in the place of another: below the same parent, the other one is removed.

        Raises:
            MessageNotFoundError: The thread has no message of that id.

        On disk: One line that names the message it replaces; the old bytes go at the next compaction.
        Crash: Both, or neither.
        Concurrency: As `append`.
        """
        self._warm()
        draft = _Draft(role, content, item)

        def make(writer: Writer) -> Made:
            record_id, parent, shown = self.with_index(writer.fd, lambda fd, index: self._around(fd, index, message_id))
            body = draft.body({"replaces": record_id})
            id = writer.mint()
            draft.done(id, shown)
            _tip_of(writer).move(id)
            _tip_of(writer).plain = False
            return codec.message_line(id, parent, body), (id,)

        self._log.append(make)
        return draft.message()

    def checkout(self, message_id: str | None) -> None:
        """Make a message the current leaf: the next append goes below it. None begins a new root.

        Raises:
            MessageNotFoundError: The thread has no message of that id.
            ThreadNotFoundError: The thread does not exist.

        On disk: One line that moves the leaf.
        Crash: The leaf is moved, or not.
        Concurrency: The last move or append counts.
        """
        self._warm()

        def make(writer: Writer) -> Made:
            record_id, shown = (None, None) if message_id is None else self._shown_of(writer, message_id)
            id = writer.mint()
            _tip_of(writer).move(record_id, shown)
            return codec.encode_line({"id": id, "type": "leaf", "leaf_id": record_id}), (id,)

        self._log.append(make)

    def remove(self, message_id: str) -> bool:
        """Take a message out of every view; what stands below it moves up. Say whether it was there.

        On disk: One line that names it; its bytes go at the next compaction.
        Crash: It is gone, or not.
        Concurrency: Of two removals at once one says True.
        """
        self._warm()

        def make(writer: Writer) -> Made:
            found = self.with_index(writer.fd, lambda fd, index: self._record_id(fd, index, message_id))
            if found is None:
                return b"", ()
            id = writer.mint()
            tip = _tip_of(writer)
            tip.known, tip.plain = tip.known and tip.leaf != found, False
            return codec.encode_line({"id": id, "type": "removed", "message_id": found}), (id,)

        return bool(self._unless_missing(make))

    def clear(self) -> int:
        """Take all messages of all branches out of every view; give how many there were.

        What another machine wrote and this one has not seen yet survives a merge.

        On disk: One line that names the leaves; the bytes go at the next compaction.
        Crash: All are gone, or none.
        Concurrency: A message appended meanwhile is either counted and gone, or stays.
        """
        self._warm()
        counted = 0

        def make(writer: Writer) -> Made:
            nonlocal counted
            counted, leaves = self.with_index(writer.fd, _count_and_leaves)
            if not counted:
                return b"", ()
            id = writer.mint()
            tip = _tip_of(writer)
            tip.move(None)
            tip.plain = False
            return codec.encode_line({"id": id, "type": "clear", "leaf_ids": leaves}), (id,)

        return counted if self._unless_missing(make) else 0

    def _unless_missing(self, make: Callable[[Writer], Made]) -> tuple[str, ...]:
        try:
            return self._log.append(make)
        except ThreadNotFoundError:
            return ()

    def _add(self, drafts: list[_Draft], above: Callable[[Writer], tuple[str | None, str | None]]) -> list[Message]:
        bodies = [draft.body() for draft in drafts]  # refused values are refused before the lock is taken

        def make(writer: Writer) -> Made:
            parent, shown = above(writer)
            lines, ids = [], []
            for draft, body in zip(drafts, bodies, strict=True):
                id = writer.mint()
                lines.append(codec.message_line(id, parent, body))
                ids.append(id)
                draft.done(id, shown)
                parent, shown = id, draft.given_id or id
            _tip_of(writer).move(parent, shown)
            return lines[0] if len(lines) == 1 else b"".join(lines), tuple(ids)

        self._log.append(make)
        return [draft.message() for draft in drafts]

    def _leaf_of(self, writer: Writer) -> tuple[str | None, str | None]:
        tip = _tip_of(writer)
        if not tip.known:
            self.with_index(writer.fd, tip._learn)
        return tip.leaf, tip.shown

    def _shown_of(self, writer: Writer, message_id: str) -> tuple[str, str]:
        return self.with_index(writer.fd, lambda fd, index: self._ids(fd, index, message_id))

    def _ids(self, fd: int, index: Index, message_id: str) -> tuple[str, str]:
        record = index.record_at(fd, self._at(fd, index, message_id))
        return record["id"], record.get("given_id") or record["id"]

    def _record_id(self, fd: int, index: Index, message_id: str) -> str | None:
        at = index.find(fd, message_id)
        return None if at == tree.NONE else index.record_at(fd, at)["id"]

    def _around(self, fd: int, index: Index, message_id: str) -> tuple[str, str | None, str | None]:
        at = self._at(fd, index, message_id)
        parent = index.tree.parent(at)
        above = {} if parent == tree.NONE else index.record_at(fd, parent)
        return index.record_at(fd, at)["id"], above.get("id"), above.get("given_id") or above.get("id")

    def _at(self, fd: int, index: Index, message_id: str) -> int:
        at = index.find(fd, message_id)
        if at == tree.NONE:
            raise MessageNotFoundError(message_id)
        return at

    # Reading

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
        if limit is not None and leaf is None and self.path not in self._indexes:
            newest = self._newest(limit)
            if newest is not None:
                return newest
        return self._reading(lambda fd, index: self._branch(fd, index, limit, leaf)) or []

    def leaf(self) -> Message | None:
        """Give the current leaf, or None."""
        newest = self.branch(1)
        return newest[0] if newest else None

    def leaves(self) -> list[Message]:
        """Give the messages that have none below them, oldest first."""
        return self._reading(lambda fd, index: self._messages(fd, index, index.tree.leaves())) or []

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
        return self._reading(lambda fd, index: index.tree.count()) or 0

    def __iter__(self) -> Iterator[Message]:
        """Give every message in the order of the log, one at a time: memory does not hold their bodies."""
        last = ""
        while True:
            opened = self._open()
            if opened is None:
                return
            fd = opened
            try:
                start = self.with_index(fd, lambda fd, index: index.first_above(fd, last.encode()))
                index = self._indexes[self.path]
                for message in self._stream(fd, index, start):
                    yield message
                    last = message.record_id
                return
            except Provisional:
                self._build_exactly(fd)
            finally:
                fs.close(fd)

    def children(self) -> dict[str | None, list[str]]:
        """Give for each message that has any the ids below it, oldest first; under None the roots."""

        def collect(fd: int, index: Index) -> dict[str | None, list[str]]:
            shown = _Shown(fd, index)
            return {
                None if at == tree.NONE else shown[at]: [shown[child] for child in below]
                for at, below in index.tree.children().items()
            }

        return self._reading(collect) or {}

    def damage(self) -> list[Damage]:
        """Decode every line, and give what is no good record: each with its offset, its kind and a reason."""
        opened = self._open()
        if opened is None:
            return []
        try:
            return list(self._build_exactly(opened).damage)
        finally:
            fs.close(opened)

    def has_bytes(self, needle: bytes) -> bool:
        """Say whether the log's bytes hold some others: a sieve before an index is built."""
        opened = self._open()
        if opened is None:
            return False
        try:
            return fs.contains(opened, needle)
        finally:
            fs.close(opened)

    def _newest(self, limit: int) -> list[Message] | None:
        """Read the newest of the branch from the end of the file; None where only the index can tell."""
        opened = self._open()
        if opened is None:
            return []
        try:
            size = fs.fstat(opened).st_size
            mark = self.stamp(opened, size)
            if mark is None:
                return None
            tail = Tail(opened, size, mark, limit + 1)  # one more, for what the first one's parent shows
        except NeedIndex:
            return None
        finally:
            fs.close(opened)
        found, shown, messages = tail.found[::-1], None, []
        for record in found:
            given = record.get("given_id") or record["id"]
            messages.append(make_message(record, shown))
            shown = given
        return messages[len(messages) - min(limit, len(messages)) :]

    def _branch(self, fd: int, index: Index, limit: int | None, leaf: str | None) -> list[Message]:
        at = index.tree.current() if leaf is None else self._at(fd, index, leaf)
        path = index.tree.branch(at, limit)
        parent = index.tree.parent(path[0]) if path else tree.NONE
        shown = None if parent == tree.NONE else _Shown(fd, index)[parent]
        messages = []
        for raw in _bodies(fd, index, path):
            message = make_message(index.checked(raw), shown)
            messages.append(message)
            shown = message.id
        return messages

    def _messages(self, fd: int, index: Index, places: list[int]) -> list[Message]:
        shown = _Shown(fd, index)
        return [
            make_message(index.checked(raw), shown.parent(at))
            for at, raw in zip(places, _bodies(fd, index, places), strict=True)
        ]

    def _stream(self, fd: int, index: Index, start: int) -> Iterator[Message]:
        shown = _Shown(fd, index)
        places = (at for at in range(start, len(index)) if not index.tree.gone[at])
        for at, raw in _bodies_at(fd, index, places):
            record = index.checked(raw)
            shown.keep(at, record)
            yield make_message(record, shown.parent(at))

    # The file and its index

    def _open(self) -> int | None:
        try:
            return fs.open_read(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _reading(self, call: Callable[[int, Index], T]) -> T | None:
        opened = self._open()
        if opened is None:
            return None
        try:
            return self.with_index(opened, call)
        finally:
            fs.close(opened)

    def _warm(self) -> None:
        """Read the log before the lock is taken, so that little is left to read under it."""
        self._reading(lambda fd, index: None)

    def with_index(self, fd: int, call: Callable[[int, Index], T]) -> T:
        """Call with the index of the log open as `fd`, in step with it; again, and exactly, where a line deceived it."""
        index = self._indexes[self.path]
        with index.mutex:
            index.refresh(fd, fs.fstat(fd))
            for _ in range(3):
                try:
                    return call(fd, index)
                except Provisional:
                    index.build(fd, fs.fstat(fd), exact=True)
            raise CorruptError(self.path, "it is being changed in place by another program")

    def _build_exactly(self, fd: int) -> Index:
        index = self._indexes[self.path]
        with index.mutex:
            index.build(fd, fs.fstat(fd), exact=True)
        return index

    def stamp(self, fd: int, size: int) -> stamp.Stamp | None:
        """Give the log's stamp, where it is worth one and has one that fits."""
        return stamp.read(self._root, self._name, fd, size) if size >= stamp.SMALLEST else None

    def keep_stamp(self, mark: stamp.Stamp) -> None:
        """Keep the log's stamp."""
        stamp.write(self._root, self._name, mark)


def _tip_of(writer: Writer) -> Tip:
    tip: Tip = writer.fold  # type: ignore[assignment]  # the log made it by Messages._tip
    return tip


def _count_and_leaves(fd: int, index: Index) -> tuple[int, list[str]]:
    return index.tree.count(), [index.id_at(fd, at).decode() for at in index.tree.leaves()]


class _Draft:
    """A message that has no id yet."""

    __slots__ = ("_fields", "_placed", "given_id")

    def __init__(
        self,
        role: str,
        content: Json,
        item: Json | Absent = ABSENT,
        given_id: str | None = None,
        created_at: int | None = None,
        run_id: str | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        self.given_id = given_id
        self._fields = (role, content, item, clock.now() if created_at is None else int(created_at), run_id, extra)
        self._placed: tuple[str, str | None] = ("", None)

    @classmethod
    def of(cls, fields: Mapping[str, Json]) -> _Draft:
        """Make it of a mapping."""
        rest = dict(fields)
        missing = [name for name in ("role", "content") if name not in rest]
        if missing:
            raise ValueError(f"a message needs {' and '.join(missing)}: {str(fields)[:80]}")
        named = {
            name: rest.pop(name) for name in ("role", "content", "item", "given_id", "created_at", "run_id") if name in rest
        }
        return cls(**named, extra=rest)

    def body(self, first: Mapping[str, Json] | None = None) -> bytes:
        """Encode all but the id and the parent; refuse what cannot be stored."""
        role, content, item, created_at, run_id, extra = self._fields
        if not isinstance(role, str):
            raise ValueError(f"role must be a string, not {type(role).__name__}")
        record: Object = {}
        if self.given_id is not None:
            if not isinstance(self.given_id, str) or not self.given_id:
                raise ValueError(f"given_id must be a string of at least one character, not {self.given_id!r}")
            record["given_id"] = self.given_id
        if first:
            record.update(first)
        record["role"] = str(role)
        codec.check_json(content, "content")
        record["content"] = content
        if item is not ABSENT:
            codec.check_json(item, "item")
            record["item"] = item
        record["created_at"] = created_at
        if run_id is not None:
            record["run_id"] = run_id
        if extra:
            record.update(_extra_keys(extra))
        return codec.encode_line(record)

    def done(self, id: str, parent_id: str | None) -> None:
        """Note the id it got, and what its parent shows."""
        self._placed = (id, parent_id)

    def message(self) -> Message:
        """Give the message as stored."""
        role, content, item, created_at, run_id, extra = self._fields
        id, parent_id = self._placed
        return new_message(self.given_id or id, id, parent_id, role, content, item, created_at, run_id, dict(extra or {}))


def _extra_keys(extra: Mapping[str, Json]) -> Object:
    clash = FIELD_KEYS.intersection(extra)
    if clash:
        raise ValueError(f"extra holds {', '.join(sorted(clash))}: give it as an argument of that name")
    codec.check_json(dict(extra), "extra")
    hidden = {name: value for name, value in extra.items() if name in OWN_KEYS}
    keys = {name: value for name, value in extra.items() if name not in OWN_KEYS}
    return {**keys, "extra": hidden} if hidden else keys


class _Shown:
    """What messages answer to, by position, remembering the last ones asked for."""

    def __init__(self, fd: int, index: Index) -> None:
        self._fd = fd
        self._index = index
        self._known: dict[int, str] = {}

    def __getitem__(self, at: int) -> str:
        known = self._known.get(at)
        if known is None:
            index = self._index
            if index.given:
                known = self.keep(at, index.record_at(self._fd, at))
            else:
                known = index.id_at(self._fd, at).decode()
        return known

    def keep(self, at: int, record: Object) -> str:
        """Remember a record that was decoded anyway."""
        if len(self._known) > 4096:
            self._known.clear()
        shown: str = record.get("given_id") or record["id"]
        self._known[at] = shown
        return shown

    def parent(self, at: int) -> str | None:
        """Give what the parent of a message answers to."""
        parent = self._index.tree.parent(at)
        return None if parent == tree.NONE else self[parent]


def _bodies(fd: int, index: Index, places: Iterable[int]) -> Iterator[bytes]:
    return (raw for _, raw in _bodies_at(fd, index, places))


def _bodies_at(fd: int, index: Index, places: Iterable[int]) -> Iterator[tuple[int, bytes]]:
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
