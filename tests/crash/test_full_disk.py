"""Every operation at every amount of room on a disk: what does not fit is refused, whole and clearly, and can be done again."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crash_harness import Desk, Operation, view
from crash_operations import NO_META, OPERATIONS, noted
from mounts import Mount, mounted

from fsstore import Store

#: Which operations are tried in the short run too, and how many others.
ALWAYS = ("append of a long message", "extend by several pages", "create thread", "delete thread", "compact a session")
SHORT = 15
MANY = 100_000


class Sweep:
    """A disk in memory on which operations are tried with more and more room."""

    def __init__(self, disk: Mount) -> None:
        self.disk = disk
        self.world = disk.directory / "world"
        self.refused = 0

    def pages(self, free: int) -> None:
        self.disk.leave_free(free * os.sysconf("SC_PAGE_SIZE"))

    def inodes(self, free: int) -> None:
        status = os.statvfs(self.disk.directory)
        self.disk.remount(f"nr_inodes={status.f_files - status.f_ffree + free}")

    def make_room(self) -> None:
        self.disk.free()
        self.disk.remount(f"nr_inodes={MANY}")

    def play(self, operation: Operation, limit: Callable[[int], None]) -> Iterator[str]:
        """Do an operation with no room, then with a little more each time, until all of it fits; give what is wrong."""
        for free in itertools.count():
            self.world.mkdir()
            refused = self.refused
            wrong = list(self._try(operation, lambda free=free: limit(free)))
            shutil.rmtree(self.world)
            yield from (f"{operation.name}, {limit.__name__}={free}: {one}" for one in wrong)
            if wrong or refused == self.refused:
                return

    def _try(self, operation: Operation, fill: Callable[[], None]) -> Iterator[str]:
        root = self.world / operation.place
        operation.prepare(Desk(root))
        desk, before, found = Desk(root), view(root), problems(root, operation)
        first = found
        fill()
        for step in operation.steps:
            try:
                step(desk)
            except OSError as error:
                self.refused += 1
                if (type(error), error.errno) != (OSError, errno.ENOSPC):
                    yield f"refused with {error!r}"
                if not error.filename:
                    yield f"{error!r} names no file"
                left = view(root)
                if problems(root, operation) != found:
                    yield f"check finds {problems(root, operation)}"
                self.make_room()
                step(desk)
                # A name is noted only where there is room for the thread's document.
                allowed = [] if operation.between is noted else operation.between(before, view(root))
                if left != before and left not in allowed:
                    yield "what was refused was done, or half done"
            before = view(root)
            found = problems(root, operation)
        self.make_room()
        desk.store.close()
        if problems(root, operation) - first:
            yield f"check finds {problems(root, operation) - first} in the end"


def problems(root: Path, operation: Operation) -> set[tuple[str, str]]:
    """Give the paths and kinds of what `check` finds beside what the operation may leave when it is cut short."""
    if not (root / "fsstore.json").exists():
        return set()
    with Store.open(root, read_only=True) as store:
        leaves = operation.leaves if operation.name in BEGUN_AGAIN else operation.leaves - NO_META
        return {(problem.path, problem.kind) for problem in store.check() if problem.kind not in leaves}


#: A thread of an id that was deleted: where its meta.json finds no room, the log that begins with a `clear` stays.
BEGUN_AGAIN = ("create a deleted thread again", "delete, create again, delete again", "delete a session and append to it")
#: What a refusal leaves as a crash would (FORMAT.md, *Operations*), and not as it was.
HALF_DONE = (
    "restore thread",
    "restore thread, delete and restore it again",
    "restore what stood in directories that are gone",
)


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_what_finds_no_room_is_refused_and_changes_nothing(
    tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    """Promise 1, for a full disk: what cannot be kept is refused, with the system's error, and nothing torn is left.

    What can be seen is the state before, or one of those that a crash may leave in between (FORMAT.md, *Operations*).
    Once there is room the operation can be done again, and so can all others.
    """
    # What is refused is done again; and a thread of which the restoration cannot be noted is back until the next `open`.
    alone = [one for one in OPERATIONS if one.repeats and one.name not in HALF_DONE]
    always, others = ([one for one in alone if (one.name in ALWAYS) is kind] for kind in (True, False))
    assert len(always) == len(ALWAYS)
    chosen = always + (others if campaign else random.Random(seed).sample(others, SHORT))
    with mounted("tmpfs", tmp_path, megabytes=8) as disk:
        sweep = Sweep(disk)
        wrong = [one for operation in chosen for limit in (sweep.pages, sweep.inodes) for one in sweep.play(operation, limit)]
        figures(
            f"full disk: {len(chosen)} of {len(OPERATIONS)} operations, {sweep.refused:,} times refused, {len(wrong)} wrong"
        )
    assert wrong == []
    assert sweep.refused >= len(chosen)
