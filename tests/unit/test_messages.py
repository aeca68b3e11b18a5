from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from damage import line_of, read_all_ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsstore import ABSENT, Message, MessageNotFoundError, ReadOnlyError, Store, ThreadHandle, ThreadNotFoundError, clock
from fsstore.resources.messages import Messages

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def store(root: Path) -> Store:
    return Store.open(root, durability="process")


@pytest.fixture
def thread(store: Store) -> ThreadHandle:
    return store.threads.create("t")


@pytest.fixture
def messages(thread: ThreadHandle) -> Messages:
    return thread.messages


def contents(found: list[Message]) -> list[Any]:
    return [message.content for message in found]


def raw(messages: Messages) -> bytes:
    return Path(messages.path).read_bytes() if os.path.exists(messages.path) else b""


# Append, and what is read back


def test_the_message_given_back_is_the_message_read_back(store: Store, messages: Messages) -> None:
    first = messages.append("user", "Why?", item={"a": [1]}, given_id="g", created_at=5, run_id="r", extra={"mood": None})
    second = messages.append("assistant", [{"type": "text", "text": "x"}])
    assert first == Message(
        id="g",
        record_id=first.record_id,
        parent_id=None,
        role="user",
        content="Why?",
        item={"a": [1]},
        created_at=5,
        run_id="r",
        extra={"mood": None},
    )
    assert (second.id, second.parent_id, second.item, second.has_item) == (second.record_id, "g", ABSENT, False)
    assert messages.branch() == [first, second]
    assert read_all_ways(Path(store.root), "t").messages == [first, second]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=JSON, item=JSON | st.just(ABSENT), role=TEXT)
def test_every_json_value_comes_back_exactly(store: Store, content: Any, item: Any, role: str) -> None:
    thread = store.threads.create()
    sent = thread.messages.append(role, content, item=item)
    with Store.open(store.root, read_only=True) as other:
        (found,) = other.thread(thread.id).messages.branch()
    assert found == sent
    assert repr((found.role, found.content, found.item)) == repr((role, content, item))


def test_text_of_every_kind_comes_back(messages: Messages) -> None:
    texts = [
        "",
        " ",
        "\n",
        "\r\n",
        "\0",
        "\u2028\u2029\x85",
        '"\\',
        "~",
        '{"id":"x"}',
        "\ufeff",
        "\U0010ffff",
        "e\u0301",
        "x" * 300_000,
    ]
    sent = messages.extend({"role": "user", "content": text} for text in texts)
    assert contents(messages.branch()) == texts
    assert list(messages) == sent
    assert raw(messages).count(b"\n") == len(texts)


@pytest.mark.parametrize("value", [float("nan"), 2**64, (1,), {1}, b"x", "\ud800", {1: 2}, Ellipsis], ids=repr)
@pytest.mark.parametrize("place", ["content", "item", "extra", "role", "run_id", "given_id"])
def test_what_json_cannot_hold_is_refused_before_anything_changes(messages: Messages, value: Any, place: str) -> None:
    messages.append("user", "x")
    before = raw(messages)
    fields = {"role": "user", "content": "x", place: {"k": value} if place == "extra" else value}
    for write in (messages.append, lambda **more: messages.fork(messages.branch()[0].id, **more)):
        with pytest.raises(ValueError, match=r"."):
            write(**fields)
    with pytest.raises(ValueError, match=r"."):
        messages.extend(
            [
                {"role": "user", "content": "fine"},
                {**{k: v for k, v in fields.items() if k != "extra"}, **fields.get("extra", {})},
            ]
        )
    assert raw(messages) == before
    assert len(messages) == 1


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40, 2**1000])
def test_numbers_over_64_bits_written_elsewhere_are_read_exactly_and_kept(messages: Messages, number: int) -> None:
    first = messages.append("user", "x")
    record = {"id": clock.new_id(first.id), "parent_id": first.id, "role": "user", "content": [number], "item": number}
    with Path(messages.path).open("ab") as file:
        file.write(line_of({**record, "big": {"deep": [number]}}))
    before = raw(messages)
    messages.append("user", "after")
    found = messages[record["id"]]
    assert (found.content, found.item, found.extra) == ([number], number, {"big": {"deep": [number]}})
    assert raw(messages).startswith(before)
    assert contents(messages.branch(2)) == [[number], "after"]


def test_keys_of_the_stores_own_names_are_shown_as_the_caller_gave_them(messages: Messages) -> None:
    own = {name: f"my {name}" for name in ("id", "parent_id", "given_id", "type", "leaf_id", "leaf_ids", "message_id")}
    extra = {**own, "replaces": 1, "versions": {}, "extra": {"extra": 2}, "other": [3], "": 4}
    sent = messages.append("user", "x", extra=extra)
    assert sent.extra == extra
    assert messages.branch() == [sent]
    assert messages.leaf() == sent
    assert json.loads(raw(messages))["extra"] == {name: value for name, value in extra.items() if name not in ("other", "")}


