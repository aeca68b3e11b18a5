"""The store: a root directory, its format, and the resources in it."""

from __future__ import annotations

import os
import sys
from functools import cached_property

from fsstore import codec, layout
from fsstore.disk import fs, machine, trees
from fsstore.disk.root import Root
from fsstore.errors import FormatError
from fsstore.resources.indexes import Indexes
from fsstore.resources.names import Names
from fsstore.resources.session_index import SessionIndex
from fsstore.resources.thread import ThreadHandle
from fsstore.resources.threads import Threads
from fsstore.resources.views import Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from fsstore.resources.compaction import Compacted
    from fsstore.resources.data_sessions import DataSessions
    from fsstore.resources.jobs import Jobs
    from fsstore.resources.prompts import Prompts
    from fsstore.resources.recipes import Recipes
    from fsstore.resources.sessions import Sessions
    from fsstore.resources.trash import Trash
    from fsstore.resources.workflows import Workflows
    from fsstore.upkeep.gc import Freed
    from fsstore.upkeep.problems import Problem
    from fsstore.upkeep.secrets import Secret
    from fsstore.upkeep.sizes import Size

VERSION = 1
FORMAT = {"format": "fsstore", "version": VERSION}
_PUT_BACK = f"if this is a store, put its {layout.FORMAT_FILE} back: {codec.encode_compact(FORMAT).decode()}"


class Store:
    """The state of agents in one directory.

    A store may be open any number of times, in any number of processes and threads; none of them needs to close it.

    Attributes:
        root: The directory, absolute.
        threads: The threads.
        names: What they are called, and what others are called that are not here.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self.root = root.path
        indexes, views, index = Indexes(), Views(), SessionIndex(root)
        root.on_fork += [indexes.forget, views.forget, index.forget]
        self._views = views
        self._index = index
        self.threads = Threads(root, indexes, views, index)
        self.names = Names(self.threads, index)

    # Each is imported when it is first used: most programs need none of them.

    @cached_property
    def sessions(self) -> Sessions:
        """The threads, as a channel's sessions."""
        from fsstore.resources.sessions import Sessions

        return Sessions(self.threads)

    @cached_property
    def data(self) -> DataSessions:
        """The sessions of `DataStore`."""
        from fsstore.resources.data_sessions import DataSessions

        return DataSessions(self.threads, self._views, self.recipes)

    @cached_property
    def recipes(self) -> Recipes:
        """The recipes."""
        from fsstore.resources.recipes import Recipes

        return Recipes(self._root)

    @cached_property
    def prompts(self) -> Prompts:
        """What was asked in all sessions."""
        from fsstore.resources.prompts import Prompts

        return Prompts(self._root, self._views)

    @cached_property
    def jobs(self) -> Jobs:
        """The jobs."""
        from fsstore.resources.jobs import Jobs

        return Jobs(self._root)

    @cached_property
    def workflows(self) -> Workflows:
        """The workflow traces."""
        from fsstore.resources.workflows import Workflows

        return Workflows(self._root)

    @cached_property
    def trash(self) -> Trash:
        """What was deleted."""
        from fsstore.resources.trash import Trash

        return Trash(self._root, self._index, self.threads, self.workflows)

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str] | None = None,
        *,
        durability: str = "full",
        lock_timeout: float | None = 10.0,
        max_open_files: int = 128,
        read_only: bool = False,
    ) -> Self:
        """Open a store, and make it where the directory is missing or empty.

        Args:
            root: The directory; `~` is expanded. Where None, `default_root()`.
            durability: `"full"`: when a call returns, its effect survives a power cut. `"process"`: it survives the
                death of the process, not of the machine; it never endangers what `"full"` acknowledged.
            lock_timeout: Seconds to wait for another writer before `LockTimeoutError`; None waits without end.
            max_open_files: How many descriptors may stay open.
            read_only: Change nothing, not even by making the store; every write raises `ReadOnlyError`.

        Raises:
            FormatError: The directory holds something else, or a store of a newer format; nothing was touched. With
                `read_only`, also that there is no store.

        On disk: fsstore.json and the files that tell git and rsync how to carry the store.
        Crash: What was begun is finished by the next `open`.
        Concurrency: Any number of processes may open, and make, the same store.
        """
        path = os.path.abspath(os.path.expanduser(default_root() if root is None else root))
        disk = Root(path, durability=durability, lock_timeout=lock_timeout, max_open_files=max_open_files, read_only=read_only)
        if not _has_format(path):
            if read_only:
                raise FormatError(path, f"no store here{way_back(path)}")
            _create(disk)
        store = cls(disk)
        if not read_only:
            disk.make_own_directories()
            _sweep(path)
            store.threads.finish_deletions()
            store.threads.rebuild_index()
        return store

    def thread(self, id: str) -> ThreadHandle:
        """Give a thread's handle; touches no disk. `threads[id]` raises where there is none."""
        return self.threads.handle(id)

    def check(self, progress: Callable[[int, int], object] | None = None) -> Iterator[Problem]:
        """Read every file of the store and give what is wrong with it, one finding after the other; changes nothing.

        Args:
            progress: Called with how many parts of the store were looked at, and how many there are.

        Concurrency: Safe beside writers. What one of them may just be writing is looked at once more at the end.
        """
        from fsstore.upkeep.check import check  # upkeep is above the store, which is the front door to it all the same

        return check(self, progress)

    def repair(self, *, dry_run: bool = False) -> list[Problem]:
        """Mend what `check` calls fixable; give it. What is not, stays as it is. Done again, there is nothing left.

        Args:
            dry_run: Change nothing, only give what would be mended.

        Raises:
            LockTimeoutError: Another writer held a log for `lock_timeout` seconds; what was mended before, is.
            SyncFailedError: The disk did not confirm a change.

        On disk: Bytes taken out of a file go to `.fsstore/quarantine` before, synced, with a document beside them that says
            where they were. Nothing is deleted but caches.
        Crash: Each file is as it was, or mended. A copy may be in quarantine already.
        Concurrency: Writers of a log wait while it is rewritten; what they write counts.
        """
        from fsstore.upkeep.repair import repair

        return repair(self, self._root, dry_run=dry_run)

    def compact(self) -> Iterator[tuple[str, Compacted]]:
        """Compact the messages of one thread after the other; give its id, and what that took out. See `Messages.compact`.

        On disk: As `Messages.compact`.
        Crash: As `Messages.compact`; threads before are compacted, those behind are not.
        Concurrency: As `Messages.compact`.
        """
        for id in self.threads.ids():
            yield id, self.thread(id).messages.compact()

    def secrets(self) -> Iterator[Secret]:
        """Read every message of the store and give what is likely to be a secret, told without it; changes nothing."""
        from fsstore.upkeep.secrets import find_secrets

        return find_secrets(self)

    def gc(self, *, dry_run: bool = False) -> list[Freed]:
        """Free what serves nobody: temporary files of dead writers, caches and marks whose log is gone, empty directories.

        Data, what is in the trash, and what is in quarantine stay.

        Args:
            dry_run: Change nothing, only give what would be freed.

        Raises:
            LockTimeoutError: A writer held a lock for `lock_timeout` seconds; what was freed before, is.

        On disk: Files and empty directories in `.fsstore` are deleted, each by itself.
        Crash: Some are gone. Done again, it goes on.
        Concurrency: Safe beside writers, deletions and restorations.
        """
        from fsstore.upkeep.gc import gc

        return gc(self._root, dry_run=dry_run)

    def sizes(self) -> list[Size]:
        """Give what each thread, and each other part of the store, takes; the biggest first. Changes nothing.

        Concurrency: Safe beside writers: what goes away meanwhile is left out.
        """
        from fsstore.upkeep.sizes import sizes

        return sizes(self.root)

    def close(self) -> None:
        """Close the descriptors; the store can be used again all the same."""
        self._root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def default_root() -> str:
    """Give the root where none is named: `$FSSTORE_ROOT`, else `fsstore` in the user's data directory."""
    named = os.environ.get("FSSTORE_ROOT", "")
    if named.strip():
        return named
    if sys.platform == "darwin":
        return "~/Library/Application Support/fsstore"
    if sys.platform == "win32":
        return f"{os.environ.get('LOCALAPPDATA') or '~/AppData/Local'}/fsstore"
    return f"{os.environ.get('XDG_DATA_HOME') or '~/.local/share'}/fsstore"


