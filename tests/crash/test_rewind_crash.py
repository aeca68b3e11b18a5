"""A rewind that dies at any of its system calls can be run again, and comes to the same end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from crash_harness import Desk, dead_pid, working_directory
from data_operations import rewindable, session

from fsstore.disk import machine
from fsstore.testing.trace import Killed, Recorder


def rewound(world: Path, dies_at: int | None) -> int:
    """Rewind, and die before a call of it; rewind again in another process's name; give how many calls it was."""
    world.mkdir()
    desk = Desk(world / "store")
    rewindable(desk)
    real, machine.pid = machine.pid, dead_pid
    try:
        with Recorder(world, dies_at=dies_at) as recorder, suppress(Killed):
            session(Desk(desk.root)).rewinds.rewind()
    finally:
        machine.pid = real
    data = session(Desk(desk.root))
    if len(data.rewinds):
        assert data.rewinds.rewind().file_msg == ""
    work = working_directory(desk.root)
    files = {str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()}
    assert files == {"changed": "old", "gone": "taken away"}
    assert [run.note for run in data.metadata().runs] == ["[rewound] Applied: changed", ""]
    assert (data.histories.all(), len(data.rewinds)) == ({}, 0)
    return len(recorder.calls)


def test_a_rewind_that_died_anywhere_can_be_run_again(tmp_path: Path):
    count = rewound(tmp_path / "whole", None)
    assert count > 10
    for dies_at in range(count):
        rewound(tmp_path / f"dies at {dies_at}", dies_at)
