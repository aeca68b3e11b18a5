"""Four processes that append at once: started together, for a fixed time."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import closing
from functools import partial
from statistics import median

from benchmarks import sample
from benchmarks.measure import Row, at_least, at_most, check, ratio, show_time
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier
    from typing import TypeAlias

    from benchmarks.place import Place
    from benchmarks.sample import Said

    #: Opens the side under test, at a thread.
    Opener: TypeAlias = Callable[..., Ours | Sqlite]

_PROCESSES = 4
_START_TIMEOUT = 60.0


class _Outcome:
    """What the processes of one round did: how much each, how fast together, and the longest that one append took."""

    def __init__(self, seconds: float, done: list[tuple[int, float]]) -> None:
        self.counts = [count for count, _ in done]
        self.throughput = sum(self.counts) / seconds
        self.worst = max(worst for _, worst in done)
        self.fairness = min(self.counts) / max(self.counts)


def _said(worker: int, number: int) -> Said:
    role, content = sample.message(number)
    return role, f"{worker} {content}"


def _work(open_side: Opener, thread: str, worker: int, seconds: float, barrier: Barrier, answer: Connection) -> None:
    """Append for so long; answer with how many it were and the longest wait."""
    side = open_side(thread=thread)
    side.append(_said(worker, 0))
    now, count, worst = time.perf_counter, 1, 0.0
    barrier.wait(_START_TIMEOUT)
    before = now()
    end = before + seconds
    while before < end:
        said = _said(worker, count)
        start = now()
        side.append(said)
        before = now()
        worst = max(worst, before - start)
        count += 1
    answer.send((count, worst))
    side.close()


def _race(open_side: Opener, threads: list[str], seconds: float) -> _Outcome:
    """Let the processes run, one for each thread named, and check what they wrote."""
    with closing(open_side(thread=threads[0])) as side:
        side.create(*dict.fromkeys(threads))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(threads))
    workers = []
    for number, thread in enumerate(threads):
        answer, question = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(open_side, thread, number, seconds, barrier, question))
        worker.start()
        question.close()  # so that a worker that dies is noticed
        workers.append((worker, answer))
    done = []
    for worker, answer in workers:
        done.append(answer.recv())
        worker.join()
    outcome = _Outcome(seconds, done)
    for thread in dict.fromkeys(threads):
        mine = {number: outcome.counts[number] for number, other in enumerate(threads) if other == thread}
        with closing(open_side(thread=thread)) as side:
            _check_branch(side.said(), mine)
    return outcome


def _check_branch(branch: list[Said], counts: dict[int, int]) -> None:
    """One line of messages must hold those of every process, each once and in its own order."""
    check("messages on the branch", len(branch), sum(counts.values()))
    next_of = dict.fromkeys(counts, 0)
    for said in branch:
        worker = int(said[1].split(" ", 1)[0])
        check("a message on the branch", said, _said(worker, next_of[worker]))
        next_of[worker] += 1


def _races(place: Place, threads: list[str]) -> tuple[list[_Outcome], list[_Outcome]]:
    rounds, seconds = (2, 1.0) if place.quick else (5, 2.0)
    mine, theirs = [], []
    for _ in range(rounds):
        directory = place.new()
        mine.append(_race(partial(Ours, f"{directory}/store"), threads, seconds))
        theirs.append(_race(partial(Sqlite, f"{directory}/state.db"), threads, seconds))
    return mine, theirs


def _throughput(name: str, what: str, mine: list[_Outcome], theirs: list[_Outcome], reach: float) -> Row:
    ours, other = [o.throughput for o in mine], [o.throughput for o in theirs]
    shown = (f"{median(one):,.0f}/s" for one in (ours, other))
    return Row(name, what, *shown, *at_least(reach, ratio(ours, other)))


def shared(place: Place) -> list[Row]:
    """All on one thread."""
    mine, theirs = _races(place, ["thread"] * _PROCESSES)
    waits, others = [o.worst for o in mine], [o.worst for o in theirs]
    value, reach, met = at_most(0.1, ratio(waits, others))
    fairness, other_fairness = (median(o.fairness for o in side) for side in (mine, theirs))
    return [
        _throughput("shared", "4 processes, one thread / SQLite", mine, theirs, 4),
        Row(
            "shared",
            "worst wait / SQLite's",
            show_time(median(waits)),
            show_time(median(others)),
            value,
            reach,
            None if place.quick else met,
        ),
        Row("shared", "slowest / fastest process", f"{fairness:.2f}", f"{other_fairness:.2f}", *at_least(0.8, fairness, "")),
    ]


def separate(place: Place) -> list[Row]:
    """Each on a thread of its own."""
    mine, theirs = _races(place, [f"thread-{number}" for number in range(_PROCESSES)])
    return [_throughput("separate", "4 processes, 4 threads / SQLite", mine, theirs, 8)]
