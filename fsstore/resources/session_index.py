"""The session index: names of threads, and the memory of those that were deleted."""

from __future__ import annotations

from fsstore import clock, codec, layout
from fsstore.disk import fs
from fsstore.disk.folding import Unfit, View, ViewFold
from fsstore.disk.log import Log
from fsstore.errors import FormatError
from fsstore.resources.lines import HEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from fsstore.codec import Object
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer

    #: A thread's id, its name, the time of it, its rollout path.
    Named: TypeAlias = tuple[str, str | None, int, str | None]

#: A quote inside a JSON string is escaped, so that a key of this name shows itself.
_TYPE = b'"type"'
_TEXT = (str, type(None))
_NAME_KEYS = ("thread_id", "thread_name", "updated_at", "rollout_path")


class IndexView(View):
    """What the index says.

    Attributes:
        deletions: The records of deletion by thread id, oldest first.
        names: The record that names a thread last, by thread id: the newest by `updated_at`, of one time the greater id.
        spoken: The ids of the threads that ever had a name, by the name case-folded.
    """

    deletions: dict[str, list[Object]]
    names: dict[str, Object]
    spoken: dict[str, set[str]]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.deletions = {}
        self.names = {}
        self.spoken = {}

    def take(self, record: Object) -> None:
        """Keep a name or a deletion."""
        kind, thread_id = record.get("type"), record.get("thread_id")
        if kind not in (None, "deleted"):
            raise Unfit("unknown-type", f"a record of unknown type {str(kind)[:60]!r}")
        if not isinstance(thread_id, str):
            raise Unfit("bad-record", "it names no thread")
        if kind == "deleted":
            self.deletions.setdefault(thread_id, []).append(record)
            return
        name, time, path = record.get("thread_name"), record.get("updated_at"), record.get("rollout_path")
        if not (isinstance(name, _TEXT) and type(time) is int and isinstance(path, _TEXT)):
            raise Unfit("bad-record", "its name, time or path is none")
        known = self.names.get(thread_id)
        if known is None or time >= known["updated_at"]:
            self.names[thread_id] = record
        if name is not None:
            self.spoken.setdefault(name.casefold(), set()).add(thread_id)


class DeletionView(IndexView):
    """What the index says of deletions, without the names: their lines are not decoded."""

    def skips(self, raw: bytes) -> bool:
        """Pass over a record without a type, which is a name."""
        id = raw[7:43].decode("latin-1")
        whole = raw[:7] == HEAD and raw[-2:] == b"}\n" and not codec.may_be_glued(raw)
        if not whole or raw.find(_TYPE) >= 0 or id <= self.greatest or not clock.is_id(id):
            return False
        self.greatest = id
        return True


class SessionIndex:
    """The log `session_index.jsonl`.

    A thread that is here has its name in its own `meta.json`; the index is truth only for deletions, and for names of
    threads that are not here.

    Attributes:
        named: Gives what `note` takes of each thread that is here and has a name.
    """

    def __init__(self, root: Root) -> None:
        self.named: Callable[[], Iterable[Named]] = tuple
        self.path = f"{root.path}/{layout.INDEX}"
        self.lock = layout.store_lock(layout.INDEX)
        self._root = root
        self.forget()
        self._log = Log(
            root, self.path, self.lock, f"{root.path}/{layout.FORMAT_FILE}", self._missing, lambda: ViewFold(self._deletions)
        )

    def forget(self) -> None:
        """Start anew; in a forked child, whose parent's threads may have held the views' mutexes."""
        self._view = IndexView(self.path)
        self._deletions = DeletionView(self.path)

    def _missing(self) -> FormatError:
        return FormatError(self.path, "the store is gone")

    def note(self, thread_id: str, name: str | None, updated_at: int, rollout_path: str | None) -> None:
        """Note a thread's name; the caller holds the lock of the index.

        Synced at either durability, since a meta.json follows: a name that only that one had would not be found beside others
        like it.
        """
        self._begin()
        fields = dict(zip(_NAME_KEYS, (thread_id, name, updated_at, rollout_path), strict=True))
        writer, _, ids = self._log.append_locked(lambda writer: _line(writer, fields))
        self._log.sync_locked(writer, ids, always=True)

    def rebuild(self) -> None:
        """Note again what threads are called, where the index was lost.

        On disk: One line a name, in a file that is renamed into its place.
        Crash: No index, or the whole one.
        Concurrency: Of two processes one does it.
        """
        if not fs.is_file(self.path) and any(True for _ in self.named()):
            with self._root.locks[self.lock]:
                self._begin()

    def _begin(self) -> None:
        """Begin an index that is not there with all names that there are: look-ups take it for whole."""
        rows = [] if fs.is_file(self.path) else [dict(zip(_NAME_KEYS, row, strict=True)) for row in self.named()]
        if rows:
            _, ids = clock.next_ids(0, clock.random_suffix(), len(rows))
            lines = codec.encode_lines([{"id": id, **row} for id, row in zip(ids, rows, strict=True)])
            self._root.replace(self.path, lines, sync_directory=True)

    def note_deletion(self, thread_id: str, seen: Object, prepare: Callable[[str], object]) -> str:
        """Note that a thread is deleted, with all that was seen of it; give the id of the record.

        The caller holds the lock of the index. `prepare` is given the id before anything is noted, and may refuse.
        Synced at either durability, since what follows moves data away.
        """
        self._begin()
        fields = {"type": "deleted", "thread_id": thread_id, **seen}

        def make(writer: Writer) -> Made:
            made = _line(writer, fields)
            prepare(made[1][0])
            return made

        writer, _, ids = self._log.append_locked(make)
        self._log.sync_locked(writer, ids, always=True)
        return ids[0]

    def confirm(self) -> None:
        """Sync the index: a deletion that a dead process noted may not have reached the medium yet.

        The caller holds the lock of the index.
        """
        self._log.sync_locked(self._log.writer(), (), always=True)

    def deletions(self) -> dict[str, list[Object]]:
        """Give the records of deletion by thread id, oldest first; only what is new in the index is read."""
        view = self._deletions
        with view.mutex:
            view.refresh()
            return dict(view.deletions)

    def deletions_of(self, thread_id: str) -> list[Object]:
        """Give the records of a thread's deletions, oldest first."""
        view = self._deletions
        with view.mutex:
            view.refresh()
            return list(view.deletions.get(thread_id, ()))

    def last_name(self, thread_id: str) -> Object | None:
        """Give the record that names a thread last, None where none does or the thread was deleted."""
        view = self._view
        with view.mutex:
            view.refresh()
            return None if thread_id in view.deletions else view.names.get(thread_id)

    def called(self, name: str) -> tuple[set[str], bool]:
        """Give the threads that were ever called a name, whatever its case, and whether the index is whole."""
        view = self._view
        with view.mutex:
            view.refresh()
            return set(view.spoken.get(name.casefold(), ())), bool(view.end) and not view.damage


def _line(writer: Writer, fields: Object) -> Made:
    id = writer.mint()
    return codec.encode_line({"id": id, **fields}), (id,)
