"""What the tests' own children leave behind: nothing, whatever the test did."""

from __future__ import annotations

import os
import signal

import processes
import pytest


def hangs() -> None:
    processes.say(os.getpid())
    signal.pause()


def test_a_child_that_a_test_leaves_is_killed_after_it():
    child = processes.start(hangs)
    pid = child.hear()
    processes.kill_all()  # as tests/conftest.py does after each test
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(OSError, match="handle is closed"):
        child.tell("go on")
