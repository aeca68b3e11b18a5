"""Where the files of a run go, and what is built once for several benchmarks."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import sample
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Place:
    """A directory that goes with the run.

    Attributes:
        quick: Whether the run is a short one.
    """

    def __init__(self, root: str | None, *, quick: bool) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="fsstore-benchmark-", dir=root)
        self.path = Path(self._temporary.name)
        self.quick = quick
        self._built: dict[str, tuple[str, str]] = {}

    def new(self) -> Path:
        """Give a new directory."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def linear(self, count: int) -> tuple[str, str]:
        """Give a store and a database that hold the same linear thread of so many messages."""
        return self._build(f"a thread of {count:,} messages", partial(_fill_one, count))

    def threads(self, count: int) -> tuple[str, str]:
        """Give a store and a database that hold the same threads of 100 messages each; see `sample.thread`."""
        return self._build(f"{count:,} threads", partial(_fill_many, count))

    def _build(self, what: str, fill: Callable[[Ours | Sqlite], None]) -> tuple[str, str]:
        if what not in self._built:
            print(f"  building {what} on both sides ...", file=sys.stderr)
            directory = self.new()
            paths = self._built[what] = f"{directory}/store", f"{directory}/state.db"
            for side in (Ours(paths[0]), Sqlite(paths[1])):
                side.create()
                fill(side)
                side.close()
        return self._built[what]

    def close(self) -> None:
        """Delete everything."""
        self._temporary.cleanup()


def _fill_one(count: int, side: Ours | Sqlite) -> None:
    for batch in sample.batches(0, count):
        side.extend(side.prepare(batch))  # type: ignore[arg-type]  # each side takes its own


def _fill_many(count: int, side: Ours | Sqlite) -> None:
    for number in range(count):
        side.begin(*sample.thread(number))
