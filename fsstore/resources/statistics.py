"""What the runs of sessions come to, those that were rewound left out."""

from __future__ import annotations

from collections import Counter

from fsstore.records.enums import RunRating
from fsstore.records.statistics import Statistics, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fsstore.records.session_runs import RunSummary


def surviving(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Give the runs that were not rewound, in their order.

    From the newest to the oldest each rewind mark cancels one run of the same prompt.
    """
    marks: Counter[str] = Counter()
    kept = []
    for run in reversed(runs):
        if run.is_rewind:
            marks[run.prompt_hash] += 1
        elif marks[run.prompt_hash]:
            marks[run.prompt_hash] -= 1
        else:
            kept.append(run)
    return kept[::-1]


def tally(sessions: Iterable[Sequence[RunSummary]], config_hash: str | None = None) -> Statistics:
    """Add up the runs of sessions.

    Args:
        sessions: The runs of each, oldest first.
        config_hash: Only runs with this recipe count; None for all.
    """
    models: dict[str, Tally] = {}
    recipes: dict[str, Tally] = {}
    looked_at, counted, rewound = 0, 0, 0
    for runs in sessions:
        kept = [run for run in surviving(runs) if config_hash in (None, run.config_hash)]
        normal = [run for run in runs if not run.is_rewind and config_hash in (None, run.config_hash)]
        looked_at, counted, rewound = looked_at + 1, counted + len(kept), rewound + len(normal) - len(kept)
        for run in kept:
            _add(recipes, run.config_hash, run, sum(run.costs_usd.values()), won=bool(run.selected))
            for model in dict.fromkeys(run.models):
                _add(models, model, run, run.costs_usd.get(model, 0.0), won=run.selected == model)
    return Statistics(sessions=looked_at, runs=counted, rewound=rewound, models=models, recipes=recipes)


def _add(tallies: dict[str, Tally], key: str, run: RunSummary, cost: float, *, won: bool) -> None:
    old = tallies.get(key, Tally())
    tallies[key] = Tally(
        runs=old.runs + 1,
        wins=old.wins + won,
        good=old.good + (won and run.rating == RunRating.GOOD),
        bad=old.bad + (won and run.rating == RunRating.BAD),
        cost_usd=old.cost_usd + cost,
    )