def way_back(path: str) -> str:
    """Say how a store whose format file was lost comes back, where a directory may be one; else nothing."""
    names = fs.names(path)
    return f"; {_PUT_BACK}" if names and layout.TOP_LEVEL.issuperset(names) else ""


def _has_format(path: str) -> bool:
    """Say whether a store of a format that this version understands stands here."""
    file = f"{path}/{layout.FORMAT_FILE}"
    try:
        data = fs.read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fields = codec.decode_object(data)
    except ValueError as error:
        raise FormatError(file, f"cannot be read ({error}): {_PUT_BACK}") from None
    if fields.get("format") != FORMAT["format"]:
        raise FormatError(file, "not the format file of a store")
    version = fields.get("version")
    if type(version) is not int or version != VERSION:
        raise FormatError(
            file, f"format version {version!r} is none that this fsstore understands ({VERSION}): use a newer one"
        )
    return True


def _create(root: Root) -> None:
    path = root.path
    root.check_writable()
    if fs.is_file(path) and not fs.leads_to_directory(path):
        raise FormatError(path, "not a directory")
    strangers = set(fs.names(path)) - {layout.OWN, layout.THREADS, *layout.CARRIER_FILES}
    if strangers and _has_format(path):
        return  # another process made it meanwhile
    if strangers:
        shown = ", ".join(sorted(strangers)[:3])
        way_out = f"name another directory, or a new one{way_back(path)}"
        raise FormatError(path, f"neither empty nor a store (it holds {shown}): {way_out}")
    if not fs.leads_to_directory(path):  # it may be a link to one: nothing below it may
        fs.make_directories(path)
    _sync_above(path)  # before the format file: where that stands, the root is durable, whoever made the directories
    root.make_own_directories()
    for name, text in layout.CARRIER_FILES.items():
        if not fs.is_file(f"{path}/{name}"):
            root.replace(f"{path}/{name}", text.encode(), sync_directory=False)
    fs.sync_directory(path)  # before the format file too: nobody writes them where that stands
    root.replace(f"{path}/{layout.FORMAT_FILE}", codec.encode_document(FORMAT), sync_directory=True)


def _sync_above(path: str) -> None:
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        try:
            fs.sync_directory(path)
        except PermissionError:
            return  # somebody else's directory, which was there before


def _sweep(path: str) -> None:
    """Delete what dead writers of this machine left in `.fsstore/tmp`."""
    host = layout.temp_host(machine.host())
    for name in fs.names(f"{path}/{layout.TMP}"):
        made_by = layout.parse_temp_name(name)
        if made_by and made_by[0] == host and not machine.is_running(made_by[1]):
            left = f"{path}/{layout.TMP}/{name}"
            if fs.is_directory(left):
                trees.remove_tree(left)
                continue
            try:
                fs.unlink(left)
            except FileNotFoundError:
                continue  # another process swept it
