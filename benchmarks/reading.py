"""What a fresh process pays to read a thread."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks import sample
from benchmarks.measure import Row, at_least, at_most, check, fresh, middle, ratio, take_turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_NEWEST = 50
_MEGABYTE = 1_000_000


def _loads(place: Place, count: int, limit: int, rounds: int) -> tuple[list[float], list[float]]:
    """Read the newest messages of a thread, all of them where the limit is 0, in fresh processes of each side in turn."""
    store, database = place.linear(count)
    programs = partial(fresh, "load", "ours", store, limit), partial(fresh, "load", "sqlite", database, limit)
    (mine, theirs), found = take_turns(rounds, *programs)
    first = count - limit if limit else 0
    expected = sample.digest(itertools.chain.from_iterable(sample.batches(first, count)))
    for side in found:
        check(f"the branch of {count} messages", side["digest"], expected)
    return mine, theirs


def newest(place: Place) -> list[Row]:
    """The newest messages of a branch."""
    small, large, rounds = (10_000, 100_000, 7) if place.quick else (10_000, 1_000_000, 21)
    rows, times = [], []
    for count in (small, large):
        mine, theirs = _loads(place, count, _NEWEST, rounds)
        reach = at_least(1.2, ratio(theirs, mine))
        rows.append(Row("newest", f"SQLite / newest 50 of {count:,}", middle(mine), middle(theirs), *reach))
        times.append(mine)
    value, reach, met = at_most(1.5, ratio(times[1], times[0]))
    what = f"newest 50 of {large:,} / of {small:,}"
    return [*rows, Row("newest", what, middle(times[1]), middle(times[0]), value, reach, None if place.quick else met)]


def branch(place: Place) -> list[Row]:
    """The whole branch."""
    mine, theirs = _loads(place, 100_000, 0, 3 if place.quick else 9)
    reach = at_least(1.3, ratio(theirs, mine))
    return [Row("branch", "SQLite / whole branch of 100,000", middle(mine), middle(theirs), *reach)]


def memory(place: Place) -> list[Row]:
    """The memory of a scan."""
    count = 100_000 if place.quick else 1_000_000
    found = fresh("scan", place.linear(count)[0])
    check("a scan", found["digest"], sample.digest(itertools.chain.from_iterable(sample.batches(0, count))))
    value, reach, met = at_most(60, found["peak"] / _MEGABYTE, " MB")
    return [Row("memory", f"peak of a scan of {count:,}", value, "", value, reach, None if place.quick else met)]
