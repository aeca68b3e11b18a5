"""What the import costs."""

from __future__ import annotations

from functools import partial
from statistics import median

from benchmarks.measure import Row, at_most, check, fresh, middle, run, take_turns
from benchmarks.ours import Ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_STATEMENTS = ("import fsstore", "from fsstore import Store")
#: Imports nothing beside what is timed, so that nothing of it is there already.
_PROGRAM = """
from time import perf_counter
start = perf_counter()
{}
print('{{"seconds": %r}}' % (perf_counter() - start))
"""


def imports(place: Place) -> list[Row]:
    """Time over importing orjson, and when filelock is imported."""
    programs = [partial(run, "-c", _PROGRAM.format(statement)) for statement in ("import orjson", *_STATEMENTS)]
    (base, *times), _ = take_turns(7 if place.quick else 21, *programs)
    rows = []
    for statement, mine in zip(_STATEMENTS, times, strict=True):
        over = median(own - other for own, other in zip(mine, base, strict=True))
        rows.append(Row("import", f"{statement} - orjson", middle(mine), middle(base), *at_most(25, over * 1000, " ms")))
    return [*rows, _filelock(place)]


def _filelock(place: Place) -> Row:
    path = f"{place.new()}/store"
    Ours(path).create()
    found = fresh("first-write", path)
    check("filelock after the first write", found["after"], True)
    value = "imported" if found["before"] else "not imported"
    return Row("import", "filelock before the first write", value, "", value, "not imported", not found["before"])
