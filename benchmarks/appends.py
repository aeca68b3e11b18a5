"""What an append costs: one by one, one by one on the medium, and in batches."""

from __future__ import annotations

from benchmarks import floor, sample
from benchmarks.floor import Floor
from benchmarks.measure import Row, at_least, at_most, check, interleave, middle, ratio, timed
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from benchmarks.place import Place
    from benchmarks.sample import Said

_BATCH = 100


class _Leg:
    """One way to write, a part of the sample in each round; in the end all that it wrote is read back."""

    def __init__(self, count: int, write: Callable[[Any], None], said: Callable[[], list[Said]]) -> None:
        self._count = count
        self._write = write
        self._said = said
        self._written = 0

    def prepare(self, said: list[Said]) -> Any:
        return said

    def __call__(self) -> float:
        prepared = self.prepare(sample.messages(self._written, self._count))
        self._written += self._count
        return timed(self._write, prepared) / self._count

    def check(self) -> None:
        check(f"what {type(self).__name__} wrote", self._said(), sample.messages(0, self._written))


class _OneByOne(_Leg):
    def __init__(self, side: Ours | Sqlite, count: int) -> None:
        super().__init__(count, self._append, side.said)
        self._side = side

    def _append(self, said: list[Said]) -> None:
        append = self._side.append
        for one in said:
            append(one)


class _Batches(_Leg):
    def __init__(self, side: Ours | Sqlite, count: int) -> None:
        super().__init__(count, self._extend, side.said)
        self._side = side

    def prepare(self, said: list[Said]) -> Any:
        return [self._side.prepare(said[at : at + _BATCH]) for at in range(0, len(said), _BATCH)]

    def _extend(self, batches: list[Any]) -> None:
        extend = self._side.extend
        for batch in batches:
            extend(batch)


class _Locked(_Leg):
    def __init__(self, log: Floor, count: int) -> None:
        super().__init__(count, log.append_each, log.said)

    def prepare(self, said: list[Said]) -> Any:
        return [floor.record_of(one) for one in said]


class _Synced(_Leg):
    def __init__(self, log: Floor, count: int) -> None:
        super().__init__(count, log.append_each_synced, log.said)

    def prepare(self, said: list[Said]) -> Any:
        return [floor.line_of(one) for one in said]


def _measure(rounds: int, *legs: _Leg) -> list[list[float]]:
    for leg in legs:
        leg()  # warm: files open, caches filled
    figures = interleave(rounds, *legs)
    for leg in legs:
        leg.check()
    return figures


def _sides(place: Place, durability: str, synchronous: str) -> tuple[Floor, Ours, Sqlite]:
    directory = place.new()
    ours, sqlite = Ours(f"{directory}/store", durability), Sqlite(f"{directory}/state.db", synchronous)
    ours.create()
    sqlite.create()
    return Floor(f"{directory}/floor.jsonl"), ours, sqlite


def process(place: Place) -> list[Row]:
    """Appends that survive the death of the process."""
    log, ours, sqlite = _sides(place, "process", "NORMAL")
    count, rounds = (500, 9) if place.quick else (1000, 25)
    least, mine, theirs = _measure(rounds, _Locked(log, count), _OneByOne(ours, count), _OneByOne(sqlite, count))
    return [
        Row("append", "process / floor", middle(mine), middle(least), *at_most(5, ratio(mine, least))),
        Row("append", "SQLite NORMAL / process", middle(mine), middle(theirs), *at_least(4, ratio(theirs, mine))),
    ]


def full(place: Place) -> list[Row]:
    """Appends that survive a power cut."""
    log, ours, sqlite = _sides(place, "full", "FULL")
    count, rounds = (100, 9) if place.quick else (200, 15)
    least, mine, theirs = _measure(rounds, _Synced(log, count), _OneByOne(ours, count), _OneByOne(sqlite, count))
    return [
        Row("durable", "full / write + fdatasync", middle(mine), middle(least), *at_most(1.4, ratio(mine, least))),
        Row("durable", "SQLite FULL / full", middle(mine), middle(theirs), *at_least(1, ratio(theirs, mine))),
    ]


def batch(place: Place) -> list[Row]:
    """Batches, per message."""
    _, ours, sqlite = _sides(place, "process", "NORMAL")
    _, single, _ = _sides(place, "process", "NORMAL")
    count, rounds = (1000, 9) if place.quick else (2000, 25)
    legs = _OneByOne(single, count // 4), _Batches(ours, count), _Batches(sqlite, count)
    alone, mine, theirs = _measure(rounds, *legs)
    return [
        Row("batch", "in a batch of 100 / single append", middle(mine), middle(alone), *at_most(0.5, ratio(mine, alone))),
        Row("batch", "SQLite's batch / batch", middle(mine), middle(theirs), *at_least(4, ratio(theirs, mine))),
    ]
