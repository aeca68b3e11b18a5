"""Threads: the directories in which everything else stands."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import partial

from fsstore import clock, codec, layout
from fsstore.disk import document, fs
from fsstore.disk.collection import Collection
from fsstore.disk.follow import last_id
from fsstore.errors import AlreadyExistsError, CorruptError, ThreadNotFoundError
from fsstore.records.threads import ThreadInfo
from fsstore.resources.branches import TreeReader
from fsstore.resources.deletions import Deletions
from fsstore.resources.finding import Finder
from fsstore.resources.limits import checked_limit, whole
from fsstore.resources.moving import Moves
from fsstore.resources.place import Place
from fsstore.resources.thread import ThreadHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fsstore.codec import Json, Object
    from fsstore.disk.lock import Together
    from fsstore.disk.root import Root
    from fsstore.resources.indexes import Indexes
    from fsstore.resources.session_index import Named, SessionIndex
    from fsstore.resources.views import Views

#: Handles kept ready; making one costs more than an append.
_HANDLES = 256
#: Of so many, the ones used last, a message is looked for in each before all logs are gone over.
_RECENT = 64


class Threads:
    """The threads of a store. Iterating gives a `ThreadInfo` for each that can be read."""

    def __init__(self, root: Root, indexes: Indexes, views: Views, index: SessionIndex) -> None:
        self._root = root
        self._indexes = indexes
        self._views = views
        self._index = index
        index.named = self._named
        self._directory = f"{root.path}/{layout.THREADS}"
        self._documents = Collection(root, self._directory, layout.META)
        self._deletions = Deletions(root, index)
        root.was_deleted = self._deletions.saw
        self._moves = Moves(root, self._deletions)
        self._handles: OrderedDict[str, ThreadHandle] = OrderedDict()
        self._finder = Finder(self._directory, self.handle, self._recent_handles)

    # Reading

    def handle(self, id: str) -> ThreadHandle:
        """Give a thread's handle, whether it is there or not; touches no disk.

        Raises:
            InvalidNameError: No thread can have this id.
        """
        handle = self._handles.pop(id, None) or ThreadHandle(self, Place(self._root, id), self._indexes, self._views)
        self._handles[id] = handle  # the last one now
        while len(self._handles) > _HANDLES:
            self._handles.popitem(last=False)
        return handle

    def _recent_handles(self) -> list[ThreadHandle]:
        return list(self._handles.values())[: -_RECENT - 1 : -1]

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

    def called(self, name: str) -> set[str]:
        """Give the ids of the threads that are called a name, whatever its case; every meta.json that can be read is read."""
        wanted = name.casefold()
        rows = ((fields["id"], fields.get("name")) for fields in self._documents.all())
        return {id for id, called in rows if isinstance(called, str) and called.casefold() == wanted}

    def logs(self) -> Iterator[tuple[str, str]]:
        """Give the id of each thread and the path of its messages, in the order of their names; of some neither need exist."""
        return ((id, f"{directory}/{layout.MESSAGES}") for directory, id in self._documents.places())

    def unreadable(self) -> list[str]:
        """Give the ids of the threads whose meta.json cannot be read: listings pass over them, and `check` says why."""
        readable = {info.id for info in self}
        return [id for id in self._documents.ids() if id not in readable and self._is_unreadable(id)]

    def _is_unreadable(self, id: str) -> bool:
        try:
            self._documents.get(id)
        except CorruptError:
            return True
        return False  # it was made, or is gone, since it was listed

    def recent(self, limit: int | None = 50, *, archived: bool = False, by: str = "last_activity") -> list[ThreadInfo]:
        """Give threads, the newest first.

        Args:
            limit: How many at the most; None for all, 0 for none.
            archived: Whether archived threads are among them.
            by: `last_activity` (the newest message or upsert), or `updated_at` (the last upsert).

        Raises:
            ValueError: A negative limit.
        """
        if checked_limit(limit) == 0:
            return []
        return [info for info, _ in self.dated(archived=archived, by=by)[:limit]]

    def dated(
        self, ids: Iterable[str] | None = None, *, archived: bool = False, by: str = "last_activity"
    ) -> list[tuple[ThreadInfo, int]]:
        """Give threads, of some or of all, the newest first, each with the time that says so; see `recent`."""
        documents = self._documents.all() if ids is None else self._documents.some(ids)
        time = self.last_activity if by == "last_activity" else lambda info: _seconds(info.updated_at)
        rows = [(document.newest(fields), _info(fields)) for fields in documents]
        found = [(info, time(info), version) for version, info in rows if archived or not info.archived]
        found.sort(key=lambda row: row[1:], reverse=True)
        return [row[:2] for row in found]

    def reader(self, id: str) -> TreeReader:
        """Give what reads a thread's messages, for listings: a handle would push out those in use."""
        return TreeReader(Place(self._root, id), self._indexes)

    def last_activity(self, info: ThreadInfo) -> int:
        """Give the time of a thread's newest message or run, or of its last upsert, whichever is latest (Unix seconds)."""
        written = last_id(Place(self._root, info.id).path(layout.CONTENT))  # what `DataStore` keeps is no message
        return max(_seconds(info.updated_at), self.reader(info.id).last_time(), clock.seconds_of(written) if written else 0)

    def with_message(self, message_id: str) -> ThreadHandle:
        """Find the thread that holds a message, by the message's id alone; see `Finder.find`.

        Raises:
            MessageNotFoundError: No thread does.
            ValueError: Several threads have a message to which their callers gave this id.
        """
        return self._finder.find(message_id)

    def trash_path(self, id: str) -> str | None:
        """Give the place in the trash of the thread that was deleted last under an id; None where none was."""
        deletions = self._index.deletions_of(id)
        return self._root.trash_path(self.handle(id).directory, deletions[-1]["id"]) if deletions else None

    # Writing

    def create(self, id: str | None = None, **fields: Json) -> ThreadHandle:
        """Begin a thread.

        Args:
            id: Its id; a new one where None.
            **fields: Fields of `ThreadInfo`.

        Raises:
            AlreadyExistsError: A thread has this id; nothing was changed.

        On disk: The directory and its meta.json; just before that a line in the session index where the thread has a name.
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
            self._begin(thread, info.over(None), version)

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
                self._begin(thread, info.over(None), None)
                return
            kept = {name: old[name] for name in keep if name in old}
            self._replace(thread, old, {**info.over(old), **kept})

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
            self._replace(thread, old, info.over(old))
        return info

    def call(self, id: str, name: str | None, updated_at: int, rollout_path: str | None = None) -> None:
        """Note what a thread is called, whether it is here or not; a thread that is here is renamed, unless it was put later.

        Args:
            id: The thread.
            name: What it is called from now on; None for nothing.
            updated_at: The time of it in Unix seconds.
            rollout_path: Where its conversation is kept elsewhere.

        Raises:
            ValueError: A value of the wrong type.
            ThreadNotFoundError: The thread was deleted.
            CorruptError: Its meta.json cannot be read.

        On disk: A line in the session index; then meta.json, replaced whole, where the thread is here.
        Crash: The name is noted and taken, or only noted: then the thread's own name counts.
        Concurrency: The last one counts.
        """
        _check_texts(name=name, rollout_path=rollout_path)
        updated_at = whole("updated_at", updated_at)
        codec.check_json([name, updated_at, rollout_path], "the name")
        thread = self.handle(id)
        with self._locked(thread):
            old = self._documents.get(id)
            if old is None and self._index.deletions_of(id):
                raise ThreadNotFoundError(id)
            note = partial(self._index.note, id, name, updated_at, rollout_path)
            if old is not None and updated_at >= _seconds(old.get("updated_at")):
                paths = {} if rollout_path is None else {"rollout_path": rollout_path}
                new = _info({**old, "name": name, **paths}).over(old)
                document.write(self._root, self._documents.path(id), new, old, before=note)
            else:
                note()

    def note_again(self, id: str) -> None:
        """Note a thread's name where the session index lost it; that of a thread that is not there is no matter.

        On disk: A line in the session index.
        Crash: The name is noted, or not.
        Concurrency: The name that the thread has under the lock is noted.
        """
        thread = self.handle(id)
        with self._locked(thread):
            fields = self._documents.get(id)
            if fields is not None:
                self._noting(fields)()

    def delete(self, id: str, *, only_if: Callable[[ThreadInfo], bool] | None = None) -> bool:
        """Move a thread to the trash, whole; say whether it was there.

        It is not recreated by a late write, and no merge brings it back while the other copy holds nothing new.

        Args:
            id: The thread.
            only_if: Asked of the thread under the lock; where it says no, nothing is done.

        On disk: A line in the session index with all that was seen of the thread, synced; then the directory is synced,
            and renamed.
        Crash: The thread is there until the rename; the next `open` finishes what was begun.
        Concurrency: An append either comes before, and goes along, or raises `ThreadNotFoundError`.
        """
        thread = self.handle(id)
        with self._locked(thread):
            if id not in self:
                return False
            if only_if is not None:
                info = self.get(id)
                if info is None or not only_if(info):
                    return False
            self._deletions.delete(thread)
        return True

    def move(self, id: str, new_id: str) -> None:
        """Give a thread another id; under the old one it is deleted.

        Raises:
            ThreadNotFoundError: It does not exist.
            AlreadyExistsError: A thread has the new id; nothing was changed.
            CorruptError: Its meta.json cannot be read.

        On disk: A line in the session index where it has a name; a copy of the directory in which the new id stands, made in
            `.fsstore/tmp`, synced, and renamed into its place; then as `delete`.
        Crash: It is there under the old id, under both, or under the new one. Done again, it is finished, unless somebody
            wrote to the old one since.
        Concurrency: A write to the old id either comes before, and goes along, or finds no thread. What lists threads
            meanwhile may give it under either id, under both, or under none.
        """
        old, new = self.handle(id), self.handle(new_id)
        self._root.check_writable()
        with self._root.locks.together((old.place.stripe, new.place.stripe, self._index.lock)):
            fields = self._documents.get(id)
            if fields is None:
                raise ThreadNotFoundError(id)
            there = self._documents.get(new_id)
            if there is None:
                note = None if fields.get("name") is None else self._noting({**fields, "id": new_id})
                self._moves.copy(old, new, note)
            elif there.get("moved_from") != self._moves.origin(old):
                raise AlreadyExistsError("thread", new_id)
            self._deletions.delete(old)

    def finish_deletions(self) -> None:
        """Finish the deletions that a crash interrupted, unless somebody wrote to the thread since.

        On disk: The session index is synced, then the directory is renamed into the trash.
        Crash: As `delete`.
        Concurrency: As `delete`.
        """
        for id in self._index.deletions():
            if id in self:
                thread = self.handle(id)
                with self._locked(thread):
                    if id in self:
                        self._deletions.finish(thread)

    def rebuild_index(self) -> None:
        """Note the names of all threads in a session index that was lost; see `SessionIndex.rebuild`."""
        self._index.rebuild()

    def _named(self) -> Iterator[Named]:
        named = (info for info in self if info.name is not None)
        return ((one.id, one.name, _seconds(one.updated_at), one.rollout_path) for one in named)

    def _locked(self, thread: ThreadHandle) -> Together:
        self._root.check_writable()
        return self._root.locks.together((thread.place.stripe, self._index.lock))

    def _begin(self, thread: ThreadHandle, fields: Object, version: str | None) -> None:
        path = self._documents.path(thread.id)
        note = None if fields.get("name") is None else self._noting(fields)
        before = document.read_any(path)
        self._root.make_directories(thread.directory)
        try:
            version = self._deletions.begin_after(thread, version)
            document.write(self._root, path, fields, before, version, before=note)
        except BaseException:
            with suppress(OSError):  # what is in it stays
                fs.rmdir(thread.directory)
            raise

    def _replace(self, thread: ThreadHandle, old: Object, fields: Object) -> None:
        changed = any(old.get(name) != fields.get(name) for name in ("name", "rollout_path"))
        note = self._noting(fields) if changed else None
        document.write(self._root, self._documents.path(thread.id), fields, old, before=note)

    def _noting(self, fields: Object) -> Callable[[], object]:
        """Give what notes in the session index what a thread is called."""
        name, rollout_path = fields.get("name"), fields.get("rollout_path")
        _check_texts(name=name, rollout_path=rollout_path)
        return partial(self._index.note, fields["id"], name, _seconds(fields["updated_at"]), rollout_path)


def _check_texts(**values: Json) -> None:
    for what, value in values.items():
        if not isinstance(value, (str, type(None))):
            raise ValueError(f"{what} must be a string or None, not {type(value).__name__}")


def _seconds(time: Json) -> int:
    return time if type(time) is int else 0


def _info(fields: Object) -> ThreadInfo:
    return ThreadInfo.from_json(document.content(fields))
