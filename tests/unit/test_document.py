from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import faults
import pytest

from fsstore import CorruptError, SyncFailedError, clock, layout
from fsstore.disk import document, fs
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


# read_newest, is_there: from an edge of the file alone


def test_the_last_write_is_read_from_the_end_of_the_file_alone(disk: Root, path: str, monkeypatch: pytest.MonkeyPatch):
    stored = document.write(disk, path, {"id": "x", "state": ["x" * 1_000_000]}, None)
    count = faults.Bytes(monkeypatch)
    assert document.read_newest(path) == document.newest(stored)
    assert count.take() <= 4096


@pytest.mark.parametrize(
    "spell",
    [
        lambda fields: json.dumps(fields, indent=2, sort_keys=True),
        json.dumps,
        lambda fields: json.dumps(fields, indent=4),
        lambda fields: json.dumps({"versions": fields["versions"], **fields, "zz": "x" * 10_000}, indent=2),
        lambda fields: json.dumps({**fields, "versions": {"zz": "x" * 5_000, **fields["versions"]}}, indent=2),
    ],
    ids=["usual", "compact", "indented-by-4", "far-from-the-end", "not-first"],
)
def test_the_last_write_is_found_however_the_document_is_spelled(disk: Root, path: str, spell: Any):
    stored = document.write(disk, path, {"id": "x", "a": 1}, None)
    Path(path).write_text(spell(stored))
    assert document.read_newest(path) == document.newest(stored)


@pytest.mark.parametrize("data", CORRUPT)
def test_the_last_write_of_what_cannot_be_read_is_unknown(store: Store, path: str, data: bytes):
    Path(path).write_bytes(data)
    assert document.read_newest(path) == ""
    assert document.is_there(path)


def test_a_version_of_the_far_future_is_none(disk: Root, path: str):
    document.write(disk, path, {"id": "x"}, None)
    late = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    text = Path(path).read_text()
    Path(path).write_text(text.replace(document.read_newest(path), late))
    assert document.read_newest(path) == ""


def test_the_last_write_of_a_document_with_a_hole_still_shows(disk: Root, path: str):
    stored = document.write(disk, path, {"id": "x", "state": "x" * 20_000}, None)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[:100] + b"\0" * 100 + data[200:])
    assert document.read_newest(path) == document.newest(stored)
    with pytest.raises(CorruptError):
        document.read(path)


def test_where_nothing_stands_nothing_is_there_and_nothing_was_written(path: str):
    for missing in (path, f"{path}/below"):
        assert document.read_newest(missing) == ""
        assert not document.is_there(missing)


def test_a_refusal_of_the_system_is_no_absence(disk: Root, path: str, monkeypatch: pytest.MonkeyPatch):
    document.write(disk, path, {"id": "x"}, None)
    monkeypatch.setattr(fs, "open_fd", faults.failing(errno.EACCES))
    assert document.is_there(path)
    for read in (document.read, document.read_any, document.read_newest):
        with pytest.raises(PermissionError):
            read(path)


@pytest.mark.parametrize("fields", [{}, {"deleted": False}, {"a": "deleted"}, {"a": {"deleted": True}}], ids=repr)
def test_a_document_is_there_unless_it_says_that_it_was_deleted(disk: Root, path: str, fields: Any, monkeypatch):
    document.write(disk, path, {"id": "x", **fields, "state": "x" * 1_000_000}, None)
    count = faults.Bytes(monkeypatch)
    assert document.is_there(path)
    assert fields or count.take() <= 4096
    document.delete(disk, path, "x")
    assert not document.is_there(path)
    compact = json.dumps(json.loads(Path(path).read_text()))
    Path(path).write_text(compact)
    assert not document.is_there(path)


# insert, delete


def test_a_document_is_inserted_only_where_nothing_ever_stood(disk: Root, path: str):
    below = f"{os.path.dirname(path)}/deep/er/document.json"
    version = clock.new_id()
    assert document.insert(disk, below, {"id": "x"}, version)
    assert document.read(below) == {"id": "x", "versions": {"": version, "id": version}}
    assert not document.insert(disk, below, {"id": "x", "a": 1}, clock.new_id())
    document.delete(disk, below, "x")
    left = Path(below).read_bytes()
    assert not document.insert(disk, below, {"id": "x", "a": 1}, clock.new_id())
    assert Path(below).read_bytes() == left
    Path(below).write_bytes(b"{")
    assert not document.insert(disk, below, {"id": "x", "a": 1}, clock.new_id())
    assert Path(below).read_bytes() == b"{"


