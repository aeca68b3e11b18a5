"""Checkpoints in `StateStore` (contract 2A, rows 24 to 27, part 0 first), and the behaviour (19) of 3A."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import contract_children as children
import onroot
import pytest

from fsstore import (
    CheckpointRecord,
    CorruptError,
    InvalidNameError,
    LockTimeoutError,
    StateStore,
    Store,
    ThreadMetadata,
    ThreadNotFoundError,
    clock,
)

#: Any JSON, in the ways that differ.
STATES = {
    "null": None,
    "true": True,
    "zero": 0,
    "int-of-64-bits": [2**64 - 1, -(2**63)],
    "float": [0.1, -0.0, 1e300, 5e-324, 1.0],
    "text": 'quo"te \\ / \x00 \u2028 caf\u00e9 \N{PILE OF POO}',
    "empty": [{}, [], ""],
    "object": {"b": 1, "a": {"": None, "versions": {"": "x"}, "deleted": True, "id": 5}},
    "deep": json.loads("[" * 240 + "]" * 240),
    "own-keys": {"state": 1, "created_at": "never", "versions": []},
}


def names(state: StateStore, thread: str, limit: int | None = 100) -> list[str]:
    return [found.checkpoint_id for found in state.list_checkpoints(thread, limit)]


def document(root: Path, checkpoint: str) -> Path:
    return onroot.in_thread(root, "t", "checkpoints", f"{checkpoint}.json")


# save_checkpoint, load_checkpoint


@pytest.mark.parametrize("value", STATES.values(), ids=STATES)
def test_any_json_comes_back_exactly(state: StateStore, root: Path, thread: str, value: object) -> None:
    state.save_checkpoint(thread, "c", value)
    for opened in (state, StateStore.open(root)):
        for found in (opened.load_checkpoint(thread, "c"), opened.load_checkpoint(thread), *opened.list_checkpoints(thread)):
            assert found is not None
            assert json.dumps(found.state, sort_keys=True) == json.dumps(value, sort_keys=True)
            assert (found.thread_id, found.checkpoint_id, found.extra) == (thread, "c", {})


def test_a_checkpoint_tells_when_it_was_saved_last(state: StateStore, root: Path, thread: str) -> None:
    before = int(time.time())
    state.save_checkpoint(thread, "c", 1)
    onroot.edit(document(root, "c"), lambda fields: fields.update(created_at=5))
    assert state.load_checkpoint(thread, "c") == CheckpointRecord(thread_id=thread, checkpoint_id="c", state=1, created_at=5)
    state.save_checkpoint(thread, "c", 2)
    found = state.load_checkpoint(thread, "c")
    assert found is not None
    assert found.state == 2
    assert before <= found.created_at <= time.time()


def test_what_was_saved_last_is_the_newest_in_one_second_too(state: StateStore, root: Path, thread: str) -> None:
    order = ["b", "a", "c", "a", "d", "b"]
    for number, name in enumerate(order):
        state.save_checkpoint(thread, name, number)
        for opened in (state, StateStore.open(root)):
            newest = opened.load_checkpoint(thread)
            assert newest is not None
            assert (newest.checkpoint_id, newest.state) == (name, number)
    assert names(state, thread) == names(StateStore.open(root), thread) == ["b", "d", "a", "c"]


def test_no_checkpoint_is_none(state: StateStore, thread: str) -> None:
    assert (state.load_checkpoint(thread), state.load_checkpoint(thread, "c")) == (None, None)
    assert (state.load_checkpoint("missing"), state.load_checkpoint("missing", "c")) == (None, None)
    state.save_checkpoint(thread, "c", 1)
    assert state.load_checkpoint(thread, "other") is None


def test_saving_again_keeps_keys_that_others_wrote(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    onroot.edit(document(root, "c"), lambda fields: fields.update(theirs={"kept": 1}))
    state.save_checkpoint(thread, "c", 2)
    found = state.load_checkpoint(thread, "c")
    assert found is not None
    assert (found.state, found.extra) == (2, {"theirs": {"kept": 1}})


def test_numbers_that_another_program_wrote_are_never_rounded(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 0)
    text = document(root, "c").read_text()
    document(root, "c").write_text(text.replace('"state": 0', f'"state": {2**70}'))
    found = state.load_checkpoint(thread, "c")
    assert found is not None
    assert found.state == 2**70


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_what_json_cannot_hold_is_refused_before_anything_changes(
    state: StateStore, root: Path, thread: str, value: object
) -> None:
    for name in ("new", "old"):
        before = onroot.snapshot(root)
        for wrong in (value, {"deep": [value]}):
            with pytest.raises(ValueError, match=r"JSON|surrogate"):
                state.save_checkpoint(thread, name, wrong)
        assert onroot.snapshot(root) == before
        state.save_checkpoint(thread, "old", "kept")


def test_a_state_nested_too_deep_is_refused_before_anything_changes(state: StateStore, root: Path, thread: str) -> None:
    before = onroot.snapshot(root)
    for depth in (254, 255, 300, 100_000):
        nested: object = 1
        for _ in range(depth):
            nested = [nested]
        with pytest.raises(ValueError, match="JSON"):
            state.save_checkpoint(thread, "c", nested)
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="JSON"):
        state.save_checkpoint(thread, "c", endless)
    assert onroot.snapshot(root) == before


def test_every_name_up_to_1000_characters_has_its_own_checkpoint_and_comes_back(
    state: StateStore, root: Path, thread: str
) -> None:
    for name in onroot.STRANGE_IDS:
        state.save_checkpoint(thread, name, f"{name!r}")
    with StateStore.open(root) as again:
        assert names(again, thread) == list(reversed(onroot.STRANGE_IDS))
        for name in onroot.STRANGE_IDS:
            found = again.load_checkpoint(thread, name)
            assert found is not None
            assert (found.checkpoint_id, found.state) == (name, f"{name!r}")
    files = [path.name.casefold() for path in onroot.in_thread(root, thread, "checkpoints").iterdir()]
    assert len(set(files)) == len(onroot.STRANGE_IDS)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize("name", ["", "x" * 1001, "half \ud800"])
def test_a_name_that_cannot_be_kept_is_a_value_error(state: StateStore, root: Path, thread: str, name: str) -> None:
    before = onroot.snapshot(root)
    calls = (
        lambda: state.save_checkpoint(thread, name, 1),
        lambda: state.load_checkpoint(thread, name),
        lambda: state.delete_checkpoint(thread, name),
        lambda: state.list_checkpoints(name),
    )
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert onroot.snapshot(root) == before


def test_checkpoints_outlive_what_is_done_to_their_thread(state: StateStore, root: Path, thread: str) -> None:
    message = state.append_message(thread, "user", "hi")
    state.save_checkpoint(thread, "latest", {"reason": "turn", "message_id": message})
    state.clear_messages(thread)
    state.upsert_thread(ThreadMetadata(id=thread, name="renamed"))
    state.mark_archived(thread)
    found = StateStore.open(root).load_checkpoint(thread)
    assert found is not None
    assert found.state == {"reason": "turn", "message_id": message}


def test_checkpoints_of_two_threads_are_apart(state: StateStore, thread: str) -> None:
    state.upsert_thread(ThreadMetadata(id="other"))
    state.save_checkpoint(thread, "c", 1)
    state.save_checkpoint("other", "c", 2)
    assert state.delete_checkpoint(thread, "c") is True
    assert names(state, thread) == []
    assert [found.state for found in state.list_checkpoints("other")] == [2]


# list_checkpoints


def test_a_limit_is_100_where_nothing_is_said_none_is_all_and_0_is_none(root: Path) -> None:
    with StateStore.open(root, durability="process") as state:
        state.upsert_thread(ThreadMetadata(id="t"))
        for number in range(103):
            state.save_checkpoint("t", f"c{number}", number)
        newest = [f"c{number}" for number in range(102, -1, -1)]
        assert [found.checkpoint_id for found in state.list_checkpoints("t")] == newest[:100]
        assert (names(state, "t", None), names(state, "t", 0), names(state, "t", 3)) == (newest, [], newest[:3])
        assert names(state, "t", 1_000) == newest
        with pytest.raises(ValueError, match="-1"):
            state.list_checkpoints("t", -1)


def test_a_thread_without_checkpoints_or_no_thread_lists_none(state: StateStore, thread: str) -> None:
    assert state.list_checkpoints(thread) == state.list_checkpoints("missing") == []
    with pytest.raises(ValueError, match="-1"):
        state.list_checkpoints("missing", -1)


def test_strange_files_among_the_checkpoints_are_passed_over(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    for name in ("UPPER.json", "notes.txt", ".c.json.swp", "c.json~"):
        document(root, "c").with_name(name).write_text("not mine")
    try:
        assert names(state, thread) == ["c"]
        state.save_checkpoint(thread, "d", 2)
        assert names(state, thread) == ["d", "c"]
        assert state.load_checkpoint(thread) == state.load_checkpoint(thread, "d")
    finally:
        for name in ("UPPER.json", "notes.txt", ".c.json.swp", "c.json~"):
            document(root, "c").with_name(name).unlink()


# delete_checkpoint


def test_delete_says_whether_there_was_one_and_keeps_a_copy(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", "precious")
    before = document(root, "c").read_bytes()
    found = [state.delete_checkpoint(thread, name) for name in ("other", "c", "c")]
    assert found == [False, True, False]
    assert state.delete_checkpoint("missing", "c") is False
    assert [path.read_bytes() for path in root.glob(".fsstore/trash/*/threads/t/checkpoints/c.json")] == [before]
    assert (state.load_checkpoint(thread), state.load_checkpoint(thread, "c"), names(state, thread)) == (None, None, [])


def test_after_a_deletion_the_next_oldest_is_the_newest(state: StateStore, thread: str) -> None:
    for number, name in enumerate("abc"):
        state.save_checkpoint(thread, name, number)
    state.delete_checkpoint(thread, "c")
    newest = state.load_checkpoint(thread)
    assert newest is not None
    assert newest.checkpoint_id == "b"
    assert (names(state, thread, 1), names(state, thread)) == (["b"], ["b", "a"])


def test_a_deleted_checkpoint_can_be_saved_again_and_keeps_nothing_of_the_old(
    state: StateStore, root: Path, thread: str
) -> None:
    state.save_checkpoint(thread, "c", "old")
    onroot.edit(document(root, "c"), lambda fields: fields.update(theirs="of the old one"))
    state.delete_checkpoint(thread, "c")
    state.save_checkpoint(thread, "d", 1)
    state.save_checkpoint(thread, "c", "new")
    newest = state.load_checkpoint(thread)
    assert newest is not None
    assert (newest.checkpoint_id, newest.state, newest.extra) == ("c", "new", {})
    assert state.delete_checkpoint(thread, "c") is True
    assert len(list(root.glob(".fsstore/trash/*/threads/t/checkpoints/c.json"))) == 2


# Threads that are not there


def test_saving_into_no_thread_raises_and_makes_nothing(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    state.delete_thread(thread)
    before = onroot.snapshot(root)
    for missing in (thread, "missing"):
        with pytest.raises(ThreadNotFoundError, match=missing):
            state.save_checkpoint(missing, "c", 2)
        assert (state.load_checkpoint(missing), state.load_checkpoint(missing, "c")) == (None, None)
        assert (state.list_checkpoints(missing), state.delete_checkpoint(missing, "c")) == ([], False)
    assert onroot.snapshot(root) == before
    state.upsert_thread(ThreadMetadata(id=thread))
    assert state.list_checkpoints(thread) == []


# Damage


@pytest.mark.damaged
@pytest.mark.parametrize("data", onroot.CORRUPT.values(), ids=onroot.CORRUPT)
def test_3a_19_a_corrupt_checkpoint_is_an_error_and_nothing_older_is_taken_for_it(
    state: StateStore, root: Path, thread: str, data: bytes
) -> None:
    state.save_checkpoint(thread, "older", "intact")
    state.save_checkpoint(thread, "c", "newest")
    document(root, "c").write_bytes(data)
    calls = (
        lambda: state.load_checkpoint(thread, "c"),
        lambda: state.load_checkpoint(thread),
        lambda: state.save_checkpoint(thread, "c", "over it"),
    )
    for call in calls:
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(document(root, "c"))
        assert raised.value.reason
    assert names(state, thread) == ["older"]
    older = state.load_checkpoint(thread, "older")
    assert older is not None
    assert older.state == "intact"
    assert document(root, "c").read_bytes() == data
    assert [problem.kind for problem in Store.open(root).check()] == ["corrupt"]


@pytest.mark.damaged
def test_a_hole_in_the_newest_state_is_an_error_and_in_an_older_one_is_not(state: StateStore, root: Path, thread: str) -> None:
    for name in ("older", "newest"):
        state.save_checkpoint(thread, name, {"text": "x" * 20_000})
    good = document(root, "older").read_bytes()
    document(root, "older").write_bytes(good[:5_000] + b"\0" * 100 + good[5_100:])  # its end still says when it was saved
    newest = state.load_checkpoint(thread)
    assert newest is not None
    assert newest.checkpoint_id == "newest"
    good = document(root, "newest").read_bytes()
    document(root, "newest").write_bytes(good[:5_000] + b"\0" * 100 + good[5_100:])
    with pytest.raises(CorruptError) as raised:
        state.load_checkpoint(thread)
    assert raised.value.path == str(document(root, "newest"))
    assert names(state, thread) == []


@pytest.mark.damaged
def test_beside_a_corrupt_one_saving_goes_on_and_a_deletion_is_the_way_out(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    document(root, "c").write_bytes(b"{")
    state.save_checkpoint(thread, "d", 2)
    assert names(state, thread) == ["d"]
    with pytest.raises(CorruptError):  # nobody can tell whether it is older
        state.load_checkpoint(thread)
    assert state.delete_checkpoint(thread, "c") is True
    assert [path.read_bytes() for path in root.glob(".fsstore/trash/*/threads/t/checkpoints/c.json")] == [b"{"]
    newest = state.load_checkpoint(thread)
    assert newest is not None
    assert newest.checkpoint_id == "d"
    state.save_checkpoint(thread, "c", 3)
    assert names(state, thread) == ["c", "d"]
    assert list(Store.open(root).check()) == []


@pytest.mark.damaged
def test_a_checkpoint_in_anothers_place_is_corrupt(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    document(root, "d").write_bytes(document(root, "c").read_bytes())
    with pytest.raises(CorruptError, match="'c'"):
        state.load_checkpoint(thread, "d")
    with pytest.raises(CorruptError):
        state.load_checkpoint(thread)
    assert names(state, thread) == ["c"]


def test_a_refusal_of_the_system_is_never_taken_for_no_checkpoint(
    state: StateStore, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save_checkpoint(thread, "c", 1)
    onroot.refuse_to_open(monkeypatch, "checkpoints")
    calls = (
        lambda: state.load_checkpoint(thread, "c"),
        lambda: state.load_checkpoint(thread),
        lambda: state.list_checkpoints(thread),
        lambda: state.save_checkpoint(thread, "c", 2),
        lambda: state.delete_checkpoint(thread, "c"),
    )
    for call in calls:
        with pytest.raises(PermissionError):
            call()
    monkeypatch.undo()
    assert [found.state for found in state.list_checkpoints(thread)] == [1]


# Beside others


def test_checkpoints_are_read_without_a_lock_and_written_under_the_threads(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    with children.holding(root, thread), StateStore.open(root, lock_timeout=0) as other:
        assert other.load_checkpoint(thread) == other.load_checkpoint(thread, "c") == other.list_checkpoints(thread)[0]
        for call in (lambda: other.save_checkpoint(thread, "c", 2), lambda: other.delete_checkpoint(thread, "c")):
            with pytest.raises(LockTimeoutError):
                call()
    assert [found.state for found in state.list_checkpoints(thread)] == [1]


def test_a_checkpoint_of_one_store_is_the_newest_of_the_other(state: StateStore, root: Path, thread: str) -> None:
    with StateStore.open(root) as second:
        for number in range(6):
            (state, second)[number % 2].save_checkpoint(thread, f"c{number}", number)
            for opened in (state, second):
                assert names(opened, thread) == [f"c{earlier}" for earlier in range(number, -1, -1)]


def test_the_order_is_that_of_the_saving_even_where_the_clock_went_back(
    state: StateStore, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save_checkpoint(thread, "first", 1)
    then = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: then / 1e9, time_ns=lambda: then))
    state.save_checkpoint(thread, "second", 2)
    state.save_checkpoint(thread, "first", 3)
    assert names(state, thread) == ["first", "second"]
    first, second = state.list_checkpoints(thread)
    assert first.created_at == second.created_at == then // 1_000_000_000


def test_reading_checkpoints_changes_nothing(state: StateStore, root: Path, thread: str) -> None:
    state.save_checkpoint(thread, "c", 1)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    before = onroot.snapshot(root)
    with Store.open(root, read_only=True) as reader:
        checkpoints = reader.thread(thread).checkpoints
        assert [found.state for found in checkpoints] == [1]
        assert checkpoints.newest() == checkpoints["c"]
    assert onroot.snapshot(root) == before
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times
