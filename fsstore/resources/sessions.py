"""Sessions: threads in the words of a channel's sessions, which have a key, a state and an end."""

from __future__ import annotations

from fsstore import clock
from fsstore.errors import AlreadyExistsError, CorruptError, SessionNotFoundError, ThreadNotFoundError
from fsstore.records.message_views import text_of
from fsstore.records.sessions import INTERRUPTED, RUNNING, SessionMetadata
from fsstore.resources.beginning import beginning
from fsstore.resources.limits import checked_limit
from fsstore.resources.searching import Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fsstore.records.sessions import ChatMessage, SessionQuery, SessionState
    from fsstore.records.threads import ThreadInfo
    from fsstore.resources.threads import Threads

#: What began the threads that may be cleaned up (`ThreadInfo.kind`).
_KINDS = ("session", "data")
_HOUR = 3600


class Sessions:
    """The sessions of a store: all of its threads, by key. A thread's messages are those of its current branch here."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    # Reading

    def get(self, key: str) -> SessionMetadata | None:
        """Give what a session is, or None where there is none.

        Raises:
            CorruptError: Its meta.json cannot be read.
        """
        info = self._threads.get(key)
        return None if info is None else self._metadata(info, self._threads.last_activity(info))

    def keys(self) -> list[str]:
        """Give the keys of all sessions, the last used first."""
        return [info.id for info, _ in self._threads.dated(archived=True)]

    def recent(self, limit: int | None = 50) -> list[SessionMetadata]:
        """Give what sessions are, the last used first.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        if checked_limit(limit) == 0:
            return []
        return [self._metadata(*row) for row in self._threads.dated(archived=True)[:limit]]

    def search(self, query: SessionQuery) -> list[SessionMetadata]:
        """Give the sessions whose key, or a message of whose current branch, holds a word of the keyword; the last used first.

        Words are maximal runs of letters and digits, whatever their case and accents, and count whole; one is enough. A
        keyword without any gives nothing, no keyword all sessions. Every log is read, and decoded only where it may match.

        Raises:
            ValueError: A negative limit.
        """
        if query.keyword is None:
            return self.recent(query.limit)
        words = Words(query.keyword)
        if checked_limit(query.limit) == 0 or not words:
            return []
        found: list[SessionMetadata] = []
        candidates = [id for id, log in self._threads.logs() if words.are_in(id) or words.may_be_in(log)]
        for info, time in self._threads.dated(candidates, archived=True):
            if len(found) == query.limit:
                break
            messages = self._threads.reader(info.id)
            if words.are_in(info.id) or messages.any_on_branch(lambda one: words.are_in(text_of(one.content))):
                found.append(self._metadata(info, time))
        return found

    def running(self) -> list[SessionMetadata]:
        """Give the sessions whose state is `running`, the turn begun last first."""
        return [session for session, _ in self._running()]

    def stuck(self, threshold: float) -> list[SessionMetadata]:
        """Give the running sessions whose turn began longer ago than so many seconds, the longest first.

        Raises:
            ValueError: A negative number of seconds.
        """
        before = clock.now() - _not_negative("threshold", threshold)
        found = [session for session, state in self._running() if _started(state) < before]
        found.reverse()
        return found

    def stale(self, ttl_hours: float) -> list[SessionMetadata]:
        """Give the sessions that `delete_stale` would delete, the longest unused first."""
        is_stale = self._staleness(ttl_hours)
        found = [self._metadata(info, time) for info, time in self._threads.dated(archived=True) if is_stale(info)]
        found.reverse()
        return found

    def damage(self) -> list[CorruptError]:
        """Say of each state that cannot be read, and so is passed over, why."""
        found = []
        for id in self._threads.ids():
            try:
                self._threads.handle(id).state.get()
            except CorruptError as error:
                found.append(error)
        return found

    # Writing

    def append(self, key: str, message: ChatMessage) -> None:
        """Add a message at the end of a session; where there is none, begin it.

        Raises:
            ValueError: A message that cannot be stored, or no key; nothing was changed.
            LockTimeoutError: Another writer held the session for `lock_timeout` seconds.

        On disk: One line at the end of messages.jsonl, in one write; before that meta.json, where the session is new.
        Crash: The message is there whole, or not at all; a new session may be there without it.
        Concurrency: Appends of several processes all survive, each once. One after a deletion begins the session anew, empty.
        """
        fields = message.to_append()
        messages = self._threads.handle(key).messages
        beginning(self._threads, key, lambda: messages.append(**fields), kind="session")

    def set_name(self, key: str, name: str | None) -> bool:
        """Name a session, or take its name away where that is empty or None; say whether there is one.

        On disk: A line in the session index, then meta.json, replaced whole.
        Crash: The old name or the new one.
        Concurrency: The last one counts.
        """
        if not isinstance(name, str | None):
            raise ValueError(f"a name must be a string or None, not {type(name).__name__}")
        try:
            self._threads.update(key, name=name or None)
        except ThreadNotFoundError:
            return False
        return True

    def rename(self, key: str, new_key: str) -> None:
        """Give a session another key, with all that is its own.

        Raises:
            SessionNotFoundError: There is none of the old key.
            AlreadyExistsError: There is one of the new key; nothing was changed.

        On disk: As `Threads.move`.
        Crash: It is there under the old key, under both, or under the new one; see `Threads.move`.
        Concurrency: A late append to the old key begins a new session of that key.
        """
        try:
            self._threads.move(key, new_key)
        except ThreadNotFoundError:
            raise SessionNotFoundError(key) from None
        except AlreadyExistsError:
            raise AlreadyExistsError("session", new_key) from None

    def delete_stale(self, ttl_hours: float) -> int:
        """Move the sessions to the trash that nobody used for longer than so many hours; give how many.

        Only those that `SessionStore` or `DataStore` began, and none whose state is `running`, or cannot be read. 0 hours take
        away nothing.

        Raises:
            ValueError: A negative number of hours.

        On disk: As `Threads.delete`, session by session.
        Crash: Some of them are deleted.
        Concurrency: A session that is used or set running meanwhile stays.
        """
        is_stale = self._staleness(ttl_hours)
        stale = [info.id for info in self._threads if is_stale(info)]
        return sum(self._threads.delete(id, only_if=is_stale) for id in stale)

    def close_interrupted(self) -> list[str]:
        """Close the turns that a crash interrupted; give the keys. For the start, before any turn begins.

        A session whose state is `running` and whose last message is the user's gets one of the assistant's that says so, and
        becomes idle.

        On disk: One line at the end of messages.jsonl; then state.json, replaced whole.
        Crash: The message may be there while the session still is running; done again, it becomes idle. At durability
            "process" a power cut may also leave it idle without the message.
        Concurrency: Of two at once one closes a turn. A turn that begins meanwhile is left alone.
        """
        running = [session.key for session in self.running()]
        return [key for key in running if self._close(key)]

    def _close(self, key: str) -> bool:
        thread = self._threads.handle(key)
        state = self._state(key)
        if state is None or state.state != RUNNING:
            return False
        closing = thread.messages.answer(
            "user", INTERRUPTED.role, INTERRUPTED.content, only_if=lambda: thread.state.get() == state
        )
        leaf = thread.messages.leaf()
        if not closing and (leaf is None or (leaf.role, leaf.content) != (INTERRUPTED.role, INTERRUPTED.content)):
            return False
        return thread.state.set("idle", instead_of=state)

    # What is known of one

    def _metadata(self, info: ThreadInfo, time: int) -> SessionMetadata:
        return SessionMetadata(
            key=info.id,
            name=info.name,
            created_at=info.created_at,
            last_activity=time,
            message_count=self._threads.reader(info.id).length(),
        )

    def _state(self, id: str) -> SessionState | None:
        try:
            return self._threads.handle(id).state.get()
        except CorruptError:
            return None

    def _running(self) -> list[tuple[SessionMetadata, SessionState]]:
        states = {id: state for id in self._threads.ids() if (state := self._state(id)) and state.state == RUNNING}
        found = [(self._metadata(info, time), states[info.id]) for info, time in self._threads.dated(states, archived=True)]
        found.sort(key=lambda row: _started(row[1]), reverse=True)
        return found

    def _staleness(self, ttl_hours: float) -> Callable[[ThreadInfo], bool]:
        """Give what tells whether a thread is stale now."""
        before = clock.now() - _not_negative("ttl_hours", ttl_hours) * _HOUR

        def is_stale(info: ThreadInfo) -> bool:
            if not ttl_hours or info.kind not in _KINDS or self._threads.last_activity(info) >= before:
                return False
            state = self._state(info.id)
            return state is not None and state.state != RUNNING

        return is_stale


def _not_negative(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return value


def _started(state: SessionState) -> int:
    """Give the time at which a turn began; of one of which nobody said it, the beginning of time."""
    return state.turn_started_at or 0
