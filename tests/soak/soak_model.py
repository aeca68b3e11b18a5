"""What a soaked store must hold: what each worker was told, replayed, against what is read in the end."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsstore import Store
from fsstore.stores.state import StateStore

Key = tuple[str, ...]
SHARED = "shared"


class Notes:
    """One worker's file: what it begins, and that it was told that it is done. Each line is in the kernel's hands at once."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *said: Any) -> None:
        os.write(self._fd, json.dumps(said).encode() + b"\n")


@dataclass
class Model:
    """What one worker's own things are, by key; and what it did last, where nobody told it whether that is done."""

    values: dict[Key, Any] = field(default_factory=dict)
    doubt: tuple[Key, Any] | None = None
    added: Counter[Key] = field(default_factory=Counter)
    adding: Counter[Key] = field(default_factory=Counter)
    trashed: dict[Key, Any] = field(default_factory=dict)
    done: int = 0
    errors: list[str] = field(default_factory=list)

    def begin(self, key: list[str], value: Any) -> None:
        self.doubt = (tuple(key), value)
        if key[0] == "add":
            self.adding[tuple(key)] += value

    def end(self) -> None:
        assert self.doubt is not None
        key, value = self.doubt
        self.doubt, self.done = None, self.done + 1
        if key[0] == "add":
            self.added[key] += value
        elif key[0] == "move":
            self.values = {(k[0], key[2], *k[2:]) if k[1] == key[1] else k: v for k, v in self.values.items()}
        elif key[0] == "back":
            self.values |= self.trashed
        else:
            if key[0] == "thread" and value is False:
                self.trashed = {k: v for k, v in self.values.items() if k[1] == key[1]}
                self.values = {k: v for k, v in self.values.items() if k[1] != key[1]}
            elif self.values.get(("thread", key[1])) is False:
                del self.values["thread", key[1]]  # a session begins anew with what is written into it
            self.values[key] = value

    def is_in_doubt(self, key: Key, found: Any) -> bool:
        """Say whether what was found may come of what is in doubt."""
        if self.doubt is None:
            return False
        doubt, value = self.doubt
        if doubt[0] in ("move", "back") or (doubt[0] == "thread" and value is False):
            return key[1] in doubt[1:]
        return doubt == key and found == value


def replay(path: Path) -> Model:
    """Read one worker's notes; the last line may be torn."""
    model = Model()
    for line in path.read_bytes().split(b"\n")[:-1]:
        what, *details = json.loads(line)
        if what == "error":
            model.errors += details
        else:
            getattr(model, what)(*details)
    return model


# What is there


def tree_of(store: Store, id: str) -> Any:
    """Give the messages of a thread by what they say, each with what its parent says, and the current branch."""
    with_messages = store.thread(id).messages
    said = {message.id: message.content for message in with_messages}
    tree = {message.content: said.get(message.parent_id) for message in with_messages}
    return [tree, [message.content for message in with_messages.branch()]]


def data_of(store: Store, id: str) -> Any:
    session = store.data.session(id, cwd="/")
    runs = [run.prompt for run in session.runs.content().runs]
    histories = {panel: [turn.content for turn in turns] for panel, turns in session.histories.all().items()}
    return {"runs": runs, "histories": histories, "tools": session.runs.tools(), "rewinds": len(session.rewinds)}


def or_none(record: Any, *names: str) -> Any:
    return None if record is None else [getattr(record, name) for name in names]


FOUND: dict[str, Callable[..., Any]] = {
    "thread": lambda s, one: one in s.threads,
    "meta": lambda s, one: or_none(s.threads.get(one), "name", "archived"),
    "tree": tree_of,
    "state": lambda s, one: or_none(s.thread(one).state.get(), "state", "turn_id"),
    "tools": lambda s, one: [tool.name for tool in s.thread(one).tools.all()],
    "goal": lambda s, one: or_none(s.thread(one).goal.get(), "objective", "tokens_used", "continuation_count"),
    "checkpoint": lambda s, one, sub: or_none(s.thread(one).checkpoints.get(sub), "state"),
    "newest": lambda s, one: or_none(s.thread(one).checkpoints.newest(), "id"),
    "run": lambda s, one, sub: or_none(s.thread(one).runs.get(sub), "status"),
    "step": lambda s, one, run, sub: or_none(s.thread(one).runs.handle(run).steps.get(sub), "status"),
    "chat": lambda s, one: [message.content for message in s.thread(one).messages.branch()],
    "data": data_of,
    "cost": lambda s, one: s.data.session(one, cwd="/").costs().get("m"),
    "interrupted": lambda s, one: or_none(s.data.session(one, cwd="/").checkpoint.load(), "prompt"),
    "recipe": lambda s, one: or_none(s.data.session(one, cwd="/").recipe.own(), "name"),
    "job": lambda s, one: or_none(s.jobs.get(one), "progress"),
    "workflow": lambda s, one: or_none(s.workflows.get(one), "status"),
    "leaf": lambda s, one, sub: or_none(s.workflows.handle(one).leaves.get(sub), "status"),
    "name": lambda s, one: StateStore(s).find_thread_name_by_id(one),
}


def wrong_in(store: Store, models: Iterable[Model]) -> Iterator[str]:
    """Give where a store is not what the workers were told."""
    added: Counter[Key] = Counter()
    adding: Counter[Key] = Counter()
    for model in models:
        yield from wrong_in_own(store, model)
        added.update(model.added)
        adding.update(model.adding)
    yield from _wrong_shared(store, added, adding)


def wrong_in_own(store: Store, model: Model) -> Iterator[str]:
    """Give where one worker's own things are not what it was told."""
    yield from model.errors
    for key, value in model.values.items():
        found = json.loads(json.dumps(FOUND[key[0]](store, *key[1:])))
        if found != value and not model.is_in_doubt(key, found):
            yield f"{key} is {found}, not {value}; in doubt: {model.doubt}"


def clear_away(store: Store, model: Model) -> None:
    """Delete what a dead worker had, so that what a store holds does not grow with the number of the dead."""
    doubtful = (model.doubt[0],) if model.doubt else ()
    for kind, *ids in {*model.values, *doubtful}:
        if kind == "job":
            store.jobs.delete(ids[0])
        elif kind not in ("add", "name"):
            for id in ids[: 2 if kind == "move" else 1]:
                store.threads.delete(id)
                store.workflows.delete(id)
    model.values, model.trashed, model.errors = {}, {}, []


def _wrong_shared(store: Store, added: Counter[Key], adding: Counter[Key]) -> Iterator[str]:
    messages = Counter(message.content for message in store.thread(SHARED).messages)
    prompts = Counter(store.prompts.recent())
    goal = store.thread(SHARED).goal.get()
    sums = {("add", "tokens"): goal.tokens_used if goal else -1}
    for key, most in adding.items():
        count = {"message": messages, "prompt": prompts}.get(key[1], {}).get(key[-1], 0) if len(key) > 2 else sums[key]
        if not added[key] <= count <= most:
            yield f"{key}: {count}, not {added[key]} to {most}"
