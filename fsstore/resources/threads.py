"""Threads: the directories in which everything else stands."""

from __future__ import annotations

from collections import OrderedDict

from fsstore import clock, codec, layout
from fsstore.disk import document, fs
from fsstore.disk.collection import Collection
from fsstore.disk.log import Log
from fsstore.errors import AlreadyExistsError, CorruptError, MessageNotFoundError, ThreadNotFoundError
from fsstore.records.threads import ThreadInfo
from fsstore.resources.messages import Messages
from fsstore.resources.runs import Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.codec import Json, Object
    from fsstore.disk.lock import Together
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer
    from fsstore.resources.indexes import Indexes
    from fsstore.resources.names import Names

#: Handles kept ready; making one costs more than an append.
_HANDLES = 256


class ThreadHandle:
    """One thread. Making a handle touches no disk, and says nothing of whether the thread is there.

    Attributes:
        id: The thread's id.
        directory: Its directory.
        messages: Its message tree.
        runs: Its runs.
    """

    __slots__ = ("_threads", "directory", "id", "lock", "messages", "name", "runs")

    def __init__(self, threads: Threads, root: Root, indexes: Indexes, id: str) -> None:
        self.id = id
        self.name = layout.encode_name(id)
        self.lock = layout.stripe(self.name)
        self.directory = f"{root.path}/{layout.THREADS}/{self.name}"
        meta = f"{self.directory}/{layout.META}"
        paths = (f"{self.directory}/{layout.MESSAGES}", meta)
        self.messages = Messages(root, indexes, id, self.name, self.lock, paths)
        self.runs = Runs(root, id, self.lock, self.directory, meta)
        self._threads = threads

    def info(self) -> ThreadInfo:
        """Read what the thread is.

        Raises:
            ThreadNotFoundError: It does not exist.
            CorruptError: Its meta.json cannot be read.
        """
        info = self._threads.get(self.id)
        if info is None:
            raise ThreadNotFoundError(self.id)
        return info

    def last_activity(self) -> int:
        """Give the time of the newest message, or of the last upsert, whichever is later (Unix seconds)."""
        return self._threads.last_activity(self.info())

    def archive(self) -> ThreadInfo:
        """Mark the thread as archived, now. See `Threads.update`."""
        return self._threads.update(self.id, archived=True, archived_at=clock.now(), status="archived")

    def unarchive(self) -> ThreadInfo:
        """Mark the thread as not archived; a status of `archived` becomes `idle`. See `Threads.update`."""
        return self._threads.update(self.id, archived=False, archived_at=None)

    def delete(self) -> bool:
        """Move the thread to the trash. See `Threads.delete`."""
        return self._threads.delete(self.id)


