"""Imports: what becomes of a source's conversations, and that doing it twice, anywhere, is doing it once."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import processes
import pytest

from fsstore import Message, Store, clock
from fsstore.upkeep.conversation import SourceError
from fsstore.upkeep.imports import Imported, import_stream

_EMPTY_TREE = {"message_tree_id": "x"}


def said(id: str, /, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message_id": id, "text": f"text of {id}", "role": "assistant", "replies": list(replies), **more}


def tree(id: str, /, prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message_tree_id": id, "prompt": prompt, **more}


def talk(id: str, *values: str, **more: Any) -> dict[str, Any]:
    speakers = ["human", "gpt"]
    turns = [{"from": speakers[at % 2], "value": value} for at, value in enumerate(values)]
    return {"id": id, "conversations": turns, **more}


FOREST = [
    tree("t1", said("p", said("a", said("c", rank=1), said("d", rank=0), rank=1), said("b", said("e"), said("f"), rank=0))),
    tree("t2", said("q", lang="en", emojis={"+1": 3}), tree_state="ready"),
]
TALKS = [talk("one", "Hello", "Hi\nthere", "Bye \u00e9\U0001f600"), talk("two", "Only this"), talk("none")]


def oasst(store: Store, trees: list[Any]) -> list[Imported]:
    return load(store, "oasst", "".join(json.dumps(tree) + "\n" for tree in trees))


def sharegpt(store: Store, entries: list[Any]) -> list[Imported]:
    return load(store, "sharegpt", json.dumps(entries))


def load(store: Store, format: str, text: str | bytes) -> list[Imported]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(import_stream(store, format, io.BytesIO(data), "file"))


def refused(store: Store, format: str, text: str | bytes) -> str:
    with pytest.raises(SourceError) as caught:
        load(store, format, text)
    return str(caught.value)


def added(results: list[Imported]) -> int:
    return sum(result.added for result in results)


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def difference(one: Path | str, other: Path | str) -> str:
    """Give what diff(1) has to say of the threads of two roots."""
    command = ["diff", "-r", f"{one}/threads", f"{other}/threads"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def everything(root: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(root).rglob("*")) if path.is_file()}


# What an import makes


def test_a_tree_keeps_its_shape_depth_first(store: Store) -> None:
    oasst(store, FOREST)
    messages = store.thread("t1").messages
    assert ids(list(messages)) == ["p", "a", "c", "d", "b", "e", "f"]
    assert [message.parent_id for message in messages] == [None, "p", "a", "a", "p", "b", "b"]
    assert ids(messages.leaves()) == ["c", "d", "e", "f"]


def test_the_current_leaf_ends_the_best_ranked_path(store: Store) -> None:
    oasst(store, FOREST)
    assert ids(store.thread("t1").messages.branch()) == ["p", "b", "e"]  # b is ranked 0; its replies are not ranked: the first


def test_a_rank_beats_no_rank_and_the_last_message_needs_no_leaf_record(store: Store) -> None:
    oasst(store, [tree("t", said("p", said("a"), said("b", rank=3)))])
    assert ids(store.thread("t").messages.branch()) == ["p", "b"]
    assert len(Path(store.thread("t").messages.path).read_bytes().splitlines()) == 3


def test_a_tree_keeps_text_role_and_every_other_key(store: Store) -> None:
    oasst(store, FOREST)
    message = store.thread("t2").messages["q"]
    assert (message.content, message.role, message.extra) == ("text of q", "assistant", {"lang": "en", "emojis": {"+1": 3}})
    assert store.thread("t2").info().metadata == {"tree_state": "ready"}
    assert store.thread("t2").info().preview == "text of q"


def test_times_of_the_source_become_those_of_ids_messages_and_thread(store: Store) -> None:
    early, late = "2023-02-05T14:23:50.983374+00:00", "2023-02-05T15:00:00Z"
    oasst(store, [tree("t", said("p", said("a", created_date=late), created_date=early))])
    first, second = store.thread("t").messages
    assert clock.stamp_of(first.record_id) == 1675607030983 << 12
    assert (first.created_at, second.created_at) == (1675607030, 1675609200)
    assert first.extra == {"created_date": early}
    info = store.thread("t").info()
    assert (info.created_at, info.updated_at) == (1675607030, 1675609200)


def test_ids_ascend_also_where_the_times_do_not(store: Store) -> None:
    late, early = "2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z"
    oasst(store, [tree("t", said("p", said("a", created_date=early), said("b"), created_date=late))])
    records = [message.record_id for message in store.thread("t").messages]
    assert records == sorted(records)
    assert all(clock.is_id(record) for record in records)


def test_a_key_that_the_store_uses_itself_is_kept_under_source(store: Store) -> None:
    odd = {"content": 1, "id": "z", "source": "s", "run_id": 5, "created_at": "once"}
    oasst(store, [tree("t", said("p", **odd, type="leaf", versions=1))])
    message = store.thread("t").messages["p"]
    assert message.content == "text of p"
    assert message.extra == {"source": odd, "type": "leaf", "versions": 1}


def test_a_talk_becomes_one_branch_of_users_and_assistants(store: Store) -> None:
    results = sharegpt(store, TALKS)
    assert [(result.thread_id, result.is_new, result.added) for result in results] == [
        ("one", True, 3),
        ("two", True, 1),
        ("none", True, 0),
    ]
    branch = store.thread("one").messages.branch()
    assert [(m.role, m.content) for m in branch] == [
        ("user", "Hello"),
        ("assistant", "Hi\nthere"),
        ("user", "Bye \u00e9\U0001f600"),
    ]
    assert [m.parent_id for m in branch] == [None, branch[0].id, branch[1].id]
    assert [m.created_at for m in branch] == [0, 0, 0]
    assert all(m.id == m.record_id for m in branch)


def test_other_speakers_and_other_keys_of_a_talk_are_kept(store: Store) -> None:
    turns = [{"from": "system", "value": "Be kind.", "weight": 0}]
    sharegpt(store, [{"id": "t", "model": "m", "conversations": turns}])
    (message,) = store.thread("t").messages
    assert (message.role, message.content, message.extra) == ("system", "Be kind.", {"weight": 0})
    assert store.thread("t").info().metadata == {"model": "m"}


@pytest.mark.parametrize(
    "text",
    ["\n [ ] \n", '\ufeff[{"id":"t","conversations":[]}]', '{"id":"t","conversations":[]}\n\n{"id":"u","conversations":[]}'],
)
def test_an_array_may_be_empty_marked_or_missing_around_one_object_a_line(store: Store, text: str) -> None:
    assert len(load(store, "sharegpt", text)) == text.count('"id"')


def test_a_file_that_comes_byte_by_byte_reads_the_same(store: Store) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1)

    data = json.dumps(TALKS, ensure_ascii=False, indent=1).encode()
    assert added(list(import_stream(store, "sharegpt", Trickle(data), "file"))) == 4
    assert store.thread("one").messages.branch()[-1].content == "Bye \u00e9\U0001f600"


def test_the_derivation_of_ids_never_changes(store: Store) -> None:
    sharegpt(store, [talk("one", "Hello", "Hi")])
    oasst(store, [tree("t", said("p", created_date="2023-02-05T14:23:50Z"))])
    records = [message.record_id for id in ("one", "t") for message in store.thread(id).messages]
    assert records == [
        "00000000-0000-7000-bdb7-a3722ee997fe",
        "00000000-0000-7001-9510-f88e090186be",
        "018621f6-38f0-7000-9262-768f4c926e42",
    ]


# Twice, here and elsewhere


def test_the_same_import_on_two_machines_writes_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other")
    for machine in (store, other):
        oasst(machine, FOREST)
        sharegpt(machine, TALKS)
    assert difference(store.root, other.root) == ""
    assert len(store.threads.ids()) == 5


def test_a_second_import_changes_no_byte(store: Store) -> None:
    oasst(store, FOREST)
    sharegpt(store, TALKS)
    before = everything(store.root)
    results = oasst(store, FOREST) + sharegpt(store, TALKS)
    assert [(result.is_new, result.added, result.known) for result in results] == [(False, 0, n) for n in (7, 1, 3, 1, 0)]
    assert everything(store.root) == before


def test_four_processes_that_import_the_same_at_once_add_it_once(store: Store, tmp_path: Path) -> None:
    talks = [talk(f"t{number}", "a", "b", "c") for number in range(10)]
    counts = processes.run_all(import_in_child, [(store.root, talks)] * 4)
    assert sum(counts) == 30
    other = Store.open(tmp_path / "other")
    sharegpt(other, talks)
    assert difference(store.root, other.root) == ""


def import_in_child(root: str, talks: list[Any]) -> int:
    return added(sharegpt(Store.open(root), talks))


def test_a_thread_in_use_keeps_its_leaf_and_its_messages(store: Store) -> None:
    oasst(store, FOREST)
    mine = store.thread("t1").messages.fork("c", "user", "and then?")
    store.threads.update("t1", name="mine")
    assert added(oasst(store, FOREST)) == 0
    assert ids(store.thread("t1").messages.branch()) == ["p", "a", "c", mine.id]
    assert store.thread("t1").info().name == "mine"


def test_a_removed_message_stays_removed(store: Store) -> None:
    oasst(store, FOREST)
    store.thread("t1").messages.remove("b")
    assert added(oasst(store, FOREST)) == 0
    assert "b" not in store.thread("t1").messages


def test_cleared_messages_stay_cleared(store: Store) -> None:
    sharegpt(store, TALKS)
    store.thread("one").messages.clear()
    assert added(sharegpt(store, TALKS)) == 0
    assert len(store.thread("one").messages) == 0


def test_a_deleted_thread_comes_back_with_the_next_import_and_stays(store: Store) -> None:
    sharegpt(store, TALKS)
    store.threads.delete("one")
    store.threads.delete("none")
    assert added(sharegpt(store, TALKS)) == 3
    again = Store.open(store.root)
    assert [m.content for m in again.thread("one").messages.branch()] == ["Hello", "Hi\nthere", "Bye \u00e9\U0001f600"]
    assert "none" in again.threads
    assert added(sharegpt(store, TALKS)) == 0


def test_a_source_that_has_grown_adds_what_is_new_and_writes_what_another_machine_writes(store: Store, tmp_path: Path) -> None:
    longer = [talk("one", "Hello", "Hi\nthere", "Bye \u00e9\U0001f600", "See you", "Yes")]
    sharegpt(store, TALKS[:1])
    assert added(sharegpt(store, longer)) == 2
    assert [m.content for m in store.thread("one").messages.branch()][-2:] == ["See you", "Yes"]
    other = Store.open(tmp_path / "other")
    sharegpt(other, longer)
    assert difference(store.root, other.root) == ""


def test_what_is_new_below_a_thread_in_use_is_added_once_under_its_source_id(store: Store) -> None:
    sharegpt(store, [talk("t", "a")])
    mine = store.thread("t").messages.append("user", "mine")
    assert added(sharegpt(store, [talk("t", "a", "b")])) == 1
    assert added(sharegpt(store, [talk("t", "a", "b")])) == 0
    assert [m.content for m in store.thread("t").messages] == ["a", "mine", "b"]
    assert [m.content for m in store.thread("t").messages.branch()] == ["a", "b"]
    assert mine.id in store.thread("t").messages


def test_other_words_under_the_same_ids_are_refused_not_lost(store: Store) -> None:
    sharegpt(store, TALKS)
    before = everything(store.root)
    (result,) = sharegpt(store, [talk("one", "Hello", "Something else", "Bye", "More")])
    assert (result.added, result.known, result.differing) == (0, 2, 2)
    assert everything(store.root) == before


# Cut short


def test_an_import_killed_before_the_messages_is_completed_with_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other")
    for machine in (store, other):
        oasst(machine, FOREST)
    Path(store.thread("t1").messages.path).unlink()
    assert added(oasst(Store.open(store.root), FOREST)) == 7
    assert difference(store.root, other.root) == ""


@pytest.mark.parametrize("kept", [1, 3, 6, 7])
def test_an_import_that_a_power_cut_tore_is_completed_with_the_same_bytes(store: Store, tmp_path: Path, kept: int) -> None:
    other = Store.open(tmp_path / "other")
    for machine in (store, other):
        oasst(machine, FOREST[:1])
    log = Path(store.thread("t1").messages.path)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:kept]))
    again = Store.open(store.root)
    assert added(oasst(again, FOREST[:1])) == 7 - kept
    assert again.thread("t1").messages.children() == other.thread("t1").messages.children()
    if kept < 7:  # of the last line, which moves the leaf, nothing but the leaf itself tells that it is missing
        assert difference(store.root, other.root) == ""


# What is no conversation


BAD_TREES = {
    "not json": "no valid JSON: ",
    "[1]": "list where an object belongs",
    "{}": "'prompt' must be the message that the tree begins with",
    json.dumps({"prompt": said("p")}): "'message_tree_id' is missing",
    json.dumps(tree("", said("p"))): "invalid id ''",
    json.dumps({"message_tree_id": 7, "prompt": said("p")}): "'message_tree_id' must be a string, not int",
    json.dumps(tree("t", {"text": "", "role": "a"})): "'message_id' is missing",
    json.dumps(tree("t", said(""))): "'message_id' is empty",
    json.dumps(tree("t", {"message_id": "p", "role": "a"})): "'text' is missing",
    json.dumps(tree("t", {"message_id": "p", "role": None, "text": ""})): "'role' must be a string, not null",
    json.dumps(tree("t", {**said("p"), "replies": {}})): "'replies' must be a list, not dict",
    json.dumps(tree("t", {**said("p"), "replies": ["r"]})): "'replies' must hold objects only, not str",
    json.dumps(tree("t", said("p", said("a", said("p"))))): "message p stands twice in the tree",
    json.dumps(tree("t", said("p", said("a", parent_id="z")))): "message a stands below p, but says it belongs below z",
    json.dumps(tree("t", said("p", created_date="soon"))): "Invalid isoformat string: 'soon'",
    json.dumps(tree("t", said("p", created_date="9999-01-01"))): "a time after the year 3000",
    json.dumps(tree("t", said("p", big=1 << 70))): "the conversation cannot be stored as JSON",
}

BAD_ENTRIES = {
    "7": "an entry must be an object",
    "{]": "no valid JSON: ",
    '{"id": "t"}': "'conversations' is missing",
    '{"conversations": []}': "'id' is missing",
    '{"id": "t", "conversations": [1]}': "'conversations' must hold objects only, not int",
    '{"id": "t", "conversations": [{"from": "human"}]}': "'value' is missing",
    '{"id": "t", "conversations": [{"value": ""}]}': "'from' is missing",
    '{"id": "t", "conversations": [{"from": "human", "value": "\\ud800"}]}': "the conversation cannot be stored as JSON",
    '{"id": "t", "conversations": [{"from": "human", "value": "", "n": NaN}]}': "the conversation cannot be stored as JSON",
    '{"id": "t", "x": NaN, "conversations": []}': "the thread cannot be stored as JSON",
    "[" * 100_000: "it is nested too deep",
}


@pytest.mark.parametrize("line", BAD_TREES)
def test_a_line_that_is_no_tree_ends_the_import_there_and_leaves_nothing_of_itself(store: Store, line: str) -> None:
    good = json.dumps(tree("good", said("p")))
    message = refused(store, "oasst", f"{good}\n\n{line}\n{json.dumps(FOREST[0])}\n")
    assert message.startswith(f"file, line 3: {BAD_TREES[line]}")
    assert store.threads.ids() == ["good"]


@pytest.mark.parametrize("entry", BAD_ENTRIES, ids=lambda entry: entry[:40])
def test_an_entry_that_is_no_conversation_ends_the_import_there_and_leaves_nothing_of_itself(store: Store, entry: str) -> None:
    message = refused(store, "sharegpt", f"[{json.dumps(talk('good', 'a'))}, {entry}, {json.dumps(talk('later', 'a'))}]")
    assert message.startswith(f"file, entry 2: {BAD_ENTRIES[entry]}")
    assert store.threads.ids() == ["good"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "file, entry 1: the file must hold a JSON array"),
        (b'"text"', "file, entry 1: the file must hold a JSON array"),
        (b'[{"id":"t","conversations":[]}', "file, entry 2: the file breaks off"),
        (b'[{"id":"t","conversations":[]} 5]', "file, entry 2: a comma, or the end of the array, is missing before it"),
        (b'[{"id":"t","conversations":[]}] 5', "file, entry 2: something follows the end of the array"),
        (b'[{"id":"t","conv', "file, entry 1: no valid JSON: "),
        (b'[{"id":"t\xff","conversations":[]}]', "file, entry 1: 'utf-8' codec can't decode byte 0xff"),
        (b'[{"id":"t","conversations":[]}, \xe2\x82', "file, entry 2: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_that_is_no_array_says_where_it_stops_being_one(store: Store, text: bytes, error: str) -> None:
    assert refused(store, "sharegpt", text).startswith(error)


def test_a_corrupt_thread_is_no_fault_of_the_file(store: Store) -> None:
    sharegpt(store, TALKS)
    messages = Path(store.thread("one").messages.path)
    messages.unlink()
    messages.mkdir()
    with pytest.raises(IsADirectoryError):
        sharegpt(store, TALKS)
    messages.rmdir()