def test_a_deletion_copies_to_the_trash_and_says_so_in_place(disk: Root, path: str, root: Path):
    first = document.write(disk, path, {"id": "x", "a": 1, "b": 2}, None)
    before = Path(path).read_bytes()
    version = document.delete(disk, path, "x")
    assert version > document.newest(first)
    left = document.read_any(path)
    assert left["versions"] == {**first["versions"], **dict.fromkeys(("", "a", "b", "deleted"), version)}
    assert {name: left[name] for name in ("deleted", "id")} == {"deleted": True, "id": "x"}
    assert set(left) == {"deleted", "id", "versions"}
    copy = root / layout.TRASH / version / "document.json"
    assert (copy.read_bytes(), copy.stat().st_mode & 0o777) == (before, 0o600)
    assert document.read(path) is None
    assert document.delete(disk, path, "x") == ""
    assert [entry.name for entry in (root / layout.TRASH).iterdir()] == [version]


def test_a_document_that_begins_again_is_newer_than_its_deletion_and_keeps_nothing(disk: Root, path: str):
    document.write(disk, path, {"id": "x", "a": 1}, None)
    version = document.delete(disk, path, "x")
    again = document.write(disk, path, {"id": "x", "b": 1}, document.read_any(path))
    assert {name for name in again if name != "versions"} == {"id", "b"}
    assert document.newest(again) == document.created(again) > version
    assert again["versions"]["a"] == version  # what it was deleted with stays deleted in a merge


def test_a_deletion_is_greater_than_it_is_told_to_be(disk: Root, path: str):
    document.write(disk, path, {"id": "x"}, None)
    after = clock.spell_id(clock.stamp_of(clock.LAST_ID) - 100_000, clock.random_suffix())
    assert document.delete(disk, path, "x", after) > after


@pytest.mark.parametrize("data", CORRUPT)
def test_what_cannot_be_read_can_be_deleted_and_is_kept(disk: Root, path: str, root: Path, data: bytes):
    Path(path).write_bytes(data)
    version = document.delete(disk, path, "x")
    assert clock.is_id(version)
    assert (root / layout.TRASH / version / "document.json").read_bytes() == data
    assert document.read(path) is None
    assert document.write(disk, path, {"id": "x"}, document.read_any(path)) == document.read(path)


def test_the_copy_is_durable_before_the_document_says_that_it_was_deleted(root: Path, path: str, monkeypatch):
    for durability in ("full", "process"):
        with Store.open(root, durability=durability) as store:
            document.write(store._root, path, {"id": "x"}, document.read_any(path))
            calls = faults.Calls(monkeypatch, ["sync", "rename", "sync_directory"])
            version = document.delete(store._root, path, "x")
            steps = [name for name, _ in calls]
            monkeypatch.undo()
        copied, said = (at for at, name in enumerate(steps) if name == "rename")
        assert steps[:copied] == ["sync"]
        synced = [place for name, place in calls[copied:said] if name == "sync_directory"]
        assert synced[:3] == [f"{root}/{layout.TRASH}/{version}", f"{root}/{layout.TRASH}", f"{root}/{layout.OWN}"]
        assert steps[said - 1] == "sync"
        assert steps[said + 1] == "sync_directory"


@pytest.mark.parametrize("call", ["open_fd", "write", "sync", "rename"])
def test_a_deletion_that_fails_before_its_end_leaves_the_document(disk: Root, path: str, monkeypatch, call: str):
    first = document.write(disk, path, {"id": "x", "a": 1}, None)
    real, failed, left = getattr(fs, call), 0, 0

    def counting(*args: Any) -> Any:
        nonlocal left
        left -= 1
        return faults.failing(errno.EIO)() if left < 0 else real(*args)

    for number in range(20):
        left, raised = number, None
        with monkeypatch.context() as context:
            context.setattr(fs, call, counting)
            try:
                document.delete(disk, path, "x")
            except OSError as error:
                raised = error
        if raised is None:
            break
        failed += 1
        if not isinstance(raised, SyncFailedError):  # a directory that could not be synced: the deletion may be done
            assert document.read(path) == first
    assert failed >= 2
    assert document.read(path) is None
