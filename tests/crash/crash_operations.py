"""Every operation whose crashes are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from crash_harness import Desk, Operation, View
from crash_scenes import (
    TOOLS,
    before_the_next,
    checkpoints,
    conversation,
    deleted,
    ending_in,
    everything,
    goal,
    half_deleted,
    half_deleted_trace,
    half_removed,
    half_restored,
    half_restored_and_used,
    index_of,
    jobs,
    ledger_of,
    lost_index,
    messages_of,
    names,
    namesakes,
    nothing,
    placeless,
    run,
    spent,
    spoiled_in_all_ways,
    tainted,
    thread,
    tools,
    trace,
    trashed,
    unsorted,
)
from data_operations import DATA
from import_operations import IMPORTS
from session_operations import SESSIONS

from fsstore import (
    BranchRun,
    JobStateRecord,
    LeafRun,
    Run,
    RunError,
    RunStep,
    StateStore,
    Thread,
    ThreadGoalRecord,
    ThreadMessage,
    ThreadMetadata,
    ThreadStore,
    WorkflowRun,
    clock,
    codec,
)
from fsstore.disk import fs
from fsstore.upkeep.secrets import redact_secrets

NO_META, NO_RUN = frozenset(("no-meta",)), frozenset(("no-run",))
LONG = "x" * 30_000
BATCH = 5


def first(desk: Desk) -> str:
    return next(iter(desk["t"].messages)).id


def append_more(desk: Desk) -> None:
    desk["t"].messages.append("user", "more")


def leaky(desk: Desk) -> None:
    thread(desk).messages.extend([{"role": "user", "content": f"{n} redis://:fz8.Qx@host"} for n in range(3)])
    desk.store.close()


def spend(desk: Desk) -> None:
    desk["t"].goal.accrue(tokens=250, seconds=12, now=150)


def put_over(desk: Desk) -> None:
    desk.store.threads.put(replace(desk["z-newer"].info(), name="Fix the parser", rollout_path="/rollouts/newest"))


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


def noted(before: View, after: View) -> list[View]:
    """The view in which the index has a thread's name, and the thread is not there yet."""
    return [{**before, "names": after["names"], "paths": after["paths"]}]


