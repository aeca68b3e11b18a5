"""Real CodeWhale databases for the tests: the schema of each version, filled by plain SQL."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

VERSIONS = (0, 1, 2, 3, 4)

_THREADS = """
    CREATE TABLE threads (
        id TEXT PRIMARY KEY, rollout_path TEXT, preview TEXT NOT NULL, ephemeral INTEGER NOT NULL, model_provider TEXT NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, status TEXT NOT NULL, path TEXT, cwd TEXT NOT NULL,
        cli_version TEXT NOT NULL, source TEXT NOT NULL, title TEXT, sandbox_policy TEXT, approval_mode TEXT,
        archived INTEGER NOT NULL DEFAULT 0, archived_at INTEGER, git_sha TEXT, git_branch TEXT, git_origin_url TEXT,
        memory_mode TEXT
    );
    CREATE TABLE thread_dynamic_tools (
        thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL,
        description TEXT, input_schema TEXT NOT NULL, PRIMARY KEY (thread_id, position)
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
        role TEXT NOT NULL, content TEXT NOT NULL, item_json TEXT, created_at INTEGER NOT NULL
    );
    CREATE INDEX messages_by_thread ON messages(thread_id, created_at);
    CREATE TABLE checkpoints (
        thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE, checkpoint_id TEXT NOT NULL, state_json TEXT NOT NULL,
        created_at INTEGER NOT NULL, PRIMARY KEY (thread_id, checkpoint_id)
    );
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, progress INTEGER, detail TEXT,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
    );
"""
_TREES = """
    ALTER TABLE messages ADD COLUMN parent_entry_id INTEGER;
    ALTER TABLE threads ADD COLUMN current_leaf_id INTEGER;
"""
_WORKFLOWS = """
    CREATE TABLE workflow_runs (
        id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, goal TEXT NOT NULL, status TEXT NOT NULL, input_hash TEXT,
        started_at INTEGER NOT NULL, completed_at INTEGER, metadata_json TEXT NOT NULL DEFAULT '{}'
    );
    CREATE TABLE branch_runs (
        id TEXT PRIMARY KEY, workflow_run_id TEXT NOT NULL REFERENCES workflow_runs(id) ON DELETE CASCADE,
        branch_id TEXT NOT NULL, node_id TEXT NOT NULL, status TEXT NOT NULL, started_at INTEGER NOT NULL,
        completed_at INTEGER, result_json TEXT NOT NULL DEFAULT '{}'
    );
    CREATE TABLE leaf_runs (
        id TEXT PRIMARY KEY, workflow_run_id TEXT NOT NULL REFERENCES workflow_runs(id) ON DELETE CASCADE,
        branch_run_id TEXT REFERENCES branch_runs(id) ON DELETE SET NULL, leaf_id TEXT NOT NULL, task_id TEXT NOT NULL,
        input_hash TEXT, status TEXT NOT NULL, output_json TEXT NOT NULL DEFAULT '{}',
        artifacts_json TEXT NOT NULL DEFAULT '[]', started_at INTEGER NOT NULL, completed_at INTEGER
    );
    CREATE TABLE control_node_runs (
        id TEXT PRIMARY KEY, workflow_run_id TEXT NOT NULL REFERENCES workflow_runs(id) ON DELETE CASCADE,
        node_id TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, selected_children_json TEXT NOT NULL DEFAULT '[]',
        result_json TEXT NOT NULL DEFAULT '{}', started_at INTEGER NOT NULL, completed_at INTEGER
    );
    CREATE TABLE teacher_candidates (
        id TEXT PRIMARY KEY, workflow_run_id TEXT NOT NULL REFERENCES workflow_runs(id) ON DELETE CASCADE,
        control_node_run_id TEXT REFERENCES control_node_runs(id) ON DELETE CASCADE, candidate_id TEXT NOT NULL,
        branch_run_id TEXT REFERENCES branch_runs(id) ON DELETE SET NULL, score REAL, passed INTEGER,
        rationale_json TEXT NOT NULL DEFAULT '{}', created_at INTEGER NOT NULL
    );
