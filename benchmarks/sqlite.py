"""The other side: Python's sqlite3 in WAL mode, one held connection, the tables of the contract's StateStore."""

from __future__ import annotations

import sqlite3
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from benchmarks.sample import Said

_TABLES = """
CREATE TABLE IF NOT EXISTS threads (
    id TEXT PRIMARY KEY, rollout_path TEXT, preview TEXT NOT NULL, ephemeral INTEGER NOT NULL, model_provider TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, status TEXT NOT NULL, path TEXT, cwd TEXT NOT NULL,
    cli_version TEXT NOT NULL, source TEXT NOT NULL, title TEXT, sandbox_policy TEXT, approval_mode TEXT,
    archived INTEGER NOT NULL DEFAULT 0, archived_at INTEGER, git_sha TEXT, git_branch TEXT, git_origin_url TEXT,
    memory_mode TEXT, current_leaf_id INTEGER
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
    role TEXT NOT NULL, content TEXT NOT NULL, item_json TEXT, created_at INTEGER NOT NULL, parent_entry_id INTEGER
);
CREATE INDEX IF NOT EXISTS messages_by_thread ON messages (thread_id);
CREATE INDEX IF NOT EXISTS messages_by_parent ON messages (parent_entry_id);
"""
_THREAD = (
    "INSERT INTO threads (id, preview, ephemeral, model_provider, created_at, updated_at, status, cwd, cli_version, source)"
    " VALUES (?, '', 0, '', 0, 0, 'idle', '', '', 'api') ON CONFLICT DO NOTHING"
)
_LEAF = "SELECT current_leaf_id FROM threads WHERE id = ?"
_INSERT = "INSERT INTO messages (thread_id, role, content, item_json, created_at, parent_entry_id) VALUES (?, ?, ?, NULL, ?, ?)"
_MOVE = "UPDATE threads SET current_leaf_id = ? WHERE id = ?"
_BRANCH = """
WITH RECURSIVE up (id, parent, depth) AS (
    SELECT id, parent_entry_id, 0 FROM messages WHERE id = (SELECT current_leaf_id FROM threads WHERE id = ?)
    UNION ALL
    SELECT m.id, m.parent_entry_id, up.depth + 1 FROM up JOIN messages m ON m.id = up.parent LIMIT ?
)
SELECT m.id, m.thread_id, m.role, m.content, m.item_json, m.created_at, m.parent_entry_id
FROM up JOIN messages m ON m.id = up.id ORDER BY up.depth DESC
"""


class Sqlite:
    """One connection to one database, at one thread."""

    def __init__(self, path: str, synchronous: str = "NORMAL", thread: str = "thread") -> None:
        self._thread = thread
        self._connection = sqlite3.connect(path, timeout=120, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def create(self, *threads: str) -> None:
        """Make the tables, and threads in them."""
        self._connection.executescript(_TABLES)
        for thread in threads or (self._thread,):
            self._connection.execute(_THREAD, (thread,))

    def append(self, said: Said) -> None:
        """Append one message below the current leaf and make it the leaf, in a transaction of its own."""
        self.extend((said,))

    @staticmethod
    def prepare(said: list[Said]) -> list[Said]:
        """Give messages as `extend` takes them."""
        return said

    def extend(self, said: Iterable[Said]) -> None:
        """Append messages in one transaction."""
        execute, thread = self._connection.execute, self._thread
        execute("BEGIN IMMEDIATE")
        (leaf,) = execute(_LEAF, (thread,)).fetchone()
        for role, content in said:
            leaf = execute(_INSERT, (thread, role, content, int(time.time()), leaf)).lastrowid
        execute(_MOVE, (leaf, thread))
        execute("COMMIT")

    def branch(self, limit: int = -1) -> list[tuple[Any, ...]]:
        """Give the rows of the branch, root to leaf: the newest so many, or all."""
        return self._connection.execute(_BRANCH, (self._thread, limit)).fetchall()

    def said(self) -> list[Said]:
        """Read the whole branch back."""
        return said_of(self.branch())

    def close(self) -> None:
        """Close the connection, which writes the WAL back."""
        self._connection.close()


def said_of(rows: Iterable[tuple[Any, ...]]) -> list[Said]:
    """Give what rows of a branch say."""
    return [(row[2], row[3]) for row in rows]
