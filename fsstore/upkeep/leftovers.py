"""What serves nobody any more: shared by `check`, which says so, and `gc`, which frees it."""

from __future__ import annotations

import os.path

from fsstore import clock, layout
from fsstore.disk import fs, machine, trees
from fsstore.resources import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds after which the temporary file of another machine, or of no writer of ours, and what a deletion left are nobody's.
_OLD = 86_400


def temporary(root: str) -> Iterator[str]:
    """Give each file under `.fsstore/tmp` whose writer is gone.

    Whether a process of another machine lives cannot be told: its files count once they are a day old.
    """
    for name in _names(root, layout.TMP):
        path = f"{root}/{layout.TMP}/{name}"
        made_by = layout.parse_temp_name(name)
        if made_by and made_by[0] == layout.temp_host(machine.host()):
            if not machine.is_running(made_by[1]):
                yield path
        elif clock.now() - fs.changed_at(path) > _OLD:
            yield path


def stale_stamps(root: str) -> Iterator[str]:
    """Give each stamp that does not fit its log."""
    for name in _names(root, layout.CACHE):
        path = f"{root}/{layout.CACHE}/{name}"
        if not stamp.fits(path, f"{root}/{layout.THREADS}/{layout.stamped_name(name)}/{layout.MESSAGES}"):
            yield path


def lost_taints(root: str) -> Iterator[str]:
    """Give each taint mark whose log is neither in its place nor in the trash, from where it may come back."""
    for name in _names(root, layout.TAINTED):
        below = layout.tainted_log(name)
        trashed = (layout.trash_path(below, deletion) for deletion in _names(root, layout.TRASH))
        if not any(fs.is_file(f"{root}/{one}") for one in (below, *trashed)):
            yield f"{root}/{layout.TAINTED}/{name}"


def empty_directories(root: str) -> Iterator[str]:
    """Give each directory of the trash with nothing but directories below it, that of a deletion itself, deepest first.

    A deletion makes them one after the other, and no lock keeps the upper ones: they count once it is a day old.
    """
    for deletion in _names(root, layout.TRASH):
        top = f"{root}/{layout.TRASH}/{deletion}"
        if clock.is_id(deletion) and clock.now() - clock.seconds_of(deletion) > _OLD and fs.is_directory(top):
            below = [path for path, _ in trees.walk(top)]
            if all(map(fs.is_directory, below)):
                yield from (*reversed(below), top)


def _names(root: str, below: str) -> list[str]:
    """Give the names in a directory of the store's own; not where a symbolic link leads."""
    fs.check_no_link(f"{root}/{below}", root)
    return fs.names(f"{root}/{below}")


def lock_of(root: str, path: str) -> str:
    """Give the lock under which something that these functions gave is deleted, empty where none is needed."""
    below = path.removeprefix(f"{root}/")
    if os.path.dirname(below) == layout.TAINTED:
        return layout.lock_of(layout.tainted_log(os.path.basename(below)))
    if not below.startswith(f"{layout.TRASH}/"):
        return ""
    place = "/".join(below.split("/")[3:])  # .fsstore/trash/<deletion>/
    # A deletion makes the directory above what it will move there: of a thread no more than `threads`.
    return layout.store_lock(layout.INDEX) if place == layout.THREADS else layout.lock_of(place) if place else ""
