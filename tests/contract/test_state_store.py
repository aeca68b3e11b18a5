"""`StateStore` against its rows of the contract (2A, part 0 first), and the behaviours (8), (11) to (14) of 3A."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import threading
import time
from pathlib import Path

import contract_children as children
import onroot
import pytest

from fsstore import (
    CorruptError,
    FormatError,
    InvalidNameError,
    LockTimeoutError,
    MessageNotFoundError,
    Run,
    SessionSource,
    StateStore,
    Store,
    ThreadListFilters,
    ThreadMessage,
    ThreadMetadata,
    ThreadNotFoundError,
    ThreadStatus,
    ThreadStore,
    clock,
)

FULL = ThreadMetadata(
    id="t",
    rollout_path="/sessions/t.jsonl",
    preview="Fix the parser",
    ephemeral=True,
    model_provider="anthropic",
    created_at=10,
    updated_at=20,
    status=ThreadStatus.PAUSED,
    path="/repo/.git",
    cwd="/repo",
    cli_version="0.8.60",
    source=SessionSource.API,
    name="parser",
    sandbox_policy="read-only",
    approval_mode="never",
    archived=True,
    archived_at=15,
    git_sha="c0ffee",
    git_branch="main",
    git_origin_url="https://example.org/repo.git",
    memory_mode="on",
)


def say(state: StateStore, thread_id: str, *texts: str) -> list[str]:
    return [state.append_message(thread_id, "user", text) for text in texts]


def texts(state: StateStore, thread_id: str, limit: int | None = 500) -> list[object]:
    return [message.content for message in state.list_messages(thread_id, limit)]


def leaf(state: StateStore, thread_id: str) -> str | None:
    found = state.get_thread(thread_id)
    assert found is not None
    return found.current_leaf_id


def ids(found: list[ThreadMetadata]) -> list[str]:
    return [one.id for one in found]


# open


def test_open_creates_a_missing_root_with_its_parents(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "store"
    StateStore.open(root)
    assert (root / "fsstore.json").is_file()


def test_open_creates_a_store_in_an_empty_directory(root: Path) -> None:
    root.mkdir()
    StateStore.open(root).upsert_thread(FULL)
    assert (root / "threads" / "t").is_dir()


def test_open_refuses_a_directory_that_holds_something_else(root: Path) -> None:
    root.mkdir()
    (root / "thesis.txt").write_text("years of work")
    before = onroot.snapshot(root)
    with pytest.raises(FormatError, match=r"thesis\.txt"):
        StateStore.open(root)
    assert onroot.snapshot(root) == before


def test_open_refuses_a_file_and_leaves_it(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises((FormatError, NotADirectoryError)):
        StateStore.open(root)
    assert root.read_text() == "a file"


def test_open_refuses_a_newer_format_and_touches_nothing(root: Path) -> None:
    StateStore.open(root).upsert_thread(FULL)
    onroot.edit(root / "fsstore.json", lambda fields: fields.update(version=fields["version"] + 1))
    before = onroot.snapshot(root)
    with pytest.raises(FormatError, match="newer"):
        StateStore.open(root)
    assert onroot.snapshot(root) == before
    onroot.edit(root / "fsstore.json", lambda fields: fields.update(version=fields["version"] - 1))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other", "version": 1}', '{"format": "fsstore"}'])
def test_open_refuses_a_format_file_it_cannot_read(root: Path, text: str) -> None:
    StateStore.open(root)
    good = (root / "fsstore.json").read_bytes()
    (root / "fsstore.json").write_text(text)
    with pytest.raises(FormatError):
        StateStore.open(root)
    assert (root / "fsstore.json").read_text() == text
    (root / "fsstore.json").write_bytes(good)


def test_open_again_changes_no_byte_and_keeps_the_data(root: Path) -> None:
    StateStore.open(root).upsert_thread(FULL)
    before = onroot.snapshot(root)
    assert StateStore.open(root).get_thread("t") == FULL
    assert onroot.snapshot(root) == before


def test_open_expands_the_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert StateStore.open("~/agents").db_path() == tmp_path / "agents"


def test_open_of_none_takes_the_root_that_the_environment_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSSTORE_ROOT", str(root))
    assert StateStore.open().db_path() == StateStore.open(None).db_path() == root


@pytest.mark.skipif(sys.platform != "linux", reason="the place is the platform's")
@pytest.mark.parametrize("named", [None, "", "  \t"])
def test_open_of_none_takes_the_user_data_directory_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("FSSTORE_ROOT", raising=False)
    if named is not None:
        monkeypatch.setenv("FSSTORE_ROOT", named)
    assert StateStore.open(None).db_path() == tmp_path / "fsstore"


@pytest.mark.parametrize("wrong", [{"durability": "some"}, {"lock_timeout": -1}])
def test_open_refuses_a_wrong_setting_before_it_makes_anything(root: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"durability|lock_timeout"):
        StateStore.open(root, **wrong)
    assert not root.exists()


def test_open_takes_its_settings_by_name_only(root: Path) -> None:
    with pytest.raises(TypeError):
        StateStore.open(root, "process")
    with StateStore.open(root, durability="process", lock_timeout=None) as state:
        state.upsert_thread(FULL)
    assert StateStore.open(root).get_thread("t") == FULL


def test_a_closed_store_can_be_used_again(state: StateStore, thread: str) -> None:
    with state:
        say(state, thread, "before")
    say(state, thread, "after")
    assert texts(state, thread) == ["before", "after"]


# db_path


def test_db_path_is_the_absolute_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = StateStore.open("store").db_path()
    assert isinstance(path, Path)
    assert path == tmp_path / "store"


# upsert_thread, get_thread


def test_upsert_keeps_every_field(state: StateStore, root: Path) -> None:
    assert len(dataclasses.fields(ThreadMetadata)) == 22 + 1  # the contract's, and `extra`
    state.upsert_thread(FULL)
    assert state.get_thread("t") == StateStore.open(root).get_thread("t") == FULL


def test_upsert_of_an_id_alone_takes_defaults(state: StateStore) -> None:
    before = int(time.time())
    state.upsert_thread(ThreadMetadata(id="t"))
    found = state.get_thread("t")
    assert found is not None
    assert before <= found.created_at <= time.time()
    assert before <= found.updated_at <= time.time()
    assert found == ThreadMetadata(id="t", created_at=found.created_at, updated_at=found.updated_at)
    assert (found.status, found.archived, found.name) == (ThreadStatus.IDLE, False, None)


def test_upsert_overwrites_every_field(state: StateStore) -> None:
    state.upsert_thread(FULL)
    bare = ThreadMetadata(id="t", created_at=11, updated_at=12)
    state.upsert_thread(bare)
    assert state.get_thread("t") == bare


def test_upsert_with_no_created_at_keeps_the_old_one(state: StateStore) -> None:
    state.upsert_thread(FULL)
    state.upsert_thread(ThreadMetadata(id="t", updated_at=30))
    found = state.get_thread("t")
    assert found is not None
    assert (found.created_at, found.updated_at) == (10, 30)


def test_upsert_takes_an_older_updated_at(state: StateStore) -> None:
    state.upsert_thread(FULL)
    state.upsert_thread(dataclasses.replace(FULL, updated_at=5))
    assert state.get_thread("t") == dataclasses.replace(FULL, updated_at=5)


def test_upsert_never_moves_the_leaf(state: StateStore, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="new", current_leaf_id="made-up"))
    assert leaf(state, "new") is None
    first, second = say(state, thread, "one", "two")
    state.upsert_thread(ThreadMetadata(id=thread, current_leaf_id=first))
    assert leaf(state, thread) == second
    assert texts(state, thread) == ["one", "two"]


def test_upsert_holds_status_and_archived_apart(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="a", status=ThreadStatus.ARCHIVED))
    state.upsert_thread(ThreadMetadata(id="b", archived=True, status=ThreadStatus.RUNNING))
    a, b = state.get_thread("a"), state.get_thread("b")
    assert a is not None
    assert b is not None
    assert (a.archived, a.status, b.archived, b.status) == (False, ThreadStatus.ARCHIVED, True, ThreadStatus.RUNNING)


def test_upsert_notes_name_time_and_rollout_path_in_the_session_index(state: StateStore, root: Path) -> None:
    state.upsert_thread(FULL)
    state.upsert_thread(ThreadMetadata(id="t", updated_at=30))
    noted = [
        (row["thread_id"], row["thread_name"], row["updated_at"], row["rollout_path"])
        for row in onroot.rows(root / "session_index.jsonl")
    ]
    assert noted == [("t", "parser", 20, "/sessions/t.jsonl"), ("t", None, 30, None)]


def test_upsert_keeps_extra_keys_and_those_that_others_wrote(state: StateStore, root: Path) -> None:
    state.upsert_thread(ThreadMetadata(id="t", created_at=1, updated_at=1, extra={"mine": {"deep": [1, None]}}))
    onroot.edit(onroot.meta(root, "t"), lambda fields: fields.update(theirs="kept"))
    state.upsert_thread(ThreadMetadata(id="t", created_at=1, updated_at=2, name="renamed"))
    found = state.get_thread("t")
    assert found is not None
    assert found.extra == {"mine": {"deep": [1, None]}, "theirs": "kept"}


@pytest.mark.parametrize("extra", [{"deleted": True}, {"versions": {"": "no id"}}, {"id": "another"}, {"name": "another"}])
def test_upsert_refuses_extra_keys_that_it_cannot_keep(state: StateStore, extra: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(extra))):
        state.upsert_thread(ThreadMetadata(id="t", extra=extra))
    assert state.get_thread("t") is None


@pytest.mark.damaged
def test_an_unknown_status_is_kept_as_text_and_reported(state: StateStore, root: Path, thread: str) -> None:
    onroot.edit(onroot.meta(root, thread), lambda fields: fields.update(status="dreaming", source="dream"))
    found = state.get_thread(thread)
    assert found is not None
    assert (found.status, found.source) == ("dreaming", "dream")
    state.set_thread_memory_mode(thread, "on")
    assert state.get_thread(thread) == dataclasses.replace(found, memory_mode="on")
    assert [problem.kind for problem in Store.open(root).check()] == ["unknown-value", "unknown-value"]


def test_a_known_status_given_as_text_comes_back_as_the_enum(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="t", status="running", source="fork"))
    found = state.get_thread("t")
    assert found is not None
    assert (found.status, found.source) == (ThreadStatus.RUNNING, SessionSource.FORK)
    assert isinstance(found.status, ThreadStatus)
    assert isinstance(found.source, SessionSource)


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_upsert_refuses_what_json_cannot_hold_and_changes_nothing(state: StateStore, root: Path, value: object) -> None:
    state.upsert_thread(FULL)
    before = onroot.snapshot(root)
    for id in ("t", "new"):
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            state.upsert_thread(ThreadMetadata(id=id, name="other", extra={"value": value}))
    assert onroot.snapshot(root) == before


def test_upsert_refuses_a_corrupt_document_and_leaves_it(state: StateStore, root: Path) -> None:
    state.upsert_thread(FULL)
    good = onroot.meta(root, "t").read_bytes()
    onroot.meta(root, "t").write_bytes(good[:-20])
    with pytest.raises(CorruptError) as raised:
        state.upsert_thread(FULL)
    assert raised.value.path == str(onroot.meta(root, "t"))
    assert onroot.meta(root, "t").read_bytes() == good[:-20]
    onroot.meta(root, "t").write_bytes(good)


def test_every_id_up_to_1000_characters_has_its_own_thread_and_comes_back(state: StateStore, root: Path) -> None:
    for id in onroot.STRANGE_IDS:
        state.upsert_thread(ThreadMetadata(id=id, preview=f"{id!r}"))
        state.append_message(id, "user", f"to {id!r}")
    with StateStore.open(root) as again:
        assert sorted(ids(again.list_threads(ThreadListFilters(limit=None)))) == sorted(onroot.STRANGE_IDS)
        for id in onroot.STRANGE_IDS:
            found = again.get_thread(id)
            assert found is not None
            assert (found.id, found.preview, texts(again, id)) == (id, f"{id!r}", [f"to {id!r}"])
    names = [path.name for path in (root / "threads").iterdir()]
    assert len({name.casefold() for name in names}) == len(onroot.STRANGE_IDS)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize("id", ["", "x" * 1001, "half \ud800"])
def test_an_id_that_cannot_be_kept_is_a_value_error_everywhere(state: StateStore, root: Path, id: str) -> None:
    calls = (
        lambda: state.upsert_thread(ThreadMetadata(id=id)),
        lambda: state.get_thread(id),
        lambda: state.delete_thread(id),
        lambda: state.mark_archived(id),
        lambda: state.append_message(id, "user", "hi"),
        lambda: state.list_messages(id),
    )
    before = onroot.snapshot(root)
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert issubclass(InvalidNameError, ValueError)
    assert onroot.snapshot(root) == before


def test_get_of_a_missing_thread_is_none(state: StateStore) -> None:
    assert state.get_thread("missing") is None


def test_get_shows_the_current_leaf(state: StateStore, thread: str) -> None:
    assert leaf(state, thread) is None
    for text in ("one", "two"):
        assert say(state, thread, text) == [leaf(state, thread)]


@pytest.mark.damaged
@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[1]", b'{"id": "t"}', b"\xff\xfe", b'{"id": "other", "versions": {}}'])
def test_get_of_a_corrupt_document_says_where_and_why(state: StateStore, root: Path, thread: str, data: bytes) -> None:
    onroot.meta(root, thread).write_bytes(data)
    with pytest.raises(CorruptError) as raised:
        state.get_thread(thread)
    assert raised.value.path == str(onroot.meta(root, thread))
    assert raised.value.reason
    assert onroot.meta(root, thread).read_bytes() == data


def test_a_document_in_another_threads_place_is_corrupt(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    good = onroot.meta(root, thread).read_bytes()
    shutil.copy(onroot.meta(root, "other"), onroot.meta(root, thread))
    with pytest.raises(CorruptError, match="other"):
        state.get_thread(thread)
    onroot.meta(root, thread).write_bytes(good)


def test_a_refusal_of_the_system_is_never_taken_for_a_missing_thread(
    state: StateStore, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    onroot.refuse_to_open(monkeypatch, "threads")
    for call in (state.get_thread, state.list_messages, state.mark_archived, state.clear_messages):
        with pytest.raises(PermissionError):
            call(thread)
    with pytest.raises(PermissionError):
        state.append_message(thread, "user", "hi")
    monkeypatch.undo()
    assert texts(state, thread) == []


# list_threads


def test_list_gives_the_last_upsert_first(state: StateStore) -> None:
    for id, at in (("a", 10), ("b", 30), ("c", 20)):
        state.upsert_thread(ThreadMetadata(id=id, updated_at=at))
    assert ids(state.list_threads()) == ["b", "c", "a"]


def test_list_breaks_a_tie_by_the_order_of_the_upserts(state: StateStore) -> None:
    for id in ("a", "c", "b"):
        state.upsert_thread(ThreadMetadata(id=id, updated_at=10))
    assert ids(state.list_threads()) == ["b", "c", "a"]
    state.upsert_thread(ThreadMetadata(id="a", updated_at=10, preview="again"))
    assert ids(state.list_threads()) == ["a", "b", "c"]


def test_list_hides_the_archived_by_their_flag_not_by_their_status(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="flag", archived=True, updated_at=3))
    state.upsert_thread(ThreadMetadata(id="status", status=ThreadStatus.ARCHIVED, updated_at=2))
    state.upsert_thread(ThreadMetadata(id="plain", updated_at=1))
    assert ids(state.list_threads()) == ["status", "plain"]
    assert ids(state.list_threads(ThreadListFilters(include_archived=True))) == ["flag", "status", "plain"]


def test_list_is_limited_to_50_where_nothing_is_said(root: Path) -> None:
    with StateStore.open(root, durability="process") as state:
        for number in range(52):
            state.upsert_thread(ThreadMetadata(id=f"t{number}", updated_at=number))
        assert ids(state.list_threads()) == [f"t{number}" for number in range(51, 1, -1)]
        assert len(state.list_threads(ThreadListFilters(limit=None))) == 52
        assert ids(state.list_threads(ThreadListFilters(limit=1))) == ["t51"]
        assert state.list_threads(ThreadListFilters(limit=0)) == []


def test_list_counts_its_limit_after_hiding_the_archived(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="archived", archived=True, updated_at=9))
    state.upsert_thread(ThreadMetadata(id="a", updated_at=2))
    state.upsert_thread(ThreadMetadata(id="b", updated_at=1))
    assert ids(state.list_threads(ThreadListFilters(limit=2))) == ["a", "b"]


def test_list_refuses_a_negative_limit(state: StateStore) -> None:
    with pytest.raises(ValueError, match="limit"):
        state.list_threads(ThreadListFilters(limit=-1))


def test_list_of_an_empty_store_is_empty(state: StateStore) -> None:
    assert state.list_threads() == []


def test_list_shows_leaves_and_is_not_reordered_by_messages(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="a", updated_at=1))
    state.upsert_thread(ThreadMetadata(id="b", updated_at=2))
    last = say(state, "a", "news")[0]
    assert [(one.id, one.current_leaf_id) for one in state.list_threads()] == [("b", None), ("a", last)]


def test_list_skips_a_corrupt_document_and_check_reports_it(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    good = onroot.meta(root, thread).read_bytes()
    onroot.meta(root, thread).write_text("{")
    assert ids(state.list_threads()) == ["other"]
    assert [(problem.path, problem.kind) for problem in Store.open(root).check()] == [("threads/t/meta.json", "corrupt")]
    onroot.meta(root, thread).write_bytes(good)


# mark_archived, mark_unarchived


def test_archiving_sets_flag_time_and_status_and_not_updated_at(state: StateStore, thread: str) -> None:
    before = int(time.time())
    state.mark_archived(thread)
    found = state.get_thread(thread)
    assert found is not None
    assert (found.archived, found.status, found.updated_at) == (True, ThreadStatus.ARCHIVED, 100)
    assert found.archived_at is not None
    assert before <= found.archived_at <= time.time()


def test_archiving_again_sets_the_time_anew(state: StateStore) -> None:
    state.upsert_thread(ThreadMetadata(id="t", archived=True, archived_at=7, status=ThreadStatus.ARCHIVED))
    state.mark_archived("t")
    found = state.get_thread("t")
    assert found is not None
    assert found.archived_at is not None
    assert found.archived_at > 7


def test_unarchiving_clears_flag_and_time_and_makes_the_thread_idle(state: StateStore, thread: str) -> None:
    state.mark_archived(thread)
    state.mark_unarchived(thread)
    assert state.get_thread(thread) == ThreadMetadata(id=thread, created_at=100, updated_at=100)


@pytest.mark.parametrize("status", [status for status in ThreadStatus if status is not ThreadStatus.ARCHIVED])
def test_unarchiving_leaves_any_other_status(state: StateStore, status: ThreadStatus) -> None:
    state.upsert_thread(ThreadMetadata(id="t", archived=True, archived_at=7, status=status))
    state.mark_unarchived("t")
    found = state.get_thread("t")
    assert found is not None
    assert (found.archived, found.archived_at, found.status) == (False, None, status)


def test_archiving_keeps_everything_else(state: StateStore) -> None:
    state.upsert_thread(dataclasses.replace(FULL, extra={"mine": 1}))
    state.mark_archived("t")
    state.mark_unarchived("t")
    expected = dataclasses.replace(FULL, extra={"mine": 1}, archived=False, archived_at=None, status=ThreadStatus.IDLE)
    assert state.get_thread("t") == expected


# delete_thread


def test_delete_takes_the_thread_out_of_every_view(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    message = say(state, thread, "one", "two")[0]
    kept = say(state, "other", "kept")[0]
    assert state.delete_thread(thread) is True
    assert state.get_thread(thread) is None
    assert ids(state.list_threads(ThreadListFilters(include_archived=True, limit=None))) == ["other"]
    assert (state.list_messages(thread), state.list_leaf_messages(thread), state.clear_messages(thread)) == ([], [], 0)
    assert (state.get_thread_memory_mode(thread), state.find_rollout_path_by_id(thread)) == (None, None)
    with pytest.raises(MessageNotFoundError):
        state.fork_at_message(message, "user", "too late")
    assert ThreadStore(root).list_thread_ids() == ["other"]
    assert leaf(state, "other") == kept


def test_delete_says_whether_there_was_something(state: StateStore, thread: str) -> None:
    assert (state.delete_thread("missing"), state.delete_thread(thread), state.delete_thread(thread)) == (False, True, False)


def test_delete_moves_the_whole_directory_to_the_trash(state: StateStore, root: Path, thread: str) -> None:
    say(state, thread, "one", "two")
    ThreadStore(root).create_run(thread, Run(id="r", thread_id=thread))
    before = onroot.snapshot(root / "threads" / thread)
    state.delete_thread(thread)
    assert not (root / "threads" / thread).exists()
    (trashed,) = (root / ".fsstore" / "trash").iterdir()
    assert onroot.snapshot(trashed / "threads" / thread) == before


def test_no_late_write_brings_a_deleted_thread_back(state: StateStore, thread: str) -> None:
    message = say(state, thread, "one")[0]
    state.delete_thread(thread)
    calls = (
        lambda: state.append_message(thread, "user", "late"),
        lambda: state.fork_at_message(message, "user", "late", thread_id=thread),
        lambda: state.set_current_leaf_id(thread, message),
        lambda: state.mark_archived(thread),
        lambda: state.mark_unarchived(thread),
        lambda: state.set_thread_memory_mode(thread, "on"),
    )
    for call in calls:
        with pytest.raises(ThreadNotFoundError):
            call()
    assert state.get_thread(thread) is None


def test_an_upsert_begins_a_deleted_thread_anew_and_empty(state: StateStore, root: Path, thread: str) -> None:
    old = say(state, thread, "old", "older")
    state.set_thread_memory_mode(thread, "on")
    ThreadStore(root).create_run(thread, Run(id="r", thread_id=thread))
    state.delete_thread(thread)
    state.upsert_thread(ThreadMetadata(id=thread, created_at=7, updated_at=7))
    assert state.get_thread(thread) == ThreadMetadata(id=thread, created_at=7, updated_at=7)
    assert (texts(state, thread), ThreadStore(root).list_run_ids(thread)) == ([], [])
    new = say(state, thread, "new")
    assert texts(StateStore.open(root), thread) == ["new"]
    assert new[0] > old[1]


def test_a_thread_begun_anew_clears_what_was_deleted_and_is_newer_than_it_whatever_the_clock_says(
    state: StateStore, root: Path, thread: str
) -> None:
    ahead = "0f000000-0000-7000-8000-00000000000"  # the year 2492
    onroot.log(root, thread).write_text(f'{{"id":"{ahead}1","parent_id":null,"role":"user","content":"from afar"}}\n')
    onroot.edit(onroot.meta(root, thread), lambda fields: fields.update(versions={"": f"{ahead}2"}))
    one, two = say(state, thread, "one", "two")
    fork = state.fork_at_message(one, "user", "other two")
    state.delete_thread(thread)
    state.upsert_thread(ThreadMetadata(id=thread))
    (row,) = onroot.rows(onroot.log(root, thread))
    assert (row["type"], row["leaf_ids"]) == ("clear", [two, fork])
    assert str(row["id"]) > fork > f"{ahead}1"
    assert json.loads(onroot.meta(root, thread).read_text())["versions"][""] > f"{ahead}2"


def test_a_thread_can_be_deleted_and_begun_anew_many_times(state: StateStore, root: Path) -> None:
    for number in range(4):
        state.upsert_thread(ThreadMetadata(id="t"))
        say(state, "t", f"life {number}")
        assert texts(state, "t") == [f"life {number}"]
        assert state.delete_thread("t") is True
    assert StateStore.open(root).get_thread("t") is None


def test_delete_of_a_thread_whose_document_is_corrupt_still_moves_it(state: StateStore, root: Path, thread: str) -> None:
    onroot.meta(root, thread).write_text("{")
    assert state.delete_thread(thread) is True
    assert state.get_thread(thread) is None


# set_thread_memory_mode, get_thread_memory_mode


def test_memory_mode_is_set_and_cleared_and_nothing_else_changes(state: StateStore) -> None:
    state.upsert_thread(FULL)
    state.set_thread_memory_mode("t", "off")
    assert state.get_thread_memory_mode("t") == "off"
    state.set_thread_memory_mode("t", None)
    assert state.get_thread_memory_mode("t") is None
    assert state.get_thread("t") == dataclasses.replace(FULL, memory_mode=None)


def test_memory_mode_of_an_unset_or_missing_thread_is_none(state: StateStore, thread: str) -> None:
    assert (state.get_thread_memory_mode(thread), state.get_thread_memory_mode("missing")) == (None, None)


# Writing into a thread that is not there


def test_every_write_into_a_missing_thread_raises_and_makes_nothing(state: StateStore, root: Path) -> None:
    calls = (
        lambda: state.append_message("missing", "user", "hi"),
        lambda: state.set_current_leaf_id("missing", "m"),
        lambda: state.mark_archived("missing"),
        lambda: state.mark_unarchived("missing"),
        lambda: state.set_thread_memory_mode("missing", "on"),
        lambda: state.fork_at_message("m", "user", "hi", thread_id="missing"),
    )
    for call in calls:
        with pytest.raises(ThreadNotFoundError, match="missing"):
            call()
    assert list((root / "threads").iterdir()) == []


# append_message


def test_append_gives_an_id_that_ascends_and_goes_below_the_leaf(state: StateStore, thread: str) -> None:
    first, second, third = say(state, thread, "one", "two", "three")
    assert first < second < third
    assert [(m.id, m.parent_entry_id) for m in state.list_messages(thread)] == [
        (first, None),
        (second, first),
        (third, second),
    ]
    assert leaf(state, thread) == third


def test_append_keeps_role_and_thread_and_the_time_of_now(state: StateStore, thread: str) -> None:
    before = int(time.time())
    for role in ("user", "assistant", "tool", "Some Role\n", ""):
        state.append_message(thread, role, "hi")
    found = state.list_messages(thread)
    assert [message.role for message in found] == ["user", "assistant", "tool", "Some Role\n", ""]
    assert {message.thread_id for message in found} == {thread}
    assert all(type(message.created_at) is int and before <= message.created_at <= time.time() for message in found)


def test_append_does_not_touch_updated_at(state: StateStore, thread: str) -> None:
    say(state, thread, "one")
    found = state.get_thread(thread)
    assert found is not None
    assert found.updated_at == 100


@pytest.mark.parametrize(
    "content",
    [
        "",
        "two\nlines\r\nand \u2028 and \x00 and \x7f",
        "\N{PILE OF POO} caf\u00e9 cafe\u0301",
        [{"type": "text", "text": {"value": "hi", "annotations": []}}],
        [],
        {},
        {"nested": {"deep": [1, 2.5, -0.0, 1e300, True, False, None, "x"]}},
        None,
        0,
        2**63,
        -(2**63),
        2**64 - 1,
        1.5,
        "x" * 1_000_000,
    ],
    ids=lambda content: repr(content)[:30],
)
def test_append_gives_any_content_and_item_back_exactly(state: StateStore, root: Path, thread: str, content: object) -> None:
    state.append_message(thread, "user", content, content)
    for opened in (state, StateStore.open(root)):
        (found,) = opened.list_messages(thread)
        assert (found.content, found.item, found.has_item) == (content, content, True)
        assert (type(found.content), type(found.item)) == (type(content), type(content))


def test_append_tells_a_null_item_from_none(state: StateStore, thread: str) -> None:
    state.append_message(thread, "user", "no item")
    state.append_message(thread, "user", "null item", None)
    state.append_message(thread, "user", "an item", item={"tool": "ls"})
    found = [(message.item, message.has_item) for message in state.list_messages(thread)]
    assert found == [(None, False), (None, True), ({"tool": "ls"}, True)]


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_append_and_fork_refuse_what_json_cannot_hold_and_write_nothing(
    state: StateStore, root: Path, thread: str, value: object
) -> None:
    message = say(state, thread, "good")[0]
    before = onroot.snapshot(root)
    calls = (
        lambda: state.append_message(thread, "user", value),
        lambda: state.append_message(thread, "user", "hi", value),
        lambda: state.fork_at_message(message, "user", value),
        lambda: state.fork_at_message(message, "user", "hi", value),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            call()
    assert onroot.snapshot(root) == before
    assert texts(state, thread) == ["good"]


@pytest.mark.parametrize(
    ("role", "content"), [(None, "hi"), (1, "hi"), (b"user", "hi"), ("half \ud800", "hi"), ("user", "half \ud800")]
)
def test_a_first_append_that_is_refused_does_not_even_begin_the_log(
    state: StateStore, root: Path, thread: str, role: object, content: str
) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(ValueError, match=r"role|JSON"):
        state.append_message(thread, role, content)
    assert onroot.snapshot(root) == before


# list_messages


def test_list_messages_gives_those_nearest_the_leaf_oldest_first(state: StateStore, thread: str) -> None:
    say(state, thread, "one", "two", "three")
    assert texts(state, thread, 2) == ["two", "three"]
    assert texts(state, thread, 1) == ["three"]
    assert texts(state, thread, 0) == []
    assert texts(state, thread, 99) == texts(state, thread, None) == ["one", "two", "three"]
    assert state.list_messages(thread, 1)[0].parent_entry_id == state.list_messages(thread)[1].id


def test_list_messages_is_limited_to_500_where_nothing_is_said(state: StateStore, root: Path, thread: str) -> None:
    Store.open(root).thread(thread).messages.extend({"role": "user", "content": f"m{n}"} for n in range(502))
    assert texts(state, thread) == [f"m{n}" for n in range(2, 502)]
    assert [m.content for m in state.list_messages(thread)] == texts(state, thread, 500)
    assert len(state.list_messages(thread, None)) == 502


def test_list_messages_refuses_a_negative_limit(state: StateStore, thread: str) -> None:
    for id in (thread, "missing"):
        with pytest.raises(ValueError, match="limit"):
            state.list_messages(id, -1)


def test_list_messages_of_an_empty_or_missing_thread_is_empty(state: StateStore, thread: str) -> None:
    assert state.list_messages(thread) == state.list_messages("missing") == []


@pytest.mark.damaged
def test_a_torn_line_hides_no_good_message_before_or_after_it(state: StateStore, root: Path, thread: str) -> None:
    say(state, thread, "before")
    path = onroot.log(root, thread)
    with path.open("ab") as file:
        file.write(b'{"id":"0190')
    say(state, thread, "after", "and after that")
    assert texts(state, thread) == texts(StateStore.open(root), thread) == ["before", "after", "and after that"]
    assert [(problem.kind, problem.offset) for problem in Store.open(root).check()] == [
        ("torn", len(path.read_bytes().splitlines(keepends=True)[0]))
    ]


@pytest.mark.damaged
def test_a_log_that_is_a_directory_is_an_error_and_no_endless_loop(state: StateStore, root: Path, thread: str) -> None:
    onroot.log(root, thread).mkdir()
    for call in (state.list_messages, state.list_leaf_messages, state.clear_messages):
        with pytest.raises(OSError, match=r"messages\.jsonl"):
            call(thread)
    with pytest.raises(OSError, match=r"messages\.jsonl"):
        say(state, thread, "hi")


@pytest.mark.damaged
def test_two_messages_glued_into_one_line_are_both_listed(state: StateStore, root: Path, thread: str) -> None:
    say(state, thread, "one", "two", "three")
    path = onroot.log(root, thread)
    path.write_bytes(path.read_bytes().replace(b"\n", b"", 1))
    assert texts(state, thread) == ["one", "two", "three"]


# list_leaf_messages


def test_leaves_are_the_messages_that_none_stands_below_oldest_first(state: StateStore, thread: str) -> None:
    one, two, three = say(state, thread, "one", "two", "three")
    fork = state.fork_at_message(one, "user", "fork")
    found = state.list_leaf_messages(thread)
    assert [(message.id, message.content, message.thread_id) for message in found] == [
        (three, "three", thread),
        (fork, "fork", thread),
    ]
    assert [message.parent_entry_id for message in found] == [two, one]


def test_leaves_of_an_empty_or_missing_thread_are_none(state: StateStore, thread: str) -> None:
    assert state.list_leaf_messages(thread) == state.list_leaf_messages("missing") == []


def test_a_second_root_is_a_branch_of_its_own(state: StateStore, thread: str, root: Path) -> None:
    one = say(state, thread, "one")[0]
    Store.open(root).thread(thread).messages.checkout(None)
    two = say(state, thread, "two")[0]
    assert [message.id for message in state.list_leaf_messages(thread)] == [one, two]
    assert texts(state, thread) == ["two"]


# set_current_leaf_id


def test_setting_the_leaf_ends_the_branch_there_and_the_next_goes_below(state: StateStore, root: Path, thread: str) -> None:
    one, _, _ = say(state, thread, "one", "two", "three")
    state.set_current_leaf_id(thread, one)
    assert (leaf(state, thread), texts(state, thread)) == (one, ["one"])
    with StateStore.open(root) as again:
        assert (leaf(again, thread), texts(again, thread)) == (one, ["one"])
        new = say(again, thread, "other two")[0]
    assert texts(state, thread) == ["one", "other two"]
    assert state.list_messages(thread)[1].parent_entry_id == one
    assert leaf(state, thread) == new


def test_setting_the_leaf_writes_no_message_and_no_updated_at(state: StateStore, root: Path, thread: str) -> None:
    one, two = say(state, thread, "one", "two")
    before = onroot.meta(root, thread).read_bytes()
    state.set_current_leaf_id(thread, one)
    state.set_current_leaf_id(thread, two)
    assert texts(state, thread) == ["one", "two"]
    assert len(Store.open(root).thread(thread).messages) == 2
    assert onroot.meta(root, thread).read_bytes() == before


@pytest.mark.parametrize("wrong", ["unknown", "", "7", "00000000-0000-7000-8000-000000000000", "t"])
def test_setting_the_leaf_to_no_message_of_the_thread_changes_nothing(
    state: StateStore, root: Path, thread: str, wrong: str
) -> None:
    last = say(state, thread, "one", "two")[1]
    before = onroot.snapshot(root)
    with pytest.raises(MessageNotFoundError):
        state.set_current_leaf_id(thread, wrong)
    assert onroot.snapshot(root) == before
    assert leaf(state, thread) == last


def test_setting_the_leaf_to_another_threads_message_is_refused(state: StateStore, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    foreign = say(state, "other", "theirs")[0]
    mine = say(state, thread, "mine")[0]
    with pytest.raises(MessageNotFoundError, match=foreign):
        state.set_current_leaf_id(thread, foreign)
    assert leaf(state, thread) == mine


def test_setting_the_leaf_to_a_cleared_message_is_refused(state: StateStore, thread: str) -> None:
    gone = say(state, thread, "one")[0]
    state.clear_messages(thread)
    with pytest.raises(MessageNotFoundError):
        state.set_current_leaf_id(thread, gone)
    assert leaf(state, thread) is None


# fork_at_message


def test_fork_goes_below_any_message_and_becomes_the_leaf(state: StateStore, thread: str) -> None:
    one, _, _ = say(state, thread, "one", "two", "three")
    fork = state.fork_at_message(one, "assistant", "other two", {"tool": 1})
    assert texts(state, thread) == ["one", "other two"]
    found = state.list_messages(thread)[1]
    assert (found.id, found.parent_entry_id, found.role, found.item) == (fork, one, "assistant", {"tool": 1})
    assert leaf(state, thread) == fork


def test_fork_finds_the_thread_by_the_message_alone(state: StateStore, root: Path) -> None:
    wanted = {}
    for id in ("a", "b", "c/d"):
        state.upsert_thread(ThreadMetadata(id=id))
        wanted[id] = say(state, id, f"in {id}", "more")[0]
    for id, message in wanted.items():
        StateStore.open(root).fork_at_message(message, "user", f"fork in {id}")
        assert texts(state, id) == [f"in {id}", f"fork in {id}"]


def test_fork_takes_the_thread_by_name_only_and_looks_nowhere_else(state: StateStore, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    message = say(state, thread, "one")[0]
    with pytest.raises(MessageNotFoundError):
        state.fork_at_message(message, "user", "hi", thread_id="other")
    with pytest.raises(TypeError):
        state.fork_at_message(message, "user", "hi", None, thread)
    state.fork_at_message(message, "user", "two", thread_id=thread)
    assert texts(state, thread) == ["one", "two"]
    assert texts(state, "other") == []


@pytest.mark.parametrize("wrong", ["unknown", "", "7", "id", "user", "caf\u00e9", "half \ud800"])
def test_fork_at_no_message_at_all_is_an_error_and_writes_nothing(
    state: StateStore, root: Path, thread: str, wrong: str
) -> None:
    say(state, thread, "one user id caf\u00e9")
    before = onroot.snapshot(root)
    with pytest.raises(MessageNotFoundError):
        state.fork_at_message(wrong, "user", "hi")
    assert onroot.snapshot(root) == before


def test_fork_at_a_cleared_message_is_an_error(state: StateStore, thread: str) -> None:
    gone = say(state, thread, "one")[0]
    state.clear_messages(thread)
    for named in (thread, None):
        with pytest.raises(MessageNotFoundError):
            state.fork_at_message(gone, "user", "hi", thread_id=named)


# clear_messages


def test_clear_takes_all_messages_of_all_branches_and_counts_them(state: StateStore, root: Path, thread: str) -> None:
    one = say(state, thread, "one", "two")[0]
    state.fork_at_message(one, "user", "fork")
    assert state.clear_messages(thread) == 3
    for opened in (state, StateStore.open(root)):
        assert (opened.list_messages(thread), opened.list_leaf_messages(thread), leaf(opened, thread)) == ([], [], None)
    assert ThreadStore(root).list_messages(thread) == []


def test_clear_of_nothing_counts_nothing(state: StateStore, root: Path, thread: str) -> None:
    before = onroot.snapshot(root)
    assert (state.clear_messages(thread), state.clear_messages("missing")) == (0, 0)
    say(state, thread, "one")
    assert (state.clear_messages(thread), state.clear_messages(thread)) == (1, 0)
    assert before.keys() <= onroot.snapshot(root).keys()


def test_after_a_clear_the_next_message_is_a_new_root_with_a_fresh_id(state: StateStore, root: Path, thread: str) -> None:
    old = say(state, thread, "one", "two")
    state.clear_messages(thread)
    new = say(state, thread, "three")[0]
    (found,) = state.list_messages(thread)
    assert (found.id, found.parent_entry_id, found.content) == (new, None, "three")
    assert new > max(old)
    assert onroot.rows(onroot.log(root, thread))[-1]["parent_id"] is None


def test_clear_leaves_the_thread_and_its_runs_and_other_threads(state: StateStore, root: Path, thread: str) -> None:
    state.upsert_thread(FULL)
    state.upsert_thread(ThreadMetadata(id="other"))
    say(state, "t", "one")
    say(state, "other", "theirs")
    runs = ThreadStore(root)
    runs.create_run("t", Run(id="r", thread_id="t"))
    state.clear_messages("t")
    assert state.get_thread("t") == FULL
    assert runs.list_run_ids("t") == ["r"]
    assert texts(state, "other") == ["theirs"]


# find_rollout_path_by_id


def test_the_rollout_path_is_the_thread_records(state: StateStore, root: Path, thread: str) -> None:
    assert (state.find_rollout_path_by_id(thread), state.find_rollout_path_by_id("missing")) == (None, None)
    state.upsert_thread(FULL)
    assert state.find_rollout_path_by_id("t") == "/sessions/t.jsonl"
    (root / "session_index.jsonl").unlink()
    assert StateStore.open(root).find_rollout_path_by_id("t") == "/sessions/t.jsonl"
    state.upsert_thread(dataclasses.replace(FULL, rollout_path=None))
    assert state.find_rollout_path_by_id("t") is None


# Contract 3A


def test_3a_08_fork_keeps_both_branches_and_an_upsert_does_not_reset_the_leaf(state: StateStore, root: Path) -> None:
    state.upsert_thread(ThreadMetadata(id="t"))
    entries = say(state, "t", "0", "1", "2", "3", "4")
    assert texts(state, "t") == ["0", "1", "2", "3", "4"]
    state.upsert_thread(ThreadMetadata(id="t", preview="later", current_leaf_id=None))
    assert (texts(state, "t"), leaf(state, "t")) == (["0", "1", "2", "3", "4"], entries[4])
    state.fork_at_message(entries[2], "user", "5")
    assert texts(state, "t") == ["0", "1", "2", "5"]
    assert len(state.list_leaf_messages("t")) == 2
    state.set_current_leaf_id("t", entries[4])
    say(state, "t", "6")
    assert texts(state, "t") == texts(StateStore.open(root), "t") == ["0", "1", "2", "3", "4", "6"]
    assert len(state.list_leaf_messages("t")) == 2
    assert state.clear_messages("t") == 7
    assert (state.list_leaf_messages("t"), leaf(state, "t")) == ([], None)


def test_3a_11_stores_on_one_root_are_one_store_and_no_write_is_orphaned(root: Path) -> None:
    with StateStore.open(root) as first, StateStore.open(root) as second, ThreadStore(root) as third:
        first.upsert_thread(ThreadMetadata(id="t"))
        one = second.append_message("t", "user", "one")
        third.append_message("t", ThreadMessage(id="msg_2", thread_id="t", role="assistant", content=["two"]))
        three = first.append_message("t", "user", "three")
        seen = [[message.id for message in opened.list_messages("t")] for opened in (first, second)]
        assert seen == [[one, "msg_2", three]] * 2
        assert first.delete_thread("t")
        for opened in (first, second):
            with pytest.raises(ThreadNotFoundError):
                opened.append_message("t", "user", "orphan")


def test_3a_11_a_reader_sees_the_state_before_while_a_writer_holds_the_thread(
    state: StateStore, root: Path, thread: str
) -> None:
    say(state, thread, "before")
    with children.holding(root, thread), StateStore.open(root, lock_timeout=0) as reader:
        assert texts(reader, thread) == ["before"]
        assert reader.get_thread(thread) == state.get_thread(thread)
        assert reader.list_leaf_messages(thread) == state.list_messages(thread)
        assert ids(reader.list_threads()) == [thread]
        with pytest.raises(LockTimeoutError):
            reader.append_message(thread, "user", "not now")
    assert texts(state, thread) == ["before"]


def test_3a_12_open_waits_for_a_lock_that_it_needs(state: StateStore, root: Path, thread: str) -> None:
    say(state, thread, "doomed")
    children.dying("delete_and_die", root, thread)  # the deletion is noted, the directory not yet moved
    assert (root / "threads" / thread).is_dir()
    opened: list[StateStore] = []
    with children.holding(root, thread):
        opener = threading.Thread(target=lambda: opened.append(StateStore.open(root)))
        opener.start()
        opener.join(0.2)
        assert opener.is_alive()  # it has a deletion to finish, and waits for whoever holds the thread
    opener.join()
    assert opened[0].get_thread(thread) is None
    assert not (root / "threads" / thread).exists()


def test_3a_12_open_of_a_whole_store_needs_no_lock(state: StateStore, root: Path, thread: str) -> None:
    with children.holding(root, thread), StateStore.open(root, lock_timeout=0) as reader:
        assert ids(reader.list_threads()) == [thread]


def test_3a_13_a_second_writer_waits_for_an_active_one_and_both_records_persist(
    state: StateStore, root: Path, thread: str
) -> None:
    with children.appending_slowly(root, thread, "first") as go_on:
        second = threading.Thread(target=say, args=(state, thread, "second"))
        second.start()
        second.join(0.2)
        assert second.is_alive()
        go_on()
        second.join()
    assert texts(state, thread) == texts(StateStore.open(root), thread) == ["first", "second"]


def test_3a_14_a_store_that_holds_more_than_its_format_version_knows_opens_and_keeps_it(
    state: StateStore, root: Path, thread: str
) -> None:
    say(state, thread, "one")
    onroot.edit(onroot.meta(root, thread), lambda fields: fields.update(later_field=[1]))
    onroot.edit(root / "fsstore.json", lambda fields: fields.update(later_note="kept"))
    (root / "later_directory").mkdir()
    (root / "later_log.jsonl").write_text("{}\n")
    with StateStore.open(root) as again:
        again.mark_archived(thread)
        say(again, thread, "two")
        found = again.get_thread(thread)
        assert found is not None
        assert found.extra == {"later_field": [1]}
        assert texts(again, thread) == ["one", "two"]
    assert (root / "later_log.jsonl").read_text() == "{}\n"
    assert b"later_note" in (root / "fsstore.json").read_bytes()


@pytest.mark.damaged
def test_3a_14_a_record_of_a_later_type_is_kept_and_one_that_must_be_understood_is_refused(
    state: StateStore, root: Path, thread: str
) -> None:
    say(state, thread, "one")
    path = onroot.log(root, thread)
    first = path.read_text()
    later = f'{{"id":"{clock.new_id()}","type":"later"}}\n'
    path.write_text(first + later)
    say(StateStore.open(root), thread, "two")
    assert texts(StateStore.open(root), thread) == ["one", "two"]
    assert later in path.read_text()
    path.write_text(first + later.replace("later", "!later"))
    kept = path.read_bytes()
    with pytest.raises(FormatError, match="!later"):
        StateStore.open(root).list_messages(thread)
    with pytest.raises(FormatError, match="!later"):
        StateStore.open(root).append_message(thread, "user", "two")
    assert path.read_bytes() == kept
