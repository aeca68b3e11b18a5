"""Bringing back what was deleted: how each kind of thing gets from the trash to its place."""

from __future__ import annotations

import os.path
from contextlib import suppress

from fsstore import clock, layout
from fsstore.disk import document, fs
from fsstore.errors import AlreadyExistsError, CorruptError, NotFoundError, ThreadNotFoundError
from fsstore.resources.deletions import Deletions
from fsstore.resources.trashed import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.disk.root import Root
    from fsstore.resources.session_index import SessionIndex
    from fsstore.resources.thread import ThreadHandle
    from fsstore.resources.threads import Threads
    from fsstore.resources.trashed import Trashed
    from fsstore.resources.workflows import Workflows

_WAY_OUT = "delete it, or give it another id, and restore again"


class Returns:
    """Restorations. Whoever calls `restore` holds the locks that the deletion took."""

    def __init__(self, root: Root, index: SessionIndex, threads: Threads, workflows: Workflows) -> None:
        self._root = root
        self._index = index
        self._threads = threads
        self._workflows = workflows
        self._deletions = Deletions(root, index)

    def restore(self, entry: Trashed) -> None:
        """Bring an entry of the trash back; see `Trash.restore`."""
        for path in (f"{self._root.path}/{entry.path}", self._place(entry)):
            self._root.check_no_link(path)
        if entry.kind == "other":
            raise CorruptError(self._place(entry), "nothing that the store deleted")
        if entry.item_id is None:
            raise CorruptError(self._place(entry), "nothing says which id it has")
        if entry.kind == "thread":
            self._restore_thread(entry, entry.item_id)
        elif entry.kind == "workflow run":
            self._restore_run(entry, entry.item_id)
        else:
            self._check_owner(entry)
            self._restore_document(f"{self._root.path}/{entry.path}", self._place(entry), entry.kind, entry.item_id)

    def finish(self, deletion: str) -> Trashed:
        """Take back the deletion of a thread that stands in its place all the same; see `Trash.restore`.

        On disk: A line in the session index, synced.
        Crash: The deletion counts, or not.
        Concurrency: As a deletion.
        """
        for id, deletions in self._index.deletions().items():
            if deletion in deletions and id in self._threads:
                for row in self._index.deletions_of(id):
                    if row["id"] == deletion:
                        return self._take_back(self._threads.handle(id), row)
        raise NotFoundError(deletion, "deletion")

    def _take_back(self, thread: ThreadHandle, deletion: Object) -> Trashed:
        id = deletion["id"]
        with self._root.locks.together((thread.place.stripe, self._index.lock)):
            fields = document.read(thread.place.meta)
            back = describe(thread.directory, f"{layout.THREADS}/{thread.place.name}", id) if fields else None
            saw = deletion.get("versions", {}).get(layout.META, "")
            counts = id in self._index.deletions().get(thread.id, ())  # somebody may have been faster
            if not counts or back is None or fields is None or document.created(fields) > saw:  # begun again since
                raise NotFoundError(id, "deletion")
            self._deletions.take_back(thread.id, id)
        return back

    def _restore_thread(self, entry: Trashed, id: str) -> None:
        thread, place = self._threads.handle(id), self._place(entry)
        if not fs.is_file(f"{place}/{layout.META}"):
            raise CorruptError(place, f"no {layout.META}: it is no whole thread")
        if thread.place.is_there():
            raise AlreadyExistsError("thread", id, _WAY_OUT)
        if fs.names(thread.directory):
            self._root.move_to_trash(thread.directory, clock.new_id())  # what a creation left that was cut short
        self._deletions.restore(thread, entry.id, self._fields(f"{place}/{layout.META}"))

    def _restore_run(self, entry: Trashed, id: str) -> None:
        run, place = f"{self._root.path}/{entry.path}", self._place(entry)
        self._copy(f"{place}/{layout.RUN}")
        if not document.is_there(f"{run}/{layout.RUN}") or fs.names(place) != [layout.RUN]:
            self._restore_parts(run, place, id, entry.id)
        self._restore_document(f"{run}/{layout.RUN}", f"{place}/{layout.RUN}", "workflow run", id)

    def _restore_parts(self, run: str, place: str, id: str, deletion: str) -> None:
        """Bring back the parts of a workflow run, which nobody sees before its run.json is back."""
        before = self._absent(f"{run}/{layout.RUN}", "workflow run", id)
        self._workflows.clear_parts(id)  # what the deletion did not come to move, it may be this one
        if fs.names(run) not in ([], [layout.RUN]):
            raise AlreadyExistsError("directory", run, "what is in it is not the store's: move it away")
        parts = [name for name in fs.names(place) if name != layout.RUN]
        if parts:
            self._root.make_directories(run)
            deleted = {"deleted": True, "id": id, "restores": deletion}
            document.write(self._root, f"{run}/{layout.RUN}", deleted, before)
        for part in parts:
            self._root.move_from_trash(f"{run}/{part}", deletion)

    def _restore_document(self, path: str, place: str, kind: str, id: str) -> None:
        copy = self._copy(place)
        before = document.read_any(path)
        if before is None or before.get("deleted") is True or document.content(before) != document.content(copy):
            self._root.make_directories(os.path.dirname(path))
            self._write(path, copy, self._absent(path, kind, id))
            self._root.sync_up(os.path.dirname(path), always=True)
        fs.unlink(place)
        self._root.prune_trash(place)

    def _check_owner(self, entry: Trashed) -> None:
        """Refuse to bring back a part of what is not there."""
        first, name, *rest = entry.path.split("/")
        owner = f"{self._root.path}/{first}/{name}"
        if first == layout.THREADS and not fs.is_file(f"{owner}/{layout.META}"):
            raise ThreadNotFoundError(entry.thread_id or name)
        if first == layout.WORKFLOWS and rest and not document.is_there(f"{owner}/{layout.RUN}"):
            raise NotFoundError(name, "workflow run")

    def _absent(self, path: str, kind: str, id: str) -> Object | None:
        """Give what a deletion left at a path; refuse where something else stands there."""
        before = document.read_any(path)
        if before is not None and before.get("deleted") is not True:
            raise AlreadyExistsError(kind, id, _WAY_OUT)
        return before

    def _write(self, path: str, copy: Object, before: Object | None) -> None:
        """Write a document anew, later than all beside it and all that stood there."""
        beside = [f"{os.path.dirname(path)}/{name}" for name in fs.names(os.path.dirname(path))]
        versions = [document.read_newest(one) for one in beside if one.endswith(layout.DOCUMENT_SUFFIX)]
        newest = max(document.newest(copy), document.newest(before or {}), *versions)
        version, created = clock.new_id(newest), document.created(copy)
        document.write(self._root, path, document.content(copy), before, version, created)

    def _copy(self, place: str) -> Object:
        copy = document.read(place)
        if copy is None:
            raise CorruptError(place, "nothing is there that could be brought back")
        return copy

    def _fields(self, path: str) -> Object:
        with suppress(CorruptError):
            return document.read(path) or {}
        return {}

    def _place(self, entry: Trashed) -> str:
        return f"{self._root.path}/{layout.trash_path(entry.path, entry.id)}"
