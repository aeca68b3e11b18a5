from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import faults
import pytest

from fsstore import CorruptError, SyncFailedError, clock, layout
from fsstore.disk import document
from fsstore.disk.root import Root
from fsstore.store import Store


@pytest.fixture
def disk(store: Store) -> Root:
    return store._root


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store" / "document.json")


@pytest.fixture(autouse=True)
def _no_document_left_in_the_root(root: Path):
    yield
    (root / "document.json").unlink(missing_ok=True)


def versions(path: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(path).read_text())["versions"]
    return found


def test_a_document_is_indented_sorted_and_ends_in_a_newline(disk: Root, path: str):
    stored = document.write(disk, path, {"b": [1, {"z": None}], "a": "é", "id": "x"}, None)
    text = Path(path).read_text()
    assert text == json.dumps(stored, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document.read(path) == stored
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_nothing_is_read_as_none(path: str):
    assert document.read(path) is None
    assert document.read_any(path) is None
    assert document.read(f"{path}/below") is None


def test_what_a_deletion_left_is_read_as_none_and_can_be_looked_at(disk: Root, path: str):
    deleted = document.write(disk, path, {"id": "x", "deleted": True}, None)
    assert document.read(path) is None
    assert document.read_any(path) == deleted


def test_versions_hold_the_last_write_and_the_last_change_of_each_field(disk: Root, path: str):
    first = document.write(disk, path, {"id": "x", "a": 1, "b": 1}, None)
    v1 = first["versions"][""]
    assert first["versions"] == {"": v1, "id": v1}
    second = document.write(disk, path, {"id": "x", "a": 2, "b": 1}, first)
    v2 = second["versions"][""]
    assert second["versions"] == {"": v2, "id": v1, "a": v2}
    third = document.write(disk, path, {"id": "x", "a": 2, "c": None}, second)
    v3 = third["versions"][""]
    assert third["versions"] == {"": v3, "id": v1, "a": v2, "b": v3, "c": v3}
    assert v1 < v2 < v3
    assert all(map(clock.is_id, (v1, v2, v3)))
    assert document.created(third) == v1
    assert document.newest(third) == v3


def test_a_write_is_newer_than_what_stands_there_whatever_the_clock_says(disk: Root, path: str, monkeypatch):
    future = clock.spell_id(clock.stamp_of(clock.LAST_ID) - 100_000, clock.random_suffix())
    first = document.write(disk, path, {"id": "x"}, None, future)
    assert document.newest(document.write(disk, path, {"id": "x"}, first)) > future


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False}), (0.0, -0.0), (None, False)]
)
def test_a_change_of_type_only_is_a_change(disk: Root, path: str, old: Any, new: Any):
    first = document.write(disk, path, {"id": "x", "field": old}, None)
    second = document.write(disk, path, {"id": "x", "field": new}, first)
    assert second["versions"]["field"] == second["versions"][""]
    assert repr(document.read(path)["field"]) == repr(new)


def test_the_order_of_keys_is_no_change(disk: Root, path: str):
    first = document.write(disk, path, {"id": "x", "field": {"a": 1, "b": 2}}, None)
    second = document.write(disk, path, {"id": "x", "field": {"b": 2, "a": 1}}, first)
    assert "field" not in second["versions"]


CORRUPT = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1",
    b"\0" * 50,
    b"\xff",
    b"{}",
    b'{"versions": {}}',
    b'{"versions": {"": "x"}}',
    b'{"versions": []}',
]


@pytest.mark.parametrize("data", CORRUPT)
def test_damage_raises_with_path_and_reason_and_changes_nothing(store: Store, path: str, data: bytes):
    Path(path).write_bytes(data)
    for read in (document.read, document.read_any):
        with pytest.raises(CorruptError) as raised:
            read(path)
        assert raised.value.path == path
        assert raised.value.reason
        assert path in str(raised.value)
    assert Path(path).read_bytes() == data


