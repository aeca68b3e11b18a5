"""What it costs to keep a large state, and to read it."""

from __future__ import annotations

from benchmarks import sample
from benchmarks.measure import Row, check, for_information, interleave, middle, ratio, timed
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_NAME = "before-refactor"


class _Saved:
    """One side's checkpoint, saved again each round with another state."""

    def __init__(self, side: Ours | Sqlite) -> None:
        side.create()
        self._side = side
        self._turn = 0

    def save(self) -> float:
        self._turn += 1
        return timed(self._side.save, _NAME, sample.state(self._turn))

    def load(self) -> float:
        return timed(self._side.saved, _NAME)

    def check(self) -> None:
        check("the state", self._side.saved(_NAME), sample.state(self._turn))


def checkpoint(place: Place) -> list[Row]:
    """A state of 1 MB, saved and read."""
    rows = []
    for durability, synchronous in (("process", "NORMAL"), ("full", "FULL")):
        directory = place.new()
        mine, theirs = _Saved(Ours(f"{directory}/store", durability)), _Saved(Sqlite(f"{directory}/state.db", synchronous))
        legs = mine.save, theirs.save, mine.load, theirs.load
        interleave(2, *legs)
        saved, other_saved, loaded, other_loaded = interleave(9 if place.quick else 41, *legs)
        for side in (mine, theirs):
            side.check()
        rows += [
            _row(f"SQLite {synchronous} / save, {durability}", saved, other_saved),
            _row(f"SQLite {synchronous} / load, {durability}", loaded, other_loaded),
        ]
    return rows


def _row(what: str, mine: list[float], theirs: list[float]) -> Row:
    return Row("checkpoint", what, middle(mine), middle(theirs), *for_information(ratio(theirs, mine)))
