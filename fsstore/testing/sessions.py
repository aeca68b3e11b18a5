"""The contract of a `SessionBackend` as a suite for pytest.

    from fsstore.testing import SessionBackendTests

    class TestMine(SessionBackendTests):
        def make(self, place):
            return MyBackend(place)

Tests of what a backend leaves to the defaults are skipped; all others it must pass.
"""

from __future__ import annotations

import threading
import time

import pytest

from fsstore.errors import AlreadyExistsError, SessionNotFoundError
from fsstore.records.sessions import ChatMessage, SessionQuery
from fsstore.stores.backend import SessionBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

#: Keys that a careless backend takes for one another, or cannot keep.
KEYS = (
    "slack/thread:123/user",
    "slack_thread_123_user",
    "slack.thread.123.user",
    "slack thread 123 user",
    "Slack/Thread:123/User",
    "../tenant\\user/channel",
    "caf\u00e9",
    "cafe\u0301",
    "\N{SNOWMAN}",
    "CON",
    ".",
    "x" * 300,
    "x" * 1000,
    "x" * 999 + "y",
)


def said(backend: SessionBackend, key: str) -> list[tuple[str, str]]:
    """Give the roles and the contents of a session's messages."""
    return [(message.role, message.content) for message in backend.load(key)]


def say(backend: SessionBackend, key: str, *contents: str) -> None:
    """Have the user say something."""
    for content in contents:
        backend.append(key, ChatMessage.user(content))


def offers(backend: SessionBackend, *methods: str) -> None:
    """Skip the test where the backend leaves one of some methods to the default."""
    for method in methods:
        if getattr(type(backend), method) is getattr(SessionBackend, method):
            pytest.skip(f"{type(backend).__name__} does not define {method}")


def found(backend: SessionBackend, keyword: str | None, limit: int | None = None) -> set[str]:
    """Give the keys of what a search finds, each once."""
    keys = [session.key for session in backend.search(SessionQuery(keyword=keyword, limit=limit))]
    assert len(keys) == len(set(keys)), "no session is found twice"
    return set(keys)