"""
_GOALS = """
    CREATE TABLE thread_goals (
        thread_id TEXT PRIMARY KEY NOT NULL REFERENCES threads(id) ON DELETE CASCADE, goal_id TEXT NOT NULL,
        objective TEXT NOT NULL, status TEXT NOT NULL
            CHECK (status IN ('active', 'paused', 'blocked', 'usage_limited', 'budget_limited', 'complete')),
        token_budget INTEGER, tokens_used INTEGER NOT NULL DEFAULT 0, time_used_seconds INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
    );
"""
_CONTINUATIONS = "ALTER TABLE thread_goals ADD COLUMN continuation_count INTEGER NOT NULL DEFAULT 0;"
#: What each version adds to the one before.
SCHEMA = (_THREADS, _TREES, _WORKFLOWS, _GOALS, _CONTINUATIONS)


class Source:
    """A directory with a `state.db` of some version, open for writing; and its session index."""

    def __init__(self, directory: Path, version: int = 4) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.file = directory / "state.db"
        self.index = directory / "session_index.jsonl"
        self.version = version
        self.connection = sqlite3.connect(self.file, isolation_level=None)
        self.run("".join(SCHEMA[: version + 1]), f"PRAGMA user_version = {version}")

    def run(self, *scripts: str) -> None:
        for script in scripts:
            self.connection.executescript(script)

    def add(self, table: str, **values: Any) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))

    def thread(self, id: str | None, **values: Any) -> None:
        usual = {
            "preview": "",
            "ephemeral": 0,
            "model_provider": "deepseek",
            "created_at": 1_700_000_000,
            "updated_at": 1_700_000_100,
            "status": "idle",
            "cwd": "/repo",
            "cli_version": "0.8.61",
            "source": "interactive",
        }
        self.add("threads", id=id, **{**usual, **values})

    def message(self, id: int, thread_id: str, content: str, parent: Any = None, **values: Any) -> None:
        usual = {"role": "user", "created_at": 1_700_000_000 + id}
        if self.version >= 1:
            usual["parent_entry_id"] = parent
        self.add("messages", id=id, thread_id=thread_id, content=content, **{**usual, **values})

    def leaf(self, thread_id: str, id: Any) -> None:
        self.connection.execute("UPDATE threads SET current_leaf_id = ? WHERE id = ?", (id, thread_id))

    def checkpoint(self, thread_id: str, id: str, state: Any, created_at: int) -> None:
        row = {"thread_id": thread_id, "checkpoint_id": id, "state_json": json.dumps(state), "created_at": created_at}
        self.add("checkpoints", **row)

    def name(self, thread_id: str, name: str | None, updated_at: int, path: str | None = None) -> None:
        line = {"thread_id": thread_id, "thread_name": name, "updated_at": updated_at, "rollout_path": path}
        with self.index.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def close(self) -> Path:
        self.connection.close()
        return self.file


#: The whole row of the thread `tree`, in CodeWhale's words.
TREE = {
    "rollout_path": "/rollouts/tree.jsonl",
    "preview": "Gr\u00fc\u00dfe \U0001f433",
    "ephemeral": 1,
    "model_provider": "anthropic",
    "created_at": 1_700_000_000,
    "updated_at": 1_700_000_500,
    "status": "running",
    "path": "/threads/tree",
    "cwd": "/repo/\u00e9",
    "cli_version": "0.8.60",
    "source": "fork",
    "title": "The tree \u2603",
    "sandbox_policy": "read-only",
    "approval_mode": "on-request",
    "archived": 0,
    "archived_at": None,
    "git_sha": "abc123",
    "git_branch": "main",
    "git_origin_url": "git@example.org:x/y.git",
    "memory_mode": "local",
}


def filled(directory: Path, version: int = 4) -> Source:
    """Make a database of a version with some of everything that the version has."""
    source = Source(directory, version)
    source.thread("tree", **TREE)
    for id, (content, parent) in enumerate([("0", None), ("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 3)], 1):
        source.message(id, "tree", content, parent)
    source.message(7, "tree", "6", 5, role="assistant", item_json='{"calls": [{"n": 18446744073709551615}]}')
    source.message(8, "tree", "caf\u00e9 \U0001f600 \u0000 end", 7, item_json="null", created_at=1_700_000_007)
    source.thread(
        "archived/one", status="archived", archived=1, archived_at=1_700_000_300, title=None, created_at=1_600_000_000
    )
    source.message(9, "archived/one", "alone")
    source.thread("Empty", title="Nothing said")
    for at, name in enumerate(["first", "second", "third"]):
        source.checkpoint("tree", name, {"n": at}, 1_700_000_200)
    source.checkpoint("tree", "oldest", None, 1_700_000_150)
    source.checkpoint("tree", "latest", {"reason": "turn", "text": "\u00e9"}, 1_700_000_400)
    for position, name in ((1, "write"), (0, "read")):
        schema = json.dumps({"type": "object", "properties": {name: {"type": "string"}}})
        tool = {"position": position, "name": name, "description": None if position else "Read \u00e9", "input_schema": schema}
        source.add("thread_dynamic_tools", thread_id="tree", **tool)
    for id, status, progress, updated_at in (("b", "running", 40, 1_700_000_010), ("a", "queued", None, 1_700_000_010)):
        times = {"created_at": 1_700_000_001, "updated_at": updated_at}
        source.add("jobs", id=id, name=f"Job {id}", status=status, progress=progress, detail='{"retry": 1}', **times)
    source.name("tree", "The tree \u2603", 1_700_000_500, "/rollouts/tree.jsonl")
    source.name("elsewhere", "Old name", 5, "/old")
    source.name("elsewhere", "From elsewhere", 4, "/rollouts/elsewhere.jsonl")
    source.name("nameless", "once", 1)
    source.name("nameless", None, 2)
    if version >= 1:
        source.leaf("tree", 8)
        source.leaf("archived/one", 9)
    if version >= 2:
        _add_workflows(source)
    if version >= 3:
        goal = {"goal_id": "g1", "objective": "Ship \u2603", "status": "usage_limited", "token_budget": 50_000}
        spent = {"tokens_used": 1_200, "time_used_seconds": 75, "created_at": 1_700_000_020, "updated_at": 1_700_000_030}
        more = {"continuation_count": 3} if version >= 4 else {}
        source.add("thread_goals", thread_id="tree", **goal, **spent, **more)
    return source


def _add_workflows(source: Source) -> None:
    run = {"workflow_id": "review", "goal": "Find bugs", "status": "completed", "input_hash": "h", "started_at": 100}
    source.add("workflow_runs", id="run/1", completed_at=200, metadata_json='{"by": "me"}', **run)
    source.add("workflow_runs", id="run2", workflow_id="review", goal="", status="paused", started_at=100)
    of = {"workflow_run_id": "run/1", "status": "completed"}
    source.add("branch_runs", id="br", branch_id="main", node_id="n1", started_at=101, result_json='{"ok": true}', **of)
    leaf = {"branch_run_id": "br", "leaf_id": "lint", "task_id": "t", "input_hash": "i", **of}
    source.add("leaf_runs", id="l2", started_at=102, output_json="[1]", artifacts_json='["a"]', completed_at=103, **leaf)
    source.add("leaf_runs", id="l1", started_at=102, **leaf)
    node = {"node_id": "c", "kind": "vote", "selected_children_json": '["br"]', "started_at": 104}
    source.add("control_node_runs", id="cn", **node, **of)
    teacher = {"control_node_run_id": "cn", "candidate_id": "x", "branch_run_id": None, "created_at": 105}
    source.add("teacher_candidates", id="tc", workflow_run_id="run/1", score=0.5, passed=1, **teacher)
