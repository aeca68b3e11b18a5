from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import faults
import pytest

from fsstore.disk import fs, machine, trees


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@contextlib.contextmanager
def umask(mask: int):
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_a_log_is_opened_for_reading_and_appending_only(tmp_path: Path):
    path = str(tmp_path / "log")
    with pytest.raises(FileNotFoundError):
        fs.open_log(path, create=False)
    fd = fs.open_log(path, create=True)
    fs.write(fd, b"one")
    fs.seek(fd, 0, os.SEEK_SET)
    fs.write(fd, b"two")
    assert fs.read_at(fd, 10, 0) == b"onetwo"
    assert not os.get_inheritable(fd)
    fs.close(fd)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o277, 0o777])
def test_what_is_made_is_the_owners_alone_whatever_the_umask(tmp_path: Path, mask: int):
    with umask(mask):
        fs.close(fs.open_log(str(tmp_path / "log"), create=True))
        fs.create_temp(str(tmp_path / "temp"), b"x")
        fs.make_directories(str(tmp_path / "a" / "b"))
    assert [mode(tmp_path / name) for name in ("log", "temp", "a", "a/b")] == [0o600, 0o600, 0o700, 0o700]


def test_the_mode_that_somebody_gave_an_existing_file_stays(tmp_path: Path):
    (tmp_path / "log").write_text("x")
    os.chmod(tmp_path / "log", 0o640)
    fs.close(fs.open_log(str(tmp_path / "log"), create=False))
    (tmp_path / "dir").mkdir()
    os.chmod(tmp_path / "dir", 0o750)
    assert fs.make_directory(str(tmp_path / "dir")) is False
    assert (mode(tmp_path / "log"), mode(tmp_path / "dir")) == (0o640, 0o750)


def test_no_link_is_followed(tmp_path: Path):
    (tmp_path / "file").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        path = str(tmp_path / name)
        for call in (
            fs.open_read,
            fs.read_file,
            fs.open_lock,
            lambda path: fs.open_log(path, create=False),
            lambda path: fs.open_log(path, create=True),
            lambda path: fs.create_temp(path, b"x"),
        ):
            with pytest.raises(OSError) as raised:  # noqa: PT011
                call(path)
            assert raised.value.errno in (errno.ELOOP, errno.EEXIST)
    assert (tmp_path / "file").read_text() == "secret"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_regular_file_is_not_read_and_hangs_nobody(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)
        server.bind("socket")
        before = faults.open_files()
        for name in ("fifo", "directory", "socket"):
            with pytest.raises(OSError):  # noqa: PT011
                fs.read_file(str(tmp_path / name))
        assert faults.open_files() == before
        os.chdir("/")


def test_a_range_is_read_whole_and_is_short_only_at_the_end_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_bytes(bytes(range(100)))
    real = fs.read_at
    monkeypatch.setattr(fs, "read_at", lambda fd, count, at: real(fd, min(count, 7), at))
    fd = fs.open_read(str(tmp_path / "file"))
    assert fs.read_range(fd, 0, 100) == bytes(range(100))
    assert fs.read_range(fd, 10, 30) == bytes(range(10, 30))
    assert fs.read_range(fd, 90, 200) == bytes(range(90, 100))
    assert fs.read_range(fd, 200, 300) == b""
    assert fs.read_range(fd, 5, 5) == b""
    fs.close(fd)
    assert fs.read_file(str(tmp_path / "file")) == bytes(range(100))


def test_lines_are_read_from_a_place_on_and_the_descriptor_stays_open(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"one\ntwo\r\nthree")
    fd = fs.open_read(str(tmp_path / "file"))
    for end in (14, 1 << 20):  # read at once, or through a buffer
        with fs.lines(fd, 4, end) as reader:
            assert list(reader) == [b"two\r\n", b"three"]
    assert not closed(fd)
    fs.close(fd)


