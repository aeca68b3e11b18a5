from __future__ import annotations

import ast
import inspect
import os
from contextlib import suppress
from pathlib import Path

import pytest

from fsstore.disk import fs
from fsstore.testing.crash_states import after_all, kills, power_cuts
from fsstore.testing.image import Image
from fsstore.testing.trace import Killed, Recorder, Sync, SyncDirectory


def make(path: Path, data: bytes, *, synced: bool = False) -> None:
    fd = fs.open_fd(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    fs.write(fd, data)
    if synced:
        fs.sync(fd)
    fs.close(fd)


def seen_at_the_end(recorder: Recorder, name: str = "file") -> set[bytes | None]:
    """What may stand under a name after a power cut at the end; None for nothing."""
    end = len(recorder.calls)
    return {
        state.image.tree().get(name)
        for state in power_cuts(recorder.before, recorder.calls, start=end)
        if state.position == end
    }


def test_what_was_not_synced_may_be_lost_or_be_nul_bytes(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "file", b"data")
    assert seen_at_the_end(recorder) == {None, b"", b"\0\0\0\0", b"data"}


def test_a_synced_file_may_lose_its_name_but_not_its_bytes(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "file", b"data", synced=True)
    assert seen_at_the_end(recorder) == {None, b"data"}


def test_a_synced_directory_keeps_names_but_not_bytes(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "file", b"data")
        fs.sync_directory(str(tmp_path))
    assert seen_at_the_end(recorder) == {b"", b"\0\0\0\0", b"data"}


def test_a_file_and_its_directory_synced_are_there_in_every_state(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "file", b"data", synced=True)
        fs.sync_directory(str(tmp_path))
    assert seen_at_the_end(recorder) == {b"data"}


def test_a_rename_may_come_before_the_bytes_and_leaves_the_old_file_or_the_new(tmp_path: Path):
    make(tmp_path / "file", b"old")
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "temp", b"new!")
        fs.rename(str(tmp_path / "temp"), str(tmp_path / "file"))
    assert seen_at_the_end(recorder) == {b"old", b"", b"\0\0\0\0", b"new!"}


def test_a_renamed_file_is_never_without_any_name(tmp_path: Path):
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / "file", b"data")
    with Recorder(tmp_path) as recorder:
        fs.rename(str(tmp_path / "a" / "file"), str(tmp_path / "file"))
        fs.sync_directory(str(tmp_path / "a"))
    for state in power_cuts(recorder.before, recorder.calls):
        tree = state.image.tree()
        assert b"data" in (tree.get("a/file"), tree.get("file"))


def test_a_moved_directory_is_in_one_place_until_that_is_synced(tmp_path: Path):
    (tmp_path / "a" / "thread").mkdir(parents=True)
    make(tmp_path / "a" / "thread" / "file", b"data")
    with Recorder(tmp_path) as recorder:
        fs.rename(str(tmp_path / "a" / "thread"), str(tmp_path / "thread"))
        fs.sync_directory(str(tmp_path / "a"))
        half = len(recorder.calls)
        fs.sync_directory(str(tmp_path))
    places = [
        (state.position, "a/thread/file" in state.image.tree(), "thread/file" in state.image.tree())
        for state in power_cuts(recorder.before, recorder.calls)
    ]
    assert {place for place in places if place[0] == half} == {(half, True, False), (half, False, True)}
    assert {place for place in places if place[0] > half} == {(half + 1, False, True)}


