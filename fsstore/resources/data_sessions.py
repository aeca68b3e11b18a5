"""The `DataStore` sessions of a store: which there are, which was meant, what they come to."""

from __future__ import annotations

from fsstore import clock, layout
from fsstore.disk import document, fs
from fsstore.disk.follow import last_id
from fsstore.errors import AmbiguousPrefixError, CorruptError, SessionNotFoundError
from fsstore.resources.content_log import ContentView
from fsstore.resources.data_session import DataSession
from fsstore.resources.limits import checked_limit
from fsstore.resources.session_files import KIND
from fsstore.resources.statistics import tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from fsstore.records.recipes import RecipeSnapshot
    from fsstore.records.session_runs import DataSessionMetadata, RunSummary
    from fsstore.records.statistics import Statistics
    from fsstore.resources.recipes import Recipes
    from fsstore.resources.threads import Threads
    from fsstore.resources.views import Views


def new_session_id() -> str:
    """Give the id of a new session; ids sort by time."""
    return f"ses_{clock.new_id()}"


class DataSessions:
    """The sessions that a `DataStore` began, or wrote to. Iterating gives each that can be read, the one used last first."""

    def __init__(self, threads: Threads, views: Views, recipes: Recipes) -> None:
        self._threads = threads
        self._views = views
        self._recipes = recipes

    def session(
        self, id: str, *, cwd: str | os.PathLike[str] | None = None, recipe: RecipeSnapshot | None = None
    ) -> DataSession:
        """Give a session, whether it is there or not; changes nothing on disk.

        Args:
            id: Its id.
            cwd: The working directory, which no file of a rewind lies outside of; the process's own where None.
            recipe: The recipe that it is begun with.
        """
        return DataSession(self._threads, self._views, self._recipes, id, cwd, recipe)

    def ids(self) -> list[str]:
        """Give the ids of all sessions, in the order of their names on disk; those that cannot be read are among them."""
        return [id for id in self._threads.ids() if self._is_one(id)]

    def __iter__(self) -> Iterator[DataSessionMetadata]:
        return map(self._metadata, (id for _, id in self._by_use()))

    def recent(self, limit: int | None = None) -> list[DataSessionMetadata]:
        """Give sessions, the one used last first; those that cannot be read are left out, and `damage` says why.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        checked_limit(limit)
        return [self._metadata(id) for _, id in self._by_use()[:limit]]

    def damage(self) -> list[CorruptError]:
        """Say of each session that cannot be read, and so is listed nowhere, why."""
        return [error for id in self.ids() if (error := self._flaw(id))]

    def latest_id(self) -> str:
        """Give the id of the session that was used last.

        Raises:
            SessionNotFoundError: There is none.
        """
        found = self._by_use()
        if not found:
            raise SessionNotFoundError("")
        return found[0][1]

    def resolve(self, prefix: str) -> str:
        """Give the id of the session of just this id, else of the only one whose id begins so.

        Raises:
            SessionNotFoundError: There is none.
            AmbiguousPrefixError: Several begin so.
        """
        ids = self.ids()
        matches = [prefix] if prefix in ids else [id for id in ids if prefix and id.startswith(prefix)]
        if not matches:
            raise SessionNotFoundError(prefix)
        if len(matches) > 1:
            raise AmbiguousPrefixError(prefix, "session", matches)
        return matches[0]

    def statistics(self, *, session_id: str | None = None, config_hash: str | None = None) -> Statistics:
        """Add up the runs of all sessions, or of one; what was rewound is left out.

        Args:
            session_id: The session; None for all.
            config_hash: Only runs with this recipe count; None for all.

        Raises:
            SessionNotFoundError: There is no such session.
        """
        if session_id is not None and not self._is_one(session_id):
            raise SessionNotFoundError(session_id)
        ids = self.ids() if session_id is None else [session_id]
        return tally(self._runs(ids), config_hash)

    def _is_one(self, id: str) -> bool:
        place = self._threads.handle(id).place
        if fs.is_file(place.path(layout.CONTENT)) or fs.is_file(place.path(layout.SESSION)):
            return True
        try:
            info = self._threads.get(id)
        except CorruptError:
            return False
        return info is not None and info.kind == KIND

    def _runs(self, ids: Iterable[str]) -> Iterator[list[RunSummary]]:
        for id in ids:
            view = ContentView(self._threads.handle(id).place.path(layout.CONTENT))  # of its own: none is kept in memory
            view.refresh()
            yield list(view.runs.values())

    def _metadata(self, id: str) -> DataSessionMetadata:
        return self.session(id, cwd="/").metadata()

    def _flaw(self, id: str) -> CorruptError | None:
        try:
            self.session(id, cwd="/").recipe.created_at()
            document.read(self._threads.handle(id).place.meta)
        except CorruptError as error:
            return error
        return None

    def _by_use(self) -> list[tuple[str, str]]:
        """Give the id of the last record of each session that can be read, and the session's own; the one used last first."""
        return sorted(((self._used(id), id) for id in self.ids() if self._flaw(id) is None), reverse=True)

    def _used(self, id: str) -> str:
        """Give what orders a session among others: the id of its last record, else of the write that began it."""
        place = self._threads.handle(id).place
        began = (document.read_newest(path) for path in (place.path(layout.SESSION), place.meta))
        return last_id(place.path(layout.CONTENT)) or next(filter(None, began), "")
