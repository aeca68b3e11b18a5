"""What writers say they were told is stored, and whether it is: for tests that kill them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from fsstore import Store

STATUSES = ("none", "queued", "in_progress", "completed")
#: What `check` may find where writers were killed.
KILLS_LEAVE = frozenset(("torn", "leftover-temp", "no-meta", "no-run", "stale-cache", "abandoned-run"))


class Notes:
    """One writer's file of acknowledgements: each is in the kernel's hands before the next operation begins."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, *details: str) -> None:
        os.write(self._fd, json.dumps([what, *details]).encode() + b"\n")


def content(token: str, length: int = 0) -> str:
    """The content of the message of a token."""
    return f"{token}|{'x' * length}"


class Claims:
    """All that was acknowledged, read from the notes of all writers."""

    def __init__(self, notes: Iterable[Path]) -> None:
        self.messages: set[tuple[str, str]] = set()
        self.created: set[str] = set()
        self.deleting: set[str] = set()
        self.deleted: set[str] = set()
        self.runs: dict[tuple[str, str], str] = {}
        self.steps: set[tuple[str, str, str]] = set()
        self.kept: set[tuple[str, str]] = set()
        self.leaves: set[tuple[str, str]] = set()
        self.spending: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.counts: dict[tuple[str, str, str], int] = {}
        self.removing: set[tuple[str, str]] = set()
        self.removed: set[tuple[str, str]] = set()
        self.answered: set[tuple[str, str]] = set()
        self.prompts: set[str] = set()
        self.told: list[str] = []
        self.errors: list[str] = []
        for path in notes:
            for line in path.read_bytes().split(b"\n")[:-1]:  # the last one may be torn: its writer was told nothing more
                what, *details = json.loads(line)
                getattr(self, f"_{what}")(*details)

    def __len__(self) -> int:
        single = (self.messages, self.created, self.deleted, self.runs, self.steps, self.kept, self.leaves, self.counts)
        single += (self.removed, self.answered, self.prompts)
        return sum(map(len, single)) + sum(self.spent.values())

    def _append(self, thread: str, token: str) -> None:
        self.messages.add((thread, token))

    def _create(self, thread: str) -> None:
        self.created.add(thread)

    def _deleting(self, thread: str) -> None:
        self.deleting.add(thread)

    def _deleted(self, thread: str) -> None:
        self.deleted.add(thread)

    def _run(self, thread: str, run: str, status: str) -> None:
        self.runs[thread, run] = status

    def _step(self, thread: str, run: str, step: str) -> None:
        self.steps.add((thread, run, step))

    def _kept(self, session: str, prompt: str) -> None:
        self.kept.add((session, prompt))

    def _leaf(self, workflow: str, leaf: str) -> None:
        self.leaves.add((workflow, leaf))

    def _spending(self, thread: str) -> None:
        self.spending[thread] += 1

    def _spent(self, thread: str) -> None:
        self.spent[thread] += 1

    def _count(self, kind: str, place: str, name: str, number: str) -> None:
        """What is counted up by one writer; see `_counted`."""
        self.counts[kind, place, name] = int(number)

    def _removing(self, thread: str, token: str) -> None:
        self.removing.add((thread, token))

    def _removed(self, thread: str, token: str) -> None:
        self.removed.add((thread, token))

    def _answered(self, session: str, prompt: str) -> None:
        self.answered.add((session, prompt))

    def _prompt(self, prompt: str) -> None:
        self.prompts.add(prompt)

    def _told(self, error: str) -> None:
        """A sync failed, and this was raised."""
        self.told.append(error)

    def _error(self, trace: str) -> None:
        self.errors.append(trace)


