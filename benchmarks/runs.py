"""What it costs to keep one more run of a `DataStore` session: the same, however many there are."""

from __future__ import annotations

import json
import os

from benchmarks.measure import Row, at_most, check, for_information, interleave, middle, ratio, timed
from fsstore import DataStore, DataStoreOptions, ModelResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_TEXT = "Rayleigh scattering: air scatters blue light most. " * 20
_ANSWERS = [ModelResponse(model_id=f"model-{number}", text=_TEXT, cost_usd=0.01) for number in range(3)]
#: Runs that are measured together.
_WINDOW = 50
_FEW = 10


class _Rewriter:
    """The way of the original: the whole content is written again with each run."""

    def __init__(self, path: str, count: int) -> None:
        self._path = path
        self._run = {"prompt": "prompt", "models": [answer.to_json() for answer in _ANSWERS]}
        self._runs = [self._run] * count

    def __call__(self) -> float:
        return timed(self._persist)

    def _persist(self) -> None:
        self._runs.append(self._run)
        with open(f"{self._path}.tmp", "w", encoding="utf-8") as file:
            json.dump({"runs": self._runs}, file)
        os.rename(f"{self._path}.tmp", self._path)

    def kept(self) -> int:
        with open(self._path, encoding="utf-8") as file:
            return len(json.load(file)["runs"])


class _Session:
    """A session that is kept on with, so many runs in a round."""

    def __init__(self, directory: str, durability: str, count: int) -> None:
        options = DataStoreOptions(root=f"{directory}/store", session_id="s", cwd=directory, durability=durability)
        self._data = DataStore(options)
        self._count = 0
        self.keep(count)

    def keep(self, count: int) -> None:
        for number in range(self._count, self._count + count):
            self._data.persist_run_state(f"prompt {number}", _ANSWERS)
        self._count += count

    def __call__(self) -> float:
        return timed(self.keep, _WINDOW) / _WINDOW

    def check(self) -> None:
        prompts = [run.prompt for run in self._data.content().runs]
        check("the runs read back", prompts, [f"prompt {number}" for number in range(self._count)])


def runs(place: Place) -> list[Row]:
    """Keep on with a session of many runs, with one of few, and as the original would."""
    count, rounds = (1_000, 9) if place.quick else (10_000, 15)
    rows = [_flat(place, durability, count, rounds) for durability in ("process", "full")]
    return [*rows, _against_rewriting(place, 1_000)]


def _flat(place: Place, durability: str, count: int, rounds: int) -> Row:
    long, short = (_Session(place.new(), durability, runs) for runs in (count, _FEW))
    interleave(1, long, short)
    late, early = interleave(rounds, long, short)
    long.check()
    short.check()
    what = f"one more of {count:,} / of {_FEW}, {durability}"
    return Row("runs", what, middle(late), middle(early), *at_most(1.2, ratio(late, early)))


def _against_rewriting(place: Place, count: int) -> Row:
    directory = place.new()
    mine, theirs = _Session(directory, "process", count), _Rewriter(f"{directory}/session_content.json", count)
    ours, others = interleave(_FEW, mine, theirs)
    mine.check()
    check("the runs rewritten", theirs.kept(), count + _FEW)
    what = f"rewriting all, unsynced / process, {count:,}"
    return Row("runs", what, middle(ours), middle(others), *for_information(ratio(others, ours)))
