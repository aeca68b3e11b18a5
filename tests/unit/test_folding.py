"""A log's view: folded once, whatever the order of its lines, then kept in step by reading only what is new."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from damage import line_of
from faults import Bytes, replace
from hypothesis import given
from hypothesis import strategies as st

from fsstore import FormatError, NotFoundError, Store, clock
from fsstore.disk.folding import Unfit, View, ViewFold
from fsstore.disk.follow import TAIL
from fsstore.disk.log import Log

IDS = [clock.spell_id((1_795_222_910_000 << 12) + number, "9601-c7b722d7b782") for number in range(100)]


class Kept(View):
    """Keeps what each record says."""

    said: list[Any]

    def begin(self) -> None:
        self.said = []

    def take(self, record: dict[str, Any]) -> None:
        if record.get("type") == "unfit":
            raise Unfit("bad-record", "it says so")
        self.said.append(record.get("says"))


def record(number: int, **fields: Any) -> bytes:
    return line_of({"id": IDS[number], "says": number, **fields})


def lines(*numbers: int) -> bytes:
    return b"".join(map(record, numbers))


@pytest.fixture
def path(store: Store) -> Path:
    return Path(store.root, "log.jsonl")


@pytest.fixture
def view(path: Path) -> Kept:
    return Kept(str(path))


def read(view: Kept) -> list[Any]:
    with view.mutex:
        view.refresh()
        return list(view.said)


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


# What is there, and what is new


def test_no_file_says_nothing_and_one_that_comes_is_read(view: Kept, path: Path):
    assert (read(view), view.greatest, view.end, view.sorted, view.damage) == ([], "", 0, True, [])
    path.write_bytes(b"")
    assert (read(view), view.end) == ([], 0)
    add(path, lines(1, 2))
    assert (read(view), view.greatest, view.end) == ([1, 2], IDS[2], path.stat().st_size)


def test_only_what_is_new_is_read(view: Kept, path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_bytes(b"".join(record(number, pad="x" * 2_000) for number in range(90)))
    count = Bytes(monkeypatch)
    assert read(view) == list(range(90))
    assert count.take() >= path.stat().st_size
    assert read(view) == list(range(90))
    assert count.take() <= TAIL
    add(path, record(90))
    assert read(view) == list(range(91))
    assert count.take() <= 2 * TAIL + len(record(90))


def test_a_log_of_100_000_entries_costs_nothing_to_read_again(view: Kept, path: Path, monkeypatch: pytest.MonkeyPatch):
    ids = clock.next_ids(0, clock.random_suffix(), 100_001)[1]
    path.write_bytes(b"".join(b'{"id":"%s","says":1}\n' % id.encode() for id in ids[:-1]))
    assert len(read(view)) == 100_000
    count = Bytes(monkeypatch)
    for _ in range(10):
        assert len(read(view)) == 100_000
    assert count.take() <= 10 * TAIL
    add(path, b'{"id":"%s","says":2}\n' % ids[-1].encode())
    assert read(view)[-2:] == [1, 2]
    assert count.take() <= 3 * TAIL


def test_a_log_that_goes_away_says_nothing_and_begins_anew(view: Kept, path: Path):
    path.write_bytes(lines(1, 2))
    assert read(view) == [1, 2]
    path.unlink()
    assert (read(view), view.greatest) == ([], "")
    path.write_bytes(lines(1, 3))
    assert read(view) == [1, 3]


def test_what_may_not_be_read_is_an_error_and_not_empty(view: Kept, path: Path):
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        read(view)


# Order


@pytest.mark.parametrize("order", [(2, 1), (3, 1, 2), (1, 3, 2, 4), (5, 4, 3, 2, 1), (1, 2, 4, 3)])
def test_lines_out_of_order_are_folded_in_the_order_of_their_ids(view: Kept, path: Path, order: tuple[int, ...]):
    path.write_bytes(lines(*order))
    assert read(view) == sorted(order)
    assert view.greatest == IDS[max(order)]
    assert view.sorted is False
    assert view.damage == []


def test_a_line_that_comes_behind_a_greater_one_is_put_in_its_place(view: Kept, path: Path):
    path.write_bytes(lines(1, 5))
    assert (read(view), view.sorted) == ([1, 5], True)
    add(path, lines(3))
    assert (read(view), view.sorted) == ([1, 3, 5], False)
    add(path, lines(6))
    assert (read(view), view.greatest) == ([1, 3, 5, 6], IDS[6])
    add(path, lines(2))
    assert read(view) == [1, 2, 3, 5, 6]


def test_an_unsorted_log_is_not_read_again_either(view: Kept, path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_bytes(b"".join(record(number, pad="x" * 2_000) for number in range(89, -1, -1)))
    assert read(view) == list(range(90))
    count = Bytes(monkeypatch)
    add(path, record(90))
    assert read(view) == list(range(91))
    assert count.take() <= 3 * TAIL


# Duplicates


@pytest.mark.parametrize("order", [(1, 1, 2), (1, 2, 2), (1, 2, 1), (2, 1, 2, 1), (1, 2, 3, 1, 2, 3)])
def test_a_record_that_stands_twice_counts_once_and_is_damage(view: Kept, path: Path, order: tuple[int, ...]):
    path.write_bytes(lines(*order))
    assert read(view) == sorted(set(order))
    assert [damage.kind for damage in view.damage] == ["duplicate-id"] * (len(order) - len(set(order)))
    at = {damage.offset for damage in view.damage}
    assert at <= {len(lines(*order[:place])) for place in range(1, len(order))}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("first", [1, 2])
def test_of_two_records_of_one_id_the_greater_bytes_count_whichever_came_first(view: Kept, path: Path, first: int, apart: bool):
    one, two = record(1, says="a"), record(1, says="b")
    between = lines(2) if apart else b""
    path.write_bytes((one + between + two) if first == 1 else (two + between + one))
    assert read(view) == ["b", 2][: 1 + apart]
    assert [damage.kind for damage in view.damage] == ["conflicting-id"]


def test_a_duplicate_that_comes_later_is_noticed(view: Kept, path: Path):
    path.write_bytes(lines(1, 2))
    assert (read(view), view.damage) == ([1, 2], [])
    add(path, lines(2))
    assert read(view) == [1, 2]
    assert [(damage.kind, damage.offset) for damage in view.damage] == [("duplicate-id", len(lines(1, 2)))]
    add(path, record(1, says=9))
    assert read(view) == [9, 2]
    assert [damage.kind for damage in view.damage] == ["duplicate-id", "conflicting-id"]


@given(
    st.lists(st.integers(0, 30), max_size=40).flatmap(
        lambda numbers: st.tuples(st.permutations(numbers), st.lists(st.integers(0, len(numbers)), max_size=4))
    )
)
def test_any_order_read_in_any_portions_is_the_set_in_order(tmp_path_factory: pytest.TempPathFactory, drawn: Any):
    numbers, cuts = drawn
    path = tmp_path_factory.mktemp("view") / "log.jsonl"
    view = Kept(str(path))
    path.touch()
    at = 0
    for cut in [*sorted(cuts), len(numbers)]:
        add(path, lines(*numbers[at:cut]))
        at = max(at, cut)
        assert read(view) == sorted(set(numbers[:at]))
        assert view.greatest == (IDS[max(numbers[:at])] if numbers[:at] else "")
        assert len(view.damage) == at - len(set(numbers[:at]))
        assert view.sorted == (list(numbers[:at]) == sorted(numbers[:at]))


# Damage


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (record(2)[:30] + b"\n", "torn"),
        (record(2)[:30] + b"~\n", "torn"),
        (b"\0" * 50 + b"\n", "nul"),
        (b"\xff\xfe\n", "utf8"),
        (b"prose\n", "not-json"),
        (b"[1]\n", "no-object"),
        (b"=======\n", "conflict-marker"),
        (b'{"says":2}\n', "bad-id"),
        (b'{"id":"2","says":2}\n', "bad-id"),
        (line_of({"id": clock.LAST_ID[:-1] + "1", "says": 2}), "bad-id"),
        (record(2, type="unfit"), "bad-record"),
    ],
)
def test_a_bad_line_is_passed_over_told_with_its_place_and_told_once(view: Kept, path: Path, bad: bytes, kind: str):
    path.write_bytes(lines(1) + bad + lines(3))
    for _ in range(3):
        assert read(view) == [1, 3]
        assert [(damage.kind, damage.offset) for damage in view.damage] == [(kind, len(lines(1)))]
        assert all(damage.reason for damage in view.damage)
    add(path, lines(4) + bad)
    assert read(view) == [1, 3, 4]
    assert view.damage[-1].offset == len(lines(1) + bad + lines(3, 4))


def test_damage_is_told_of_an_unsorted_log_as_well(view: Kept, path: Path):
    bad = record(2)[:30] + b"\n"
    path.write_bytes(lines(5) + bad + lines(1) + record(3, type="unfit"))
    assert read(view) == [1, 5]
    assert sorted((damage.offset, damage.kind) for damage in view.damage) == [
        (len(lines(5)), "torn"),
        (len(lines(5) + bad + lines(1)), "bad-record"),
    ]


def test_two_records_in_one_line_are_both_read(view: Kept, path: Path):
    path.write_bytes(lines(1)[:-1] + lines(2) + record(3)[:20] + lines(4))
    assert read(view) == [1, 2, 4]


def test_a_fragment_at_the_end_waits_until_it_is_whole(view: Kept, path: Path):
    path.write_bytes(lines(1) + record(2)[:30])
    for _ in range(2):
        assert (read(view), view.damage, view.end) == ([1], [], len(lines(1)))
    add(path, record(2)[30:-1])
    assert read(view) == [1, 2]  # all but its newline
    add(path, b"\n" + lines(3))
    assert (read(view), view.damage, view.end) == ([1, 2, 3], [], path.stat().st_size)


def test_a_fragment_that_another_writer_sealed_is_damage(view: Kept, path: Path):
    path.write_bytes(lines(1) + record(2)[:30])
    assert read(view) == [1]
    add(path, b"~\n" + lines(3))
    assert read(view) == [1, 3]
    assert [(damage.kind, damage.offset) for damage in view.damage] == [("torn", len(lines(1)))]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_record_that_must_be_understood_stops_the_reading_until_it_is_gone(view: Kept, path: Path, order: Any):
    path.write_bytes(lines(*order) + record(3, type="!later"))
    for _ in range(2):
        with pytest.raises(FormatError, match="!later"):
            read(view)
    add(path, lines(4))
    with pytest.raises(FormatError, match="!later"):
        read(view)
    replace(path, lines(*order, 4))
    assert read(view) == [1, 2, 4]


# Other files in the same place


@pytest.mark.parametrize("other", [(1, 2), (4, 5), (1, 2, 3, 4), (7,), ()])
def test_a_file_that_took_the_place_of_another_is_read_from_its_beginning(view: Kept, path: Path, other: tuple[int, ...]):
    path.write_bytes(lines(1, 2, 3))
    assert read(view) == [1, 2, 3]
    replace(path, lines(*other))
    assert (read(view), view.damage) == (list(other), [])


@pytest.mark.parametrize("other", [(4, 5, 6), (1, 2), (4,), (6, 5, 4, 3)])
def test_a_file_written_over_in_its_place_is_read_from_its_beginning(view: Kept, path: Path, other: tuple[int, ...]):
    path.write_bytes(lines(1, 2, 3))
    assert read(view) == [1, 2, 3]
    path.write_bytes(lines(*other))
    assert read(view) == sorted(other)


def test_a_change_in_place_is_noticed_though_length_end_and_time_of_change_stay(view: Kept, path: Path):
    path.write_bytes(record(1, says="old") + b"".join(record(number, pad="x" * 2_000) for number in range(2, 10)))
    assert read(view) == ["old", *range(2, 10)]
    status = path.stat()
    with path.open("r+b") as file:
        file.write(record(1, says="new"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert read(view) == ["new", *range(2, 10)]


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_reading_that_was_interrupted_is_done_anew(path: Path, at: int, warm: bool):
    class Interrupted(Kept):
        interrupt = -1

        def take(self, record: dict[str, Any]) -> None:
            if record["says"] == self.interrupt:
                self.interrupt = -1
                raise KeyboardInterrupt
            super().take(record)

    view = Interrupted(str(path))
    path.write_bytes(lines(0))
    if warm:
        assert read(view) == [0]
    view.interrupt = at
    add(path, lines(1, 2, 3))
    with pytest.raises(KeyboardInterrupt):
        read(view)
    assert (read(view), view.damage) == ([0, 1, 2, 3], [])
    add(path, lines(5))
    assert (read(view), view.damage) == ([0, 1, 2, 3, 5], [])


def test_a_line_that_a_view_skips_is_not_decoded_and_stays_in_order(path: Path):
    class Odd(Kept):
        def skips(self, raw: bytes) -> bool:
            number = json.loads(raw)["says"] if raw.startswith(b"{") else 1
            if number % 2 or IDS[number] <= self.greatest:
                return False
            self.greatest = IDS[number]
            return True

        def take(self, record: dict[str, Any]) -> None:
            super().take(record)
            assert record["says"] % 2 or not self.sorted

    view = Odd(str(path))
    path.write_bytes(lines(1, 2, 3, 4))
    assert (read(view), view.greatest, view.end) == ([1, 3], IDS[4], path.stat().st_size)
    add(path, b"torn\n" + lines(6, 7))
    assert (read(view), view.greatest, len(view.damage)) == ([1, 3, 7], IDS[7], 1)
    add(path, lines(5))
    assert [said for said in read(view) if said % 2] == [1, 3, 5, 7]
    assert view.greatest == IDS[7]


def test_readers_on_several_threads_see_a_prefix_of_what_is_written(view: Kept, path: Path):
    path.touch()
    seen: list[list[Any]] = []
    done = threading.Event()

    def look() -> None:
        last: list[Any] = []
        while not done.is_set() or len(last) < len(IDS):
            now = read(view)
            assert now[: len(last)] == last
            last = now
        seen.append(last)

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(len(IDS)):
        half = record(number)
        add(path, half[:20])
        add(path, half[20:])
    done.set()
    for reader in readers:
        reader.join()
    assert seen == [list(range(len(IDS)))] * 4


# What a writer learns from a view


@pytest.fixture
def log(store: Store, view: Kept) -> Iterator[Log]:
    yield Log(
        store._root, view.path, "test", f"{store.root}/fsstore.json", lambda: NotFoundError("store"), lambda: ViewFold(view)
    )
    store.close()


def append(log: Log, says: Any) -> str:
    def make(writer: Any) -> tuple[bytes, tuple[str, ...]]:
        id = writer.mint()
        return line_of({"id": id, "says": says}), (id,)

    return log.append(make)[0]


def test_a_writer_learns_the_log_from_its_view_and_reads_nothing_twice(log: Log, view: Kept, path: Path, monkeypatch):
    path.write_bytes(b"".join(record(number, pad="x" * 2_000) for number in range(90)))
    assert read(view) == list(range(90))
    count = Bytes(monkeypatch)
    id = append(log, "more")
    assert id > IDS[89]
    assert count.take() < 4 * TAIL
    assert read(view) == [*range(90), "more"]
    assert append(log, "even more") > id
    assert count.take() < 4 * TAIL


def test_a_writer_that_nobody_read_for_leaves_the_view_in_step(log: Log, view: Kept, path: Path):
    path.write_bytes(lines(1, 2, 3))
    append(log, "more")
    assert view.said == [1, 2, 3]
    assert read(view) == [1, 2, 3, "more"]


def test_an_unsorted_log_is_sorted_by_the_next_append(log: Log, view: Kept, path: Path):
    bad = record(9)[:30] + b"\n"
    path.write_bytes(lines(4, 2) + bad + lines(3, 1, 2))
    assert (read(view), view.sorted) == ([1, 2, 3, 4], False)
    id = append(log, "more")
    assert id > IDS[4]
    assert path.read_bytes() == lines(1, 2, 2) + bad + lines(3, 4) + line_of({"id": id, "says": "more"})
    assert (read(view), view.sorted) == ([1, 2, 3, 4, "more"], True)
    assert sorted(damage.kind for damage in view.damage) == ["duplicate-id", "torn"]


def test_a_log_that_became_unsorted_under_a_writer_is_sorted_by_its_next_append(log: Log, view: Kept, path: Path):
    first = append(log, "first")
    add(path, lines(5, 3))
    second = append(log, "second")
    assert second > first > IDS[5]
    assert read(view) == [3, 5, "first", "second"]
    assert [json.loads(line)["says"] for line in path.read_bytes().splitlines()] == [3, 5, "first", "second"]


@pytest.mark.parametrize(("tail", "sealed"), [(record(2)[:30], b"~\n"), (record(2)[:-1], b"\n")])
def test_a_tail_without_its_newline_is_sealed_behind_what_the_view_has_read(log, view, path, tail: bytes, sealed: bytes):
    path.write_bytes(lines(1) + tail)
    read(view)
    id = append(log, "more")
    assert path.read_bytes() == lines(1) + tail + sealed + line_of({"id": id, "says": "more"})
    assert read(view) == ([1, "more"] if sealed == b"~\n" else [1, 2, "more"])


def test_a_log_that_must_be_understood_is_not_appended_to(log: Log, view: Kept, path: Path):
    path.write_bytes(lines(1) + record(2, type="!later"))
    before = path.read_bytes()
    with pytest.raises(FormatError, match="!later"):
        append(log, "more")
    assert path.read_bytes() == before
