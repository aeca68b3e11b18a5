"""One process comes to grief in an operation, the next one goes on and is acknowledged; then the power goes."""

from __future__ import annotations

import errno
import itertools
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from crash_harness import Desk, Operation, View, as_a_dead_process, disks, items, made_on, no_sync, view

from fsstore import SyncFailedError
from fsstore.testing.crash_states import power_cuts
from fsstore.testing.image import Image
from fsstore.testing.trace import Killed, Recorder


def then_another(
    operation: Operation,
    tmp_path: Path,
    seed: int,
    *,
    durability: str = "full",
    dies_at: int | None = None,
    begun: bool = False,
    **options: Any,
) -> Iterator[str]:
    """Let one process do the operation, or die before a call of it; let another one go on and be acknowledged; cut the power.

    Give what is wrong: all that stood there before, and all that the second one did, must be there. `begun`: the second one
    has written before the first one, and so has its files open.
    """
    root, second, views, made = _prepared(operation, tmp_path, begun)
    with as_a_dead_process(), Recorder(tmp_path / "world", dies_at=dies_at, **options) as recorder:
        with suppress(Killed):
            desk = Desk(root, durability)
            for step in operation.steps:
                step(desk)
                views.append(view(root))
        recorder.dies_at = None
        _go_on_as_another(second, SECOND)
        views.append(view(root))
    yield from _lost(operation, tmp_path, seed, recorder, views, made)


def then_a_sync_fails(operation: Operation, tmp_path: Path, seed: int, number: int, *, same: bool) -> Iterator[str]:
    """Let one sync of the operation fail; then let another process go on, or the `same` one; cut the power.

    Give what is wrong: whoever asked must be told, and what was acknowledged, before or after, must be there.
    """
    root, second, views, made = _prepared(operation, tmp_path, begun=False)
    syncs = itertools.count()
    desk = Desk(root)
    with as_a_dead_process(), Recorder(tmp_path / "world", fail=lambda _: next(syncs) == number) as recorder:
        told: list[Any] = []
        try:
            for step in operation.steps:
                told.append(step(desk))
                views.append(view(root))
            if not any(getattr(one, "failed", None) for one in told):  # a rewind says so in what it returns
                yield "nobody is told"
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            now = view(root)
            same_as = (*views[-1:], *operation.between(views[-1], now))
            if not isinstance(error, SyncFailedError) and now not in same_as:
                yield f"refused, and yet something changed: {error!r}"
            views.append(now)
        _go_on_as_another(desk if same else second, SECOND)
        views.append(view(root))
    yield from _lost(operation, tmp_path, seed, recorder, views, made)


SECOND = "by the second process"


def _go_on_as_another(desk: Desk, told: str) -> None:
    desk.store.threads.create(told)  # without a name: nothing that syncs what the first one began
    for id in desk.store.threads.ids():
        desk[id].messages.append("user", told)
        desk[id].goal.accrue(tokens=1000)
    for run in desk.store.workflows:
        desk.store.workflows[run.id].leaves.create(told, leaf_id="x")


def _prepared(operation: Operation, tmp_path: Path, begun: bool) -> tuple[Path, Desk, list[View], frozenset[str]]:
    world = tmp_path / "world"
    world.mkdir()
    root = world / operation.place
    operation.prepare(Desk(root))
    second = Desk(root)
    if begun:
        _go_on_as_another(second, "at first")
    return root, second, [view(root)], made_on(Image.read(str(world))[0])


def _lost(
    operation: Operation, tmp_path: Path, seed: int, recorder: Recorder, views: list[View], made: frozenset[str]
) -> Iterator[str]:
    """Cut the power at the end, and give what is not there."""
    place = tmp_path / "after"
    if operation.frees:
        made &= made_on(Image.read(str(tmp_path / "world"))[0])
    shutil.rmtree(tmp_path / "world")
    calls = recorder.calls
    with no_sync():
        for disk in disks(power_cuts(recorder.before, calls, start=len(calls), seed=seed)):
            disk.image.write(str(place))
            wrong = [*_missing(views, view(place / operation.place)), *made - made_on(disk.image)]
            shutil.rmtree(place)
            yield from (f"{one}: {disk.moments[0][1]}" for one in wrong)


def _missing(views: list[View], seen: View) -> Iterator[str]:
    """Give what is missing in what is seen last: of what was there at first, and of what the second process did in the end.

    What the first one did may be there as far as it came with any of its steps.
    """
    before, *_, wanted = views
    for id, thread in wanted["threads"].items():
        found = seen["threads"].get(id, {"messages": [], "goal": None})
        ids = [message.id for message in found["messages"]]
        for message in thread["messages"]:
            acknowledged = message.content == SECOND or message in before["threads"].get(id, thread)["messages"]
            if acknowledged and ids.count(message.id) != 1:
                yield f"message {message.content!r} of {id!r} is there {ids.count(message.id)} times"
        first, left = (one.get("data", {"runs": []})["runs"] for one in (before["threads"].get(id, {}), found))
        if {run.id for run in first} - {run.id for run in left}:
            yield f"runs of {id!r} are gone: {left} is left of {first}"
        if thread["goal"] and _spent(thread["goal"]) != _spent(found["goal"]):
            yield f"the goal of {id!r}, on which the second one spent, is {found['goal']}, not {thread['goal']}"
    for run in wanted["workflows"]:
        leaves = [leaf.id for other in seen["workflows"] if other["id"] == run["id"] for leaf in other["leaves"]]
        if SECOND not in leaves:
            yield f"the second one's leaf of {run['id']!r} is not among {leaves}"
    if set(before["prompts"]) - set(seen["prompts"]):
        yield f"prompts are gone: {seen['prompts']} is left of {before['prompts']}"
    told, found = [dict(items(one)) for one in views], dict(items(seen))
    for key in told[0]:
        if key[0] != "deleted" and key[-1] not in TOLD_APART and found.get(key) not in [one.get(key) for one in told]:
            yield f"{key} is {found.get(key)}"
    for id in before["threads"].keys() - seen["threads"].keys():
        if id not in seen["deleted"]:
            yield f"thread {id!r} is gone, and nothing remembers its deletion"


def _spent(goal: Any) -> Any:
    return goal and (goal.goal_id, goal.tokens_used, goal.time_used_seconds, goal.continuation_count)


#: What of a thread or a workflow run follows from what is looked at in other ways.
TOLD_APART = frozenset(("newest", "messages", "branch", "leaves", "goal", "data", "prompts"))
