"""Real writers whom a disk, a limit or a mount refuses something: nothing acknowledged is lost, and they go on afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import processes
import pytest
import refused_children
from acknowledged import Claims, broken_claims, stuck
from kill_campaign import prepare
from mounts import Mount, mounted

from fsstore import Store

#: What `check` may find where creations were refused: a directory whose document found no room.
REFUSALS_LEAVE = frozenset(("no-meta", "no-run", "abandoned-run"))
#: And where a quota refuses even to cut off what was written (ftruncate(2) on btrfs, which zeroes a page first): what is left
#: of the refused append stays, and of a batch perhaps records whose parent is in the part that was zeroed.
QUOTAS_LEAVE = REFUSALS_LEAVE | {"torn", "nul", "not-json", "missing-parent"}


class Refusals:
    """A store whose writers are refused something; their notes are elsewhere."""

    def __init__(self, root: Path, place: Path, seed: int, leave: frozenset[str] = REFUSALS_LEAVE) -> None:
        self.root = root
        self.place = place
        self.leave = leave
        self.chance = random.Random(seed)
        self.rounds = 0
        self.refused: Counter[tuple[str, int]] = Counter()
        with Store.open(root) as store:
            prepare(store)

    def notes(self) -> list[Path]:
        return list(self.place.glob("*.notes"))

    def write(self, refusals: int = 12, **limits: int) -> None:
        """Have two writers go on until each was refused so often."""
        self.rounds += 1
        all_args = [(*self.arguments(number), refusals, *limits.values()) for number in range(2)]
        for refused in processes.run_all(refused_children.goes_on, all_args):
            self.refused += refused

    def arguments(self, number: int = 0) -> tuple[str, Path, float]:
        return str(self.root), self.place / f"r{self.rounds}w{number}.notes", self.chance.random()

    def wrong(self) -> Iterator[str]:
        """Give what is lost, torn or left; nothing is written for that."""
        yield from broken_claims(self.root, self.notes)
        with Store.open(self.root, read_only=True) as store:
            yield from (f"check finds {problem}" for problem in store.check() if problem.kind not in self.leave)

    def wrong_afterwards(self) -> list[str]:
        """Write to everything once there is room; give what is wrong then."""
        return [*stuck(self.root, self.leave), *self.wrong()]

    def line(self) -> str:
        return f"{self.refused.total()} times refused, 0 of {len(Claims(self.notes()))} acknowledged lost"


@pytest.mark.damaged
@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "btrfs"])
def test_writers_on_a_full_disk_lose_nothing_and_go_on_once_there_is_room(
    kind: str, tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    """Promise 1, for a full disk (btrfs: a quota that is used up, where even cutting off what was written may be refused)."""
    if kind == "btrfs" and not shutil.which("btrfs"):
        pytest.skip("no btrfs here: no quota can be set")
    with mounted(kind, tmp_path, megabytes=128 if kind == "btrfs" else 24) as disk:
        refusals = Refusals(disk.directory / "store", tmp_path, seed, QUOTAS_LEAVE if kind == "btrfs" else REFUSALS_LEAVE)
        for _ in range(12 if campaign else 2):
            fill(disk, kind, refusals.chance.randrange(1 << 18))
            refusals.write()
            assert list(refusals.wrong()) == []
            make_room(disk, kind)
            assert refusals.wrong_afterwards() == []
        figures(f"full {kind}: {refusals.line()}")
    assert {number for _, number in refusals.refused} == {errno.EDQUOT if kind == "btrfs" else errno.ENOSPC}


def fill(disk: Mount, kind: str, count: int) -> None:
    if kind == "btrfs":
        disk.limit_by_quota(count)
    else:
        disk.leave_free(count)


def make_room(disk: Mount, kind: str) -> None:
    if kind == "btrfs":
        disk.limit_by_quota(None)
    else:
        disk.free()


@pytest.mark.damaged
@pytest.mark.campaign
def test_writers_whose_files_may_not_grow_lose_nothing(
    root: Path, tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    """Promise 1, for short writes: as on a full disk, and any user can play it (setrlimit(2), RLIMIT_FSIZE)."""
    refusals = Refusals(root, tmp_path, seed)
    for _ in range(10 if campaign else 1):
        refusals.write(40, file_size=refusals.chance.randrange(3_000, 30_000))
        assert list(refusals.wrong()) == []
    assert refusals.wrong_afterwards() == []
    figures(f"files that may not grow: {refusals.line()}")
    assert {number for _, number in refusals.refused} == {errno.EFBIG}


@pytest.mark.damaged
@pytest.mark.campaign
def test_a_writer_without_descriptors_loses_nothing_and_leaks_none(
    root: Path, tmp_path: Path, seed: int, figures: Callable[[str], None]
):
    """Promise 1, for a process that may open no more files (EMFILE): refused clearly, and none stays open afterwards."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not tell what a process holds open")
    refusals = Refusals(root, tmp_path, seed)
    refused, left_open = processes.run(refused_children.goes_on_without_descriptors, *refusals.arguments())
    refusals.refused += refused
    assert len(set(left_open)) == 1, left_open
    assert list(refusals.wrong()) == []
    assert refusals.wrong_afterwards() == []
    figures(f"no descriptors: {refusals.line()}")
    assert {number for _, number in refused} == {errno.EMFILE}


@pytest.mark.damaged
def test_on_a_disk_that_became_read_only_all_can_be_read_and_nothing_is_half_written(
    tmp_path: Path, figures: Callable[[str], None]
):
    """Promises 1 and 3, for a file system that goes read-only under a store: clear errors, readers need no writing."""
    with mounted("ext4", tmp_path, megabytes=24) as disk:
        root = disk.directory / "store"
        with Store.open(root) as store:
            prepare(store)
        with processes.start(refused_children.reads_and_is_refused, str(root)) as writer:
            assert writer.hear() == "ready"
            disk.remount("ro")
            writer.tell("go")
            refused = writer.result()
        disk.remount("rw")
        assert list(stuck(root)) == []
    figures(f"read-only disk: {refused.total()} operations, {sum(refused[one] for one in refused if one[1])} refused")
    allowed = {("delete", 0), ("compact", 0)}  # it has no thread that it could delete, and nothing to compact
    assert {one for one in refused if one[1] != errno.EROFS} <= allowed
