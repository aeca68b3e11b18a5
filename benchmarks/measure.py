"""Taking times in turn, and saying what they mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[1]


class WrongResultError(Exception):
    """What was written is not what was read back: the times mean nothing."""


def check(what: str, found: object, expected: object) -> None:
    """Refuse a result that is not the expected one."""
    if found != expected:
        at = next((at for at, both in enumerate(zip(repr(found), repr(expected), strict=False)) if both[0] != both[1]), 0)
        raise WrongResultError(f"{what}: ...{repr(found)[at:][:100]} where ...{repr(expected)[at:][:100]} belongs")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: The benchmark.
        what: What is compared.
        ours: The figure of fsstore.
        other: The figure it is held against, empty where there is none.
        value: What the reach is about: a ratio, or the figure itself.
        reach: What was asked for; empty where nothing was.
        met: Whether it is reached; None where this run cannot judge it.
    """

    name: str
    what: str
    ours: str
    other: str
    value: str
    reach: str
    met: bool | None


def at_most(limit: float, value: float, unit: str = "x") -> tuple[str, str, bool]:
    """Give value, reach and verdict of a figure that must not be greater."""
    return f"{value:.2f}{unit}", f"at most {limit:g}{unit}", value <= limit


def at_least(limit: float, value: float, unit: str = "x") -> tuple[str, str, bool]:
    """Give value, reach and verdict of a figure that must not be smaller."""
    return f"{value:.2f}{unit}", f"at least {limit:g}{unit}", value >= limit


def for_information(value: float) -> tuple[str, str, None]:
    """Give value, reach and verdict of a ratio of which nothing was asked; one below a tenth as a fraction."""
    return f"{value:.2f}x" if value >= 0.1 else f"1/{1 / value:,.0f}", "", None


def interleave(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Call each side in turn, so many times; give each one's figures.

    Every other round goes backwards: else a kernel that starts processes on two cores in turn would give each side its own.
    """
    figures: list[list[float]] = [[] for _ in sides]
    turns = list(zip(sides, figures, strict=True))
    for _ in range(rounds):
        for side, found in turns:
            found.append(side())
        turns.reverse()
    return figures


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Give the median of the rounds' ratios."""
    return median(a / b for a, b in zip(above, below, strict=True))


def timed(call: Callable[..., object], *args: object) -> float:
    """Give the seconds that a call takes."""
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def show_time(seconds: float) -> str:
    """Give a time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def middle(seconds: Sequence[float]) -> str:
    """Give the median of some times."""
    return show_time(median(seconds))


def fresh(program: str, *args: object) -> dict[str, Any]:
    """Run one of `benchmarks.fresh` in a process of its own, and give what it found."""
    return run("-m", "benchmarks.fresh", program, *map(str, args))


def run(*args: str) -> dict[str, Any]:
    """Run Python in a process of its own, from the checkout, and give the JSON that it prints."""
    # An installed package has its bytecode; so must this one, or compiling it would be timed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, *args], cwd=_CHECKOUT, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def take_turns(rounds: int, *programs: Callable[[], dict[str, Any]]) -> tuple[list[list[float]], list[dict[str, Any]]]:
    """Run programs that report `seconds` in turn; give each one's times, and what each found last."""
    last: list[dict[str, Any]] = [{} for _ in programs]

    def once(number: int) -> float:
        last[number] = programs[number]()
        return float(last[number]["seconds"])

    turns = [partial(once, number) for number in range(len(programs))]
    interleave(1, *turns)  # warm: bytecode written, files in memory
    return interleave(rounds, *turns), last
