"""What compaction leaves of a log, and what it takes out; that the tree stays what it was is the model's matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench

from fsstore import Compacted, MessageNotFoundError, ReadOnlyError, Store
from fsstore.resources.compaction import Compaction
from fsstore.resources.messages import Messages


@pytest.fixture
def messages(store: Store) -> Messages:
    return store.threads.create("t").messages


def rows(messages: Messages) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(messages.path).read_bytes().splitlines()]


def quarantined(store: Store) -> list[tuple[bytes, dict[str, Any]]]:
    directory = Path(store.root, ".fsstore", "quarantine")
    return [(path.read_bytes(), json.loads(path.with_suffix(".json").read_text())) for path in directory.glob("*.raw")]


def test_a_message_that_is_gone_leaves_its_id_and_its_parent(messages: Messages):
    first, second, third = messages.extend({"role": "user", "content": f"secret {n}"} for n in range(3))
    messages.remove(second.id)
    before = list(messages)
    assert messages.compact().messages == 1
    assert rows(messages)[1] == {"id": second.record_id, "parent_id": first.record_id, "type": "gone"}
    assert rows(messages)[3] == {"id": rows(messages)[3]["id"], "type": "removed", "message_id": second.record_id}
    assert b"secret 1" not in Path(messages.path).read_bytes()
    assert list(messages) == before
    assert messages.get(third.id).parent_id == first.id


def test_clears_and_replacements_are_compacted_too(messages: Messages):
    messages.extend([{"role": "user", "content": "old"}] * 3)
    messages.clear()
    messages.append("user", "one")
    messages.replace_last("user", "two")
    assert messages.compact().messages == 4
    assert [row.get("type", row.get("content")) for row in rows(messages)] == ["gone"] * 3 + ["clear", "gone", "two"]
    assert [message.content for message in messages.branch()] == ["two"]


def test_a_log_without_anything_to_take_out_keeps_its_bytes(messages: Messages):
    root = messages.append("user", "one", given_id="mine", item=None, extra={"k": [1]})
    messages.append("user", "two … ü")
    messages.checkout(root.id)
    before = Path(messages.path).read_bytes()
    assert messages.compact() == Compacted()
    assert Path(messages.path).read_bytes() == before


def test_what_is_no_record_goes_to_quarantine_and_is_told_where_it_stood(root: Path):
    bench = LogBench(root)
    lines = bench.lines
    bench.put(lines[0] + b"rubbish \xff\n" + lines[1] + lines[2][:-1] + lines[3] + b"\0\0" + lines[4] + b"~half~\n")
    store = Store.open(root)
    messages = store.thread("t").messages
    dropped = messages.compact()
    assert (dropped.damaged, dropped.messages, dropped.duplicates) == (2, 0, 0)
    assert [message.id for message in messages] == bench.ids(0, 1, 2, 3, 4)
    assert messages.damage() == []
    [(raw, about)] = quarantined(store)
    assert raw == b"rubbish \xff\n~half~\n"
    assert about["path"] == "threads/t/messages.jsonl"
    assert [(piece["offset"], piece["length"]) for piece in about["pieces"]] == [
        (bench.offset(1), 10),
        (len(b"".join(lines)) + 11, 7),
    ]


def test_records_are_sorted_and_each_stands_once(root: Path):
    bench = LogBench(root)
    lines = bench.lines
    bench.put(lines[3] + lines[1] + lines[0] + lines[1] + lines[4] + lines[2] + lines[0])
    messages = Store.open(root).thread("t").messages
    assert messages.compact().duplicates == 2
    assert bench.lines == lines


def test_records_of_a_later_version_are_kept(root: Path):
    bench = LogBench(root, count=2)
    later = b'{"id":"01ffffff-b7ec-787d-9601-c7b722d7b782","type":"star","message_id":"x"}\n'
    bench.put(bench.data + later)
    messages = Store.open(root).thread("t").messages
    messages.remove(bench.sent[1].id)
    assert messages.compact().messages == 1
    assert later in bench.data
    bench.put(bench.data.replace(later, b""))


def test_what_a_merge_brings_back_of_a_message_that_is_gone_stays_gone(root: Path):
    bench = LogBench(root, count=3)
    copy = bench.data
    messages = Store.open(root).thread("t").messages
    messages.remove(bench.sent[1].id)
    messages.compact()
    bench.put(b"".join(sorted({*bench.lines, *copy.splitlines(keepends=True)})))
    again = Store.open(root).thread("t").messages
    assert [message.id for message in again] == bench.ids(0, 2)
    assert again.compact().duplicates == 1
    assert b"message 1" not in bench.data
    with pytest.raises(MessageNotFoundError):
        _ = again[bench.sent[1].id]


def shown(root: Path) -> list[tuple[str, str | None, Any]]:
    return [(one.id, one.parent_id, one.content) for one in Store.open(root).thread("t").messages]


@pytest.mark.damaged
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("change", [(b'"parent_id"', b'"parent_"'), (b'"role"', b'"aaa":1,"role"')])
def test_a_redacted_message_that_stands_twice_keeps_the_parent_that_counts(
    root: Path, before: bool, change: tuple[bytes, bytes]
):
    bench = LogBench(root, count=3)
    with Store.open(root) as store:
        store.thread("t").messages.redact(bench.sent[1].id, "message 1")
    lines = bench.lines
    lines.insert(1 if before else 2, lines[1].replace(*change))
    bench.put(b"".join(lines))
    was = shown(root)
    with Store.open(root) as store:
        assert store.thread("t").messages.compact().redacted == 1
    assert shown(root) == was
    assert b"message 1" not in bench.data


@pytest.mark.damaged
@pytest.mark.parametrize("odd", [b"9" * 30, b"[" * 300 + b"]" * 300])
def test_a_redaction_that_can_be_read_and_not_be_written_stays_and_the_rest_is_compacted(root: Path, odd: bytes):
    bench = LogBench(root, count=3)
    with Store.open(root) as store:
        messages = store.thread("t").messages
        messages.redact(bench.sent[1].id, "message 1")
        messages.remove(bench.sent[0].id)
    last = next(n for n, line in enumerate(bench.lines) if b'"redacted"' in line)
    bench.set_line(last, bench.lines[last].replace(b'"role"', b'"odd":' + odd + b',"role"'))
    was = shown(root)
    assert "message 1" not in str(was)
    with Store.open(root) as store:
        done = store.thread("t").messages.compact()
    assert (done.messages, done.redacted) == (1, 0)
    assert shown(root) == was


@pytest.mark.damaged
@pytest.mark.parametrize("before", [True, False])
def test_a_stub_of_another_parent_beside_its_message_changes_nothing_by_compaction(root: Path, before: bool):
    bench = LogBench(root, count=3)
    lines = bench.lines
    stub = json.dumps({"id": bench.sent[1].record_id, "parent_id": None, "type": "gone"}).encode() + b"\n"
    lines.insert(1 if before else 2, stub)
    bench.put(b"".join(lines))
    was = shown(root)
    with Store.open(root) as store:
        assert store.thread("t").messages.compact().duplicates == 1
    assert shown(root) == was


def test_an_append_after_a_compaction_comes_below_the_leaf_in_every_handle(store: Store, messages: Messages):
    other = Store.open(store.root).thread("t").messages
    leaf = other.append("user", "kept")
    messages.append("user", "gone")
    messages.remove_last()
    other.compact()
    assert messages.append("user", "next").parent_id == leaf.id
    assert other.append("user", "last").parent_id == messages.branch(2)[0].id


def test_a_stamp_does_not_outlive_the_log_that_it_fits(store: Store, messages: Messages):
    messages.extend({"role": "user", "content": "x" * 1000} for _ in range(100))
    other = Store.open(store.root)
    other.thread("t").messages.append("user", "held open")
    store.close()
    messages.remove_last()
    messages.compact()
    other.close()
    store.close()
    assert list(store.check()) == []


def test_a_missing_thread_has_nothing_to_compact_and_a_read_only_store_refuses(store: Store, messages: Messages):
    assert store.thread("nobody").messages.compact() == Compacted()
    messages.append("user", "x")
    with Store.open(store.root, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.thread("t").messages.compact()


def test_writers_go_on_while_a_log_is_compacted_and_what_they_write_is_in_the_new_one(
    store: Store, messages: Messages, monkeypatch: pytest.MonkeyPatch
):
    messages.extend({"role": "user", "content": f"{n}"} for n in range(5))
    messages.remove_last()
    kept = [message.content for message in messages]
    hasty = Store.open(store.root, lock_timeout=0).thread("t").messages
    real = Compaction._take_line
    said = []

    def take_line(self: Compaction, at: int, raw: bytes) -> None:
        said.append(hasty.append("user", f"meanwhile {at}").content)
        real(self, at, raw)

    monkeypatch.setattr(Compaction, "_take_line", take_line)
    assert messages.compact().messages == 1
    monkeypatch.undo()
    assert len(said) >= 5
    assert [message.content for message in Store.open(store.root).thread("t").messages] == kept + said
    assert hasty.append("user", "behind").parent_id == hasty.branch(2)[0].id


def test_a_log_that_is_replaced_while_it_is_compacted_is_compacted_anew(
    store: Store, messages: Messages, monkeypatch: pytest.MonkeyPatch
):
    messages.extend({"role": "user", "content": f"{n}"} for n in range(5))
    messages.remove_last()
    path = Path(messages.path)
    others = path.read_bytes()
    messages.append("user", "only here")
    messages.remove_last()
    real = Compaction._take_line
    turns = []

    def take_line(self: Compaction, at: int, raw: bytes) -> None:
        if not turns:
            path.with_suffix(".new").write_bytes(others)
            path.with_suffix(".new").rename(path)
        turns.append(at)
        real(self, at, raw)

    monkeypatch.setattr(Compaction, "_take_line", take_line)
    assert messages.compact().messages == 1
    assert turns.count(0) == 2
    assert b"only here" not in path.read_bytes()
    assert [message.content for message in messages][-1] == "3"
    assert list(Path(store.root, ".fsstore/tmp").iterdir()) == []


def test_a_log_that_goes_to_the_trash_while_it_is_compacted_is_not_told_as_compacted(
    store: Store, messages: Messages, monkeypatch: pytest.MonkeyPatch
):
    messages.extend({"role": "user", "content": f"{n}"} for n in range(2))
    messages.remove_last()
    monkeypatch.setattr(Compaction, "_take_line", lambda self, at, raw: Store.open(store.root).thread("t").delete())
    assert messages.compact() == Compacted()
    (log,) = Path(store.root, ".fsstore/trash").rglob("messages.jsonl")
    assert b'"1"' in log.read_bytes()
    assert list(Path(store.root, ".fsstore/tmp").iterdir()) == []
