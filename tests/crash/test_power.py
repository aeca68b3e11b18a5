"""The power goes while real processes write: nothing that was acknowledged at full durability is lost."""

from __future__ import annotations

import errno
import itertools
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import power_children
import processes
import pytest
from acknowledged import KILLS_LEAVE, Claims, broken_claims, stuck
from kill_campaign import prepare
from mounts import LOG_DROPPED, LOG_FLUSHED, Mount, mounted

from fsstore import CorruptError, Store

#: What `check` may find once the power is back: bytes that were never confirmed, of appends and of creations.
POWER_LEAVES = KILLS_LEAVE | {"nul"}
NO_SYNC = """
int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
int sync_file_range(int fd, long long offset, long long count, unsigned flags) { return 0; }
"""


class Power:
    """A store on a disk of its own, with writers whose power goes; their notes are on another disk."""

    def __init__(self, disk: Mount, place: Path, seed: int, *under: str) -> None:
        self.disk = disk
        self.place = place
        self.root = disk.directory / "store"
        self.chance = random.Random(seed)
        self.under = under
        self.rounds = 0
        with Store.open(self.root) as store:
            prepare(store)

    def notes(self) -> list[Path]:
        return list(self.place.glob("*.notes"))

    def cut(self, durabilities: tuple[str, ...], how: int) -> None:
        """Let writers begin, one of each durability, cut their power at some moment, and mount what is left."""
        with ExitStack() as running:
            writers = [running.enter_context(self._spawn(*each)) for each in enumerate(durabilities)]
            for writer in writers:
                assert writer.hear() == "begins"
            self._wait_for(self._count() + self.chance.randrange(20, 80))
            self._bind()
            self.disk.shut_down(how)
            assert {writer.result() for writer in writers} == {errno.EIO}
        self.disk.mount_again()
        self.rounds += 1

    def _bind(self) -> None:
        """Copy what was acknowledged at full durability in this round so far.

        While a file system is being shut down, the kernel calls a sync done that was not (seen on ext4 and xfs with plain
        write and fdatasync). Nobody is told anything while the power goes, so what is told from here on binds nobody.
        """
        for notes in self.place.glob(f"r{self.rounds}w*.full.notes"):
            shutil.copy(notes, notes.with_suffix(".bound"))

    def bound(self) -> list[Path]:
        return list(self.place.glob("*.bound"))

    def _wait_for(self, count: int) -> None:
        end = time.monotonic() + processes.PATIENCE
        while self._count() < count:
            assert time.monotonic() < end, "the writers do nothing"
            time.sleep(0.001)

    def _count(self) -> int:
        return sum(notes.read_bytes().count(b"\n") for notes in self.place.glob("*.full.notes"))

    def _spawn(self, number: int, durability: str) -> processes.Process:
        notes = self.place / f"r{self.rounds}w{number}.{durability}.notes"
        arguments = (str(self.root), durability, notes, self.chance.random())
        return processes.start(power_children.writes_until_refused, *arguments, under=self.under)

    def wrong(self) -> list[str]:
        """Give what was promised and is not so."""
        wrong = [*self.lost(), *stuck(self.root, POWER_LEAVES)]
        return wrong + list(self.lost())

    def lost(self) -> Iterator[str]:
        """Give what was acknowledged at full durability and is not so."""
        return broken_claims(self.root, self.notes, self.bound)

    def found(self) -> dict[str, int]:
        """Give how often `check` finds what."""
        with Store.open(self.root, read_only=True) as store:
            return dict(sorted(Counter(problem.kind for problem in store.check()).items()))


@pytest.fixture(params=["ext4", "xfs"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.damaged
@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("durabilities", [("full",) * 3, ("full", "process", "process")], ids=["full", "full beside process"])
def test_what_was_acknowledged_at_full_durability_is_there_when_the_power_comes_back(
    kind: str, durabilities: tuple[str, ...], tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    """Promise 1, for a power cut: none of what `full` acknowledged is lost, whatever others wrote at `process` beside it.

    What is left can be read, no document is torn, and the store goes on; the next power cut finds it as good.
    """
    with mounted(kind, tmp_path, megabytes=400) as disk:
        power = Power(disk, tmp_path, seed)
        for how in itertools.islice(itertools.cycle((LOG_DROPPED, LOG_FLUSHED)), 40 if campaign else 2):
            power.cut(durabilities, how)
            assert power.wrong() == []
        told = len(Claims(power.bound()))
        figures(f"power, {kind}, {' '.join(durabilities)}: {power.rounds} cuts, 0 of {told:,} lost, {power.found()}")
    assert told >= 10 * power.rounds


def without_sync(place: Path) -> tuple[str, ...]:
    """Give the command under which a program's syncs do nothing."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc here: syncs cannot be taken out")
    source, library = place / "no_sync.c", place / "no_sync.so"
    source.write_text(NO_SYNC)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return ("env", f"LD_PRELOAD={library}")


@pytest.mark.damaged
@pytest.mark.campaign
def test_with_the_syncs_taken_out_a_power_cut_is_seen_to_lose(
    kind: str, tmp_path: Path, seed: int, figures: Callable[[str], None]
):
    """The same test, blind: were a sync missing, it would see that."""
    with mounted(kind, tmp_path, megabytes=400) as disk:
        power = Power(disk, tmp_path, seed, *without_sync(tmp_path))
        power.cut(("full",) * 3, LOG_DROPPED)
        lost = []
        try:
            lost.extend(power.lost())
        except CorruptError as error:
            lost.append(str(error))
        told = len(Claims(power.bound()))
        figures(f"power, {kind}, syncs taken out: {len(lost):,} losses seen, of {told:,} acknowledged")
    assert lost
