"""What goal, checkpoints, jobs, workflows, rename, archive and rm have in common."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from command import COMMAND, everything, fsstore, terminal

from fsstore import Store
from fsstore.records.jobs import JobStateRecord

EVIL = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b2J\u202e\u2028\x00\x7f\rback"
SAFE = r"\x1b]0;title\x07\x1b[31mred"

READING = [
    ["goal", "chat"],
    ["checkpoints", "chat"],
    ["checkpoints", "chat", "saved"],
    ["jobs"],
    ["jobs", "job"],
    ["workflows"],
    ["workflows", "run"],
]
WRITING = [
    ["goal", "chat", "--set", "x"],
    ["goal", "chat", "--status", "paused"],
    ["goal", "chat", "--clear"],
    ["checkpoints", "chat", "--delete", "saved"],
    ["rename", "chat", "x"],
    ["archive", "chat"],
    ["rm", "chat"],
]


def fill(store: Store, word: str) -> None:
    """Fill a store with one of everything, each text of it a word."""
    thread = store.threads.create(f"chat {word}", name=word)
    thread.goal.set(word)
    thread.checkpoints.save("saved", {word: word})
    thread.checkpoints.save(word, word)
    store.jobs.put(JobStateRecord(id=f"job {word}", name=word, detail=word))
    run = store.workflows.create(word, id=f"run {word}", goal=word, status=word, metadata=word)
    branch = run.branches.create(branch_id=word, node_id=word, status=word, result=word)
    run.leaves.create(branch_run_id=branch.id, leaf_id=word, task_id=word, status=word, output=word)
    node = run.control_nodes.create(node_id=word, kind=word, status=word, selected_children=[word], result={word: word})
    run.candidates.create(control_node_run_id=node.id, branch_run_id=branch.id, candidate_id=word, rationale=[word])


@pytest.fixture
def full(store: Store) -> Store:
    fill(store, "plain")
    return store


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_reading_changes_nothing_on_disk(full: Store, arguments: list[str], options: list[str]) -> None:
    full.close()
    before = everything(full.root)
    result = fsstore(*arguments, *options, "--root", full.root)
    assert (result.code, result.err) == (0, "")
    assert "plain" in result.out
    assert everything(full.root) == before


@pytest.mark.parametrize("arguments", READING + WRITING, ids=" ".join)
def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, arguments: list[str]) -> None:
    missing = tmp_path / "nowhere"
    assert f"no store at {missing}" in fsstore(*arguments, "--root", missing).error(2)
    assert not missing.exists()


@pytest.mark.parametrize("arguments", [line for line in READING + WRITING if "chat" in line], ids=" ".join)
def test_a_thread_is_named_by_a_beginning_that_no_other_has(full: Store, arguments: list[str]) -> None:
    full.threads.create("chat plain too")
    rest = arguments[2:]
    assert "2 threads begin with 'chat'" in fsstore(arguments[0], "chat", *rest, "--root", full.root).error(3)
    assert fsstore(arguments[0], "chatter", *rest, "--root", full.root).error(3) == "thread chatter not found"
    result = fsstore(arguments[0], "chat plain", *rest, "--root", full.root)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_writer_that_keeps_the_lock_is_named_and_nothing_is_changed(full: Store, arguments: list[str]) -> None:
    before = everything(f"{full.root}/threads")
    with full._root.locks[full.thread("chat plain").place.stripe]:
        error = fsstore(*arguments, "--lock-timeout", "0.1", "--root", full.root).error(4)
    assert "not free within 0.1 s: held by " in error
    assert everything(f"{full.root}/threads") == before


@pytest.fixture
def bound() -> list[str]:
    """Give a command line for which permissions count, whoever runs the tests."""
    if os.geteuid() != 0:
        return COMMAND
    if not shutil.which("setpriv"):
        pytest.skip("permissions mean nothing to root, and setpriv is not here")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *COMMAND]


@pytest.fixture
def locked(full: Store) -> Store:
    """Give a store in which nothing may be written."""
    full.close()
    directories = [Path(full.root), *(path for path in Path(full.root).rglob("*") if path.is_dir())]
    files = [path for path in Path(full.root).rglob("*") if path.is_file()]
    for path, mode in [*((file, 0o400) for file in files), *((directory, 0o500) for directory in directories)]:
        path.chmod(mode)
    yield full
    for path, mode in [*((directory, 0o700) for directory in directories), *((file, 0o600) for file in files)]:
        path.chmod(mode)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_store_in_which_nothing_may_be_written_can_be_read(locked: Store, bound: list[str], arguments: list[str]) -> None:
    result = fsstore(*arguments, "--root", locked.root, command=bound)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_store_in_which_nothing_may_be_written_is_not_changed(locked: Store, bound: list[str], arguments: list[str]) -> None:
    before = everything(locked.root)
    assert "Permission denied: " in fsstore(*arguments, "--root", locked.root, command=bound).error(1)
    assert everything(locked.root) == before


@pytest.mark.parametrize("arguments", [line for line in READING if line[-1] != "saved"] + WRITING[-3:], ids=" ".join)
def test_no_text_of_the_store_gets_control_of_the_terminal(store: Store, arguments: list[str]) -> None:
    fill(store, EVIL)
    shown = terminal(*arguments, "--root", store.root, columns=400)
    if arguments[0] == "rm":
        store.threads.create(f"chat {EVIL}")
    for result in (shown, fsstore(*arguments, "--root", store.root)):
        assert result.code == 0
        assert SAFE in result.out
        assert not [character for character in result.out if not (character.isprintable() or character == "\n")]


def test_a_name_that_is_set_gets_no_control_of_the_terminal(full: Store) -> None:
    result = fsstore("rename", "chat", EVIL.replace("\x00", ""), "--root", full.root)
    assert (result.code, SAFE in result.out, "\x1b" in result.out) == (0, True, False)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_json_carries_control_characters_escaped_and_exact(store: Store, arguments: list[str]) -> None:
    fill(store, EVIL)
    result = fsstore(*arguments, "--json", "--root", store.root)
    assert not [character for character in result.out if not (character.isprintable() or character == "\n")]
    assert EVIL in str_of(result.lines())


def str_of(value: object) -> str:
    """Give all texts of a JSON value, one after another."""
    if isinstance(value, dict):
        return "".join(str_of([key, inner]) for key, inner in value.items())
    return "".join(map(str_of, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("arguments", [line for line in READING if line[-1] != "saved"], ids=" ".join)
def test_nothing_is_wider_than_the_terminal(store: Store, arguments: list[str], columns: int) -> None:
    fill(store, "word " * 60)
    result = terminal(*arguments, "--root", store.root, columns=columns)
    assert result.code == 0
    lines = result.out.splitlines()
    assert max(map(len, lines[len(arguments) > 1 :])) <= columns  # a heading is whole, however long
    assert "word" in result.out


def test_a_list_of_many_is_printed_for_a_reader_that_goes_away(full: Store) -> None:
    for number in range(400):
        full.thread("chat plain").checkpoints.save(f"{number:03}" + "x" * 300, number)
    line = ["sh", "-c", '"$@" 2>&1 | head -n 1', "sh", *COMMAND]
    assert fsstore("checkpoints", "chat", "--root", full.root, command=line).out.startswith("CHECKPOINT")
