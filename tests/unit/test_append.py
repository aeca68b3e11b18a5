"""Each numbered step of design.md, *Appending*, in its order. Step 1, the lock, is in test_lock.py."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import faults
import processes
import pytest

from fsstore import Store, SyncFailedError, ThreadNotFoundError, clock, codec, layout
from fsstore.disk import fs, machine
from fsstore.disk.lock import Locks
from fsstore.store import ThreadHandle


@pytest.fixture
def thread(store: Store) -> ThreadHandle:
    """A thread with one message, held open."""
    thread = store.threads.create("t")
    thread.messages.append("user", "one")
    return thread


def lock_is_free(thread: ThreadHandle, root: Path) -> bool:
    try:
        with Locks(str(root / layout.LOCKS), 0, 8)[thread.place.stripe]:
            return True
    except TimeoutError:
        return False


def inode(thread: ThreadHandle) -> int:
    return os.stat(thread.messages.path).st_ino


def taints(root: Path) -> list[str]:
    return os.listdir(root / layout.TAINTED)


# Step 1: one lock around one append


def test_the_write_happens_under_the_lock_and_the_sync_outside_it(thread: ThreadHandle, root: Path, monkeypatch):
    free = {}
    faults.once(monkeypatch, "write", lambda real, *args: free.setdefault("write", lock_is_free(thread, root)) or real(*args))
    faults.once(monkeypatch, "sync", lambda real, fd: free.setdefault("sync", lock_is_free(thread, root)) and real(fd))
    thread.messages.append("user", "two")
    assert free == {"write": False, "sync": True}


# Step 2: is it still the file held open?


def other_log(tmp_path: Path, count: int) -> bytes:
    """Give the log of another store with messages as long as this one's."""
    with Store.open(tmp_path / "other") as other:
        thread = other.threads.create("t")
        for number in range(count):
            thread.messages.append("user", f"{number:03d}")
        return faults.raw(other)


def test_a_log_replaced_by_rename_is_read_anew(thread: ThreadHandle, store: Store, tmp_path: Path):
    faults.replace(thread.messages.path, other_log(tmp_path, 3))
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["000", "001", "002", "after"]
    assert faults.is_chain(list(thread.messages))


def test_a_log_replaced_by_rsync_is_read_anew(thread: ThreadHandle, store: Store, tmp_path: Path):
    if not shutil.which("rsync"):
        pytest.skip("no rsync here")
    other_log(tmp_path, 3)
    subprocess.run(["rsync", "-a", "--filter=: .rsync-filter", f"{tmp_path}/other/", f"{store.root}/"], check=True)
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["000", "001", "002", "after"]
    assert faults.is_chain(list(thread.messages))


def test_a_log_replaced_in_place_with_the_same_length_is_read_anew(store: Store, tmp_path: Path):
    thread = store.threads.create("t")
    for number in range(3):
        thread.messages.append("user", f"{number}00")
    data, before = other_log(tmp_path, 3), inode(thread)
    assert len(data) == len(faults.raw(store))
    Path(thread.messages.path).write_bytes(data)
    assert inode(thread) == before
    assert [message.content for message in thread.messages.branch()] == ["000", "001", "002"]
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["000", "001", "002", "after"]
    assert faults.is_chain(list(thread.messages))


def test_a_new_file_with_the_inode_number_of_the_old_one_is_read_anew(store: Store, tmp_path: Path):
    thread = store.threads.create("t")
    thread.messages.append("user", "old")
    assert len(thread.messages) == 1
    store.close()
    path, before = Path(thread.messages.path), inode(thread)
    data = other_log(tmp_path, 1)
    for _ in range(20):
        path.unlink()
        path.write_bytes(data)
        if inode(thread) == before:
            break
    assert [message.content for message in thread.messages.branch()] == ["000"]
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["000", "after"]


def test_a_log_cut_short_by_others_is_read_anew(thread: ThreadHandle, store: Store):
    thread.messages.append("user", "two")
    first = faults.raw(store).splitlines(keepends=True)[0]
    os.truncate(thread.messages.path, len(first))
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["one", "after"]
    assert faults.is_chain(list(thread.messages))


def test_an_emptied_log_begins_anew(thread: ThreadHandle, store: Store):
    os.truncate(thread.messages.path, 0)
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["after"]
    assert faults.is_chain(list(thread.messages))


def test_a_log_whose_file_was_removed_begins_anew_while_its_thread_is_there(thread: ThreadHandle, store: Store):
    Path(thread.messages.path).unlink()
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["after"]
    assert faults.is_chain(list(thread.messages))


def starts_of_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    starts: list[int] = []
    real = fs.lines
    monkeypatch.setattr(fs, "lines", lambda fd, start, end: starts.append(start) or real(fd, start, end))
    return starts


def test_of_a_log_that_grew_only_the_new_lines_are_read(thread: ThreadHandle, store: Store, root: Path, monkeypatch):
    assert len(thread.messages) == 1
    length = len(faults.raw(store))
    processes.run(children.append, str(root), "t", "by another process")
    starts = starts_of_reading(monkeypatch)
    mine = thread.messages.append("user", "three")
    assert len(thread.messages) == 3
    assert starts
    assert min(starts) == length
    assert [message.id for message in thread.messages][2] == mine.id
    assert faults.is_chain(list(thread.messages))


