"""A sync of a real process fails once (EIO, injected by strace): it is told, and nothing acknowledged later is lost,
whatever the disk then drops of the file."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from acknowledged import KILLS_LEAVE, Claims, broken_claims, stuck
from test_kill import ENVIRONMENT, HERE, needs_strace

from fsstore import layout

SYNCS = ("fdatasync", "fsync")
#: How many syncs of each name fail in the short run, in each mode.
SHORT = 2


def scenario(mode: str, place: Path, who: str, *tracer: str | Path) -> None:
    script = [sys.executable, HERE / "sync_scenario.py", mode, place / "store", place / f"{who}.notes", place / "drops", who]
    done = subprocess.run([*tracer, *script], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def sync_points(place: Path) -> list[tuple[str, int]]:
    """Each sync that the scenario makes: its name, and its number among those of its name."""
    log = place / "strace.log"
    scenario("go-on", place, "first", "strace", "-f", "-qq", "-o", log, "-e", f"trace={','.join(SYNCS)}")
    counts = Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE))
    return [(name, number) for name in SYNCS for number in range(1, counts[name] + 1)]


def drop(place: Path) -> list[Path]:
    """Have the disk drop what a failed sync left in doubt; give the logs that still are the file it failed for, unmarked."""
    unmarked = []
    for about in (place / "drops").glob("*.json"):
        said, file = json.loads(about.read_text()), about.with_suffix("")
        with open(file, "r+b") as dropped:
            dropped.seek(said["start"])
            dropped.write(bytes(said["end"] - said["start"]))
        log = Path(said["path"])
        mark = place / "store/.fsstore/tainted" / layout.taint_name(str(log.relative_to(place / "store")))
        if log.suffix == ".jsonl" and log.exists() and log.samefile(file) and not mark.exists():
            unmarked.append(log)
    return unmarked


def failed_at(point: tuple[str, int], mode: str, prepared: Path, place: Path) -> list[str]:
    """Let a sync fail; let another process write to everything, or `go-on` alone; drop the bytes; say what is wrong."""
    name, number = point
    shutil.copytree(prepared, place)
    inject = f"inject={name}:error=EIO:when={number}"
    scenario(mode, place, "first", "strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={name}", "-e", inject)
    if mode == "stop":
        scenario("go-on", place, "second")
    wrong = [f"{path} is still the file whose sync failed, and nobody is told" for path in drop(place)]
    notes = lambda: place.glob("*.notes")  # noqa: E731  # the same for all three
    if len(Claims(notes()).told) != 1:
        wrong.append("nobody was told, or twice")
    wrong += broken_claims(place / "store", notes)
    wrong += stuck(place / "store", KILLS_LEAVE | {"nul"})
    wrong += broken_claims(place / "store", notes)
    shutil.rmtree(place)
    return [f"{mode}, {name} {number} failed: {one}" for one in wrong]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    needs_strace()
    place = tmp_path / "prepared"
    place.mkdir()
    scenario("prepare", place, "zero")
    return place


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_a_sync_that_fails_once_is_told_and_loses_nothing(
    prepared: Path, tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    shutil.copytree(prepared, tmp_path / "dry")
    points = sync_points(tmp_path / "dry")
    cases = [(point, mode) for point in points for mode in ("stop", "go-on")]
    if not campaign:
        chance = random.Random(seed)
        some = [
            [case for case in cases if (case[0][0], case[1]) == (name, mode)] for name in SYNCS for mode in ("stop", "go-on")
        ]
        cases = [case for of_one_kind in some for case in chance.sample(of_one_kind, SHORT)]
    with ThreadPoolExecutor(2) as pool:
        numbered = enumerate(cases)
        results = pool.map(lambda at: failed_at(*at[1], prepared, tmp_path / f"point-{at[0]}"), numbered)
        wrong = [one for result in results for one in result]
    figures(f"a sync fails once: {len(cases):,} of {len(points) * 2:,} cases, {len(wrong)} wrong")
    assert wrong == []


def test_a_store_that_syncs_the_same_file_again_is_caught(prepared: Path, tmp_path: Path):
    shutil.copytree(prepared, tmp_path / "dry")
    *_, last = (point for point in sync_points(tmp_path / "dry") if point[0] == "fdatasync")  # of an append
    assert any("is lost" in one for one in failed_at(last, "retry", prepared, tmp_path / "point"))
