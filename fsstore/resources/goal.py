"""The goal of a thread: one document, and the usage ledger beside it."""

from __future__ import annotations

from fsstore import clock, codec, layout
from fsstore.disk import document, fs
from fsstore.errors import CorruptError, NotFoundError, ThreadNotFoundError
from fsstore.records.enums import ThreadGoalStatus
from fsstore.records.goals import ThreadGoalRecord
from fsstore.resources.limits import whole
from fsstore.resources.usage import Sums, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.codec import Json, Object
    from fsstore.resources.place import Place
    from fsstore.resources.views import Views

#: What the ledger adds to, as `goal.json` has it under `base` and as an accrual names it.
_SUMS = {"tokens_used": "tokens", "time_used_seconds": "seconds", "continuation_count": "continuations"}


class Goal:
    """The goal of one thread.

    `goal.json` holds the sums as they were when its epoch began, under `base`; each accrual names its epoch, and the goal
    shows the base and the accruals of that epoch. So accruals of several processes, and of two machines after a merge, add
    up, and those of a goal that was replaced do not count for the next one.
    """

    __slots__ = ("_durable", "_path", "_place", "usage")

    def __init__(self, place: Place, views: Views) -> None:
        self._place = place
        self._path = place.path(layout.GOAL)
        #: The epoch of which it is known that it survives a power cut.
        self._durable = ""
        self.usage = Usage(place, views)

    def get(self) -> ThreadGoalRecord | None:
        """Read the goal with all that was spent on it, or None where there is none.

        Raises:
            CorruptError: Its goal.json cannot be read.
        """
        fields = self._read()
        while fields is not None:
            before, sums = fields, self.usage.sums(_epoch(fields))
            fields = self._read()
            if fields == before:  # else these sums and this goal may never have been there at the same time
                return self._shown(before, sums)
        return None

    def set(self, objective: str, *, token_budget: int | None = None, **fields: Json) -> ThreadGoalRecord:
        """Begin a new goal in the place of any other.

        Args:
            objective: What is to be reached.
            token_budget: How many tokens it may cost; None for any number.
            **fields: Other fields of `ThreadGoalRecord`.

        Raises:
            ThreadNotFoundError: The thread does not exist.

        On disk: As `put`.
        Crash: As `put`.
        Concurrency: As `put`.
        """
        now = clock.now()
        times = {"created_at": now, "updated_at": now}
        goal = ThreadGoalRecord(thread_id=self._place.id, objective=objective, token_budget=token_budget, **{**times, **fields})
        self.put(goal)
        return goal

    def put(self, goal: ThreadGoalRecord) -> None:
        """Replace the whole goal. Where its sums are those shown, what was spent goes on from there; else from its sums.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: The goal names another thread, its status is none, or a sum is no integer.
            CorruptError: The goal.json that stands there cannot be read; it was not overwritten.

        On disk: goal.json, replaced whole.
        Crash: The old goal or the new one.
        Concurrency: The last one counts. An accrual that comes between counts for the goal that it found.
        """
        self._check(goal)
        _check_status(goal.status)
        self._replace(lambda _: goal)

    def insert(self, goal: ThreadGoalRecord, version: str) -> bool:
        """Give the thread a goal where it never had one; say whether. What was spent goes on from the goal's sums.

        Args:
            goal: The goal. Its status may be any text; see `ThreadGoalRecord`.
            version: The id of the write, and of the epoch that begins: where it is derived from elsewhere, accruals of
                several machines that did the same add up.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: As `put`.

        On disk: goal.json.
        Crash: The goal is there, or not.
        Concurrency: Of two at once one says True.
        """
        self._check(goal)
        fields = _begun(goal.over(None), version)
        with self._place.lock_existing():
            return document.insert(self._place.root, self._path, {**fields, "id": self._place.id}, version)

    def update(self, **changes: Json) -> ThreadGoalRecord:
        """Change some fields of the goal; what was spent stays, unless the changes say otherwise.

        `updated_at` is now, unless it is given.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            NotFoundError: It has no goal.
            ValueError: As `put`.

        On disk: As `put`.
        Crash: As `put`.
        Concurrency: No change of another process to another field, and no accrual, is lost.
        """

        def change(shown: ThreadGoalRecord | None) -> ThreadGoalRecord:
            if shown is None:
                raise NotFoundError(self._place.id, "goal of thread")
            _check_status(changes.get("status", shown.status))
            times = {"updated_at": max(shown.updated_at, clock.now())}
            goal = ThreadGoalRecord.from_json({**shown.to_json(), **times, **changes})
            self._check(goal)
            return goal

        return self._replace(change)

    def accrue(self, *, tokens: int = 0, seconds: int = 0, now: int | None = None) -> ThreadGoalRecord | None:
        """Add to what was spent on the goal; give the goal after it, or None where there is no goal or no thread.

        Args:
            tokens: How many more; less than 0 takes back.
            seconds: How much longer it took.
            now: The time of it in Unix seconds, now where None. It never moves `updated_at` back.

        Raises:
            ValueError: A number that is no 64-bit integer.
            LockTimeoutError: Another writer held the thread for `lock_timeout` seconds.

        On disk: One line at the end of usage.jsonl, in one write.
        Crash: The accrual is there whole, or not at all.
        Concurrency: Accruals of several processes and machines all count, each once.
        """
        return self._accrue({"tokens": tokens, "seconds": seconds}, now)

    def note_continuation(self, *, now: int | None = None) -> ThreadGoalRecord | None:
        """Count that the goal was gone on with; see `accrue`.

        On disk: One line at the end of usage.jsonl, in one write.
        Crash: The continuation is counted, or not.
        Concurrency: As `accrue`.
        """
        return self._accrue({"continuations": 1}, now)

    def delete(self) -> bool:
        """Take the goal away; say whether there was one. What was spent stays in the ledger and counts for no later goal.

        On disk: A copy goes to the trash, and goal.json says that it was deleted.
        Crash: The goal is there, or not.
        Concurrency: Of two deletions at once one says True.
        """
        try:
            with self._place.lock_existing():
                return bool(document.delete(self._place.root, self._path, self._place.id))
        except ThreadNotFoundError:
            return False

    def _check(self, goal: ThreadGoalRecord) -> None:
        if goal.thread_id != self._place.id:
            raise ValueError(f"the goal names thread {goal.thread_id}, not {self._place.id}")
        for name in (*_SUMS, "created_at", "updated_at", "token_budget"):
            if name != "token_budget" or goal.token_budget is not None:
                whole(name, getattr(goal, name))
        clash = {"id", "base"}.intersection(goal.extra)
        if clash:
            raise ValueError(f"extra cannot hold {', '.join(sorted(clash))}: the store gives it another meaning")

    def _read(self) -> Object | None:
        return self._checked(document.read(self._path))

    def _checked(self, fields: Object | None) -> Object | None:
        wrong = fields and flaw(fields)
        if wrong:
            raise CorruptError(self._path, wrong)
        return fields

    def _replace(self, change: Callable[[ThreadGoalRecord | None], ThreadGoalRecord]) -> ThreadGoalRecord:
        with self._place.lock_existing():
            before = document.read_any(self._path)
            old = self._checked(None if before is None or before.get("deleted") is True else before)
            shown = None if old is None else self._shown(old, self.usage.sums(_epoch(old)))
            goal = change(shown)
            fields = _begun(goal.over(old), clock.new_id())
            if old and "status" in old and shown and shown.status == goal.status:
                fields["status"] = old["status"]  # an unknown one is kept, though it reads as paused
            if old and shown and shown.goal_id == goal.goal_id and _sums_of(shown) == _sums_of(goal):
                fields["base"] = old["base"]
            document.write(self._place.root, self._path, {**fields, "id": self._place.id}, before)
        return goal

    def _accrue(self, counts: Object, now: int | None) -> ThreadGoalRecord | None:
        counts = {name: whole(name, value) for name, value in counts.items()}
        at = whole("now", clock.now() if now is None else now)
        codec.check_json([at, *counts.values()], "the accrual")
        if not fs.is_file(self.usage.path) and self._read() is None:
            return None  # before the ledger is begun for nothing
        found: list[ThreadGoalRecord] = []

        def describe(sums_of: Callable[[str], Sums]) -> Object | None:
            fields = self._read()
            if fields is None:
                return None
            epoch = _epoch(fields)
            self._confirm(epoch)
            sums = sums_of(epoch)
            totals = {name: getattr(sums, name) + counts.get(name, 0) for name in ("tokens", "seconds", "continuations")}
            found[:] = [self._shown(fields, Sums(**totals, at=max(sums.at, at)))]
            return {"epoch": epoch, **counts, "at": at}

        try:
            return found[0] if self.usage.accrue(describe) else None
        except ThreadNotFoundError:
            return None

    def _confirm(self, epoch: str) -> None:
        """Make sure that an epoch survives before anything counts for it: who began it may have died before he synced that."""
        if self._place.root.full and epoch != self._durable:
            self._place.root.sync_up(self._place.directory)
            self._durable = epoch

    def _shown(self, fields: Object, sums: Sums) -> ThreadGoalRecord:
        said = {name: value for name, value in document.content(fields).items() if name not in ("id", "base")}
        spent = {name: fields["base"][name] + getattr(sums, added) for name, added in _SUMS.items()}
        updated_at = max(fields["updated_at"], sums.at)
        return ThreadGoalRecord.from_json({**said, **spent, "thread_id": self._place.id, "updated_at": updated_at})


def flaw(fields: Object) -> str | None:
    """Say what is wrong with a goal.json, None where nothing is."""
    base = fields.get("base")
    if not isinstance(base, dict) or not isinstance(base.get("epoch"), str):
        return 'no valid "base"'
    numbers = [fields.get("updated_at"), *map(base.get, _SUMS)]
    return None if all(type(number) is int for number in numbers) else "a sum or a time is no integer"


def _begun(fields: Object, epoch: str) -> Object:
    """Give the fields of a goal.json that begins an epoch from those of its record."""
    said = {name: value for name, value in fields.items() if name not in _SUMS and name != "thread_id"}
    return {**said, "base": {"epoch": epoch, **{name: fields[name] for name in _SUMS}}}


def _check_status(status: Json) -> None:
    if status not in list(ThreadGoalStatus):
        raise ValueError(f"status must be one of {', '.join(ThreadGoalStatus)}, not {status!r}")


def _epoch(fields: Object) -> str:
    epoch: str = fields["base"]["epoch"]
    return epoch


def _sums_of(goal: ThreadGoalRecord) -> Object:
    return {name: getattr(goal, name) for name in _SUMS}
