"""Real conversations as sessions: what `SessionStore` is told it tells, and what it finds is what a plain search finds."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fsstore import ChatMessage, SessionQuery, SessionStore, StateStore, Store
from fsstore.upkeep.imports import import_stream

TALKS = "fastchat/dummy_conversation.json"
TREES = "oasst/trees_60.jsonl"


@pytest.fixture
def talks(data: Path) -> dict[str, list[ChatMessage]]:
    roles = {"human": "user", "gpt": "assistant"}
    return {
        talk["id"]: [ChatMessage(roles[said["from"]], said["value"]) for said in talk["conversations"]]
        for talk in json.loads((data / TALKS).read_bytes())
    }


@pytest.fixture
def sessions(root: Path, talks: dict[str, list[ChatMessage]]) -> SessionStore:
    sessions = SessionStore(root, durability="process")
    for key, messages in talks.items():
        for message in messages:
            sessions.append(key, message)
    return sessions


def words(text: str) -> set[str]:
    bare = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.category(one).startswith("M"))
    return set(re.findall(r"[^\W_]+", bare.casefold()))


def found(sessions: SessionStore, keyword: str) -> set[str]:
    return {session.key for session in sessions.search(SessionQuery(keyword=keyword, limit=None))}


def test_every_talk_comes_back_as_it_was_said(sessions: SessionStore, root: Path, talks: Any) -> None:
    again = SessionStore(root)
    assert {key: again.load(key) for key in again.list_sessions()} == talks
    counts = {session.key: session.message_count for session in again.list_sessions_with_metadata()}
    assert counts == {key: len(messages) for key, messages in talks.items()}


def test_a_turn_taken_back_or_told_anew_is_so_in_every_talk(sessions: SessionStore, root: Path, talks: Any) -> None:
    for key, messages in talks.items():
        assert sessions.rollback_turn(key) is (messages[-1].role == "user")
        assert sessions.update_last(key, ChatMessage.assistant("in its place"))
        sessions.compact(key)
    again = SessionStore(root)
    for key, messages in talks.items():
        kept = messages[:-1] if messages[-1].role == "user" else messages
        assert again.load(key) == [*kept[:-1], ChatMessage.assistant("in its place")]
        assert again.get_session_metadata(key).message_count == len(kept)


def test_search_finds_what_a_plain_search_finds(sessions: SessionStore, talks: Any) -> None:
    spoken = {key: set().union(words(key), *(words(message.content) for message in said)) for key, said in talks.items()}
    common = Counter(word for one in spoken.values() for word in one)
    ranked = [word for word, _ in common.most_common()]
    accented = [word for word in ranked if not word.isascii()]
    for word in [*ranked[:3], *ranked[len(ranked) // 2 :: len(ranked) // 20], *accented[:5], "nowhere_at_all"]:
        wanted = words(word)
        assert found(sessions, word.upper()) == {key for key, one in spoken.items() if one & wanted}, word


def test_an_imported_tree_is_a_session_of_its_current_branch(root: Path, data: Path) -> None:
    with Store.open(root, durability="process") as store, (data / TREES).open("rb") as stream:
        list(import_stream(store, "oasst", stream, TREES))
    sessions, state = SessionStore(root), StateStore.open(root)
    for key in sessions.list_sessions():
        branch = state.list_messages(key, None)
        assert [(one.role, one.content) for one in sessions.load(key)] == [(one.role, one.content) for one in branch]
        assert [one.extra for one in sessions.load(key)] == [one.extra for one in branch]
        assert sessions.get_session_metadata(key).message_count == len(branch)
    assert len(sessions.list_sessions()) == 60
    assert sessions.cleanup_stale(1) == 0, "nobody cleans up what was imported"
