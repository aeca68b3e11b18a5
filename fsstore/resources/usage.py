"""The usage ledger of a thread: what was spent, one record an accrual, never folded on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fsstore import clock, codec, layout
from fsstore.disk.folding import Unfit, View
from fsstore.resources.viewed_log import ViewedLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.codec import Object
    from fsstore.resources.place import Place
    from fsstore.resources.views import Views


@dataclass(slots=True)
class Sums:
    """What the accruals of one epoch of a goal come to, and the latest time that one of them gave."""

    tokens: int = 0
    seconds: int = 0
    continuations: int = 0
    at: int = 0


class UsageView(View):
    """What the ledger says.

    Attributes:
        epochs: The sums by epoch.
        costs: What was paid, by model.
    """

    epochs: dict[str, Sums]
    costs: dict[str, float]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.epochs = {}
        self.costs = {}

    def take(self, record: Object) -> None:
        """Add an accrual to the sums of its epoch, or a cost to those of its model."""
        if record.get("type") == "cost":
            self._take_cost(record)
            return
        if record.get("type") != "goal":
            raise Unfit("unknown-type", f"a record of unknown type {codec.shown(record.get('type'))}")
        epoch, at = record.get("epoch"), record.get("at")
        tokens, seconds, continuations = record.get("tokens", 0), record.get("seconds", 0), record.get("continuations", 0)
        if not (isinstance(epoch, str) and type(at) is type(tokens) is type(seconds) is type(continuations) is int):
            raise Unfit("bad-record", "its epoch, its time or a count is none")
        sums = self.epochs.get(epoch)
        if sums is None:
            sums = self.epochs[epoch] = Sums()
        sums.tokens += tokens
        sums.seconds += seconds
        sums.continuations += continuations
        sums.at = max(sums.at, at)

    def _take_cost(self, record: Object) -> None:
        model, cost = record.get("model_id"), record.get("cost")
        if not isinstance(model, str) or not isinstance(cost, (int, float)) or isinstance(cost, bool):
            raise Unfit("bad-record", "its model or its cost is none")
        self.costs[model] = self.costs.get(model, 0.0) + cost


class Usage:
    """The log `usage.jsonl` of one thread."""

    __slots__ = ("_log", "path")

    def __init__(self, place: Place, views: Views) -> None:
        self.path = place.path(layout.USAGE)
        self._log = ViewedLog(place.root, self.path, place.stripe, place.meta, place.missing, views, UsageView)

    def sums(self, epoch: str) -> Sums:
        """Give what the accruals of an epoch come to; only what is new in the ledger is read."""
        with self._log.reading() as view:
            return replace(view.epochs.get(epoch) or Sums())  # of its own: another thread may fold more in

    def costs(self) -> dict[str, float]:
        """Give what was paid, by model; only what is new in the ledger is read."""
        with self._log.reading() as view:
            return dict(view.costs)

    def accrue_cost(self, model_id: str, cost: float) -> None:
        """Append what was paid for a model; no goal counts it.

        Raises:
            ValueError: A model that is no text, or a cost that is no number.

        On disk: One line at the end of usage.jsonl, in one write.
        Crash: The cost is there whole, or not at all.
        Concurrency: Costs of several processes all count, each once.
        """
        if not isinstance(model_id, str) or type(cost) not in (int, float):
            raise ValueError(f"a cost is a number for a model, not {cost!r} for {model_id!r}")
        fields = self._log.checked({"type": "cost", "model_id": model_id, "cost": cost, "at": clock.now()})
        self._log.append(lambda _: fields)

    def accrue(self, describe: Callable[[Callable[[str], Sums]], Object | None]) -> bool:
        """Append an accrual; say whether there was one.

        Args:
            describe: Called under the thread's lock, with what gives the sums of an epoch before this accrual; gives the
                accrual's epoch, counts and time, or None for no accrual.

        On disk: One line at the end of usage.jsonl, in one write.
        Crash: The accrual is there whole, or not at all.
        Concurrency: Accruals of several processes all count, each once.
        """

        def record(view: UsageView) -> Object | None:
            fields = describe(lambda epoch: view.epochs.get(epoch) or Sums())
            return None if fields is None else {"type": "goal", **fields}

        return bool(self._log.append(record))
