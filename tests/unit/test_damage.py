from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from damage import LogBench, assert_same, line_of, read_all_ways, read_exactly, unchanged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsstore import FormatError, Store, clock
from fsstore.codec import read_line
from fsstore.disk import fs
from fsstore.disk.renewal import sort_lines

pytestmark = pytest.mark.damaged


@pytest.fixture
def bench(root: Path) -> LogBench:
    return LogBench(root)


MIXTURE = [
    *(line_of({"id": f"01990000-0000-7000-8000-00000000000{digit}", "role": "user", "content": "x"}) for digit in "abc"),
    *(
        b'{"id":"01990000-0000-7000-8000-00000000000d","n":1}',
        b'{"id":"0199',
        b"\n",
        b"\0\0\n",
        b"words\n",
        b"\r\n",
        b"<<<<<<< x\n",
        b"~\n",
    ),
]


def after(bench: LogBench, count: int = 1) -> list[str]:
    """Give ids greater than every one of the log."""
    ids = [bench.sent[-1].id]
    for _ in range(count):
        ids.append(clock.new_id(ids[-1]))
    return ids[1:]


def append_and_read(bench: LogBench) -> Any:
    """Let the store append to what is there, and give the view of all that was read before and of the new message."""
    before = bench.read()
    with Store.open(bench.root, durability="process") as store:
        new = store.thread(bench.thread_id).messages.append("user", "after the damage")
    view = bench.read()
    assert_same(view.messages, [*before.messages, new])
    assert view.branch[-1] == new
    assert view.branch[:-1] == before.branch
    return view


def test_an_undamaged_log_is_read_in_every_way_alike(bench: LogBench) -> None:
    view = bench.assert_kept()
    assert view.messages == view.branch == bench.sent
    assert view.damage == []


# Torn


@pytest.mark.parametrize("keep", [1, 7, 43, 44, 60, 100, 120])
@pytest.mark.parametrize("n", range(5))
def test_a_torn_line_hides_nothing_but_itself(bench: LogBench, n: int, keep: int) -> None:
    bench.tear_line(n, keep)
    view = bench.assert_kept(n)
    assert view.kinds[0] in (("torn", bench.offset(n)), ("utf8", bench.offset(n)))  # torn within a character
    assert [kind for kind, _ in view.kinds[1:]] == ["missing-parent"] * (n < 4)


def test_every_torn_tail_hides_nothing_but_itself(root: Path) -> None:
    bench = LogBench(root, count=3)
    whole, last = bench.data, len(bench.lines[2])
    for cut in range(2, last + 1):
        bench.put(whole[:-cut])
        assert bench.assert_kept(2).branch == bench.sent[:2]


def test_a_record_that_lacks_only_its_newline_is_whole(bench: LogBench) -> None:
    bench.cut_last(1)
    assert bench.assert_kept().branch == bench.sent
    assert append_and_read(bench).damage == []


@pytest.mark.parametrize("cut", [2, 20, 60])
def test_a_torn_tail_is_sealed_by_the_next_append_not_cut_off(bench: LogBench, cut: int) -> None:
    bench.cut_last(cut)
    before = bench.data
    view = append_and_read(bench)
    assert bench.data.startswith(before + b"~\n")
    assert view.kinds == [("torn", bench.offset(4))]


def test_a_torn_record_whose_last_bytes_look_like_a_record_shows_no_message(bench: LogBench) -> None:
    (id, inner) = after(bench, 2)
    record = {"id": id, "parent_id": bench.sent[4].id, "role": "user", "content": "x"}
    nested = {"id": inner, "parent_id": None, "role": "user", "content": "nested"}
    bench.append_bytes(line_of({**record, "item": nested})[:-2])
    assert bench.data.endswith(line_of(nested)[:-1])
    assert bench.assert_kept().branch == bench.sent
    assert append_and_read(bench).kinds == [("torn", bench.offset(5))]


def test_a_tail_that_is_still_being_written_is_read_once_it_is_whole(bench: LogBench) -> None:
    (id,) = after(bench)
    line = line_of({"id": id, "parent_id": bench.sent[4].id, "role": "user", "content": "slowly"})
    with Store.open(bench.root, read_only=True) as store:
        messages = store.thread("t").messages
        for part in (line[:30], line[30:-10], line[-10:]):
            assert messages.branch() == bench.sent
            bench.append_bytes(part)
        assert messages.branch()[-1].content == "slowly"
        assert messages.damage() == []


