"""What writers say they were told is stored, and whether it is: for tests that kill them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fsstore import Store

STATUSES = ("none", "queued", "in_progress", "completed")
#: What `check` may find where writers were killed.
KILLS_LEAVE = frozenset(("torn", "leftover-temp", "no-meta", "stale-cache"))


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
        self.errors: list[str] = []
        for path in notes:
            for line in path.read_bytes().split(b"\n")[:-1]:  # the last one may be torn: its writer was told nothing more
                what, *details = json.loads(line)
                getattr(self, f"_{what}")(*details)

    def __len__(self) -> int:
        return len(self.messages) + len(self.created) + len(self.deleted) + len(self.runs)

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

    def _error(self, trace: str) -> None:
        self.errors.append(trace)


def broken_claims(root: Path, notes: Callable[[], Iterable[Path]]) -> Iterator[str]:
    """Give what was acknowledged and is not there, is there twice, or hangs in the air. Writers may go on meanwhile."""
    claims = Claims(notes())
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
        runs = {at: store.thread(at[0]).runs.get(at[1]) for at in claims.runs}
        deleting = Claims(notes()).deleting  # also by those who went on while this was read
        yield from (f"thread {id} is gone" for id in claims.created - deleting - there)
        for id, token in claims.messages:
            if id not in deleting and not tokens.get(id, Counter())[token]:
                yield f"{id}: {token} is lost"
        for (id, run), status in claims.runs.items():
            info = runs[id, run]
            if id not in deleting and STATUSES.index(str(info.status) if info else "none") < STATUSES.index(status):
                yield f"{id}: run {run} is {info}, not {status}"


def stuck(root: Path) -> Iterator[str]:
    """Give where the store does not go on once everybody is dead; append to every thread."""
    with Store.open(root) as store:
        for id in store.threads.ids():
            messages = store.thread(id).messages
            before = [message.id for message in messages.branch()]
            new = messages.append("user", content(f"after-{len(before)}"))
            if [message.id for message in store.thread(id).messages.branch()] != [*before, new.id]:
                yield f"{id}: an append after the crash cannot be read"
        yield from (f"check finds {problem}" for problem in store.check() if problem.kind not in KILLS_LEAVE)


def torn_lines(root: Path) -> int:
    with Store.open(root, read_only=True) as store:
        return sum(problem.kind == "torn" for problem in store.check())
