"""Redaction: what a message says from now on, in every view, and what compaction then leaves of it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench, line_of, read_all_ways

from fsstore import (
    MessageNotFoundError,
    ReadOnlyError,
    SessionQuery,
    SessionStore,
    StateStore,
    Store,
    ThreadNotFoundError,
    ThreadStore,
    clock,
)
from fsstore.resources.messages import Messages

KEY = "sk-s3cret"
FAR = "01ffffff-b7ec-787d-9601-c7b722d7b78{}"


@pytest.fixture
def messages(store: Store) -> Messages:
    return store.threads.create("t").messages


def bytes_of(messages: Messages) -> bytes:
    return Path(messages.path).read_bytes()


def rows(messages: Messages) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bytes_of(messages).splitlines()]


def below(root: Path) -> dict[str, bytes]:
    """Give the bytes of every file of a store, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# What changes, and what does not


def test_a_text_is_replaced_in_all_that_a_message_says_and_in_nothing_else(messages: Messages) -> None:
    before = messages.append(
        f"role {KEY}",
        [{"type": "text", "text": f"it is {KEY}, yes {KEY}!"}, [KEY, 1, None, True, 2.5], {KEY: "as a key"}],
        item={"deep": [{"deeper": [KEY.upper(), KEY]}]},
        given_id=f"mine {KEY}",
        created_at=7,
        run_id=f"run {KEY}",
        extra={"note": KEY, "type": f"own {KEY}", KEY: 1, "extra": {KEY: KEY}},
    )
    assert messages.redact(before.id, KEY) == 10
    after = messages[before.id]
    assert (after.id, after.record_id, after.parent_id, after.role, after.created_at, after.run_id) == (
        *(before.id, before.record_id, None, f"role {KEY}", 7, f"run {KEY}"),
    )
    assert after.content == [
        {"type": "text", "text": "it is [redacted], yes [redacted]!"},
        ["[redacted]", 1, None, True, 2.5],
        {"[redacted]": "as a key"},
    ]
    assert after.item == {"deep": [{"deeper": [KEY.upper(), "[redacted]"]}]}
    own = {"note": "[redacted]", "type": "own [redacted]", "[redacted]": 1}
    assert after.extra == {**own, "extra": {"[redacted]": "[redacted]"}}


def test_one_redaction_is_one_line_with_what_the_message_says_now(messages: Messages) -> None:
    sent = messages.append("user", f"a {KEY}", given_id="mine", item=None, extra={"k": 1})
    messages.redact("mine", KEY, replacement="***")
    row = rows(messages)[-1]
    assert (list(row)[:3], row.pop("id") > sent.record_id) == (["id", "type", "message_id"], True)
    links = {"type": "redacted", "message_id": sent.record_id}
    assert row == {**links, "role": "user", "content": "a ***", "item": None, "created_at": sent.created_at, "k": 1}


def test_every_view_shows_the_message_redacted(root: Path) -> None:
    with Store.open(root) as store:
        messages = store.threads.create("t").messages
        sent = [messages.append("user", f"{n} {KEY} word{n}") for n in range(5)]
        said = [message.content for message in sent]
        messages.redact(sent[2].id, KEY, "word2")
        said[2] = "2 [redacted] [redacted]"
    with StateStore.open(root) as state, SessionStore(root) as sessions:
        assert [row.content for row in state.list_messages("t")] == said
        assert [row.content for row in sessions.load("t")] == said
    view = read_all_ways(root, "t")
    assert [message.content for message in view.messages] == [message.content for message in view.branch] == said
    assert view.damage == []
    with Store.open(root, read_only=True) as store:
        assert store.sessions.search(SessionQuery(keyword="word2")) == []
        assert len(store.sessions.search(SessionQuery(keyword="redacted"))) == 1
        assert store.threads.with_message(sent[2].id).messages[sent[2].id].content == said[2]
    blocks = ThreadStore(root).list_messages("t")[2].content
    assert blocks == [{"type": "text", "text": {"value": said[2], "annotations": []}}]


