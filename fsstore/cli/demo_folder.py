"""A store's folder, drawn with a word about each file."""

from __future__ import annotations

from fsstore import layout
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS = {
    layout.FORMAT_FILE: "the format and its version",
    layout.INDEX: "names and deletions of threads, append-only",
    layout.META: "what the thread is",
    layout.MESSAGES: "its message tree, append-only",
    layout.STATUS: "how the run stands",
    layout.OWN: "this machine's own: locks, caches, trash; never copied",
    **dict.fromkeys(layout.CARRIER_FILES, "so that git and rsync carry it well"),
}
_COLUMN = 38


def folder_rows(root: str, thread_name: str) -> Iterator[str]:
    """Draw the files at the root, and all of one thread's."""
    for head, name, directory in _entries(root, "", thread_name):
        word = _WORDS.get(name, "a step of the run" if directory.endswith(f"/{layout.STEPS}") else "")
        slash = "/" if fs.is_directory(f"{directory}/{name}") else ""
        yield f"{head}{name}{slash}".ljust(_COLUMN) + word if word else f"{head}{name}{slash}"


def _entries(directory: str, head: str, thread_name: str) -> Iterator[tuple[str, str, str]]:
    names = fs.names(directory)
    if directory.endswith(f"/{layout.THREADS}") and not head.startswith("│  │"):
        names = [name for name in names if name == thread_name]
    for name in names:
        last = name == names[-1]
        yield head + ("└─ " if last else "├─ "), name, directory
        if name != layout.OWN:
            yield from _entries(f"{directory}/{name}", head + ("   " if last else "│  "), thread_name)
