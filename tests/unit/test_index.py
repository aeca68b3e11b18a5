"""The index of a log: what it reads when the log grew, was replaced, or deceived it."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench, line_of, read_exactly
from faults import replace

from fsstore import Message, Store, clock
from fsstore.disk import fs
from fsstore.resources import index as index_module
from fsstore.resources.index import Index
from fsstore.resources.indexes import Indexes
from fsstore.resources.messages import Messages


class Reads:
    """How often, and from where, logs are read in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts: list[int] = []
        real = fs.lines

        def counted(fd: int, start: int, end: int) -> Any:
            self.starts.append(start)
            return real(fd, start, end)

        monkeypatch.setattr(fs, "lines", counted)

    def take(self) -> list[int]:
        starts, self.starts = self.starts, []
        return starts


@pytest.fixture
def bench(root: Path) -> LogBench:
    return LogBench(root, count=100)


@pytest.fixture
def messages(bench: LogBench) -> Iterator[Messages]:
    with Store.open(bench.root, read_only=True) as store:
        messages = store.thread("t").messages
        assert messages.branch() == bench.sent
        yield messages


@pytest.fixture
def reads(messages: Messages, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def elsewhere(bench: LogBench, count: int = 1) -> list[Message]:
    with Store.open(bench.root, durability="process") as store:
        return store.thread("t").messages.extend({"role": "user", "content": "new"} for _ in range(count))


# What is read


def test_nothing_is_read_in_order_while_nothing_changed(bench: LogBench, messages: Messages, reads: Reads) -> None:
    for _ in range(3):
        assert messages.branch() == bench.sent
        assert messages.get(bench.sent[5].id) == bench.sent[5]
        assert messages.leaf() == bench.sent[-1]
    assert reads.take() == []


def test_only_the_new_bytes_are_read_when_the_log_grew(bench: LogBench, messages: Messages, reads: Reads) -> None:
    for _ in range(3):
        end = len(bench.data)
        new = elsewhere(bench)
        reads.take()  # the writer's own
        assert messages.branch(1) == new
        assert reads.take() == [end]
        assert messages.branch(1) == new
        assert reads.take() == []


def test_a_fragment_at_the_end_is_read_again_and_nothing_else(bench: LogBench, messages: Messages, reads: Reads) -> None:
    end = len(bench.data)
    line = line_of({"id": clock.new_id(bench.sent[-1].id), "parent_id": bench.sent[-1].id, "role": "user", "content": "x"})
    bench.append_bytes(line[:40])
    assert messages.branch() == bench.sent
    bench.append_bytes(line[40:])
    assert messages.branch(1)[0].content == "x"
    assert reads.take() == [end, end]


def test_all_is_read_when_another_file_took_its_place(bench: LogBench, messages: Messages, reads: Reads) -> None:
    replace(bench.path, b"".join(bench.lines[:50]))
    assert messages.branch() == bench.sent[:50]
    replace(bench.path, bench.whole)
    assert messages.branch() == bench.sent
    assert reads.take() == [0, 0]


def test_all_is_read_when_a_new_file_has_the_same_bytes(bench: LogBench, messages: Messages, reads: Reads) -> None:
    replace(bench.path, bench.whole)
    assert messages.branch() == bench.sent
    assert reads.take() == [0]


@pytest.mark.damaged
def test_all_is_read_when_the_file_was_rewritten_in_place(bench: LogBench, messages: Messages, reads: Reads) -> None:
    inode = bench.path.stat().st_ino
    bench.put(b"".join([*bench.lines[:40], *bench.lines[41:]]))
    assert bench.path.stat().st_ino == inode
    assert [message.id for message in messages] == [message.id for message in bench.sent if message != bench.sent[40]]
    assert reads.take()[0] == 0


def test_all_is_read_when_the_file_was_rewritten_in_place_and_grew(bench: LogBench, messages: Messages, reads: Reads) -> None:
    new = [line_of({**bench.record(n), "content": "rewritten, and longer than it was"}) for n in range(100)]
    bench.put(b"".join(new))
    assert {message.content for message in messages} == {"rewritten, and longer than it was"}
    assert 0 in reads.take()


def test_all_is_read_when_the_end_changed_at_the_same_length(bench: LogBench, messages: Messages, reads: Reads) -> None:
    before = len(bench.data)
    bench.set_bytes(99, b"message 99", b"MESSAGE 99")
    assert len(bench.data) == before
    assert messages.leaf() is not None
    assert messages.branch(1)[0].content.startswith("MESSAGE 99")
    assert reads.take() == [0]


def test_a_change_of_a_body_far_from_the_end_is_seen_as_well(bench: LogBench, messages: Messages) -> None:
    bench.set_bytes(3, b"message 3", b"MESSAGE 3")
    assert messages[bench.sent[3].id].content.startswith("MESSAGE 3")
    assert messages.branch()[3].content.startswith("MESSAGE 3")


@pytest.mark.damaged
def test_a_file_cut_short_and_grown_again_is_read_anew(bench: LogBench, messages: Messages, reads: Reads) -> None:
    bench.put(b"".join(bench.lines[:10]))
    new = elsewhere(bench, 200)
    reads.take()
    assert messages.branch() == [*bench.sent[:10], *new]
    assert reads.take() == [0]


def test_a_vanished_file_and_its_return_are_noticed(bench: LogBench, messages: Messages) -> None:
    bench.path.unlink()
    assert messages.branch() == []
    bench.put(bench.whole)
    assert messages.branch() == bench.sent


def test_a_hundred_replacements_in_a_row_are_all_noticed(bench: LogBench, messages: Messages, seed: int) -> None:
    rng, lines = random.Random(seed), bench.lines
    for _ in range(100):
        count = rng.randrange(1, 100)
        if rng.random() < 0.5:
            bench.path.unlink()
            bench.put(b"".join(lines[:count]))  # its inode is often the old one
        else:
            bench.put(b"".join(lines[:count]))
        assert messages.branch() == bench.sent[:count]


# Ids


def test_every_id_is_found_and_no_other(root: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_RECENT", 8)  # all but the newest are looked for in the file
    bench = LogBench(root, count=300)
    with Store.open(root, read_only=True) as store:
        messages = store.thread("t").messages
        for message in random.Random(seed).sample(bench.sent, 300):
            assert messages.get(message.id) == message
        for message in bench.sent:
            stamp = clock.stamp_of(message.id)
            for near in (clock.spell_id(stamp - 1, clock.random_suffix()), clock.spell_id(stamp, clock.suffix_of(1 << 63))):
                assert near not in messages
        for id in (clock.FIRST_ID, clock.LAST_ID, "", "0", "~", "zzz", "é", "\ud800", "\0"):
            assert id not in messages


def test_ids_are_found_among_records_of_other_kinds_and_keys_in_another_order(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_RECENT", 8)
    bench = LogBench(root, count=60)
    lines = []
    for n in range(60):
        record = bench.record(n)
        later = clock.spell_id(clock.stamp_of(record["id"]) + 1, clock.random_suffix())
        lines += [line_of(dict(reversed(record.items())) if n % 3 else record)]
        lines += [line_of({"id": later, "type": "leaf", "leaf_id": record["id"]})] * (n % 2)
    bench.put(b"".join(sorted(lines, key=lambda line: json.loads(line)["id"])))
    assert bench.assert_kept().branch == bench.sent


def test_a_parent_far_back_is_found_in_the_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_RECENT", 8)
    bench = LogBench(root, count=200)
    id = bench.sent[-1].id
    for place in (0, 1, 100, 150, 199):
        id = clock.new_id(id)
        bench.append_record(id=id, parent_id=bench.sent[place].id, role="user", content="far")
        view = read_exactly(root, "t")
        assert view.branch == [*bench.sent[: place + 1], view.messages[-1]]
    assert bench.read().damage == []


# Lines that deceive


@pytest.mark.damaged
@pytest.mark.parametrize("n", [0, 50, 98])
def test_a_line_that_only_looks_like_a_message_makes_the_index_look_closely(bench: LogBench, n: int) -> None:
    bench.set_bytes(n, b"message", b'mes"sage')  # its beginning is that of a message
    index = Index(str(bench.path))
    fd = fs.open_read(str(bench.path))
    try:
        index.build(fd, fs.fstat(fd), exact=False)
        assert (len(index), index.damage, index.exact) == (100, [], False)
        index.build(fd, fs.fstat(fd), exact=True)
        assert len(index) == 99
    finally:
        fs.close(fd)
    bench.assert_kept(n)


@pytest.mark.damaged
def test_damage_found_while_reading_makes_the_whole_index_exact(bench: LogBench) -> None:
    bench.tear_line(50)
    with Store.open(bench.root, read_only=True) as store:
        store.thread("t").messages.branch()
        kept = store.thread("t").messages._indexes[str(bench.path)]
        assert kept.exact
        assert [damage.kind for damage in kept.damage] == ["torn", "missing-parent"]


@pytest.mark.damaged
def test_damage_that_came_with_new_bytes_is_known_too(bench: LogBench, messages: Messages) -> None:
    bench.append_bytes(b"words\n")
    (new,) = elsewhere(bench)
    assert messages.branch()[-1] == new
    assert [damage.kind for damage in messages.damage()] == ["not-json"]


@pytest.mark.damaged
@pytest.mark.parametrize("by", ["garbage", "another record"])
def test_a_line_written_over_between_two_reads_of_an_unsorted_log_is_passed_over(
    bench: LogBench, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    bench.swap_lines(50, 51)
    place, other = bench.offset(60), bench.lines[3]
    real = fs.read_range

    def changed(fd: int, start: int, end: int) -> bytes:
        return real(fd, start, end) if start != place else b'{"id":' if by == "garbage" else other

    monkeypatch.setattr(fs, "read_range", changed)
    with Store.open(bench.root, read_only=True) as store:
        assert len(store.thread("t").messages) == 99


# The indexes together


def test_only_the_indexes_used_last_are_kept() -> None:
    indexes = Indexes(count=3)
    kept = [indexes[name] for name in "abc"]
    assert indexes["a"] is kept[0]
    indexes["d"]
    assert [name in indexes for name in "abcd"] == [True, False, True, True]
    assert indexes["a"] is kept[0]
    assert indexes["b"] is not kept[1]


def test_indexes_hold_no_more_messages_than_allowed_together(root: Path) -> None:
    with Store.open(root, durability="process") as store:
        for n in range(6):
            store.threads.create(f"t{n}").messages.extend({"role": "user", "content": "x"} for _ in range(10))
    with Store.open(root, read_only=True) as store:
        indexes = store._indexes = Indexes(count=64, messages=25)
        for n in range(6):
            messages = store.thread(f"t{n}").messages
            messages._indexes = indexes
            assert len(messages) == 10
        assert sum(f"{root}/threads/t{n}/messages.jsonl" in indexes for n in range(6)) <= 3


def test_threads_of_one_process_read_while_another_process_writes(bench: LogBench, messages: Messages) -> None:
    wrong: list[Any] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                branch = messages.branch()
                ids = [None, *(message.id for message in branch)]
                if [message.parent_id for message in branch] != ids[:-1] or branch[:100] != bench.sent:
                    wrong.append(branch)
                if [message.id for message in messages][:100] != ids[1:101]:
                    wrong.append("iterating")
        except BaseException as error:
            wrong.append(error)
            raise

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    pid = os.fork()
    if not pid:
        try:
            for _ in range(30):
                elsewhere(bench)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(messages) == 130
