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
    from collections.abc import Callable, Iterable, Sequence
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
    draw = random.Random(3)
    rows = []
    for method, what, key, answer in (("path_of", "name", 1, 2), ("name_of", "id", 0, 1)):
        threads = [[sample.thread(draw.randrange(count)) for _ in range(_LOOKUPS)] for _ in range(rounds)]
        once = [(batch[0][key], batch[0][answer]) for batch in threads]
        many = [([one[key] for one in batch], [one[answer] for one in batch]) for batch in threads]
        rows.append(_against_sqlite("names", f"opening, and first look-up by {what}", *_find_fresh(paths, method, once)))
        rows.append(_against_sqlite("names", f"look-up by {what} among {count:,}", *_find_here(paths, method, many)))
    nobody = [(["nobody's name"], [None])] * rounds
    return [*rows, _against_sqlite("names", f"a name that none of {count:,} has", *_find_here(paths, "path_of", nobody))]


def _find_fresh(paths: tuple[str, str], method: str, answers: Sequence[tuple[Any, object]]) -> list[list[float]]:
    """Ask both sides, each question in a process of its own."""
    sides = zip(("ours", "sqlite"), paths, strict=True)
    return interleave(len(answers), *(_Questions(partial(fresh, "find", *side, method), answers) for side in sides))


def _find_here(paths: tuple[str, str], method: str, answers: Sequence[tuple[Any, object]]) -> list[list[float]]:
    """Ask both sides in this process, which has looked up names before."""
    sides = Ours(paths[0], "process"), Sqlite(paths[1])
    for side in sides:
        side.path_of("nobody's name")
    return interleave(len(answers), *(_Questions(partial(_ask_all, getattr(side, method)), answers) for side in sides))


def lookup(place: Place) -> list[Row]:
    """Look-ups of a message by its id alone."""
    count, rounds = _count(place), 7 if place.quick else 15
    store, database = place.threads(count)
    draw = random.Random(5)
    places = [(draw.randrange(count), draw.randrange(sample.PER_THREAD)) for _ in range(rounds + 1)]
    asked = [(_id_of(store, *one), f"thread-{one[0]}") for one in places]
    numbers = [(number * sample.PER_THREAD + at + 1, f"thread-{number}") for number, at in places]
    read = [f"thread-{draw.randrange(count)}" for _ in range(_READ)]
    mine = _Questions(lambda question: fresh("lookup", store, question, *read), asked)
    grep = _Questions(partial(_grep, store), asked)
    sqlite = _Questions(partial(fresh, "find", "sqlite", database, "thread_of"), numbers)
    interleave(1, mine, grep, sqlite)  # warm: files in memory
    cold, grepped, theirs = interleave(rounds, mine, grep, sqlite)
    for (_, thread), found in zip(asked, mine.found, strict=True):
        check("a look-up that decodes no log whole", found["decoded"] < sample.PER_THREAD, True)
        check("the answers to warm look-ups", found["answers"], [thread] * _READ + read)
    again, beside = ([found[name] for found in mine.found[1:]] for name in ("again", "beside"))
    rows = [
        _row("cold / grep -rl of the id", cold, grepped, at_most(1.5, ratio(cold, grepped))),
        _nowhere(store, rounds),
        _row("cold / the same id again", again, cold, at_least(100, ratio(cold, again))),
        _row("cold / an id of a thread just read", beside, cold, at_least(100, ratio(cold, beside))),
    ]
    if place.quick:
        rows = [replace(row, met=None) for row in rows]
    return [*rows, _against_sqlite("lookup", "cold", cold, theirs)]


def _nowhere(store: str, rounds: int) -> Row:
    answers = [(_NOWHERE, None)] * rounds
    mine = _Questions(partial(fresh, "find", "ours", store, "thread_of"), answers)
    missed, grepped = interleave(rounds, mine, _Questions(partial(_grep, store), answers))
    return _row("an id that stands nowhere / grep -rl", missed, grepped, at_most(1.5, ratio(missed, grepped)))


def _row(what: str, mine: list[float], other: list[float], judged: tuple[str, str, bool]) -> Row:
    return Row("lookup", what, middle(mine), middle(other), *judged)


def _id_of(store: str, number: int, at: int) -> str:
    return Ours(store, thread=f"thread-{number}").messages.branch()[at].record_id


def _against_sqlite(name: str, what: str, mine: list[float], theirs: list[float]) -> Row:
    return Row(name, f"SQLite / {what}", middle(mine), middle(theirs), *for_information(ratio(theirs, mine)))
