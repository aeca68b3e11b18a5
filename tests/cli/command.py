"""The command line as a user has it: a process of its own, its output captured, or a terminal of so many columns."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "fsstore.cli"]
#: Seconds after which a command is taken for hung.
PATIENCE = 60
_PROJECT = str(Path(__file__).resolve().parents[2])
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def lines(self) -> list[Any]:
        """Give the JSON values of the lines of the output."""
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self, code: int) -> str:
        """Give the one line of an error that ended the command with `code`, and printed nothing else."""
        assert (self.code, self.out) == (code, ""), self
        assert re.fullmatch(r"fsstore: [^\n]+\n", self.err), self.err
        return self.err.removeprefix("fsstore: ").rstrip("\n")


def environment(**more: str) -> dict[str, str]:
    """Give an environment of the tests' own: nothing of the user's settings, no store of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FSSTORE", "PYTHON", "COLUMNS", "XDG"))}
    return {**kept, "PYTHONPATH": _PROJECT, "HOME": "/nonexistent", "NO_COLOR": "1", "TZ": "UTC", **more}


def fsstore(*arguments: str | Path, stdin: bytes = b"", command: list[str] = COMMAND, **env: str) -> Result:
    """Run a command to its end."""
    line = [*command, *map(str, arguments)]
    done = subprocess.run(line, input=stdin, capture_output=True, env=environment(**env), timeout=PATIENCE)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def begun(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Begin a command, to be spoken with by pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=pipe, stdout=pipe, stderr=pipe, env=environment())


def terminal(*arguments: str | Path, columns: int = 80) -> Result:
    """Run a command in a terminal, which shows output and errors alike; give what it showed, colours left out."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(TERM="xterm-256color")
    line = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says EIO when the last writer is gone
            while block := os.read(ours, 1 << 16):
                shown += block
        os.close(ours)
        code = process.wait(PATIENCE)
    return Result(code, _COLOUR.sub("", shown.decode().replace("\r\n", "\n")), "")


def everything(root: str | Path) -> dict[str, tuple[int, bytes | None]]:
    """Give every entry below a directory: its time of modification, and its bytes."""
    entries = sorted(Path(root).rglob("*"))
    return {str(entry): (entry.stat().st_mtime_ns, entry.read_bytes() if entry.is_file() else None) for entry in entries}