def test_a_temporary_file_must_be_new(tmp_path: Path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(FileExistsError):
        fs.create_temp(str(tmp_path / "there"), b"theirs")
    assert (tmp_path / "there").read_text() == "mine"


def test_every_byte_is_written_however_short_the_writes_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = fs.write
    monkeypatch.setattr(fs, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    fs.create_temp(str(tmp_path / "temp"), b"0123456789")
    fs.create_temp(str(tmp_path / "new"), b"")
    assert (tmp_path / "temp").read_bytes() == b"0123456789"
    assert (tmp_path / "new").read_bytes() == b""


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_temporary_file_that_could_not_be_written_is_not_left(tmp_path: Path, monkeypatch, call: str):
    before = faults.open_files()
    faults.fail_once(monkeypatch, call, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        fs.create_temp(str(tmp_path / "temp"), b"x")
    assert os.listdir(tmp_path) == []
    assert faults.open_files() == before


@pytest.mark.parametrize("call", ["write", "sync"])
def test_what_the_disk_refuses_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    (tmp_path / "log").touch()
    for path, write in (
        (str(tmp_path / "new"), fs.create_temp),
        (str(tmp_path / "log"), fs.append_synced),
        ("relative", lambda name, data: replace_in(tmp_path, name, data)),
    ):
        faults.fail_once(monkeypatch, call, errno.ENOSPC)
        with pytest.raises(OSError, match="No space left") as raised:
            write(path, b"x")
        assert raised.value.filename == path


def replace_in(directory: Path, name: str, data: bytes) -> None:
    fd = fs.open_directory(str(directory))
    try:
        fs.replace_in(fd, name, "temp", data, 0o600)
    finally:
        fs.close(fd)


def test_a_disk_that_fails_when_asked_for_a_directory_is_not_taken_for_a_file_in_the_way(tmp_path: Path, monkeypatch):
    (tmp_path / "a").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(fs, "own_status", faults.failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            fs.make_directory(str(tmp_path / "a"))


def test_directories_are_made_once_and_a_file_in_the_way_is_an_error(tmp_path: Path):
    assert fs.make_directory(str(tmp_path / "a")) is True
    assert fs.make_directory(str(tmp_path / "a")) is False
    fs.make_directories(str(tmp_path / "a" / "b" / "c"))
    fs.make_directories(str(tmp_path / "a" / "b" / "c"))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        fs.make_directory(str(tmp_path / "file"))
    with pytest.raises(OSError):  # noqa: PT011
        fs.make_directories(str(tmp_path / "file" / "below"))


def test_threads_may_make_the_same_directories_at_once(tmp_path: Path):
    for number in range(20):
        path = str(tmp_path / str(number) / "a" / "b" / "c")
        errors: list[Exception] = []

        def make(path: str = path, errors: list[Exception] = errors) -> None:
            try:
                fs.make_directories(path)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert errors == []
        assert os.path.isdir(path)


def test_looking_tells_missing_from_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    assert fs.is_file(str(tmp_path / "file"))
    assert not fs.is_file(str(tmp_path / "missing"))
    assert not fs.is_file(str(tmp_path / "file" / "below"))
    assert fs.is_directory(str(tmp_path))
    assert not fs.is_directory(str(tmp_path / "link"))
    assert not fs.is_directory(str(tmp_path / "file"))
    assert fs.names(str(tmp_path)) == ["file", "link"]
    assert fs.names(str(tmp_path / "missing")) == fs.names(str(tmp_path / "file")) == []
    for name in ("stat", "list_names"):
        monkeypatch.setattr(fs, name, faults.failing(errno.EACCES))
    for call in (fs.is_file, fs.names):
        with pytest.raises(PermissionError):
            call(str(tmp_path))


def test_walking_gives_parents_first_and_enters_no_link(tmp_path: Path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "file").write_text("")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert [os.path.relpath(path, tmp_path) for path, _ in trees.walk(str(tmp_path))] == ["a", "b", "b/c", "b/file"]
    assert list(trees.walk(str(tmp_path / "missing"))) == []


def test_a_sync_of_a_directory_leaves_no_descriptor_and_needs_a_directory(tmp_path: Path):
    before = faults.open_files()
    fs.sync_directory(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        fs.sync_directory(str(tmp_path / "file"))
    assert faults.open_files() == before


def test_a_process_that_runs_is_told_from_one_that_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert machine.is_running(child.pid)
    child.communicate(b"\n")
    assert not machine.is_running(child.pid)
    assert machine.is_running(os.getpid())
    assert machine.is_running(1)


def test_bytes_are_found_across_the_blocks_that_are_read(tmp_path: Path):
    block = 1 << 20
    (tmp_path / "file").write_bytes(b"x" * (block - 3) + b"needle" + b"y" * block)
    path, buffer = str(tmp_path / "file"), bytearray(1 << 16)
    assert fs.contains(path, (b"needle",), buffer)
    assert fs.contains(path, (b"nothing", b"xn"), buffer)
    assert not fs.contains(path, (b"needles",), buffer)
    assert not fs.contains(str(tmp_path / "none"), (b"x",), buffer)


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("size", [16, 17, 24])
def test_bytes_are_found_wherever_a_block_ends(tmp_path: Path, cut: int, size: int):
    for before in range(size - cut, 3 * size):
        (tmp_path / "file").write_bytes(b"n" * before + b"needle" + b"n" * cut)
        assert fs.contains(str(tmp_path / "file"), (b"needle", b"thread"), bytearray(size))
        assert not fs.contains(str(tmp_path / "file"), (b"needless", b"nneedlee"), bytearray(size))


def test_salts_are_never_the_same():
    assert len({machine.salt() for _ in range(1_000)}) == 1_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_file_system_of_a_directory_is_looked_up_in_the_systems_own_table(tmp_path: Path):
    assert not machine.is_local("/proc")
    assert not machine.is_local("/sys/kernel")
    (tmp_path / "link").symlink_to("/proc")
    assert not machine.is_local(str(tmp_path / "link"))


def test_a_right_that_may_not_be_taken_away_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(fd: int, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError) as caught:
        fs.make_private(str(tmp_path))
    assert caught.value.filename == str(tmp_path)
