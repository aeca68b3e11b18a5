"""The writers of the power campaign."""

from __future__ import annotations

import random
from pathlib import Path

import processes
from acknowledged import Notes
from kill_campaign import Writer


def writes_until_refused(root: str, durability: str, notes: Path, seed: float) -> int | None:
    """Do one thing after another, each noted once it has returned, until the disk refuses; give the errno."""
    writer = Writer(Path(root), durability, Notes(notes), notes.name.partition(".")[0], random.Random(seed))
    processes.say("begins")
    try:
        writer.work()
    except OSError as error:
        return error.errno
    raise AssertionError("no writer ends by itself")
