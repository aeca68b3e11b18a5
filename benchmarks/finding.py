"""Looking for a thread among many: by its name, by its id, and by the id of one of its messages."""

from __future__ import annotations

import os
import random
import subprocess
import time
from dataclasses import replace
from functools import partial

from benchmarks import sample
from benchmarks.measure import Row, at_least, at_most, check, for_information, fresh, interleave, middle, ratio
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from benchmarks.place import Place

#: Look-ups of a round within one process.
_LOOKUPS = 200
#: Threads that are read before a message of each is looked for.
_READ = 20
#: An id that no message has.
_NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"


class _Questions:
    """A side that is asked one question a round, and must give the right answer.

    Attributes:
        found: What it reported beside the answers, a dictionary a round.
    """

    def __init__(self, ask: Callable[[Any], dict[str, Any]], answers: Iterable[tuple[Any, object]]) -> None:
        self._ask = ask
        self._answers = iter(answers)
        self.found: list[dict[str, Any]] = []

    def __call__(self) -> float:
        question, answer = next(self._answers)
        found = self._ask(question)
        check(f"the answer to {str(question)[:60]}", found["answer"], answer)
        self.found.append(found)
        return float(found["seconds"])


def _ask_all(ask: Callable[[Any], object], keys: list[Any]) -> dict[str, Any]:
    """Look for several keys in this process; give the time of one."""
    start = time.perf_counter()
    answer = [ask(key) for key in keys]
    return {"seconds": (time.perf_counter() - start) / len(keys), "answer": answer}


def _grep(store: str, id: str) -> dict[str, Any]:
    """Have grep look through the message logs; the C locale is its fastest."""
    command = ["grep", "-rlF", "--include=messages.jsonl", id, f"{store}/threads"]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env={**os.environ, "LC_ALL": "C"}, text=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "answer": done.stdout.split("/")[-2] if done.stdout else None}


def _count(place: Place) -> int:
    return 1_000 if place.quick else 10_000


def names(place: Place) -> list[Row]:
    """Look-ups by name and by id."""
    count, rounds = _count(place), 7 if place.quick else 15
    paths = place.threads(count)
    sides = Ours(paths[0], "process"), Sqlite(paths[1])
    draw = random.Random(3)
    rows = []
    for method, what, question, answer in (("path_of", "name", 1, 2), ("name_of", "id", 0, 1)):
        threads = [sample.thread(draw.randrange(count)) for _ in range(rounds * _LOOKUPS)]
        cold = [(thread[question], thread[answer]) for thread in threads]
        programs = [
            _Questions(partial(fresh, "find", kind, path, method), cold)
            for kind, path in zip(("ours", "sqlite"), paths, strict=True)
        ]
        mine, theirs = interleave(rounds, *programs)
        rows.append(_against_sqlite("names", f"opening, and first look-up by {what}", mine, theirs))
        warm = [[*zip(*cold[at : at + _LOOKUPS], strict=True)] for at in range(0, len(cold), _LOOKUPS)]
        asked = [(list(keys), list(answers)) for keys, answers in warm]
        mine, theirs = interleave(rounds, *(_Questions(partial(_ask_all, getattr(side, method)), asked) for side in sides))
        rows.append(_against_sqlite("names", f"look-up by {what} among {count:,}", mine, theirs))
    nobody = [(["nobody's name"], [None])] * rounds
    mine, theirs = interleave(rounds, *(_Questions(partial(_ask_all, side.path_of), nobody) for side in sides))
    rows.append(_against_sqlite("names", f"a name that none of {count:,} has", mine, theirs))
    return rows


def lookup(place: Place) -> list[Row]:
    """Look-ups of a message by its id alone."""
    count, rounds = _count(place), 7 if place.quick else 15
    store, database = place.threads(count)
    draw = random.Random(5)
    places = [(draw.randrange(count), draw.randrange(sample.PER_THREAD)) for _ in range(rounds + 1)]
    asked = [(_id_of(store, *one), f"thread-{one[0]}") for one in places]
    read = [f"thread-{draw.randrange(count)}" for _ in range(_READ)]
    mine = _Questions(lambda id: fresh("lookup", store, id, *read), asked)
    legs = [
        mine,
        _Questions(partial(_grep, store), asked),
        _Questions(
            partial(fresh, "find", "sqlite", database, "thread_of"),
            [(number * sample.PER_THREAD + at + 1, f"thread-{number}") for number, at in places],
        ),
    ]
    interleave(1, *legs)  # warm: files in memory
    cold, grep, theirs = interleave(rounds, *legs)
    again, beside = ([found[name] for found in mine.found[1:]] for name in ("again", "beside"))
    for found in mine.found:
        check("a look-up that decodes no log whole", found["decoded"] < sample.PER_THREAD, True)
    nowhere = [(_NOWHERE, None)] * rounds
    missed, grepped = interleave(
        rounds,
        _Questions(partial(fresh, "find", "ours", store, "thread_of"), nowhere),
        _Questions(partial(_grep, store), nowhere),
    )
    rows = [
        Row("lookup", "a message's id, cold / grep -rl", middle(cold), middle(grep), *at_most(1.5, ratio(cold, grep))),
        Row(
            "lookup",
            "an id that stands nowhere / grep -rl",
            middle(missed),
            middle(grepped),
            *at_most(1.5, ratio(missed, grepped)),
        ),
        Row("lookup", "cold / the same id again", middle(again), middle(cold), *at_least(100, ratio(cold, again))),
        Row("lookup", "cold / of a thread just read", middle(beside), middle(cold), *at_least(100, ratio(cold, beside))),
    ]
    if place.quick:
        rows = [replace(row, met=None) for row in rows]
    return [*rows, _against_sqlite("lookup", "cold", cold, theirs)]


def _id_of(store: str, number: int, at: int) -> str:
    return Ours(store, thread=f"thread-{number}").messages.branch()[at].record_id


def _against_sqlite(name: str, what: str, mine: list[float], theirs: list[float]) -> Row:
    return Row(name, f"SQLite / {what}", middle(mine), middle(theirs), *for_information(ratio(theirs, mine)))
