"""Every file of a store: who reads it, who changes it; and every question that a whole store answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import examples
from examples import EXAMPLES, THREAD

from fsstore import (
    Checkpoint,
    DynamicToolRecord,
    RecipeSnapshot,
    RewindEntry,
    SessionQuery,
    Store,
    ThreadListFilters,
    codec,
    layout,
)
from fsstore.disk.folding import View
from fsstore.resources.content_log import WholeContentView
from fsstore.resources.index_view import IndexView
from fsstore.resources.prompts import PromptsView
from fsstore.resources.recipe_text import markdown
from fsstore.resources.rewind_log import RewindView
from fsstore.resources.usage import UsageView
from fsstore.stores.state import StateStore

LONG = "long"
FIRST = "01a1fb9f-b7ec-787d-9601-c7b722d7b782"  # the first message of the examples
STAMP = f"{layout.CACHE}/{LONG}.stamp"
CHECKPOINT, RUN, STEP, JOB, WORKFLOW = "before-refactor", "run_9", "step-1", "index-repo", "wr_1"
PARTS = (
    ("branches", "br_1", "status"),
    ("leaves", "leaf_1", "status"),
    ("control_nodes", "cn_1", "status"),
    ("candidates", "tc_1", "candidate_id"),
)
[RECIPE] = [name.removeprefix("recipes/").removesuffix(".json") for name in EXAMPLES if name.startswith("recipes/")]
_RECIPE = RecipeSnapshot.from_json(codec.decode_object(EXAMPLES[f"recipes/{RECIPE}.json"].encode())["recipe"])


def make(root: Path) -> None:
    """Make a store with a file of each kind, and a thread that is long enough for a stamp."""
    examples.make(root)
    with Store.open(root, durability="process") as store:
        store.threads.create(LONG).messages.extend({"role": "user", "content": f"{n} {'x' * 4000}"} for n in range(20))


def thread(store: Store) -> Any:
    return store.thread(THREAD)


def session(store: Store) -> Any:
    return store.data.session(THREAD, cwd="/")


def part(store: Store, name: str) -> Any:
    return getattr(store.workflows.handle(WORKFLOW), name)


@dataclass(frozen=True)
class Document:
    """A document: who reads it alone, and who changes it."""

    read: Callable[[Store], Any]
    write: Callable[[Store], Any]


DOCUMENTS = {
    "meta.json": Document(lambda s: s.threads.get(THREAD), lambda s: s.threads.update(THREAD, preview="after")),
    "goal.json": Document(lambda s: thread(s).goal.get(), lambda s: thread(s).goal.update(objective="after")),
    "state.json": Document(lambda s: thread(s).state.get(), lambda s: thread(s).state.set("after")),
    "tools.json": Document(
        lambda s: thread(s).tools.all(), lambda s: thread(s).tools.replace([DynamicToolRecord(position=1, name="after")])
    ),
    f"checkpoints/{CHECKPOINT}.json": Document(
        lambda s: thread(s).checkpoints.get(CHECKPOINT), lambda s: thread(s).checkpoints.save(CHECKPOINT, "after")
    ),
    f"runs/{RUN}/status.json": Document(
        lambda s: thread(s).runs.get(RUN), lambda s: thread(s).runs.handle(RUN).update("queued", force=True)
    ),
    f"runs/{RUN}/steps/{STEP}.json": Document(
        lambda s: thread(s).runs.handle(RUN).steps.get(STEP),
        lambda s: thread(s).runs.handle(RUN).steps.update(STEP, "failed", error="after"),
    ),
    "session_metadata.json": Document(
        lambda s: (session(s).recipe.own(), session(s).recipe.created_at()), lambda s: session(s).recipe.set(None)
    ),
    "checkpoint.json": Document(
        lambda s: session(s).checkpoint.load(),
        lambda s: session(s).checkpoint.save(Checkpoint.from_json({"prompt": "after", "responses": [{"model_id": "m"}]})),
    ),
    f"jobs/{JOB}.json": Document(lambda s: s.jobs.get(JOB), lambda s: s.jobs.update(JOB, detail="after")),
    f"recipes/{RECIPE}.json": Document(lambda s: s.recipes.get(RECIPE), lambda s: s.recipes.put(_RECIPE)),
    f"workflows/{WORKFLOW}/run.json": Document(
        lambda s: s.workflows.get(WORKFLOW), lambda s: s.workflows.handle(WORKFLOW).update(goal="after")
    ),
    **{
        f"workflows/{WORKFLOW}/{name}/{one}.json": Document(
            lambda s, name=name, one=one: part(s, name).get(one),
            lambda s, name=name, one=one, field=field: part(s, name).update(one, **{field: "after"}),
        )
        for name, one, field in PARTS
    },
}


@dataclass(frozen=True)
class Log:
    """A log whose records stand for themselves.

    Attributes:
        view: What keeps what it says.
        append: Appends a record.
        shows: Gives what it says.
        grows: Gives what it says after `append`, from what it said before.
    """

    view: type[View]
    append: Callable[[Store], Any]
    shows: Callable[[Store], Any]
    grows: Callable[[Any], Any]


LOGS = {
    "usage.jsonl": Log(
        UsageView,
        lambda s: session(s).accrue_cost("after", 1.0),
        lambda s: (session(s).costs(), thread(s).goal.get()),
        lambda said: ({**said[0], "after": said[0].get("after", 0.0) + 1.0}, said[1]),
    ),
    "session_content.jsonl": Log(
        WholeContentView,
        lambda s: session(s).runs.set_tools(["after"]),
        lambda s: (session(s).runs.tools(), session(s).runs.content(), session(s).histories.all()),
        lambda said: (["after"], *said[1:]),
    ),
    "rewind.jsonl": Log(
        RewindView,
        lambda s: session(s).rewinds.push(RewindEntry(prompt="after")),
        lambda s: len(session(s).rewinds),
        lambda said: said + 1,
    ),
    "prompt_history.jsonl": Log(
        PromptsView, lambda s: s.prompts.record("after"), lambda s: s.prompts.recent(), lambda said: ["after", *said]
    ),
    "session_index.jsonl": Log(
        IndexView,
        lambda s: s.names.append("elsewhere", "after", 1 << 40),
        lambda s: s.names.get_all(["elsewhere", "thread_0001", THREAD]),
        lambda said: {**said, "elsewhere": "after"},
    ),
}

#: Every other question that looks at all of something; each may look at any file.
QUESTIONS: tuple[Callable[[Store], Any], ...] = (
    lambda s: s.threads.recent(),
    lambda s: s.threads.recent(archived=True, by="created_at"),
    lambda s: (list(s.threads), s.threads.ids(), s.threads.unreadable(), s.threads.called("Fix the parser")),
    lambda s: s.threads.with_message(FIRST),
    lambda s: s.threads.with_message("nobody"),
    lambda s: (thread(s).info(), thread(s).last_activity()),
    lambda s: (s.names.get(THREAD), s.names.path_of("Fix the parser")),
    lambda s: (thread(s).messages.leaf(), thread(s).messages.leaves(), thread(s).messages.damage(), len(thread(s).messages)),
    lambda s: (thread(s).messages.branch(2), thread(s).messages.children(), thread(s).messages.get(FIRST)),
    lambda s: s.thread(LONG).messages.branch(3),
    lambda s: thread(s).checkpoints.newest(),
    lambda s: (thread(s).checkpoints.recent(), thread(s).checkpoints.ids(), thread(s).checkpoints.damage()),
    lambda s: [(run, list(thread(s).runs.handle(run.id).steps)) for run in thread(s).runs],
    lambda s: (s.jobs.recent(), list(s.jobs), s.jobs.damage()),
    lambda s: (s.workflows.recent(), list(s.workflows), s.workflows.damage()),
    lambda s: [(list(part(s, name)), list(part(s, name).damage())) for name, _, _ in PARTS],
    lambda s: part(s, "leaves").replay("lint", "77ab"),
    lambda s: (s.recipes.all(), s.recipes.hashes_for_name("fast"), s.recipes.name_of(RECIPE), s.recipes.damage()),
    lambda s: (s.sessions.recent(), s.sessions.keys(), s.sessions.running(), s.sessions.stuck(1), s.sessions.stale(1)),
    lambda s: (s.sessions.get(THREAD), s.sessions.damage()),
    lambda s: s.sessions.search(SessionQuery(keyword="sky parser")),
    lambda s: (s.data.ids(), s.data.recent(), s.data.damage(), list(s.data)),
    lambda s: (s.data.statistics(), s.data.latest_id(), s.data.resolve("thread_7")),
    lambda s: session(s).metadata(),
    lambda s: (markdown(session(s).snapshot()), session(s).recipe.active()),
    lambda s: (StateStore(s).list_threads(ThreadListFilters(include_archived=True)), StateStore(s).list_messages(THREAD)),
    lambda s: (
        StateStore(s).list_leaf_messages(THREAD),
        StateStore(s).load_checkpoint(THREAD),
        StateStore(s).get_thread(THREAD),
    ),
)
