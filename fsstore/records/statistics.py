"""What the runs of sessions come to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some runs come to for one model or one recipe.

    Attributes:
        runs: In how many it took part.
        wins: How often it was chosen.
        good: How often it was chosen and found good.
        bad: How often it was chosen and found bad.
        cost_usd: What it cost.
    """

    runs: int = 0
    wins: int = 0
    good: int = 0
    bad: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the runs of some sessions come to; what was rewound is left out.

    Attributes:
        sessions: How many sessions were looked at.
        runs: How many runs count.
        rewound: How many do not, since they were rewound.
        models: By model, in the order in which they first took part.
        recipes: By the hash of the recipe, in the same order. A recipe wins where any answer was chosen.
    """

    sessions: int = 0
    runs: int = 0
    rewound: int = 0
    models: dict[str, Tally] = field(default_factory=dict)
    recipes: dict[str, Tally] = field(default_factory=dict)