# Glued


@pytest.mark.parametrize("n", range(4))
def test_two_glued_records_are_both_read(bench: LogBench, n: int) -> None:
    bench.glue(n)
    view = bench.assert_kept()
    assert view.branch == bench.sent
    assert view.kinds == [("glued", bench.offset(n))]


def test_all_records_in_one_line_are_all_read(bench: LogBench) -> None:
    bench.put(bench.data.replace(b"\n", b"") + b"\n")
    assert bench.assert_kept().branch == bench.sent


@pytest.mark.parametrize("keep", [1, 10, 50, 110, -2])
@pytest.mark.parametrize("n", range(4))
def test_a_whole_record_behind_a_fragment_is_read(bench: LogBench, n: int, keep: int) -> None:
    bench.glue(n, keep)
    view = bench.assert_kept(n)
    assert view.kinds[0] == ("glued", bench.offset(n))


def glued_fork(bench: LogBench, cut: int | None) -> list[str]:
    """Glue two forks that nothing else leads to: only a reader that looks into the line finds the second one."""
    one, two, three = after(bench, 3)
    fields = {"role": "user", "content": "fork"}
    first = line_of({"id": one, "parent_id": bench.sent[3].id, **fields})[:-1]
    second = line_of({"id": two, "parent_id": bench.sent[2].id, **fields})
    bench.append_bytes(
        first[:cut] + second + line_of({"id": three, "parent_id": one if cut is None else bench.sent[4].id, **fields})
    )
    return [one, two, three]


@pytest.mark.parametrize("cut", [None, -10, -1])
def test_a_glued_record_that_no_other_leads_to_is_found_by_every_view(bench: LogBench, cut: int | None) -> None:
    one, two, three = glued_fork(bench, cut)
    view = bench.read()
    expected = [one, two, three] if cut is None else [two, three]
    assert [message.id for message in view.messages[5:]] == expected
    assert two in [leaf.id for leaf in view.leaves]


def test_a_fragment_glued_behind_the_last_record_hides_nothing(bench: LogBench) -> None:
    bench.cut_last(1)
    bench.append_bytes(b'{"id":"0199')
    assert bench.assert_kept().branch == bench.sent
    append_and_read(bench)


def test_glued_records_out_of_order_are_sorted_by_the_next_append(bench: LogBench) -> None:
    lines = bench.lines
    bench.put(lines[0] + lines[1][:-1] + lines[3] + lines[2] + lines[4])
    assert bench.assert_kept().branch == bench.sent
    append_and_read(bench)
    with Store.open(bench.root, read_only=True) as store:
        assert "unsorted" not in [problem.kind for problem in store.check()]
    inode = bench.path.stat().st_ino
    append_and_read(bench)
    assert bench.path.stat().st_ino == inode


# NUL bytes, bad UTF-8, other bytes


@pytest.mark.parametrize("n", range(5))
def test_nul_bytes_before_and_behind_a_record_do_not_hide_it(bench: LogBench, n: int) -> None:
    end = len(bench.lines[n]) - 1
    bench.put_nul(n, end)
    bench.put_nul(n, 0)
    view = bench.assert_kept()
    assert [kind for kind, _ in view.kinds] == ["nul"]


def test_a_hole_of_nul_bytes_between_two_records_hides_neither(bench: LogBench) -> None:
    bench.glue(2)
    bench.put_nul(2, bench.lines[2].index(b"}{") + 1, 4096)
    assert bench.assert_kept().branch == bench.sent


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0", b"\r", b" ", b"\r\0\0"])
def test_what_follows_the_last_record_without_a_newline_does_not_hide_it(bench: LogBench, tail: bytes) -> None:
    bench.cut_last(1)
    bench.append_bytes(tail)
    assert bench.assert_kept().branch == bench.sent
    append_and_read(bench)


def test_a_tail_of_nul_bytes_alone_hides_nothing(bench: LogBench) -> None:
    bench.append_bytes(b"\0" * 4096)
    assert bench.assert_kept().branch == bench.sent
    view = append_and_read(bench)
    assert len(view.damage) == 1