def test_what_lies_in_a_directory_without_a_durable_name_is_lost_with_it(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        fs.mkdir(str(tmp_path / "new"), 0o700)
        make(tmp_path / "new" / "file", b"data", synced=True)
        fs.sync_directory(str(tmp_path / "new"))
    assert seen_at_the_end(recorder, "new/file") == {None, b"data"}


def test_no_later_sync_mends_one_that_failed(tmp_path: Path):
    make(tmp_path / "file", b"")
    failures = iter((True,))
    with Recorder(tmp_path, fail=lambda call: next(failures, False)) as recorder:
        with pytest.raises(OSError, match="Input/output error"):
            make(tmp_path / "file", b"one", synced=True)
        make(tmp_path / "file", b"two", synced=True)
    assert seen_at_the_end(recorder) == {b"\0\0\0two", b"onetwo"}


def test_a_sync_that_failed_may_have_lost_the_size_too(tmp_path: Path):
    make(tmp_path / "file", b"")
    with Recorder(tmp_path, fail=lambda call: isinstance(call, Sync)) as recorder, suppress(OSError):
        make(tmp_path / "file", b"one", synced=True)
    assert seen_at_the_end(recorder) == {b"", b"\0\0\0", b"one"}


def test_a_directory_whose_sync_failed_is_as_it_was_without(tmp_path: Path):
    failures = iter((True,))
    with Recorder(tmp_path, fail=lambda call: isinstance(call, SyncDirectory) and next(failures, False)) as recorder:
        make(tmp_path / "file", b"one", synced=True)
        with pytest.raises(OSError, match="Input/output error"):
            fs.sync_directory(str(tmp_path))
        assert seen_at_the_end(recorder) == {None, b"one"}
        fs.sync_directory(str(tmp_path))
    assert seen_at_the_end(recorder) == {b"one"}


def test_a_write_is_torn_at_every_byte_and_page_by_page(tmp_path: Path):
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "file", b"12345")
    assert {state.image.tree().get("file") for state in kills(recorder.before, recorder.calls)} == {
        None, b"", b"1", b"12", b"123", b"1234", b"12345",
    }  # fmt: skip
    with Recorder(tmp_path) as recorder:
        make(tmp_path / "long", b"x" * 10_000)
    ends = {bytes(page) for page in seen_at_the_end(recorder, "long") if page}
    assert b"\0" * 4096 + b"x" * 5904 in ends
    assert b"x" * 8192 + b"\0" * 1808 in ends


def test_a_truncated_file_may_still_be_long(tmp_path: Path):
    make(tmp_path / "file", b"data and more")
    with Recorder(tmp_path) as recorder:
        fd = fs.open_fd(str(tmp_path / "file"), os.O_WRONLY)
        fs.truncate(fd, 4)
        fs.close(fd)
    assert seen_at_the_end(recorder) == {b"data and more", b"data"}


def test_an_unlinked_file_may_come_back(tmp_path: Path):
    make(tmp_path / "file", b"data")
    with Recorder(tmp_path) as recorder:
        fs.unlink(str(tmp_path / "file"))
    assert seen_at_the_end(recorder) == {None, b"data"}


def test_an_image_is_written_as_it_was_read(tmp_path: Path):
    (tmp_path / "base" / "directory").mkdir(parents=True)
    make(tmp_path / "base" / "directory" / "file", b"data")
    image, _ = Image.read(str(tmp_path / "base"))
    image.write(str(tmp_path / "copy"))
    assert Image.read(str(tmp_path / "copy"))[0].tree() == image.tree() == {"directory": None, "directory/file": b"data"}


def test_a_dead_process_changes_nothing_more_whatever_it_tries(tmp_path: Path):
    with Recorder(tmp_path, dies_at=2) as recorder:
        with pytest.raises(Killed):
            make(tmp_path / "file", b"data", synced=True)
        for change in (lambda: fs.unlink(str(tmp_path / "file")), lambda: fs.mkdir(str(tmp_path / "new"), 0o700)):
            with pytest.raises(Killed):
                change()
    assert Image.read(str(tmp_path))[0].tree() == after_all(recorder.before, recorder.calls).tree() == {"file": b"data"}


def test_the_store_makes_no_changing_call_that_the_recorder_does_not_know():
    unknown = {
        "link", "symlink", "replace", "renames", "removedirs", "remove", "makedirs", "mknod", "mkfifo", "pwrite",
        "pwritev", "writev", "sendfile", "copy_file_range", "posix_fallocate", "splice",
    }  # fmt: skip
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(fs)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert {"write", "rename", "mkdir"} <= used
    assert used & unknown == set()
