"""`SessionBackend`: what a place that keeps a channel's sessions offers, with defaults for all but four methods."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fsstore import clock
from fsstore.errors import AlreadyExistsError, SessionNotFoundError
from fsstore.records.sessions import INTERRUPTED, RUNNING, ChatMessage, SessionMetadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.records.sessions import SessionQuery, SessionState
    from fsstore.resources.compaction import Compacted


class SessionBackend(ABC):
    """Sessions by key. `fsstore.testing.SessionBackendTests` says what each method must do.

    A backend must define `load`, `append`, `remove_last` and `list_sessions`. The other methods are made of those here; what
    cannot be made of them (names, states, times, search, deletion) says that there is nothing of the kind.
    """

    # What every backend has

    @abstractmethod
    def load(self, session_key: str) -> list[ChatMessage]:
        """Give a session's messages, oldest first; none where there is no session."""

    @abstractmethod
    def append(self, session_key: str, message: ChatMessage) -> None:
        """Add a message at the end of a session; where there is none, begin it."""

    @abstractmethod
    def remove_last(self, session_key: str) -> bool:
        """Take a session's last message away; say whether there was one. An emptied session stays listed."""

    @abstractmethod
    def list_sessions(self) -> list[str]:
        """Give the keys of all sessions, the last used first where the backend knows it."""

    # What can be made of it

    def update_last(self, session_key: str, message: ChatMessage) -> bool:
        """Put a message in the place of a session's last one; say whether there was one."""
        if not self.remove_last(session_key):
            return False
        self.append(session_key, message)
        return True

    def clear_messages(self, session_key: str) -> int:
        """Take all messages of a session away; give how many there were. The session stays listed."""
        count = 0
        while self.remove_last(session_key):
            count += 1
        return count

    def rollback_turn(self, session_key: str) -> bool:
        """Take a session's last message away where it is the user's; say whether it was."""
        last = self.load(session_key)[-1:]
        return bool(last) and last[0].role == "user" and self.remove_last(session_key)

    def session_exists(self, session_key: str) -> bool:
        """Say whether there is a session."""
        return session_key in self.list_sessions()

    def list_sessions_with_metadata(self) -> list[SessionMetadata]:
        """Give what each session is, in the order of `list_sessions`; by default with this very time, which nobody kept."""
        return [self._metadata(key) for key in self.list_sessions()]

    def get_session_metadata(self, session_key: str) -> SessionMetadata | None:
        """Give what a session is, as `list_sessions_with_metadata` does, or None where there is none."""
        return next((one for one in self.list_sessions_with_metadata() if one.key == session_key), None)

    def rename_session(self, session_key: str, new_key: str) -> None:
        """Give a session another key. By default its messages and its name go there one by one, and the old one goes.

        Raises:
            SessionNotFoundError: There is none of the old key.
            AlreadyExistsError: There is one of the new key.
        """
        if not self.session_exists(session_key):
            raise SessionNotFoundError(session_key)
        if self.session_exists(new_key):
            raise AlreadyExistsError("session", new_key)
        messages = self.load(session_key)
        for message in messages or [INTERRUPTED]:
            self.append(new_key, message)
        if not messages:
            self.remove_last(new_key)  # an empty session begins as any other, and is emptied
        if name := self.get_session_name(session_key):
            self.set_session_name(new_key, name)
        if not self.delete_session(session_key):
            self.clear_messages(session_key)

    def list_running_sessions(self) -> list[SessionMetadata]:
        """Give the sessions whose state is `running`, the turn begun last first."""
        return [session for session, _ in self._running()]

    def list_stuck_sessions(self, threshold_secs: float) -> list[SessionMetadata]:
        """Give the running sessions whose turn began longer ago than so many seconds, the longest first."""
        before = clock.now() - threshold_secs
        return [session for session, began in reversed(self._running()) if began < before]

    def close_interrupted(self) -> list[str]:
        """Close the turns that a crash interrupted, where the last message is the user's; give the keys."""
        closed = []
        for session in self.list_running_sessions():
            last = self.load(session.key)[-1:]
            if last and (last[0].role == "user" or last[0] == INTERRUPTED):
                if last[0] != INTERRUPTED:
                    self.append(session.key, INTERRUPTED)
                self.set_session_state(session.key, "idle")
                closed.append(session.key)
        return closed

    # What a backend may lack

    def compact(self, session_key: str) -> Compacted | None:
        """Rewrite a session without what nobody sees; a missing one is left missing."""
        return None

    def delete_session(self, session_key: str) -> bool:
        """Delete a session with its name and its state; say whether there was one."""
        return False

    def cleanup_stale(self, ttl_hours: float) -> int:
        """Delete the sessions that nobody used for longer than so many hours and that do not run; give how many."""
        return 0

    def search(self, query: SessionQuery) -> list[SessionMetadata]:
        """Give the sessions whose key or messages hold a word of the keyword."""
        return []

    def set_session_name(self, session_key: str, name: str) -> bool:
        """Name a session, an empty name takes it away; say whether there is one."""
        return False

    def get_session_name(self, session_key: str) -> str | None:
        """Give a session's name, None where it has none or there is no session."""
        return None

    def set_session_state(self, session_key: str, state: str, turn_id: str | None = None) -> bool:
        """Say what a session is doing, and in which turn; say whether there is one."""
        return False

    def get_session_state(self, session_key: str) -> SessionState | None:
        """Give what a session is doing, None where there is none."""
        return None

    def _metadata(self, key: str) -> SessionMetadata:
        now, name, count = clock.now(), self.get_session_name(key), len(self.load(key))
        return SessionMetadata(key=key, name=name, created_at=now, last_activity=now, message_count=count)

    def _running(self) -> list[tuple[SessionMetadata, int]]:
        """Give the running sessions, each with the time when its turn began."""
        found = []
        for session in self.list_sessions_with_metadata():
            state = self.get_session_state(session.key)
            if state is not None and state.state == RUNNING:
                found.append((session, state.turn_started_at or 0))
        return sorted(found, key=lambda row: row[1], reverse=True)
