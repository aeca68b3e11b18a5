"""Names of threads: found by candidates from the index, each held against the thread's own record."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import faults
import pytest
from damage import line_of

from fsstore import CorruptError, Store, ThreadInfo, clock, layout
from fsstore.disk.follow import TAIL
from fsstore.resources.index_view import IndexView
from fsstore.resources.names import Names


@pytest.fixture
def names(store: Store) -> Names:
    return store.names


def index(store: Store) -> Path:
    return Path(store.root, layout.INDEX)


def noted(store: Store) -> list[tuple[Any, ...]]:
    rows = [json.loads(line) for line in index(store).read_bytes().splitlines()]
    return [(row["thread_id"], row["thread_name"], row["updated_at"], row["rollout_path"]) for row in rows]


def fresh(store: Store, name: str) -> str | None:
    """Look a name up as another process would."""
    with Store.open(store.root, read_only=True) as other:
        return other.names.path_of(name)


def opened(calls: faults.Calls, store: Store) -> list[str]:
    """Give the files that were opened, below the root."""
    return [str(path).removeprefix(f"{store.root}/") for name, path in calls if name == "open_fd"]


# What is read for an answer


def test_the_name_of_a_thread_that_is_here_is_read_from_its_own_record_alone(store: Store, names: Names, monkeypatch):
    store.threads.create("t", name="parser")
    calls = faults.Calls(monkeypatch)
    assert names.get("t") == "parser"
    assert opened(calls, store) == ["threads/t/meta.json"]


def test_a_path_is_looked_up_in_the_index_and_held_against_the_candidates_alone(store: Store, names: Names, monkeypatch):
    for number in range(20):
        store.threads.create(f"t{number}", name=f"name {number % 10}", rollout_path=f"/{number}", updated_at=number)
    names.path_of("name 1")
    calls = faults.Calls(monkeypatch)
    assert names.path_of("NAME 3") == "/13"
    assert sorted(opened(calls, store)) == ["session_index.jsonl", "threads/t13/meta.json", "threads/t3/meta.json"]


def test_a_look_up_does_not_read_the_index_again(store: Store, names: Names, monkeypatch: pytest.MonkeyPatch):
    ids = clock.next_ids(0, clock.random_suffix(), 20_000)[1]
    rows = [{"id": id, "thread_id": f"t{at}", "thread_name": f"n{at}"} for at, id in enumerate(ids)]
    index(store).write_bytes(b"".join(line_of({**row, "updated_at": 1, "rollout_path": f"/{row['id']}"}) for row in rows))
    assert names.path_of("N7") == f"/{ids[7]}"
    count = faults.Bytes(monkeypatch)
    for at in range(10):
        assert (names.path_of(f"N{at}"), names.get(f"t{at}")) == (f"/{ids[at]}", f"n{at}")
    looks = 10 * 3  # a path is looked up in it twice
    assert count.take() <= looks * TAIL
    with Store.open(store.root) as other:
        other.names.append("t7", "other", 5, "/other")
    count.take()
    assert names.path_of("other") == "/other"
    assert names.path_of("N7") is None
    assert count.take() <= 6 * TAIL


def test_a_name_that_nobody_has_costs_a_look_at_each_thread_and_not_at_the_index(store: Store, names: Names, monkeypatch):
    for number in range(5):
        store.threads.create(f"t{number}", name="parser")
    names.path_of("warm")
    calls = faults.Calls(monkeypatch)
    assert names.path_of("nobody") is None
    assert {path for path in opened(calls, store) if path != layout.INDEX} == {f"threads/t{n}/meta.json" for n in range(5)}


# What is written


def test_a_name_is_noted_before_the_thread_takes_it(store: Store, names: Names, monkeypatch: pytest.MonkeyPatch):
    store.threads.put(ThreadInfo(id="t", updated_at=1, created_at=1))
    calls = faults.Calls(monkeypatch, ["write", "sync", "rename"])
    names.append("t", "parser", 5)
    assert calls.names() == ["write", "sync", "write", "sync", "rename"]
    assert noted(store) == [("t", "parser", 5, None)]


def test_a_name_that_cannot_be_noted_is_not_taken(store: Store, names: Names, monkeypatch: pytest.MonkeyPatch):
    store.threads.put(ThreadInfo(id="t", name="old", updated_at=1, created_at=1))
    faults.fail_once(monkeypatch, "write")
    with pytest.raises(OSError, match="Input/output"):
        names.append("t", "new", 5)
    assert (names.get("t"), noted(store)) == ("old", [("t", "old", 1, None)])
    names.append("t", "new", 5)
    assert names.get("t") == "new"


def test_a_name_that_was_noted_and_not_taken_is_not_believed(store: Store, names: Names, monkeypatch: pytest.MonkeyPatch):
    store.threads.put(ThreadInfo(id="t", name="old", updated_at=1, created_at=1, rollout_path="/t"))
    faults.fail_once(monkeypatch, "rename")
    with pytest.raises(OSError, match="Input/output"):
        names.append("t", "new", 5)
    assert [row[1] for row in noted(store)] == ["old", "new"]
    assert (names.get("t"), names.path_of("new"), names.path_of("old")) == ("old", None, "/t")
    assert (fresh(store, "new"), fresh(store, "old")) == (None, "/t")


def test_renaming_a_handle_notes_the_name(store: Store, names: Names):
    thread = store.threads.create("t", name="old", rollout_path="/t", updated_at=1)
    thread.rename("new")
    thread.rename(None)
    store.threads.update("t", name="newest", rollout_path="/other")
    store.threads.update("t", cwd="/elsewhere")
    assert noted(store) == [("t", "old", 1, "/t"), ("t", "new", 1, "/t"), ("t", None, 1, "/t"), ("t", "newest", 1, "/other")]
    assert (names.path_of("NEWEST"), fresh(store, "NEWEST"), names.path_of("new")) == ("/other", "/other", None)


def test_threads_of_hashed_names_are_found(store: Store, names: Names):
    for id in ("x" * 900, "y" * 900):
        store.threads.create(id, name=f"name of {id[0]}", rollout_path=f"/{id[0]}")
    os.unlink(index(store))
    assert names.path_of("name of X") == fresh(store, "name of X") == "/x"
    assert names.get_all(["x" * 900, "z" * 900]) == {"x" * 900: "name of x", "z" * 900: None}


@pytest.mark.damaged
def test_a_thread_with_the_name_by_its_record_alone_is_found_beside_an_index_that_does_not_know_it(store: Store, names: Names):
    store.threads.create("t", name="parser", rollout_path="/t")
    meta = Path(store.thread("t").directory, layout.META)
    meta.write_text(meta.read_text().replace('"parser"', '"edited by hand"'))
    assert (names.path_of("edited BY hand"), names.path_of("parser")) == ("/t", None)


# Making the index again


def test_a_lost_index_is_made_again_by_the_next_open_from_the_threads(store: Store):
    store.threads.create("a", name="one", rollout_path="/a", updated_at=3)
    store.threads.create("b")
    store.threads.create("c", name="", updated_at=4)
    os.unlink(index(store))
    Store.open(store.root)
    assert noted(store) == [("a", "one", 3, "/a"), ("c", "", 4, None)]
    before = index(store).read_bytes()
    Store.open(store.root)
    assert index(store).read_bytes() == before


def test_a_store_without_names_gets_no_index(store: Store):
    store.threads.create("a")
    Store.open(store.root)
    assert not index(store).exists()


@pytest.mark.damaged
def test_an_index_is_made_again_though_a_thread_cannot_be_read(store: Store):
    store.threads.create("a", name="one", updated_at=3)
    store.threads.create("b", name="two")
    os.unlink(index(store))
    Path(store.thread("b").directory, layout.META).write_text("{")
    with Store.open(store.root) as again:
        assert noted(store) == [("a", "one", 3, None)]
        with pytest.raises(CorruptError):
            again.names.get("b")


def test_an_open_that_only_reads_makes_no_index(store: Store):
    store.threads.create("a", name="one", rollout_path="/a")
    os.unlink(index(store))
    assert fresh(store, "ONE") == "/a"
    assert not index(store).exists()


# What the view of the index keeps


def test_the_index_keeps_the_newest_name_of_each_thread_and_every_name_ever_spoken(tmp_path: Path):
    ids = clock.next_ids(0, clock.random_suffix(), 5)[1]
    path = tmp_path / "index.jsonl"
    rows = [("t", "One", 5), ("t", "Two", 3), ("u", "one", 1), ("t", None, 5), ("v", "STRASSE", 0)]
    path.write_bytes(
        b"".join(
            line_of({"id": id, "thread_id": thread, "thread_name": name, "updated_at": time, "rollout_path": None})
            for id, (thread, name, time) in zip(ids, rows, strict=True)
        )
    )
    view = IndexView(str(path))
    view.refresh()
    assert {id: (noted.name, noted.updated_at) for id, noted in view.names.items()} == {
        "t": (None, 5),
        "u": ("one", 1),
        "v": ("STRASSE", 0),
    }
    assert view.spoken == {"one": {"t", "u"}, "two": {"t"}, "strasse": {"v"}}
    assert view.deletions == {}