def test_of_a_log_that_was_replaced_everything_is_read(thread: ThreadHandle, store: Store, tmp_path: Path, monkeypatch):
    assert len(thread.messages) == 1
    faults.replace(thread.messages.path, other_log(tmp_path, 3))
    starts = starts_of_reading(monkeypatch)
    assert len(thread.messages) == 3
    assert 0 in starts


def test_two_warm_writers_take_turns(store: Store, root: Path):
    store.threads.create("t")
    with processes.start(children.append_when_told, str(root), "t") as other:
        assert other.hear() == "open"
        for number in range(20):
            store.thread("t").messages.append("user", f"mine {number}")
            other.tell(f"other {number}")
            other.hear()
    assert faults.texts(store) == [f"{who} {number}" for number in range(20) for who in ("mine", "other")]
    assert faults.is_chain(list(store.thread("t").messages))


def forget_that_it_is_local(store: Store) -> None:
    store.close()
    store._root._local = False


def test_on_a_file_system_not_known_to_be_local_the_file_is_opened_after_the_lock(thread, store, root, monkeypatch):
    forget_that_it_is_local(store)
    free = []
    real = fs.open_log
    monkeypatch.setattr(fs, "open_log", lambda *a, **k: free.append(lock_is_free(thread, root)) or real(*a, **k))
    for number in range(3):
        thread.messages.append("user", number)
        assert free == [False] * (number + 1)


def test_a_file_system_is_known_by_the_mount_that_holds_the_root(monkeypatch: pytest.MonkeyPatch):
    table = (
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "30 22 0:40 / /mnt/dépôt rw - nfs4 host:/x rw\n"
        "31 22 0:41 / /mnt/with\\040space rw - nfs4 host:/x rw\n"
        "32 22 0:42 / /mnt/covered rw - ext4 /dev/vdb rw\n"
        "33 32 0:43 / /mnt/covered rw - fuse.sshfs host:/x rw\n"
        "34 33 0:44 / /mnt/covered/local rw shared:1 - xfs /dev/vdc rw\n"
    )
    monkeypatch.setattr(machine, "read_pseudo_file", lambda path: table)
    assert machine.is_local("/home/me/.agents")
    assert machine.is_local("/mnt/covered/local/store")
    for path in ("/mnt/dépôt/store", "/mnt/with space", "/mnt/covered/store"):
        assert not machine.is_local(path), path
    assert machine.is_local("/mnt/covered2")


def test_where_the_system_tells_no_mounts_nothing_is_known_to_be_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(machine, "read_pseudo_file", faults.failing(errno.ENOENT))
    assert not machine.is_local(str(tmp_path))


# Step 3: one write, sealed


def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    data: list[bytes] = []
    real = fs.write
    monkeypatch.setattr(fs, "write", lambda fd, piece: data.append(bytes(piece)) or real(fd, piece))
    return data


def test_a_record_and_its_newline_are_one_write(thread: ThreadHandle, store: Store, monkeypatch: pytest.MonkeyPatch):
    before, data = faults.raw(store), written(monkeypatch)
    message = thread.messages.append("user", "two")
    (line,) = data
    assert line.endswith(b"\n")
    assert json.loads(line)["id"] == message.id
    assert faults.raw(store) == before + line


def test_after_a_whole_record_without_its_newline_the_data_begins_with_a_newline(thread, store, monkeypatch):
    thread.messages.append("user", "two")
    os.truncate(thread.messages.path, len(faults.raw(store)) - 1)
    data = written(monkeypatch)
    thread.messages.append("user", "three")
    (line,) = data
    assert line.startswith(b'\n{"id":')
    assert faults.texts(store) == ["one", "two", "three"]
    assert faults.is_chain(list(thread.messages))


@pytest.mark.damaged
def test_after_a_fragment_the_data_begins_with_a_tilde_and_a_newline(thread, store, monkeypatch):
    thread.messages.append("user", "two")
    torn = faults.raw(store)[:-10]
    os.truncate(thread.messages.path, len(torn))
    data = written(monkeypatch)
    thread.messages.append("user", "three")
    (line,) = data
    assert line.startswith(b'~\n{"id":')
    assert faults.raw(store) == torn + line
    assert faults.texts(store) == ["one", "three"]
    assert faults.is_chain(list(thread.messages))
    assert [damage.kind for damage in thread.messages.damage()] == ["torn"]


@pytest.mark.damaged
@pytest.mark.parametrize("tail", [b"\r", b"\0", b"\0\0\0\0", b" ", b"\t\r"])
def test_bytes_without_meaning_after_a_whole_record_do_not_hide_it(thread, store, tail: bytes):
    thread.messages.append("user", "two")
    Path(thread.messages.path).write_bytes(faults.raw(store)[:-1] + tail)
    thread.messages.append("user", "three")
    assert faults.texts(store) == ["one", "two", "three"]
    assert faults.is_chain(list(thread.messages))


