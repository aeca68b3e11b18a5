"""What the processes and threads of the race tests do to goals, checkpoints, jobs, names and workflow traces."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import processes
import race_workers as work

from fsstore import (
    CheckpointRecord,
    DynamicToolRecord,
    MessageNotFoundError,
    NotFoundError,
    Store,
    ThreadGoalRecord,
    clock,
)
from fsstore.disk import document, fs

#: Enough for every process to have its own numbers.
FAR = 1_000_000


def opened(root: Path, durability: str = "process") -> Store:
    return Store.open(root, durability=durability, lock_timeout=60)


def reading(root: Path, stop: Path, look: str, *args: Any) -> int:
    """Look until `stop` appears, never a lock taken, through one store and through a new one each time; give how often."""
    fs.open_lock = work._no_lock
    kept, count = Store.open(root, read_only=True), 0
    looks = [globals()[look](*args) for _ in range(2)]
    while True:
        last_round = stop.exists()
        for at, store in enumerate((kept, Store.open(root, read_only=True))):
            looks[at](store)
            count += 1
            time.sleep(0.002)  # two cores have writers to run as well
        if last_round:
            return count


# Goals


def accrues(root: Path, me: int, count: int, durability: str) -> list[int]:
    return accrue_all(opened(root, durability), count)


def accrue_all(store: Store, count: int) -> list[int]:
    """Accrue one token and one second at a time; give the tokens after each."""
    goal, found = store.thread("t").goal, []
    for number in range(count):
        shown = goal.accrue(tokens=1, seconds=1, now=number)
        assert shown.tokens_used == shown.time_used_seconds
        found.append(shown.tokens_used)
    return found


def continues(root: Path, me: int, count: int) -> list[int]:
    goal = opened(root).thread("t").goal
    return [goal.note_continuation(now=0).continuation_count for _ in range(count)]


def changes_the_goal(root: Path, me: int, count: int) -> int:
    """Change the objective, or the status, while others spend."""
    goal = opened(root).thread("t").goal
    for number in range(count):
        shown = goal.update(**({"objective": f"{number}"} if me % 2 else {"token_budget": number}))
        assert shown.goal_id == "g"
    return count


def spends_and_tells(root: Path, count: int) -> None:
    """Spend one more token, and say in the objective how many those are."""
    goal = opened(root).thread("t").goal
    for number in range(1, count + 1):
        goal.accrue(tokens=1, now=0)
        goal.update(objective=str(number))


def a_goal_that_grows():
    last = ThreadGoalRecord(thread_id="t")

    def look(store: Store) -> None:
        nonlocal last
        goal = store.thread("t").goal.get()
        assert goal.tokens_used == goal.time_used_seconds >= last.tokens_used
        assert goal.continuation_count >= last.continuation_count
        last = goal

    return look


def a_goal_of_one_moment():
    def look(store: Store) -> None:
        goal = store.thread("t").goal.get()
        assert goal.tokens_used - int(goal.objective) in (0, 1)

    return look


def accrues_to_what_may_vanish(root: Path, me: int, durability: str, stop: Path) -> list[int]:
    """Accrue until `stop` appears, whether the thread and its goal are there or not; give the seconds of what counted."""
    store, counted = opened(root, durability), []
    processes.say("begins")
    number = me * FAR
    while not stop.exists():
        number += 1
        if store.thread("t").goal.accrue(tokens=1, seconds=number):
            counted.append(number)
        else:
            time.sleep(0.001)
    return counted


# Checkpoints, tools, jobs


def state(me: int, number: int) -> dict[str, Any]:
    return {"by": me, "number": number, "text": f"{me}" * (number * 997 % 20_000)}


def saves(root: Path, names: list[str], me: int, count: int, durability: str) -> dict[str, Any]:
    """Save under each name in turn; give the last state of each, and the very last one."""
    checkpoints, last = opened(root, durability).thread("t").checkpoints, {}
    for number in range(count):
        name = names[number % len(names)]
        saved = checkpoints.save(name, state(me, number))
        last[name] = last["of all"] = saved.state
    return last


def checkpoints_that_are_whole():
    seen: dict[int, int] = {}

    def is_whole(checkpoint: CheckpointRecord) -> bool:
        return checkpoint.state == state(checkpoint.state["by"], checkpoint.state["number"])

    def look(store: Store) -> None:
        checkpoints = store.thread("t").checkpoints
        assert all(map(is_whole, checkpoints))
        newest = checkpoints.newest()
        if newest is not None:
            assert is_whole(newest)
            by, number = newest.state["by"], newest.state["number"]
            assert number >= seen.get(by, -1), "what one process saved is never older than what was seen of it"
            seen[by] = number
        assert newest is not None or not seen

    return look


def saves_in_order(root: Path, me: int, count: int) -> list[tuple[int, str, int]]:
    """Save checkpoints of its own by a clock of its own; give when each began, its version, and when it was done."""
    clock.time = SimpleNamespace(time=time.time, time_ns=lambda: time.time_ns() - me * 3600 * 10**9)
    checkpoints, found = opened(root).thread("t").checkpoints, []
    path = checkpoints._documents.path(f"of {me}")
    for number in range(count):
        began = time.monotonic_ns()
        checkpoints.save(f"of {me}", number)
        done = time.monotonic_ns()
        found.append((began, document.newest(document.read(path)), done))
    return found


def replaces_tools(root: Path, me: int, count: int) -> None:
    tools = opened(root).thread("t").tools
    for number in range(count):
        rows = range(1 + (number + me) % 5)
        tools.replace([DynamicToolRecord(position=at, name=f"{me} {number}", description=f"{len(rows)}") for at in rows])


def a_set_of_tools():
    def look(store: Store) -> None:
        tools = store.thread("t").tools.all()
        assert [tool.position for tool in tools] == list(range(len(tools)))
        assert {(tool.name, tool.description) for tool in tools} == {(tools[0].name, str(len(tools)))}

    return look


def updates_a_job(root: Path, me: int, count: int) -> None:
    """Update a field of its own of a job that all share, and a job of its own."""
    from fsstore import JobStateRecord

    jobs = opened(root).jobs
    jobs.put(JobStateRecord(id=f"of {me}"))
    for number in range(count):
        job = jobs.update("shared", **{f"of {me}": number})
        assert job.extra[f"of {me}"] == number
        jobs.update(f"of {me}", progress=number % 101, detail=f"{number}", updated_at=number)


def jobs_that_count():
    last: dict[str, int] = {}

    def look(store: Store) -> None:
        fields = store.jobs["shared"].extra
        assert all(fields.get(name, -1) >= number for name, number in last.items())
        last.update(fields)
        for job in store.jobs.recent():
            assert job.progress is None or job.progress == int(job.detail) % 101

    return look


# Workflows


def creates_leaves(root: Path, me: int, count: int, durability: str) -> list[str]:
    run, made = opened(root, durability).workflows["w"], []
    run.branches.create(f"branch {me}", branch_id="b")
    for number in range(count):
        leaf = run.leaves.create(f"{me} {number}", leaf_id=f"{me}", input_hash=f"{number}", branch_run_id=f"branch {me}")
        assert run.leaves.finish(leaf.id, output=[me, number]).output == [me, number]
        made.append(leaf.id)
    return made


def leaves_that_grow():
    seen: set[str] = set()

    def look(store: Store) -> None:
        nonlocal seen
        leaves = list(store.workflows["w"].leaves)
        ids = {leaf.id for leaf in leaves}
        assert len(ids) == len(leaves)
        assert seen <= ids
        seen = ids
        for leaf in leaves:
            me, _, number = leaf.id.partition(" ")
            assert (leaf.leaf_id, leaf.input_hash, leaf.branch_run_id) == (me, number, f"branch {me}")
            assert leaf.output == ([int(me), int(number)] if leaf.status == "completed" else {})

    return look


def creates_leaves_of_what_may_vanish(root: Path, me: int, durability: str, stop: Path) -> list[str]:
    """Create leaves until `stop` appears, whether the workflow run is there or not; give those that were acknowledged."""
    leaves, made, number = opened(root, durability).workflows.handle("w").leaves, [], 0
    processes.say("begins")
    while not stop.exists():
        number += 1
        try:
            made.append(leaves.create(f"{me} {number}", leaf_id="x").id)
        except NotFoundError:
            time.sleep(0.001)
    return made


# Names, and looking up messages


#: Names that are the same whatever their case.
SPELLINGS = ("Straße", "STRASSE", "strasse")


def renames(root: Path, me: int, count: int) -> None:
    """Give one thread spellings of one name in turn, and another one two names in turn."""
    store = opened(root)
    for number in range(count):
        store.thread("spelled").rename(SPELLINGS[(number + me) % 3])
        name = ("left", "right")[(number + me) % 2]
        if me % 2:
            store.thread("turned").rename(name)
        else:
            store.names.append("turned", name, 1 << 40)


def names_that_were_given():
    def look(store: Store) -> None:
        names = store.names
        assert names.path_of("stRAsse") == "/spelled"
        assert names.get("spelled") in SPELLINGS
        assert names.get("turned") in ("left", "right")
        assert names.path_of("left") in ("/turned", "/stays")
        assert names.path_of("Right") in ("/turned", None)
        assert names.path_of("never") is None

    return look


def names_threads(root: Path, me: int, count: int, durability: str) -> None:
    """Name a thread of its own and one that all name, neither of them here, and one that is."""
    store = opened(root, durability)
    for number in range(count):
        store.names.append(f"of {me}", f"{number}", number, f"/{me}/{number}")
        store.names.append("shared", f"{me} {number}", number * work.PROCESSES + me, f"/shared/{me}/{number}")
        store.names.append("here", f"{me} {number}", FAR + number * work.PROCESSES + me)
        assert store.names.get(f"of {me}") == f"{number}"
        assert store.names.path_of(f"{number}") is not None


def begins_and_deletes_threads(root: Path, me: int, count: int) -> None:
    """Create threads with a message each, find them by it, and delete every other one."""
    store = opened(root)
    for number in range(count):
        thread = store.threads.create(f"{me} {number}")
        message = thread.messages.append("user", "hi", given_id=f"given {me} {number}")
        assert store.threads.with_message(message.record_id).id == thread.id
        assert store.threads.with_message(message.id).id == thread.id
        if number % 2:
            thread.delete()
            for id in (message.id, message.record_id):
                try:
                    found = store.threads.with_message(id).id
                except MessageNotFoundError:
                    continue
                raise AssertionError(f"{id} was deleted, and found in {found}")


def messages_that_stay(ids: list[tuple[str, str]]):
    def look(store: Store) -> None:
        for thread, id in ids:
            assert store.threads.with_message(id).id == thread
        with suppress(MessageNotFoundError):
            store.threads.with_message("given 0 1")
        try:
            store.threads.with_message("no such message")
        except MessageNotFoundError:
            return
        raise AssertionError("a message was found that nobody wrote")

    return look