def test_the_leaf_stays_and_the_next_message_of_any_handle_goes_below_it(store: Store, messages: Messages) -> None:
    with Store.open(store.root) as another:
        other = another.thread("t").messages
        first = other.append("user", KEY)
        second = messages.append("user", f"{KEY} 2")
        messages.checkout(first.id)
        messages.redact(second.id, KEY)
        messages.redact(first.id, KEY)
        assert messages.leaf() == other.leaf() == messages[first.id]
        assert other.append("user", "from another").parent_id == first.id
        assert messages.remove_last()
        assert messages.append("user", "from this").parent_id == first.id


def test_a_message_that_is_gone_stays_gone(messages: Messages) -> None:
    sent = messages.extend({"role": "user", "content": f"{KEY} {n}"} for n in range(3))
    messages.redact(sent[1].id, KEY)
    messages.remove(sent[1].id)
    with pytest.raises(MessageNotFoundError):
        messages.redact(sent[1].id, KEY)
    assert [message.id for message in messages] == [sent[0].id, sent[2].id]
    assert messages.replace(sent[2].id, "user", "instead").parent_id == sent[0].id
    messages.clear()
    assert messages.branch() == list(messages) == []


def test_of_several_redactions_each_changes_what_the_one_before_left(messages: Messages) -> None:
    sent = messages.append("user", "one two three")
    assert [messages.redact(sent.id, word) for word in ("one", "two", "one", "three")] == [1, 1, 0, 1]
    assert messages[sent.id].content == "[redacted] [redacted] [redacted]"
    assert len(rows(messages)) == 4


def test_of_two_texts_that_begin_alike_nothing_is_left(messages: Messages) -> None:
    sent = messages.append("user", "key-1 key-12 .* a.c abc")
    assert messages.redact(sent.id, "key-1", "key-12", "a.c", replacement="") == 3
    assert messages[sent.id].content == "  .*  abc"


@pytest.mark.parametrize(
    ("values", "replacement", "said"),
    [
        ((), "x", "at least one character"),
        (("",), "x", "at least one character"),
        ((KEY, ""), "x", "at least one character"),
        ((KEY, 7), "x", "at least one character"),
        ((KEY,), f"no {KEY} here", "choose another replacement"),
        (("sk",), "", "choose another replacement"),
        (("a-1", "a-2"), "x", "two keys of an object would become one"),
        ((KEY,), "\ud800", "JSON"),
    ],
)
def test_what_would_not_redact_is_refused_and_nothing_written(
    messages: Messages, values: tuple[Any, ...], replacement: str, said: str
) -> None:
    sent = messages.append("user", {"a-1": 1, "a-2": "sskk", "b": KEY})
    before = bytes_of(messages)
    with pytest.raises(ValueError, match=said) as caught:
        messages.redact(sent.id, *values, replacement=replacement)
    assert KEY not in str(caught.value)
    assert bytes_of(messages) == before
    assert messages.append("user", "next").parent_id == sent.id


