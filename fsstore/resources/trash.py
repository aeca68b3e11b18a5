"""The trash: what was deleted, and the way back."""

from __future__ import annotations

from functools import partial

from fsstore import clock, layout
from fsstore.disk import fs, trees
from fsstore.errors import NotFoundError
from fsstore.resources.limits import checked_limit, first
from fsstore.resources.returning import Returns
from fsstore.resources.trashed import read_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from fsstore.disk.lock import Together
    from fsstore.disk.root import Root
    from fsstore.resources.session_index import SessionIndex
    from fsstore.resources.threads import Threads
    from fsstore.resources.trashed import Trashed
    from fsstore.resources.workflows import Workflows


class Trash:
    """What was deleted in this store and not brought back. Nothing empties it by itself. Iterating gives the newest first."""

    def __init__(self, root: Root, index: SessionIndex, threads: Threads, workflows: Workflows) -> None:
        self._root = root
        self._index = index
        self._returns = Returns(root, index, threads, workflows)

    def __iter__(self) -> Iterator[Trashed]:
        for id in reversed(fs.names(f"{self._root.path}/{layout.TRASH}")):
            entry = read_entry(self._root, id)
            if entry is not None:
                yield entry

    def recent(self, limit: int | None = None) -> list[Trashed]:
        """Give what was deleted, the last deletion first.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        return first(checked_limit(limit), self)

    def get(self, id: str) -> Trashed | None:
        """Give what a deletion left in the trash, or None where there is nothing (any more)."""
        return read_entry(self._root, id)

    def old(self, older_than: float | None) -> list[Trashed]:
        """Give what was deleted at least so many seconds ago, the last deletion first; None for everything.

        Raises:
            ValueError: A negative time.
        """
        if older_than is not None and not older_than >= 0:
            raise ValueError(f"older_than must be 0 or more seconds, or None for everything, not {older_than}")
        latest = None if older_than is None else clock.now() - older_than
        return [entry for entry in self if latest is None or entry.deleted_at <= latest]

    def restore(self, id: str) -> Trashed:
        """Bring back what was deleted, to its place; give what it was.

        Args:
            id: The id of the deletion.

        Raises:
            NotFoundError: The trash holds nothing of that deletion; or the thread or workflow run of which it was a part is
                not there.
            AlreadyExistsError: Something of the same id was begun since; nothing was changed.
            CorruptError: What is in the trash, or in the place, cannot be read; it stays as it is.

        On disk: A thread: its directory is renamed back, then a line in the session index takes the deletion back. A workflow
            run: the directories of its parts are renamed back, then run.json becomes a new version. Any other document: a
            new version of it; then its copy in the trash goes.
        Crash: It is deleted, or it is back. A thread that was just coming back is put back into the trash by the next `open`,
            unless somebody wrote to it since. Done again, it is finished.
        Concurrency: Of two at once one raises `NotFoundError`.
        """
        self._root.check_writable()
        entry = self.get(id)
        if entry is None:
            return self._returns.finish(id)
        with self._locked(entry):
            if self.get(id) != entry:
                raise NotFoundError(id, "deletion")  # somebody was faster
            self._returns.restore(entry)
        return entry

    def empty(self, older_than: float | None = None, *, only: Container[str] | None = None) -> list[Trashed]:
        """Delete for good what is in the trash; give what that was.

        Args:
            older_than: Only what was deleted at least so many seconds ago; None for everything.
            only: Of that only these deletions.

        Raises:
            ValueError: A negative time.
            LockTimeoutError: A writer held what an entry was part of for `lock_timeout` seconds; the entries before are gone.

        On disk: Each entry is renamed into `.fsstore/tmp`, both directories are synced, then it is deleted there.
        Crash: Some entries are gone, the others whole; the next `open` on this machine deletes what was left half deleted.
        Concurrency: Safe beside deletions and restorations: an entry is brought back whole, or gone.
        """
        self._root.check_writable()
        taken: dict[str, Trashed] = {}
        try:
            for entry in self.old(older_than):
                if only is None or entry.id in only:
                    with self._locked(entry):
                        if self.get(entry.id) == entry:
                            taken[self._take_out(entry.id)] = entry
        finally:
            self._delete(list(taken))
        return list(taken.values())

    def _locked(self, entry: Trashed) -> Together:
        locks = {layout.lock_of(entry.path)} if entry.kind != "other" else set()
        if entry.kind == "thread":
            locks.add(self._index.lock)
        return self._root.locks.together(locks)

    def _take_out(self, id: str) -> str:
        temp, place = self._root.temp(id), f"{self._root.path}/{layout.TRASH}/{id}"
        self._root.check_no_link(place)
        self._root.with_own_directories(temp, partial(fs.rename, place))
        return temp

    def _delete(self, taken: list[str]) -> None:
        if taken:  # before: what stays in the trash is whole
            fs.sync_directory(f"{self._root.path}/{layout.TMP}")
            fs.sync_directory(f"{self._root.path}/{layout.TRASH}")
        for path in taken:
            trees.remove_tree(path)
