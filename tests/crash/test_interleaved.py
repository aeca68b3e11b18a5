"""Just before any system call of one store's operation another store does something: both are told, and both leave, what one
after the other would."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from crash_harness import Desk, no_sync, view
from crash_scenes import everything, trace

from fsstore import LockTimeoutError, NotFoundError, Store, StoreError
from fsstore.disk import fs

Act = Callable[[Store, str], object]


def restore(store: Store) -> list[str]:
    """Bring back what is in the trash of one thread, unless another one does."""
    found = []
    for entry in store.trash:
        with suppress(NotFoundError):
            found += [store.trash.restore(entry.id).item_id] if (entry.kind, entry.item_id) == ("thread", "gone") else []
    return found


CALLS = ("open_fd", "read_at", "write", "stat", "own_status", "exists", "rename", "unlink", "rmdir", "list_names", "mkdir")
SYNCS = ("sync", "sync_directory")
#: Each is one step under one lock; by whom, so that what was written is told apart.
ACTS: dict[str, Act] = {
    "append": lambda store, by: store.thread("t").messages.append("user", f"by {by}"),
    "replace last": lambda store, by: store.thread("t").messages.replace_last("user", f"instead {by}"),
    "clear": lambda store, _: store.thread("t").messages.clear(),
    "compact": lambda store, _: store.thread("t").messages.compact(),
    "find": lambda store, _: store.threads.with_message("in u").id,
    "accrue": lambda store, by: store.thread("t").goal.accrue(tokens=1_000 if by == "A" else 20_000),
    "set goal": lambda store, by: store.thread("t").goal.set(f"goal {by}"),
    "delete goal": lambda store, _: store.thread("t").goal.delete(),
    "save checkpoint": lambda store, by: store.thread("t").checkpoints.save("b", by),
    "delete checkpoint": lambda store, _: store.thread("t").checkpoints.delete("b"),
    "create": lambda store, by: store.threads.create("t", name=f"new {by}").id,
    "create deleted": lambda store, by: store.threads.create("gone", name=f"new {by}").id,
    "rename": lambda store, by: store.thread("t").rename(f"named {by}").name,
    "delete": lambda store, _: store.thread("t").delete(),
    "move": lambda store, _: store.threads.move("t", "v"),
    "move another": lambda store, _: store.threads.move("u", "a"),
    "restore": lambda store, _: restore(store),
    "repair": lambda store, _: [problem.kind for problem in store.repair()],
    "open": lambda store, _: Store.open(store.root, lock_timeout=0.0).close(),
    "add leaf": lambda store, by: store.workflows.handle("w").leaves.create(f"l{by}", leaf_id="x", branch_run_id="b"),
    "read candidates": lambda store, _: list(store.workflows.handle("w").candidates),
    "delete workflow run": lambda store, _: store.workflows.delete("w"),
}
#: What takes away, or replaces, what the first one may hold open.
OTHERS = (
    "append",
    "compact",
    "delete goal",
    "delete checkpoint",
    "create deleted",
    "delete",
    "move",
    "move another",
    "restore",
    "repair",
    "open",
    "delete workflow run",
)
#: In each of these there was a fault once.
KNOWN = [("append", "delete"), ("compact", "delete"), ("find", "move another"), ("read candidates", "delete workflow run")]


def scene(desk: Desk) -> None:
    everything(desk)
    desk["t"].messages.remove_last()
    for id in ("gone", "u"):
        desk.store.threads.create(id, name=id).messages.append("user", f"in {id}", given_id=f"in {id}")
    desk["gone"].delete()
    trace(desk)
    desk.store.close()


class Both:
    """Two stores of one root, of which the second one may act before a call of the first, as soon as it gets its locks."""

    def __init__(self, base: Path, place: Path, durability: str, *, used: bool) -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(base, place)
        self.root = place / "store"
        self.first = Store.open(self.root, durability=durability, lock_timeout=0.0)
        self.second = Store.open(self.root, lock_timeout=0.0)
        for store in (self.first, self.second) if used else ():  # what they hold open, and know, is older than what follows
            store.thread("t").messages.append("user", "before")
            store.thread("t").goal.accrue(tokens=1)
        self.acted_at = 0

    def in_turn(self, act: Act, other: Act, *, first: bool) -> str:
        said = told(self.first, act, "A") if first else ""
        answer = told(self.second, other, "B")
        return self.seen(said or told(self.first, act, "A"), answer)

    def interleaved(self, act: Act, other: Act, at: int) -> str:
        """Have the second one act before the `at`-th call, or before a later one; empty where it never got its locks."""
        calls, answer, is_acting = 0, "", False

        def before(name: str) -> Callable[..., Any]:
            real = getattr(fs, name)

            def call(*args: Any, **options: Any) -> Any:
                nonlocal calls, answer, is_acting
                calls += not is_acting
                if calls >= at and not is_acting and not answer:
                    is_acting = True
                    with suppress(LockTimeoutError):
                        answer = told(self.second, other, "B")
                        self.acted_at = calls
                    is_acting = False
                return real(*args, **options)

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fs, "sync_directory", os.stat)  # no disk is waited for, but what is gone is gone
            for name in (*CALLS, *SYNCS):
                patch.setattr(fs, name, before(name))
            said = told(self.first, act, "A")
        return self.seen(said, answer) if answer else ""

    def seen(self, *said: str) -> str:
        """Give all that is there, and what both were told, but for ids, times and sizes."""
        logs = sorted(self.root.glob(".fsstore/trash/*/threads/*/messages.jsonl"))
        with Store.open(self.root, read_only=True) as store:
            there = [(entry.kind, entry.item_id) for entry in store.trash], [str(problem) for problem in store.check()]
        first, second = (list(store.thread("t").messages) for store in (self.first, self.second))
        rows = (view(self.root), there, [log.read_bytes().count(b'"role"') for log in logs], first == second, *said)
        ids: dict[str, str] = {}
        uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        text = re.sub(uuid, lambda found: ids.setdefault(found[0], f"id {len(ids)}"), "\n".join(map(repr, rows)))
        return re.sub(r"\b1[78]\d{8}\b|'seen': '\w+'|size=\d+|freed=\d+", "", text)


def told(store: Store, act: Act, by: str) -> str:
    try:
        return repr(act(store, by))
    except LockTimeoutError:
        raise
    except StoreError as error:
        return repr(error)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durability", ["full", "process"])
def test_what_another_does_before_any_call_comes_before_or_after(
    durability: str, tmp_path: Path, campaign: bool, figures: Callable[[str], None]
):
    count, pairs = 0, list(product(ACTS, OTHERS)) if campaign else KNOWN
    scene(Desk(tmp_path / "base" / "store"))
    with no_sync():
        for pair, used in product(pairs, (False, True) if campaign else (False,)):
            act, other = (ACTS[name] for name in pair)
            arguments = (tmp_path / "base", tmp_path / "world", durability)
            orders = [Both(*arguments, used=used).in_turn(act, other, first=first) for first in (True, False)]
            at = 1
            while seen := (both := Both(*arguments, used=used)).interleaved(act, other, at):
                assert seen in orders, (*pair, used, f"before call {both.acted_at}")
                at = both.acted_at + 1
                count += 1
    assert count > 5 * len(pairs)
    shutil.rmtree(tmp_path / "world")
    figures(f"interleaved: {len(pairs)} pairs, {count:,} interleavings")
