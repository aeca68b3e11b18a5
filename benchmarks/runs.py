"""What it costs to keep one more run of a `DataStore` session: the same, however many there are."""

from __future__ import annotations

import json
import os
from statistics import median

from benchmarks.measure import Row, at_most, check, for_information, middle, timed
from fsstore import DataStore, DataStoreOptions, ModelResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.place import Place

_TEXT = "Rayleigh scattering: air scatters blue light most. " * 20
_ANSWERS = [ModelResponse(model_id=f"model-{number}", text=_TEXT, cost_usd=0.01) for number in range(3)]
#: Runs that are measured together.
_WINDOW = 100


class _Rewriter:
    """The way of the original: the whole content is written again with each run."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._runs: list[object] = []

    def persist(self, prompt: str) -> None:
        self._runs.append({"prompt": prompt, "models": [answer.to_json() for answer in _ANSWERS]})
        with open(f"{self._path}.tmp", "w", encoding="utf-8") as file:
            json.dump({"runs": self._runs}, file)
        os.rename(f"{self._path}.tmp", self._path)

    def kept(self) -> int:
        with open(self._path, encoding="utf-8") as file:
            return len(json.load(file)["runs"])


def runs(place: Place) -> list[Row]:
    """Keep many runs in one session, and time the first and the last of them."""
    count = 1_000 if place.quick else 5_000
    rows = [_flat(place, durability, count) for durability in ("process", "full")]
    return [*rows, _against_rewriting(place, 1_000)]


def _flat(place: Place, durability: str, count: int) -> Row:
    directory = place.new()
    data = DataStore(DataStoreOptions(root=f"{directory}/store", session_id="s", cwd=directory, durability=durability))
    times = [timed(data.persist_run_state, f"prompt {number}", _ANSWERS) for number in range(count)]
    check("the runs read back", [run.prompt for run in data.content().runs], [f"prompt {number}" for number in range(count)])
    early, late = times[_WINDOW : 2 * _WINDOW], times[-_WINDOW:]
    return Row(
        "runs",
        f"run {count:,} / run {_WINDOW:,}, {durability}",
        middle(late),
        middle(early),
        *at_most(1.2, median(late) / median(early)),
    )


def _against_rewriting(place: Place, count: int) -> Row:
    directory = place.new()
    data = DataStore(DataStoreOptions(root=f"{directory}/store", session_id="s", cwd=directory, durability="process"))
    other = _Rewriter(f"{directory}/session_content.json")
    mine, theirs = [], []
    for number in range(count):
        mine.append(timed(data.persist_run_state, f"prompt {number}", _ANSWERS))
        theirs.append(timed(other.persist, f"prompt {number}"))
    check("the runs rewritten", other.kept(), count)
    late, same = theirs[-_WINDOW:], mine[-_WINDOW:]
    return Row(
        "runs",
        f"rewriting all, unsynced / process, run {count:,}",
        middle(same),
        middle(late),
        *for_information(median(late) / median(same)),
    )
