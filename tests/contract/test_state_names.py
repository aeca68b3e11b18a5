"""Names of threads in `StateStore` (contract 2A, rows 33 to 36, part 0 first), and the behaviours (20) to (22) of 3A."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contract_children as children
import onroot
import pytest

from fsstore import (
    CorruptError,
    InvalidNameError,
    LockTimeoutError,
    StateStore,
    Store,
    ThreadMetadata,
    ThreadNotFoundError,
    clock,
)
from fsstore.disk import fs


def index(root: Path) -> Path:
    return root / "session_index.jsonl"


def put(state: StateStore, id: str, name: str | None, updated_at: int, path: str | None = None) -> None:
    state.upsert_thread(ThreadMetadata(id=id, name=name, updated_at=updated_at, rollout_path=path))


# append_thread_name, find_thread_name_by_id


def test_the_thread_need_not_be_here(state: StateStore, root: Path) -> None:
    state.append_thread_name("elsewhere", "parser", 200, "/sessions/elsewhere.jsonl")
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_name_by_id("elsewhere") == "parser"
        assert opened.find_thread_path_by_name_str("parser") == "/sessions/elsewhere.jsonl"
        assert opened.get_thread("elsewhere") is None
        assert opened.list_threads() == []


def test_a_name_is_one_line_of_the_index(state: StateStore, root: Path) -> None:
    state.append_thread_name("elsewhere", "parser", 200, "/p")
    state.append_thread_name("elsewhere", None, 300)
    first, second = onroot.rows(index(root))
    assert clock.is_id(first.pop("id"))
    assert clock.is_id(second.pop("id"))
    assert first == {"thread_id": "elsewhere", "thread_name": "parser", "updated_at": 200, "rollout_path": "/p"}
    assert second == {"thread_id": "elsewhere", "thread_name": None, "updated_at": 300, "rollout_path": None}


def test_of_a_thread_that_is_not_here_the_newest_by_time_counts_and_of_one_time_the_last(state: StateStore) -> None:
    for name, time in (("first", 200), ("older", 100), ("same time", 200)):
        state.append_thread_name("elsewhere", name, time)
        assert state.find_thread_name_by_id("elsewhere") == ("first" if name == "older" else name)
    state.append_thread_name("elsewhere", None, 200)
    assert state.find_thread_name_by_id("elsewhere") is None


def test_a_thread_that_is_here_is_renamed_and_nothing_else_of_it_changes(state: StateStore, thread: str) -> None:
    state.append_message(thread, "user", "hi")
    before = state.get_thread(thread)
    assert before is not None
    state.append_thread_name(thread, "parser", 200)
    assert state.get_thread(thread) == ThreadMetadata(
        id=thread, name="parser", created_at=100, updated_at=100, current_leaf_id=before.current_leaf_id
    )
    state.append_thread_name(thread, "with a path", 200, "/p")
    assert (state.find_rollout_path_by_id(thread), state.find_thread_path_by_name_str("WITH A PATH")) == ("/p", "/p")
    state.append_thread_name(thread, "keeps the path", 200)
    assert (state.find_rollout_path_by_id(thread), state.find_thread_name_by_id(thread)) == ("/p", "keeps the path")
    state.append_thread_name(thread, None, 200)
    assert state.find_thread_name_by_id(thread) is None


def test_a_name_older_than_the_thread_does_not_rename_it(state: StateStore, root: Path) -> None:
    put(state, "t", "current", 100)
    state.append_thread_name("t", "older", 99)
    assert state.find_thread_name_by_id("t") == "current"
    assert state.find_thread_path_by_name_str("older") is None
    assert [row["thread_name"] for row in onroot.rows(index(root))] == ["current", "older"]  # noted all the same
    state.append_thread_name("t", "of the same time", 100)
    assert state.find_thread_name_by_id("t") == "of the same time"


def test_an_upsert_names_the_thread_and_takes_its_name_away(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 100, "/p")
    assert state.find_thread_name_by_id("t") == "parser"
    put(state, "t", None, 200, "/p")
    assert (state.find_thread_name_by_id("t"), state.find_thread_path_by_name_str("parser")) == (None, None)
    put(state, "t", "again", 50, "/p")  # whatever its time: the thread's own record is the truth
    assert StateStore.open(root).find_thread_path_by_name_str("again") == "/p"


def test_no_name_is_none(state: StateStore, thread: str) -> None:
    assert (state.find_thread_name_by_id(thread), state.find_thread_name_by_id("missing")) == (None, None)
    assert state.find_thread_path_by_name_str("missing") is None


@pytest.mark.parametrize("name", ["", " ", "new\nline", "nul\0", 'quo"te \\', "\N{PILE OF POO}", "x" * 100_000])
def test_any_text_is_a_name(state: StateStore, root: Path, thread: str, name: str) -> None:
    state.append_thread_name(thread, name, 200, "/here")
    state.append_thread_name("elsewhere", f"{name}!", 200, "/elsewhere")
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_names_by_ids([thread, "elsewhere"]) == {thread: name, "elsewhere": f"{name}!"}
        assert opened.find_thread_path_by_name_str(name) == "/here"
        assert opened.find_thread_path_by_name_str(f"{name}!") == "/elsewhere"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"thread_name": 5}, {"thread_name": b"raw"}, {"thread_name": "half \ud800"}, {"rollout_path": Path("/p")}),
        *({"rollout_path": "half \ud800"}, {"updated_at": None}, {"updated_at": "now"}, {"updated_at": 1.5}),
        *({"updated_at": True}, {"updated_at": 2**64}),
    ],
    ids=repr,
)
def test_what_is_no_name_no_path_or_no_time_is_refused_before_anything_changes(
    state: StateStore, root: Path, thread: str, wrong: dict[str, Any]
) -> None:
    before = onroot.snapshot(root)
    for id in (thread, "elsewhere"):
        with pytest.raises(ValueError, match=rf"{next(iter(wrong)).removeprefix('thread_')}|JSON"):
            state.append_thread_name(id, **{"thread_name": "good", "updated_at": 200, **wrong})
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("wrong", [{"name": 5}, {"name": ["n"]}, {"name": "n", "rollout_path": 5}], ids=repr)
def test_an_upsert_of_what_is_no_name_or_no_path_is_refused_before_anything_changes(
    state: StateStore, root: Path, thread: str, wrong: dict[str, Any]
) -> None:
    before = onroot.snapshot(root)
    for id in (thread, "new"):
        with pytest.raises(ValueError, match="string or None"):
            state.upsert_thread(ThreadMetadata(id=id, **wrong))
    assert onroot.snapshot(root) == before


def test_a_time_taken_from_a_record_is_a_time(state: StateStore, root: Path) -> None:
    state.append_thread_name("elsewhere", "parser", ThreadMetadata(id="elsewhere").updated_at)
    assert StateStore.open(root).find_thread_name_by_id("elsewhere") == "parser"


@pytest.mark.parametrize("id", ["", "x" * 1001, "half \ud800"])
def test_an_id_that_cannot_be_kept_is_a_value_error(state: StateStore, root: Path, id: str) -> None:
    before = onroot.snapshot(root)
    calls: tuple[Callable[[], object], ...] = (
        lambda: state.append_thread_name(id, "name", 1),
        lambda: state.find_thread_name_by_id(id),
        lambda: state.find_thread_names_by_ids(["t", id]),
    )
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert onroot.snapshot(root) == before


def test_keys_of_the_thread_that_no_field_knows_are_kept_by_a_renaming(state: StateStore, root: Path, thread: str) -> None:
    onroot.edit(onroot.meta(root, thread), lambda fields: fields.update(theirs="kept"))
    state.append_thread_name(thread, "parser", 200)
    found = state.get_thread(thread)
    assert found is not None
    assert (found.name, found.extra) == ("parser", {"theirs": "kept"})


# find_thread_names_by_ids


def test_every_id_asked_for_is_a_key(state: StateStore) -> None:
    put(state, "named", "parser", 100)
    put(state, "nameless", None, 100)
    state.append_thread_name("elsewhere", "far", 100)
    asked = ["missing", "elsewhere", "nameless", "named", "named"]
    expected = {"missing": None, "elsewhere": "far", "nameless": None, "named": "parser"}
    assert state.find_thread_names_by_ids(asked) == state.find_thread_names_by_ids(iter(asked)) == expected
    assert list(state.find_thread_names_by_ids(asked)) == list(expected)
    assert state.find_thread_names_by_ids([]) == {}


# find_thread_path_by_name_str


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Fix The Parser", "fIX tHE pARSER"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u0130stanbul", "i\u0307stanbul"),
        ("\u03c2", "\u03a3"),
    ],
)
def test_a_name_is_found_whatever_its_case(state: StateStore, root: Path, name: str, asked: str) -> None:
    put(state, "here", name, 100, "/here")
    state.append_thread_name("elsewhere", f"{name} too", 100, "/elsewhere")
    for opened in (state, StateStore.open(root)):
        assert (opened.find_thread_path_by_name_str(asked), opened.find_thread_path_by_name_str(name)) == ("/here", "/here")
        assert opened.find_thread_path_by_name_str(f"{asked} TOO") == "/elsewhere"
        assert opened.find_thread_path_by_name_str(f"{asked}x") is None


def test_of_several_the_most_recently_updated_that_has_a_path_is_found(state: StateStore) -> None:
    put(state, "a", "parser", 100, "/a")
    state.append_thread_name("b", "Parser", 200, "/b")
    put(state, "c", "PARSER", 150, "/c")
    assert state.find_thread_path_by_name_str("parser") == "/b"
    put(state, "d", "parser", 900)  # the newest has no path: an older one is better than none
    assert state.find_thread_path_by_name_str("parser") == "/b"
    put(state, "a", "parser", 300, "/a")
    assert state.find_thread_path_by_name_str("parser") == "/a"


def test_only_a_nameless_path_is_none(state: StateStore) -> None:
    put(state, "a", "parser", 100)
    state.append_thread_name("b", "parser", 200)
    assert state.find_thread_path_by_name_str("parser") is None


def test_an_old_name_of_a_renamed_thread_is_not_found(state: StateStore, root: Path) -> None:
    put(state, "here", "old", 100, "/here")
    put(state, "here", "new", 200, "/here")
    state.append_thread_name("elsewhere", "old", 100, "/elsewhere")
    state.append_thread_name("elsewhere", "new too", 200, "/elsewhere")
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_path_by_name_str("old") is None
        assert opened.find_thread_path_by_name_str("new") == "/here"
        assert opened.find_thread_path_by_name_str("new too") == "/elsewhere"


def test_archived_threads_are_found_by_name(state: StateStore) -> None:
    put(state, "t", "parser", 100, "/t")
    state.mark_archived("t")
    assert (state.find_thread_path_by_name_str("parser"), state.find_thread_name_by_id("t")) == ("/t", "parser")


# Deleted threads


def test_a_deleted_thread_is_not_found_and_takes_no_late_name(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 100, "/t")
    state.delete_thread("t")
    before = onroot.snapshot(root)
    with pytest.raises(ThreadNotFoundError):
        state.append_thread_name("t", "late", 900, "/late")
    assert onroot.snapshot(root) == before
    for opened in (state, StateStore.open(root)):
        assert (opened.find_thread_name_by_id("t"), opened.find_rollout_path_by_id("t")) == (None, None)
        assert opened.find_thread_names_by_ids(["t"]) == {"t": None}
        assert opened.find_thread_path_by_name_str("parser") is None
    put(state, "t", "reborn", 100, "/t")
    assert (state.find_thread_path_by_name_str("reborn"), state.find_thread_path_by_name_str("parser")) == ("/t", None)
    state.append_thread_name("t", "renamed", 200)
    assert state.find_thread_name_by_id("t") == "renamed"


# The thread's own record is the truth, the index a log that can be made again


def test_names_are_found_without_the_index_and_the_next_open_makes_it_again(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 100, "/t")
    put(state, "nameless", None, 100, "/nameless")
    index(root).unlink()
    with Store.open(root, read_only=True) as reader:
        assert (reader.names.get("t"), reader.names.path_of("PARSER")) == ("parser", "/t")
    assert not index(root).exists()
    with StateStore.open(root) as again:
        assert again.find_thread_path_by_name_str("parser") == "/t"
    assert [(row["thread_id"], row["thread_name"], row["rollout_path"]) for row in onroot.rows(index(root))] == [
        ("t", "parser", "/t")
    ]


@pytest.mark.damaged
@pytest.mark.parametrize("lost", ["nothing", "all", "the other's line"])
def test_a_thread_that_came_from_another_machine_is_found_though_no_index_names_it(
    state: StateStore, root: Path, lost: str
) -> None:
    put(state, "t", "parser", 100, "/t")
    put(state, "other", "other", 100, "/other")
    lines = index(root).read_bytes().splitlines(keepends=True)
    index(root).write_bytes({"nothing": b"".join(lines), "all": b"", "the other's line": lines[1]}[lost])
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_path_by_name_str("parser") == "/t"
        assert opened.find_thread_name_by_id("t") == "parser"


def test_an_index_that_says_another_name_than_the_thread_is_not_believed(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 100, "/t")
    (row,) = onroot.rows(index(root))
    wrong = {**row, "id": clock.new_id(str(row["id"])), "thread_name": "wrong", "updated_at": 900, "rollout_path": "/wrong"}
    with index(root).open("a") as file:
        file.write(json.dumps(wrong) + "\n")
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_path_by_name_str("wrong") is None
        assert (opened.find_thread_path_by_name_str("parser"), opened.find_thread_name_by_id("t")) == ("/t", "parser")


@pytest.mark.damaged
def test_a_corrupt_thread_is_an_error_by_its_id_and_passed_over_by_name(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 200, "/t")
    put(state, "older", "parser", 100, "/older")
    onroot.meta(root, "t").write_text("{")
    with pytest.raises(CorruptError):
        state.find_thread_name_by_id("t")
    with pytest.raises(CorruptError):
        state.append_thread_name("t", "other", 300)
    assert onroot.meta(root, "t").read_text() == "{"
    assert state.find_thread_path_by_name_str("parser") == "/older"


@pytest.mark.damaged
@pytest.mark.parametrize("time", [None, "then", [5]], ids=repr)
def test_a_time_that_is_none_stops_no_look_up(state: StateStore, root: Path, time: object) -> None:
    put(state, "t", "parser", 200, "/t")
    put(state, "u", "parser", 100, "/u")
    onroot.edit(onroot.meta(root, "t"), lambda fields: fields.update(updated_at=time))
    assert state.find_thread_path_by_name_str("parser") == "/u"


def test_an_index_that_may_not_be_read_is_an_error(state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(state, "t", "parser", 200, "/t")
    onroot.refuse_to_open(monkeypatch, "session_index.jsonl")
    for call in (lambda: state.find_thread_path_by_name_str("parser"), lambda: state.find_thread_name_by_id("elsewhere")):
        with pytest.raises(PermissionError):
            call()
    assert state.find_thread_name_by_id("t") == "parser"  # which needs no index


def test_names_are_read_without_a_lock(state: StateStore, root: Path) -> None:
    put(state, "t", "parser", 200, "/t")
    with children.holding(root, "t"), StateStore.open(root, lock_timeout=0) as other:
        assert (other.find_thread_name_by_id("t"), other.find_thread_path_by_name_str("parser")) == ("parser", "/t")
        with pytest.raises(LockTimeoutError):
            other.append_thread_name("t", "not now", 300)
    assert state.find_thread_name_by_id("t") == "parser"


# Contract 3A


def test_3a_20_after_thousands_of_names_the_latest_is_kept(root: Path) -> None:
    with StateStore.open(root, durability="process") as state:
        put(state, "here", None, 0, "/here")
        for number in range(3_000):
            state.append_thread_name("elsewhere", f"name {number}", number, f"/{number}")
            if number % 100 == 90:
                state.append_thread_name("here", f"here {number}", number)
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_names_by_ids(["elsewhere", "here"]) == {"elsewhere": "name 2999", "here": "here 2990"}
        assert opened.find_thread_path_by_name_str("NAME 2999") == "/2999"
        assert opened.find_thread_path_by_name_str("name 2998") is None


@pytest.mark.damaged
@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:60] + b"\n",
        lambda line: line[:60] + b"~\n",
        lambda line: line[:60],
        lambda line: line.replace(b'"thread_name":"torn"', b'"thread_name":"\xff"'),
        lambda line: b"\0" * 20 + b"\n",
        lambda line: b"<<<<<<< ours\n",
        lambda line: line.replace(b'"thread_name":"torn"', b'"thread_name":5'),
        lambda line: line.replace(b'"thread_id":"torn",', b""),
        lambda line: line.replace(b'"updated_at":100', b'"updated_at":"now"'),
    ],
    ids=["torn", "sealed", "glued", "utf-8", "nul", "conflict", "no-name", "no-thread", "no-time"],
)
def test_3a_21_a_bad_line_between_two_good_ones_hides_neither(
    state: StateStore, root: Path, damage: Callable[[bytes], bytes]
) -> None:
    for id in ("before", "torn", "after"):
        state.append_thread_name(id, id, 100, f"/{id}")
    lines = index(root).read_bytes().splitlines(keepends=True)
    index(root).write_bytes(lines[0] + damage(lines[1]) + lines[2])
    for opened in (state, StateStore.open(root)):
        assert opened.find_thread_names_by_ids(["before", "after"]) == {"before": "before", "after": "after"}
        assert (opened.find_thread_path_by_name_str("BEFORE"), opened.find_thread_path_by_name_str("AFTER")) == (
            "/before",
            "/after",
        )
        assert opened.find_thread_name_by_id("torn") is None
        opened.append_thread_name("later", "later", 200)
        assert opened.find_thread_name_by_id("later") == "later"
    assert [problem.path for problem in Store.open(root).check()] == ["session_index.jsonl"]


def test_3a_22_a_name_noted_while_the_index_is_rewritten_is_not_lost(
    state: StateStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        state.append_thread_name(f"t{number}", f"name {number}", number)
    lines = index(root).read_bytes().splitlines(keepends=True)
    index(root).write_bytes(b"".join(lines[10:] + lines[:10]))  # as a merge leaves it: the next append sorts it
    stranger = json.dumps({**onroot.rows(index(root))[0], "id": clock.new_id(), "thread_id": "stranger"}) + "\n"
    beside = threading.Thread(target=StateStore.open(root).append_thread_name, args=("beside", "beside", 5))
    renamed = fs.rename

    def rename(old: str, new: str) -> None:
        if new == str(index(root)) and not beside.ident:  # the sorted copy is written, and not yet in its place
            beside.start()  # waits for the lock
            beside.join(0.2)
            assert beside.is_alive()
            with index(root).open("a") as file:  # asks nobody
                file.write(stranger)
        renamed(old, new)

    monkeypatch.setattr(fs, "rename", rename)
    state.append_thread_name("late", "late", 5)
    beside.join()
    for opened in (state, StateStore.open(root)):
        found = opened.find_thread_names_by_ids([*(f"t{number}" for number in range(20)), "beside", "late", "stranger"])
        assert found == {
            **{f"t{number}": f"name {number}" for number in range(20)},
            "beside": "beside",
            "late": "late",
            "stranger": "name 10",
        }
    noted = [str(row["id"]) for row in onroot.rows(index(root))]
    assert len(noted) == len(set(noted)) == 23
    state.append_thread_name("last", "last", 5)
    noted = [str(row["id"]) for row in onroot.rows(index(root))]
    assert noted == sorted(noted)