@pytest.mark.damaged
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_writer_killed_in_its_write_does_not_spoil_the_next(store: Store, root: Path, share: float):
    store.threads.create("t")
    with processes.start(children.die_in_write, str(root), "t", share) as child:
        child.hear()
        torn = faults.raw(store)
        child.kill()
    assert not torn.endswith(b"\n")
    store.thread("t").messages.append("user", "after")
    assert faults.raw(store).startswith(torn)
    assert faults.texts(store) == ["whole", "after"]
    assert faults.is_chain(list(store.thread("t").messages))


@pytest.mark.damaged
def test_a_fragment_that_came_while_the_file_was_held_open_is_sealed_once(thread: ThreadHandle, store: Store):
    with open(thread.messages.path, "ab") as file:
        file.write(b'{"id":"torn')
    for number in range(3):
        thread.messages.append("user", number)
    assert faults.raw(store).count(b"~\n") == 1
    assert faults.texts(store) == ["one", 0, 1, 2]


def test_a_record_appended_without_the_lock_in_the_very_moment_is_kept(thread: ThreadHandle, store: Store, monkeypatch):
    two = thread.messages.append("user", "two")

    def write_after_another(real: Callable[..., int], fd: int, data: bytes) -> int:
        with open(thread.messages.path, "ab") as file:
            record = {"id": clock.new_id(two.id), "parent_id": two.id, "role": "user", "content": "foreign"}
            file.write(codec.encode_line(record))
        return real(fd, data)

    faults.once(monkeypatch, "write", write_after_another)
    thread.messages.append("user", "three")
    four = thread.messages.append("user", "four")
    assert sorted(faults.texts(store)) == ["foreign", "four", "one", "three", "two"]
    assert store.thread("t").messages.leaf().id == four.id


# Step 4: a write that fails is taken back


def no_space_after(count: int) -> Callable[..., int]:
    def write(real: Callable[..., int], fd: int, data: bytes) -> int:
        if count:
            real(fd, bytes(data)[:count])
            fs.write = faults.failing(errno.ENOSPC)
            return count
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


@pytest.mark.parametrize("count", [0, 1, 50])
def test_a_short_write_is_cut_off_again_and_raised(thread, store, root, monkeypatch, count: int):
    before, seen = faults.raw(store), []
    faults.once(monkeypatch, "write", no_space_after(count))
    faults.once(monkeypatch, "truncate", lambda real, *args: seen.append(lock_is_free(thread, root)) or real(*args))
    with pytest.raises(OSError, match="No space left"):
        thread.messages.append("user", "does not fit")
    monkeypatch.undo()
    assert faults.raw(store) == before
    assert seen == ([False] if count else [])
    thread.messages.append("user", "fits")
    assert faults.texts(store) == ["one", "fits"]
    assert faults.is_chain(list(thread.messages))


@pytest.mark.damaged
@pytest.mark.parametrize("count", [1, 50])
def test_what_cannot_be_cut_off_is_sealed_by_the_next(thread, store, monkeypatch, count: int):
    before = faults.raw(store)
    faults.once(monkeypatch, "write", no_space_after(count))
    faults.fail_once(monkeypatch, "truncate", errno.EDQUOT)
    with pytest.raises(OSError, match="No space left"):
        thread.messages.append("user", "does not fit")
    monkeypatch.undo()
    assert len(faults.raw(store)) == len(before) + count
    thread.messages.append("user", "fits")
    assert faults.raw(store)[len(before) + count :].startswith(b"~\n")
    assert faults.texts(store) == ["one", "fits"]
    assert faults.is_chain(list(thread.messages))


def test_what_is_taken_back_leaves_no_trace_in_the_handle(thread: ThreadHandle, store: Store, monkeypatch):
    faults.once(monkeypatch, "write", no_space_after(10))
    with pytest.raises(OSError, match="No space left"):
        thread.messages.extend([{"role": "user", "content": number} for number in range(5)])
    monkeypatch.undo()
    assert [message.content for message in thread.messages.branch()] == ["one"]
    assert thread.messages.append("user", "two").parent_id == thread.messages.branch()[0].id


def test_what_another_wrote_behind_a_failed_write_is_not_cut_off(thread: ThreadHandle, store: Store, monkeypatch):
    def fail_behind_another(real: Callable[..., int], fd: int, data: bytes) -> int:
        with open(thread.messages.path, "ab") as file:
            file.write(b"\n")
        raise OSError(errno.EIO, "Input/output error")

    before = faults.raw(store)
    faults.once(monkeypatch, "write", fail_behind_another)
    with pytest.raises(OSError, match="Input/output error"):
        thread.messages.append("user", "two")
    assert faults.raw(store) == before + b"\n"


def append_up_to_a_file_size(root: str) -> tuple[list[int], list[Any]]:
    """Append under RLIMIT_FSIZE until the system refuses, then without it; give the file's sizes about the refusal."""
    store = Store.open(root)
    thread = store.threads.create("t")
    thread.messages.append("user", "first")
    limit = os.stat(thread.messages.path).st_size + 1_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged, sizes = fill(thread, "")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    thread.messages.append("user", "last")
    return sizes, ["first", *acknowledged, "last"]


