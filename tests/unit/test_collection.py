from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import children
import faults
import pytest
from processes import run

from fsstore import AlreadyExistsError, CorruptError, InvalidNameError, NotFoundError, Store, clock, layout
from fsstore.disk import document, fs
from fsstore.disk.collection import Collection

IDS = ["plain", "A", "a", "../up", "a/b", "🙂", ".", "CON", "x" * 300, "y" * 1000, "\0", "end."]


@pytest.fixture(params=[None, "status.json"], ids=["files", "directories"])
def documents(request: pytest.FixtureRequest, store: Store) -> Collection:
    return Collection(store._root, f"{store.root}/things", request.param)


def taken() -> AlreadyExistsError:
    return AlreadyExistsError("thing", "?")


def missing() -> NotFoundError:
    return NotFoundError("?")


def create(documents: Collection, id: str, **fields: object) -> dict[str, Any]:
    return documents.create(id, fields, taken)


def test_documents_come_back_by_their_ids(documents: Collection, root: Path):
    for number, id in enumerate(IDS):
        create(documents, id, number=number)
    for number, id in enumerate(IDS):
        assert documents.get(id)["number"] == number
        assert documents.get(id)["id"] == id
        assert Path(documents.path(id)).resolve().is_relative_to(root / "things")
    assert sorted(documents.ids()) == sorted(IDS)
    assert sorted(fields["id"] for fields in documents.all()) == sorted(IDS)


def test_no_collection_is_empty(documents: Collection):
    assert documents.get("x") is None
    assert list(documents.ids()) == []
    assert list(documents.all()) == []
    assert not os.path.exists(documents.directory)


@pytest.mark.parametrize("bad", ["", "x" * 1001, "\ud800"])
def test_an_id_that_cannot_be_a_name_is_refused(documents: Collection, bad: str):
    for call in (documents.path, documents.get, lambda name: create(documents, name)):
        with pytest.raises(InvalidNameError):
            call(bad)
    assert not os.path.exists(documents.directory)


def test_create_refuses_an_id_that_is_taken(documents: Collection):
    first = create(documents, "x", a=1)
    with pytest.raises(AlreadyExistsError):
        create(documents, "x", a=2)
    assert documents.get("x") == first


def test_an_id_whose_document_was_deleted_is_free_again(documents: Collection, store: Store):
    old = create(documents, "x", a=1)
    deleted = document.write(store._root, documents.path("x"), {"id": "x", "deleted": True}, old)
    assert documents.get("x") is None
    assert list(documents.all()) == []
    new = create(documents, "x", b=2)
    assert new["b"] == 2
    assert "a" not in new
    assert document.newest(new) > document.newest(deleted)
    assert document.created(new) == document.newest(new)


def test_update_keeps_what_the_change_does_not_name(documents: Collection):
    create(documents, "x", a=1, unknown={"deep": [1]})
    stored = documents.update("x", lambda old: {"a": old["a"] + 1}, missing)
    assert stored == documents.get("x")
    assert (stored["a"], stored["unknown"], stored["id"]) == (2, {"deep": [1]}, "x")


def test_update_of_what_is_not_there_raises(documents: Collection):
    with pytest.raises(NotFoundError):
        documents.update("x", lambda old: {}, missing)
    assert not os.path.exists(documents.path("x"))


