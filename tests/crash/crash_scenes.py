"""What stands on the disk before an operation whose crashes are looked at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from crash_harness import Desk, Step

from fsstore import DynamicToolRecord, JobStateRecord
from fsstore.disk import fs
from fsstore.resources.session_index import SessionIndex
from fsstore.testing.trace import Killed


def nothing(desk: Desk) -> None:
    """No store yet."""


def thread(desk: Desk) -> Any:
    return desk.store.threads.create("t", name="Fix the parser", cwd="/repo", rollout_path="/rollouts/t", updated_at=100)


def conversation(desk: Desk) -> None:
    """A branching tree of four messages, the current leaf being the last."""
    messages = thread(desk).messages
    question = messages.append("user", "Why is the sky blue?")
    messages.append("assistant", "Rayleigh scattering.", item={"usage": 3})
    messages.fork(question.id, "assistant", "Air scatters blue light most.")
    messages.append("user", "Thanks … schön!")
    desk.store.close()


def run(desk: Desk) -> None:
    conversation(desk)
    desk["t"].runs.create("r", model="m").steps.create("s")


def goal(desk: Desk) -> None:
    thread(desk).goal.set("Ship 1.0", token_budget=1_000, goal_id="g", created_at=100, updated_at=100)
    desk.store.close()


def spent(desk: Desk) -> None:
    """A goal with a ledger of three records."""
    goal(desk)
    desk["t"].goal.accrue(tokens=100, seconds=5, now=120)
    desk["t"].goal.accrue(tokens=-1, seconds=0, now=110)
    desk["t"].goal.note_continuation(now=130)
    desk.store.close()


def checkpoints(desk: Desk) -> None:
    thread(desk)
    for name in ("a", "b", "Ä"):
        desk["t"].checkpoints.save(name, {"of": name})


TOOLS = [DynamicToolRecord(position=n, name=f"tool {n}", input_schema={"type": "object"}) for n in (2, 0)]


def tools(desk: Desk) -> None:
    thread(desk).tools.replace(TOOLS)


def everything(desk: Desk) -> None:
    """A thread with all that a thread can hold."""
    run(desk)
    one = desk["t"]
    one.goal.set("Ship 1.0", token_budget=1_000)
    one.goal.accrue(tokens=100, seconds=5)
    one.checkpoints.save("a", [1])
    one.checkpoints.save("b", [2])
    one.checkpoints.delete("a")
    one.tools.replace(TOOLS)
    desk.store.close()


def jobs(desk: Desk) -> None:
    for number in range(3):
        desk.store.jobs.put(JobStateRecord(id=f"job {number}", updated_at=number))


def namesakes(desk: Desk) -> None:
    """Two threads of one name, of which the one updated last counts; and a third that is to get the name."""
    thread(desk)
    for id, time in (("older", 50), ("z-newer", 200)):
        desk.store.threads.create(id, name=f"of {id}", rollout_path=f"/rollouts/{id}", updated_at=time)
    desk.store.threads.update("older", name="FIX the parser")
    desk.store.close()


def names(desk: Desk) -> None:
    """Names of threads that are not here beside those of some that are."""
    namesakes(desk)
    desk.store.names.append("elsewhere", "Fix the lexer", 300, "/rollouts/elsewhere")
    desk.store.names.append("nameless", None, 300, "/rollouts/nameless")
    desk.store.close()


def lost_index(desk: Desk) -> None:
    namesakes(desk)
    desk.store.threads.update("z-newer", name="Fix the Parser")
    os.unlink(desk.store.threads._index.path)
    desk.__dict__.pop("store")


def trace(desk: Desk) -> None:
    """A workflow run with parts of each kind that name each other, and a second run."""
    desk.store.workflows.create("deploy", id="other", started_at=1)
    one = desk.store.workflows.create("deploy", id="w", goal="ship", started_at=2)
    one.branches.create("b", branch_id="left", started_at=2)
    one.control_nodes.create("n", node_id="root", selected_children=["left"], started_at=2)
    one.leaves.create("l", leaf_id="build", input_hash="h", branch_run_id="b", output={"ok": True}, started_at=2)
    one.candidates.create("c", candidate_id="1", branch_run_id="b", control_node_run_id="n", score=0.5, created_at=2)
    one.branches.create("gone", branch_id="right", started_at=3)
    one.branches.delete("gone")


def deleted(desk: Desk) -> None:
    conversation(desk)
    desk["t"].delete()


def half_deleted(desk: Desk) -> None:
    """A process died in a deletion, before the directory was moved."""
    everything(desk)
    dying_at_a_directory(desk["t"].delete)


def half_deleted_trace(desk: Desk) -> None:
    """A process died in the deletion of a workflow run, before its parts were moved."""
    trace(desk)
    dying_at_a_directory(desk.store.workflows["w"].delete)


def dying_at_a_directory(do: Callable[[], object]) -> None:
    """Do something, but die before a directory is renamed."""

    def rename(source: str, target: str) -> None:
        if os.path.isdir(source):
            raise Killed
        os.rename(source, target)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(fs, "rename", rename)
        do()


@contextmanager
def before_the_next(call: str, do: Callable[[], object]) -> Iterator[None]:
    """Do something just before the next call of `fs` of this name."""
    real = getattr(fs, call)

    def first(*arguments: Any, **options: Any) -> Any:
        setattr(fs, call, real)
        do()
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fs, call, first)
        yield


def trashed(before: Step, *delete: Step) -> Step:
    """Something was deleted, step by step."""

    def prepare(desk: Desk) -> None:
        before(desk)
        for step in delete:
            step(desk)
        desk.store.close()

    return prepare


def half_restored(desk: Desk) -> None:
    """A process died in the restoration of a thread, before the session index said so."""
    everything(desk)
    desk["t"].delete()
    (entry,) = (one for one in desk.store.trash if one.kind == "thread")
    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(SessionIndex, "note_restoration", dying)
        desk.store.trash.restore(entry.id)


def half_restored_and_used(desk: Desk) -> None:
    """The same, and somebody who had the store open wrote to the thread before the next `open`."""
    half_restored(desk)
    desk["t"].messages.append("user", "back already")
    desk.store.close()


def placeless(desk: Desk) -> None:
    """Only the trash has a thread without a name, a job and a workflow run; what they stood in is gone, and so is the index."""
    desk.store.threads.create("t").messages.append("user", "Why?")
    jobs(desk)
    trace(desk)
    desk.store.workflows.delete("w")
    desk.store.jobs.delete("job 1")
    desk["t"].delete()
    desk.store.close()
    os.unlink(index_of(desk))
    for name in ("jobs", "workflows"):
        shutil.rmtree(desk.root / name)


def dying(*_: object) -> None:
    raise Killed


# Damage


def messages_of(desk: Desk) -> str:
    return str(desk["t"].messages.path)


def ledger_of(desk: Desk) -> str:
    return str(desk["t"].goal.usage.path)


def index_of(desk: Desk) -> str:
    return str(desk.store.threads._index.path)


def ending_in(tail: bytes, before: Step, path_of: Callable[[Desk], str] = messages_of) -> Step:
    """A log with bytes behind its last line."""

    def prepare(desk: Desk) -> None:
        before(desk)
        with open(path_of(desk), "ab") as log:
            log.write(tail)

    return prepare


def spoiled_in_all_ways(desk: Desk) -> None:
    """A log with rubbish, rights of others on a document, and a name that the index lost."""
    ending_in(b'rubbish\n{"id":"01', conversation)(desk)
    os.chmod(f"{desk['t'].directory}/meta.json", 0o644)
    index = index_of(desk)
    with open(index, "rb") as log:
        kept = log.read().replace(b"Fix the parser", b"Fix it")
    with open(index, "wb") as log:
        log.write(kept)


def half_removed(desk: Desk) -> None:
    """Two threads, each with a message that is gone."""
    conversation(desk)
    desk["t"].messages.remove_last()
    desk.store.threads.create("u").messages.extend({"role": "user", "content": f"{n}"} for n in range(3))
    desk["u"].messages.remove_last()
    desk.store.close()


def unsorted(before: Step, path_of: Callable[[Desk], str], *, twice: bool = False) -> Step:
    """A log whose first line stands last, as a plain `git merge` leaves it; or `twice`, once more."""

    def prepare(desk: Desk) -> None:
        before(desk)
        path = path_of(desk)
        with open(path, "rb") as log:
            first, second, *rest = log.read().splitlines(keepends=True)
        with open(path, "wb") as log:
            log.writelines((*(first,) * twice, second, *rest, first))

    return prepare


def tainted(before: Step, log_of: Callable[[Desk], Any]) -> Step:
    """A log of which a sync failed."""

    def prepare(desk: Desk) -> None:
        before(desk)
        with open(log_of(desk)._taint, "wb"):
            pass

    return prepare