@pytest.mark.parametrize("n", range(6))
def test_a_line_of_nul_bytes_is_counted_and_passed_over(bench: LogBench, n: int) -> None:
    bench.insert_line(n, b"\0" * 100 + b"\n")
    view = bench.assert_kept()
    assert view.kinds == [("nul", bench.offset(n))]
    assert view.branch == bench.sent


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("bad", [b"\0\0", b"\xff\xfe", b"\xc3", b"\x01", b"\xed\xa0\x80"])
def test_bad_bytes_inside_a_record_hide_nothing_but_that_record(bench: LogBench, n: int, bad: bytes) -> None:
    bench.set_bytes(n, b"message", b"mess" + bad + b"age")
    view = bench.assert_kept(n)
    assert view.kinds[0][1] == bench.offset(n)
    assert len(view.kinds) == 1 + (n < 4)


@pytest.mark.parametrize(
    "junk", [b"[1,2]", b"17", b'"text"', b"null", b"true", b"words", b"~", b"}", b"{}", b"\xef\xbb\xbf", b"\x1a"]
)
def test_a_line_that_is_no_record_is_counted_and_passed_over(bench: LogBench, junk: bytes) -> None:
    bench.insert_line(2, junk + b"\n")
    view = bench.assert_kept()
    assert [offset for _, offset in view.kinds] == [bench.offset(2)]


def test_a_byte_order_mark_does_not_hide_the_first_record(bench: LogBench) -> None:
    bench.put(b"\xef\xbb\xbf" + bench.data)
    assert bench.assert_kept().branch == bench.sent


def test_line_ends_of_windows_change_nothing(bench: LogBench) -> None:
    bench.put(bench.data.replace(b"\n", b"\r\n"))
    assert bench.assert_kept().damage == []
    assert append_and_read(bench).damage == []


def test_blank_lines_are_no_damage(bench: LogBench) -> None:
    bench.put(b"\n\n" + bench.data.replace(b"\n", b"\n \t\n\r\n\n"))
    assert bench.assert_kept().damage == []


def test_the_markers_of_a_git_conflict_hide_nothing(bench: LogBench) -> None:
    lines = bench.lines
    marked = [b"<<<<<<< HEAD\n", lines[3], b"||||||| base\n", b"=======\n", lines[4], b">>>>>>> theirs\n"]
    bench.put(b"".join([*lines[:3], *marked]))
    view = bench.assert_kept()
    assert [kind for kind, _ in view.kinds] == ["conflict-marker"] * 4
    append_and_read(bench)


# Records that say odd things


def test_an_unknown_type_is_kept_counted_and_passed_over(bench: LogBench) -> None:
    (id,) = after(bench)
    bench.insert_line(5, line_of({"id": id, "type": "later", "about": bench.sent[0].id}))
    view = bench.assert_kept()
    assert view.kinds == [("unknown-type", bench.offset(5))]
    kept = bench.lines[5]
    assert append_and_read(bench).branch[:-1] == bench.sent
    assert kept in bench.lines


@pytest.mark.parametrize("n", [0, 3, 5])
def test_a_type_that_must_be_understood_stops_every_reading_and_writing(bench: LogBench, n: int) -> None:
    id = after(bench)[0] if n == 5 else clock.spell_id(clock.stamp_of(bench.sent[n].id) - 1, clock.random_suffix())
    bench.insert_line(n, line_of({"id": id, "type": "!later"}))
    questions = [
        *(list, len, lambda m: m.branch(), lambda m: m.branch(1), lambda m: m.leaf(), lambda m: m.leaves()),
        *(lambda m: m.children(), lambda m: m.get(bench.sent[0].id), lambda m: m.damage()),
    ]
    with unchanged(bench.path):
        for question in questions:
            with Store.open(bench.root, read_only=True) as store, pytest.raises(FormatError, match="!later"):
                question(store.thread("t").messages)
        with Store.open(bench.root) as store, pytest.raises(FormatError, match="!later"):
            store.thread("t").messages.append("user", "x")


