"""Real processes at sessions: nothing acknowledged is lost, and what only one can have only one gets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import processes
import pytest
import race_workers
import session_workers as work
from race_workers import PROCESSES, Barrier

from fsstore import ChatMessage, SessionStore, Store, ThreadInfo


@pytest.fixture
def sessions(root: Path) -> SessionStore:
    return SessionStore(root, durability="process")


@pytest.fixture
def barrier(tmp_path: Path) -> Path:
    return Barrier.make(tmp_path / "barrier")


@pytest.fixture
def count(campaign: bool) -> int:
    return 200 if campaign else 25  # each step reads the whole session


def contents(root: Path, key: str) -> list[str]:
    return [message.content for message in SessionStore(root).load(key)]


def everything_said(root: Path) -> Counter[str]:
    """What stands in any log, in its place or in the trash."""
    logs = [*root.glob("threads/*/messages.jsonl"), *root.glob(".fsstore/trash/**/messages.jsonl")]
    return Counter(row["content"] for log in logs for row in race_workers.raw_records(log) if "role" in row)


def test_a_new_session_is_begun_once_and_keeps_every_message(root: Path, barrier: Path, count: int):
    processes.run_all(work.begins, [(root, barrier, me, count) for me in range(PROCESSES)])
    for number in range(count):
        assert sorted(contents(root, f"new {number}")) == [f"{me}" for me in range(PROCESSES)]


def test_each_removal_and_each_replacement_takes_one_message(root: Path, sessions: SessionStore, count: int, seed: int):
    done = processes.run_all(work.works, [(root, "s", me, count, seed) for me in range(PROCESSES)])
    total = Counter[str]()
    for one in done:
        total.update(one)
    assert len(sessions.load("s")) == total["append"] - total["remove"]
    records = race_workers.raw_records(sessions._store.thread("s").messages.path)
    assert sum("role" in record for record in records) == total["append"] + total["update"]
    assert sum("replaces" in record for record in records) == total["update"]
    gone = [record["message_id"] for record in records if record.get("type") == "removed"]
    gone += [record["replaces"] for record in records if "replaces" in record]
    assert len(gone) == len(set(gone)) == total["remove"] + total["update"], "no message is taken twice"


def test_a_clear_counts_each_message_once(root: Path, sessions: SessionStore, count: int):
    done = processes.run_all(work.clears, [(root, "s", me, count) for me in range(PROCESSES)])
    assert sum(appended for appended, _ in done) == sum(cleared for _, cleared in done) + len(sessions.load("s"))


def test_appends_beside_deletions_begin_anew_and_nothing_is_lost(root: Path, sessions: SessionStore, count: int):
    stop = root.with_name("stop")
    writers = [processes.start(work.appends_until, root, "s", me, stop) for me in range(PROCESSES)]
    try:
        for writer in writers:
            writer.hear()
        deleted = 0
        while deleted < count:  # once each time that somebody wrote
            deleted += sessions.delete_session("s")
    finally:
        stop.touch()
    told = Counter(message for writer in writers for message in writer.result())
    assert everything_said(root) == told, "each message stands once, in its place or in the trash"
    assert contents(root, "s") == [row["content"] for row in _alive(root, "s")]


def _alive(root: Path, key: str) -> list[dict[str, str]]:
    thread = Store.open(root).thread(key)
    return [row for row in race_workers.raw_records(thread.messages.path) if "role" in row]


def test_appends_beside_renames_are_all_kept_in_one_place(root: Path, sessions: SessionStore):
    stop = root.with_name("stop")
    writers = [processes.start(work.appends_until, root, "s", me, stop) for me in range(4)]
    movers = [processes.start(work.renames_until, root, ["s"], stop) for _ in range(2)]
    try:
        for child in (*writers, *movers):
            child.hear()
        while sum("moved" in key for key in sessions.list_sessions()) < 5:
            pass
    finally:
        stop.touch()
    told = Counter(message for writer in writers for message in writer.result())
    moved = sum(mover.result() for mover in movers)
    keys = SessionStore(root).list_sessions()
    assert len([key for key in keys if key.startswith("moved")]) == moved
    assert Counter(said for key in keys for said in contents(root, key)) == told


def test_of_several_renames_of_one_session_one_is_done(root: Path, sessions: SessionStore, barrier: Path, campaign: bool):
    rounds = 200 if campaign else 10
    for number in range(rounds):
        sessions.append(f"s {number}", ChatMessage.user("hi"))
    won = processes.run_all(work.renames, [(root, barrier, me, rounds) for me in range(PROCESSES)])
    assert sorted(number for one in won for number in one) == list(range(rounds))
    expected = [f"s {number} by {me}" for me, one in enumerate(won) for number in one]
    assert sorted(sessions.list_sessions()) == sorted(expected)
    assert all(contents(root, key) == ["hi"] for key in expected)


def test_an_interrupted_turn_is_closed_once(root: Path, barrier: Path, campaign: bool):
    rounds = 100 if campaign else 10
    closed = processes.run_all(work.closes, [(root, barrier, me, rounds) for me in range(PROCESSES)])
    sessions = SessionStore(root)
    for number in range(rounds):
        assert [message.role for message in sessions.load(f"s {number}")] == ["user", "assistant"]
        assert sessions.get_session_state(f"s {number}").state == "idle"
    assert set().union(*closed) == {f"s {number}" for number in range(rounds)}
    assert max(Counter(key for one in closed for key in one).values()) == 1


def test_clean_up_beside_users_takes_only_what_nobody_uses(root: Path, sessions: SessionStore, count: int):
    stop = root.with_name("stop")
    used = {me: [f"{me} {number}" for number in range(5)] for me in range(4)}
    for me, keys in used.items():
        for key in (*keys, f"{me} unused"):
            sessions._store.threads.add(ThreadInfo(id=key, kind="session", created_at=1, updated_at=1))
    children = [processes.start(work.cleans_up, root, stop) for _ in range(2)]
    users = [processes.start(work.uses, root, keys, me, stop) for me, keys in used.items()]
    try:
        for child in (*children, *users):
            child.hear()
        while any(sessions.session_exists(f"{me} unused") for me in used):
            pass
        before = {key: len(sessions.load(key)) for keys in used.values() for key in keys}
        while any(len(sessions.load(key)) <= before[key] for key in before):
            pass
    finally:
        stop.touch()
    said = {key: number for user in users for key, number in user.result().items()}
    assert sum(child.result() for child in children) >= 4
    assert {key: len(contents(root, key)) for key in said} == said, "what was used once stays, with every message"


def test_compaction_beside_writers_loses_nothing(root: Path, sessions: SessionStore, count: int):
    sessions.append("s", ChatMessage.user("first"))
    stop = root.with_name("stop")
    compacters = [processes.start(work.compacts, root, "s", stop) for _ in range(2)]
    try:
        for child in compacters:
            child.hear()
        left = processes.run_all(work.removes_its_own, [(root, "s", me, count) for me in range(6)])
    finally:
        stop.touch()
    dropped = sum(child.result() for child in compacters) + sessions.compact("s").messages
    assert Counter(contents(root, "s")) == Counter(["first", *(said for one in left for said in one)])
    assert dropped == 6 * count, "each message that was removed became a stub once"
    log = sessions._store.thread("s").messages.path
    assert sum(record.get("type") == "gone" for record in race_workers.raw_records(log)) == 6 * count


def test_search_beside_writers_finds_what_is_there_all_the_time(root: Path, sessions: SessionStore, count: int):
    for key in ("a", "b"):
        sessions.append(key, ChatMessage.user("needle"))
    stop = root.with_name("stop")
    searchers = [processes.start(work.searches, root, "needle", ["a", "b"], stop) for _ in range(2)]
    try:
        for searcher in searchers:
            searcher.hear()
        processes.run_all(race_workers.appends, [(root, key, me, count * 4, "process") for me, key in enumerate("abab")])
    finally:
        stop.touch()
    assert all(searcher.result() for searcher in searchers)
