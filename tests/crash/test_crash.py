from __future__ import annotations

from pathlib import Path

import pytest
from crash_harness import Operation, problems, record
from crash_operations import OPERATIONS

from fsstore.testing.crash_states import power_cuts

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name.replace(" ", "-"))


@every_operation
def test_a_power_cut_leaves_before_or_after(operation: Operation, tmp_path: Path, seed: int):
    recording = record(operation, tmp_path / "world")
    recorder = recording.recorder
    wrong = list(problems(recording, power_cuts(recorder.before, recorder.calls, seed=seed), tmp_path / "after"))
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:3])
