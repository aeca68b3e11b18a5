"""sizes: what in a store takes the space."""

from __future__ import annotations

import os.path
from dataclasses import dataclass

from fsstore import layout
from fsstore.disk import document, fs, trees
from fsstore.errors import CorruptError, InvalidNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a part of a store takes.

    Attributes:
        kind: thread, jobs, workflows, recipes, session_index, prompt_history, trash, quarantine, cache; `other` is the rest.
        path: Where it is, below the root; empty for the rest.
        id: A thread's id, where it can be read.
        name: What a thread is called, if anything.
        size: The sizes of its files, in bytes.
        disk: What they and their directories take on the disk, in bytes.
        messages: How many bytes of a thread's are its messages.jsonl.
        files: How many files there are.
    """

    kind: str
    path: str
    id: str | None = None
    name: str | None = None
    size: int = 0
    disk: int = 0
    messages: int = 0
    files: int = 0


#: What is told of as one, under its name without what follows a dot.
_WHOLES = (
    layout.JOBS,
    layout.WORKFLOWS,
    layout.RECIPES,
    layout.INDEX,
    layout.PROMPTS,
    layout.TRASH,
    layout.QUARANTINE,
    layout.CACHE,
)


def sizes(root: str) -> list[Size]:
    """Give what each part of a store takes, the biggest first; see `Store.sizes`."""
    threads = [_thread(root, name) for name in fs.names(f"{root}/{layout.THREADS}")]
    wholes = [_size(layout.store_lock(os.path.basename(below)), root, below) for below in _WHOLES]
    whole = trees.usage(root)
    told = [(one.size, one.disk, one.files) for one in (*threads, *wholes)]
    size, disk, files = (total - sum(parts) for total, parts in zip(whole, zip(*told, strict=True), strict=True))
    rest = Size(kind="other", path="", size=max(0, size), disk=max(0, disk), files=max(0, files))
    found = [one for one in (*threads, *wholes, rest) if one.files or one.disk]
    return sorted(found, key=lambda one: (-one.disk, -one.size, one.path))


def _size(kind: str, root: str, below: str, **more: str | int | None) -> Size:
    size, disk, files = trees.usage(f"{root}/{below}")
    return Size(kind=kind, path=below, size=size, disk=disk, files=files, **more)  # type: ignore[arg-type]  # its own fields


def _thread(root: str, name: str) -> Size:
    below = f"{layout.THREADS}/{name}"
    try:
        fields = document.read(f"{root}/{below}/{layout.META}") or {}
        id = layout.decode_name(name) or fields.get("id")
    except (CorruptError, InvalidNameError, OSError):
        fields, id = {}, None
    called = fields.get("name")
    return _size(
        "thread",
        root,
        below,
        id=id if isinstance(id, str) else None,
        name=called if isinstance(called, str) else None,
        messages=trees.usage(f"{root}/{below}/{layout.MESSAGES}")[0],
    )