def test_a_change_that_raises_changes_nothing(documents: Collection):
    create(documents, "x", a=1)
    before = Path(documents.path("x")).read_bytes()

    def change(old: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        documents.update("x", change, missing)
    assert Path(documents.path("x")).read_bytes() == before


@pytest.mark.parametrize("id", ["x", "y" * 300])
@pytest.mark.parametrize("said", ["z", None, 5, "y" * 299])
def test_a_document_that_names_another_id_is_corrupt_and_not_listed(documents: Collection, id: str, said: object):
    create(documents, id)
    create(documents, "good")
    path = Path(documents.path(id))
    path.write_text(json.dumps({**json.loads(path.read_text()), "id": said}))
    before = path.read_bytes()
    for call in (documents.get, lambda name: documents.update(name, lambda old: {}, missing)):
        with pytest.raises(CorruptError) as raised:
            call(id)
        assert raised.value.path == str(path)
    assert [fields["id"] for fields in documents.all()] == ["good"]
    assert path.read_bytes() == before


def test_a_corrupt_document_is_neither_listed_nor_written_over(documents: Collection):
    for id in ("x", "good"):
        create(documents, id)
    path = Path(documents.path("x"))
    path.write_text("{")
    for call in (
        documents.get,
        lambda name: create(documents, name),
        lambda name: documents.update(name, lambda old: {}, missing),
    ):
        with pytest.raises(CorruptError):
            call("x")
    assert path.read_text() == "{"
    assert [fields["id"] for fields in documents.all()] == ["good"]


@pytest.mark.damaged
def test_what_is_passed_over_is_told_with_its_reason(documents: Collection, store: Store):
    for id in ("torn", "moved", "y" * 300, "good", "gone"):
        create(documents, id)
    documents.delete("gone")
    Path(documents.path("torn")).write_text("{")
    for id in ("moved", "y" * 300):
        Path(documents.path(id)).write_bytes(Path(documents.path("good")).read_bytes())
    paths = sorted(documents.path(id) for id in ("torn", "moved", "y" * 300))
    assert sorted(error.path for error in documents.damage()) == paths
    assert {error.reason for error in documents.damage() if error.path != documents.path("torn")} == {
        "the document says it is 'good', whose place is another"
    }
    assert [error.path for error in documents.damage(but={"torn", "moved"})] == [documents.path("y" * 300)]


def test_names_that_the_store_does_not_make_are_passed_over(documents: Collection):
    create(documents, "x")
    for name in ("UPPER", ".hidden", "%61", "a b", "x~", "%%" + "0" * 39):
        for suffix in ("", layout.DOCUMENT_SUFFIX):
            Path(documents.directory, name + suffix).write_bytes(Path(documents.path("x")).read_bytes())
    assert list(documents.ids()) == ["x"]
    assert [fields["id"] for fields in documents.all()] == ["x"]


def test_a_directory_without_its_document_is_no_document(store: Store):
    documents = Collection(store._root, f"{store.root}/things", "status.json")
    create(documents, "x")
    Path(documents.directory, "empty").mkdir()
    assert list(documents.ids()) == ["x"]
    assert [fields["id"] for fields in documents.all()] == ["x"]
    assert create(documents, "empty")["id"] == "empty"


def test_a_document_that_may_not_be_read_is_an_error_and_not_absent(documents: Collection):
    create(documents, "x")
    os.unlink(documents.path("x"))
    os.mkdir(documents.path("x"))
    with pytest.raises(IsADirectoryError):
        documents.get("x")
    with pytest.raises(IsADirectoryError):
        create(documents, "x")


# put, insert, delete


def put(documents: Collection, id: str, **fields: object) -> dict[str, Any]:
    return documents.put(id, lambda old: fields)


def test_put_inserts_and_replaces_by_what_the_change_makes(documents: Collection):
    seen = []
    first = documents.put("x", lambda old: (seen.append(old), {"a": 1, "b": 1})[1])
    second = documents.put("x", lambda old: (seen.append(old), {"a": 2})[1])
    assert seen == [None, first]
    assert documents.get("x") == second
    assert {**second, "versions": 0} == {"id": "x", "a": 2, "versions": 0}
    assert second["versions"]["b"] == second["versions"][""] > first["versions"][""]


def test_a_put_whose_change_raises_leaves_not_even_a_directory(documents: Collection):
    def change(old: Any) -> dict[str, Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        documents.put("x", change)
    assert not os.path.exists(documents.directory)


def test_a_document_is_inserted_where_nothing_ever_stood(documents: Collection):
    version = clock.new_id()
    assert documents.insert("x", {"a": 1}, version) is True
    assert documents.get("x") == {"a": 1, "id": "x", "versions": {"": version, "id": version}}
    assert documents.insert("x", {"a": 2}, clock.new_id()) is False
    documents.delete("x")
    assert documents.insert("x", {"a": 3}, clock.new_id()) is False
    assert documents.get("x") is None


def test_a_deletion_leaves_a_document_that_says_so_and_a_copy_in_the_trash(documents: Collection, root: Path):
    first = create(documents, "x", a=1)
    create(documents, "other")
    before = Path(documents.path("x")).read_bytes()
    version = documents.delete("x")
    assert version > document.newest(first)
    left = document.read_any(documents.path("x"))
    assert (left["deleted"], left["id"], document.newest(left), set(left)) == (
        True,
        "x",
        version,
        {"deleted", "id", "versions"},
    )
    below = Path(documents.path("x")).relative_to(root)
    assert (root / layout.TRASH / version / below).read_bytes() == before
    assert (documents.get("x"), "x" in documents, "other" in documents) == (None, False, True)
    assert list(documents.ids()) == [fields["id"] for fields in documents.all()] == ["other"]
    assert documents.delete("x") == ""


def test_there_is_nothing_to_delete_where_nothing_is(documents: Collection, root: Path):
    assert documents.delete("x") == ""
    assert not os.path.exists(documents.directory)
    assert list((root / layout.TRASH).iterdir()) == []


@pytest.mark.parametrize("id", ["x", "y" * 300])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0" * 9, b'{"id": "x"}', b'{"id": "x", "versions": {"": 5}}'])
def test_what_cannot_be_read_is_there_and_can_be_deleted_and_put_again(documents: Collection, root: Path, id: str, data: bytes):
    create(documents, id)
    Path(documents.path(id)).write_bytes(data)
    assert id in documents
    assert (id in list(documents.ids())) == (id == "x")  # a hashed name does not tell its id
    assert [error.path for error in documents.damage()] == [documents.path(id)]
    version = documents.delete(id)
    assert (root / layout.TRASH / version / Path(documents.path(id)).relative_to(root)).read_bytes() == data
    assert (documents.get(id), id in documents, list(documents.ids()), list(documents.damage())) == (None, False, [], [])
    assert create(documents, id, a=1) == documents.get(id)


def test_what_is_there_is_told_from_the_start_of_the_file_alone(documents: Collection, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        create(documents, str(number), state="x" * 500_000)
    documents.delete("1")
    count = faults.Bytes(monkeypatch)
    assert list(documents.ids()) == ["0", "2"]
    assert ["0" in documents, "1" in documents] == [True, False]
    assert count.take() < 30_000


def test_a_document_that_only_speaks_of_deletion_is_there(documents: Collection):
    create(documents, "x", deleted=False, a={"deleted": True})
    create(documents, "y", a=["deleted"])
    assert ["x" in documents, "y" in documents, list(documents.ids())] == [True, True, ["x", "y"]]


def test_damage_tells_of_each_document_that_is_listed_nowhere(documents: Collection):
    for id in ("good", "torn", "misplaced", "named"):
        create(documents, id)
    Path(documents.path("torn")).write_text("{")
    Path(documents.path("misplaced")).write_bytes(Path(documents.path("good")).read_bytes())
    documents.delete("named")
    found = list(documents.damage())
    assert [error.path for error in found] == [documents.path("misplaced"), documents.path("torn")]
    assert "'good'" in found[0].reason
    assert [error.path for error in documents.damage(but={"torn"})] == [documents.path("misplaced")]


# The order of the writes


@pytest.fixture
def ordered(store: Store) -> Collection:
    return Collection(store._root, f"{store.root}/things", ordered=True)


def names(documents: Collection) -> list[str]:
    return [fields["id"] for fields in documents.newest_first()]


def test_each_write_is_newer_than_every_one_before(ordered: Collection):
    versions = []
    for id in ("b", "a", "c", "a", "b"):
        versions.append(document.newest(put(ordered, id)))
    versions.append(ordered.delete("c"))
    versions.append(document.newest(put(ordered, "c")))
    assert versions == sorted(set(versions))
    assert names(ordered) == ["c", "b", "a"]
    assert ordered.newest() == ordered.get("c")


@pytest.mark.parametrize("warm", [False, True])
def test_a_write_is_newer_than_those_of_others_whatever_the_clock_says(
    store: Store, ordered: Collection, monkeypatch: pytest.MonkeyPatch, warm: bool
):
    other = Collection(store._root, ordered.directory, ordered=True)
    if warm:
        put(ordered, "mine")
    ahead = clock.spell_id(clock.stamp_of(clock.new_id()) + (10**9 << 12), clock.random_suffix())
    other.put("theirs", lambda old: {}, ahead)
    faults.set_clock(monkeypatch, -3_600)
    assert document.newest(put(ordered, "mine")) > ahead
    assert names(ordered) == names(other) == ["mine", "theirs"]
    deletion = other.delete("mine")
    assert document.newest(put(ordered, "another")) > deletion
    assert names(ordered) == ["another", "theirs"]


def test_a_deletion_is_newer_than_the_writes_of_others_and_so_is_what_comes_after_it(ordered: Collection, monkeypatch):
    put(ordered, "mine")
    ahead = clock.spell_id(clock.stamp_of(clock.new_id()) + (10**9 << 12), clock.random_suffix())
    ordered.put("theirs", lambda old: {}, ahead)
    faults.set_clock(monkeypatch, -3_600)
    assert ordered.delete("mine") > ahead
    put(ordered, "another")
    assert names(ordered) == ["another", "theirs"]


def test_a_write_of_another_process_in_between_is_noticed(store: Store, ordered: Collection, monkeypatch):
    put(ordered, "mine")
    faults.set_clock(monkeypatch, -3_600)
    for number in range(5):
        theirs = run(children.put_ahead, ordered.directory, f"theirs-{number}", number)
        assert document.newest(put(ordered, "mine")) > theirs
        assert names(ordered)[:2] == ["mine", f"theirs-{number}"]


def test_own_writes_in_a_row_do_not_look_at_the_others_again(ordered: Collection, monkeypatch: pytest.MonkeyPatch):
    for number in range(20):
        put(ordered, f"{number}")
    listed = []
    real = fs.list_names
    monkeypatch.setattr(fs, "list_names", lambda path: (listed.append(path), real(path))[1])
    for number in range(20):
        put(ordered, f"{number}")
    ordered.delete("0")
    put(ordered, "0")
    assert listed == []


def test_a_write_of_a_derived_version_keeps_its_place_and_the_next_one_is_newest(ordered: Collection):
    put(ordered, "a")
    old = clock.spell_id(5 << 12, clock.random_suffix())
    assert ordered.insert("old", {}, old)
    assert names(ordered) == ["a", "old"]
    ahead = clock.spell_id(clock.stamp_of(clock.new_id()) + (10**9 << 12), clock.random_suffix())
    assert ordered.insert("ahead", {}, ahead)
    put(ordered, "a")
    assert names(ordered) == ["a", "ahead", "old"]


def test_a_future_version_of_what_cannot_be_read_counts_as_far_as_it_shows(ordered: Collection, monkeypatch):
    first = document.newest(put(ordered, "x", state="x" * 20_000))
    data = Path(ordered.path("x")).read_bytes()
    Path(ordered.path("x")).write_bytes(data[:100] + b"\0" * 100 + data[200:])
    faults.set_clock(monkeypatch, -3_600)
    assert document.newest(put(ordered, "y")) > first
    assert ordered.delete("x") > first
    assert names(ordered) == ["y"]


def test_without_order_a_write_is_only_newer_than_its_own_document(documents: Collection, monkeypatch: pytest.MonkeyPatch):
    first = document.newest(create(documents, "x"))
    faults.set_clock(monkeypatch, -3_600)
    assert document.newest(create(documents, "y")) < first
    assert document.newest(put(documents, "x")) > first
    assert documents.delete("x") > first


def test_newest_first_reads_only_what_is_asked_for_whole(ordered: Collection, monkeypatch: pytest.MonkeyPatch):
    for number in range(20):
        put(ordered, f"{number}", state="x" * 50_000)
    read = []
    real = fs.read_file
    monkeypatch.setattr(fs, "read_file", lambda path: (read.append(path), real(path))[1])
    assert next(iter(ordered.newest_first()))["id"] == "19"
    assert ordered.newest()["id"] == "19"
    assert read == [ordered.path("19")] * 2


def test_the_newest_of_none_is_none(ordered: Collection):
    assert (ordered.newest(), names(ordered)) == (None, [])
    put(ordered, "x")
    ordered.delete("x")
    assert (ordered.newest(), names(ordered)) == (None, [])


@pytest.mark.parametrize("id", ["x", "x" * 300])
@pytest.mark.parametrize("data", [b"{", b"", b'{"id": "z", "versions": {"": "%s"}}', b'{"versions": {"": "%s"}}'])
def test_a_newest_that_cannot_be_read_is_an_error_and_nothing_older(ordered: Collection, id: str, data: bytes):
    put(ordered, "older")
    put(ordered, id)
    Path(ordered.path(id)).write_bytes(data.replace(b"%s", clock.new_id().encode()))
    with pytest.raises(CorruptError) as raised:
        ordered.newest()
    assert raised.value.path == ordered.path(id)
    assert names(ordered) == ["older"]


def test_the_end_of_a_document_does_not_deceive(ordered: Collection):
    trap = '\n  "versions": {\n    "": "' + clock.LAST_ID + '"'
    put(ordered, "trap", state=trap, zz={"versions": {"": clock.LAST_ID}}, zzz="x" * 5_000)
    put(ordered, "last")
    assert names(ordered) == ["last", "trap"]
    put(ordered, "trap", state=trap)
    assert names(ordered) == ["trap", "last"]
    assert document.read_newest(ordered.path("trap")) == document.newest(ordered.get("trap")) < clock.LAST_ID