def broken_claims(
    root: Path, notes: Callable[[], Iterable[Path]], binding: Callable[[], Iterable[Path]] | None = None
) -> Iterator[str]:
    """Give what was acknowledged and is not there, is there twice, or hangs in the air. Writers may go on meanwhile.

    `binding` gives the notes of which all must be there, where not all of `notes` are such; the rest may be there, or not.
    """
    claims = Claims((binding or notes)())
    yield from claims.errors
    with Store.open(root, read_only=True) as store:
        there = set(store.threads.ids())
        yield from (f"thread {id} is there though its deletion was acknowledged" for id in claims.deleted & there)
        tokens = {}
        for id in there:
            messages = list(store.thread(id).messages)
            known = {message.id for message in messages} | {None}
            yield from (f"{id}: the parent of {m.id} is not known" for m in messages if m.parent_id not in known)
            tokens[id] = Counter(str(message.content).partition("|")[0] for message in messages)
            yield from (f"{id}: {token} is there {n} times" for token, n in tokens[id].items() if n > 1)
        yield from (
            f"{id}: {token}, which was removed, is there" for id, token in claims.removed if tokens.get(id, {}).get(token)
        )
        prompts = {id: [run.prompt for run in store.data.session(id, cwd="/").runs.content().runs] for id, _ in claims.answered}
        yield from (f"{id}: the run of {one!r} is lost" for id, one in claims.answered if prompts[id].count(one) != 1)
        yield from (f"prompt {one!r} is lost" for one in claims.prompts - set(store.prompts.recent()))
        runs = {at: store.thread(at[0]).runs.get(at[1]) for at in claims.runs}
        steps = {(*at, step.id) for at in claims.runs for step in store.thread(at[0]).runs.handle(at[1]).steps}
        kept = {(id, run.prompt) for id in dict(claims.kept) for run in store.data.session(id, cwd="/").runs.content().runs}
        leaves = {(run.id, leaf.id) for run in store.workflows for leaf in store.workflows[run.id].leaves}
        sums = {id: store.thread(id).goal.get() for id in claims.spent}
        counted = {at: _counted(store, *at) for at in claims.counts}
        newest = {id: store.thread(id).checkpoints.newest() for kind, id, _ in claims.counts if kind == "checkpoint"}
        now = Claims(notes())  # also what those did who went on while this was read
        deleting = now.deleting
        yield from (f"thread {id} is gone" for id in claims.created - deleting - there)
        for id, token in claims.messages:
            if id not in deleting and (id, token) not in now.removing and not tokens.get(id, Counter())[token]:
                yield f"{id}: {token} is lost"
        for (id, run), status in claims.runs.items():
            info = runs[id, run]
            if id not in deleting and STATUSES.index(str(info.status) if info else "none") < STATUSES.index(status):
                yield f"{id}: run {run} is {info}, not {status}"
        yield from (f"{id}: step {step} of run {run} is lost" for id, run, step in claims.steps - steps if id not in deleting)
        yield from (f"{id}: kept run {prompt} is lost" for id, prompt in claims.kept - kept)
        yield from (f"leaf {leaf} of workflow run {run} is lost" for run, leaf in claims.leaves - leaves if run not in deleting)
        for id, goal in sums.items():
            used = goal.tokens_used if goal else -1
            if id not in deleting and not claims.spent[id] <= used <= now.spending[id]:
                yield f"{id}: {used} were spent, not {claims.spent[id]} to {now.spending[id]}"
        for at, number in claims.counts.items():
            if at[1] not in deleting and counted[at] < number:
                yield f"{at} is {counted[at]}, not {number}"
        yield from (f"{id} has no newest checkpoint" for id, one in newest.items() if one is None and id not in deleting)


def state(number: int) -> dict[str, Any]:
    """The state of a checkpoint that counts."""
    return {"number": number, "text": "x" * (number % 5 * 2_000)}


def _counted(store: Store, kind: str, place: str, name: str) -> int:
    """Give how far something has counted: a checkpoint's state, a field of a job, a model's cost, the turn of a session, the
    name of a thread that is not here."""
    if kind == "checkpoint":
        checkpoint = store.thread(place).checkpoints.get(name)
        number: int = checkpoint.state["number"] if checkpoint else -1
        assert checkpoint is None or checkpoint.state == state(number)
        return number
    if kind == "job":
        job = store.jobs.get(place)
        return int(job.extra.get(name, -1)) if job else -1
    if kind == "cost":
        return int(store.data.session(place, cwd="/").costs().get(name, -1))
    if kind == "turn":
        word = store.thread(place).state.get()
        return int(word.turn_id or -1) if word else -1
    return int(store.names.get(place) or -1)


def stuck(root: Path, leaves: Collection[str] = KILLS_LEAVE) -> Iterator[str]:
    """Give where the store does not go on when all are dead; append to every thread. `check` may find what a crash `leaves`."""
    with Store.open(root) as store:
        for id in store.threads.ids():
            messages = store.thread(id).messages
            before = [message.id for message in messages.branch()]
            new = messages.append("user", content(f"after-{len(before)}"))
            if [message.id for message in store.thread(id).messages.branch()] != [*before, new.id]:
                yield f"{id}: an append after the crash cannot be read"
            goal = store.thread(id).goal
            if goal.get() and not goal.get() == goal.accrue(tokens=0, now=0) == goal.get():
                yield f"{id}: an accrual of nothing after the crash gives {goal.get()}"
            store.thread(id).checkpoints.save("after", len(before))
            if store.thread(id).checkpoints.newest().state != len(before):
                yield f"{id}: a checkpoint after the crash is not the newest"
        yield from (f"check finds {problem}" for problem in store.check() if problem.kind not in leaves)


def torn_lines(root: Path) -> int:
    with Store.open(root, read_only=True) as store:
        return sum(problem.kind == "torn" for problem in store.check())
