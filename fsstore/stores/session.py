"""`SessionStore`: sessions in the words of a program that talks through many channels."""

from __future__ import annotations

from fsstore.records.sessions import ChatMessage
from fsstore.stores.backend import SessionBackend
from fsstore.stores.opened import RootedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.records.sessions import SessionMetadata, SessionQuery, SessionState
    from fsstore.resources.compaction import Compacted


class SessionStore(RootedStore, SessionBackend):
    """A view of a store: each of its threads is a session, and its id the key. Its arguments are those of `Store.open`."""

    def load(self, session_key: str) -> list[ChatMessage]:
        """Give a session's messages, those of the current branch, oldest first; see `Messages.branch`."""
        return [ChatMessage.of(message) for message in self._store.thread(session_key).messages.branch()]

    def append(self, session_key: str, message: ChatMessage) -> None:
        """Add a message at the end of a session; where there is none, begin it; see `Sessions.append`."""
        self._store.sessions.append(session_key, message)

    def remove_last(self, session_key: str) -> bool:
        """Take a session's last message away; say whether there was one; see `Messages.remove_last`."""
        return self._store.thread(session_key).messages.remove_last()

    def update_last(self, session_key: str, message: ChatMessage) -> bool:
        """Put a message in the place of a session's last one; say whether there was one; see `Messages.replace_last`."""
        return self._store.thread(session_key).messages.replace_last(**message.to_append())

    def rollback_turn(self, session_key: str) -> bool:
        """Take a session's last message away where it is the user's; say whether it was; see `Messages.remove_last`."""
        return self._store.thread(session_key).messages.remove_last("user")

    def clear_messages(self, session_key: str) -> int:
        """Take all messages away, of all branches; give how many there were; see `Messages.clear`."""
        return self._store.thread(session_key).messages.clear()

    def compact(self, session_key: str) -> Compacted:
        """Rewrite a session's log without what nobody sees; say what that was; see `Messages.compact`."""
        return self._store.thread(session_key).messages.compact()

    def delete_session(self, session_key: str) -> bool:
        """Move a session to the trash; say whether there was one; see `Threads.delete`."""
        return self._store.threads.delete(session_key)

    def rename_session(self, session_key: str, new_key: str) -> None:
        """Give a session another key, with all that is its own; see `Sessions.rename`."""
        self._store.sessions.rename(session_key, new_key)

    def session_exists(self, session_key: str) -> bool:
        """Say whether there is a session."""
        return session_key in self._store.threads

    def list_sessions(self) -> list[str]:
        """Give the keys of all sessions, the last used first; see `Sessions.keys`."""
        return self._store.sessions.keys()

    def list_sessions_with_metadata(self) -> list[SessionMetadata]:
        """Give what each session is, the last used first; see `Sessions.recent`."""
        return self._store.sessions.recent(None)

    def get_session_metadata(self, session_key: str) -> SessionMetadata | None:
        """Give what a session is, or None where there is none; see `Sessions.get`."""
        return self._store.sessions.get(session_key)

    def cleanup_stale(self, ttl_hours: float) -> int:
        """Move sessions to the trash that nobody used for so long; 0 takes none; give how many; see `Sessions.delete_stale`."""
        return self._store.sessions.delete_stale(ttl_hours)

    def search(self, query: SessionQuery) -> list[SessionMetadata]:
        """Give the sessions whose key or messages hold a word of the keyword, the last used first; see `Sessions.search`."""
        return self._store.sessions.search(query)

    def set_session_name(self, session_key: str, name: str) -> bool:
        """Name a session, an empty name takes it away; say whether there is one; see `Sessions.set_name`."""
        return self._store.sessions.set_name(session_key, name)

    def get_session_name(self, session_key: str) -> str | None:
        """Give a session's name, None where it has none or is missing."""
        info = self._store.threads.get(session_key)
        return info.name if info else None

    def set_session_state(self, session_key: str, state: str, turn_id: str | None = None) -> bool:
        """Say what a session is doing, and in which turn; say whether there is one; see `State.set`."""
        return self._store.thread(session_key).state.set(state, turn_id)

    def get_session_state(self, session_key: str) -> SessionState | None:
        """Give what a session is doing, None where there is none; see `State.get`."""
        return self._store.thread(session_key).state.get()

    def list_running_sessions(self) -> list[SessionMetadata]:
        """Give the sessions whose state is `running`, the turn begun last first; see `Sessions.running`."""
        return self._store.sessions.running()

    def list_stuck_sessions(self, threshold_secs: float) -> list[SessionMetadata]:
        """Give the running sessions whose turn began longer ago than so many seconds; see `Sessions.stuck`."""
        return self._store.sessions.stuck(threshold_secs)

    def close_interrupted(self) -> list[str]:
        """Close the turns that a crash interrupted; give the keys; see `Sessions.close_interrupted`."""
        return self._store.sessions.close_interrupted()