def fill(thread: ThreadHandle, filler: str) -> tuple[list[str], list[int]]:
    """Append until the disk refuses; give what was acknowledged, and the file's size before and after the refusal."""
    acknowledged: list[str] = []
    while True:
        size = os.stat(thread.messages.path).st_size if acknowledged else 0
        try:
            acknowledged.append(thread.messages.append("user", f"{len(acknowledged)} {filler}").content)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.ENOSPC) or isinstance(error, SyncFailedError):
                raise
            return acknowledged, [size, os.stat(thread.messages.path).st_size]


def test_a_file_that_may_not_grow_keeps_what_was_acknowledged_and_nothing_else(root: Path):
    (before, after), acknowledged = processes.run(append_up_to_a_file_size, str(root))
    assert before == after
    assert len(acknowledged) > 3
    with Store.open(root) as store:
        assert faults.texts(store) == acknowledged
        assert faults.is_chain(list(store.thread("t").messages))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_keeps_what_was_acknowledged_and_nothing_else(small_disk: Path):
    with Store.open(small_disk / "store") as store:
        thread = store.threads.create("t")
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(1 << 16))
        acknowledged, (before, after) = fill(thread, "x" * 3_000)
        assert before == after
        meta = Path(thread.directory, layout.META).read_bytes()
        with pytest.raises(OSError, match="No space left"):
            store.threads.update("t", preview="y" * 5_000)
        assert Path(thread.directory, layout.META).read_bytes() == meta
        assert os.listdir(small_disk / "store" / layout.TMP) == []
        ballast.unlink()
        thread.messages.append("user", "fits")
        assert faults.texts(store) == [*acknowledged, "fits"]
        assert len(acknowledged) > 20
        assert list(store.check()) == []


# Step 5: durability


def test_full_durability_syncs_each_append_once(thread: ThreadHandle, monkeypatch: pytest.MonkeyPatch):
    calls = faults.Calls(monkeypatch, ["write", "sync", "sync_directory"])
    for number in range(3):
        thread.messages.append("user", number)
    assert calls.names() == ["write", "sync"] * 3


def test_the_first_synced_append_of_a_handle_syncs_every_directory_up_to_the_root(thread, store, root, monkeypatch):
    store.close()
    calls = faults.Calls(monkeypatch, ["write", "sync", "sync_directory"])
    thread.messages.append("user", "two")
    thread.messages.append("user", "three")
    assert calls.names() == ["write", "sync", *["sync_directory"] * 3, "write", "sync"]
    assert [where for name, where in calls if name == "sync_directory"] == [f"{root}/threads/t", f"{root}/threads", str(root)]


def test_process_durability_syncs_no_append(root: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(root, durability="process") as store:
        thread = store.threads.create("t")
        calls = faults.Calls(monkeypatch, ["write", "sync", "sync_directory"])
        thread.messages.append("user", "one")
        thread.messages.extend([{"role": "user", "content": "two"}])
        assert calls.names() == ["write", "write"]


def test_a_thread_begun_without_syncs_is_synced_up_to_the_root_by_a_later_full_append(root: Path, monkeypatch):
    with Store.open(root, durability="process") as careless:
        careless.threads.create("t").messages.append("user", "one")
    with Store.open(root) as store:
        calls = faults.Calls(monkeypatch, ["sync", "sync_directory"])
        store.thread("t").messages.append("user", "two")
        assert [calls.names(), calls[1][1], calls[-1][1]] == [
            ["sync", *["sync_directory"] * 3],
            f"{root}/threads/t",
            str(root),
        ]


def test_on_a_file_system_not_known_to_be_local_the_sync_is_before_the_unlock(thread, store, root, monkeypatch):
    forget_that_it_is_local(store)
    free = []
    real = fs.sync
    monkeypatch.setattr(fs, "sync", lambda fd: free.append(lock_is_free(thread, root)) or real(fd))
    thread.messages.append("user", "two")
    thread.messages.append("user", "three")
    assert free == [False, False]


def test_a_failed_sync_is_an_error_that_names_the_record_and_marks_the_thread(thread, store, root, monkeypatch):
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError) as raised:
        thread.messages.append("user", "two")
    assert isinstance(raised.value, OSError)
    assert raised.value.errno == errno.EIO
    (id,) = raised.value.ids
    assert id in str(raised.value)
    assert thread.messages[id].content == "two"
    assert len(taints(root)) == 1
    thread.messages.append("user", "three")


def test_a_failed_sync_of_a_batch_names_all_its_records(thread: ThreadHandle, monkeypatch: pytest.MonkeyPatch):
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError) as raised:
        thread.messages.extend([{"role": "user", "content": number} for number in range(3)])
    assert [thread.messages[id].content for id in raised.value.ids] == [0, 1, 2]
    thread.messages.append("user", "after")


def test_a_failed_sync_of_a_directory_is_the_same(thread: ThreadHandle, store: Store, root: Path, monkeypatch):
    store.close()
    faults.fail_once(monkeypatch, "sync_directory")
    with pytest.raises(SyncFailedError) as raised:
        thread.messages.append("user", "two")
    assert thread.messages[raised.value.ids[0]].content == "two"
    assert len(taints(root)) == 1
    before = inode(thread)
    thread.messages.append("user", "three")
    assert inode(thread) != before
    assert faults.texts(store) == ["one", "two", "three"]