def test_what_is_not_there_is_not_redacted(store: Store, messages: Messages) -> None:
    sent = messages.append("user", f"{KEY}")
    before = bytes_of(messages)
    assert messages.redact(sent.id, "elsewhere") == 0
    with pytest.raises(MessageNotFoundError):
        messages.redact("nobody", KEY)
    with pytest.raises(ThreadNotFoundError):
        store.thread("nobody").messages.redact(sent.id, KEY)
    with Store.open(store.root, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.thread("t").messages.redact(sent.id, KEY)
    assert bytes_of(messages) == before


def test_a_value_as_deep_as_the_store_keeps_one_is_redacted(messages: Messages) -> None:
    deep: Any = KEY
    for n in range(249):
        deep = {"k": deep} if n % 2 else [deep]
    sent = messages.append("user", deep)
    assert messages.redact(sent.id, KEY) == 1
    assert KEY not in json.dumps(messages[sent.id].content)


def test_a_line_of_another_program_shows_the_same_keys_redacted(root: Path) -> None:
    bench = LogBench(root, count=1)
    odd = {"parent_id": None, "role": "user", "content": KEY, "leaf_id": 5, "versions": [KEY], "extra": {"role": "x", "k": KEY}}
    bench.append_record(id=FAR.format(1), **odd)
    bench.append_record(id=FAR.format(2), **{**odd, "extra": KEY}, created_at="then")
    messages = Store.open(root).thread("t").messages
    for n in (1, 2):
        before = messages[FAR.format(n)]
        messages.redact(before.id, KEY)
        after = messages[before.id]
        assert json.loads(json.dumps(before.extra).replace(KEY, "[redacted]")) == after.extra
        assert (before.role, before.created_at, after.content) == (after.role, after.created_at, "[redacted]")
    view = read_all_ways(root, "t")
    messages.compact()
    assert read_all_ways(root, "t").messages == view.messages


# Records that others wrote, or that stand in another order


def redaction(id: str, message_id: Any, content: Any = "redacted", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "redacted", "message_id": message_id, "role": "user", "content": content, **more}


@pytest.mark.damaged
def test_the_greatest_id_counts_whatever_the_order_of_the_lines(root: Path, seed: int) -> None:
    bench = LogBench(root)
    for n, place in ((3, 1), (1, 1), (2, 1), (5, 4), (4, 4)):
        bench.append_record(**redaction(FAR.format(n), bench.sent[place].id, f"by {n}"))
    for order in range(5):
        lines = bench.lines
        random.Random(seed + order).shuffle(lines)
        bench.put(b"".join(lines))
        assert [message.content for message in bench.read().messages][1:5:3] == ["by 3", "by 5"]
    messages = Store.open(root).thread("t").messages
    messages.compact()
    assert [row.get("content") for row in map(json.loads, bench.lines)][5:] == [None, None, "by 3", None, "by 5"]
    assert [message.content for message in bench.read().messages][1:5:3] == ["by 3", "by 5"]


@pytest.mark.damaged
@pytest.mark.parametrize("named", [None, 7, "nobody", ["x"], {"a": 1}, "self"])
def test_a_redaction_of_no_message_is_damage_and_changes_nothing(root: Path, named: Any) -> None:
    bench = LogBench(root)
    bench.append_record(**redaction(FAR.format(1), FAR.format(1) if named == "self" else named))
    assert [damage.kind for damage in bench.assert_kept().damage] == ["dangling"]
    before = bench.lines[-1]
    Store.open(root).thread("t").messages.compact()
    assert bench.lines[-1] == before


@pytest.mark.damaged
def test_a_redaction_older_than_its_message_is_none(root: Path) -> None:
    bench = LogBench(root)
    early = clock.spell_id(clock.stamp_of(bench.sent[0].id) - 5, clock.random_suffix())
    bench.put(line_of(redaction(early, bench.sent[3].id)) + bench.data)
    assert [damage.kind for damage in bench.assert_kept().damage] == ["dangling"]


@pytest.mark.parametrize("body", [{}, {"role": "user"}, {"content": "x"}, {"role": None, "content": "x"}])
def test_a_redaction_without_a_body_says_nothing(root: Path, body: dict[str, Any]) -> None:
    bench = LogBench(root)
    bench.append_record(id=FAR.format(1), type="redacted", message_id=bench.sent[2].id, **body)
    assert bench.assert_kept().damage == []
    bench.append_record(**redaction(FAR.format(2), bench.sent[2].id, "says something"))
    bench.append_record(id=FAR.format(3), type="redacted", message_id=bench.sent[2].id, **body)
    assert bench.read().messages[2].content == "says something"


@pytest.mark.damaged
@pytest.mark.parametrize("second", ["", "zz", {"type": "leaf"}, {"role": "user", "content": "a message", "parent_id": None}])
@pytest.mark.parametrize("first", [False, True])
def test_of_two_redactions_of_one_id_the_greater_bytes_count(root: Path, second: Any, first: bool) -> None:
    bench = LogBench(root)
    id = FAR.format(1)
    other = {"id": id, **second} if isinstance(second, dict) else redaction(id, bench.sent[2].id, second)
    pair = [redaction(id, bench.sent[2].id, "middle"), other]
    bench.append_bytes(b"".join(map(line_of, reversed(pair) if first else pair)))
    shown = bench.read().messages
    assert shown[2].content == ("zz" if second == "zz" else "middle")
    Store.open(root).thread("t").messages.compact()
    assert [message.content for message in bench.read().messages] == [message.content for message in shown]


# Compaction


def test_compaction_takes_the_text_out_of_the_log_and_puts_it_nowhere_else(root: Path) -> None:
    with Store.open(root) as store:
        messages = store.threads.create("t").messages
        first = messages.append("user", "first", given_id="g")
        sent = messages.replace(first.id, "user", f"{KEY} and other-s3cret")
        messages.append("user", "x" * 100_000)  # a log that gets a stamp
        messages.redact(sent.id, KEY)
        messages.redact(sent.id, "other-s3cret")
        assert KEY.encode() in bytes_of(messages)
        before = list(messages)
        done = messages.compact()
        assert (done.messages, done.redacted, done.duplicates, done.damaged) == (1, 1, 0, 0)
        assert list(messages) == before
        assert messages.compact().freed == 0
    left = below(root)
    assert len(left) >= 4
    assert [path for path, data in left.items() if b"s3cret" in data] == []
    assert [row.get("type", "message") for row in rows(messages)] == ["gone", "message", "message", "redacted", "redacted"]
    _, line, _, older, newer = rows(messages)
    assert list(line)[:4] == ["id", "parent_id", "replaces", "role"]
    assert (line["replaces"], list(older)) == (first.record_id, ["id", "type", "message_id"])
    assert newer["content"] == line["content"] == "[redacted] and [redacted]"


def test_compaction_keeps_nothing_of_a_redacted_message_that_is_gone(messages: Messages) -> None:
    sent = messages.append("user", f"private {KEY}")
    messages.redact(sent.id, KEY)
    messages.remove(sent.id)
    assert messages.compact().messages == 1
    assert [list(row) for row in rows(messages)] == [["id", "parent_id", "type"], *[["id", "type", "message_id"]] * 2]
    assert list(messages) == messages.damage() == []


def test_after_a_merge_with_an_old_copy_the_new_text_is_shown_and_compaction_takes_the_old_one_out_again(root: Path) -> None:
    bench = LogBench(root, count=3)
    copy = bench.data
    messages = Store.open(root).thread("t").messages
    messages.redact(bench.sent[1].id, "message")
    messages.compact()
    compacted = bench.data
    for merged in (copy + compacted, compacted + copy, b"".join(sorted({*bench.lines, *copy.splitlines(keepends=True)}))):
        bench.put(merged)
        assert [message.content[:9] for message in bench.read().messages] == ["message 0", "[redacted", "message 2"]
        Store.open(root).thread("t").messages.compact()
        assert bench.data == compacted


@pytest.mark.damaged
def test_a_redaction_waits_for_its_message(root: Path) -> None:
    bench = LogBench(root, count=3)
    with Store.open(root) as store:
        store.thread("t").messages.redact(bench.sent[2].id, "message")
    whole = bench.lines
    bench.drop_line(2)
    with Store.open(root) as store:
        messages = store.thread("t").messages
        assert [damage.kind for damage in messages.damage()] == ["dangling"]
        messages.compact()
        assert bench.lines == [*whole[:2], whole[3]]
    bench.append_bytes(whole[2])
    assert bench.read().messages[2].content.startswith("[redacted] 2")
