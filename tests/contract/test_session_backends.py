"""The suite for session backends, run against `SessionStore`, against two backends in memory, and against broken ones."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import onroot
import pytest
from memory_backend import FewestBackend, MemoryBackend

from fsstore import ChatMessage, SessionBackend, SessionMetadata, SessionQuery, SessionStore
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


class ShowsTheLastHundred(MemoryBackend):
    def load(self, session_key: str) -> list[ChatMessage]:
        return super().load(session_key)[-100:]


class GivesItsOwnListAway(MemoryBackend):
    def load(self, session_key: str) -> list[ChatMessage]:
        return self.sessions[session_key].messages if session_key in self.sessions else []


class UpdatesTheEmptied(MemoryBackend):
    def update_last(self, session_key: str, message: ChatMessage) -> bool:
        self.remove_last(session_key)
        return session_key in self.sessions and self.append(session_key, message) is None


class ListsTheOldestFirst(MemoryBackend):
    def list_sessions(self) -> list[str]:
        return super().list_sessions()[::-1]


class TakesARemovalForAUse(MemoryBackend):
    def remove_last(self, session_key: str) -> bool:
        done = super().remove_last(session_key)
        self.sessions[session_key].used_at = int(time.time())
        return done


class CompactsWhatWasSaidTwice(MemoryBackend):
    def compact(self, session_key: str) -> None:
        messages = self.load(session_key)
        if messages:
            self.sessions[session_key].messages = [one for at, one in enumerate(messages) if one not in messages[:at]]


class LosesTheNameInARename(MemoryBackend):
    def rename_session(self, session_key: str, new_key: str) -> None:
        super().rename_session(session_key, new_key)
        self.set_session_name(new_key, "")


class FindsOneTwice(MemoryBackend):
    def search(self, query: SessionQuery) -> list[SessionMetadata]:
        return [session for session in super().search(query) for _ in range(2)]


class KeepsTheFirstStart(MemoryBackend):
    def set_session_state(self, session_key: str, state: str, turn_id: str | None = None) -> bool:
        old = self.get_session_state(session_key)
        done = super().set_session_state(session_key, state, turn_id)
        if old is not None and old.state == state:
            self.sessions[session_key].state = replace(old, turn_id=turn_id)
        return done


class ClosesTheEmptied(MemoryBackend):
    def close_interrupted(self) -> list[str]:
        for session in self.list_running_sessions():
            if not self.load(session.key):
                self.append(session.key, ChatMessage.user(""))
        return super().close_interrupted()


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (KeysMixedUp, "test_keys_of_any_form_come_back_as_they_were_and_are_kept_apart"),
        (ForgetsEmptied, "test_an_emptied_session_stays_listed"),
        (CleansUpRunning, "test_clean_up_never_takes_a_running_session_nor_any_with_a_ttl_of_0"),
        (KeepsTheState, "test_delete_takes_one_session_with_all_that_is_its_own"),
        (ShowsTheLastHundred, "test_a_long_session_comes_back_whole_and_is_the_backends_own"),
        (GivesItsOwnListAway, "test_a_long_session_comes_back_whole_and_is_the_backends_own"),
        (UpdatesTheEmptied, "test_update_last_replaces_the_last_message_and_no_other"),
        (ListsTheOldestFirst, "test_the_session_used_last_comes_first_and_only_an_append_is_a_use"),
        (TakesARemovalForAUse, "test_the_session_used_last_comes_first_and_only_an_append_is_a_use"),
        (CompactsWhatWasSaidTwice, "test_compacting_changes_nothing_that_can_be_read"),
        (LosesTheNameInARename, "test_a_renamed_session_keeps_its_messages"),
        (FindsOneTwice, "test_search_without_a_word_finds_nothing_and_without_a_keyword_all"),
        (KeepsTheFirstStart, "test_running_and_stuck_sessions_are_listed"),
        (ClosesTheEmptied, "test_interrupted_turns_are_closed_once"),
    ],
)
def test_the_suite_fails_for_a_backend_that_is_broken(broken: type[MemoryBackend], test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(TestMemoryBackend(), test)(broken())
