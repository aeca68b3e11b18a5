"""What threads are called: by the thread's own meta.json where it is here, by the session index where it is not."""

from __future__ import annotations

from fsstore.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fsstore.resources.session_index import SessionIndex
    from fsstore.resources.threads import Threads


class Names:
    """The names of threads, of those that are here and of those that the index remembers from elsewhere."""

    def __init__(self, threads: Threads, index: SessionIndex) -> None:
        self._threads = threads
        self._index = index

    def append(self, thread_id: str, name: str | None, updated_at: int, rollout_path: str | None = None) -> None:
        """Note what a thread is called; see `Threads.call`."""
        self._threads.call(thread_id, name, updated_at, rollout_path)

    def get(self, thread_id: str) -> str | None:
        """Give a thread's name; None where it has none, was deleted, or nobody knows it.

        Raises:
            CorruptError: The thread's meta.json cannot be read.
        """
        info = self._threads.get(thread_id)
        if info is not None:
            return info.name
        noted = self._index.last_name(thread_id)
        return noted.name if noted else None

    def get_all(self, thread_ids: Iterable[str]) -> dict[str, str | None]:
        """Give the names of several threads, each asked for a key; see `get`."""
        return {id: self.get(id) for id in thread_ids}

    def path_of(self, name: str) -> str | None:
        """Give the rollout path of the thread of a name, whatever its case (Unicode case folding).

        Of several, the most recently updated that has a path; None where there is none. A thread whose meta.json cannot be
        read is passed over.
        """
        ids, complete = self._index.called(name)
        found = list(self._paths(ids, name))
        if not found or not complete:  # the index is a log beside the truth: it may be damaged, or not carried along
            found += self._paths(self._threads.called(name) - ids, name)
        return max(found)[-1] if found else None

    def _paths(self, ids: Iterable[str], name: str) -> Iterator[tuple[int, str, str]]:
        wanted = name.casefold()
        for id in ids:
            try:
                info = self._threads.get(id)
            except CorruptError:
                continue
            if info is not None:
                called, time, path = info.name, info.updated_at, info.rollout_path
            else:
                called, time, path = self._index.last_name(id) or (None, 0, None)
            if isinstance(called, str) and called.casefold() == wanted and path is not None:
                yield time if isinstance(time, int) else 0, id, path
