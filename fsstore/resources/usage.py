"""The usage ledger of a thread: what was spent, one record an accrual, never folded on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fsstore import clock, codec, layout
from fsstore.disk import fs
from fsstore.disk.folding import Unfit, View, ViewFold
from fsstore.disk.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from fsstore.codec import Object
    from fsstore.disk.log import Made
    from fsstore.disk.writer import Writer
    from fsstore.resources.place import Place
    from fsstore.resources.views import Views

    T = TypeVar("T")


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

    __slots__ = ("_log", "_views", "path")

    def __init__(self, place: Place, views: Views) -> None:
        self.path = place.path(layout.USAGE)
        self._views = views
        self._log = Log(place.root, self.path, place.stripe, place.meta, place.missing, lambda: ViewFold(self._view()))

    def _view(self) -> UsageView:
        return self._views.get(self.path, UsageView)

    def sums(self, epoch: str) -> Sums:
        """Give what the accruals of an epoch come to; only what is new in the ledger is read."""
        view = self._view()
        with view.mutex:
            view.refresh()
            return replace(view.epochs.get(epoch) or Sums())  # of its own: another thread may fold more in

    def costs(self) -> dict[str, float]:
        """Give what was paid, by model; only what is new in the ledger is read."""
        view = self._view()
        with view.mutex:
            view.refresh()
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
        fields = {"type": "cost", "model_id": model_id, "cost": cost, "at": clock.now()}
        codec.check_json(fields, "the cost")

        def make(writer: Writer) -> Made:
            id = writer.mint()
            return codec.encode_line({"id": id, **fields}), (id,)

        self._log.append(make)

    def accrue(self, describe: Callable[[Callable[[str], Sums]], Object | None]) -> bool:
        """Append an accrual; say whether there was one.

        Args:
            describe: Called under the thread's lock, with what gives the sums of an epoch before this accrual; gives the
                accrual's epoch, counts and time, or None for no accrual.

        On disk: One line at the end of usage.jsonl, in one write.
        Crash: The accrual is there whole, or not at all.
        Concurrency: Accruals of several processes all count, each once.
        """

        def make(writer: Writer) -> Made:
            view = self._view()
            with view.mutex:
                view.follow(writer.fd, fs.fstat(writer.fd))
                fields = describe(lambda epoch: view.epochs.get(epoch) or Sums())
            if fields is None:
                return b"", ()
            id = writer.mint()
            return codec.encode_line({"id": id, "type": "goal", **fields}), (id,)

        return bool(self._log.append(make))
