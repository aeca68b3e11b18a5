"""The other side: Python's sqlite3 in WAL mode, one held connection, the tables of the contract's StateStore."""

from __future__ import annotations

import sqlite3
import time

import orjson

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
CREATE TABLE IF NOT EXISTS checkpoints (
    thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE, checkpoint_id TEXT NOT NULL, state_json TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (thread_id, checkpoint_id)
);
CREATE TABLE IF NOT EXISTS thread_goals (
    thread_id TEXT PRIMARY KEY REFERENCES threads (id) ON DELETE CASCADE, goal_id TEXT NOT NULL, objective TEXT NOT NULL,
    status TEXT NOT NULL, token_budget INTEGER, tokens_used INTEGER NOT NULL DEFAULT 0,
    time_used_seconds INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    continuation_count INTEGER NOT NULL DEFAULT 0
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
_GOAL = (
    "INSERT INTO thread_goals (thread_id, goal_id, objective, status, created_at, updated_at)"
    " VALUES (?, 'goal', 'Ship 1.0', 'active', 0, 0)"
)
_ACCRUE = (
    "UPDATE thread_goals SET tokens_used = tokens_used + ?, time_used_seconds = time_used_seconds + ?,"
    " updated_at = MAX(updated_at, ?) WHERE thread_id = ?"
)
_READ_GOAL = "SELECT * FROM thread_goals WHERE thread_id = ?"
_SAVE = (
    "INSERT INTO checkpoints VALUES (?, ?, ?, ?) ON CONFLICT (thread_id, checkpoint_id)"
    " DO UPDATE SET state_json = excluded.state_json, created_at = excluded.created_at"
)
#: The contract keeps names in a file beside the database; here they have a column, and what makes looking for one fast.
_NAMED = "CREATE INDEX IF NOT EXISTS threads_by_title ON threads (lower(title))"
_NAME = "UPDATE threads SET title = ?, rollout_path = ? WHERE id = ?"
_PATH_OF = "SELECT rollout_path FROM threads WHERE lower(title) = lower(?) ORDER BY updated_at DESC LIMIT 1"


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

    def begin(self, thread: str, name: str, path: str, said: list[Said]) -> None:
        """Begin a thread with a name, a rollout path and messages."""
        self._thread = thread
        self._connection.execute(_NAMED)
        self._connection.execute(_THREAD, (thread,))
        self._connection.execute(_NAME, (name, path, thread))
        self.extend(said)

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

    def set_goal(self) -> None:
        """Begin a goal."""
        self._connection.execute(_GOAL, (self._thread,))

    def accrue(self, tokens: int, seconds: int, now: int) -> tuple[int, ...]:
        """Add to what was spent on the goal; give the goal's sums after it."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute(_ACCRUE, (tokens, seconds, now, self._thread))
        sums = self.goal()
        execute("COMMIT")
        return sums

    def goal(self) -> tuple[int, ...]:
        """Read the goal's sums."""
        row = self._connection.execute(_READ_GOAL, (self._thread,)).fetchone()
        return row[5], row[6], row[8]

    def save(self, checkpoint: str, state: Any) -> None:
        """Keep a state under a name, in a transaction of its own."""
        self._connection.execute(_SAVE, (self._thread, checkpoint, orjson.dumps(state).decode(), int(time.time())))

    def saved(self, checkpoint: str) -> Any:
        """Read a state."""
        return orjson.loads(
            self._one("SELECT state_json FROM checkpoints WHERE thread_id = ? AND checkpoint_id = ?", self._thread, checkpoint)
        )

    def path_of(self, name: str) -> str | None:
        """Give the rollout path of the thread of a name."""
        return self._one(_PATH_OF, name)

    def name_of(self, thread: str) -> str | None:
        """Give a thread's name."""
        return self._one("SELECT title FROM threads WHERE id = ?", thread)

    def thread_of(self, message_id: int) -> str | None:
        """Give the thread that holds a message, None where none does."""
        return self._one("SELECT thread_id FROM messages WHERE id = ?", message_id)

    def say(self, thread: str, said: Said) -> None:
        """Append one message to another thread."""
        self._thread = thread
        self.append(said)

    def holding(self, word: str) -> list[str]:
        """Give the threads that hold a word, by reading all messages."""
        query = "SELECT DISTINCT thread_id FROM messages WHERE content LIKE '%' || ? || '%' ORDER BY thread_id"
        return [row[0] for row in self._connection.execute(query, (word,))]

    def indexed(self, word: str) -> list[str]:
        """Give the threads that hold a word, by an index of words, which is made when it is first needed."""
        execute = self._connection.execute
        if not self._one("SELECT 1 FROM sqlite_master WHERE name = 'words'"):
            execute("CREATE VIRTUAL TABLE words USING fts5 (content, content = 'messages', content_rowid = 'id')")
            execute("INSERT INTO words (words) VALUES ('rebuild')")
        query = "SELECT DISTINCT thread_id FROM messages WHERE id IN (SELECT rowid FROM words WHERE words MATCH ?) ORDER BY 1"
        return [row[0] for row in execute(query, (word,))]

    def listed(self, _: str = "") -> tuple[int, int]:
        """List all threads with their metadata; give how many they are, and how many messages they have."""
        query = (
            "SELECT t.id, t.title, t.created_at, max(m.created_at), count(m.id) FROM threads t LEFT JOIN messages m"
            " ON m.thread_id = t.id GROUP BY t.id ORDER BY 4 DESC"
        )
        rows = self._connection.execute(query).fetchall()
        return len(rows), sum(row[4] for row in rows)

    def _one(self, query: str, *arguments: str | int) -> Any:
        """Give the first column of the first row, None where there is no row."""
        row = self._connection.execute(query, arguments).fetchone()
        return row and row[0]

    def close(self) -> None:
        """Close the connection, which writes the WAL back."""
        self._connection.close()


def said_of(rows: Iterable[tuple[Any, ...]]) -> list[Said]:
    """Give what rows of a branch say."""
    return [(row[2], row[3]) for row in rows]
