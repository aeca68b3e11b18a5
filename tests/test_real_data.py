"""Real conversations: 60 Open Assistant trees and 500 of FastChat's come back as they went in.

What is expected is computed here from the source files, with nothing of the import.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fsstore import Message, Store
from fsstore.upkeep.imports import Imported, import_stream

OASST, SHAREGPT = "oasst/trees_60.jsonl", "fastchat/dummy_conversation.json"


def load(root: str | Path, data: Path) -> list[Imported]:
    results = []
    with Store.open(root, durability="process") as store:  # 560 threads; how they are synced is tested elsewhere
        for format, file in (("oasst", OASST), ("sharegpt", SHAREGPT)):
            with (data / file).open("rb") as stream:
                results += import_stream(store, format, stream, file)
    return results


@functools.cache
def imported(data: Path, beside: Path) -> tuple[Store, list[Imported]]:
    """Import everything once for all tests that only read."""
    root = beside / "real-data"
    results = load(root, data)
    return Store.open(root, read_only=True), results


@pytest.fixture
def full(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return imported(data, tmp_path_factory.getbasetemp())[0]


@pytest.fixture
def trees(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data / OASST).read_bytes().splitlines()]


@pytest.fixture
def talks(data: Path) -> list[dict[str, Any]]:
    return json.loads((data / SHAREGPT).read_bytes())


def below(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a source message and all below it, depth first."""
    return [message, *itertools.chain.from_iterable(below(reply) for reply in message["replies"])]


def branches(message: dict[str, Any], above: tuple[str, ...] = ()) -> list[list[str]]:
    """Give every path of ids from the root to a leaf."""
    path = (*above, message["message_id"])
    if not message["replies"]:
        return [list(path)]
    return [branch for reply in message["replies"] for branch in branches(reply, path)]


def best_branch(message: dict[str, Any]) -> list[str]:
    if not message["replies"]:
        return [message["message_id"]]
    return [message["message_id"], *best_branch(min(message["replies"], key=lambda reply: reply.get("rank", 1 << 30)))]


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def git(root: str | Path, *args: str) -> str:
    person = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"]
    return subprocess.run(["git", "-C", str(root), *person, *args], capture_output=True, text=True, check=True).stdout


def test_every_conversation_is_a_thread_and_every_message_is_counted(
    data: Path, tmp_path_factory: pytest.TempPathFactory, trees: Any, talks: Any
) -> None:
    store, results = imported(data, tmp_path_factory.getbasetemp())
    assert len(results) == 560
    assert all(result.is_new for result in results)
    messages = sum(len(below(tree["prompt"])) for tree in trees) + sum(len(talk["conversations"]) for talk in talks)
    assert sum(result.added for result in results) == messages == 2684
    assert set(store.threads.ids()) == {tree["message_tree_id"] for tree in trees} | {talk["id"] for talk in talks}
    assert list(store.check()) == []


def test_every_message_of_a_tree_comes_back_byte_for_byte_with_all_its_keys(full: Store, trees: Any) -> None:
    for tree in trees:
        source = below(tree["prompt"])
        messages = list(full.thread(tree["message_tree_id"]).messages)
        assert ids(messages) == [said["message_id"] for said in source]
        for message, said in zip(messages, source, strict=True):
            assert (message.content, message.role, message.parent_id) == (said["text"], said["role"], said.get("parent_id"))
            known = ("message_id", "parent_id", "text", "role", "replies")
            assert message.extra == {key: value for key, value in said.items() if key not in known}
            assert message.created_at == 0


def test_every_leaf_and_every_branch_of_a_tree_agrees_with_the_source(full: Store, trees: Any) -> None:
    forked = 0
    for tree in trees:
        messages = full.thread(tree["message_tree_id"]).messages
        paths = branches(tree["prompt"])
        assert ids(messages.leaves()) == [path[-1] for path in paths]
        assert [ids(messages.branch(leaf=path[-1])) for path in paths] == paths
        assert ids(messages.branch()) == best_branch(tree["prompt"])
        forked += len(paths) > 1
    assert forked > 40


def test_every_talk_comes_back_byte_for_byte_on_one_branch(full: Store, talks: Any) -> None:
    roles = {"human": "user", "gpt": "assistant"}
    for talk in talks:
        messages = full.thread(talk["id"]).messages
        expected = [(roles[said["from"]], said["value"]) for said in talk["conversations"]]
        assert [(message.role, message.content) for message in messages] == expected
        assert messages.branch() == list(messages)
        assert len(messages.leaves()) == 1


def test_no_secret_is_seen_where_none_is(full: Store) -> None:
    assert list(full.secrets()) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_another_machine_writes_the_same_bytes_and_a_second_import_changes_nothing_that_git_sees(
    full: Store, data: Path, root: Path
) -> None:
    load(root, data)
    command = ["diff", "-r", "--exclude=.fsstore", full.root, str(root)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "imported")
    assert len(git(root, "ls-files", "threads").splitlines()) == 2 * 560
    assert sum(result.added for result in load(root, data)) == 0
    assert git(root, "status", "--porcelain") == ""