class SessionBackendTests:
    """What every backend must do. A subclass defines `make`, and may define `age`."""

    def make(self, place: Path) -> SessionBackend:
        """Make an empty backend that keeps its files, if it has any, in an empty directory."""
        raise NotImplementedError

    def age(self, backend: SessionBackend, key: str, hours: float) -> None:
        """Have a session look as if it had not been used for so many hours; without it cleaning up is tested less."""
        pytest.skip(f"{type(self).__name__} cannot age a session")

    @pytest.fixture
    def backend(self, tmp_path: Path) -> SessionBackend:
        """The backend under test."""
        return self.make(tmp_path / "backend")

    # load, append, list_sessions

    def test_messages_come_back_in_order_with_their_roles(self, backend: SessionBackend) -> None:
        """Roles are any text; content is any text."""
        talk = [
            ("system", "Be kind."),
            ("user", 'Hi\n\t"you" \u2026'),
            ("assistant", ""),
            ("tool", "{}"),
            ("Narrator", "\0"),
            ("user", " \n as it is "),
        ]
        for role, content in talk:
            backend.append("a", ChatMessage(role, content))
        assert said(backend, "a") == talk

    def test_a_long_session_comes_back_whole_and_is_the_backends_own(self, backend: SessionBackend) -> None:
        """What a caller does to the list that it was given changes nothing."""
        contents = [f"message {number}" for number in range(300)]
        say(backend, "a", *contents)
        backend.load("a").clear()
        assert said(backend, "a") == [("user", content) for content in contents]

    def test_a_missing_session_has_no_messages_and_is_not_begun_by_looking(self, backend: SessionBackend) -> None:
        """Reading changes nothing."""
        assert backend.load("nobody") == []
        assert not backend.session_exists("nobody")
        assert backend.get_session_metadata("nobody") is None
        assert backend.list_sessions() == []

    def test_keys_of_any_form_come_back_as_they_were_and_are_kept_apart(self, backend: SessionBackend) -> None:
        """No two keys share a session."""
        for key in KEYS:
            say(backend, key, f"I am {key}")
        assert sorted(backend.list_sessions()) == sorted(KEYS)
        for key in KEYS:
            assert said(backend, key) == [("user", f"I am {key}")]

    # remove_last and what is made of it

    def test_remove_last_takes_the_last_message_and_no_other(self, backend: SessionBackend) -> None:
        """And says so."""
        say(backend, "a", "one", "two")
        assert backend.remove_last("a") is True
        assert said(backend, "a") == [("user", "one")]

    def test_an_emptied_session_stays_listed(self, backend: SessionBackend) -> None:
        """And has no message to remove."""
        say(backend, "a", "one")
        assert backend.remove_last("a") is True
        assert backend.remove_last("a") is False
        assert backend.load("a") == []
        assert backend.list_sessions() == ["a"]
        assert [session.message_count for session in backend.list_sessions_with_metadata()] == [0]

    def test_remove_last_of_a_missing_session_says_no_and_begins_none(self, backend: SessionBackend) -> None:
        """Nothing was there."""
        assert backend.remove_last("nobody") is False
        assert backend.list_sessions() == []

    def test_an_append_after_a_removal_comes_behind_what_is_left(self, backend: SessionBackend) -> None:
        """The removed one is gone for good."""
        say(backend, "a", "one", "two")
        backend.remove_last("a")
        say(backend, "a", "three")
        assert said(backend, "a") == [("user", "one"), ("user", "three")]

    def test_update_last_replaces_the_last_message_and_no_other(self, backend: SessionBackend) -> None:
        """Role and content are the new one's."""
        say(backend, "a", "one", "two")
        assert backend.update_last("a", ChatMessage.assistant("new")) is True
        assert said(backend, "a") == [("user", "one"), ("assistant", "new")]
        assert backend.update_last("nobody", ChatMessage.user("x")) is False
        assert not backend.session_exists("nobody")
        backend.clear_messages("a")
        assert backend.update_last("a", ChatMessage.user("x")) is False
        assert backend.load("a") == []

    def test_clear_messages_counts_and_keeps_the_session(self, backend: SessionBackend) -> None:
        """Other sessions are left alone, and the conversation can go on."""
        say(backend, "a", "one", "two", "three")
        say(backend, "b", "other")
        assert backend.clear_messages("a") == 3
        assert backend.clear_messages("a") == 0
        assert backend.clear_messages("nobody") == 0
        assert backend.load("a") == []
        assert sorted(backend.list_sessions()) == ["a", "b"]
        say(backend, "a", "again")
        assert (said(backend, "a"), said(backend, "b")) == ([("user", "again")], [("user", "other")])

    def test_rollback_takes_back_a_turn_only_where_the_last_word_is_the_users(self, backend: SessionBackend) -> None:
        """An answer is never taken back."""
        say(backend, "a", "one")
        backend.append("a", ChatMessage.assistant("answer"))
        assert backend.rollback_turn("a") is False
        say(backend, "a", "two")
        assert backend.rollback_turn("a") is True
        assert said(backend, "a") == [("user", "one"), ("assistant", "answer")]
        assert backend.rollback_turn("nobody") is False

    def test_compacting_changes_nothing_that_can_be_read(self, backend: SessionBackend) -> None:
        """What was said twice was said twice; a missing session is left missing."""
        say(backend, "a", "one", "one", "two")
        backend.remove_last("a")
        backend.compact("a")
        backend.compact("nobody")
        assert said(backend, "a") == [("user", "one"), ("user", "one")]
        assert backend.list_sessions() == ["a"]

    # What a session is

    def test_a_session_exists_from_its_first_message_on(self, backend: SessionBackend) -> None:
        """Until it is deleted, where the backend can delete."""
        assert not backend.session_exists("a")
        say(backend, "a", "one")
        assert backend.session_exists("a")
        offers(backend, "delete_session")
        assert backend.delete_session("a") is True
        assert not backend.session_exists("a")

    def test_metadata_counts_messages_and_is_the_same_in_both_ways(self, backend: SessionBackend) -> None:
        """One by one, and listed."""
        say(backend, "a", "one", "two", "three")
        say(backend, "b", "one")
        backend.remove_last("a")
        listed = {session.key: session for session in backend.list_sessions_with_metadata()}
        assert {key: session.message_count for key, session in listed.items()} == {"a": 2, "b": 1}
        single = backend.get_session_metadata("a")
        assert single is not None
        assert (single.key, single.name, single.message_count) == ("a", listed["a"].name, 2)

    def test_times_are_those_of_the_first_message_and_the_last(self, backend: SessionBackend) -> None:
        """In whole Unix seconds."""
        offers(backend, "list_sessions_with_metadata", "get_session_metadata")
        before = int(time.time())
        say(backend, "a", "one")
        session = backend.get_session_metadata("a")
        assert session is not None
        assert before <= session.created_at <= session.last_activity <= time.time()
        assert backend.list_sessions_with_metadata() == [session]

    def test_the_session_used_last_comes_first_and_only_an_append_is_a_use(self, backend: SessionBackend) -> None:
        """Its beginning stays what it was."""
        offers(backend, "list_sessions_with_metadata", "get_session_metadata")
        say(backend, "a", "one")
        say(backend, "b", "one")
        began = {session.key: session for session in backend.list_sessions_with_metadata()}
        time.sleep(1.1)  # times are whole seconds
        say(backend, "a", "two")
        backend.remove_last("b")
        backend.set_session_name("b", "B")
        backend.set_session_state("b", "running", "t")
        first, second = backend.list_sessions_with_metadata()
        assert [first.key, second.key] == backend.list_sessions() == ["a", "b"]
        assert (first.created_at, second.created_at) == (began["a"].created_at, began["b"].created_at)
        assert first.last_activity > began["a"].last_activity
        assert second.last_activity == began["b"].last_activity

    def test_a_renamed_session_keeps_its_messages(self, backend: SessionBackend) -> None:
        """And its name; and is found under the new key only, where the backend can delete."""
        say(backend, "a", "one", "two")
        named = backend.set_session_name("a", "A")
        backend.rename_session("a", "b/c")
        assert said(backend, "b/c") == [("user", "one"), ("user", "two")]
        assert backend.load("a") == []
        assert backend.get_session_name("b/c") == ("A" if named else None)
        offers(backend, "delete_session")
        assert backend.list_sessions() == ["b/c"]

    def test_a_renamed_session_may_be_empty(self, backend: SessionBackend) -> None:
        """It is there under the new key all the same."""
        say(backend, "a", "one")
        backend.remove_last("a")
        backend.rename_session("a", "b")
        assert backend.session_exists("b")
        assert backend.load("b") == []

    def test_a_rename_of_nothing_or_onto_something_is_refused(self, backend: SessionBackend) -> None:
        """And changes nothing."""
        say(backend, "a", "one")
        say(backend, "b", "two")
        with pytest.raises(SessionNotFoundError):
            backend.rename_session("nobody", "c")
        for taken in ("b", "a"):
            with pytest.raises(AlreadyExistsError):
                backend.rename_session("a", taken)
        assert (said(backend, "a"), said(backend, "b")) == ([("user", "one")], [("user", "two")])
        assert sorted(backend.list_sessions()) == ["a", "b"]

    # Deletion

    def test_delete_takes_one_session_with_all_that_is_its_own(self, backend: SessionBackend) -> None:
        """A later append begins it anew, empty, without name or state."""
        offers(backend, "delete_session")
        say(backend, "a", "one")
        say(backend, "b", "two")
        backend.set_session_name("a", "A")
        backend.set_session_state("a", "running", "t")
        assert backend.delete_session("a") is True
        assert backend.delete_session("a") is False
        assert (backend.load("a"), backend.list_sessions()) == ([], ["b"])
        assert (backend.get_session_name("a"), backend.get_session_state("a")) == (None, None)
        say(backend, "a", "anew")
        assert said(backend, "a") == [("user", "anew")]
        assert backend.get_session_name("a") is None
        state = backend.get_session_state("a")
        assert state is None or (state.state, state.turn_id) == ("idle", None)

    def test_clean_up_takes_what_was_not_used_for_long(self, backend: SessionBackend) -> None:
        """And says how many."""
        offers(backend, "cleanup_stale")
        for key in ("old", "fresh"):
            say(backend, key, "one")
        self.age(backend, "old", 100)
        assert backend.cleanup_stale(101) == 0
        assert backend.cleanup_stale(48) == 1
        assert backend.list_sessions() == ["fresh"]

    def test_clean_up_never_takes_a_running_session_nor_any_with_a_ttl_of_0(self, backend: SessionBackend) -> None:
        """A turn may take as long as it takes."""
        offers(backend, "cleanup_stale", "set_session_state")
        say(backend, "a", "one")
        assert backend.cleanup_stale(0) == 0
        backend.set_session_state("a", "running", "t")
        self.age(backend, "a", 100)
        assert backend.cleanup_stale(48) == backend.cleanup_stale(0) == 0
        backend.set_session_state("a", "idle")
        assert backend.cleanup_stale(0) == 0
        assert backend.cleanup_stale(48) == 1

    # Names and states

    def test_the_last_name_counts_and_an_empty_one_takes_it_away(self, backend: SessionBackend) -> None:
        """A session begins without one."""
        offers(backend, "set_session_name", "get_session_name")
        say(backend, "a", "one")
        assert backend.get_session_name("a") is None
        for name in ("First", " as it is ", "Se\u0107ond"):
            assert backend.set_session_name("a", name) is True
            assert backend.get_session_name("a") == name
        listed = backend.get_session_metadata("a")
        assert listed is not None
        assert listed.name == "Se\u0107ond"
        backend.clear_messages("a")
        assert backend.get_session_name("a") == "Se\u0107ond"
        backend.set_session_name("a", "")
        assert backend.get_session_name("a") is None

    def test_a_missing_session_cannot_be_named_nor_set_running(self, backend: SessionBackend) -> None:
        """And is not begun by it."""
        offers(backend, "set_session_name", "set_session_state")
        assert backend.set_session_name("nobody", "x") is False
        assert backend.get_session_name("nobody") is None
        assert backend.set_session_state("nobody", "running", "t") is False
        assert backend.get_session_state("nobody") is None
        assert backend.list_sessions() == []

    def test_a_state_has_a_turn_and_while_it_runs_a_start(self, backend: SessionBackend) -> None:
        """Any word is a state."""
        offers(backend, "set_session_state", "get_session_state")
        say(backend, "a", "one")
        state = backend.get_session_state("a")
        assert state is not None
        assert (state.state, state.turn_id, state.turn_started_at) == ("idle", None, None)
        for name, turn in (("running", "turn-1"), ("error", "turn-1"), ("idle", None), ("waiting", "turn-2")):
            assert backend.set_session_state("a", name, turn) is True
            state = backend.get_session_state("a")
            assert state is not None
            assert (state.state, state.turn_id, state.turn_started_at is None) == (name, turn, name != "running")

    def test_running_and_stuck_sessions_are_listed(self, backend: SessionBackend) -> None:
        """The running ones the newest first, the stuck ones the oldest first."""
        offers(backend, "set_session_state", "get_session_state")
        for key in ("first", "second", "idle"):
            say(backend, key, "one")
        backend.set_session_state("first", "running", "t1")
        time.sleep(1.1)  # starts are whole seconds
        backend.set_session_state("second", "running", "t2")
        assert [session.key for session in backend.list_running_sessions()] == ["second", "first"]
        assert [session.key for session in backend.list_stuck_sessions(3600)] == []
        time.sleep(1.1)
        assert [session.key for session in backend.list_stuck_sessions(0)] == ["first", "second"]
        backend.set_session_state("first", "running", "t3")
        assert [session.key for session in backend.list_running_sessions()] == ["first", "second"], "a turn of its own"

    def test_interrupted_turns_are_closed_once(self, backend: SessionBackend) -> None:
        """Those that run and in which the user has the last word; with a message of the assistant's."""
        offers(backend, "set_session_state", "get_session_state")
        for key, word in (("asked", "running"), ("answered", "running"), ("idle", "idle"), ("empty", "running")):
            say(backend, key, "one")
            backend.set_session_state(key, word, "t")
        backend.append("answered", ChatMessage.assistant("answer"))
        backend.remove_last("empty")
        assert backend.close_interrupted() == ["asked"]
        assert backend.load("empty") == []
        assert [role for role, _ in said(backend, "asked")] == ["user", "assistant"]
        state = backend.get_session_state("asked")
        assert state is not None
        assert state.state == "idle"
        assert said(backend, "answered") == [("user", "one"), ("assistant", "answer")]
        assert said(backend, "idle") == [("user", "one")]
        assert backend.close_interrupted() == []
        assert len(backend.load("asked")) == 2

    # Search

    def test_search_finds_whole_words_whatever_their_case_and_accents(self, backend: SessionBackend) -> None:
        """A part of a word is not found."""
        offers(backend, "search")
        say(backend, "rust", "I love RUST, and parsers", "More\nna\u00efve_text")
        say(backend, "paris", "Le cafe\u0301 de l'\u00e9t\u00e9")
        for keyword in ("rust", "Rust", "PARSERS", "naive", "na\u00efve", "text", "MORE"):
            assert found(backend, keyword) == {"rust"}, keyword
        for keyword in ("caf\u00e9", "cafe", "ETE", "l", "\u00e9te"):
            assert found(backend, keyword) == {"paris"}, keyword
        for keyword in ("par", "parser", "ust", "caf", "user", "role", "content"):
            assert found(backend, keyword) == set(), keyword

    def test_search_looks_at_keys_too_and_takes_any_of_several_words(self, backend: SessionBackend) -> None:
        """Words are whatever stands between other characters."""
        offers(backend, "search")
        say(backend, "telegram_42_anna", "hello")
        say(backend, "slack/anna", "bye")
        say(backend, "slack/bert", "hello")
        say(backend, "Caf\u00e9", "")
        assert found(backend, "cafe") == {"Caf\u00e9"}
        assert found(backend, "anna") == {"telegram_42_anna", "slack/anna"}
        assert found(backend, "42") == {"telegram_42_anna"}
        assert found(backend, "bye telegram") == {"telegram_42_anna", "slack/anna"}
        assert found(backend, '"bye", (BERT)!') == {"slack/anna", "slack/bert"}

    def test_search_without_a_word_finds_nothing_and_without_a_keyword_all(self, backend: SessionBackend) -> None:
        """The limit holds in both cases."""
        offers(backend, "search")
        for key in ("a", "b", "c"):
            say(backend, key, "same")
        for keyword in ("", " ", '"', "_", "?!"):
            assert found(backend, keyword) == set(), repr(keyword)
        assert found(backend, None) == found(backend, "same") == {"a", "b", "c"}
        for one in (None, "same"):
            assert len(found(backend, one, 2)) == 2
            assert found(backend, one, 0) == set()

    def test_search_follows_every_change(self, backend: SessionBackend) -> None:
        """What was removed, replaced or deleted is not found any more."""
        offers(backend, "search", "delete_session")
        say(backend, "a", "one", "two")
        backend.update_last("a", ChatMessage.user("three"))
        assert (found(backend, "two"), found(backend, "three")) == (set(), {"a"})
        backend.remove_last("a")
        assert (found(backend, "three"), found(backend, "one")) == (set(), {"a"})
        backend.delete_session("a")
        assert found(backend, "one") == set()
        say(backend, "a", "anew")
        assert (found(backend, "one"), found(backend, "anew")) == (set(), {"a"})

    # At once

    def test_appends_of_several_threads_all_come_through(self, backend: SessionBackend) -> None:
        """Each once, and each thread's own in its order."""

        def work(me: int) -> None:
            say(backend, "a", *(f"{me} {number}" for number in range(25)))

        workers = [threading.Thread(target=work, args=(me,)) for me in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        contents = [content for _, content in said(backend, "a")]
        assert len(contents) == 100
        for me in range(4):
            assert [one for one in contents if one.startswith(f"{me} ")] == [f"{me} {number}" for number in range(25)]
