"""Writers whom the system refuses something, and who go on."""

from __future__ import annotations

import os
import random
import resource
from collections import Counter
from pathlib import Path

import processes
from acknowledged import Notes
from kill_campaign import Writer

from fsstore import Store

_NEVER = resource.RLIM_INFINITY


class UnlimitedNotes(Notes):
    """Notes for which no limit of a file's size counts."""

    def note(self, what: str, *details: str) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_NEVER, _NEVER))
        super().note(what, *details)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def goes_on(root: str, notes: Path, seed: float, refusals: int, file_size: int = _NEVER) -> Counter[tuple[str, int]]:
    """Do one thing after another, noted once it has returned, until so many were refused; give the errors and their errno."""
    writer = Writer(Path(root), "full", UnlimitedNotes(notes), notes.name.partition(".")[0], random.Random(seed))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, _NEVER))
    refused: Counter[tuple[str, int]] = Counter()
    while refused.total() < refusals:
        try:
            writer.work()
        except OSError as error:
            refused[type(error).__name__, error.errno] += 1
    return refused


def goes_on_without_descriptors(root: str, notes: Path, seed: float) -> tuple[Counter[tuple[str, int]], list[int]]:
    """Do the same while there are no, one, two, ... descriptors left; give the errors, and how many were open after each."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    writer = Writer(Path(root), "full", Notes(notes), notes.name.partition(".")[0], random.Random(seed))
    refused: Counter[tuple[str, int]] = Counter()
    left_open = []
    for spare in range(20):
        taken = _take_all()
        for fd in taken[:spare]:
            os.close(fd)
        for _ in range(40):
            try:
                writer.once()
            except OSError as error:
                refused[type(error).__name__, error.errno] += 1
        for fd in taken[spare:]:
            os.close(fd)
        writer.store.close()
        left_open.append(len(os.listdir("/proc/self/fd")))
    return refused, left_open


def _take_all() -> list[int]:
    taken = []
    while True:
        try:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return taken


def reads_and_is_refused(root: str) -> Counter[tuple[str, int]]:
    """Write; once the parent has made the disk read-only, try every operation that changes something, and read."""
    writer = Writer(Path(root), "full", Notes(os.devnull), "w", random.Random(0))
    for _ in range(20):
        writer.append()
    writer.store.close()  # while a file is open for writing no disk becomes read-only
    processes.say("ready")
    processes.hear()
    refused: Counter[tuple[str, int]] = Counter()
    for operation in writer.operations:
        try:
            operation()
        except OSError as error:
            refused[type(error).__name__, error.errno] += 1
        else:
            refused[operation.__name__, 0] += 1
    with Store.open(root) as store:  # nothing need be written to read
        assert len(store.thread("shared-0").messages) + len(store.thread("shared-1").messages) == 20
    return refused
