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
from acknowledged import broken_claims, stuck

import fsstore

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(fsstore.__file__).parents[1]),
    "PYTHONDONTWRITEBYTECODE": "1",  # a script must make the same calls every time
}
CHANGING = ("write", "fdatasync", "fsync", "rename", "openat", "mkdir", "unlink", "ftruncate", "flock")
#: How many of the calls of each name are killed in the short run.
SHORT = 3


@pytest.mark.timeout(900)
@pytest.mark.campaign
def test_killed_writers_lose_nothing_that_was_acknowledged(
    tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    command = [sys.executable, HERE / "kill_campaign.py", tmp_path, str(seed), "300" if campaign else "7"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    figures("kill: {rounds:,} rounds, {kills:,} kills, {acknowledged:,} acknowledged, {torn:,} torn lines".format(**found))
    assert found["wrong"] == []
    assert found["kills"] >= 16
    assert found["acknowledged"] >= 50


def needs_strace() -> None:
    """Skip where system calls cannot be changed from outside."""
    if not shutil.which("strace"):
        pytest.skip("no strace here: no system call was killed or failed from outside")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("no right to trace a process here (ptrace): no system call was killed or failed from outside")


def scenario(part: str, place: Path, *tracer: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*tracer, sys.executable, HERE / "kill_scenario.py", part, place / "store", place / f"{part}.notes"]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def kill_points(place: Path) -> list[tuple[str, int]]:
    """Each changing call that the scenario makes below its root: its name, and its number among those of its name."""
    log = place / "strace.log"
    done = scenario("play", place, "strace", "-f", "-y", "-qq", "-o", log, "-e", f"trace={','.join(CHANGING)}")
    assert done.returncode == 0, done.stderr
    counts: Counter[str] = Counter()
    points = []
    for line in log.read_text().splitlines():
        found = re.match(r"\d+ +(\w+)\(", line)
        if not found:
            continue
        name = found[1]
        counts[name] += 1
        if str(place / "store") in line and (name != "openat" or "O_CREAT" in line):
            points.append((name, counts[name]))
    return points


def some_of_each(points: list[tuple[str, int]], chance: random.Random) -> list[tuple[str, int]]:
    named = [[point for point in points if point[0] == name] for name in CHANGING]
    return [point for of_one_name in named for point in chance.sample(of_one_name, min(len(of_one_name), SHORT))]


def killed_at(point: tuple[str, int], prepared: Path, place: Path) -> list[str]:
    name, number = point
    shutil.copytree(prepared, place)
    inject = f"inject={name}:signal=SIGKILL:when={number}"
    done = scenario("play", place, "strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={name}", "-e", inject)
    wrong = [] if done.returncode == -9 else [f"not killed, but ended with {done.returncode}: {done.stderr}"]
    wrong += broken_claims(place / "store", lambda: place.glob("*.notes"))
    wrong += stuck(place / "store")
    wrong += broken_claims(place / "store", lambda: place.glob("*.notes"))
    shutil.rmtree(place)
    return [f"killed at {name} {number}: {one}" for one in wrong]


@pytest.mark.campaign
def test_a_kill_at_each_system_call_loses_nothing_that_was_acknowledged(
    tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
):
    needs_strace()
    prepared, dry = tmp_path / "prepared", tmp_path / "dry"
    prepared.mkdir()
    assert scenario("prepare", prepared).returncode == 0
    shutil.copytree(prepared, dry)
    every = kill_points(dry)
    assert {name for name, _ in every} == set(CHANGING)
    points = every if campaign else some_of_each(every, random.Random(seed))
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda at: killed_at(points[at], prepared, tmp_path / f"point-{at}"), range(len(points)))
        wrong = [one for result in results for one in result]
    figures(f"kill at a call: {len(points):,} of {len(every):,} changing system calls, {len(wrong)} wrong")
    assert wrong == []
