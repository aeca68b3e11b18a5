"""`SessionStore` against its rows of the contract (2C, part 0 first), and every behaviour of 3C in the order they stand there.

What holds for every backend is in `fsstore.testing.SessionBackendTests`; here stands what this one promises beyond that. 3C
names 63 behaviours. Left out, since they are of SQLite or of the callers alone: (23) and (59), the import of the JSONL files
and its crashes, and (41), the channel of a key, which a session's tool reads out of it. Of (55) to (57), aliases and contexts,
nothing is among the signatures of part 5. Where part 0 decides otherwise, (36), (43), (44), (60), (61) and (63), the test is
of part 0.
"""

from __future__ import annotations

import errno
import json
import threading
import time
from pathlib import Path

import onroot
import pytest
from contract_children import dying, holding, updating_last_slowly

import fsstore
from fsstore import (
    AlreadyExistsError,
    ChatMessage,
    Compacted,
    CorruptError,
    InvalidNameError,
    LockTimeoutError,
    SessionBackend,
    SessionMetadata,
    SessionNotFoundError,
    SessionQuery,
    SessionState,
    SessionStore,
    StateStore,
    Store,
    Thread,
    ThreadMessage,
    ThreadMetadata,
    ThreadStore,
    clock,
)
from fsstore.disk import fs

HOUR = 3600


def say(sessions: SessionBackend, key: str, *contents: str) -> None:
    for content in contents:
        sessions.append(key, ChatMessage.user(content))


def said(sessions: SessionBackend, key: str) -> list[str]:
    return [message.content for message in sessions.load(key)]


def found(sessions: SessionBackend, keyword: str | None, **limit: int | None) -> list[str]:
    return [session.key for session in sessions.search(SessionQuery(keyword=keyword, **limit))]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch):
    """Set the clock of this process some seconds ahead."""
    real = clock.now
    return lambda seconds: monkeypatch.setattr(clock, "now", lambda: real() + seconds)


# SessionStore


def test_a_new_store_takes_its_settings_by_name_and_a_root_in_any_case(root: Path) -> None:
    with pytest.raises(TypeError):
        SessionStore()
    with pytest.raises(TypeError):
        SessionStore(root, "process")
    with pytest.raises(ValueError, match="durability"):
        SessionStore(root, durability="some")
    assert not root.exists()
    with SessionStore(str(root), durability="process", lock_timeout=None) as sessions:
        say(sessions, "a", "one")
    assert SessionStore(root).list_sessions() == ["a"]


def test_a_session_store_is_a_session_backend() -> None:
    assert issubclass(SessionStore, SessionBackend)
    with pytest.raises(TypeError, match="abstract"):
        SessionBackend()  # type: ignore[abstract]
    assert SessionBackend.__abstractmethods__ == {"load", "append", "remove_last", "list_sessions"}


# One store (part 0: one store, four vocabularies; 1 to 3)


def test_a_session_is_a_thread_and_its_messages_are_the_current_branch(
    sessions: SessionStore, state: StateStore, threads: ThreadStore, root: Path
) -> None:
    say(sessions, "a", "one")
    first = state.list_messages("a")[0].id
    state.append_message("a", "assistant", "two", item={"x": 1})
    state.fork_at_message(first, "assistant", [{"type": "text", "text": "other"}, {"type": "text", "text": "words"}])
    assert [(one.role, one.content) for one in sessions.load("a")] == [("user", "one"), ("assistant", "other\nwords")]
    assert [message.text_content() for message in threads.list_messages("a")] == ["one", "two", "other\nwords"]
    assert [message.content for message in Store.open(root).thread("a").messages.branch(1)] == [
        [{"type": "text", "text": "other"}, {"type": "text", "text": "words"}]
    ]
    assert sessions.get_session_metadata("a").message_count == 2


def test_threads_of_the_other_vocabularies_are_sessions(
    sessions: SessionStore, state: StateStore, threads: ThreadStore
) -> None:
    state.upsert_thread(ThreadMetadata(id="agent", name="Agent", updated_at=100, archived=True))
    threads.create_thread(Thread(id="server", created_at=200))
    threads.append_message("server", ThreadMessage.new_user("server", "hi"))
    say(sessions, "agent", "hello")
    assert set(sessions.list_sessions()) == {"agent", "server"}
    assert said(sessions, "server") == ["hi"]
    assert sessions.get_session_name("agent") == "Agent"
    assert state.get_thread("agent").updated_at == 100


def test_keys_of_a_message_that_nobody_knows_come_back(sessions: SessionStore, root: Path) -> None:
    message = ChatMessage("user", "hi", extra={"name": "Ann", "id": 7, "type": "x"})
    sessions.append("a", message)
    sessions.append("a", ChatMessage("user", "last"))
    assert sessions.update_last("a", message) is True
    assert SessionStore(root).load("a") == [message, message]
    assert list(Store.open(root).check()) == []


@pytest.mark.parametrize("content", [None, ["block"], 5, b"raw"], ids=repr)
def test_content_that_is_no_text_is_refused_and_begins_nothing(sessions: SessionStore, root: Path, content: object) -> None:
    before = onroot.snapshot(root)
    for write in (sessions.append, sessions.update_last):
        with pytest.raises(ValueError, match="string"):
            write("a", ChatMessage("user", content))
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_what_json_cannot_hold_is_refused_and_begins_nothing(sessions: SessionStore, root: Path, value: object) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(ValueError, match=r"JSON|string"):
        sessions.append("a", ChatMessage("user", "hi", extra={"k": value}))
    assert onroot.snapshot(root) == before


# Keys (23)


