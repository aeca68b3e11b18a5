from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fsstore import AlreadyExistsError, CorruptError, InvalidNameError, NotFoundError, Store, layout
from fsstore.disk import document
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
