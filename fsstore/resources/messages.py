"""A thread's messages: a tree in an append-only log."""

from __future__ import annotations

from fsstore import clock, codec, tree
from fsstore.codec import ABSENT
from fsstore.disk.log import Log
from fsstore.errors import ThreadNotFoundError
from fsstore.records.messages import Draft, draft_from, draft_of, new_draft
from fsstore.resources.branches import TreeReader
from fsstore.resources.compaction import Compacted, Compaction, Folded
from fsstore.resources.redacting import Redactor
from fsstore.resources.tip import TRAIL, Tip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from fsstore.codec import Absent, Json, Object
    from fsstore.disk.log import Made
    from fsstore.disk.writer import Writer
    from fsstore.records.messages import Message
    from fsstore.resources.index import Index
    from fsstore.resources.indexes import Indexes
    from fsstore.resources.place import Place
    from fsstore.resources.tip import Spot

    #: What a message goes below: its record id, and what it answers to.
    Above: TypeAlias = tuple[str | None, str | None]


class Messages(TreeReader):
    """The messages of one thread.

    Every method that takes a message id takes the id that the message shows, or its record id. `len` counts the messages
    that are there; iterating gives them in the order of the log.
    """

    __slots__ = ("_log",)

    def __init__(self, place: Place, indexes: Indexes) -> None:
        super().__init__(place, indexes)
        self._log = Log(place.root, self.path, place.stripe, place.meta, place.missing, self._tip)

    def _tip(self) -> Tip:
        return Tip(self)

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
        draft = new_draft(role, content, item, given_id, created_at, run_id, extra)

        def make(writer: Writer) -> Made:
            tip: Tip = writer.fold  # type: ignore[assignment]  # the log made it by self._tip
            if not tip.known:
                self.with_index(writer.fd, tip.learn)
            draft.parent_id = tip.shown
            draft.record_id = id = writer.mint()
            line = codec.encode_line(draft.record(id, tip.leaf))
            tip.grew(id, draft.id or id, role)
            return line, (id,)

        self._log.append(make)
        return draft.done()

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
        Crash: All of them, or none; where the write itself was torn, the first ones, each whole. (A power cut before the
            sync may also lose pages in the middle of it, see FORMAT.md.)
        Concurrency: No other message comes between them.
        """
        drafts = [draft_of(message) for message in messages]
        return self._add(drafts) if drafts else []

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
        draft = new_draft(role, content, item, given_id, created_at, run_id, extra)
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
        draft = new_draft(role, content, item)

        def make(writer: Writer) -> Made:
            replaced, parent, shown = self.with_index(writer.fd, lambda fd, index: self._around(fd, index, message_id))
            id = writer.mint()
            draft.record_id, draft.parent_id = id, shown
            _tip_of(writer).moved(id, plain=False)
            return codec.encode_line(draft.record(id, parent, replaces=replaced)), (id,)

        self._log.append(make)
        return draft.done()

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
            _tip_of(writer).moved(record_id, shown)
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
            _tip_of(writer).removed(found)
            return codec.encode_line({"id": id, "type": "removed", "message_id": found}), (id,)

        return bool(self._unless_missing(make))

    def remove_last(self, role: str | None = None) -> bool:
        """Take the current leaf out of every view; say whether there was one.

        Args:
            role: Only where it is of this role.

        On disk: One line that names it; its bytes go at the next compaction.
        Crash: It is gone, or not.
        Concurrency: What another process appends meanwhile is not taken for it: each call removes the leaf that it found.
        """

        def make(writer: Writer) -> Made:
            leaf, _ = self._last_two(writer)
            if leaf is None or role not in (None, leaf[2]):
                return b"", ()
            id = writer.mint()
            _tip_of(writer).shrank()
            return codec.encode_line({"id": id, "type": "removed", "message_id": leaf[0]}), (id,)

        return self._unless_missing(make)

    def replace_last(self, role: str, content: Json, *, extra: Mapping[str, Json] | None = None) -> bool:
        """Put a new message in the place of the current leaf; say whether there was one.

        On disk: One line that names the message it replaces; the old bytes go at the next compaction.
        Crash: Both, or neither.
        Concurrency: As `remove_last`.
        """
        draft = new_draft(role, content, extra=extra)

        def make(writer: Writer) -> Made:
            leaf, parent = self._last_two(writer)
            if leaf is None:
                return b"", ()
            id = writer.mint()
            tip = _tip_of(writer)
            tip.shrank()
            tip.grew(id, id, draft.role)
            return codec.encode_line(draft.record(id, parent[0] if parent else None, replaces=leaf[0])), (id,)

        return self._unless_missing(make)

    def answer(self, role_before: str, role: str, content: Json, *, only_if: Callable[[], bool] = lambda: True) -> bool:
        """Add a message below the current leaf where that is of a role; say whether it was.

        Args:
            role_before: The role that the leaf must have.
            role: As `append`.
            content: As `append`.
            only_if: Asked under the lock; where it says no, nothing is done.

        On disk: One line at the end of messages.jsonl, in one write.
        Crash: The message is there whole, or not at all.
        Concurrency: Of two answers to one message at once one says True.
        """
        draft = new_draft(role, content)

        def make(writer: Writer) -> Made:
            leaf, _ = self._last_two(writer)
            if leaf is None or leaf[2] != role_before or not only_if():
                return b"", ()
            id = writer.mint()
            _tip_of(writer).grew(id, id, draft.role)
            return codec.encode_line(draft.record(id, leaf[0])), (id,)

        return self._unless_missing(make)

    def clear(self) -> int:
        """Take all messages of all branches out of every view; give how many there were.

        What another machine wrote and this one has not seen yet survives a merge.

        On disk: One line that names the leaves; the bytes go at the next compaction.
        Crash: All are gone, or none.
        Concurrency: A message appended meanwhile is either counted and gone, or stays.
        """
        self._warm(exact=True)
        counted = 0

        def make(writer: Writer) -> Made:
            nonlocal counted
            counted, leaves = self.with_index(writer.fd, _count_and_leaves, exact=True)
            if not counted:
                return b"", ()
            id = writer.mint()
            _tip_of(writer).moved(None, plain=False)
            return codec.encode_line({"id": id, "type": "clear", "leaf_ids": leaves}), (id,)

        return counted if self._unless_missing(make) else 0

    def compact(self) -> Compacted:
        """Rewrite the log without what nobody sees: removed, cleared and redacted texts, records that stand twice, damage.

        It takes bytes out, not identities: every removal and redaction stays, and so does a stub of each message that is
        gone, so that no merge brings back what it said. A thread that is not there has nothing to compact.

        On disk: What is no record goes to `.fsstore/quarantine`, synced; then messages.jsonl is replaced whole.
        Crash: The old log or the new one.
        Concurrency: Other writers wait only while what they appended meanwhile is copied.
        """
        done = Compacted()
        id = clock.new_id()

        def change(data: bytes) -> bytes | None:
            nonlocal done
            left = Compaction(data, self._reading(Folded.of, exact=True) or Folded())
            if left.pieces:
                self._place.root.quarantine(self.path, id, left.pieces)
            done = Compacted(
                messages=left.messages,
                redacted=left.redacted,
                duplicates=left.duplicates,
                damaged=len(left.pieces),
                freed=len(data) - len(left.data),
            )
            return None if left.data == data else left.data

        if not self._log.rewrite(change):
            return Compacted()  # the thread was moved away meanwhile, its log as it was
        self.forget_stamp()
        return done

    def redact(self, message_id: str, *values: str, replacement: str = "[redacted]") -> int:
        """Replace some texts wherever they stand in a message: in its content, its item and its other keys, at any depth.

        Keys of objects count as text as well; the role, the run and the ids stay. The message keeps its id and its place, and
        every view shows the new text. The old bytes stay in the log until `compact`, and in every copy made before: in the
        history of git, on other machines, in backups. Other files are not looked at: what a thread is called, its preview, its
        checkpoints. A key that was leaked must be revoked all the same.

        Args:
            message_id: The message.
            values: The texts, each of at least one character.
            replacement: What stands in their place.

        Returns:
            How many places changed; 0 where none of the texts is in the message, and nothing was written.

        Raises:
            ValueError: No text, an empty one, or a replacement after which one of them would still be there, or two keys of
                an object would be one. What is raised never shows the texts.
            MessageNotFoundError: The thread has no message of that id.
            ThreadNotFoundError: The thread does not exist.

        On disk: One line that says what the message is from now on.
        Crash: All places are redacted, or none.
        Concurrency: One redaction after the other, each of what the one before left. Of two that were made on two machines
            before a merge, only the later one counts.
        """
        redactor = Redactor(values, replacement)
        self._warm()

        def make(writer: Writer) -> Made:
            draft = draft_from(self.with_index(writer.fd, lambda fd, index: self._record(fd, index, message_id)))
            if not redactor.redact(draft):
                return b"", ()
            id = writer.mint()
            _tip_of(writer).plain = False
            return codec.encode_line(draft.redaction(id)), (id,)

        return redactor.count if self._log.append(make) else 0

    def import_records(self, records: Iterable[Mapping[str, Json]], *, leaf_id: str | Absent | None = ABSENT) -> list[str]:
        """Add messages of another system under ids derived from it, so that doing it twice adds nothing twice.

        Args:
            records: Messages, parents before children, each with its derived `id`, the derived id of its parent as
                `parent_id` (or None), `role`, `content`, and any other key that `extend` takes.
            leaf_id: The derived id of the message that is to be the current leaf; None for no leaf. Absent is the last one.

        Returns:
            The record ids that were added. Into a log without any record these are the derived ids; into any other log
            only what it does not know is added, and under fresh ids unless the derived ones come after all that is there;
            then the derived id is the `given_id` where there is none.

        Raises:
            ThreadNotFoundError: The thread does not exist.

        On disk: One line each, all in one write and one sync.
        Crash: As `extend`.
        Concurrency: As `extend`.
        """
        drafts = [(record["id"], record["parent_id"], draft_of(_without_links(record))) for record in records]
        if not drafts:
            return []
        self._warm()
        wanted = drafts[-1][0] if leaf_id is ABSENT else leaf_id
        return list(self._log.append(lambda writer: self._import(writer, drafts, wanted)))

    def _import(self, writer: Writer, drafts: list[tuple[str, str | None, Draft]], leaf_id: str | None) -> Made:
        tip = _tip_of(writer)
        names = [(derived, draft.id) for derived, _, draft in drafts]
        ids = self.with_index(writer.fd, lambda fd, index: _known_records(fd, index, names))
        # Behind nothing but an earlier or torn import of the same source, too, they ascend.
        anew = all(derived > tip.greatest for derived, _, _ in drafts if derived not in ids)
        lines, added = [], []
        for derived, parent, draft in drafts:
            if derived in ids:
                continue
            ids[derived] = id = derived if anew else writer.mint()
            draft.id = draft.id or ("" if anew else derived)
            lines.append(codec.encode_line(draft.record(id, ids[parent] if parent else None)))
            added.append(id)
        if not lines:
            return b"", ()
        last = added[-1]
        leaf = None if leaf_id is None else ids[leaf_id]
        if leaf != last:
            last = clock.id_after(last)
            lines.append(codec.encode_line({"id": last, "type": "leaf", "leaf_id": leaf}))
        tip.know(last)
        tip.lose_leaf()
        return b"".join(lines), tuple(added)

    def _unless_missing(self, make: Callable[[Writer], Made]) -> bool:
        try:
            return bool(self._log.append(make))
        except ThreadNotFoundError:
            return False

    def _add(self, drafts: list[Draft], above: Callable[[Writer], Above] | None = None) -> list[Message]:
        """Append messages, each below the one before, the first one below the current leaf or what `above` gives."""
        flat = all(type(draft.content) is str and draft.item is ABSENT and not draft.extra for draft in drafts)

        def make(writer: Writer) -> Made:
            tip: Tip = writer.fold  # type: ignore[assignment]  # the log made it by self._tip
            if above is None and not tip.known:
                self.with_index(writer.fd, tip.learn)
            parent, shown = (tip.leaf, tip.shown) if above is None else above(writer)
            records = []
            ids = writer.mint_many(len(drafts))
            for draft, id in zip(drafts, ids, strict=True):
                records.append(draft.record(id, parent))
                draft.record_id, draft.parent_id = id, shown
                parent, shown = id, draft.id or id
            tip.moved(parent, shown)
            return codec.encode_lines(records, flat=flat), tuple(ids)

        self._log.append(make)
        for draft in drafts:
            draft.done()
        return drafts  # type: ignore[return-value]  # they are messages now

    def _last_two(self, writer: Writer) -> tuple[Spot | None, Spot | None]:
        """Give the current leaf and the message above it; what is not known of them is read from the log's end or its index."""
        tip = _tip_of(writer)
        if len(tip.trail) < 2:
            found = None if self.path in self._indexes else self.newest_of(writer.fd, TRAIL)
            if found is None:
                found = self.with_index(writer.fd, lambda fd, index: self.branch_of(fd, index, TRAIL))
            tip.trail = [(one.record_id, one.id, one.role) for one in found]
            if len(found) < TRAIL:
                tip.trail.insert(0, None)
        return tip.trail[-1], tip.trail[-2] if len(tip.trail) > 1 else None

    def _shown_of(self, writer: Writer, message_id: str) -> Above:
        return self.with_index(writer.fd, lambda fd, index: self._ids(fd, index, message_id))


def _tip_of(writer: Writer) -> Tip:
    tip: Tip = writer.fold  # type: ignore[assignment]  # the log made it by Messages._tip
    return tip


def _without_links(record: Mapping[str, Json]) -> Object:
    return {name: value for name, value in record.items() if name not in ("id", "parent_id")}


def _known_records(fd: int, index: Index, names: list[tuple[str, str]]) -> dict[str, str]:
    """Give the record ids of those messages that the log knows, removed ones too, by their derived id."""
    known = {}
    for derived, given in names:
        at = index.find_record(fd, derived)
        if at == tree.NONE:
            at = index.given.get(given or derived, tree.NONE)
        if at != tree.NONE:
            known[derived] = index.id_at(fd, at).decode()
    return known


def _count_and_leaves(fd: int, index: Index) -> tuple[int, list[str]]:
    return index.tree.count(), [index.id_at(fd, at).decode() for at in index.tree.leaves()]
