"""What stands in the trash: one entry for each deletion."""

from __future__ import annotations

import stat as _stat
from contextlib import suppress
from dataclasses import dataclass

from fsstore import clock, layout
from fsstore.disk import document, fs, trees
from fsstore.errors import CorruptError, InvalidNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.disk.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """Something that was deleted and can be brought back.

    Attributes:
        id: The id of the deletion.
        path: Where it stood, below the root.
        kind: What it is: thread, goal, checkpoint, checkpoint of a run, job, workflow run, branch run, leaf run, control node
            run, teacher candidate; or `other`, which the store did not delete.
        item_id: Its id; None where that cannot be read.
        thread_id: The thread that it is, or was part of; None where there is none, or its id cannot be read.
        name: What it was called, where it can have a name.
        deleted_at: When it was deleted, in Unix seconds.
        size: The sizes of its files, in bytes.
    """

    id: str
    path: str
    kind: str
    item_id: str | None
    thread_id: str | None
    name: str | None
    deleted_at: int
    size: int


def read_entry(root: Root, id: str) -> Trashed | None:
    """Read the entry of a deletion; None where there is none, or nothing is left of it."""
    directory = f"{root.path}/{layout.TRASH}/{id}"
    if not clock.is_id(id) or not fs.is_directory(directory):
        return None
    path = _place(directory)
    return None if path == directory else describe(path, path.removeprefix(f"{directory}/"), id)


def describe(path: str, below: str, id: str) -> Trashed | None:
    """Say what stands at a path, that `id` deleted from its place below the root; None where no file is left of it."""
    sizes = []
    with suppress(FileNotFoundError):  # somebody brings it back just now
        files = [fs.own_status(path), *(status for _, status in trees.walk(path))]
        sizes = [status.st_size for status in files if not _stat.S_ISDIR(status.st_mode)]
    if not sizes:
        return None
    kind = layout.trashed_kind(below)
    fields = _fields(f"{path}/{_HEADS[kind]}" if kind in _HEADS else path)
    item_id, name = _id(fields, below), fields.get("name")
    in_thread = below.startswith(f"{layout.THREADS}/")
    return Trashed(
        id=id,
        path=below,
        kind=kind,
        item_id=item_id,
        thread_id=(item_id if kind == "thread" else _id({}, below.split("/")[1])) if in_thread else None,
        name=name if isinstance(name, str) else None,
        deleted_at=clock.seconds_of(id),
        size=sum(sizes),
    )


#: The document that says what a directory is.
_HEADS = {"thread": layout.META, "workflow run": layout.RUN}


def _place(directory: str) -> str:
    """Give what was deleted: the directory of a thread or a workflow run, or what alone stands in the entry."""
    path, below = directory, 0
    while fs.is_directory(path):
        names = fs.names(path)
        if len(names) != 1 or (below == 2 and names[0] in _HEADS.values()):  # threads/<thread>
            break
        path, below = f"{path}/{names[0]}", below + 1
    return path


def _fields(path: str) -> Object:
    with suppress(CorruptError, OSError):
        return document.read_any(path) or {}
    return {}


def _id(fields: Object, below: str) -> str | None:
    if isinstance(fields.get("id"), str):
        return str(fields["id"])
    with suppress(InvalidNameError):
        return layout.decode_name(below.rpartition("/")[2].removesuffix(layout.DOCUMENT_SUFFIX))
    return None
