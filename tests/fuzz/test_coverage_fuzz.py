"""Coverage-guided fuzzing, where atheris is installed (`pip install 'fsstore[fuzz]'`)."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fsstore

HERE = Path(__file__).parent


@pytest.mark.damaged
@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_no_bytes_that_reach_new_code_crash_a_reader(
    tmp_path: Path, seed: int, campaign: bool, figures: Callable[[str], None]
) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: nothing is fuzzed by coverage")
    path = os.pathsep.join(map(str, (HERE, HERE.parent, Path(fsstore.__file__).parents[1])))
    how = "-max_total_time=300" if campaign else "-runs=1000"
    command = [sys.executable, HERE / "fuzz_target.py", tmp_path, how, f"-seed={seed or 1}", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    [runs] = re.findall(r"Done (\d+) runs", said)
    figures(f"fuzz by coverage: {runs} runs, {len(list((tmp_path / 'corpus').iterdir()))} inputs that reach new code")
    assert int(runs) >= 1000
