"""This side: one thread of a store."""

from __future__ import annotations

from fsstore import MessageNotFoundError, SessionQuery, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from benchmarks.sample import Said
    from fsstore import Message, ThreadGoalRecord
    from fsstore.resources.messages import Messages


class Ours:
    """A store, and one thread of it."""

    def __init__(self, root: str, durability: str = "process", thread: str = "thread") -> None:
        self._store = Store.open(root, durability=durability)
        self._handle = self._store.thread(thread)
        self.messages = self._handle.messages
        self._thread = thread

    def create(self, *threads: str) -> None:
        """Begin threads."""
        for thread in threads or (self._thread,):
            self._store.threads.create(id=thread)

    def begin(self, thread: str, name: str, path: str, said: list[Said]) -> None:
        """Begin a thread with a name, a rollout path and messages."""
        handle = self._store.threads.create(id=thread, name=name, rollout_path=path)
        handle.messages.extend(self.prepare(said))

    def append(self, said: Said) -> None:
        """Append one message below the current leaf."""
        role, content = said
        self.messages.append(role, content)

    @staticmethod
    def prepare(said: list[Said]) -> list[dict[str, str]]:
        """Give messages as `extend` takes them."""
        return [{"role": role, "content": content} for role, content in said]

    def extend(self, prepared: list[dict[str, str]]) -> None:
        """Append messages in one batch."""
        self.messages.extend(prepared)

    def branch(self, limit: int | None = None) -> list[Message]:
        """Give the branch, root to leaf: the newest so many, or all."""
        return self.messages.branch(limit)

    def said(self) -> list[Said]:
        """Read the whole branch back, through a store that knows nothing yet."""
        with Store.open(self._store.root, read_only=True) as store:
            return said_of(store.thread(self._thread).messages.branch())

    def set_goal(self) -> None:
        """Begin a goal."""
        self._handle.goal.set("Ship 1.0", created_at=0, updated_at=0)

    def accrue(self, tokens: int, seconds: int, now: int) -> tuple[int, ...]:
        """Add to what was spent on the goal; give the goal's sums after it."""
        return _sums(self._handle.goal.accrue(tokens=tokens, seconds=seconds, now=now))

    def goal(self) -> tuple[int, ...]:
        """Read the goal's sums."""
        return _sums(self._handle.goal.get())

    def save(self, checkpoint: str, state: Any) -> None:
        """Keep a state under a name."""
        self._handle.checkpoints.save(checkpoint, state)

    def saved(self, checkpoint: str) -> Any:
        """Read a state."""
        return self._handle.checkpoints[checkpoint].state

    def path_of(self, name: str) -> str | None:
        """Give the rollout path of the thread of a name."""
        return self._store.names.path_of(name)

    def name_of(self, thread: str) -> str | None:
        """Give a thread's name."""
        return self._store.names.get(thread)

    def at(self, thread: str) -> Messages:
        """Give the messages of another thread."""
        return self._store.thread(thread).messages

    def thread_of(self, message_id: str) -> str | None:
        """Give the thread that holds a message, None where none does."""
        try:
            return self._store.threads.with_message(message_id).id
        except MessageNotFoundError:
            return None

    def say(self, thread: str, said: Said) -> None:
        """Append one message to another thread."""
        self.at(thread).append(*said)

    def holding(self, word: str) -> list[str]:
        """Give the sessions that hold a word, sorted."""
        found = self._store.sessions.search(SessionQuery(keyword=word, limit=None))
        return sorted(session.key for session in found)

    def first_holding(self, word: str) -> list[str]:
        """Give the last used sessions that hold a word."""
        return [session.key for session in self._store.sessions.search(SessionQuery(keyword=word))]

    def listed(self, _: str = "") -> tuple[int, int]:
        """List all sessions with their metadata; give how many they are, and how many messages they have."""
        found = self._store.sessions.recent(None)
        return len(found), sum(session.message_count for session in found)

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the log, which leaves its stamp."""
        self._store.close()


def said_of(messages: Iterable[Message]) -> list[Said]:
    """Give what messages say."""
    return [(message.role, message.content) for message in messages]


def _sums(goal: ThreadGoalRecord | None) -> tuple[int, ...]:
    return (goal.tokens_used, goal.time_used_seconds, goal.updated_at) if goal else ()