def test_a_mapping_given_to_extend_keeps_its_other_keys(messages: Messages) -> None:
    (sent,) = messages.extend([{"role": "user", "content": "x", "type": "note", "mood": "good", "given_id": "g"}])
    assert (sent.id, sent.extra) == ("g", {"type": "note", "mood": "good"})
    assert messages.branch() == [sent]


def test_an_extra_of_an_arguments_name_is_refused(messages: Messages) -> None:
    with pytest.raises(ValueError, match="extra holds content, role"):
        messages.append("user", "x", extra={"role": "y", "content": "z"})
    assert raw(messages) == b""


def test_ids_ascend_in_the_order_of_the_log_and_times_are_now(messages: Messages) -> None:
    before = clock.now()
    sent = [messages.append("user", n) for n in range(50)]
    ids = [message.record_id for message in sent]
    assert ids == sorted(set(ids))
    assert all(before <= message.created_at <= clock.now() for message in sent)
    assert [message.content for message in messages] == list(range(50))


# Batches


def test_a_batch_is_a_chain_below_the_leaf(messages: Messages) -> None:
    root = messages.append("user", "root")
    batch = messages.extend({"role": "user", "content": n, "given_id": f"g{n}"} for n in range(5))
    assert [message.parent_id for message in batch] == [root.id, "g0", "g1", "g2", "g3"]
    assert messages.branch() == [root, *batch]
    assert messages.leaf() == batch[-1]


def test_an_empty_batch_writes_nothing(messages: Messages) -> None:
    assert messages.extend([]) == []
    assert not os.path.exists(messages.path)


def test_a_batch_with_one_bad_message_writes_none(messages: Messages) -> None:
    with pytest.raises(ValueError, match="a message needs content"):
        messages.extend([{"role": "user", "content": "x"}, {"role": "user"}])
    assert raw(messages) == b""


# Forks, checkouts, leaves


def test_a_fork_begins_a_second_branch_and_becomes_the_leaf(messages: Messages) -> None:
    a, b, c = (messages.append("user", text) for text in "abc")
    d = messages.fork(a.id, "user", "d", given_id="mine", extra={"k": 1})
    assert (d.parent_id, d.id, d.extra) == (a.id, "mine", {"k": 1})
    assert messages.branch() == [a, d]
    assert messages.leaves() == [c, d]
    assert messages.branch(leaf=c.id) == [a, b, c]
    assert messages.children() == {None: [a.id], a.id: [b.id, d.id], b.id: [c.id]}
    e = messages.append("user", "e")
    assert e.parent_id == "mine"


def test_a_checkout_moves_the_leaf_and_none_begins_a_new_root(messages: Messages) -> None:
    a, b = (messages.append("user", text) for text in "ab")
    messages.checkout(a.id)
    assert messages.branch() == [a]
    c = messages.append("user", "c")
    messages.checkout(None)
    assert (messages.leaf(), messages.branch(), messages.branch(5)) == (None, [], [])
    d = messages.append("user", "d")
    assert (c.parent_id, d.parent_id) == (a.id, None)
    assert messages.leaves() == [b, c, d]
    assert messages.children()[None] == [a.id, d.id]


@pytest.mark.parametrize("id", ["", "nobody", "\ud800", "é" * 36, "0" * 36, clock.FIRST_ID, clock.LAST_ID, "x" * 5000])
def test_an_unknown_id_is_not_found_and_changes_nothing(messages: Messages, id: str) -> None:
    messages.append("user", "x")
    before = raw(messages)
    for write in (
        lambda: messages.fork(id, "user", "x"),
        lambda: messages.checkout(id),
        lambda: messages.replace(id, "user", "x"),
    ):
        with pytest.raises(MessageNotFoundError):
            write()
    assert messages.remove(id) is False
    assert messages.get(id) is None
    assert id not in messages
    with pytest.raises(MessageNotFoundError):
        messages[id]
    with pytest.raises(MessageNotFoundError):
        messages.branch(leaf=id)
    assert raw(messages) == before