@pytest.mark.parametrize("content", ["a smaller one", "z greater one"])
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5])
def test_of_two_records_with_one_id_the_greater_bytes_count_wherever_they_stand(
    bench: LogBench, place: int, content: str
) -> None:
    twin = line_of({**bench.record(2), "content": content})
    greater = max(twin, bench.lines[2])
    bench.insert_line(place, twin)
    view = bench.read()
    assert [message.id for message in view.messages] == bench.ids(*range(5))
    assert view.messages[2].content == (content if greater == twin else bench.sent[2].content)
    assert [kind for kind, _ in view.kinds] == ["conflicting-id"]
    assert len(view.branch) == 5


@pytest.mark.parametrize("place", range(6))
def test_the_same_record_twice_is_one_message(bench: LogBench, place: int) -> None:
    bench.duplicate_line(2, place)
    view = bench.assert_kept()
    assert view.messages == bench.sent
    assert [kind for kind, _ in view.kinds] == ["duplicate-id"]


def twins(bench: LogBench, **fields: Any) -> list[Any]:
    """Read the log with another record of message 2's id before, and behind it; the answers must be one."""
    whole, twin = bench.data, line_of({"id": bench.sent[2].id, **fields})
    views = []
    for place in (2, 3):
        bench.put(whole)
        bench.insert_line(place, twin)
        views.append(bench.read())
    assert views[0].messages == views[1].messages
    assert views[0].leaves == views[1].leaves
    return views


@pytest.mark.parametrize(
    "fields",
    [
        *({"type": "leaf", "leaf_id": None}, {"zzz": 1}, {"type": "later"}, {"parent_id": None, "role": 7, "content": "zzz"}),
        *({"type": "removed", "message_id": None}, {"parent_id": None, "role": "zzz"}, {"type": "clear", "leaf_ids": []}),
    ],
)
def test_a_record_of_another_kind_with_a_messages_id_does_not_hide_the_message(bench: LogBench, fields: dict[str, Any]) -> None:
    for view in twins(bench, **fields):
        assert_same(view.messages, bench.sent)
        assert "shared-id" in [kind for kind, _ in view.kinds]


def test_a_gone_stub_beats_the_message_of_its_id(bench: LogBench) -> None:
    for view in twins(bench, parent_id=bench.sent[1].id, type="gone"):
        assert [message.id for message in view.messages] == bench.ids(0, 1, 3, 4)
        assert view.messages[2].parent_id == bench.sent[1].id


@pytest.mark.parametrize(("key", "wins"), [("given_id", False), ("zzz", True)])
def test_a_twin_that_counts_brings_its_given_id_and_either_what_it_replaces(bench: LogBench, key: str, wins: bool) -> None:
    more = {key: "mine", "given_id": "mine", "replaces": bench.sent[0].id, "role": "user", "content": "x"}
    for view in twins(bench, parent_id=bench.sent[1].id, **more):
        ids = [message.id for message in view.messages]
        assert ids == ([*bench.ids(1), "mine", *bench.ids(3, 4)] if wins else bench.ids(1, 2, 3, 4))


@pytest.mark.parametrize("n", range(4))
def test_below_a_missing_parent_a_message_hangs_below_the_one_before_it_and_is_counted(bench: LogBench, n: int) -> None:
    bench.drop_line(n)
    view = bench.assert_kept(n)
    assert view.kinds == [("missing-parent", bench.offset(n))]
    assert view.contents == [message.content for at, message in enumerate(bench.sent) if at != n]


def test_a_missing_parent_older_than_all_makes_a_root(bench: LogBench) -> None:
    bench.change(2, parent_id=clock.FIRST_ID)
    view = bench.assert_kept()
    assert view.kinds == [("missing-parent", bench.offset(2))]
    assert view.contents == [message.content for message in bench.sent[2:]]


def test_a_missing_parent_in_another_branch_is_stood_in_for_by_age_alone_whatever_the_order_of_lines(bench: LogBench) -> None:
    lines = [*bench.lines[:2], *bench.lines[3:]]
    for changed in (lines, lines[::-1]):
        bench.put(b"".join(changed))
        assert bench.assert_kept(2).contents == [message.content for at, message in enumerate(bench.sent) if at != 2]


