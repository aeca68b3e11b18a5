"""Backends in memory, one that offers everything and one that offers the fewest methods: they prove that the suite is fair."""

from __future__ import annotations

import re
import time
import unicodedata
from dataclasses import dataclass, field, replace

from fsstore import ChatMessage, SessionBackend, SessionMetadata, SessionQuery, SessionState


class FewestBackend(SessionBackend):
    """The four methods that every backend must define."""

    def __init__(self) -> None:
        self.messages: dict[str, list[ChatMessage]] = {}

    def load(self, session_key: str) -> list[ChatMessage]:
        return list(self.messages.get(session_key, ()))

    def append(self, session_key: str, message: ChatMessage) -> None:
        self.messages.setdefault(session_key, []).append(message)

    def remove_last(self, session_key: str) -> bool:
        messages = self.messages.get(session_key)
        return bool(messages and messages.pop())

    def list_sessions(self) -> list[str]:
        return list(self.messages)


@dataclass
class Session:
    messages: list[ChatMessage] = field(default_factory=list)
    name: str | None = None
    created_at: int = field(default_factory=lambda: int(time.time()))
    used_at: int = field(default_factory=lambda: int(time.time()))
    state: SessionState = field(default_factory=SessionState)


class MemoryBackend(SessionBackend):
    """Everything, in the plainest way."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def load(self, session_key: str) -> list[ChatMessage]:
        return list(self.sessions[session_key].messages) if session_key in self.sessions else []

    def append(self, session_key: str, message: ChatMessage) -> None:
        session = self.sessions.setdefault(session_key, Session())
        session.messages.append(message)
        session.used_at = int(time.time())

    def remove_last(self, session_key: str) -> bool:
        session = self.sessions.get(session_key)
        return bool(session and session.messages and session.messages.pop())

    def list_sessions(self) -> list[str]:
        return sorted(self.sessions, key=lambda key: self.sessions[key].used_at, reverse=True)

    def list_sessions_with_metadata(self) -> list[SessionMetadata]:
        return [self._about(key) for key in self.list_sessions()]

    def get_session_metadata(self, session_key: str) -> SessionMetadata | None:
        return self._about(session_key) if session_key in self.sessions else None

    def delete_session(self, session_key: str) -> bool:
        return self.sessions.pop(session_key, None) is not None

    def cleanup_stale(self, ttl_hours: float) -> int:
        before = time.time() - ttl_hours * 3600
        old = [key for key, one in self.sessions.items() if ttl_hours and one.used_at < before and one.state.state != "running"]
        return sum(map(self.delete_session, old))

    def set_session_name(self, session_key: str, name: str) -> bool:
        if session_key in self.sessions:
            self.sessions[session_key].name = name or None
        return session_key in self.sessions

    def get_session_name(self, session_key: str) -> str | None:
        return self.sessions[session_key].name if session_key in self.sessions else None

    def set_session_state(self, session_key: str, state: str, turn_id: str | None = None) -> bool:
        if session_key in self.sessions:
            started = int(time.time()) if state == "running" else None
            self.sessions[session_key].state = SessionState(state=state, turn_id=turn_id, turn_started_at=started)
        return session_key in self.sessions

    def get_session_state(self, session_key: str) -> SessionState | None:
        return replace(self.sessions[session_key].state) if session_key in self.sessions else None

    def search(self, query: SessionQuery) -> list[SessionMetadata]:
        wanted = None if query.keyword is None else words(query.keyword)
        found = [self._about(key) for key in self.list_sessions() if wanted is None or wanted & self._words(key)]
        return found[: query.limit]

    def _about(self, key: str) -> SessionMetadata:
        one = self.sessions[key]
        return SessionMetadata(
            key=key, name=one.name, created_at=one.created_at, last_activity=one.used_at, message_count=len(one.messages)
        )

    def _words(self, key: str) -> set[str]:
        return set().union(words(key), *(words(message.content) for message in self.sessions[key].messages))


def words(text: str) -> set[str]:
    """The words of a text, as slowly and plainly as it can be said."""
    bare = (one for one in unicodedata.normalize("NFKD", text) if not unicodedata.category(one).startswith("M"))
    return set(re.findall(r"[^\W_]+", "".join(bare).casefold()))