class Threads:
    """The threads of a store. Iterating gives a `ThreadInfo` for each that can be read."""

    def __init__(self, root: Root, indexes: Indexes, names: Names) -> None:
        self._root = root
        self._indexes = indexes
        self._names = names
        self._directory = f"{root.path}/{layout.THREADS}"
        self._documents = Collection(root, self._directory, layout.META)
        self._handles: OrderedDict[str, ThreadHandle] = OrderedDict()

    # Reading

    def handle(self, id: str) -> ThreadHandle:
        """Give a thread's handle, whether it is there or not; touches no disk.

        Raises:
            InvalidNameError: No thread can have this id.
        """
        handle = self._handles.get(id)
        if handle is None:
            handle = self._handles[id] = ThreadHandle(self, self._root, self._indexes, id)
            while len(self._handles) > _HANDLES:
                self._handles.popitem(last=False)
        return handle

    def __getitem__(self, id: str) -> ThreadHandle:
        """Give the handle of a thread that exists.

        Raises:
            ThreadNotFoundError: It does not.
        """
        if id not in self:
            raise ThreadNotFoundError(id)
        return self.handle(id)

    def __contains__(self, id: str) -> bool:
        return fs.is_file(self._documents.path(id))

    def get(self, id: str) -> ThreadInfo | None:
        """Read what a thread is, or None where there is none.

        Raises:
            CorruptError: Its meta.json cannot be read.
        """
        fields = self._documents.get(id)
        return None if fields is None else _info(fields)

    def __iter__(self) -> Iterator[ThreadInfo]:
        return map(_info, self._documents.all())

    def ids(self) -> list[str]:
        """Give the ids of all threads, in the order of their names on disk."""
        return list(self._documents.ids())

    def unreadable(self) -> list[str]:
        """Give the ids of the threads whose meta.json cannot be read: listings pass over them, and `check` says why."""
        readable = {info.id for info in self}
        return [id for id in self._documents.ids() if id not in readable]

    def recent(self, limit: int | None = 50, *, archived: bool = False, by: str = "last_activity") -> list[ThreadInfo]:
        """Give threads, the newest first.

        Args:
            limit: How many at the most; None for all, 0 for none.
            archived: Whether archived threads are among them.
            by: `last_activity` (the newest message or upsert), or `updated_at` (the last upsert).

        Raises:
            ValueError: A negative limit.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, or None for all, not {limit}")
        if limit == 0:
            return []
        time = self.last_activity if by == "last_activity" else lambda info: _seconds(info.updated_at)
        rows = [(fields, _info(fields)) for fields in self._documents.all()]
        rows = [row for row in rows if archived or not row[1].archived]
        rows.sort(key=lambda row: (time(row[1]), document.newest(row[0])), reverse=True)
        return [info for _, info in rows[:limit]]

    def last_activity(self, info: ThreadInfo) -> int:
        """Give the time of a thread's newest message or of its last upsert, whichever is later (Unix seconds)."""
        return max(_seconds(info.updated_at), self.handle(info.id).messages.last_time())

    def with_message(self, message_id: str) -> ThreadHandle:
        """Find the thread that holds a message, by the message's id alone.

        Raises:
            MessageNotFoundError: No thread does.
        """
        try:
            needle = codec.encode_line({"": message_id})[5:-3]
        except ValueError:
            raise MessageNotFoundError(message_id) from None
        for id in self._documents.ids():
            thread = self.handle(id)
            # A writer of another make may have escaped what is not ASCII; only its index can tell then.
            if (not message_id.isascii() or thread.messages.has_bytes(needle)) and message_id in thread.messages:
                return thread
        raise MessageNotFoundError(message_id)

    # Writing

    def create(self, id: str | None = None, **fields: Json) -> ThreadHandle:
        """Begin a thread.

        Args:
            id: Its id; a new one where None.
            **fields: Fields of `ThreadInfo`.

        Raises:
            AlreadyExistsError: A thread has this id; nothing was changed.

        On disk: The directory and its meta.json; before that a line in the session index where the thread has a name.
        Crash: The thread is there, or not.
        Concurrency: Of two creations of one id, one raises.
        """
        info = ThreadInfo(id=clock.new_id() if id is None else id, **fields)
        self.add(info)
        return self.handle(info.id)

    def add(self, info: ThreadInfo, version: str | None = None) -> None:
        """Begin a thread of a record; see `create`. `version` is the id of the write, where it must be derived.

        On disk: As `create`.
        Crash: As `create`.
        Concurrency: As `create`.
        """
        thread = self.handle(info.id)
        with self._locked(thread):
            if fs.is_file(self._documents.path(info.id)):
                raise AlreadyExistsError("thread", info.id)
            self._begin(thread, _fields(info), version)

    def put(self, info: ThreadInfo, *, keep: tuple[str, ...] = ()) -> None:
        """Insert a thread, or overwrite all its fields but those of `keep`; its messages stay.

        Keys that no field knows are kept. A `created_at` that nobody gave does not replace the old one.

        Raises:
            CorruptError: The meta.json that stands there cannot be read; it was not overwritten.

        On disk: A line in the session index where name or rollout path changed, then meta.json, replaced whole.
        Crash: The old record or the new one.
        Concurrency: The last one counts, field by field when two machines merge.
        """
        thread = self.handle(info.id)
        with self._locked(thread):
            old = self._documents.get(info.id)
            if old is None:
                self._begin(thread, _fields(info), None)
                return
            self._replace(thread, old, _over(old, info, keep))

    def update(self, id: str, **changes: Json) -> ThreadInfo:
        """Change some fields of a thread.

        Raises:
            ThreadNotFoundError: It does not exist.
            CorruptError: Its meta.json cannot be read.

        On disk: As `put`.
        Crash: The old record or the new one.
        Concurrency: No change of another process to another field is lost.
        """
        thread = self.handle(id)
        with self._locked(thread):
            old = self._documents.get(id)
            if old is None:
                raise ThreadNotFoundError(id)
            if changes.get("archived") is False and "status" not in changes and old.get("status") == "archived":
                changes["status"] = "idle"
            info = _info({**old, **changes})
            self._replace(thread, old, {**_unknown(old), **_fields(info)})
        return info

    def delete(self, id: str) -> bool:
        """Move a thread to the trash, whole; say whether it was there.

        It is not recreated by a late write, and no merge brings it back while the other copy holds nothing new.

        On disk: A line in the session index with all that was seen of the thread, synced; then the directory is renamed.
        Crash: The thread is there until the rename; the next `open` finishes what was begun.
        Concurrency: An append either comes before, and goes along, or raises `ThreadNotFoundError`.
        """
        thread = self.handle(id)
        with self._locked(thread):
            if id not in self:
                return False
            deletion = self._names.note_deletion(id, self._seen(thread))
            self._move_to_trash(thread, deletion)
        return True

    def finish_deletions(self) -> None:
        """Finish the deletions that a crash interrupted, unless somebody wrote to the thread since.

        On disk: The session index is synced, then the directory is renamed into the trash.
        Crash: As `delete`.
        Concurrency: As `delete`.
        """
        for id, deletions in self._names.deletions().items():
            thread = self.handle(id)
            if not fs.is_file(self._documents.path(id)):
                continue
            with self._locked(thread):
                last = deletions[-1]
                if all(last.get(name) == value for name, value in self._seen(thread).items()):
                    self._names.confirm()
                    self._move_to_trash(thread, last["id"])

    def _locked(self, thread: ThreadHandle) -> Together:
        self._root.check_writable()
        return self._root.locks.together((thread.lock, self._names.lock))

    def _begin(self, thread: ThreadHandle, fields: Object, version: str | None) -> None:
        if fields.get("name") is not None:
            self._note(fields)
        fs.make_directory(thread.directory)
        deletions = self._names.deletions().get(thread.id, ())
        deleted = [leaf for row in deletions for leaf in row.get("leaf_ids") or ()]
        seen = [version for row in deletions for version in (row.get("versions") or {}).values()]
        if deleted and not fs.is_file(thread.messages.path):
            self._clear(thread, deleted)
        if seen and (version is None or version <= max(seen)):
            version = clock.new_id(max(seen))
        self._documents.create(thread.id, fields, lambda: AlreadyExistsError("thread", thread.id), version)

    def _clear(self, thread: ThreadHandle, leaf_ids: list[str]) -> None:
        """Begin the log of a thread that was deleted before with a record that keeps its old messages gone."""

        def make(writer: Writer) -> Made:
            writer.fold.know(max(leaf_ids))
            id = writer.mint()
            return codec.encode_line({"id": id, "type": "clear", "leaf_ids": leaf_ids}), (id,)

        log = Log(self._root, thread.messages.path, thread.lock, thread.directory, lambda: ThreadNotFoundError(thread.id))
        writer, _, ids = log.append_locked(make)
        log.sync_locked(writer, ids)
        self._root.let_go(thread.messages.path, writer)  # the next writer of the log must know the leaf as well

    def _replace(self, thread: ThreadHandle, old: Object, fields: Object) -> None:
        if any(old.get(name) != fields.get(name) for name in ("name", "rollout_path")):
            self._note(fields)
        document.write(self._root, self._documents.path(thread.id), fields, old)

    def _note(self, fields: Object) -> None:
        self._names.note(fields["id"], fields.get("name"), fields["updated_at"], fields.get("rollout_path"))

    def _seen(self, thread: ThreadHandle) -> Object:
        """Give what a deletion has seen of a thread: its leaves, its log's greatest id, each document's version."""
        versions = {}
        for path, _ in fs.walk(thread.directory):
            if path.endswith(layout.DOCUMENT_SUFFIX):
                try:
                    fields = document.read_any(path)
                except CorruptError:
                    continue
                versions[path.removeprefix(f"{thread.directory}/")] = document.newest(fields) if fields else ""
        leaf_ids, greatest = thread.messages.seen()
        return {"leaf_ids": leaf_ids, "greatest": greatest, "versions": versions}

    def _move_to_trash(self, thread: ThreadHandle, deletion: str) -> None:
        held = self._root.held.get(thread.messages.path)
        if held is not None:
            self._root.let_go(thread.messages.path, held)
        trash = f"{self._root.path}/{layout.TRASH}"
        fs.make_directories(trash)
        fs.rename(thread.directory, f"{trash}/{layout.trash_name(thread.name, deletion)}")
        self._root.sync_up(trash)
        self._root.sync_up(self._directory)
        thread.messages.forget_stamp()


def _seconds(time: Json) -> int:
    return time if isinstance(time, int) else 0


def _info(fields: Object) -> ThreadInfo:
    return ThreadInfo.from_json(document.content(fields))


def _fields(info: ThreadInfo) -> Object:
    fields = info.to_json()
    codec.check_json(fields, "the thread")
    return fields


def _unknown(old: Object) -> Object:
    return dict(_info(old).extra)


def _over(old: Object, info: ThreadInfo, keep: tuple[str, ...]) -> Object:
    kept = {name: old[name] for name in keep if name in old}
    if isinstance(info.created_at, clock.Moment):
        kept["created_at"] = old.get("created_at", int(info.created_at))
    return {**_unknown(old), **_fields(info), **kept}