def test_a_failed_sync_is_never_retried_on_the_same_inode(thread: ThreadHandle, store: Store, root: Path, monkeypatch):
    before, synced = inode(thread), []
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError):
        thread.messages.append("user", "two")
    real = fs.sync
    monkeypatch.setattr(fs, "sync", lambda fd: synced.append(os.fstat(fd).st_ino) or real(fd))
    thread.messages.append("user", "three")
    assert synced
    assert before not in synced
    assert inode(thread) != before
    assert taints(root) == []
    assert faults.texts(store) == ["one", "two", "three"]
    assert faults.is_chain(list(thread.messages))


@pytest.mark.parametrize("durability", ["full", "process"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_the_next_writer_rewrites_the_log_first_whoever_it_is(store, root, durability: str, warm: bool):
    store.threads.create("t").messages.append("user", "one")
    with processes.start(children.append_when_told, str(root), "t", durability) as other:
        assert other.hear() == "open"
        if warm:
            other.tell("warm")
            other.hear()
        before = inode(store.thread("t"))
        assert isinstance(processes.run(children.fail_sync, str(root), "t", "not confirmed"), SyncFailedError)
        assert len(taints(root)) == 1
        other.tell("next")
        assert isinstance(other.hear(), str)
    assert inode(store.thread("t")) != before
    assert taints(root) == []
    assert faults.texts(store) == ["one", *["warm"] * warm, "not confirmed", "next"]
    assert faults.is_chain(list(store.thread("t").messages))


def test_a_sync_that_succeeded_beside_a_failed_one_is_not_believed(thread, store, root, monkeypatch):
    before = inode(thread)

    def sync_beside_a_failure(real: Callable[[int], None], fd: int) -> None:
        real(fd)
        assert isinstance(processes.run(children.fail_sync, str(root), "t", "theirs"), SyncFailedError)

    faults.once(monkeypatch, "sync", sync_beside_a_failure)
    thread.messages.append("user", "mine")
    assert inode(thread) != before
    assert taints(root) == []
    assert faults.texts(store) == ["one", "mine", "theirs"]


def test_a_failed_sync_that_cannot_be_marked_is_remembered_all_the_same(thread, store, root, monkeypatch):
    before, real = inode(thread), fs.open_lock

    def read_only(path: str) -> int:
        if layout.TAINTED in path:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path)

    monkeypatch.setattr(fs, "open_lock", read_only)
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError) as raised:
        thread.messages.append("user", "two")
    assert len(raised.value.ids) == 1
    thread.messages.append("user", "three")
    assert inode(thread) != before
    assert faults.texts(store) == ["one", "two", "three"]


def test_when_the_rewrite_fails_too_nothing_is_acknowledged_and_nothing_lost(thread, store, root, monkeypatch):
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError):
        thread.messages.append("user", "two")
    before = inode(thread)
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(OSError, match="Input/output error"):
        thread.messages.append("user", "refused")
    assert inode(thread) == before
    assert len(taints(root)) == 1
    thread.messages.append("user", "three")
    assert inode(thread) != before
    assert faults.texts(store) == ["one", "two", "three"]
    assert faults.is_chain(list(thread.messages))


@pytest.mark.parametrize("renewed", ["compact", "sort"])
def test_a_failed_sync_of_what_came_in_during_a_renewal_is_treated_the_same(store, root, monkeypatch, renewed: str):
    messages = store.threads.create("t").messages
    first, second = (messages.append("user", text) for text in ("one", "two"))
    log = Path(messages.path)
    if renewed == "compact":
        messages.remove(second.id)
    else:
        faults.replace(log, b"".join(reversed(log.read_bytes().splitlines(keepends=True))))
    fields = {"id": clock.new_id(), "parent_id": first.id, "role": "user", "content": "by hand", "created_at": 1}

    def rename_beside_a_stranger(real: Callable[..., None], *paths: str) -> None:
        with log.open("ab") as file:  # without the lock
            file.write(codec.encode_line(fields))
        real(*paths)
        faults.fail_once(monkeypatch, "sync")

    faults.once(monkeypatch, "rename", rename_beside_a_stranger)
    with pytest.raises(SyncFailedError) as raised:
        messages.compact() if renewed == "compact" else messages.append("user", "refused")
    assert (raised.value.errno, raised.value.path, raised.value.ids) == (errno.EIO, str(log), ())
    assert len(taints(root)) == 1
    before = inode(store.thread("t"))
    assert processes.run(children.append, str(root), "t", "three")
    assert inode(store.thread("t")) != before  # whatever the disk drops of the file before, it is not this one
    assert taints(root) == []
    assert faults.texts(store) == ["one", *["two"] * (renewed == "sort"), "by hand", "three"]


