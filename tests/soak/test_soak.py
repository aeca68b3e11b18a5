"""Everything at once, for long: nothing acknowledged is lost, and nothing grows that should not."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fsstore

HERE = Path(__file__).parent
#: Descriptors that a survivor may have: its four stores' (see `soak.OPEN_FILES`), a reader's, and its own.
DESCRIPTORS = 4 * 16 + 16
#: KiB that it may have more in the end than in the middle.
MORE_MEMORY = 30_000


@pytest.mark.campaign
@pytest.mark.damaged
@pytest.mark.timeout(1800)
def test_a_store_that_everything_happens_to_holds_what_was_acknowledged(
    tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
) -> None:
    seconds, processes = ("300", "8") if campaign else ("10", "4")
    path = os.pathsep.join(map(str, (HERE, Path(fsstore.__file__).parents[1])))
    command = [sys.executable, HERE / "soak.py", tmp_path, str(seed), seconds, processes]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    samples = found.pop("samples")
    grown = [growth(one) for one in samples]
    figures(f"soak: {found}, survivors grew by (descriptors, KiB) {grown or 'nobody knows: no /proc'}")
    assert found["wrong"] == []
    assert found["kills"] >= 5
    assert found["acknowledged"] >= 200
    assert max(descriptors for one in samples for descriptors, _ in one) <= DESCRIPTORS
    assert max(memory for _, memory in grown) <= MORE_MEMORY


def growth(samples: list[list[int]]) -> tuple[int, int]:
    """Give how much more a process had in its last quarter than in its second: descriptors, KiB."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    first, last = (map(statistics.median, zip(*part, strict=True)) for part in (early, late))
    descriptors, memory = (round(after - before) for before, after in zip(first, last, strict=True))
    return descriptors, memory
