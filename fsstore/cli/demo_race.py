"""The demo's four processes that append to one thread at once; one of them is killed in the middle of a record."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field

from fsstore.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from fsstore.codec import Object

PROCESSES = 4
MESSAGES = 40
#: The last process stops at half of this message.
TEAR_AT = 15
#: How long the killed process is left hanging with the lock held, so that the others come to wait for it.
_HANG = 0.3


class RaceError(StoreError):
    """A process of the demo failed by itself."""

    def __init__(self, name: str, errors: str) -> None:
        super().__init__(f"{name} failed: {errors.strip().rpartition(chr(10))[2] or 'it said nothing'}")


@dataclass(slots=True)
class Racer:
    """One process.

    Attributes:
        acknowledged: The ids of the messages whose append returned in it.
        half: How many bytes of a record it wrote before it was killed; 0 for one that was not.
    """

    name: str
    pid: int
    acknowledged: list[str] = field(default_factory=list)
    half: int = 0

    def hear(self, line: str) -> None:
        """Note what the process printed."""
        word, _, number = line.strip().partition(" ")
        if word == "half":
            self.half = int(number)
        elif line.endswith("\n"):
            self.acknowledged.append(word)

    def sentence(self) -> str:
        """Say for people what became of it."""
        end = f", then {self.half} bytes of half a record, then SIGKILL" if self.half else ""
        return f"{self.name} (pid {self.pid}): {len(self.acknowledged)} acknowledged{end}"

    def report(self) -> Object:
        """Say the same for programs."""
        acknowledged = len(self.acknowledged)
        return {"pid": self.pid, "acknowledged": acknowledged, "killed": self.half > 0, "half_record_bytes": self.half}


def race(root: str, thread_id: str) -> list[Racer]:
    """Have the processes append, and kill the last of them when it has written half a record.

    Raises:
        RaceError: A process that was not to be killed failed.
    """
    with _started(root, thread_id) as processes:
        racers = [Racer(f"process {number}", process.pid) for number, process in enumerate(processes, 1)]
        for process, racer in zip(processes, racers, strict=True):
            if not _pipe(process.stdout).readline():  # it says when it is ready
                raise RaceError(racer.name, _pipe(process.stderr).read())
        for process in processes:
            _pipe(process.stdin).write("go\n")
            _pipe(process.stdin).flush()
        _kill_in_the_middle(processes[-1], racers[-1])
        for process, racer in zip(processes, racers, strict=True):
            _finish(process, racer)
    return racers


@contextlib.contextmanager
def _started(root: str, thread_id: str) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    try:
        for number in range(1, PROCESSES + 1):
            tear_at = TEAR_AT if number == PROCESSES else 0
            arguments = [root, thread_id, f"process {number}", str(MESSAGES), str(tear_at)]
            command = [sys.executable, "-m", "fsstore.cli.demo_worker", *arguments]
            pipe = subprocess.PIPE
            processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8"))  # noqa: S603
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _kill_in_the_middle(process: subprocess.Popen[str], racer: Racer) -> None:
    while not racer.half and (line := _pipe(process.stdout).readline()):
        racer.hear(line)
    time.sleep(_HANG)
    process.kill()


def _finish(process: subprocess.Popen[str], racer: Racer) -> None:
    for line in _pipe(process.stdout):
        racer.hear(line)
    errors = _pipe(process.stderr).read()
    if process.wait() != 0 and not racer.half:
        raise RaceError(racer.name, errors)


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("a process without pipes")
    return stream
