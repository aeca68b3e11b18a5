"""A log by itself: order, sorting, and what a held writer knows. Its appending is in test_append.py."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import faults
import pytest

from fsstore import FormatError, Store, clock, codec
from fsstore.disk.log import Log
from fsstore.disk.renewal import sort_lines

SUFFIX = "8000-000000000000"


def line(number: int, **fields: object) -> bytes:
    """Give a record whose id has a place among others."""
    return codec.encode_line({"id": clock.spell_id((1 << 48) + number, SUFFIX), **fields})


@pytest.fixture
def log(store: Store, root: Path) -> Log:
    owner = f"{root}/fsstore.json"
    return Log(store._root, f"{root}/own.jsonl", "own", owner, lambda: LookupError("no owner"))


@pytest.fixture(autouse=True)
def _no_log_left_in_the_root(root: Path):
    yield
    (root / "own.jsonl").unlink(missing_ok=True)


def append(log: Log, text: str) -> str:
    """Append one record; give its id."""

    def make(writer):
        id = writer.mint()
        return codec.encode_line({"id": id, "text": text}), (id,)

    return log.append(make)[0]


def texts(log: Log) -> list[object]:
    return [json.loads(raw).get("text") for raw in Path(log.path).read_bytes().splitlines()]


def ids(log: Log) -> list[str]:
    return [json.loads(raw)["id"] for raw in Path(log.path).read_bytes().splitlines()]


def test_a_log_begins_with_its_first_record_where_its_owner_is(log: Log):
    append(log, "one")
    assert texts(log) == ["one"]
    assert os.stat(log.path).st_mode & 0o777 == 0o600


def test_a_log_without_its_owner_is_not_begun(store: Store, root: Path):
    log = Log(store._root, f"{root}/own.jsonl", "own", f"{root}/nobody", lambda: LookupError("no owner"))
    with pytest.raises(LookupError, match="no owner"):
        append(log, "one")
    assert not os.path.exists(log.path)


def test_nothing_made_is_nothing_written(log: Log, monkeypatch: pytest.MonkeyPatch):
    append(log, "one")
    calls = faults.Calls(monkeypatch, ["write", "sync"])
    assert log.append(lambda writer: (b"", ())) == ()
    assert calls == []


def test_an_error_of_the_maker_writes_nothing_and_gives_the_lock_back(log: Log):
    append(log, "one")

    def make(writer):
        writer.mint()
        raise KeyError("no")

    with pytest.raises(KeyError):
        log.append(make)
    append(log, "two")
    assert texts(log) == ["one", "two"]


def test_every_id_is_greater_than_all_before_whatever_the_clock_says(log: Log, monkeypatch: pytest.MonkeyPatch):
    times = [2_000_000_000, 1_000_000_000, 1_000_000_000, 1_500_000_000]
    for number, at in enumerate(times):
        monkeypatch.setattr("time.time_ns", lambda at=at: at * 10**9)
        append(log, str(number))
    assert ids(log) == sorted(set(ids(log)))
    assert texts(log) == ["0", "1", "2", "3"]


def test_an_id_is_greater_than_those_that_others_wrote(log: Log):
    append(log, "mine")
    with open(log.path, "ab") as file:
        file.write(codec.encode_line({"id": clock.spell_id(clock.stamp_of(ids(log)[0]) + (1 << 40), SUFFIX), "text": "future"}))
    append(log, "after")
    assert texts(log) == ["mine", "future", "after"]
    assert ids(log) == sorted(ids(log))


def test_an_append_at_the_end_of_time_is_refused_and_writes_nothing(log: Log):
    Path(log.path).write_bytes(codec.encode_line({"id": clock.LAST_ID}))
    before = Path(log.path).read_bytes()
    with pytest.raises(OverflowError):
        append(log, "too late")
    assert Path(log.path).read_bytes() == before


def test_a_record_later_than_that_is_damage_and_drags_no_id_along(log: Log):
    late = codec.encode_line({"id": "ffffffff-ffff-7fff-bfff-ffffffffffff", "text": "late"})
    Path(log.path).write_bytes(late)
    id = append(log, "now")
    assert id < clock.LAST_ID
    assert texts(log) == ["late", "now"]


def test_unsorted_lines_are_sorted_by_the_next_append(log: Log):
    Path(log.path).write_bytes(line(3, text="c") + line(1, text="a") + line(2, text="b"))
    append(log, "d")
    assert texts(log) == ["a", "b", "c", "d"]
    assert os.stat(log.path).st_mode & 0o777 == 0o600


def test_lines_that_come_unsorted_while_the_log_is_held_are_sorted_too(log: Log):
    append(log, "z")
    with open(log.path, "ab") as file:
        file.write(line(2, text="b") + line(1, text="a"))
    append(log, "end")
    assert texts(log) == ["a", "b", "z", "end"]


def test_sorting_happens_once(log: Log):
    Path(log.path).write_bytes(line(2, text="b") + line(1, text="a"))
    append(log, "c")
    inode = os.stat(log.path).st_ino
    append(log, "d")
    log.root.close()
    append(log, "e")
    assert os.stat(log.path).st_ino == inode


def test_sorting_is_written_to_a_new_file_and_synced_at_either_durability(root: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(root, durability="process") as store:
        log = Log(store._root, f"{root}/own.jsonl", "own", f"{root}/fsstore.json", LookupError)
        Path(log.path).write_bytes(line(2) + line(1))
        calls = faults.Calls(monkeypatch, ["write", "sync", "rename", "sync_directory"])
        append(log, "x")
    assert calls.names() == ["write", "sync", "rename", "sync_directory", "write"]


def test_sorting_that_fails_leaves_the_old_file(log: Log, monkeypatch: pytest.MonkeyPatch):
    before = line(2, text="b") + line(1, text="a")
    Path(log.path).write_bytes(before)
    faults.fail_once(monkeypatch, "rename")
    with pytest.raises(OSError, match="Input/output error"):
        append(log, "c")
    assert Path(log.path).read_bytes() == before
    append(log, "c")
    assert texts(log) == ["a", "b", "c"]


def test_sorted_lines_lose_no_byte_that_means_anything(seed: int):
    chance = random.Random(seed)
    lines = [line(number, text="x" * chance.randrange(50)) for number in range(40)]
    strange = [
        b"<<<<<<< ours\n",
        b"not json\n",
        b'{"id":"torn~\n',
        b"\0\0\n",
        b"\xff\xfe\n",
        b'{"no":"id"}\n',
        b'{"crlf":1}\r\n',
    ]
    for _ in range(50):
        mixed = [*lines, *strange, *chance.sample(lines, 5)]
        chance.shuffle(mixed)
        data = b"".join(mixed)
        done = sort_lines(data)
        assert sorted(done.splitlines()) == sorted(data.splitlines())
        records = [raw for raw in done.split(b"\n") if codec.read_line(raw).records]
        assert records == sorted(records)
        assert sort_lines(done) == done


def test_what_is_no_record_stays_behind_the_record_it_stood_after():
    data = b"first of all\n" + line(2) + b"after two\n" + line(1) + b"after one\n"
    assert sort_lines(data) == b"first of all\n" + line(1) + b"after one\n" + line(2) + b"after two\n"


def test_glued_records_are_taken_apart_when_they_are_sorted():
    glued = line(3)[:-1] + line(1)
    assert sort_lines(line(2) + glued) == line(1) + line(2) + line(3)


def test_sorting_equal_ids_gives_the_same_bytes_whichever_came_first():
    one, two = line(1, text="a"), line(1, text="b")
    assert sort_lines(one + two) == sort_lines(two + one)


def test_a_type_that_must_be_understood_stops_writing(log: Log):
    append(log, "one")
    with open(log.path, "ab") as file:
        file.write(codec.encode_line({"id": clock.new_id(ids(log)[0]), "type": "!future"}))
    before = Path(log.path).read_bytes()
    for _ in range(2):
        with pytest.raises(FormatError):
            append(log, "two")
        log.root.close()
    assert Path(log.path).read_bytes() == before


def test_other_unknown_types_are_kept_and_passed_over(log: Log):
    Path(log.path).write_bytes(line(1, type="future", text="kept"))
    append(log, "two")
    assert texts(log) == ["kept", "two"]


def test_two_logs_below_one_lock_do_not_disturb_each_other(store: Store, root: Path):
    logs = [Log(store._root, f"{root}/{name}.jsonl", "own", f"{root}/fsstore.json", LookupError) for name in ("own", "two")]
    for number in range(5):
        for log in logs:
            append(log, str(number))
    assert texts(logs[0]) == texts(logs[1]) == ["0", "1", "2", "3", "4"]
    os.unlink(logs[1].path)


def test_a_writer_let_go_while_another_thread_syncs_it_is_closed_after_the_sync(log: Log, root: Path, monkeypatch):
    append(log, "one")
    seen = {}

    def sync(real, fd: int) -> None:
        faults.replace(log.path, Path(log.path).read_bytes())
        append(log, "two")  # meets another file at the path, and lets go of the descriptor that is being synced
        seen["still open"] = os.fstat(fd).st_nlink == 0
        real(fd)

    faults.once(monkeypatch, "sync", sync)
    append(log, "one and a half")
    assert seen == {"still open": True}
    assert sorted(texts(log)) == ["one", "one and a half", "two"]
    log.root.close()
    assert faults.descriptors(root) == []