def test_a_failed_sync_of_the_session_index_is_treated_the_same(store: Store, root: Path, monkeypatch):
    store.threads.create("a", name="first")
    before = os.stat(root / layout.INDEX).st_ino
    faults.once(monkeypatch, "sync", lambda real, fd: real(fd) or faults.fail_once(monkeypatch, "sync"))  # after meta.json's
    with pytest.raises(SyncFailedError):
        store.threads.create("b", name="second")
    assert store.threads.get("b") is None
    store.threads.create("c", name="third")
    assert os.stat(root / layout.INDEX).st_ino != before
    names = [json.loads(line)["thread_name"] for line in (root / layout.INDEX).read_text().splitlines()]
    assert names == ["first", "second", "third"]


@pytest.mark.parametrize("failure", ["rewrite", "lock"])
def test_what_was_written_is_named_whatever_fails_later(thread, store, root, monkeypatch, failure: str):
    holders = contextlib.ExitStack()

    def sync_beside_a_failure(real: Callable[[int], None], fd: int) -> None:
        real(fd)
        processes.run(children.fail_sync, str(root), "t", "theirs")
        if failure == "rewrite":
            faults.fail_once(monkeypatch, "sync", errno.ENOSPC)
        else:
            holders.enter_context(processes.start(children.hold_lock, str(root), "t")).hear()
            store._root.locks.timeout = 0.05

    faults.once(monkeypatch, "sync", sync_beside_a_failure)
    with holders, pytest.raises(SyncFailedError) as raised:
        thread.messages.append("user", "mine")
    (id,) = raised.value.ids
    assert thread.messages[id].content == "mine"
    thread.messages.append("user", "after")
    assert faults.texts(store) == ["one", "mine", "theirs", "after"]


def test_a_failed_sync_survives_pickling_with_its_record(root: Path):
    with Store.open(root) as store:
        store.threads.create("t")
        error = processes.run(children.fail_sync, str(root), "t", "x")
        assert store.thread("t").messages[error.ids[0]].content == "x"
        store.thread("t").messages.append("user", "y")


def append_with_failing_syncs(root: str, seed: int, count: int, share: float) -> tuple[list[str], list[str]]:
    """Append from three threads while a share of the syncs fails; give the ids acknowledged and those not confirmed."""
    chance = random.Random(seed)
    real = fs.sync

    def sync(fd: int) -> None:
        if chance.random() < share:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    fs.sync = sync
    store = Store.open(root, max_open_files=8, lock_timeout=60)
    acknowledged: list[str] = []
    unsure: list[str] = []

    def work(worker: int) -> None:
        for number in range(count):
            try:
                message = store.thread("abc"[(worker + number) % 3]).messages.append("user", number)
                acknowledged.append(message.id)
            except SyncFailedError as error:
                unsure.extend(error.ids)
            except OSError:
                continue  # the rewrite before the append failed: nothing was written

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    fs.sync = real
    store.close()
    return acknowledged, unsure


@pytest.mark.campaign
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_with_failing_syncs_every_record_is_acknowledged_or_named_and_stands_once(root, seed, campaign, share: float):
    with Store.open(root) as store:
        for id in "abc":
            store.threads.create(id)
        count = 1_000 if campaign else 30
        answers = processes.run_all(append_with_failing_syncs, [(str(root), seed + n, count, share) for n in range(2)])
        acknowledged = [id for ids, _ in answers for id in ids]
        unsure = [id for _, ids in answers for id in ids]
        assert acknowledged
        assert unsure
        found = [message.id for id in "abc" for message in store.thread(id).messages]
        assert sorted(found) == sorted(acknowledged + unsure)
        for id in "abc":
            store.thread(id).messages.append("user", "after")
            assert faults.is_chain(list(store.thread(id).messages))
        assert taints(root) == []


def test_an_error_of_the_disk_names_the_log(thread, monkeypatch):
    faults.fail_once(monkeypatch, "write", errno.ENOSPC)
    with pytest.raises(OSError, match=r"No space left on device: .*messages\.jsonl") as raised:
        thread.messages.append("user", "x")
    assert raised.value.filename == thread.messages.path


# Step 6: was it still the file at its path?


def replaced_at_sync(monkeypatch: pytest.MonkeyPatch, path: str, change: Callable[[bytes], bytes]) -> None:
    """Have the path replaced by another file between the write and its confirmation."""

    def sync(real: Callable[[int], None], fd: int) -> None:
        faults.replace(path, change(Path(path).read_bytes()))
        real(fd)

    faults.once(monkeypatch, "sync", sync)


def without_last(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-1])


def test_a_path_replaced_between_write_and_confirmation_gets_the_record_once(thread, store, monkeypatch):
    replaced_at_sync(monkeypatch, thread.messages.path, without_last)
    message = thread.messages.append("user", "two")
    assert faults.texts(store) == ["one", "two"]
    assert faults.raw(store).count(message.id.encode()) == 1
    thread.messages.append("user", "three")
    assert faults.texts(store) == ["one", "two", "three"]
    assert faults.is_chain(list(thread.messages))


def test_a_path_replaced_by_a_copy_that_has_the_record_gets_no_second(thread, store, monkeypatch):
    replaced_at_sync(monkeypatch, thread.messages.path, lambda data: data)
    message = thread.messages.append("user", "two")
    assert faults.texts(store) == ["one", "two"]
    assert faults.raw(store).count(message.id.encode()) == 1


