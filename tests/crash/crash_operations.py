"""Every operation whose crashes are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from crash_harness import Desk, Operation, View
from data_operations import DATA
from session_operations import SESSIONS

from fsstore import (
    Run,
    RunError,
    RunStep,
    StateStore,
    Thread,
    ThreadMessage,
    ThreadMetadata,
    ThreadStore,
)
from fsstore.disk import fs
from fsstore.testing.trace import Killed

NO_META = frozenset(("no-meta",))
LONG = "x" * 30_000
BATCH = 5


def nothing(desk: Desk) -> None:
    """No store yet."""


def thread(desk: Desk) -> Any:
    return desk.store.threads.create("t", name="Fix the parser", cwd="/repo")


def conversation(desk: Desk) -> None:
    """A branching tree of four messages, the current leaf being the last."""
    messages = thread(desk).messages
    question = messages.append("user", "Why is the sky blue?")
    messages.append("assistant", "Rayleigh scattering.", item={"usage": 3})
    messages.fork(question.id, "assistant", "Air scatters blue light most.")
    messages.append("user", "Thanks … schön!")
    desk.store.close()


def torn(tail: bytes) -> Any:
    def prepare(desk: Desk) -> None:
        conversation(desk)
        with open(desk["t"].messages.path, "ab") as log:
            log.write(tail)

    return prepare


def unsorted(desk: Desk) -> None:
    conversation(desk)
    path = desk["t"].messages.path
    with open(path, "rb") as log:
        first, second, *rest = log.read().splitlines(keepends=True)
    with open(path, "wb") as log:
        log.writelines((second, *rest, first))


def tainted(desk: Desk) -> None:
    conversation(desk)
    messages = desk["t"].messages
    with open(messages._log._taint, "wb"):
        pass


def run(desk: Desk) -> None:
    conversation(desk)
    desk["t"].runs.create("r", model="m").steps.create("s")


def deleted(desk: Desk) -> None:
    conversation(desk)
    desk["t"].delete()


def half_deleted(desk: Desk) -> None:
    """A process died in a deletion, before the directory was moved."""
    conversation(desk)
    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(fs, "rename", die)
        desk["t"].delete()


def die(*paths: str) -> None:
    raise Killed


def first(desk: Desk) -> str:
    return next(iter(desk["t"].messages)).id


def append_more(desk: Desk) -> None:
    desk["t"].messages.append("user", "more")


def long_thread(desk: Desk) -> None:
    thread(desk).messages.extend([{"role": "user", "content": f"{n} " + "y" * 500} for n in range(150)])


def with_some(before: View, after: View, kept: Sequence[int]) -> View:
    """The view in which of the messages that a batch added only those of the given places are there, each below the last."""
    old, new = before["threads"]["t"]["messages"], after["threads"]["t"]["messages"]
    messages = list(old)
    for place in kept:
        message, known = new[len(old) + place], {one.id for one in messages}
        messages.append(message if message.parent_id in known else replace(message, parent_id=messages[-1].id))
    parents = {message.id: message.parent_id for message in messages}
    branch = [messages[-1].id]
    while parents[branch[0]] is not None:
        branch.insert(0, parents[branch[0]])
    leaves = [id for id in parents if id not in parents.values()]
    changes = {"messages": messages, "branch": branch, "newest": branch[-3:], "leaves": leaves}
    return {**after, "threads": {**after["threads"], "t": {**after["threads"]["t"], **changes}}}


def prefixes(before: View, after: View) -> list[View]:
    """The views in which a batch has come to its n-th message."""
    return [with_some(before, after, range(count)) for count in range(1, BATCH)]


def holes(before: View, after: View) -> list[View]:
    """The views in which pages in the middle of a batch were lost, and with them some of its messages."""
    subsets = (combinations(range(BATCH), count) for count in range(1, BATCH))
    return [with_some(before, after, kept) for subset in subsets for kept in subset]


def batch(size: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{n} " + "z" * size} for n in range(BATCH)]


def state(call: str, *arguments: Any) -> Any:
    return lambda desk: getattr(desk.facade(StateStore.open), call)(*arguments)


def server(call: str, *arguments: Any) -> Any:
    return lambda desk: getattr(desk.facade(ThreadStore), call)(*arguments)


STORE = [
    Operation("create store", (lambda desk: desk.store,), nothing),
    Operation("create store below missing directories", (lambda desk: desk.store,), nothing, place="a/b/store"),
    Operation(
        "create store, thread and message",
        (lambda desk: desk.store, thread, lambda desk: desk["t"].messages.append("user", "hi")),
        nothing,
        since=1,
        leaves=NO_META,
    ),
]
THREADS = [
    Operation("create thread without a name", (lambda desk: desk.store.threads.create("t"),), leaves=NO_META),
    Operation("create thread", (thread,), leaves=NO_META),
    Operation(
        "create thread of a hashed name", (lambda desk: desk.store.threads.create("Ä/" * 300, name="long"),), leaves=NO_META
    ),
    Operation(
        "put over a thread",
        (state("upsert_thread", ThreadMetadata(id="t", name="New name", preview="p", updated_at=7)),),
        conversation,
    ),
    Operation("put a new thread", (state("upsert_thread", ThreadMetadata(id="t", name="New name")),), leaves=NO_META),
    Operation(
        "update thread", (state("set_thread_memory_mode", "t", "on"), state("set_thread_memory_mode", "t", None)), thread
    ),
    Operation("archive and unarchive", (state("mark_archived", "t"), state("mark_unarchived", "t")), conversation),
    Operation("delete thread", (lambda desk: desk["t"].delete(),), run),
    Operation(
        "delete thread just written by the same store",
        (lambda desk: desk["t"].messages.append("user", "late"), lambda desk: desk["t"].delete()),
        conversation,
    ),
    Operation("open after an interrupted deletion", (lambda desk: desk.store,), half_deleted),
    Operation(
        "create a deleted thread again",
        (thread, lambda desk: desk["t"].messages.append("user", "anew")),
        deleted,
        leaves=NO_META,
    ),
    Operation(
        "delete, create again, delete again",
        (lambda desk: desk["t"].delete(), thread, lambda desk: desk["t"].delete()),
        conversation,
        leaves=NO_META,
    ),
    Operation("create_thread of ThreadStore", (server("create_thread", Thread(id="t", metadata={"a": 1})),), leaves=NO_META),
]
MESSAGES = [
    Operation(
        "first and second append",
        (
            lambda desk: desk["t"].messages.append("user", "one"),
            lambda desk: desk["t"].messages.append("assistant", "zwei … ü"),
        ),
        thread,
    ),
    Operation("append", (append_more,), conversation),
    Operation("append of a long message", (lambda desk: desk["t"].messages.append("user", LONG),), conversation),
    Operation(
        "append after a torn line",
        (append_more,),
        torn(b'{"id":"0190a5b0-0000-7000-8000-00000000000a","parent_id":null,"role":"user","content":"half a'),
    ),
    Operation("append after a NUL tail", (append_more,), torn(b"\0" * 90)),
    Operation(
        "append after a whole line without newline",
        (append_more,),
        torn(b'{"id":"0f90a5b0-0000-7000-8000-00000000000a","parent_id":null,"role":"user","content":"whole"}'),
    ),
    Operation("extend", (lambda desk: desk["t"].messages.extend(batch(20)),), conversation, prefixes),
    Operation(
        "extend by several pages",
        (lambda desk: desk["t"].messages.extend(batch(3_000)),),
        conversation,
        holes,
        leaves=frozenset(("missing-parent",)),
    ),
    Operation("fork", (lambda desk: desk["t"].messages.fork(first(desk), "assistant", "or so"),), conversation),
    Operation(
        "replace",
        (lambda desk: desk["t"].messages.replace(first(desk), "user", "Why is the sea blue?"),),
        conversation,
        repeats=False,
    ),
    Operation(
        "checkout",
        (lambda desk: desk["t"].messages.checkout(first(desk)), lambda desk: desk["t"].messages.checkout(None)),
        conversation,
    ),
    Operation("remove", (lambda desk: desk["t"].messages.remove(first(desk)),), conversation),
    Operation("clear", (lambda desk: desk["t"].messages.clear(),), conversation),
    Operation(
        "append to an unsorted log",
        (append_more,),
        unsorted,
        leaves=frozenset(("unsorted",)),
    ),
    Operation("append to a tainted log", (append_more,), tainted),
    Operation(
        "append and close, which keeps a stamp",
        (
            append_more,
            lambda desk: desk.store.close(),
            lambda desk: desk["t"].messages.append("user", "still more"),
        ),
        long_thread,
    ),
    Operation(
        "append_message, fork and leaf of StateStore",
        (
            state("append_message", "t", "user", "hi"),
            lambda desk: state("fork_at_message", first(desk), "user", [1, {"b": None}])(desk),
            lambda desk: state("set_current_leaf_id", "t", first(desk))(desk),
            state("clear_messages", "t"),
        ),
        conversation,
    ),
    Operation("append_message of ThreadStore", (server("append_message", "t", ThreadMessage.new_user("t", "hello")),), thread),
]
RUNS = [
    Operation(
        "create, update, finish and force run",
        (
            lambda desk: desk["t"].runs.create("r", model="m"),
            lambda desk: desk["t"].runs.handle("r").update("in_progress"),
            lambda desk: desk["t"].runs.handle("r").finish("failed", RunError(code="c", message="m")),
            lambda desk: desk["t"].runs.handle("r").update("queued", force=True),
        ),
        thread,
    ),
    Operation(
        "create and update step",
        (
            lambda desk: desk["t"].runs.handle("r").steps.create("s2", step_type="tool_calls", step_details={"a": [1]}),
            lambda desk: desk["t"].runs.handle("r").steps.update("s2", "completed"),
            lambda desk: desk["t"].runs.handle("r").steps.update("s", "failed", "it broke"),
        ),
        run,
    ),
    Operation(
        "runs and steps of ThreadStore",
        (
            server("create_run", "t", Run(id="r", thread_id="t")),
            server("append_step", "t", "r", RunStep(id="s", run_id="r", thread_id="t")),
            server("update_step_status", "t", "r", "s", "completed"),
            server("update_run_status", "t", "r", "completed"),
            server("force_update_run_status", "t", "r", "failed", RunError(code="c", message="m")),
        ),
        thread,
    ),
]
OPERATIONS = [*STORE, *THREADS, *MESSAGES, *RUNS, *DATA, *SESSIONS]


def named(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)
