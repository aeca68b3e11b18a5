"""Files that a rewind gives back: how they are kept, and how they are restored."""

from __future__ import annotations

import binascii
import os.path
from dataclasses import dataclass, field

from fsstore import clock, layout
from fsstore.disk.workdir import WorkDirectory
from fsstore.records.responses import FileWrite
from fsstore.records.rewind import FileSnapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from fsstore.codec import Json, Object
    from fsstore.disk.root import Root

#: The mode of a file whose snapshot knows none.
_MODE = 0o644


def snapshot_files(
    paths: Iterable[str | os.PathLike[str] | FileWrite], cwd: str | os.PathLike[str] | None = None
) -> list[FileSnapshot]:
    """Take files as they are, before somebody writes to them; for `DataStore.push_file_snapshots`.

    Args:
        paths: The files, absolute or from `cwd`, or what is to be written to them. A missing file that is to be deleted has
            no snapshot.
        cwd: The working directory, the process's own where None.

    Raises:
        ValueError: A path leads outside the working directory.
        OSError: A file cannot be read, or is no regular one.
    """
    work = WorkDirectory(cwd)
    found = []
    for path in paths:
        below = work.below(path.path if isinstance(path, FileWrite) else path)
        old = work.read(below)
        where = os.path.join(work.path, below)
        if old is not None:
            found.append(FileSnapshot(path=where, content=old[0], mode=old[1]))
        elif not (isinstance(path, FileWrite) and path.delete):
            found.append(FileSnapshot(path=where, did_not_exist=True))
    return found


def kept_files(snapshots: Sequence[FileSnapshot], work: WorkDirectory) -> list[Object]:
    """Give snapshots as a log keeps them, each with the hash of the file as it is now.

    Of several snapshots of one file the first counts: it is how the file was before the run wrote to it again. A file that
    still is as its snapshot says was not written yet; what it will be is not known then, and no hash is kept.

    Raises:
        ValueError: A path leads outside the working directory.
        OSError: A file cannot be read.
    """
    rows: dict[str, Object] = {}
    for snapshot in snapshots:
        below = work.below(snapshot.path)
        if below in rows:
            continue
        row: Object = {"path": below}
        rows[below] = row
        if not snapshot.did_not_exist:
            row["content"] = binascii.b2a_base64(snapshot.content, newline=False).decode()
            if snapshot.mode is not None:
                row["mode"] = snapshot.mode
        old, now = _Kept.of(row), work.read(below)
        if (now and now[0]) != old.data:
            row["after"] = _hash(now and now[0])
    return list(rows.values())


def _hash(data: bytes | None) -> str | None:
    import hashlib  # loads OpenSSL, which few programs need

    return None if data is None else hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file as it was.

    Attributes:
        path: Where it is below the working directory.
        data: Its bytes, None where it was not there.
        mode: Its mode, None where nobody noted it.
        after: The hash of what was written then, None where the file was deleted; only where `known`.
        known: Whether that is known.
    """

    path: str
    data: bytes | None
    mode: int | None
    after: str | None
    known: bool

    @classmethod
    def of(cls, row: Json) -> _Kept:
        """Make it of what a log keeps.

        Raises:
            ValueError: The bytes are no base64.
        """
        data = binascii.a2b_base64(row["content"], strict_mode=True) if "content" in row else None
        return cls(row["path"], data, row.get("mode"), row.get("after"), "after" in row)


@dataclass(slots=True)
class Restoring:
    """One rewind's way through its files; see `RewindResult` for what it gathers.

    Args:
        root: Where bytes are kept that nobody expected.
        work: Where the files are.
        entry_id: The rewind entry.
        force: Whether a file that somebody changed since is overwritten.
    """

    root: Root
    work: WorkDirectory
    entry_id: str
    force: bool
    restored: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, rows: Iterable[Json]) -> None:
        """Restore files; one that fails keeps no other from its turn.

        On disk: Each file is replaced whole, synced. What is neither the file written then nor the one restored is copied
            into the quarantine before.
        Crash: Each file as it was, or restored. Another run finishes what is left.
        """
        for row in rows:
            try:
                self._restore(_Kept.of(row))
            except (OSError, ValueError) as error:
                self.failed[row["path"]] = (error.strerror if isinstance(error, OSError) else None) or str(error)

    def message(self) -> str:
        """Give what people must be told of the files, nothing where all are as they were."""
        said = [f"{path} was changed since and left as it is ({self._copy_of(path)})" for path in self.left]
        said += [f"{path}: {why}" for path, why in self.failed.items()]
        said += [f"{path} was overwritten ({self._copy_of(path)})" for path in self.copies if path in self.restored]
        return f" (file restore warning: {'; '.join(said)})" if said else ""

    def _copy_of(self, path: str) -> str:
        return f"copy: {self.copies[path]}" if path in self.copies else "it was deleted"

    def _restore(self, kept: _Kept) -> None:
        now = self.work.read(kept.path)
        data = now[0] if now else None
        if data == kept.data and (now is None or kept.mode in (None, now[1])):
            return
        expected = data == kept.data or (kept.known and _hash(data) == kept.after)  # in the first case only the mode differs
        if not expected and data is not None:
            self.copies[kept.path] = self._keep(kept.path, data)
        if expected or self.force or not kept.known:
            self._put(kept, now[1] if now else _MODE)
        else:
            self.left.append(kept.path)

    def _put(self, kept: _Kept, mode: int) -> None:
        if kept.data is None:
            self.work.remove(kept.path)
        else:
            temp = layout.restoring_name(os.path.basename(kept.path), self.entry_id)
            self.work.write(kept.path, kept.data, mode if kept.mode is None else kept.mode, temp)
        self.restored.append(kept.path)

    def _keep(self, path: str, data: bytes) -> str:
        """Copy bytes aside that nobody expected; give where."""
        id = clock.new_id()
        self.root.quarantine(os.path.join(self.work.path, path), id, [(0, data, "found where a rewind restores a file")])
        return f"{self.root.path}/{layout.quarantine_paths(id)[0]}"