def test_any_key_is_a_session_of_its_own(sessions: SessionStore, root: Path) -> None:
    for key in onroot.STRANGE_IDS:
        say(sessions, key, f"I am {key}")
    assert sorted(sessions.list_sessions()) == sorted(onroot.STRANGE_IDS)
    assert all(said(sessions, key) == [f"I am {key}"] for key in onroot.STRANGE_IDS)
    assert {path.name for path in root.parent.iterdir()} == {root.name}


@pytest.mark.parametrize("key", ["", "x" * 1001, "half \ud800 a pair"], ids=["empty", "long", "surrogate"])
def test_what_cannot_be_a_key_is_a_value_error_everywhere(sessions: SessionStore, root: Path, key: str) -> None:
    say(sessions, "a", "one")
    before = onroot.snapshot(root)
    for call in (
        lambda: sessions.load(key),
        lambda: say(sessions, key, "x"),
        lambda: sessions.remove_last(key),
        lambda: sessions.delete_session(key),
        lambda: sessions.session_exists(key),
        lambda: sessions.get_session_metadata(key),
        lambda: sessions.set_session_name(key, "x"),
        lambda: sessions.set_session_state(key, "idle"),
        lambda: sessions.rename_session("a", key),
        lambda: sessions.rename_session(key, "b"),
    ):
        with pytest.raises(InvalidNameError):
            call()
    assert onroot.snapshot(root) == before


# append (6, 24), delete_session


