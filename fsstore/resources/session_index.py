"""The session index: names of threads, and the memory of those that were deleted."""

from __future__ import annotations

from fsstore import clock, codec, layout
from fsstore.disk import fs
from fsstore.disk.folding import ViewFold
from fsstore.disk.log import Log
from fsstore.errors import FormatError
from fsstore.resources.index_view import DeletionView, IndexView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from fsstore.codec import Object
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer
    from fsstore.resources.index_view import Noted

    #: A thread's id, its name, the time of it, its rollout path.
    Named: TypeAlias = tuple[str, str | None, int, str | None]

_NAME_KEYS = ("thread_id", "thread_name", "updated_at", "rollout_path")


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
            root, self.path, self.lock, f"{root.path}/{layout.FORMAT_FILE}", self._missing, lambda: ViewFold(self._view)
        )

    def forget(self) -> None:
        """Start anew; in a forked child, whose parent's threads may have held the view's mutex."""
        self._view: IndexView = DeletionView(self.path)

    def _whole_view(self) -> IndexView:
        """Give the view of names, too, which takes the place of the other one when it is first asked for."""
        if isinstance(self._view, DeletionView):
            self._view = IndexView(self.path)
        return self._view

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

    def note_restoration(self, thread_id: str, deletion_ids: list[str]) -> None:
        """Note that deletions of a thread are taken back, and count nowhere any more.

        The caller holds the lock of the index. Synced at either durability: what is back must not be deleted again.
        """
        fields = {"type": "restored", "thread_id": thread_id, "deletion_ids": deletion_ids}
        writer, _, ids = self._log.append_locked(lambda writer: _line(writer, fields))
        self._log.sync_locked(writer, ids, always=True)

    def confirm(self) -> None:
        """Sync the index: a deletion that a dead process noted may not have reached the medium yet.

        The caller holds the lock of the index.
        """
        self._log.sync_locked(self._log.writer(), (), always=True)

    def deletions(self) -> dict[str, list[str]]:
        """Give the ids of the deletions that count, by thread id, oldest first; only what is new in the index is read."""
        view = self._view
        with view.mutex:
            view.refresh()
            return {thread_id: view.ids(known) for thread_id, known in view.deletions.items()}

    def deletions_of(self, thread_id: str) -> list[Object]:
        """Give the records of a thread's deletions that count, oldest first."""
        view = self._view
        with view.mutex:
            return view.rows(thread_id)

    def last_name(self, thread_id: str) -> Noted | None:
        """Give what names a thread last, None where nothing does or the thread was deleted."""
        view = self._whole_view()
        with view.mutex:
            view.refresh()
            return None if thread_id in view.deletions else view.names.get(thread_id)

    def called(self, name: str) -> tuple[set[str], bool]:
        """Give the threads that were ever called a name, whatever its case, and whether the index is whole."""
        view = self._whole_view()
        with view.mutex:
            view.refresh()
            return set(view.spoken.get(name.casefold(), ())), bool(view.end) and not view.damage


def _line(writer: Writer, fields: Object) -> Made:
    id = writer.mint()
    return codec.encode_line({"id": id, **fields}), (id,)