def test_the_record_is_synced_in_the_new_file(thread, store, monkeypatch):
    replaced_at_sync(monkeypatch, thread.messages.path, without_last)
    thread.messages.append("user", "two")
    calls, synced = faults.Calls(monkeypatch, ["sync"]), []
    real = fs.sync
    monkeypatch.setattr(fs, "sync", lambda fd: synced.append(os.fstat(fd).st_ino) or real(fd))
    replaced_at_sync(monkeypatch, thread.messages.path, without_last)
    thread.messages.append("user", "three")
    assert len(calls) == 2
    assert synced[-1] == inode(thread)
    assert faults.texts(store) == ["one", "two", "three"]


def test_a_record_that_the_new_file_calls_gone_is_not_brought_back(thread, store, monkeypatch):
    def gone(data: bytes) -> bytes:
        *others, last = data.splitlines(keepends=True)
        record = json.loads(last)
        stub = {"id": record["id"], "parent_id": record["parent_id"], "type": "gone"}
        return b"".join([*others, json.dumps(stub, separators=(",", ":")).encode(), b"\n"])

    replaced_at_sync(monkeypatch, thread.messages.path, gone)
    message = thread.messages.append("user", "two")
    assert faults.raw(store).count(message.id.encode()) == 1
    assert faults.texts(store) == ["one"]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_of_a_batch_what_the_new_file_lacks_is_appended(thread, store, monkeypatch, kept: int):
    replaced_at_sync(monkeypatch, thread.messages.path, lambda data: b"".join(data.splitlines(keepends=True)[: 1 + kept]))
    batch = thread.messages.extend([{"role": "user", "content": number} for number in range(3)])
    assert faults.texts(store) == ["one", 0, 1, 2]
    assert faults.is_chain(list(store.thread("t").messages))
    assert [faults.raw(store).count(b'{"id":"' + message.id.encode()) for message in batch] == [1, 1, 1]


def test_records_of_others_in_the_new_file_stay_and_the_lines_end_up_sorted(thread, store, tmp_path, monkeypatch):
    message = thread.messages.append("user", "two")
    newer = b""

    def with_newer(data: bytes) -> bytes:
        nonlocal newer
        with Store.open(tmp_path / "copy") as copy:
            copy.threads.create("t")
            faults.replace(copy.thread("t").messages.path, without_last(data))
            copy.thread("t").messages.append("user", "theirs")
            newer = faults.raw(copy)
        return newer

    replaced_at_sync(monkeypatch, thread.messages.path, with_newer)
    thread.messages.append("user", "mine")
    thread.messages.append("user", "last")
    assert sorted(faults.texts(store)) == ["last", "mine", "one", "theirs", "two"]
    ids = [json.loads(line)["id"] for line in faults.raw(store).splitlines()]
    assert ids == sorted(ids)
    assert faults.links(store)[2][1] == message.id


def test_a_path_replaced_again_meanwhile_is_followed(thread, store, root, monkeypatch):
    original = faults.raw(store)

    def write_and_replace(real: Callable[..., int], fd: int, data: bytes) -> int:
        count = real(fd, data)
        faults.replace(thread.messages.path, original)
        return count

    def sync_and_replace(real: Callable[[int], None], fd: int) -> None:
        faults.replace(thread.messages.path, original)
        faults.once(monkeypatch, "write", write_and_replace)
        real(fd)

    faults.once(monkeypatch, "sync", sync_and_replace)
    message = thread.messages.append("user", "two")
    assert faults.texts(store) == ["one", "two"]
    assert faults.raw(store).count(message.id.encode()) == 1
    assert taints(root) == []


@pytest.mark.parametrize("durability", ["full", "process"])
def test_a_path_replaced_between_the_look_and_the_write_gets_the_record(root, tmp_path, monkeypatch, durability: str):
    with Store.open(root, durability=durability) as store:
        thread = store.threads.create("t")
        thread.messages.append("user", "one")
        old = os.open(thread.messages.path, os.O_RDONLY)
        before, other = faults.raw(store), other_log(tmp_path, 2)

        def replace_and_write(real: Callable[..., int], fd: int, data: bytes) -> int:
            faults.replace(thread.messages.path, other)
            return real(fd, data)

        faults.once(monkeypatch, "write", replace_and_write)
        thread.messages.append("user", "two")
        assert faults.texts(store) == ["000", "001", "two"]
        assert faults.is_chain(list(thread.messages))
        assert os.read(old, 10_000) == before  # taken back from the file that is no longer there
        os.close(old)


def test_a_log_removed_while_its_thread_stays_gets_the_record(thread, store, monkeypatch):
    faults.once(monkeypatch, "sync", lambda real, fd: (os.unlink(thread.messages.path), real(fd)))
    thread.messages.append("user", "two")
    assert b'"two"' in faults.raw(store)
    Path(thread.messages.path).unlink()