def test_a_missing_thread_reads_empty_and_refuses_writing(store: Store) -> None:
    messages = store.thread("nobody").messages
    assert (list(messages), messages.branch(), messages.branch(3), messages.leaves(), messages.children()) == (
        [],
        [],
        [],
        [],
        {},
    )
    assert (len(messages), messages.leaf(), messages.get("x"), messages.damage(), "x" in messages) == (0, None, None, [], False)
    assert (messages.clear(), messages.remove("x")) == (0, False)
    writes = [
        lambda: messages.append("user", "x"),
        lambda: messages.extend([{"role": "user", "content": "x"}]),
        lambda: messages.fork("x", "user", "x"),
        lambda: messages.replace("x", "user", "x"),
        lambda: messages.checkout("x"),
        lambda: messages.checkout(None),
    ]
    for write in writes:
        with pytest.raises(ThreadNotFoundError):
            write()
    assert list(Path(store.root, "threads").iterdir()) == []


def test_a_read_only_store_reads_and_refuses_every_write(store: Store, messages: Messages) -> None:
    sent = messages.append("user", "x")
    before = raw(messages)
    with Store.open(store.root, read_only=True) as other:
        same = other.thread("t").messages
        assert list(same) == [sent]
        writes = [
            lambda: same.append("user", "x"),
            lambda: same.extend([{"role": "user", "content": "x"}]),
            lambda: same.fork(sent.id, "user", "x"),
            lambda: same.replace(sent.id, "user", "x"),
            lambda: same.checkout(sent.id),
            lambda: same.remove(sent.id),
            same.clear,
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError):
                write()
    assert raw(messages) == before


# Given ids


def test_a_message_answers_to_its_given_id_and_to_its_record_id(messages: Messages) -> None:
    a = messages.append("user", "a", given_id="../é\0")
    assert messages.get("../é\0") == messages.get(a.record_id) == a
    b = messages.fork("../é\0", "user", "b")
    c = messages.fork(a.record_id, "user", "c")
    assert b.parent_id == c.parent_id == "../é\0"
    messages.checkout("../é\0")
    assert messages.leaf() == a
    assert json.loads(raw(messages).splitlines()[-1])["leaf_id"] == a.record_id
    assert messages.remove("../é\0") is True
    assert (messages.get("../é\0"), messages.get(a.record_id)) == (None, None)


@pytest.mark.damaged
def test_a_given_id_given_twice_keeps_both_finds_the_newer_and_is_reported(store: Store, messages: Messages) -> None:
    first = messages.append("user", "first", given_id="g")
    second = messages.append("user", "second", given_id="g")
    assert contents(list(messages)) == ["first", "second"]
    assert messages["g"] == second
    assert messages[first.record_id] == first
    assert [problem.path for problem in store.check()] == ["threads/t/messages.jsonl"]
    with Store.open(store.root, read_only=True) as other:
        assert other.thread("t").messages["g"] == second
    messages.remove(second.record_id)
    assert messages["g"].content == "first"


def test_a_given_id_of_another_messages_record_id_is_kept(messages: Messages) -> None:
    a = messages.append("user", "a")
    b = messages.append("user", "b", given_id=a.record_id)
    assert contents(messages.branch()) == ["a", "b"]
    assert messages[b.record_id] == b
    assert messages[a.record_id] == b  # the id that a message shows comes first


# Removing


def test_a_removed_message_is_gone_from_every_view_and_its_children_move_up(store: Store, messages: Messages) -> None:
    a, b, c = (messages.append("user", text) for text in "abc")
    d = messages.fork(b.id, "user", "d")
    assert messages.remove(b.id) is True
    assert messages.remove(b.id) is False
    assert [(message.id, message.parent_id) for message in messages.branch()] == [(a.id, None), (d.id, a.id)]
    assert messages.children() == {None: [a.id], a.id: [c.id, d.id]}
    assert len(messages) == 3
    view = read_all_ways(Path(store.root), "t")
    assert contents(view.messages) == ["a", "c", "d"]


def test_removing_the_leaf_makes_its_parent_the_leaf(messages: Messages) -> None:
    a, b = (messages.append("user", text) for text in "ab")
    messages.remove(b.id)
    assert messages.leaf() == a
    c = messages.append("user", "c")
    assert c.parent_id == a.id
    messages.remove(a.id)
    messages.remove(c.id)
    assert messages.leaf() is None
    assert messages.append("user", "d").parent_id is None


def test_removing_a_message_elsewhere_leaves_the_leaf(messages: Messages) -> None:
    a, b = (messages.append("user", text) for text in "ab")
    c = messages.fork(a.id, "user", "c")
    messages.remove(b.id)
    assert messages.branch() == [a, c]
    assert messages.append("user", "d").parent_id == c.id


def test_a_replacement_stands_in_the_place_of_the_old_message(store: Store, messages: Messages) -> None:
    a, b, _ = (messages.append("user", text, given_id=text) for text in "abc")
    new = messages.replace("c", "assistant", ["new"], item=None)
    assert (new.parent_id, new.role, new.content, new.item) == ("b", "assistant", ["new"], None)
    assert messages.branch() == [a, b, new]
    assert messages.get("c") is None
    assert messages.append("user", "d").parent_id == new.id
    assert contents(read_all_ways(Path(store.root), "t").branch) == ["a", "b", ["new"], "d"]


