"""What it costs to add to what was spent on a goal, and to read the goal."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import (
    Row,
    at_most,
    check,
    for_information,
    fresh,
    interleave,
    middle,
    ratio,
    take_turns,
    timed,
)
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_FEW = 10
_READS = 200


class _Accruals:
    """One side's accruals, so many in a round; each must give the sums after it."""

    def __init__(self, side: Ours | Sqlite, count: int) -> None:
        side.create()
        side.set_goal()
        self._side = side
        self._count = count
        self._done = 0

    def __call__(self) -> float:
        return timed(self._accrue) / self._count

    def _accrue(self) -> None:
        for at in range(self._done, self._done + self._count):
            sums = self._side.accrue(at, 1, at)
        self._done += self._count
        check("the goal after an accrual", sums, _sums(self._done))

    def check(self) -> None:
        check("the goal read back", self._side.goal(), _sums(self._done))


def _sums(count: int) -> tuple[int, int, int]:
    """Give tokens, seconds and the latest time after so many accruals."""
    return count * (count - 1) // 2, count, count - 1


def accrue(place: Place) -> list[Row]:
    """Accruals, and a goal with a long ledger."""
    count, rounds = (100, 9) if place.quick else (200, 15)
    rows = [_accruals(place, *both, count, rounds) for both in (("process", "NORMAL"), ("full", "FULL"))]
    return rows + _reading(place, 10_000 if place.quick else 100_000, rounds)


def _accruals(place: Place, durability: str, synchronous: str, count: int, rounds: int) -> Row:
    directory = place.new()
    legs = [
        _Accruals(Ours(f"{directory}/store", durability), count),
        _Accruals(Sqlite(f"{directory}/state.db", synchronous), count),
    ]
    interleave(1, *legs)
    mine, theirs = interleave(rounds, *legs)
    for leg in legs:
        leg.check()
    return Row(
        "accrue", f"SQLite {synchronous} / {durability}", middle(mine), middle(theirs), *for_information(ratio(theirs, mine))
    )


def _reading(place: Place, many: int, rounds: int) -> list[Row]:
    directory = place.new()
    paths = [f"{directory}/long", f"{directory}/short", f"{directory}/state.db"]
    sides: list[Ours | Sqlite] = [Ours(paths[0], "process"), Ours(paths[1], "process"), Sqlite(paths[2])]
    for side, entries in zip(sides, (many, _FEW, many), strict=True):
        accruals = _Accruals(side, entries)
        accruals()
        accruals.check()
    long, short, theirs = interleave(rounds, *(partial(_read_again, side) for side in sides))
    programs = [partial(fresh, "goal", kind, path) for kind, path in zip(("ours", "ours", "sqlite"), paths, strict=True)]
    (cold, _, other), found = take_turns(rounds, *programs)
    for one, entries in zip(found, (many, _FEW, many), strict=True):
        check("the goal in a fresh process", one["sums"], list(_sums(entries)))
    return [
        Row(
            "accrue",
            f"read again, ledger of {many:,} / of {_FEW}",
            middle(long),
            middle(short),
            *at_most(1.2, ratio(long, short)),
        ),
        Row("accrue", f"SQLite / read again, {many:,}", middle(long), middle(theirs), *for_information(ratio(theirs, long))),
        Row("accrue", f"SQLite / first read, {many:,}", middle(cold), middle(other), *for_information(ratio(other, cold))),
    ]


def _read_again(side: Ours | Sqlite) -> float:
    return timed(lambda: [side.goal() for _ in range(_READS)]) / _READS