@pytest.mark.parametrize("moment", ["before", "write", "sync"])
@pytest.mark.parametrize("durability", ["full", "process"])
def test_a_missing_thread_is_never_recreated_by_an_append(root, tmp_path, monkeypatch, durability: str, moment: str):
    if (durability, moment) == ("process", "sync"):
        pytest.skip("there is no sync then")
    with Store.open(root, durability=durability) as store:
        thread = store.threads.create("t")
        thread.messages.append("user", "one")
        away = tmp_path / "away"
        if moment == "before":
            os.rename(thread.directory, away)
        else:
            faults.once(monkeypatch, moment, lambda real, *args: (os.rename(thread.directory, away), real(*args))[1])
        for _ in range(2):
            with pytest.raises(ThreadNotFoundError):
                thread.messages.append("user", "late")
            assert os.listdir(root / layout.THREADS) == []
        assert list(store.threads) == []


def test_a_thread_that_never_was_is_not_made_by_an_append(store: Store, root: Path):
    for write in (
        lambda messages: messages.append("user", "x"),
        lambda messages: messages.extend([{"role": "user", "content": "x"}]),
        lambda messages: messages.checkout(None),
        lambda messages: messages.fork("nothing", "user", "x"),
        lambda messages: messages.replace("nothing", "user", "x"),
    ):
        with pytest.raises(ThreadNotFoundError):
            write(store.thread("t").messages)
    assert store.thread("t").messages.clear() == 0
    assert store.thread("t").messages.remove("nothing") is False
    assert os.listdir(root / layout.THREADS) == []


# Batches


def test_a_batch_is_one_write_and_one_sync(thread: ThreadHandle, store: Store, monkeypatch: pytest.MonkeyPatch):
    calls = faults.Calls(monkeypatch, ["write", "sync", "sync_directory"])
    messages = thread.messages.extend([{"role": "user", "content": number} for number in range(100)])
    assert calls.names() == ["write", "sync"]
    assert [message.content for message in messages] == list(range(100))
    assert faults.texts(store) == ["one", *range(100)]
    assert faults.is_chain(list(thread.messages))


def test_an_empty_batch_touches_nothing(thread: ThreadHandle, monkeypatch: pytest.MonkeyPatch):
    calls = faults.Calls(monkeypatch)
    assert thread.messages.extend([]) == []
    assert calls == []


@pytest.mark.parametrize("bad", [float("nan"), 2**64, "\ud800", {1, 2}, (1, 2)])
def test_a_batch_with_one_value_that_cannot_be_kept_writes_none(thread: ThreadHandle, store: Store, bad: Any):
    before = faults.raw(store)
    with pytest.raises(ValueError, match="cannot"):
        thread.messages.extend([{"role": "user", "content": "good"}, {"role": "user", "content": bad}])
    assert faults.raw(store) == before


@pytest.mark.damaged
def test_a_torn_batch_shows_its_first_records_whole_and_in_order(thread: ThreadHandle, store: Store):
    before = faults.raw(store)
    thread.messages.extend([{"role": "user", "content": number} for number in range(3)])
    whole = faults.raw(store)
    seen = set()
    for length in range(len(before), len(whole) + 1, 7):
        faults.replace(thread.messages.path, whole[:length])
        found = faults.texts(store)
        assert found == ["one", 0, 1, 2][: len(found)]
        seen.add(len(found))
        thread.messages.append("user", "after")
        assert faults.texts(store) == [*found, "after"]
        assert faults.is_chain(list(thread.messages))
    assert seen == {1, 2, 3, 4}


@pytest.mark.parametrize("others", [0, 1], ids=["its leaf", "below another's"])
def test_a_record_that_went_along_to_the_trash_is_not_carried_into_a_new_thread_of_the_id(
    thread, store, root: Path, monkeypatch, others: int
):
    """Written, then the thread is deleted and created again before the sync: it is done, and deleted with the rest."""

    def sync(real: Callable[[int], None], fd: int) -> None:
        with Store.open(root) as other:
            for _ in range(others):
                other.thread("t").messages.append("user", "theirs")
            other.threads.delete("t")
            other.threads.create("t").messages.append("user", "new")
        real(fd)

    faults.once(monkeypatch, "sync", sync)
    assert thread.messages.append("user", "late").content == "late"
    assert faults.texts(store) == ["new"]
    assert b"late" not in faults.raw(store)
    (trashed,) = (root / layout.TRASH).glob("*/threads/t/messages.jsonl")
    assert trashed.read_bytes().count(b"late") == 1
    thread.messages.append("user", "newer")
    assert faults.texts(store) == ["new", "newer"]


def test_a_record_that_went_along_to_the_trash_is_in_doubt_where_a_sync_of_its_log_failed(
    thread: ThreadHandle, root: Path, monkeypatch: pytest.MonkeyPatch
):
    def sync(real: Callable[[int], None], fd: int) -> None:
        real(fd)
        with Store.open(root) as other:
            faults.fail_once(monkeypatch, "sync")
            with pytest.raises(SyncFailedError):
                other.thread("t").messages.append("user", "theirs")
            other.threads.delete("t")

    faults.once(monkeypatch, "sync", sync)
    with pytest.raises(SyncFailedError) as caught:
        thread.messages.append("user", "late")
    assert len(caught.value.ids) == 1
