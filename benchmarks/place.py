"""Where the files of a run go, and what is built once for several benchmarks."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import sample
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite


class Place:
    """A directory that goes with the run.

    Attributes:
        quick: Whether the run is a short one.
    """

    def __init__(self, root: str | None, *, quick: bool) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="fsstore-benchmark-", dir=root)
        self.path = Path(self._temporary.name)
        self.quick = quick
        self._built: dict[int, tuple[str, str]] = {}

    def new(self) -> Path:
        """Give a new directory."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def linear(self, count: int) -> tuple[str, str]:
        """Give a store and a database that hold the same linear thread of so many messages."""
        if count not in self._built:
            print(f"  building a thread of {count:,} messages on both sides ...", file=sys.stderr)
            directory = self.new()
            paths = self._built[count] = f"{directory}/store", f"{directory}/state.db"
            for side in (Ours(paths[0]), Sqlite(paths[1])):
                side.create()
                for batch in sample.batches(0, count):
                    side.extend(side.prepare(batch))  # type: ignore[arg-type]  # each side takes its own
                side.close()
        return self._built[count]

    def close(self) -> None:
        """Delete everything."""
        self._temporary.cleanup()