@pytest.mark.parametrize(("n", "parent"), [(2, 2), (2, 4), (0, 4), (0, 0), (4, 4)])
def test_a_cycle_of_parents_ends_and_is_counted(bench: LogBench, n: int, parent: int) -> None:
    bench.change(n, parent_id=bench.sent[parent].id)
    view = bench.assert_kept()
    assert view.kinds == [("cycle", bench.offset(n))]
    assert view.messages[n].parent_id is None


@pytest.mark.parametrize("parent", [7, "", "nobody", ["x"], {"a": 1}, False, "é" * 40, "zzzz", "\0"])
def test_a_parent_that_is_no_id_makes_a_root(bench: LogBench, parent: Any) -> None:
    bench.change(3, parent_id=parent)
    view = bench.assert_kept()
    assert view.kinds[0][1] == bench.offset(3)
    assert view.messages[3].parent_id is None


@pytest.mark.parametrize(
    "id", ["ffff0000-0000-7000-8000-000000000000", "1d8fda4c-e000-7000-8000-000000000001", "", None, 7, "X", [1]]
)
def test_a_record_without_a_good_id_is_damage_and_drags_no_later_id_along(bench: LogBench, id: Any) -> None:
    bench.insert_line(2, line_of({**bench.record(2), "id": id}))
    view = bench.assert_kept()
    assert view.kinds == [("bad-id", bench.offset(2))]
    new = append_and_read(bench).branch[-1]
    assert clock.seconds_of(new.id) <= clock.now() + 1


def test_a_record_with_two_ids_is_damage_in_every_view(bench: LogBench) -> None:
    two = line_of(bench.record(2))[:-2] + b',"id":"' + bench.record(3)["id"].encode() + b'"}\n'
    bench.insert_line(2, two)
    assert bench.assert_kept().kinds == [("bad-id", bench.offset(2))]
    append_and_read(bench)


@pytest.mark.parametrize("leaf_id", ["0" * 36, clock.FIRST_ID, "", 7, ["x"], {"a": 1}, "zzz"])
def test_a_move_of_the_leaf_to_nothing_moves_nothing(bench: LogBench, leaf_id: Any) -> None:
    bench.append_record(id=after(bench)[0], type="leaf", leaf_id=leaf_id)
    view = bench.assert_kept()
    assert view.branch == bench.sent
    assert view.kinds == [("dangling", bench.offset(5))]
    assert append_and_read(bench).branch[-1].parent_id == bench.sent[4].id


@pytest.mark.parametrize(
    "fields",
    [
        *({"type": "removed", "message_id": "0" * 36}, {"type": "removed"}, {"type": "removed", "message_id": ["x"]}),
        *({"type": "clear", "leaf_ids": 7}, {"type": "clear", "leaf_ids": "abc"}),
        *({"type": ["leaf"]}, {"type": 7}, {"type": {}}, {"type": ""}, {"no": "message"}, {"role": "user"}, {"content": "x"}),
        *({"role": 7, "content": "x"}, {"parent_id": None, "role": None, "content": "x"}),
    ],
)
def test_a_record_that_says_nothing_usable_is_counted_and_changes_nothing(bench: LogBench, fields: dict[str, Any]) -> None:
    bench.append_record(id=after(bench)[0], **fields)
    view = bench.assert_kept()
    assert view.branch == bench.sent
    assert [offset for _, offset in view.kinds] == [bench.offset(5)]
    append_and_read(bench)


@pytest.mark.parametrize(
    "fields", [{"given_id": 7}, {"given_id": ""}, {"given_id": ["g"]}, {"replaces": 7}, {"replaces": ["x"]}]
)
def test_a_message_with_an_odd_key_of_the_stores_own_is_still_a_message(bench: LogBench, fields: dict[str, Any]) -> None:
    (id,) = after(bench)
    bench.append_record(id=id, parent_id=bench.sent[4].id, **fields, role="user", content="odd")
    view = bench.read()
    assert_same(view.messages[:5], bench.sent)
    assert (view.branch[-1].id, view.branch[-1].content) == (id, "odd")


