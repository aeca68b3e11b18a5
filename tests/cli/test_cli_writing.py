"""append and import."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from command import Result, begun, everything, fsstore, terminal

from fsstore import Store

#: More than a pipe and a reader's buffer hold: when it is written, its reader has come back for more.
PLENTY = b"x" * 500_000
TREE = {
    "message_tree_id": "tree",
    "prompt": {
        "message_id": "p",
        "text": "Question",
        "role": "prompter",
        "replies": [
            {"message_id": str(rank), "text": f"Answer {rank}", "role": "assistant", "rank": rank, "replies": []}
            for rank in (1, 0)
        ],
    },
}


def talk(id: str, *values: str) -> dict[str, Any]:
    return {"id": id, "conversations": [{"from": ("human", "gpt")[at % 2], "value": value} for at, value in enumerate(values)]}


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    return written(tmp_path / "talks.json", [talk("one", "a", "b"), talk("two", "c")])


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    return written(tmp_path / "trees.jsonl", TREE)


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def last(store: Store, id: str = "chat") -> str:
    return store.thread(id).messages.branch(1)[0].content


# append


@pytest.fixture
def chat(store: Store) -> Store:
    store.threads.create("chat").messages.append("user", "Hello", given_id="first")
    return store


def test_append_adds_a_message_below_the_current_leaf_and_says_which(chat: Store) -> None:
    result = fsstore("append", "ch", "assistant", "Hi", "--root", chat.root)
    leaf = chat.thread("chat").messages.branch()[-1]
    assert (leaf.role, leaf.content, leaf.parent_id) == ("assistant", "Hi", "first")
    assert result == Result(0, f"Appended {leaf.id} to chat, below first.\n", "")


def test_append_for_programs_gives_the_message(chat: Store) -> None:
    (row,) = fsstore("append", "chat", "assistant", "Hi", "--json", "--root", chat.root).lines()
    leaf = chat.thread("chat").messages.branch()[-1]
    assert (row["id"], row["thread_id"], row["parent_id"], row["content"]) == (leaf.id, "chat", "first", "Hi")


@pytest.mark.parametrize("dash", [["-"], []], ids=["dash", "nothing"])
@pytest.mark.parametrize(("given", "kept"), [("Gr\u00fc\u00dfe\n", "Gr\u00fc\u00dfe"), ("a\n\nb\n\n", "a\n\nb\n"), ("", "")])
def test_append_reads_the_standard_input_but_for_the_newline_at_its_end(
    chat: Store, dash: list[str], given: str, kept: str
) -> None:
    assert fsstore("append", "chat", "user", *dash, "--root", chat.root, stdin=given.encode()).code == 0
    assert last(chat) == kept


def test_append_takes_a_text_that_begins_with_a_dash(chat: Store) -> None:
    assert fsstore("append", "--root", chat.root, "--", "chat", "user", "-n 3").code == 0
    assert last(chat) == "-n 3"


def test_append_begins_a_thread_and_a_store_only_when_asked(root: Path) -> None:
    assert "no store at" in fsstore("append", "new", "user", "Hello", "--root", root).error(2)
    assert not root.exists()
    first = fsstore("append", "new", "user", "Hello", "--create", "--root", root)
    again = fsstore("append", "new", "user", "More", "--create", "--root", root)
    other = fsstore("append", "ne", "user", "A thread of its own", "--create", "--root", root)
    assert [first.code, again.code, other.code] == [0, 0, 0]
    assert first.out.endswith("to new, as its first message.\n")
    store = Store.open(root)
    assert [message.content for message in store.thread("new").messages] == ["Hello", "More"]
    assert store.threads.ids() == ["ne", "new"]
    assert store.thread("new").info().preview == "Hello"
    assert fsstore("append", "other", "user", "Hello", "--root", root).error(3) == "thread other not found"


def test_append_refuses_what_is_no_text_and_changes_nothing(chat: Store) -> None:
    chat.close()
    before = everything(chat.root)
    assert "no UTF-8 text: byte 2" in fsstore("append", "chat", "user", "--root", chat.root, stdin=b"ab\xff").error(2)
    assert "UTF-8" in fsstore("append", "chat", "user", "ab\udcff", "--root", chat.root).error(1)
    assert "no UTF-8 text" in fsstore("append", "new", "user", "--create", "--root", chat.root, stdin=b"\xff").error(2)
    assert everything(f"{chat.root}/threads") == {path: entry for path, entry in before.items() if "/threads/" in path}


def test_a_writer_that_keeps_the_lock_is_named(chat: Store) -> None:
    with chat._root.locks[chat.thread("chat").place.stripe]:
        error = fsstore("append", "chat", "user", "Hi", "--lock-timeout", "0.1", "--root", chat.root).error(4)
    assert "not free within 0.1 s: held by " in error
    assert last(chat) == "Hello"


def test_ctrl_c_while_the_message_is_typed_adds_nothing(chat: Store) -> None:
    with begun("append", "chat", "user", "-", "--root", chat.root) as process:
        assert process.stdin is not None
        process.stdin.write(PLENTY)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"fsstore: interrupted\n")
    assert last(chat) == "Hello"


# import


def test_import_counts_what_it_did_and_twice_adds_nothing(root: Path, talks: Path, trees: Path) -> None:
    first = fsstore("import", "sharegpt", talks, "--root", root)
    assert first == Result(0, "2 threads (2 new): 3 messages added, 0 already there.\n", "")
    assert fsstore("import", "oasst", trees, "--root", root).out == "1 thread (1 new): 3 messages added, 0 already there.\n"
    before = everything(f"{root}/threads")
    assert fsstore("import", "sharegpt", talks, talks, "--root", root).out.startswith("4 threads (0 new): 0 messages added, 6 ")
    assert fsstore("import", "oasst", trees, "--root", root).out.startswith("1 thread (0 new): 0 messages added, 3 ")
    assert everything(f"{root}/threads") == before
    assert [message.content for message in Store.open(root).thread("tree").messages.branch()] == ["Question", "Answer 0"]


def test_import_for_programs_gives_one_object(root: Path, talks: Path) -> None:
    result = fsstore("import", "sharegpt", talks, "--json", "--root", root)
    assert result.lines() == [{"threads": 2, "new_threads": 2, "added": 3, "known": 0, "differing": []}]
    assert result.err == ""


def test_import_reads_the_standard_input(root: Path, talks: Path) -> None:
    assert fsstore("import", "sharegpt", "-", "--root", root, stdin=talks.read_bytes()).out.startswith("2 threads (2 new)")


def test_import_shows_its_progress_to_a_terminal_only(root: Path, tmp_path: Path) -> None:
    many = written(tmp_path / "many.json", [talk(f"t{number}", "a") for number in range(40)])
    shown = terminal("import", "sharegpt", many, "--root", root)
    assert "\u2501" in shown.out  # the bar
    assert shown.out.rstrip().endswith("40 threads (40 new): 40 messages added, 0 already there.")


def test_import_stops_at_what_is_no_conversation_and_counts_those_before(root: Path, tmp_path: Path, talks: Path) -> None:
    bad = written(tmp_path / "bad.json", [talk("three", "d"), {"id": "four"}, talk("five", "e")])
    result = fsstore("import", "sharegpt", talks, bad, "--root", root)
    assert (result.code, result.out) == (1, "3 threads (3 new): 4 messages added, 0 already there.\n")
    assert result.err == f"fsstore: {bad}, entry 2: 'conversations' is missing\n"
    assert Store.open(root).threads.ids() == ["one", "three", "two"]


def test_import_refuses_other_words_under_known_ids_and_goes_on(root: Path, tmp_path: Path, talks: Path) -> None:
    fsstore("import", "sharegpt", talks, "--root", root)
    other = written(tmp_path / "other.json", [talk("one", "a", "not b"), talk("three", "d")])
    result = fsstore("import", "sharegpt", other, "--root", root)
    assert (result.code, result.out) == (1, "2 threads (1 new): 1 message added, 1 already there.\n")
    assert result.err == "fsstore: 1 thread not changed, since other messages stand there under the same ids: one\n"
    assert last(Store.open(root), "one") == "b"


def test_import_of_a_missing_file_or_an_unknown_format_makes_no_store(root: Path, tmp_path: Path) -> None:
    assert "nowhere.json" in fsstore("import", "sharegpt", tmp_path / "nowhere.json", "--root", root).error(2)
    assert "'oasst', 'sharegpt'" in fsstore("import", "chatml", tmp_path, "--root", root).error(2)
    assert fsstore("import", "oasst", tmp_path, "--root", root).error(2)
    assert not root.exists()


def test_import_never_fills_a_directory_that_is_no_store(tmp_path: Path, talks: Path) -> None:
    assert "neither empty nor a store" in fsstore("import", "sharegpt", talks, "--root", tmp_path).error(2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["talks.json"]


def test_ctrl_c_keeps_and_counts_what_was_imported(root: Path) -> None:
    with begun("import", "oasst", "-", "--root", root) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(TREE).encode() + b"\n" + PLENTY)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, b"fsstore: interrupted\n")
    assert out == b"1 thread (1 new): 3 messages added, 0 already there.\n"
    assert len(Store.open(root).thread("tree").messages) == 3
