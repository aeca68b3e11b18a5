"""The one command; see `--help`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time

from benchmarks import appends, checkpoints, contention, finding, goals, machine, reading, runs, sessions, start
from benchmarks.measure import Row, WrongResultError
from benchmarks.place import Place

_BENCHMARKS = {
    "append": appends.process,
    "durable": appends.full,
    "batch": appends.batch,
    "shared": contention.shared,
    "separate": contention.separate,
    "newest": reading.newest,
    "branch": reading.branch,
    "memory": reading.memory,
    "accrue": goals.accrue,
    "checkpoint": checkpoints.checkpoint,
    "names": finding.names,
    "lookup": finding.lookup,
    "session": sessions.turns,
    "sessions": sessions.listing,
    "search": sessions.search,
    "runs": runs.runs,
    "import": start.imports,
}
_VERDICTS = {True: "met", False: "NOT MET", None: "not judged"}


def main() -> int:
    """Run the benchmarks named; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure fsstore against the floor and against SQLite, in turn and in the same run, check every result, and"
        " say whether the reaches are met. Exit code 1: something that was written is not what was read back.",
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds; not every reach can be judged")
    parser.add_argument("--only", action="append", choices=_BENCHMARKS, metavar="NAME", help=", ".join(_BENCHMARKS))
    parser.add_argument("--root", metavar="DIR", help="where the files go while it runs (default: the system's temporary one)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    place = Place(options.root, quick=options.quick)
    rows: list[Row] = []
    begin = time.monotonic()
    try:
        about = machine.describe(str(place.path))
        for name in options.only or _BENCHMARKS:
            print(f"{name} ...", file=sys.stderr)
            rows += _BENCHMARKS[name](place)
    except WrongResultError as error:
        print(f"wrong result: {error}", file=sys.stderr)
        return 1
    finally:
        place.close()
    about["seconds"] = f"{time.monotonic() - begin:.0f}"
    if options.json:
        print(json.dumps({"machine": about, "rows": [dataclasses.asdict(row) for row in rows]}, indent=2))
    else:
        _print_table(about, rows)
    return 0


def _print_table(about: dict[str, str], rows: list[Row]) -> None:
    print(*(f"{name}: {value}" for name, value in about.items()), sep="\n", end="\n\n")
    table = [("benchmark", "what", "fsstore", "against", "value", "reach", "")]
    table += [(*dataclasses.astuple(row)[:-1], _VERDICTS[row.met] if row.reach else "") for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    unjudged = [row.what for row in rows if row.reach and row.met is None]
    if unjudged:
        print(f"\nA quick run cannot judge: {'; '.join(unjudged)}.")


if __name__ == "__main__":
    sys.exit(main())
