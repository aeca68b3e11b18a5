"""Deleting a thread: what is remembered of it, the move to the trash, and what a new thread of its id begins with."""

from __future__ import annotations

from fsstore import clock, codec, layout
from fsstore.disk import document, fs, trees
from fsstore.disk.folding import View
from fsstore.disk.log import Log
from fsstore.errors import CorruptError
from fsstore.resources.place import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer
    from fsstore.resources.session_index import SessionIndex
    from fsstore.resources.thread import ThreadHandle


#: The logs of a thread beside its messages.
_LOGS = (layout.USAGE, layout.CONTENT, layout.REWIND)


class _IdsView(View):
    """Which ids a log holds, whatever its records say."""

    def begin(self) -> None:
        """Forget all that was kept."""

    def take(self, record: Object) -> None:
        """Keep nothing."""


class Deletions:
    """The deletions of a store's threads. Whoever calls a method holds the thread's lock and that of the index."""

    def __init__(self, root: Root, index: SessionIndex) -> None:
        self._root = root
        self._index = index

    def delete(self, thread: ThreadHandle) -> None:
        """Remember that a thread is deleted, and move it to the trash.

        On disk: The place in the trash; a line in the session index with all that was seen of the thread, synced; the
            directory is synced, then renamed.
        """

        def prepare(deletion: str) -> None:
            self._root.trash_place(thread.directory, deletion)  # a full disk refuses here, before anything is noted

        self._move_away(thread, self._index.note_deletion(thread.id, self.seen(thread), prepare))

    def finish(self, thread: ThreadHandle) -> None:
        """Move a thread to the trash that a dead process was deleting, or restoring, unless somebody wrote to it since."""
        seen = self.seen(thread)
        for row in self._index.deletions_of(thread.id):
            if all(row.get(name) == value for name, value in seen.items()):
                self._index.confirm()
                self._move_away(thread, row["id"])
                return

    def restore(self, thread: ThreadHandle, deletion: str, fields: Object) -> None:
        """Bring a thread back from the trash to its place, where nothing stands.

        Args:
            thread: Its handle.
            deletion: The id of the deletion. Those of the same thread that came later are taken back with it: they saw more.
            fields: Its meta.json, as far as that can be read.

        On disk: A line in the session index with its name, if it has one; the one it goes into is synced; the directory
            is renamed, and both above it are synced; then a line in the session index that takes the deletion back, synced.
        """
        name, path, time = (fields.get(key) for key in ("name", "rollout_path", "updated_at"))
        if isinstance(name, str):
            self._index.note(thread.id, name, time if type(time) is int else 0, path if isinstance(path, str) else None)
        # Who held a log open when the thread was deleted must not take its entry, unsynced still, for a synced one.
        with self._root.distrusted(thread.messages.path, *map(thread.place.path, _LOGS)):
            self._root.move_from_trash(thread.directory, deletion)
        self.take_back(thread.id, deletion)

    def take_back(self, thread_id: str, deletion: str) -> None:
        """Have a deletion, and those of the same thread that came later, count nowhere any more."""
        later = {row["id"] for row in self._index.deletions_of(thread_id) if row["id"] > deletion}
        self._index.note_restoration(thread_id, sorted({deletion, *later}))

    def saw(self, path: str, ids: tuple[str, ...]) -> bool:
        """Say whether a deletion that counts took along the records of an append to the log at a path.

        It saw the log under its lock: what it did not see was written to what began under the same id later.
        """
        directory, _, file = path.rpartition("/")
        deleted = [id for id in self._index.deletions() if Place(self._root, id).directory == directory]
        rows = [row for id in deleted for row in self._index.deletions_of(id)]
        return any(ids[-1] <= row.get("greatest", {}).get(file, "") for row in rows)

    def begin_after(self, thread: ThreadHandle, version: str | None) -> str | None:
        """Make a thread's directory ready for a new thread of an id that may have been deleted before.

        Its log begins with a record that keeps the old messages gone. Give the version of its first document: the one given,
        or a greater one than all that was deleted.
        """
        leaves = self.leaves_of(thread.id)
        if leaves and not fs.is_file(thread.messages.path):
            self._clear(thread, leaves)
        return self.version_after(thread.id, version)

    def leaves_of(self, id: str) -> list[str]:
        """Give the leaves of all that was deleted under an id."""
        return [leaf for row in self._index.deletions_of(id) for leaf in row.get("leaf_ids", ())]

    def version_after(self, id: str, version: str | None) -> str | None:
        """Give a version, or a greater one where documents of an id were deleted that are not older."""
        seen = [old for row in self._index.deletions_of(id) for old in row.get("versions", {}).values()]
        return clock.new_id(max(seen)) if seen and (version is None or version <= max(seen)) else version

    def _clear(self, thread: ThreadHandle, leaf_ids: list[str]) -> None:
        def make(writer: Writer) -> Made:
            writer.fold.know(max(leaf_ids))
            id = writer.mint()
            return codec.encode_line({"id": id, "type": "clear", "leaf_ids": leaf_ids}), (id,)

        log = Log(self._root, thread.messages.path, thread.place.stripe, thread.directory, thread.place.missing)
        writer, _, ids = log.append_locked(make)
        log.sync_locked(writer, ids)
        self._root.let_go(thread.messages.path, writer)  # the next writer of the log must know the leaf as well

    def seen(self, thread: ThreadHandle) -> Object:
        """Give what a deletion has seen of a thread: its leaves, each log's greatest id, each document's version."""
        versions = {}
        for path, _ in trees.walk(thread.directory):
            if path.endswith(layout.DOCUMENT_SUFFIX):
                try:
                    fields = document.read_any(path)
                except CorruptError:
                    continue
                versions[path.removeprefix(f"{thread.directory}/")] = document.newest(fields) if fields else ""
        leaf_ids, newest = thread.messages.seen()
        greatest = {layout.MESSAGES: newest} if newest else {}
        for name in _LOGS:
            if fs.is_file(thread.place.path(name)):
                view = _IdsView(thread.place.path(name))
                view.refresh()
                greatest[name] = view.greatest
        return {"leaf_ids": leaf_ids, "greatest": greatest, "versions": versions}

    def _move_away(self, thread: ThreadHandle, deletion: str) -> None:
        for path in (thread.messages.path, *map(thread.place.path, _LOGS)):
            held = self._root.held.get(path)
            if held is not None:
                self._root.let_go(path, held)
        # An append that was written before, and is told as done after, may be the first one of a log.
        self._root.sync_up(thread.directory)
        self._root.move_to_trash(thread.directory, deletion)
        thread.messages.forget_stamp()
