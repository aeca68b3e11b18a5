"""A store's folder, drawn with a word about each file."""

from __future__ import annotations

from fsstore import layout
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS = {
    layout.FORMAT_FILE: "the format and its version",
    layout.INDEX: "names and deletions of threads",
    layout.META: "what the thread is",
    layout.MESSAGES: "its message tree, append-only",
    layout.STATUS: "how the run stands",
    layout.OWN: "locks, caches, trash; never copied",
    **dict.fromkeys(layout.CARRIER_FILES, "so that git and rsync carry it well"),
}
_COLUMN = 36


def folder_rows(root: str, thread_name: str) -> Iterator[str]:
    """Draw the files at the root, and all of one thread's."""
    strangers = {f"{root}/{layout.THREADS}/{name}" for name in fs.names(f"{root}/{layout.THREADS}") if name != thread_name}
    for head, name, path in _entries(root, "", strangers):
        word = _WORDS.get(name, "a step of the run" if path.endswith(f"/{layout.STEPS}/{name}") else "")
        yield f"{head}{name}{'/' if fs.is_directory(path) else ''}".ljust(_COLUMN if word else 0) + word


def _entries(directory: str, head: str, strangers: set[str]) -> Iterator[tuple[str, str, str]]:
    names = [name for name in fs.names(directory) if f"{directory}/{name}" not in strangers]
    for name in names:
        path = f"{directory}/{name}"
        last = name == names[-1]
        yield head + ("└─ " if last else "├─ "), name, path
        if name != layout.OWN:
            yield from _entries(path, head + ("   " if last else "│  "), strangers)