@pytest.mark.parametrize("late", [{"replaces": 1}, {"given_id": "mine"}, {"type": "leaf", "leaf_id": None}])
def test_keys_of_another_writers_order_count_once_the_line_is_decoded(bench: LogBench, late: dict[str, Any]) -> None:
    (id,) = after(bench)
    late = {"replaces": bench.sent[1].id} if "replaces" in late else late
    first = {"id": id, "parent_id": bench.sent[4].id}
    views = []
    whole = bench.data
    for record in ({**first, **late, "role": "user", "content": "x"}, {**first, "role": "user", "content": "x", **late}):
        bench.put(whole)
        bench.append_record(**record)
        views.append(read_exactly(bench.root, "t"))
    assert views[0] == views[1]


# Order


@pytest.mark.parametrize("seed", range(5))
def test_lines_in_any_order_are_read_in_the_order_of_their_ids_and_sorted_by_the_next_append(
    bench: LogBench, seed: int
) -> None:
    lines = bench.lines
    random.Random(seed).shuffle(lines)
    bench.put(b"".join(lines))
    view = bench.assert_kept()
    assert view.messages == view.branch == bench.sent
    append_and_read(bench)
    assert bench.lines[:5] == sorted(lines)
    with Store.open(bench.root, read_only=True) as store:
        assert list(store.check()) == []


def test_two_clones_that_git_merged_by_union_lose_nothing(bench: LogBench) -> None:
    base, forks = bench.data, []
    for side in "ab":
        bench.put(base)
        with Store.open(bench.root, durability="process") as store:
            messages = store.thread("t").messages
            sent = [messages.append("user", f"{side}{n}") for n in range(3)]
            messages.checkout(sent[0].id)
        forks.append((bench.data[len(base) :], sent))
    (one, first), (two, second) = forks
    views = []
    for merged in (one + two, two + one, two.replace(b"\n", b"\n", 1) + one + b"<<<<<<< HEAD\n"):
        bench.put(base + merged)
        views.append(bench.read())
        assert_same(views[-1].messages, sorted([*bench.sent, *first, *second], key=lambda message: message.id))
        assert views[-1].branch[-1] == second[0]  # the move with the greatest id
        append_and_read(bench)
    assert views[0].branch == views[1].branch
    assert views[0].leaves == views[1].leaves


def test_a_torn_line_stays_where_it_was_when_the_file_is_sorted(bench: LogBench) -> None:
    bench.swap_lines(0, 3)
    bench.insert_line(2, b"words of nobody\n")
    append_and_read(bench)
    assert bench.lines[:5] == [*sorted(bench.whole.splitlines(keepends=True))[:2], b"words of nobody\n", *bench.lines[3:5]]


@given(st.lists(st.sampled_from(MIXTURE), max_size=12).map(lambda parts: b"".join([*parts, b"\n"])))
def test_sorting_a_log_keeps_every_record_and_every_other_byte_and_ends_sorted(data: bytes) -> None:
    done = sort_lines(data)
    assert sort_lines(done) == done
    pieces = [piece for raw in data.splitlines(keepends=True) for piece in read_line(raw).records]
    after = [piece for raw in done.splitlines(keepends=True) for piece in read_line(raw).records]
    ids = [piece.record["id"] for piece in after]
    assert ids == sorted(piece.record["id"] for piece in pieces)
    strange = bytes(set(range(256)) - set(b"~ \t\r\n"))
    assert sorted(byte for byte in done if byte in strange) == sorted(byte for byte in data if byte in strange)


# The file itself


def test_an_empty_file_is_an_empty_thread(bench: LogBench) -> None:
    bench.put(b"")
    view = bench.read()
    assert (view.messages, view.branch, view.damage) == ([], [], [])
    append_and_read(bench)


@pytest.mark.parametrize("data", [b"\0" * 100_000, b"x" * 100_000, b"\n" * 1000, b"{" * 5000, b"~\n~\n", b"\xff" * 3])
def test_a_file_without_a_single_record_is_an_empty_thread(bench: LogBench, data: bytes) -> None:
    bench.put(data)
    assert bench.read().messages == []
    append_and_read(bench)
    assert data.rstrip(b"\n") in bench.data


def test_a_file_that_vanished_is_an_empty_thread(bench: LogBench) -> None:
    bench.path.unlink()
    assert read_all_ways(bench.root, "t").messages == []