def test_an_append_begins_the_session_and_says_that_it_may_be_cleaned_up(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one")
    assert json.loads(onroot.meta(root, "a").read_text())["kind"] == "session"
    assert Store.open(root).threads.get("a").kind == "session"


def test_a_deleted_session_begins_anew_without_its_old_messages(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "old")
    late = SessionStore(root)
    late.load("a")
    assert sessions.delete_session("a")
    say(late, "a", "late")
    assert said(sessions, "a") == said(SessionStore(root), "a") == ["late"]
    trash = [path.read_text() for path in (root / ".fsstore" / "trash").rglob("messages.jsonl")]
    assert [text.count('"old"') for text in trash] == [1]


def test_a_lock_that_is_not_free_in_time_is_an_error_and_nothing_is_written(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one")
    say(sessions, "a", "gone")
    sessions.remove_last("a")
    hasty = SessionStore(root, lock_timeout=0.05)
    with holding(root, "a"):
        for write in (
            lambda: say(hasty, "a", "two"),
            lambda: hasty.remove_last("a"),
            lambda: hasty.set_session_state("a", "running"),
            lambda: hasty.set_session_name("a", "x"),
            lambda: hasty.rename_session("a", "b"),
            lambda: hasty.compact("a"),
        ):
            with pytest.raises(LockTimeoutError):
                write()
        assert said(hasty, "a") == ["one"]
    assert sessions.list_sessions() == ["a"]


# remove_last, clear, compact (13, 14, 15, 42)


def test_remove_last_removes_the_leaf_and_the_one_before_becomes_it(sessions: SessionStore, state: StateStore) -> None:
    say(sessions, "a", "one", "two")
    state.fork_at_message(state.list_messages("a")[0].id, "user", "three")
    assert sessions.remove_last("a")
    assert said(sessions, "a") == ["one"]
    say(sessions, "a", "four")
    assert said(sessions, "a") == ["one", "four"]
    assert [leaf.content for leaf in state.list_leaf_messages("a")] == ["two", "four"]


def test_clear_messages_counts_all_branches_and_keeps_state_and_name(sessions: SessionStore, state: StateStore) -> None:
    say(sessions, "a", "one", "two")
    state.fork_at_message(state.list_messages("a")[0].id, "user", "three")
    sessions.set_session_name("a", "A")
    sessions.set_session_state("a", "error", "t")
    assert sessions.clear_messages("a") == 3
    assert sessions.get_session_metadata("a").message_count == 0
    assert sessions.get_session_name("a") == "A"
    assert sessions.get_session_state("a") == SessionState(state="error", turn_id="t")


@pytest.mark.damaged
def test_compact_says_what_it_dropped_and_keeps_damage_in_quarantine(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one", "two", "three")
    log = onroot.log(root, "a")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + b"rubbish\n" + lines[1] + lines[2] + lines[2])
    sessions.remove_last("a")
    before = log.stat().st_size
    dropped = sessions.compact("a")
    assert dropped == Compacted(messages=1, duplicates=1, damaged=1, freed=before - log.stat().st_size)
    assert said(sessions, "a") == ["one", "two"]
    assert b"three" not in log.read_bytes()
    assert [path.read_bytes() for path in (root / ".fsstore" / "quarantine").glob("*.raw")] == [b"rubbish\n"]
    assert sessions.compact("a") == Compacted()


def test_compacting_a_missing_session_makes_none(sessions: SessionStore, root: Path) -> None:
    before = onroot.snapshot(root)
    assert sessions.compact("nobody") == Compacted()
    assert onroot.snapshot(root) == before


# Metadata, names, states (8, 16, 17, 22, 26, 27)


def test_sessions_are_listed_by_their_last_activity(sessions: SessionStore, root: Path, later) -> None:
    for seconds, key in ((0, "a"), (10, "b"), (20, "c")):
        later(seconds)
        say(sessions, key, "one")
    later(30)
    say(sessions, "a", "two")
    listed = sessions.list_sessions_with_metadata()
    assert [session.key for session in listed] == sessions.list_sessions() == ["a", "c", "b"]
    assert [session.last_activity - listed[2].last_activity for session in listed] == [20, 10, 0]
    assert all(session.created_at <= session.last_activity for session in listed)
    assert listed[0].last_activity - listed[0].created_at in (30, 31)


def test_naming_and_state_leave_the_last_activity_alone(sessions: SessionStore, later) -> None:
    say(sessions, "a", "one")
    before = sessions.get_session_metadata("a")
    later(100)
    sessions.set_session_name("a", "A")
    sessions.set_session_state("a", "running", "t")
    sessions.remove_last("a")
    assert sessions.get_session_metadata("a") == SessionMetadata(
        key="a", name="A", created_at=before.created_at, last_activity=before.last_activity, message_count=0
    )


def test_messages_are_counted_without_decoding_any(sessions: SessionStore, root: Path, monkeypatch) -> None:
    say(sessions, "a", *map(str, range(50)))
    fresh = SessionStore(root)
    decoded = []
    loads = fsstore.codec.orjson.loads
    monkeypatch.setattr(fsstore.codec.orjson, "loads", lambda data: decoded.append(data) or loads(data))
    assert [session.message_count for session in fresh.list_sessions_with_metadata()] == [50]
    assert sum(b'"role"' in data for data in decoded) == 1, "only the last one, for its time"
    assert fresh._store.threads._indexes._indexes == {}


def test_a_missing_session_has_no_name_and_no_state_and_gets_none(sessions: SessionStore, root: Path) -> None:
    before = onroot.snapshot(root)
    assert sessions.get_session_name("nobody") is None
    assert sessions.get_session_state("nobody") is None
    assert sessions.set_session_name("nobody", "x") is False
    assert sessions.set_session_state("nobody", "running") is False
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("name", [5, b"x", ["x"]], ids=repr)
def test_a_name_is_text(sessions: SessionStore, name: object) -> None:
    say(sessions, "a", "one")
    with pytest.raises(ValueError, match="name"):
        sessions.set_session_name("a", name)
    assert sessions.get_session_name("a") is None


def test_a_state_and_a_turn_are_text(sessions: SessionStore) -> None:
    say(sessions, "a", "one")
    for state, turn in ((None, None), (5, None), ("idle", 5), ("half \ud800", None)):
        with pytest.raises(ValueError, match=r"string|JSON"):
            sessions.set_session_state("a", state, turn)
    assert sessions.get_session_state("a") == SessionState()


@pytest.mark.damaged
@pytest.mark.parametrize("spoiled", [b"", b"{", b"[]", b'{"state": "running"}'], ids=repr)
def test_a_corrupt_state_raises_is_passed_over_by_lists_and_kept(
    sessions: SessionStore, root: Path, spoiled: bytes, later
) -> None:
    for key in ("a", "b"):
        say(sessions, key, "one")
        sessions.set_session_state(key, "running", "t")
    path = onroot.meta(root, "a").with_name("state.json")
    path.write_bytes(spoiled)
    for call in (lambda: sessions.get_session_state("a"), lambda: sessions.set_session_state("a", "idle")):
        with pytest.raises(CorruptError, match=r"state\.json"):
            call()
    assert path.read_bytes() == spoiled
    assert [session.key for session in sessions.list_running_sessions()] == ["b"]
    assert sorted(sessions.list_sessions()) == ["a", "b"]
    assert [(problem.path, problem.kind) for problem in Store.open(root).check()] == [("threads/a/state.json", "corrupt")]
    assert [error.path for error in Store.open(root).sessions.damage()] == [str(path)]
    later(100 * HOUR)
    assert sessions.cleanup_stale(1) == 0, "nobody knows whether it runs"


@pytest.mark.damaged
def test_a_corrupt_meta_raises_and_is_passed_over_by_lists(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one")
    say(sessions, "b", "one")
    onroot.meta(root, "a").write_bytes(b"{")
    for call in (
        lambda: sessions.get_session_metadata("a"),
        lambda: sessions.get_session_name("a"),
        lambda: sessions.set_session_name("a", "x"),
        lambda: sessions.rename_session("a", "c"),
    ):
        with pytest.raises(CorruptError, match=r"meta\.json"):
            call()
    assert sessions.list_sessions() == found(sessions, "one") == ["b"]
    assert said(sessions, "a") == ["one"]
    assert Store.open(root).threads.unreadable() == ["a"]


def test_what_the_system_refuses_is_its_own_error(sessions: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    say(sessions, "a", "one")
    real = fs.open_fd

    def refuse(path: str, *rest: int, **more: int) -> int:
        if path.endswith((".jsonl", "state.json")):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **more)

    monkeypatch.setattr(fs, "open_fd", refuse)
    for call in (
        lambda: sessions.load("a"),
        sessions.list_sessions,
        sessions.list_running_sessions,
        lambda: found(sessions, "one"),
        lambda: sessions.get_session_state("a"),
    ):
        with pytest.raises(PermissionError):
            call()


def test_an_unknown_key_of_a_state_is_kept(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one")
    sessions.set_session_state("a", "running", "t")
    path = onroot.meta(root, "a").with_name("state.json")
    onroot.edit(path, lambda fields: fields.update(mood="glad"))
    assert sessions.get_session_state("a").extra == {"mood": "glad"}
    sessions.set_session_state("a", "idle")
    assert json.loads(path.read_text())["mood"] == "glad"


# cleanup_stale (28)


def test_only_what_the_sessions_vocabularies_began_is_cleaned_up(
    sessions: SessionStore, state: StateStore, threads: ThreadStore, root: Path, later
) -> None:
    state.upsert_thread(ThreadMetadata(id="agent", created_at=1, updated_at=1))
    threads.create_thread(Thread(id="server", created_at=1))
    say(sessions, "agent", "hi")
    say(sessions, "mine", "hi")
    later(10 * HOUR + 1)
    assert sessions.cleanup_stale(11) == 0
    assert [session.key for session in Store.open(root).sessions.stale(10)] == ["mine"]
    assert sessions.cleanup_stale(10) == 1
    assert set(sessions.list_sessions()) == {"agent", "server"}
    assert [path.parent.name for path in (root / ".fsstore" / "trash").rglob("messages.jsonl")] == ["mine"]


def test_stale_is_what_is_strictly_older(sessions: SessionStore, later) -> None:
    say(sessions, "a", "hi")
    used = sessions.get_session_metadata("a").last_activity
    later(HOUR + used - clock.now())
    assert sessions.cleanup_stale(1) == 0
    later(HOUR + 3)
    assert sessions.cleanup_stale(1) == 1


@pytest.mark.parametrize("ttl", [-1, float("nan"), "5", None, True], ids=repr)
def test_a_ttl_is_a_number_that_is_not_negative(sessions: SessionStore, ttl: object, later) -> None:
    say(sessions, "a", "hi")
    later(100 * HOUR)
    with pytest.raises(ValueError, match="ttl_hours"):
        sessions.cleanup_stale(ttl)
    assert sessions.list_sessions() == ["a"]


def test_a_session_that_is_used_while_others_are_cleaned_up_stays(
    sessions: SessionStore, root: Path, later, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c"):
        say(sessions, key, "hi")
    later(10 * HOUR)
    threads, other = sessions._store.threads, SessionStore(root)
    real = threads.delete

    def in_between(id: str, **condition: object) -> bool:
        if id == "b":
            say(other, "b", "back again")
        if id == "c":
            other.set_session_state("c", "running", "t")
        return real(id, **condition)

    monkeypatch.setattr(threads, "delete", in_between)
    assert sessions.cleanup_stale(1) == 1
    assert sorted(sessions.list_sessions()) == ["b", "c"]


# search (10, 44)


def test_search_gives_the_last_used_first_and_fifty_by_default(sessions: SessionStore, later) -> None:
    for number in range(60):
        later(number)
        say(sessions, f"k{number}", "same")
    assert found(sessions, "same") == found(sessions, None) == [f"k{number}" for number in range(59, 9, -1)]
    assert found(sessions, "same", limit=2) == found(sessions, None, limit=2) == ["k59", "k58"]
    assert len(found(sessions, "same", limit=None)) == len(found(sessions, None, limit=None)) == 60
    assert found(sessions, "same k3", limit=None)[-1] == "k0"
    for keyword in ("same", None):
        with pytest.raises(ValueError, match="limit"):
            found(sessions, keyword, limit=-1)


def test_search_looks_at_the_current_branch_only(sessions: SessionStore, state: StateStore) -> None:
    say(sessions, "a", "one", "two")
    state.fork_at_message(
        state.list_messages("a")[0].id, "user", [{"type": "text", "text": "three"}, {"type": "image", "url": "four"}]
    )
    assert found(sessions, "two") == found(sessions, "four") == []
    assert found(sessions, "one") == found(sessions, "three") == ["a"]


#: A text, words that find it, and words that do not.
WORDS = {
    "escaped": ('tab\tnew\nline "quoted" back\\slash \\u00e9', "new line slash quoted u00e9", "nline nnew e9"),
    "composed and not": ("r\u00e9sum\u00e9 re\u0301sume\u0301s", "resume RESUMES r\u00e9sum\u00e9", "resum"),
    "sharp s": ("Stra\u00dfe GRO\u1e9eE", "strasse STRA\u00dfE grosse", "strase stra"),
    "ligature": ("\ufb01nd the o\ufb03ce", "find office", "fi"),
    "full width": ("\uff21\uff22\uff23\uff11", "abc1", "abc"),
    "turkish": ("\u0130stanbul", "istanbul", "stanbul"),
    "kelvin": ("300 \u212aelvin", "kelvin", "elvin"),
    "cyrillic": (
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u041c\u0418\u0420",
        "\u043f\u0440\u0438",
    ),
    "greek": (
        "\u039f\u03b4\u03c5\u03c3\u03c3\u03ad\u03b1\u03c2",
        "\u03bf\u03b4\u03c5\u03c3\u03c3\u03b5\u03b1\u03c3",
        "\u03bf\u03b4\u03c5\u03c3",
    ),
    "japanese": ("\u30ac\u30e9\u30b9 \u65e5\u672c", "\u30ab\u30e9\u30b9 \u65e5\u672c", "\u65e5"),
    "hindi": ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939"),
    "korean": ("\ud55c\uad6d\uc5b4", "\ud55c\uad6d\uc5b4", "\ud55c"),
    "marks between": ("z\u0310a\u0489l\u034fgo", "zalgo", "zal"),
    "emoji": ("love\u2764\ufe0fyou 1\ufe0f\u20e3", "love you 1", "loveyou"),
    "digits": ("version 3.11 x\u00b2", "3 11 x2", "311"),
    "underscore": ("snake_case __init__", "snake case init", "snakecase"),
    "fraction": ("\u00bd cup", "1 2 cup", "12"),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_are_runs_of_letters_and_digits_without_case_and_accents(sessions: SessionStore, root: Path, name: str) -> None:
    text, whole, parts = WORDS[name]
    say(sessions, "k", "padding " * 2000, text, "padding")
    for word in whole.split():
        assert found(sessions, word) == ["k"], word
    for part in parts.split():
        assert found(sessions, part) == [], part


def test_what_another_program_spelled_with_escapes_is_found_too(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "Caf\u00e9 \u041f\u0440\u0438\u0432\u0435\u0442")
    say(sessions, "b", "C:\\users \\u00e9t\u00e9")
    log = onroot.log(root, "a")
    record = json.loads(log.read_text())
    for spelled in (json.dumps(record), json.dumps(record).replace("C", "\\u0043"), json.dumps(record, separators=(",", ":"))):
        log.write_text(f"{spelled}\n")
        fresh = SessionStore(root)
        assert found(fresh, "cafe") == found(fresh, "\u043f\u0440\u0438\u0432\u0435\u0442") == ["a"]
    assert found(fresh, "users") == ["b"]


def test_search_reads_through_damage_and_long_lines(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "x" * 3_000_000 + " needle\u00e9")
    say(sessions, "b", "y " * 700_000, "needle\u00e9", "z " * 700_000)
    assert sorted(found(sessions, "needlee")) == ["a", "b"]
    assert found(sessions, "needle") == []


def test_search_writes_nothing_and_keeps_no_index(sessions: SessionStore, root: Path) -> None:
    say(sessions, "a", "one", "two")
    fresh = SessionStore(root)
    before = onroot.snapshot(root)
    assert found(fresh, "two") == ["a"]
    assert fresh._store.threads._indexes._indexes == {}
    assert onroot.snapshot(root) == before


# Running, stuck, interrupted


def test_close_interrupted_finishes_what_it_began_when_it_died(sessions: SessionStore, root: Path) -> None:
    dying("ask_and_die", root, "a")
    assert [session.key for session in sessions.list_running_sessions()] == ["a"]
    dying("close_and_die", root)
    assert [message.role for message in sessions.load("a")] == ["user", "assistant"]
    assert sessions.get_session_state("a").state == "running"
    assert sessions.close_interrupted() == ["a"]
    assert [message.role for message in sessions.load("a")] == ["user", "assistant"]
    assert SessionStore(root).get_session_state("a") == SessionState()
    assert sessions.close_interrupted() == []


def test_a_turn_that_begins_while_another_process_closes_is_left_alone(sessions: SessionStore, root: Path) -> None:
    dying("ask_and_die", root, "a")
    thread, other = sessions._store.thread("a"), SessionStore(root)
    seen = thread.state.get()
    assert other.close_interrupted() == ["a"]
    say(other, "a", "next question")
    other.set_session_state("a", "running", "turn-2")
    before = onroot.snapshot(root)
    assert thread.messages.answer("user", "assistant", "closed", only_if=lambda: thread.state.get() == seen) is False
    assert thread.state.set("idle", instead_of=seen) is False
    assert onroot.snapshot(root) == before


def test_the_threshold_of_stuck_sessions_is_not_negative(sessions: SessionStore) -> None:
    with pytest.raises(ValueError, match="threshold"):
        sessions.list_stuck_sessions(-1)


# rename_session


@pytest.fixture
def furnished(sessions: SessionStore, root: Path) -> str:
    """A session with everything that a thread can have."""
    say(sessions, "old/key", "one", "two")
    sessions.remove_last("old/key")
    sessions.set_session_name("old/key", "Name")
    sessions.set_session_state("old/key", "error", "t")
    thread = Store.open(root).thread("old/key")
    thread.goal.set("Ship", token_budget=5)
    thread.goal.accrue(tokens=3)
    thread.tools.replace([fsstore.DynamicToolRecord(position=0, name="grep")])
    thread.checkpoints.save("c", {"a": 1})
    thread.runs.create("r").steps.create("s")
    return "old/key"


def everything(root: Path, key: str) -> dict[str, object]:
    thread = Store.open(root).thread(key)
    goal = thread.goal.get()
    return {
        "messages": list(thread.messages),
        "log": Path(thread.messages.path).read_bytes(),
        "state": thread.state.get(),
        "goal": (goal.objective, goal.tokens_used, goal.created_at),
        "tools": [tool.name for tool in thread.tools.all()],
        "checkpoints": [(one.checkpoint_id, one.state, one.created_at) for one in thread.checkpoints.recent()],
        "runs": [(run.id, run.status, [step.id for step in thread.runs.handle(run.id).steps]) for run in thread.runs],
        "info": {name: value for name, value in thread.info().to_json().items() if name not in ("id", "moved_from")},
    }


def test_a_renamed_session_takes_all_that_is_its_own_along(sessions: SessionStore, root: Path, furnished: str) -> None:
    before = everything(root, furnished)
    sessions.rename_session(furnished, "New Key")
    assert everything(root, "New Key") == before
    assert sessions.list_sessions() == ["New Key"]
    assert not sessions.session_exists(furnished)
    thread = Store.open(root).thread("New Key")
    assert {run.thread_id for run in thread.runs} == {thread.goal.get().thread_id} == {"New Key"}
    assert StateStore.open(root).find_thread_name_by_id("New Key") == "Name"
    assert StateStore.open(root).find_thread_name_by_id(furnished) is None
    assert len([*(root / ".fsstore" / "trash").rglob("messages.jsonl")]) == 1
    assert [*(root / ".fsstore" / "tmp").iterdir()] == []


def test_a_renamed_session_goes_on_and_its_old_key_begins_anew(sessions: SessionStore, root: Path, furnished: str) -> None:
    late = SessionStore(root)
    say(late, furnished, "more")
    sessions.rename_session(furnished, "new")
    assert late.remove_last(furnished) is False
    say(late, "new", "goes on")
    say(late, furnished, "late")
    assert said(sessions, "new") == ["one", "more", "goes on"]
    assert said(sessions, furnished) == ["late"]
    with pytest.raises(AlreadyExistsError, match="new"):
        sessions.rename_session(furnished, "new")


def test_a_rename_there_and_back_keeps_everything(sessions: SessionStore, root: Path, furnished: str) -> None:
    before = everything(root, furnished)
    sessions.rename_session(furnished, "new")
    sessions.rename_session("new", furnished)
    sessions.rename_session(furnished, "new")
    assert everything(root, "new") == before
    say(sessions, "new", "goes on")
    assert said(SessionStore(root), "new") == ["one", "goes on"]


def test_a_rename_onto_a_deleted_key_brings_nothing_back(sessions: SessionStore, root: Path, furnished: str) -> None:
    say(sessions, "gone", "deleted")
    deleted = json.loads(onroot.meta(root, "gone").read_text())["versions"][""]
    sessions.delete_session("gone")
    before = [message.content for message in Store.open(root).thread(furnished).messages]
    sessions.rename_session(furnished, "gone")
    assert said(sessions, "gone") == before == ["one"]
    documents = [json.loads(path.read_text()) for path in onroot.meta(root, "gone").parent.rglob("*.json")]
    assert len(documents) == 7
    assert all(version > deleted for fields in documents for version in fields["versions"].values())
    last = onroot.rows(onroot.log(root, "gone"))[-1]
    assert last["type"] == "clear"


def test_a_rename_that_died_half_way_leaves_both_and_is_finished_when_called_again(
    sessions: SessionStore, root: Path, furnished: str
) -> None:
    before = everything(root, furnished)
    dying("rename_and_die", root, furnished, "new")
    assert set(sessions.list_sessions()) == {furnished, "new"}
    assert everything(root, furnished) == everything(root, "new") == before
    with pytest.raises(AlreadyExistsError):
        sessions.rename_session("new", furnished)
    sessions.rename_session(furnished, "new")
    assert sessions.list_sessions() == ["new"]
    assert everything(root, "new") == before


def test_a_rename_that_died_half_way_is_not_finished_over_what_was_written_since(
    sessions: SessionStore, root: Path, furnished: str
) -> None:
    dying("rename_and_die", root, furnished, "new")
    say(sessions, furnished, "written since")
    with pytest.raises(AlreadyExistsError):
        sessions.rename_session(furnished, "new")
    assert said(sessions, furnished) == ["one", "written since"]
    assert said(sessions, "new") == ["one"]


def test_a_rename_that_fails_leaves_nothing_of_it(
    sessions: SessionStore, root: Path, furnished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = onroot.snapshot(root)
    real = fs.create_temp

    def full(path: str, data: bytes, **_: object) -> None:
        if path.endswith("goal.json"):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        real(path, data)

    monkeypatch.setattr(fs, "create_temp", full)
    with pytest.raises(OSError, match="No space"):
        sessions.rename_session(furnished, "new")
    assert onroot.snapshot(root) == before
    assert sessions.list_sessions() == [furnished]


def test_a_session_cannot_be_renamed_to_itself(sessions: SessionStore) -> None:
    say(sessions, "a", "one")
    with pytest.raises(AlreadyExistsError):
        sessions.rename_session("a", "a")
    assert said(sessions, "a") == ["one"]


def test_the_error_of_a_missing_session_names_it() -> None:
    error = SessionNotFoundError("k")
    assert str(error) == "session k not found"
    assert isinstance(error, LookupError)


# Contract 3C, JSONL


def test_3c_01_two_messages_come_back_with_their_roles(sessions: SessionStore) -> None:
    talk = [ChatMessage.user("hello"), ChatMessage.assistant("hi there")]
    for message in talk:
        sessions.append("k", message)
    assert sessions.load("k") == talk


def test_3c_02_a_missing_session_is_empty(sessions: SessionStore) -> None:
    assert sessions.load("nobody") == []


def test_3c_03_a_key_with_separators_round_trips(sessions: SessionStore) -> None:
    say(sessions, "slack/thread:123/user", "hi")
    assert said(sessions, "slack/thread:123/user") == ["hi"]


def test_3c_04_both_keys_are_listed(sessions: SessionStore) -> None:
    for key in ("telegram_alice", "discord_bob"):
        say(sessions, key, "hi")
    assert sorted(sessions.list_sessions()) == ["discord_bob", "telegram_alice"]


def test_3c_05_two_appends_are_two_lines(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "one", "two")
    assert [row["content"] for row in onroot.rows(onroot.log(root, "k"))] == ["one", "two"]


def test_3c_06_remove_last_keeps_the_first(sessions: SessionStore) -> None:
    say(sessions, "k", "first", "second")
    assert sessions.remove_last("k") is True
    assert said(sessions, "k") == ["first"]


def test_3c_07_remove_last_of_a_missing_session_is_false(sessions: SessionStore) -> None:
    assert sessions.remove_last("nobody") is False


@pytest.mark.damaged
def test_3c_08_compact_drops_a_corrupt_line_and_two_messages_remain(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "one", "two")
    log = onroot.log(root, "k")
    first, second = log.read_text().splitlines(keepends=True)
    log.write_text(f"{first}this is not JSON\n{second}")
    sessions.compact("k")
    assert len(log.read_text().splitlines()) == 2
    assert said(sessions, "k") == ["one", "two"]


def test_3c_09_it_works_through_the_abstract_class(sessions: SessionStore) -> None:
    backend: SessionBackend = sessions
    say(backend, "k", "one")
    assert said(backend, "k") == ["one"]
    assert backend.list_sessions() == ["k"]


@pytest.mark.damaged
def test_3c_10_a_corrupt_line_in_the_middle_is_passed_over(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "one", "two")
    log = onroot.log(root, "k")
    first, second = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + b"{torn \xff\n" + second)
    assert said(sessions, "k") == said(SessionStore(root), "k") == ["one", "two"]
    assert [damage.kind for damage in Store.open(root).thread("k").messages.damage()] == ["utf8"]


def test_3c_11_delete_takes_the_files_away_and_nothing_is_loaded(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "one")
    directory = onroot.meta(root, "k").parent
    assert sessions.delete_session("k") is True
    assert not directory.exists()
    assert sessions.load("k") == []


def test_3c_12_deleting_a_missing_session_is_false(sessions: SessionStore) -> None:
    assert sessions.delete_session("nobody") is False


def test_3c_13_delete_works_through_the_abstract_class(sessions: SessionStore) -> None:
    backend: SessionBackend = sessions
    say(backend, "k", "one")
    assert backend.delete_session("k") is True
    assert backend.list_sessions() == []


# Contract 3C, SQLite


def test_3c_14_messages_round_trip(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "one", "two")
    assert said(SessionStore(root), "k") == ["one", "two"]


def test_3c_15_remove_last_removes_one(sessions: SessionStore) -> None:
    say(sessions, "k", "one", "two")
    assert sessions.remove_last("k") is True
    assert said(sessions, "k") == ["one"]


def test_3c_16_remove_last_of_nothing_is_false(sessions: SessionStore) -> None:
    assert sessions.remove_last("k") is False


def test_3c_17_two_sessions_are_listed(sessions: SessionStore) -> None:
    for key in ("s1", "s2"):
        say(sessions, key, "hi")
    assert len(sessions.list_sessions()) == 2


def test_3c_18_the_metadata_counts_three_messages(sessions: SessionStore) -> None:
    say(sessions, "k", "one", "two", "three")
    assert [session.message_count for session in sessions.list_sessions_with_metadata()] == [3]


def test_3c_19_search_finds_only_the_session_that_says_it(sessions: SessionStore) -> None:
    say(sessions, "code", "How do I parse in Rust?")
    say(sessions, "weather", "Will it rain?")
    assert found(sessions, "Rust") == ["code"]


def test_3c_20_clean_up_takes_a_session_of_100_hours_and_keeps_the_fresh_one(sessions: SessionStore, later) -> None:
    say(sessions, "old", "hi")
    later(100 * HOUR)
    say(sessions, "new", "hi")
    assert sessions.cleanup_stale(48) == 1
    assert sessions.list_sessions() == ["new"]


def test_3c_21_delete_removes_only_that_session(sessions: SessionStore) -> None:
    for key in ("s1", "s2"):
        say(sessions, key, "hi")
    assert sessions.delete_session("s1") is True
    assert (said(sessions, "s1"), said(sessions, "s2")) == ([], ["hi"])


def test_3c_22_deleting_what_is_not_there_is_false(sessions: SessionStore) -> None:
    assert sessions.delete_session("k") is False


def test_3c_24_a_name_persists(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "hi")
    assert sessions.set_session_name("k", "My chat") is True
    assert SessionStore(root).get_session_name("k") == "My chat"


def test_3c_25_a_name_can_be_changed(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    sessions.set_session_name("k", "Before")
    sessions.set_session_name("k", "After")
    assert sessions.get_session_name("k") == sessions.get_session_metadata("k").name == "After"


def test_3c_26_a_session_begins_without_a_name(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    assert sessions.get_session_name("k") is None


def test_3c_27_an_empty_name_takes_it_away(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    sessions.set_session_name("k", "Name")
    assert sessions.set_session_name("k", "") is True
    assert sessions.get_session_name("k") is None


def test_3c_28_running_sets_the_turn_and_its_start(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    before = int(time.time())
    assert sessions.set_session_state("k", "running", "turn-1") is True
    state = sessions.get_session_state("k")
    assert (state.state, state.turn_id) == ("running", "turn-1")
    assert before <= state.turn_started_at <= time.time()


def test_3c_29_idle_takes_both_away(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    sessions.set_session_state("k", "running", "turn-1")
    sessions.set_session_state("k", "idle")
    assert sessions.get_session_state("k") == SessionState(state="idle")


def test_3c_30_an_error_keeps_the_turn(sessions: SessionStore) -> None:
    say(sessions, "k", "hi")
    sessions.set_session_state("k", "running", "turn-1")
    sessions.set_session_state("k", "error", "turn-1")
    assert sessions.get_session_state("k") == SessionState(state="error", turn_id="turn-1")


def test_3c_31_only_running_sessions_are_listed_the_last_begun_first(sessions: SessionStore, later) -> None:
    for seconds, key, state in ((0, "s1", "running"), (5, "s2", "running"), (9, "s3", "idle")):
        later(seconds)
        say(sessions, key, "hi")
        sessions.set_session_state(key, state, "t")
    assert [session.key for session in sessions.list_running_sessions()] == ["s2", "s1"]
    assert sessions.list_running_sessions()[0] == sessions.get_session_metadata("s2")


def test_3c_32_a_turn_of_600_seconds_is_stuck_at_300_and_not_at_900(sessions: SessionStore, later) -> None:
    for seconds, key in ((0, "s1"), (5, "s2")):
        later(seconds)
        say(sessions, key, "hi")
        sessions.set_session_state(key, "running", "t")
    later(606)
    assert [session.key for session in sessions.list_stuck_sessions(300)] == ["s1", "s2"]
    assert sessions.list_stuck_sessions(900) == []
    assert [session.key for session in sessions.list_stuck_sessions(603)] == ["s1"]


def test_3c_33_a_missing_session_has_no_state(sessions: SessionStore) -> None:
    assert sessions.get_session_state("nobody") is None


def test_3c_34_data_and_the_state_of_a_new_session_are_there_after_opening_again(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "hi")
    again = SessionStore(root)
    assert said(again, "k") == ["hi"]
    assert again.get_session_state("k") == SessionState(state="idle", turn_id=None, turn_started_at=None)


# Contract 3C, trait and integration


def test_3c_35_metadata_can_be_constructed() -> None:
    session = SessionMetadata(key="k", name="n", created_at=1, last_activity=2, message_count=3)
    assert (session.key, session.name, session.created_at, session.last_activity, session.message_count) == ("k", "n", 1, 2, 3)


def test_3c_36_a_query_begins_without_a_keyword_and_with_the_limit_of_part_0() -> None:
    assert SessionQuery() == SessionQuery(keyword=None, limit=50)


def test_3c_37_messages_persist_over_instances(root: Path) -> None:
    for number in range(3):
        with SessionStore(root) as sessions:
            say(sessions, "k", f"{number}")
    assert said(SessionStore(root), "k") == ["0", "1", "2"]


def test_3c_38_before_the_first_append_there_is_no_state(sessions: SessionStore) -> None:
    assert sessions.get_session_state("k") is None
    say(sessions, "k", "hi")
    assert sessions.get_session_state("k") is not None


# Contract 3C, what the tools for sessions ask of the store


def test_3c_39_no_session_is_no_list(sessions: SessionStore) -> None:
    assert sessions.list_sessions_with_metadata() == []


def test_3c_40_a_limit_of_a_list_is_that_of_a_search_without_a_keyword(sessions: SessionStore) -> None:
    for number in range(5):
        say(sessions, f"k{number}", "hi")
    assert len(found(sessions, None, limit=2)) == 2


def test_3c_42_the_newest_messages_of_a_history_are_its_end(sessions: SessionStore) -> None:
    say(sessions, "k", *map(str, range(10)))
    assert (
        said(sessions, "k")[-3:] == [one.content for one in sessions._store.thread("k").messages.branch(3)] == ["7", "8", "9"]
    )


def test_3c_43_44_an_empty_key_is_refused_and_any_other_is_kept(sessions: SessionStore) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        say(sessions, "", "hi")
    say(sessions, "!!!", "hi")
    assert sessions.list_sessions() == ["!!!"]


# Contract 3C, later


def test_3c_45_update_last_replaces_only_the_last(sessions: SessionStore) -> None:
    say(sessions, "k", "one", "two")
    assert sessions.update_last("k", ChatMessage.assistant("new")) is True
    assert sessions.load("k") == [ChatMessage.user("one"), ChatMessage.assistant("new")]


@pytest.mark.parametrize("failing", ["create_temp", "rename"])
def test_3c_46_a_rewrite_that_fails_leaves_the_bytes_and_no_temporary_file(
    sessions: SessionStore, root: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(sessions, "k", "one", "two")
    sessions.remove_last("k")
    before = onroot.snapshot(root)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fs, failing, full)
    with pytest.raises(OSError, match="No space"):
        sessions.compact("k")
    monkeypatch.undo()
    assert onroot.snapshot(root) == before
    assert said(sessions, "k") == ["one"]


def test_3c_47_an_append_waits_while_the_last_message_is_replaced(sessions: SessionStore, root: Path) -> None:
    say(sessions, "k", "first", "old")
    with updating_last_slowly(root, "k", "new") as let_go:
        append = threading.Thread(target=say, args=(sessions, "k", "concurrent"))
        append.start()
        append.join(0.2)
        assert append.is_alive(), "it waits"
        assert said(SessionStore(root), "k") == ["first", "old"]
        let_go()
    append.join()
    assert said(sessions, "k") == ["first", "new", "concurrent"]


def test_3c_48_to_52_clear_messages(sessions: SessionStore) -> None:
    for key in ("k", "other"):
        say(sessions, key, "one", "two")
    sessions.set_session_name("k", "Name")
    assert sessions.clear_messages("k") == 2
    assert sessions.clear_messages("nobody") == 0
    assert said(sessions, "other") == ["one", "two"]
    assert sessions.get_session_name("k") == "Name"
    assert "k" in sessions.list_sessions()
    say(sessions, "k", "again")
    assert said(sessions, "k") == ["again"]


def test_3c_53_a_session_exists_from_its_first_message_to_its_end(sessions: SessionStore) -> None:
    assert sessions.session_exists("k") is False
    say(sessions, "k", "hi")
    assert sessions.session_exists("k") is True
    sessions.clear_messages("k")
    assert sessions.session_exists("k") is True
    sessions.delete_session("k")
    assert sessions.session_exists("k") is False


def test_3c_54_metadata_is_none_or_the_row_of_the_list(sessions: SessionStore) -> None:
    assert sessions.get_session_metadata("k") is None
    say(sessions, "k", "hi")
    sessions.set_session_name("k", "Name")
    assert [sessions.get_session_metadata("k")] == sessions.list_sessions_with_metadata()


def test_3c_58_search_follows_an_update(sessions: SessionStore) -> None:
    say(sessions, "k", "before")
    sessions.update_last("k", ChatMessage.user("after"))
    assert (found(sessions, "before"), found(sessions, "after")) == ([], ["k"])


def test_3c_60_to_63_no_key_is_changed(sessions: SessionStore) -> None:
    for key in ("a_b", "a/b", "a\\b", "../a", "\u00fcber"):
        say(sessions, key, key)
    assert sorted(sessions.list_sessions()) == sorted(["a_b", "a/b", "a\\b", "../a", "\u00fcber"])
    assert all(said(sessions, key) == [key] for key in sessions.list_sessions())
