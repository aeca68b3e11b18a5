"""checkpoints."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from command import Result, fsstore

from fsstore import Store

STATE = {"files": 3, "said": "Gr\u00fc\u00dfe \x1b[31m\x9b\u202e\u2028", "deep": [[None, 1.5, {"a": True}]]}


@pytest.fixture
def saved(store: Store) -> Store:
    """A store of one thread with three checkpoints, the last of which was saved again, and a thread without any."""
    checkpoints = store.threads.create("work-1").checkpoints
    for name, state in (("first", STATE), ("second", None), ("third", "x" * 5_000), ("first", STATE)):
        checkpoints.save(name, state)
    store.threads.create("idle")
    return store


def path(store: Store, name: str) -> Path:
    return Path(store.thread("work-1").directory, "checkpoints", f"{name}.json")


def test_checkpoints_are_listed_the_last_saved_first(saved: Store) -> None:
    result = fsstore("checkpoints", "wo", "--root", saved.root)
    assert (result.code, result.err) == (0, "")
    heading, *rows = result.out.splitlines()
    assert heading == "CHECKPOINT  SAVED                   SIZE"
    shown = [re.fullmatch(r"(\w+) +\d{4}-\d\d-\d\d \d\d:\d\d +(\S+ \w+)", row) for row in rows]
    sizes = [f"{os.path.getsize(path(saved, name))} bytes" for name in ("first", "second")]
    assert [row and row.groups() for row in shown] == [("first", sizes[0]), ("third", "5.2 kB"), ("second", sizes[1])]


def test_checkpoints_for_programs_are_one_object_a_line_without_the_states(saved: Store) -> None:
    rows = fsstore("checkpoints", "work-1", "--json", "--root", saved.root).lines()
    assert [row["checkpoint_id"] for row in rows] == ["first", "third", "second"]
    assert rows[0] == {
        "thread_id": "work-1",
        "checkpoint_id": "first",
        "created_at": saved.thread("work-1").checkpoints["first"].created_at,
        "size": path(saved, "first").stat().st_size,
    }


def test_the_list_can_be_cut(saved: Store) -> None:
    shown = [fsstore("checkpoints", "work-1", "-n", str(limit), "--json", "--root", saved.root).lines() for limit in (0, 1, 9)]
    assert [[row["checkpoint_id"] for row in rows] for rows in shown] == [[], ["first"], ["first", "third", "second"]]


def test_a_thread_without_checkpoints_says_so(saved: Store) -> None:
    assert fsstore("checkpoints", "idle", "--root", saved.root) == Result(0, "No checkpoints of idle.\n", "")
    assert fsstore("checkpoints", "idle", "--json", "--root", saved.root) == Result(0, "", "")


def test_a_state_is_printed_as_json_that_no_terminal_obeys(saved: Store) -> None:
    result = fsstore("checkpoints", "work-1", "first", "--root", saved.root)
    assert json.loads(result.out) == STATE
    assert result.out.startswith('{\n  "deep": [\n')
    assert not [character for character in result.out if not (character.isprintable() or character == "\n")]
    assert fsstore("checkpoints", "work-1", "second", "--root", saved.root).out == "null\n"


@pytest.mark.parametrize(("name", "state"), [("first", STATE), ("second", None)])
def test_a_checkpoint_for_programs_is_one_object(saved: Store, name: str, state: object) -> None:
    (row,) = fsstore("checkpoints", "work-1", name, "--json", "--root", saved.root).lines()
    created = saved.thread("work-1").checkpoints[name].created_at
    assert row == {"thread_id": "work-1", "checkpoint_id": name, "state": state, "created_at": created}


def test_a_state_of_any_depth_is_printed(saved: Store) -> None:
    deep: list[object] = []
    for _ in range(240):
        deep = [deep]
    saved.thread("idle").checkpoints.save("deep", deep)
    assert json.loads(fsstore("checkpoints", "idle", "deep", "--root", saved.root).out) == deep


def test_a_checkpoint_is_deleted_once(saved: Store) -> None:
    done = fsstore("checkpoints", "work-1", "--delete", "first", "--root", saved.root)
    assert done == Result(0, "Deleted checkpoint first of work-1; a copy is in the store's trash.\n", "")
    assert list(Path(saved.root, ".fsstore", "trash").rglob("first.json"))
    assert fsstore("checkpoints", "work-1", "--delete", "first", "--root", saved.root).error(3) == "checkpoint first not found"
    assert fsstore("checkpoints", "work-1", "first", "--root", saved.root).error(3) == "checkpoint first not found"
    assert fsstore("checkpoints", "work-1", "--delete", "third", "--json", "--root", saved.root).lines() == [
        {"thread_id": "work-1", "checkpoint_id": "third", "deleted": True}
    ]
    assert saved.thread("work-1").checkpoints.ids() == ["second"]
    listed = fsstore("checkpoints", "work-1", "--json", "--root", saved.root)
    assert [row["checkpoint_id"] for row in listed.lines()] == ["second"]
    assert listed.err == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["first", "--delete", "first"], "NAME and --delete exclude"),
        (["first", "-n", "1"], "NAME and --limit exclude"),
        (["--delete", "first", "--limit", "0"], "--delete and --limit exclude"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_changes_nothing(saved: Store, options: list[str], said: str) -> None:
    assert said in fsstore("checkpoints", "work-1", *options, "--root", saved.root).error(2)
    assert saved.thread("work-1").checkpoints.ids() == ["first", "second", "third"]


@pytest.mark.damaged
@pytest.mark.parametrize("options", [[], ["--json"], ["-n", "1"], ["-n", "0"]], ids=" ".join)
def test_a_checkpoint_that_cannot_be_read_is_said_and_the_others_are_listed(saved: Store, options: list[str]) -> None:
    path(saved, "first").write_text("")
    result = fsstore("checkpoints", "work-1", *options, "--root", saved.root)
    assert result.code == 0
    assert [name for name in ("first", "second", "third") if name in result.out] == {
        "": ["second", "third"],
        "--json": ["second", "third"],
        "-n 1": ["third"],
        "-n 0": [],
    }[" ".join(options)]
    file = path(saved, "first")
    assert result.err == f"fsstore: passed over 1 checkpoint that cannot be read, the first: {file}: the file is empty\n"


@pytest.mark.damaged
def test_several_that_cannot_be_read_are_one_line_whatever_their_names(saved: Store) -> None:
    long = "\x1b" * 500  # its name ends in a hash
    saved.thread("work-1").checkpoints.save(long, 1)
    broken = Path(saved.thread("work-1").checkpoints.path(long))
    broken.write_text("{")
    path(saved, "second").write_bytes(path(saved, "third").read_bytes())
    result = fsstore("checkpoints", "work-1", "--root", saved.root)
    assert re.findall(r"^(\w+)", result.out, re.M) == ["CHECKPOINT", "first", "third"]
    assert result.err.startswith("fsstore: passed over 2 checkpoints that cannot be read, the first: ")
    assert result.err.count("\n") == 1


@pytest.mark.damaged
def test_a_checkpoint_that_cannot_be_read_is_never_printed_but_can_be_deleted(saved: Store) -> None:
    path(saved, "first").write_text("{")
    assert (
        fsstore("checkpoints", "work-1", "first", "--root", saved.root)
        .error(1)
        .startswith(f"corrupt: {path(saved, 'first')}: ")
    )
    assert fsstore("checkpoints", "work-1", "--delete", "first", "--root", saved.root).code == 0
    assert fsstore("checkpoints", "work-1", "--root", saved.root).err == ""
