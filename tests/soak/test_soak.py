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
#: Descriptors that a survivor may have: its four stores' (see `soak.FEW`), a reader's, and its own.
DESCRIPTORS = 4 * 16 + 16
#: KiB that it may have more in the last quarter than in the second, beside what its stores keep of the logs that all share:
#: of each record less than its bytes. (In a short soak some things are still done for the first time.)
MORE_MEMORY, MORE_AT_FIRST, STORES = 1024, 4096, 4


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
    figures(f"soak: {found}, survivors grew by (descriptors, KiB, bytes of what all know) {grown or 'nobody knows: no /proc'}")
    assert found["wrong"] == []
    assert found["kills"] >= 3
    assert found["acknowledged"] >= 200
    assert max(descriptors for one in samples for descriptors, _, _ in one) <= DESCRIPTORS
    for _, memory, known in grown:
        assert memory <= (MORE_MEMORY if campaign else MORE_AT_FIRST) + STORES * known // 1024


def growth(samples: list[list[int]]) -> tuple[int, ...]:
    """Give how much more there was in a process's last quarter than in its second: descriptors, KiB, bytes that all know."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    first, last = (map(statistics.median, zip(*part, strict=True)) for part in (early, late))
    return tuple(round(after - before) for before, after in zip(first, last, strict=True))
