"""This side: one thread of a store."""

from __future__ import annotations

from fsstore import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.sample import Said


class Ours:
    """A store, and one thread of it."""

    def __init__(self, root: str, durability: str = "process", thread: str = "thread") -> None:
        self._store = Store.open(root, durability=durability)
        self.messages = self._store.thread(thread).messages
        self._thread = thread

    def create(self, *threads: str) -> None:
        for thread in threads or (self._thread,):
            self._store.threads.create(id=thread)

    def append(self, said: Said) -> None:
        """Append one message."""
        self.messages.append(*said)

    def extend(self, said: list[Said]) -> None:
        """Append messages in one batch."""
        self.messages.extend([{"role": role, "content": content} for role, content in said])

    def said(self) -> list[Said]:
        """Read the whole branch back, through a store that knows nothing yet."""
        with Store.open(self._store.root, read_only=True) as store:
            branch = store.thread(self._thread).messages.branch()
        return [(message.role, message.content) for message in branch]

    def close(self) -> None:
        self._store.close()