def batch(size: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{n} " + "z" * size} for n in range(BATCH)]


def state(call: str, *arguments: Any) -> Any:
    return lambda desk: getattr(desk.facade(StateStore.open), call)(*arguments)


def server(call: str, *arguments: Any) -> Any:
    return lambda desk: getattr(desk.facade(ThreadStore), call)(*arguments)


STORE = [
    Operation("create store", (lambda desk: desk.store,), nothing),
    Operation(
        "create store below missing directories", (lambda desk: desk.facade(StateStore.open),), nothing, place="a/b/store"
    ),
    Operation(
        "create store, thread and message",
        (lambda desk: desk.store, thread, lambda desk: desk["t"].messages.append("user", "hi")),
        nothing,
        noted,
        since=1,
        leaves=NO_META,
    ),
]
THREADS = [
    Operation("create thread without a name", (lambda desk: desk.store.threads.create("t"),), leaves=NO_META),
    Operation("create thread", (thread,), between=noted, leaves=NO_META),
    Operation(
        "create thread of a hashed name",
        (lambda desk: desk.store.threads.create("Ä/" * 300, name="long"),),
        between=noted,
        leaves=NO_META,
    ),
    Operation(
        "put over a thread",
        (state("upsert_thread", ThreadMetadata(id="t", name="New name", rollout_path="/new", preview="p", updated_at=7)),),
        conversation,
    ),
    Operation(
        "put a new thread",
        (state("upsert_thread", ThreadMetadata(id="new", name="Fix the parser", rollout_path="/new", updated_at=10**9)),),
        namesakes,
        noted,
        leaves=NO_META,
    ),
    Operation("put over a thread the name of others", (put_over,), namesakes),
    Operation(
        "update thread", (state("set_thread_memory_mode", "t", "on"), state("set_thread_memory_mode", "t", None)), thread
    ),
    Operation("archive and unarchive", (state("mark_archived", "t"), state("mark_unarchived", "t")), conversation),
    Operation("delete thread", (state("delete_thread", "t"),), everything),
    Operation(
        "delete thread just written by the same store",
        (lambda desk: desk["t"].messages.append("user", "late"), lambda desk: desk["t"].delete()),
        conversation,
    ),
    Operation("open after an interrupted deletion", (lambda desk: desk.store,), half_deleted),
    Operation(
        "create a deleted thread again",
        (thread, lambda desk: desk["t"].messages.append("user", "anew"), lambda desk: desk["t"].goal.set("anew")),
        deleted,
        leaves=NO_META,
    ),
    Operation(
        "delete, create again, delete again",
        (lambda desk: desk["t"].delete(), thread, lambda desk: desk["t"].delete()),
        everything,
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
        ending_in(
            b'{"id":"0190a5b0-0000-7000-8000-00000000000a","parent_id":null,"role":"user","content":"half a', conversation
        ),
    ),
    Operation("append after a NUL tail", (append_more,), ending_in(b"\0" * 90, conversation)),
    Operation(
        "append after a whole line without newline",
        (append_more,),
        ending_in(
            b'{"id":"0f90a5b0-0000-7000-8000-00000000000a","parent_id":null,"role":"user","content":"whole"}', conversation
        ),
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
    Operation("redact", (lambda desk: desk["t"].messages.redact(first(desk), "blue"),), conversation),
    Operation(
        "redact secrets, compact and append",
        (
            lambda desk: redact_secrets(desk["t"].messages, first(desk)),
            lambda desk: desk["t"].messages.compact(),
            append_more,
        ),
        leaky,
    ),
    Operation("clear", (lambda desk: desk["t"].messages.clear(),), conversation),
    Operation(
        "append to an unsorted log",
        (append_more,),
        unsorted(conversation, messages_of),
        leaves=frozenset(("unsorted",)),
    ),
    Operation("append to a tainted log", (append_more,), tainted(conversation, lambda desk: desk["t"].messages._log)),
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
GOALS = [
    Operation(
        "set, put, update and delete goal",
        (
            lambda desk: desk["t"].goal.set("Ship 1.0", token_budget=1_000),
            state("upsert_thread_goal", ThreadGoalRecord(thread_id="t", goal_id="g", objective="other", tokens_used=7)),
            lambda desk: desk["t"].goal.update(objective="changed"),
            state("delete_thread_goal", "t"),
            lambda desk: desk["t"].goal.set("anew"),
        ),
        thread,
    ),
    Operation(
        "put over a goal on which was spent, with its sums and with others",
        (
            lambda desk: desk["t"].goal.put(replace(desk["t"].goal.get(), status="paused")),
            lambda desk: desk["t"].goal.update(tokens_used=5),
            spend,
            lambda desk: desk["t"].goal.set("another"),
        ),
        spent,
    ),
    Operation("set another goal", (lambda desk: desk["t"].goal.set("another"),), spent),
    Operation(
        "first accrual, continuation and a stale one",
        (
            state("record_thread_goal_usage", "t", 250, 12, 150),
            state("record_thread_goal_continuation", "t", 160),
            lambda desk: desk["t"].goal.accrue(tokens=75, now=1),
        ),
        goal,
    ),
    Operation("accrual", (spend,), spent),
    Operation("accruals of one store", (spend, spend, lambda desk: desk["t"].goal.note_continuation()), spent),
    Operation(
        "accrual after a torn line",
        (spend,),
        ending_in(b'{"id":"0190a5b0-0000-7000-8000-00000000000a","type":"goal","epoch":"01', spent, ledger_of),
    ),
    Operation("accrual after a NUL tail", (spend,), ending_in(b"\0" * 90, spent, ledger_of)),
    Operation(
        "accrual to an unsorted ledger",
        (spend,),
        unsorted(spent, ledger_of, twice=True),
        leaves=frozenset(("unsorted", "duplicate-id", "conflicting-id")),
    ),
    Operation("accrual to a tainted ledger", (spend,), tainted(spent, lambda desk: desk["t"].goal.usage._log._log)),
]
CHECKPOINTS = [
    Operation("first checkpoint", (lambda desk: desk["t"].checkpoints.save("a", {"files": 3}),), thread),
    Operation("save over a checkpoint", (lambda desk: desk["t"].checkpoints.save("a", [None]),), checkpoints),
    Operation(
        "save and delete checkpoints",
        (
            state("save_checkpoint", "t", "c", LONG),
            lambda desk: desk["t"].checkpoints.save("a", {"again": True}),
            lambda desk: desk["t"].checkpoints.delete("a"),
            lambda desk: desk["t"].checkpoints.delete("c"),
            lambda desk: desk["t"].checkpoints.save("a", "anew"),
        ),
        checkpoints,
    ),
    Operation("delete checkpoint", (state("delete_checkpoint", "t", "b"),), checkpoints),
]
TOOL_SETS = [
    Operation("first tools", (lambda desk: desk["t"].tools.replace(TOOLS),), thread),
    Operation(
        "replace tools",
        (lambda desk: desk["t"].tools.replace(TOOLS[:1]), state("persist_dynamic_tools", "t", [])),
        tools,
    ),
]
JOBS = [
    Operation("first job", (state("upsert_job", JobStateRecord(id="j", name="build", updated_at=5)),)),
    Operation(
        "put, update and delete jobs",
        (
            state("upsert_job", JobStateRecord(id="job 1", status="running", progress=50, updated_at=9)),
            lambda desk: desk.store.jobs.update("job 0", detail=LONG, updated_at=8),
            lambda desk: desk.store.jobs.delete("job 0"),
            lambda desk: desk.store.jobs.put(JobStateRecord(id="job 0", name="anew", updated_at=1)),
        ),
        jobs,
    ),
    Operation("delete job", (state("delete_job", "job 1"),), jobs),
]
NAMES = [
    Operation(
        "name threads that are not here",
        (
            state("append_thread_name", "elsewhere", "Fix the PARSER", 900, "/rollouts/moved"),
            state("append_thread_name", "nameless", "named", 301, "/rollouts/nameless"),
            state("append_thread_name", "elsewhere", "stale", 299),
            state("append_thread_name", "nameless", None, 302),
        ),
        names,
    ),
    Operation("name a thread that is here", (state("append_thread_name", "t", "FIX THE LEXER", 300, "/moved"),), names),
    Operation("name a thread that is here, too late", (state("append_thread_name", "t", "stale", 99),), names),
    Operation("rename to the name of others", (lambda desk: desk["z-newer"].rename("Fix the parser"),), namesakes),
    Operation(
        "rename again and again",
        (
            lambda desk: desk["t"].rename("other"),
            lambda desk: desk["t"].rename(None),
            lambda desk: desk["t"].rename("Fix the parser"),
        ),
        names,
    ),
    Operation("open without a session index", (lambda desk: desk.store,), lost_index),
    Operation(
        "name after a torn line",
        (state("append_thread_name", "elsewhere", "moved", 900, "/moved"),),
        ending_in(b'{"id":"0190a5b0-0000-7000-8000-00000000000a","thread_id":"t","thr', names, index_of),
    ),
]
WORKFLOWS = [
    Operation("first workflow run", (lambda desk: desk.store.workflows.create("deploy", id="w"),)),
    Operation(
        "create, update, finish and put workflow run",
        (
            lambda desk: desk.store.workflows.create("test", id="new", started_at=5),
            lambda desk: desk.store.workflows["new"].update(metadata={"a": [1]}),
            lambda desk: desk.store.workflows["new"].finish("failed"),
            lambda desk: desk.store.workflows.put(WorkflowRun(id="w", workflow_id="deploy", goal="put", started_at=9)),
        ),
        trace,
    ),
    Operation(
        "create and change parts",
        (
            lambda desk: desk.store.workflows["other"].branches.create("b", branch_id="left"),
            lambda desk: desk.store.workflows["w"].leaves.create(
                "l2", leaf_id="test", branch_run_id="b", output=LONG, started_at=3
            ),
            lambda desk: desk.store.workflows["w"].leaves.put(
                LeafRun(id="l", workflow_run_id="w", leaf_id="build", branch_run_id="b", status="done", started_at=4)
            ),
            lambda desk: desk.store.workflows["w"].candidates.update("c", score=1.0, passed=True),
            lambda desk: desk.store.workflows["w"].control_nodes.finish("n", result={"winner": "left"}),
        ),
        trace,
    ),
    Operation(
        "delete parts that others name, and create one again",
        (
            lambda desk: desk.store.workflows["w"].branches.delete("b"),
            lambda desk: desk.store.workflows["w"].control_nodes.delete("n"),
            lambda desk: desk.store.workflows["w"].branches.put(BranchRun(id="gone", workflow_run_id="w", branch_id="anew")),
        ),
        trace,
    ),
    Operation("delete workflow run", (lambda desk: desk.store.workflows.delete("w"),), trace, leaves=NO_RUN),
    Operation(
        "delete workflow run and create it again",
        (
            lambda desk: desk.store.workflows["w"].delete(),
            lambda desk: desk.store.workflows.create("deploy", id="w", started_at=7),
            lambda desk: desk.store.workflows["w"].branches.create("b", branch_id="anew"),
        ),
        trace,
        leaves=NO_RUN,
    ),
    Operation(
        "create a workflow run again after an interrupted deletion",
        (
            lambda desk: desk.store.workflows.create("deploy", id="w", started_at=7),
            lambda desk: desk.store.workflows["w"].leaves.create("l", leaf_id="anew"),
        ),
        half_deleted_trace,
        leaves=NO_RUN,
    ),
]


def restore(kind: str) -> Any:
    def step(desk: Desk) -> None:
        desk.store.trash.restore(next(one.id for one in desk.store.trash if one.kind == kind))

    return step


def restore_a_run_without_a_sync(desk: Desk) -> None:
    other = Desk(desk.root, "process")
    restore("workflow run")(other)
    other.store.close()


def finish_restoring(desk: Desk) -> None:
    (row,) = desk.store.threads._index.deletions_of("t") or [None]
    if row is not None:  # else it counts no more: it was taken back before
        desk.store.trash.restore(row["id"])


def empty(desk: Desk) -> None:
    desk.store.trash.empty()


def delete_two(desk: Desk) -> None:
    desk["z-newer"].delete()
    desk["older"].delete()


TRASH = [
    Operation("restore thread", (restore("thread"),), trashed(everything, lambda desk: desk["t"].delete()), noted),
    Operation("open after an interrupted restoration", (lambda desk: desk.store,), half_restored),
    Operation("restore a thread that is back already", (finish_restoring, append_more), half_restored_and_used),
    Operation(
        "restore thread, delete and restore it again",
        (restore("thread"), lambda desk: desk["t"].delete(), restore("thread")),
        trashed(conversation, lambda desk: desk["t"].delete()),
    ),
    Operation(
        "restore checkpoint and goal",
        (restore("checkpoint"), restore("goal")),
        trashed(everything, lambda desk: desk["t"].checkpoints.delete("b"), lambda desk: desk["t"].goal.delete()),
    ),
    Operation(
        "restore what stood in directories that are gone",
        (restore("thread"), restore("job"), restore("workflow run")),
        placeless,
        leaves=NO_RUN,
    ),
    Operation("restore job", (restore("job"),), trashed(jobs, lambda desk: desk.store.jobs.delete("job 1"))),
    Operation(
        "restore workflow run",
        (restore("workflow run"),),
        trashed(trace, lambda desk: desk.store.workflows.delete("w")),
        leaves=NO_RUN,
    ),
    Operation(
        "restore a workflow run after an interrupted deletion", (restore("workflow run"),), half_deleted_trace, leaves=NO_RUN
    ),
    Operation(
        "restore a workflow run without a sync where its directory is gone",
        (restore_a_run_without_a_sync,),
        placeless,
        leaves=NO_RUN,
    ),
    Operation(
        "restore part of a workflow run",
        (restore("leaf run"),),
        trashed(trace, lambda desk: desk.store.workflows["w"].leaves.delete("l")),
    ),
    Operation("empty the trash", (empty,), trashed(namesakes, delete_two), frees=True),
    Operation(
        "collect what serves nobody",
        (lambda desk: desk.store.gc(),),
        trashed(tainted(conversation, lambda desk: desk["t"].messages._log), lambda desk: desk["t"].delete(), empty),
    ),
]


def became(before: View, after: View) -> list[View]:
    """Somebody else's write came before a step that was refused."""
    return [after]


def compact_while_another_appends(desk: Desk) -> None:
    other = Desk(desk.root, desk.durability)
    with before_the_next("create_temp", lambda: append_more(other)):
        desk["t"].messages.compact()
    other.store.close()


def compact_while_somebody_writes(desk: Desk) -> None:
    log = desk["t"].messages
    line = codec.encode_line({"id": clock.new_id(), "parent_id": None, "role": "user", "content": "by hand", "created_at": 1})

    def write() -> None:
        fd = fs.open_log(log.path, create=False)
        fs.write(fd, line)
        fs.close(fd)

    with before_the_next("rename", write):
        log.compact()


UPKEEP = [
    Operation(
        "repair a log, rights and the index of names",
        (lambda desk: desk.store.repair(), append_more),
        spoiled_in_all_ways,
    ),
    Operation(
        "repair an unsorted log",
        (lambda desk: desk.store.repair(),),
        unsorted(conversation, messages_of, twice=True),
    ),
    Operation("compact while another appends", (compact_while_another_appends,), half_removed, became, repeats=False),
    Operation(
        "compact while somebody writes without the lock", (compact_while_somebody_writes,), half_removed, became, repeats=False
    ),
    Operation("compact a store", (lambda desk: list(desk.store.compact()), append_more), half_removed),
]
OPERATIONS = [
    *STORE,
    *THREADS,
    *MESSAGES,
    *RUNS,
    *GOALS,
    *CHECKPOINTS,
    *TOOL_SETS,
    *JOBS,
    *NAMES,
    *WORKFLOWS,
    *TRASH,
    *UPKEEP,
    *DATA,
    *SESSIONS,
    *IMPORTS,
]


def named(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)
