"""The session index read for its deletions alone tells the same of them as the index read whole."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import line_of
from hypothesis import given
from hypothesis import strategies as st

from fsstore import CorruptError, FormatError, Store, clock, codec
from fsstore.resources.index_view import DeletionView, IndexView

IDS = clock.next_ids(0, clock.random_suffix(), 12)[1]


def name(id: str, called: str | None = "n") -> bytes:
    return line_of({"id": id, "thread_id": "t", "thread_name": called, "updated_at": 1, "rollout_path": None})


def deletion(id: str) -> bytes:
    return line_of({"id": id, "type": "deleted", "thread_id": "t", "leaf_ids": [], "greatest": {}, "versions": {}})


SHAPES = {
    "name": name,
    "deletion": deletion,
    "name that looks like a deletion": lambda own: name(own, '"type":"deleted"'),
    "name of one word": lambda own: name(own, "type"),
    "deletion in another spelling": lambda own: deletion(own).replace(b":", b" : "),
    "deletion behind a torn name": lambda own: name(IDS[0])[:50] + deletion(own),
    "name behind a name in one line": lambda own: name(own)[:-1] + name(IDS[-1]),
    "deletion behind a name in one line": lambda own: name(own)[:-1] + deletion(own),
    "sealed fragment of a name": lambda own: name(own)[:50] + b"~\n",
    "sealed fragment of a deletion": lambda own: deletion(own)[:-20] + b"~\n",
    "name with a comma lost": lambda own: name(own).replace(b',"updated_at"', b'"updated_at"'),
    "name with no valid id": lambda own: name(f"{own[:-1]}g"),
    "name later than the year 3000": lambda own: name(f"f{own[1:]}"),
    "blank line": lambda _: b"\n",
}


def read(kind: type[IndexView], path: Path) -> IndexView:
    view = kind(str(path))
    refresh(view)
    return view


def refresh(view: IndexView) -> None:
    with view.mutex:
        view.refresh()


@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(list(SHAPES))), max_size=12), st.booleans())
def test_deletions_are_the_same_whatever_stands_between_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], ascending: bool
) -> None:
    path = tmp_path_factory.mktemp("index") / "session_index.jsonl"
    path.write_bytes(b"".join(SHAPES[shape](id) for id, shape in (sorted(rows) if ascending else rows)))
    few, whole = read(DeletionView, path), read(IndexView, path)
    assert few.deletions == whole.deletions
    assert few.rows("t") == whole.rows("t")
    assert [row["id"] for row in few.rows("t")] == few.ids(few.deletions.get("t", b""))
    assert few.sorted == whole.sorted
    # The id of a line that only looked like a name counts too, if it is one: nothing may be minted below.
    assert whole.greatest <= few.greatest
    assert few.greatest in ("", *IDS)


@pytest.mark.parametrize("shape", [name, deletion])
def test_a_line_is_read_whole_wherever_its_writer_stood_at_first(tmp_path: Path, shape: Callable[[str], bytes]) -> None:
    path = tmp_path / "session_index.jsonl"
    line = shape(IDS[1])
    for cut in range(len(line)):
        path.write_bytes(name(IDS[0]) + line[:cut])
        view = read(DeletionView, path)
        with path.open("ab") as file:
            file.write(line[cut:] + deletion(IDS[2]))
        refresh(view)
        assert view.rows("t") == [codec.decode_object(line)] * (shape is deletion) + [codec.decode_object(deletion(IDS[2]))]
        assert view.damage == []


def test_names_are_not_decoded_to_learn_of_deletions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "session_index.jsonl"
    path.write_bytes(b"".join(map(name, IDS[:-1])) + deletion(IDS[-1]))
    decoded: list[bytes] = []
    read_line = codec.read_line
    monkeypatch.setattr(codec, "read_line", lambda raw: decoded.append(raw) or read_line(raw))
    assert list(read(DeletionView, path).deletions) == ["t"]
    assert decoded == [deletion(IDS[-1])]


def test_a_record_that_must_be_understood_stops_the_opening(store: Store, root: Path) -> None:
    index = root / "session_index.jsonl"
    index.write_bytes(name(IDS[0]) + line_of({"id": IDS[1], "type": "!new", "thread_id": "t"}))
    with pytest.raises(FormatError, match="!new"):
        Store.open(root)
    index.unlink()


def test_the_id_of_a_name_counts_for_the_next_one(store: Store, root: Path) -> None:
    future = clock.next_ids(clock.stamp_of(clock.new_id()) + (1 << 40), clock.random_suffix(), 1)[1][0]
    (root / "session_index.jsonl").write_bytes(name(future))
    with Store.open(root) as later:
        later.threads.create("u", name="later")
    ids = [line[7:43].decode() for line in (root / "session_index.jsonl").read_bytes().splitlines()]
    assert ids == sorted(ids)
    assert len(set(ids)) == 2


def test_what_is_kept_of_a_deletion_is_small_whatever_was_deleted(tmp_path: Path) -> None:
    path, count = tmp_path / "session_index.jsonl", 500
    ids = clock.next_ids(0, clock.random_suffix(), 2 * count)[1]
    saw = {"leaf_ids": ids[:20], "greatest": {}, "versions": {f"runs/{id}/status.json": id for id in ids[:20]}}
    with path.open("wb") as file:
        for number in range(count):
            named = {"thread_id": f"t{number}", "thread_name": f"Thread {number}", "updated_at": 1, "rollout_path": None}
            file.write(line_of({"id": ids[2 * number], **named}))
            file.write(line_of({"id": ids[2 * number + 1], "type": "deleted", "thread_id": f"t{number}", **saw}))
    for kind in (DeletionView, IndexView):
        tracemalloc.start()
        try:
            view = read(kind, path)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < count * (300 if kind is DeletionView else 800)
        assert view.rows("t7") == [{"id": ids[15], "type": "deleted", "thread_id": "t7", **saw}]


def test_a_thread_that_is_here_although_it_was_deleted_is_found_by_its_name(store: Store, root: Path) -> None:
    store.threads.create("t", name="Fix the parser", rollout_path="/t", updated_at=9)
    store.threads.create("u", name="Fix the parser", rollout_path="/u", updated_at=5)
    with (root / "session_index.jsonl").open("ab") as file:  # as on another machine, before a merge
        file.write(deletion(clock.new_id()))
    again = Store.open(root, read_only=True)
    assert list(again.threads._index.deletions()) == ["t"]
    assert again.names.path_of("fix the parser") == "/t"


def test_a_deletion_that_was_changed_in_its_place_is_told_once(store: Store, root: Path) -> None:
    index, asked = root / "session_index.jsonl", store.threads._index
    store.threads.create("t").delete()
    (row,) = asked.deletions_of("t")
    for _ in range(20):  # the end of the log stays
        store.names.append("elsewhere", "x" * 400, 1)
    asked.deletions()
    other = row["id"][:-1] + ("1" if row["id"][-1] == "0" else "0")
    index.write_bytes(index.read_bytes().replace(row["id"].encode(), other.encode(), 1))
    with index.open("ab") as file:
        file.write(name(clock.new_id()))
    with pytest.raises(CorruptError, match=row["id"]):
        asked.deletions_of("t")
    assert [row["id"] for row in asked.deletions_of("t")] == [other]


@pytest.mark.damaged
@pytest.mark.parametrize(
    "damage",
    [
        {"thread_id": ""},
        {"thread_id": "x" * 1001},
        {"thread_id": 7},
        {"leaf_ids": "id"},
        {"leaf_ids": [7]},
        {"greatest": []},
        {"greatest": {"messages.jsonl": 7}},
        {"versions": None},
        {"versions": {"meta.json": 7}},
    ],
    ids=lambda damage: repr(damage)[:40],
)
def test_a_deletion_that_is_none_is_passed_over_and_told(root: Path, damage: dict[str, object]) -> None:
    with Store.open(root) as store:
        store.threads.create("t", name="Fix the parser", rollout_path="/t").messages.append("user", "hi")
    fields = {"id": clock.new_id(), "type": "deleted", "thread_id": "t", "leaf_ids": [], "greatest": {}, "versions": {}}
    with (root / "session_index.jsonl").open("ab") as file:
        file.write(line_of({**fields, **damage}))
    with Store.open(root) as store:  # it finishes deletions
        assert store.names.path_of("fix the parser") == "/t"
        assert [problem.kind for problem in store.check()] == ["bad-record"]
        assert store.threads.delete("t")
        store.threads.create("t").messages.append("user", "anew")
        assert [message.content for message in store.thread("t").messages] == ["anew"]


@pytest.mark.damaged
@pytest.mark.parametrize("thread_id", ["", "x" * 1001, None], ids=("empty", "long", "none"))
def test_a_name_of_no_thread_is_passed_over_and_told(root: Path, thread_id: str | None) -> None:
    with Store.open(root) as store:
        store.threads.create("t", name="Fix the parser", rollout_path="/t")
    row = {"thread_id": thread_id, "thread_name": "Fix the parser", "updated_at": 1, "rollout_path": "/nobody"}
    with (root / "session_index.jsonl").open("ab") as file:
        file.write(line_of({"id": clock.new_id(), **row}))
    with Store.open(root) as store:
        assert store.names.path_of("fix the parser") == "/t"
        assert [problem.kind for problem in store.check()] == ["bad-record"]
