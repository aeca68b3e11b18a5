"""The suite for session backends, run against `SessionStore`, against two backends in memory, and against broken ones."""

from __future__ import annotations

import re
from pathlib import Path

import onroot
import pytest
from memory_backend import FewestBackend, MemoryBackend

from fsstore import ChatMessage, SessionBackend, SessionStore
from fsstore.testing import SessionBackendTests


class TestSessionStore(SessionBackendTests):
    def make(self, place: Path) -> SessionStore:
        return SessionStore(place)

    def age(self, backend: SessionBackend, key: str, hours: float) -> None:
        assert isinstance(backend, SessionStore)
        make_older(backend, key, hours)


class TestSessionStoreWithoutSyncs(TestSessionStore):
    def make(self, place: Path) -> SessionStore:
        return SessionStore(place, durability="process")


class TestMemoryBackend(SessionBackendTests):
    def make(self, place: Path) -> MemoryBackend:
        return MemoryBackend()

    def age(self, backend: SessionBackend, key: str, hours: float) -> None:
        assert isinstance(backend, MemoryBackend)
        backend.sessions[key].used_at -= int(hours * 3600)


class TestFewestBackend(SessionBackendTests):
    def make(self, place: Path) -> FewestBackend:
        return FewestBackend()


def make_older(store: SessionStore, key: str, hours: float) -> None:
    """Have a session look older, as another program that rewrites its files would."""
    thread = store._store.thread(key)
    onroot.edit(
        Path(thread.directory) / "meta.json", lambda meta: meta.update(updated_at=meta["updated_at"] - int(hours * 3600))
    )
    log = Path(thread.messages.path)
    older = re.sub(r'"created_at":(\d+)', lambda found: f'"created_at":{int(found[1]) - int(hours * 3600)}', log.read_text())
    new = log.with_suffix(".new")
    new.write_text(older)
    new.rename(log)


def test_the_suite_runs_in_full_where_everything_is_offered() -> None:
    """No test is skipped for `SessionStore`: it overrides every method that it inherits."""
    methods = {name for name, value in vars(SessionBackend).items() if callable(value) and not name.startswith("_")}
    assert methods <= set(vars(SessionStore))


class KeysMixedUp(MemoryBackend):
    def load(self, session_key: str) -> list[ChatMessage]:
        return super().load(re.sub(r"[^\w-]", "_", session_key))

    def append(self, session_key: str, message: ChatMessage) -> None:
        super().append(re.sub(r"[^\w-]", "_", session_key), message)


class ForgetsEmptied(MemoryBackend):
    def remove_last(self, session_key: str) -> bool:
        done = super().remove_last(session_key)
        if done and not self.sessions[session_key].messages:
            del self.sessions[session_key]
        return done


class CleansUpRunning(MemoryBackend):
    def cleanup_stale(self, ttl_hours: float) -> int:
        for session in self.sessions.values():
            session.state = type(session.state)()
        return super().cleanup_stale(ttl_hours)


class KeepsTheState(MemoryBackend):
    def delete_session(self, session_key: str) -> bool:
        state = self.get_session_state(session_key)
        done = super().delete_session(session_key)
        if state is not None:
            self.append(session_key, ChatMessage.user(""))
            self.sessions[session_key].messages.clear()
        return done


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (KeysMixedUp, "test_keys_of_any_form_come_back_as_they_were_and_are_kept_apart"),
        (ForgetsEmptied, "test_an_emptied_session_stays_listed"),
        (CleansUpRunning, "test_clean_up_never_takes_a_running_session_nor_any_with_a_ttl_of_0"),
        (KeepsTheState, "test_delete_takes_one_session_with_all_that_is_its_own"),
    ],
)
def test_the_suite_fails_for_a_backend_that_is_broken(broken: type[MemoryBackend], test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(TestMemoryBackend(), test)(broken())
