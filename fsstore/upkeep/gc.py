"""gc: free what serves nobody. It touches no data, nothing in the trash, and nothing in quarantine."""

from __future__ import annotations

import os.path
from dataclasses import dataclass

from fsstore.disk import trees
from fsstore.upkeep.leftovers import empty_directories, lock_of, lost_taints, stale_stamps, temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from fsstore.disk.root import Root

    Finder: TypeAlias = Callable[[str], Iterator[str]]

#: What is looked for, and why it serves nobody.
_WHY: tuple[tuple[Finder, str], ...] = (
    (temporary, "its writer is gone"),
    (stale_stamps, "it does not fit its log any more"),
    (lost_taints, "its log is gone"),
    (empty_directories, "nothing is left in it"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """Something that served nobody.

    Attributes:
        path: Where it was, below the root.
        size: The sizes of its files, in bytes.
        reason: Why it served nobody.
    """

    path: str
    size: int
    reason: str


def gc(root: Root, *, dry_run: bool) -> list[Freed]:
    """Free what serves nobody, or only find it; see `Store.gc`."""
    if not dry_run:
        root.check_writable()
    found = []
    for find, reason in _WHY:
        for path in list(find(root.path)):
            size = trees.usage(path)[0]
            if dry_run or _free(root, find, path):
                found.append(Freed(path=path.removeprefix(f"{root.path}/"), size=size, reason=reason))
    return found


def _free(root: Root, find: Finder, path: str) -> bool:
    root.check_no_link(os.path.dirname(path))
    lock = lock_of(root.path, path)
    with root.locks.together((lock,) if lock else ()):
        if lock and path not in find(root.path):
            return False  # somebody uses it since
        # What came into a directory of the trash since is no litter.
        return trees.remove_empty(path) if find is empty_directories else trees.discard(path)
