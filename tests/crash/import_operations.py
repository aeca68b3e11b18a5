"""The imports whose crashes are looked at."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

from codewhale_source import Source
from crash_harness import Desk, Operation, View

from fsstore.upkeep.codewhale import import_codewhale
from fsstore.upkeep.imports import import_stream

NO_META, NO_RUN = frozenset(("no-meta",)), frozenset(("no-run",))
TALK = [{"id": "t", "conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because … ß"}]}]


def sharegpt(desk: Desk) -> None:
    list(import_stream(desk.store, "sharegpt", BytesIO(json.dumps(TALK).encode()), "talk.json"))


def installation(desk: Desk) -> Path:
    return desk.root.parent.parent / "codewhale"


def codewhale(desk: Desk) -> None:
    import_codewhale(desk.store, installation(desk))


def installed(desk: Desk) -> None:
    """A small CodeWhale installation, outside what the power cut changes: one row of each kind."""
    desk.store.close()
    if installation(desk).exists():
        return
    source = Source(installation(desk))
    source.thread("t", title="Sky", rollout_path="/rollouts/t")
    source.message(1, "t", "Why?")
    source.leaf("t", 1)
    source.add("thread_dynamic_tools", thread_id="t", position=0, name="read", input_schema="{}")
    goal = {"goal_id": "g", "objective": "Ship", "status": "active", "created_at": 5, "updated_at": 5}
    source.add("thread_goals", thread_id="t", **goal)
    source.checkpoint("t", "c", {"n": 1}, 1_700_000_200)
    source.name("elsewhere", "Old", 5, "/old")
    source.add("jobs", id="j", name="Job", status="queued", created_at=1, updated_at=2)
    source.add("workflow_runs", id="w", workflow_id="review", goal="", status="paused", started_at=100)
    of = {"workflow_run_id": "w", "branch_id": "b", "node_id": "n", "status": "completed"}
    source.add("branch_runs", id="br", started_at=101, **of)
    source.close()


#: What an import adds to a thread, in its order; with the messages come all that follows from them.
ADDED = (
    ("messages", "branch", "newest", "leaves"),
    ("tools",),
    ("goal",),
    ("checkpoints", "newest checkpoint"),
)
#: What it adds beside it, in its order.
BESIDE = (("names", "paths"), ("jobs",), ("workflows",))


def so_far(before: View, after: View) -> list[View]:
    """The views in which an import has come to its n-th write."""
    if "t" in before["threads"] or "t" not in after["threads"]:
        return []
    thread = {**after["threads"]["t"]}
    name = {"names": {"t": "Sky"}, "paths": {"sky": "/rollouts/t"}} if thread["info"].name else {}
    views = [{**before, **name}]
    for keys in ADDED:
        thread.update({key: thread[key] and type(thread[key])() if isinstance(thread[key], list) else None for key in keys})
    views.append({**before, **name, "threads": {"t": dict(thread)}})
    for keys in ADDED:
        thread.update({key: after["threads"]["t"][key] for key in keys})
        views.append({**views[-1], "threads": {"t": dict(thread)}})
    for keys in BESIDE:
        views.append({**views[-1], **{key: after[key] for key in keys}})
    bare = [{**run, "branches": []} for run in after["workflows"]]
    return [*views, {**views[-2], "workflows": bare}]


def said_first(before: View, after: View) -> list[View]:
    """The same; and the views in which only the first message of two is there."""
    views = so_far(before, after)
    for view in list(views[1:]) if views and len(after["threads"]["t"]["messages"]) == 2 else []:
        first, *_ = after["threads"]["t"]["messages"]
        ids = [first.id]
        thread = {**view["threads"]["t"], "messages": [first], "branch": ids, "newest": ids, "leaves": ids}
        views.append({**view, "threads": {"t": thread}})
    return views


IMPORTS = [
    Operation("import a conversation, twice", (sharegpt, sharegpt), between=said_first, leaves=NO_META),
    Operation("move in from CodeWhale, twice", (codewhale, codewhale), installed, so_far, leaves=NO_META | NO_RUN),
]
