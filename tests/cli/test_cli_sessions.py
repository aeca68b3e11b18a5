"""sessions and search."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import everything, fsstore

from fsstore import ChatMessage, SessionStore, Store, ThreadInfo


@pytest.fixture
def talks(root: Path) -> Store:
    """A session that is named and idle, one that runs, and one that nobody used for long."""
    sessions = SessionStore(root)
    for key, text in (("slack/anna", "I love Caf\u00e9s"), ("slack/bert", "Rust, please"), ("telegram/anna", "bye")):
        sessions.append(key, ChatMessage.user(text))
    sessions.set_session_name("slack/anna", "Anna \x1b[31m")
    sessions.set_session_state("slack/bert", "running", "turn-1")
    store = Store.open(root)
    store.threads.add(ThreadInfo(id="old", kind="session", created_at=1, updated_at=1))
    store.threads.add(ThreadInfo(id="agent", created_at=1, updated_at=1))
    return store


def keys(*arguments: str) -> list[str]:
    return [row["key"] for row in fsstore(*arguments).lines()]


def test_sessions_are_listed_with_what_they_are_doing(talks: Store) -> None:
    result = fsstore("sessions", "--root", talks.root)
    assert (result.code, result.err) == (0, "")
    heading, *rows = result.out.splitlines()
    assert heading.split() == ["SESSION", "LAST", "USED", "MESSAGES", "STATE", "NAME"]
    assert len(rows) == 5
    cells = {row.split()[0]: row for row in rows}
    assert "running" in cells["slack/bert"]
    assert cells["slack/anna"].endswith("idle      Anna \\x1b[31m")
    assert {row.split()[0] for row in rows[3:]} == {"old", "agent"}


def test_sessions_for_programs_have_every_field(talks: Store) -> None:
    rows = {row["key"]: row for row in fsstore("sessions", "--json", "--root", talks.root).lines()}
    bert = rows["slack/bert"]
    assert (bert["name"], bert["message_count"], bert["state"], bert["turn_id"]) == (None, 1, "running", "turn-1")
    assert bert["created_at"] <= bert["last_activity"] <= bert["turn_started_at"]
    anna = rows["slack/anna"]
    assert (anna["name"], anna["state"], anna["turn_id"], anna["turn_started_at"]) == ("Anna \x1b[31m", "idle", None, None)
    assert len(keys("sessions", "--json", "-n", "2", "--root", talks.root)) == 2
    assert keys("sessions", "--json", "-n", "0", "--root", talks.root) == []


def test_an_unknown_key_of_a_state_is_none_of_the_sessions(talks: Store) -> None:
    path = Path(talks.thread("slack/bert").directory) / "state.json"
    path.write_text(path.read_text().replace("{", '{"key": "evil", ', 1))
    assert keys("sessions", "--running", "--json", "--root", talks.root) == ["slack/bert"]


def test_without_sessions_that_is_said(store: Store) -> None:
    assert fsstore("sessions", "--root", store.root).out == f"No sessions in {store.root}.\n"
    assert fsstore("sessions", "--json", "--root", store.root).out == ""


def test_running_stuck_and_stale_sessions_can_be_asked_for(talks: Store) -> None:
    root = ("--root", talks.root)
    path = Path(talks.thread("slack/bert").directory) / "state.json"
    state = path.read_text()
    assert keys("sessions", "--running", "--json", *root) == ["slack/bert"]
    assert keys("sessions", "--stuck", "3600", "--json", *root) == []
    started = talks.thread("slack/bert").state.get().turn_started_at
    path.write_text(state.replace(str(started), str(started - 7200)))
    assert keys("sessions", "--stuck", "3600", "--json", *root) == ["slack/bert"]
    assert keys("sessions", "--stale", "1", "--json", *root) == ["old"]
    assert keys("sessions", "--stale", "0", "--json", *root) == []
    assert fsstore("sessions", "--stuck", "9999", *root).out == f"No such sessions in {talks.root}.\n"


@pytest.mark.parametrize(
    "options", [("--running", "--stuck", "1"), ("--running", "--stale", "1"), ("--stuck", "1", "--stale", "1")]
)
def test_only_one_kind_can_be_asked_for(talks: Store, options: tuple[str, ...]) -> None:
    result = fsstore("sessions", *options, "--root", talks.root)
    assert result.code == 2
    assert "exclude each other" in result.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cafes"], ["slack/anna"]),
        (["ANNA", "rust"], ["slack/anna", "slack/bert", "telegram/anna"]),
        (["caf"], []),
        (["love, rust!"], ["slack/anna", "slack/bert"]),
    ],
)
def test_search_finds_sessions_by_whole_words(talks: Store, words: list[str], found: list[str]) -> None:
    assert sorted(keys("search", *words, "--json", "--root", talks.root)) == found


def test_search_says_what_it_found_and_when_that_is_nothing(talks: Store) -> None:
    lines = fsstore("search", "rust", "--root", talks.root).out.splitlines()
    assert [line.split()[0] for line in lines] == ["SESSION", "slack/bert"]
    assert fsstore("search", "nothing", "--root", talks.root).out == f"No session in {talks.root} holds any of these words.\n"
    assert len(keys("search", "anna", "--json", "-n", "1", "--root", talks.root)) == 1
    assert fsstore("search", "--root", talks.root).code == 2


def test_neither_command_changes_anything(talks: Store) -> None:
    before = everything(Path(talks.root))
    for command in (("sessions",), ("sessions", "--stale", "1"), ("search", "anna")):
        assert fsstore(*command, "--root", talks.root).code == 0
    assert everything(Path(talks.root)) == before


@pytest.mark.damaged
def test_what_cannot_be_read_is_said_and_passed_over(talks: Store) -> None:
    (Path(talks.thread("slack/bert").directory) / "state.json").write_text("{")
    (Path(talks.thread("slack/anna").directory) / "meta.json").write_text("{")
    result = fsstore("sessions", "--root", talks.root)
    assert result.code == 0
    assert "?" in next(line for line in result.out.splitlines() if line.startswith("slack/bert"))
    assert "slack/anna" not in result.out
    assert "threads that cannot be read: slack/anna" in result.err
    assert "passed over 1 state that cannot be read" in result.err
