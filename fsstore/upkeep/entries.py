"""What `check` sees of a store's files without opening them: links, rights, and copies that a sync tool left."""

from __future__ import annotations

import stat as _stat

from fsstore import layout
from fsstore.disk import fs
from fsstore.upkeep.problems import problem_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.upkeep.problems import Problem


def problems(root: str) -> Iterator[Problem]:
    """Give the problems of all entries below the root, and of the root itself; what is not the store's is passed over."""
    yield from _loose(root, root, fs.own_status(root).st_mode)
    for name in fs.names(root):
        if name in layout.TOP_LEVEL or layout.is_conflict_copy(name):
            yield from _entry(root, f"{root}/{name}", name)


def _entry(root: str, path: str, name: str) -> Iterator[Problem]:
    try:
        mode = fs.own_status(path).st_mode
    except FileNotFoundError:
        return  # gone since it was listed
    except OSError as error:
        yield problem_at(root, path, "unreadable", str(error))
        return
    if _stat.S_ISLNK(mode):
        yield problem_at(root, path, "symlink", "a symbolic link; nothing is read or written through it")
        return
    if layout.is_conflict_copy(name):
        yield problem_at(root, path, "conflict-copy", "a copy that a sync tool or an editor left; nothing reads it")
    yield from _loose(root, path, mode)
    if _stat.S_ISDIR(mode):
        try:
            below = fs.names(path)
        except OSError as error:
            yield problem_at(root, path, "unreadable", str(error))
            return
        for name in below:
            yield from _entry(root, f"{path}/{name}", name)
    elif layout.is_directory_place(path.removeprefix(f"{root}/")):
        yield problem_at(root, path, "stranger", "a directory belongs here")


def _loose(root: str, path: str, mode: int) -> Iterator[Problem]:
    if mode & 0o077:
        yield problem_at(root, path, "permissions", f"others than its owner may use it (mode {mode & fs.RIGHTS:04o})")