@pytest.mark.parametrize("what", ["directory", "link", "fifo"])
def test_what_is_no_file_is_the_systems_error_and_never_hangs(bench: LogBench, what: str) -> None:
    os.rename(bench.path, f"{bench.path}.aside")
    if what == "directory":
        bench.path.mkdir()
    elif what == "link":
        bench.path.symlink_to(f"{bench.path}.aside")
    else:
        os.mkfifo(bench.path)
    with Store.open(bench.root, lock_timeout=1) as store:
        for question in (list, len, lambda m: m.branch(1), lambda m: m.damage(), lambda m: m.append("user", "x")):
            with pytest.raises(OSError, match=r"."):
                question(store.thread("t").messages)
    assert Path(f"{bench.path}.aside").read_bytes().count(b"\n") == 5


def test_an_error_of_the_disk_is_raised_and_not_taken_for_an_empty_thread(
    bench: LogBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> bytes:
        raise OSError(errno.EIO, "the disk is bad")

    with Store.open(bench.root, read_only=True) as store:
        monkeypatch.setattr(fs, "read_at", fails)
        for question in (list, lambda m: m.branch(), lambda m: m.branch(1), lambda m: m.leaves()):
            with pytest.raises(OSError, match="the disk is bad"):
                question(store.thread("t").messages)
        monkeypatch.undo()
        assert list(store.thread("t").messages) == bench.sent


# Any damage at all


SPOIL = st.lists(
    st.one_of(
        st.tuples(st.just("tear_line"), st.integers(0, 4), st.integers(0, 150)),
        st.tuples(st.just("glue"), st.integers(0, 4), st.none() | st.integers(0, 150)),
        st.tuples(st.just("put_nul"), st.integers(0, 4), st.integers(0, 150)),
        st.tuples(st.just("swap_lines"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("duplicate_line"), st.integers(0, 4), st.integers(0, 5)),
        st.tuples(
            st.just("insert_line"), st.integers(0, 5), st.sampled_from([b"\n", b"~\n", b"\xff\n", b"{}\n", b"[]\n", b"\0\n"])
        ),
        st.tuples(st.just("drop_line"), st.integers(0, 4)),
        st.tuples(st.just("cut_last"), st.integers(1, 200)),
        st.tuples(st.just("append_bytes"), st.sampled_from([b"\0", b"~", b"\r\n", b'{"id":"', b"}\n", b"\xff\xff\n"])),
    ),
    max_size=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(spoils=SPOIL)
def test_after_any_damage_every_line_left_whole_is_read_and_the_log_goes_on(
    bench: LogBench, spoils: list[tuple[Any, ...]]
) -> None:
    whole = bench.whole
    bench.put(whole)
    for name, *arguments in spoils:
        try:
            getattr(bench, name)(*arguments)
        except IndexError:
            continue  # the line is not there any more
    intact = {line for line in whole.splitlines(keepends=True) if line in bench.lines}
    view = bench.read()
    expected = [message for message, line in zip(bench.sent, whole.splitlines(keepends=True), strict=True) if line in intact]
    found = {message.id: message for message in view.messages}
    assert_same([found[message.id] for message in expected], expected)
    assert {message.id for message in view.messages} <= set(bench.ids(*range(5)))
    with Store.open(bench.root, durability="process") as store:
        new = store.thread(bench.thread_id).messages.append("user", "after the damage")
    later = bench.read()  # what stood behind a fragment in a line without its end may have come to light as well
    assert_same([message for message in later.messages if message.id in found], view.messages)
    assert later.branch[-1] == later.messages[-1] == new
    assert {message.id for message in later.messages} <= {*bench.ids(*range(5)), new.id}


def test_a_line_that_turns_out_to_be_no_message_while_another_is_placed_is_no_error(bench: LogBench) -> None:
    """The parent is looked for by bisection, over lines that were placed without being decoded."""
    gone = json.dumps({"id": bench.sent[1].id, "parent_id": bench.sent[0].id, "type": "gone"}).encode() + b"\n"
    bench.set_line(1, gone)
    bench.change(4, parent_id=bench.sent[0].id[:24] + "0" * 12)  # older than all, and not here
    with Store.open(bench.root, read_only=True) as store:
        messages = store.thread("t").messages
        assert [message.id for message in messages.branch()] == bench.ids(4)
        assert [message.id for message in messages] == bench.ids(0, 2, 3, 4)