def test_integers_over_64_bits_written_elsewhere_are_read_exactly(store: Store, path: str):
    text = f'{{"id": "x", "n": {2**70}, "versions": {{"": "{clock.new_id()}"}}}}'
    Path(path).write_text(text)
    assert document.read(path)["n"] == 2**70


def test_a_rewrite_keeps_such_a_number_or_refuses_it(disk: Root, path: str):
    text = f'{{"id": "x", "n": {2**70}, "versions": {{"": "{clock.new_id()}"}}}}'
    Path(path).write_text(text)
    old = document.read(path)
    try:
        document.write(disk, path, {**document.content(old), "a": 1}, old)
    except ValueError:
        assert Path(path).read_text() == text
    else:
        assert document.read(path)["n"] == 2**70


def test_a_document_is_written_synced_renamed_and_its_directory_synced(disk: Root, path: str, root: Path, monkeypatch):
    calls = faults.Calls(monkeypatch, ["write", "sync", "rename", "sync_directory", "open_fd"])
    document.write(disk, path, {"id": "x"}, None)
    assert calls.names() == ["open_fd", "write", "sync", "rename", "sync_directory", "open_fd"]
    assert calls[0][1].startswith(f"{root}/{layout.TMP}/")
    assert calls[4][1] == str(root)


def test_process_durability_leaves_out_only_the_directory_of_a_creation(root: Path, path: str, monkeypatch):
    with Store.open(root, durability="process") as store:
        calls = faults.Calls(monkeypatch, ["sync", "rename", "sync_directory"])
        first = document.write(store._root, path, {"id": "x"}, None)
        assert calls.names() == ["sync", "rename"]
        calls.clear()
        document.write(store._root, path, {"id": "x", "a": 1}, first)
        assert calls.names() == ["sync", "rename", "sync_directory"]


@pytest.mark.parametrize("call", ["open_fd", "write", "sync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failure_before_the_rename_leaves_the_old_document_and_no_other_file(disk, path, root, monkeypatch, call, code):
    first = document.write(disk, path, {"id": "x", "a": 1}, None)
    faults.fail_once(monkeypatch, call, code)
    with pytest.raises(OSError) as raised:  # noqa: PT011
        document.write(disk, path, {"id": "x", "a": 2}, first)
    assert raised.value.errno == code
    assert not isinstance(raised.value, SyncFailedError)
    assert document.read(path) == first
    assert os.listdir(root / layout.TMP) == []


def test_a_short_write_is_gone_on_with(disk: Root, path: str, monkeypatch: pytest.MonkeyPatch):
    faults.once(monkeypatch, "write", lambda real, fd, data: real(fd, bytes(data)[:5]))
    stored = document.write(disk, path, {"id": "x", "a": "long enough"}, None)
    assert document.read(path) == stored


def test_a_directory_that_cannot_be_synced_is_an_error_that_says_so(disk: Root, path: str, monkeypatch):
    first = document.write(disk, path, {"id": "x", "a": 1}, None)
    faults.fail_once(monkeypatch, "sync_directory")
    with pytest.raises(SyncFailedError):
        document.write(disk, path, {"id": "x", "a": 2}, first)
    assert document.read(path)["a"] == 2


@pytest.mark.parametrize("bad", [2**64, "\ud800", object()])
def test_what_json_cannot_hold_makes_no_file(disk: Root, path: str, root: Path, bad: Any):
    with pytest.raises(ValueError, match="JSON"):
        document.write(disk, path, {"id": "x", "a": bad}, None)
    assert not os.path.exists(path)
    assert os.listdir(root / layout.TMP) == []


def test_a_reader_meets_the_old_document_or_the_new_one_at_every_call(disk: Root, path: str, monkeypatch):
    first = document.write(disk, path, {"id": "x", "a": 1}, None)
    seen = []
    for call in ("open_fd", "write", "sync", "rename", "sync_directory"):
        faults.once(monkeypatch, call, lambda real, *args: (seen.append(document.read(path)["a"]), real(*args))[1])
    document.write(disk, path, {"id": "x", "a": 2}, first)
    assert seen == [1, 1, 1, 1, 2]