def test_replacing_an_inner_message_moves_its_children_to_its_parent(messages: Messages) -> None:
    a, b, c = (messages.append("user", text) for text in "abc")
    new = messages.replace(b.id, "user", "B")
    assert messages.branch() == [a, new]
    assert messages[c.id].parent_id == a.id
    root = messages.replace(a.id, "user", "A")
    assert root.parent_id is None
    assert messages.branch() == [root]
    assert {message.content: message.parent_id for message in messages} == {"A": None, "B": None, "c": None}


def test_clearing_counts_what_goes_and_the_thread_goes_on(store: Store, messages: Messages) -> None:
    a, b = (messages.append("user", text) for text in "ab")
    messages.fork(a.id, "user", "c")
    messages.remove(b.id)
    assert messages.clear() == 2
    assert messages.clear() == 0
    assert (list(messages), messages.branch(), messages.leaf(), messages.leaves(), len(messages)) == ([], [], None, [], 0)
    d = messages.append("user", "d")
    assert d.parent_id is None
    assert messages.branch() == [d]
    assert contents(read_all_ways(Path(store.root), "t").messages) == ["d"]


def test_a_message_that_a_clear_had_not_seen_stays(store: Store, messages: Messages) -> None:
    a, b = (messages.append("user", text) for text in "ab")
    unseen = {"id": clock.new_id(b.id), "parent_id": b.id, "role": "user", "content": "elsewhere"}
    clear = {"id": clock.new_id(unseen["id"]), "type": "clear", "leaf_ids": [b.id]}
    with Path(messages.path).open("ab") as file:
        file.write(line_of(unseen) + line_of(clear))
    view = read_all_ways(Path(store.root), "t")
    assert contents(view.messages) == ["elsewhere"]
    assert view.messages[0].parent_id is None
    assert messages.append("user", "next").parent_id == unseen["id"]
    assert a.id not in messages


# Limits, and iterating


def test_limits_give_the_nearest_to_the_leaf_oldest_first(messages: Messages) -> None:
    sent = messages.extend({"role": "user", "content": n} for n in range(10))
    for limit in (*range(12), 10**9):
        assert messages.branch(limit) == sent[max(0, 10 - limit) :]
        assert messages.branch(limit, leaf=sent[4].id) == sent[max(0, 5 - limit) : 5]
    assert messages.branch(None) == sent
    for limit in (-1, -(10**9)):
        with pytest.raises(ValueError, match="limit must be 0 or more"):
            messages.branch(limit)


def test_iterating_goes_on_while_messages_come_and_go(messages: Messages) -> None:
    sent = messages.extend({"role": "user", "content": n} for n in range(5))
    seen = []
    for message in messages:
        seen.append(message.content)
        if message.content == 1:
            messages.append("user", "new")
            messages.remove(sent[0].id)
            messages.remove(sent[3].id)
            assert messages.damage() == []
    assert seen in ([0, 1, 2, 4], [0, 1, 2, 4, "new"])


def test_an_iterator_that_is_left_closes_its_descriptor(messages: Messages) -> None:
    messages.extend({"role": "user", "content": n} for n in range(5))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        next(iter(messages))
        for _ in messages:
            break
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


def test_an_iterator_shows_what_it_began_with_when_the_log_is_sorted_meanwhile(store: Store, messages: Messages) -> None:
    root = messages.append("user", "x")
    lines = raw(messages).splitlines(keepends=True)
    id = root.id
    for _ in range(4200):  # more than the shown ids that are remembered
        id = clock.new_id(id)
        lines.append(line_of({"id": id, "parent_id": root.id, "role": "user", "content": "x", "created_at": root.created_at}))
    Path(messages.path).write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with Store.open(store.root, durability="process") as other:
        same = other.thread("t").messages
        iterator = iter(same)
        next(iterator)
        same.append("user", "new")  # sorts the file into a new one
        assert len(same) == 4202
        assert {message.parent_id for message in iterator} <= {root.id, id}


def test_handles_in_one_process_and_another_see_each_others_writes(store: Store, messages: Messages) -> None:
    with Store.open(store.root, durability="process") as other:
        theirs = other.thread("t").messages
        for n in range(6):
            writer, reader = (messages, theirs) if n % 2 else (theirs, messages)
            sent = writer.append("user", n)
            assert reader.leaf() == sent
            assert reader.branch()[-1] == sent
            assert len(reader) == n + 1
