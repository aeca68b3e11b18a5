"""This side: one thread of a store."""

from __future__ import annotations

from fsstore import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.sample import Said
    from fsstore import Message


class Ours:
    """A store, and one thread of it."""

    def __init__(self, root: str, durability: str = "process", thread: str = "thread") -> None:
        self._store = Store.open(root, durability=durability)
        self.messages = self._store.thread(thread).messages
        self._thread = thread

    def create(self, *threads: str) -> None:
        """Begin threads."""
        for thread in threads or (self._thread,):
            self._store.threads.create(id=thread)

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

    def close(self) -> None:
        """Let go of the log, which leaves its stamp."""
        self._store.close()


def said_of(messages: Iterable[Message]) -> list[Said]:
    """Give what messages say."""
    return [(message.role, message.content) for message in messages]
