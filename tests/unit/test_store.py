from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
from pathlib import Path

import children
import faults
import processes
import pytest

from fsstore import FormatError, JobStateRecord, ReadOnlyError, SessionSource, StateStore, Store, ThreadStore, layout
from fsstore.disk import fs, machine
from fsstore.store import default_root


def tree(path: Path) -> dict[str, bytes]:
    """Give every file below a directory with its bytes, and every directory."""
    return {str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else b"" for entry in path.rglob("*")}


WHOLE = {"fsstore.json", ".gitattributes", ".gitignore", ".rsync-filter", ".fsstore", "threads"}


def test_a_missing_directory_is_made_with_its_parents(tmp_path: Path):
    path = tmp_path / "a" / "b" / "store"
    with Store.open(path) as store:
        assert store.root == str(path)
    assert set(os.listdir(path)) == WHOLE


def test_an_empty_directory_becomes_a_store(tmp_path: Path):
    Store.open(tmp_path).close()
    assert set(os.listdir(tmp_path)) == WHOLE


def test_the_format_file_is_the_same_in_every_store(tmp_path: Path):
    for name in "ab":
        Store.open(tmp_path / name).close()
    data = (tmp_path / "a" / "fsstore.json").read_bytes()
    assert json.loads(data) == {"format": "fsstore", "version": 1}
    assert data == (tmp_path / "b" / "fsstore.json").read_bytes()


def test_directories_are_private_and_files_too_whatever_the_umask(tmp_path: Path):
    old = os.umask(0o277)
    try:
        with Store.open(tmp_path / "x" / "store") as store:
            thread = store.threads.create("t", name="n")
            thread.messages.append("user", "x")
            thread.runs.create("r").steps.create("s")
            store.threads.create("gone").messages.append("user", "x")
            store.threads.delete("gone")
    finally:
        os.umask(old)
    modes = {0o700 if entry.is_dir() else 0o600: stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "x").rglob("*")}
    assert modes == {0o700: 0o700, 0o600: 0o600}
    for entry in (tmp_path / "x").rglob("*"):
        expected = 0o700 if entry.is_dir() else 0o600
        if entry.parent.name != "locks":  # locks are this machine's own; what counts is that nobody else can read
            assert stat.S_IMODE(entry.stat().st_mode) == expected, entry
        assert stat.S_IMODE(entry.stat().st_mode) & 0o077 == 0, entry


def test_a_tilde_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Store.open("~/agents") as store:
        assert store.root == str(tmp_path / "agents")


def test_a_relative_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    store = Store.open("here")
    monkeypatch.chdir("/")
    store.threads.create("t").messages.append("user", "x")
    assert faults.texts(store) == ["x"]
    assert store.root == str(tmp_path / "here")


def test_a_link_to_a_directory_may_be_the_root(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Store.open(tmp_path / "link") as store:
        store.threads.create("t")
    assert (tmp_path / "real" / "threads" / "t" / "meta.json").is_file()


@pytest.mark.parametrize("strange", ["notes.txt", ".git", "threads.bak", "fsstore.json.bak"])
def test_a_directory_with_something_else_is_refused_and_left_alone(tmp_path: Path, strange: str):
    (tmp_path / strange).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(FormatError, match="neither empty nor a store") as raised:
        Store.open(tmp_path)
    assert strange in str(raised.value)
    assert raised.value.path == str(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("broken", [False, True])
def test_who_lost_a_format_file_is_told_what_to_put_back(tmp_path: Path, broken: bool):
    with Store.open(tmp_path) as store:
        store.jobs.put(JobStateRecord(id="j"))
    file = tmp_path / "fsstore.json"
    file.write_text("{") if broken else file.unlink()
    before = tree(tmp_path)
    for read_only in (True, False):
        with pytest.raises(FormatError, match="if this is a store, put its fsstore") as raised:
            Store.open(tmp_path, read_only=read_only)
    assert tree(tmp_path) == before
    file.write_text(str(raised.value).rpartition("back: ")[2])
    assert [job.id for job in Store.open(tmp_path).jobs.recent(None)] == ["j"]


def test_a_file_is_no_root(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises((FormatError, OSError)):
        Store.open(tmp_path / "file")
    with pytest.raises((FormatError, OSError)):
        Store.open(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        '{"format": "fsstore", "version": 2}',
        '{"format": "fsstore", "version": 0}',
        '{"format": "fsstore", "version": -1}',
        '{"format": "fsstore", "version": true}',
        '{"format": "fsstore", "version": "1"}',
        '{"format": "fsstore"}',
        '{"format": "other", "version": 1}',
        "[]",
        "",
        "{",
    ],
)
@pytest.mark.damaged
def test_another_format_is_refused_and_nothing_touched(root: Path, content: str, read_only: bool):
    with Store.open(root) as store:
        store.threads.create("t").messages.append("user", "x")
    (root / layout.TMP / "0123456789abcdef.1.host.meta.json.tmp").write_text("left")
    (root / "fsstore.json").write_text(content)
    before = tree(root)
    with pytest.raises(FormatError) as raised:
        Store.open(root, read_only=read_only)
    assert raised.value.path == str(root / "fsstore.json")
    assert tree(root) == before


def test_a_newer_format_is_said_to_be_newer(root: Path):
    Store.open(root).close()
    (root / "fsstore.json").write_text('{"format": "fsstore", "version": 7}')
    with pytest.raises(FormatError, match="version 7"):
        Store.open(root)
    Store.open(root.parent / "other").close()
    (root / "fsstore.json").write_bytes((root.parent / "other" / "fsstore.json").read_bytes())


def test_unknown_keys_of_the_format_file_do_no_harm(root: Path):
    Store.open(root).close()
    (root / "fsstore.json").write_text('{"format": "fsstore", "version": 1, "later": []}')
    Store.open(root).close()
    assert "later" in (root / "fsstore.json").read_text()


def test_the_default_root_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FSSTORE_ROOT", "~/named")
    assert Store.open().root == str(tmp_path / "named")


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_without_a_name_the_default_root_is_in_the_users_data_directory(tmp_path: Path, monkeypatch, blank: str | None):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FSSTORE_ROOT", raising=False)
    if blank is not None:
        monkeypatch.setenv("FSSTORE_ROOT", blank)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert Store.open().root == str(tmp_path / "data" / "fsstore")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert Store.open().root == str(tmp_path / ".local" / "share" / "fsstore")


def test_the_default_root_is_where_each_platform_keeps_data(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FSSTORE_ROOT", raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_root() == "~/Library/Application Support/fsstore"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "C:/Local")
    assert default_root() == "C:/Local/fsstore"


def test_reading_only_never_makes_a_store(tmp_path: Path):
    with pytest.raises(FormatError, match="no store"):
        Store.open(tmp_path / "missing", read_only=True)
    with pytest.raises(FormatError, match="no store"):
        Store.open(tmp_path, read_only=True)
    assert tree(tmp_path) == {}


def test_reading_only_changes_nothing_and_refuses_every_write(root: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(root) as store:
        message = store.threads.create("t", name="n").messages.append("user", "x")
        store.thread("t").runs.create("r").steps.create("s")
    before = tree(root)
    times = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    with Store.open(root, read_only=True) as store:
        thread = store.thread("t")
        run = thread.runs["r"]
        writes = [
            lambda: store.threads.create("u"),
            lambda: store.threads.put(thread.info()),
            lambda: store.threads.update("t", preview="p"),
            lambda: store.threads.delete("t"),
            thread.archive,
            thread.unarchive,
            thread.delete,
            lambda: thread.messages.append("user", "y"),
            lambda: thread.messages.extend([{"role": "user", "content": "y"}]),
            lambda: thread.messages.fork(message.id, "user", "y"),
            lambda: thread.messages.replace(message.id, "user", "y"),
            lambda: thread.messages.checkout(None),
            lambda: thread.messages.remove(message.id),
            thread.messages.clear,
            lambda: thread.runs.create("q"),
            run.finish,
            lambda: run.steps.create("z"),
            lambda: run.steps.update("s", "completed"),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError):
                write()
        assert [m.content for m in thread.messages.branch()] == ["x"]
        assert list(store.check()) == []
    assert tree(root) == before
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == times


def test_the_four_constructors_open_one_store(root: Path):
    with Store.open(root) as store, StateStore.open(root) as state, ThreadStore(root) as threads:
        store.threads.create("t", source=SessionSource.API).messages.append("user", "x")
        assert state.db_path() == root
        assert state.get_thread("t").source == SessionSource.API
        assert threads.list_thread_ids() == ["t"]


def test_a_store_can_be_used_again_after_it_was_closed(store: Store):
    thread = store.threads.create("t")
    thread.messages.append("user", "one")
    store.close()
    assert faults.descriptors(store.root) == []
    thread.messages.append("user", "two")
    store.close()
    store.close()
    assert faults.texts(store) == ["one", "two"]


@pytest.mark.parametrize("options", [{"durability": "none"}, {"max_open_files": 7}, {"lock_timeout": -1}])
def test_options_without_sense_are_refused_before_anything_is_made(root: Path, options: dict):
    with pytest.raises(ValueError, match=r'must be|is "full"'):
        Store.open(root, **options)
    assert not root.exists()


def test_processes_that_create_one_store_together_all_succeed(tmp_path: Path):
    for number in range(2):
        root = str(tmp_path / f"store-{number}")
        processes.run_all(children.open_store, [(root,)] * 4)
        with Store.open(root) as store:
            assert [len(store.thread(id).messages) for id in store.threads.ids()] == [1] * 4


@pytest.mark.parametrize("call", ["list_names", "mkdir", "rename", "sync_directory"])
def test_a_store_that_another_process_finished_meanwhile_is_opened(root: Path, monkeypatch, call: str):
    def meanwhile(real, *args):
        with Store.open(root) as other:
            other.threads.create("theirs", name="index")
        return real(*args)

    faults.once(monkeypatch, call, meanwhile)
    with Store.open(root) as store:
        assert store.threads.ids() == ["theirs"]


def test_a_creation_that_was_killed_at_any_call_is_finished_by_the_next_open(tmp_path: Path):
    kills = processes.run(children.kill_creations, str(tmp_path))
    assert kills > 15
    for number in range(kills):
        root = tmp_path / f"store-{number}"
        with Store.open(root) as store:
            store.threads.create("t").messages.append("user", "x")
            assert faults.texts(store) == ["x"]
        assert os.listdir(root / layout.TMP) == []
        assert set(os.listdir(root)) == WHOLE


def test_what_dead_writers_left_is_swept_and_what_living_ones_write_is_not(root: Path, monkeypatch: pytest.MonkeyPatch):
    Store.open(root).close()
    monkeypatch.setattr(machine, "host", lambda: "Here.local")
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {
        "dead": layout.temp_name("meta.json", "Here.local", dead.pid, "0" * 16),
        "living": layout.temp_name("meta.json", "Here.local", os.getpid(), "1" * 16),
        "elsewhere": layout.temp_name("meta.json", "There", dead.pid, "2" * 16),
        "strange": "not-a-temp",
    }
    for name in names.values():
        (root / layout.TMP / name).write_text("x")
    Store.open(root).close()
    assert set(os.listdir(root / layout.TMP)) == set(names.values()) - {names["dead"]}
    for name in os.listdir(root / layout.TMP):
        (root / layout.TMP / name).unlink()


def git(root: Path, *args: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_git_leaves_out_what_is_this_roots_own_and_keeps_bytes_as_they_are(root: Path):
    with Store.open(root) as store:
        thread = store.threads.create("t", name="n")
        thread.messages.append("user", "with \r\n inside")
        before = faults.raw(store)
    git(root, "init", "-q")
    git(root, "config", "core.autocrlf", "true")
    git(root, "add", "-A")
    assert git(root, "status", "--porcelain", "--ignored").splitlines()[-1] == "!! .fsstore/"
    tracked = set(git(root, "ls-files").splitlines())
    assert tracked == {
        *(".gitattributes", ".gitignore", ".rsync-filter", "fsstore.json", "session_index.jsonl"),
        *("threads/t/messages.jsonl", "threads/t/meta.json"),
    }
    git(root, "commit", "-qm", "all")
    Path(thread.messages.path).unlink()
    git(root, "checkout", "-q", ".")
    assert faults.raw(store) == before
    attributes = git(root, "check-attr", "merge", "text", "--", "threads/t/messages.jsonl", "threads/t/meta.json").splitlines()
    assert [line.rsplit(" ", 1)[1] for line in attributes] == ["union", "unset", "binary", "unset"]


def test_rsync_leaves_out_what_is_this_roots_own(root: Path, tmp_path: Path):
    with Store.open(root) as store:
        store.threads.create("t").messages.append("user", "x")
    command = ["rsync", "-a", "--filter=: .rsync-filter", f"{root}/", f"{tmp_path}/copy/"]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("no rsync here")
    assert set(os.listdir(tmp_path / "copy")) == WHOLE - {".fsstore"}
    with Store.open(tmp_path / "copy") as copy:
        assert faults.texts(copy) == ["x"]


def test_files_for_git_and_rsync_that_somebody_changed_stay_so(root: Path):
    root.mkdir()
    (root / ".gitignore").write_text("mine\n")
    Store.open(root).close()
    assert (root / ".gitignore").read_text() == "mine\n"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ELOOP])
def test_what_the_system_refuses_is_its_own_error_and_never_not_found(store: Store, monkeypatch, code: int):
    thread = store.threads.create("t", name="n")
    message = thread.messages.append("user", "x")
    thread.runs.create("r").steps.create("s")
    store.close()
    fresh = Store.open(store.root)
    thread = fresh.thread("t")
    for name in ("open_fd", "stat"):
        monkeypatch.setattr(fs, name, faults.failing(code))
    reads = [
        lambda: fresh.threads.get("t"),
        lambda: fresh.threads["t"],
        lambda: "t" in fresh.threads,
        thread.info,
        thread.messages.branch,
        lambda: thread.messages.branch(5),
        thread.messages.leaf,
        lambda: thread.messages.get(message.id),
        lambda: len(thread.messages),
        lambda: list(thread.messages),
        lambda: thread.runs.get("r"),
        lambda: thread.runs.handle("r").steps.get("s"),
        lambda: thread.messages.append("user", "y"),
        lambda: fresh.threads.update("t", preview="p"),
        lambda: fresh.threads.delete("t"),
        lambda: thread.runs.create("q"),
        lambda: Store.open(store.root),
    ]
    for read in reads:
        with pytest.raises(OSError) as raised:  # noqa: PT011
            read()
        assert raised.value.errno == code
        assert not isinstance(raised.value, LookupError)


def test_a_directory_or_a_pipe_where_a_file_belongs_is_an_error_and_hangs_nobody(store: Store):
    thread = store.threads.create("t")
    Path(thread.messages.path).mkdir()
    with pytest.raises(OSError, match="director"):
        thread.messages.branch()
    with pytest.raises(OSError, match="director"):
        thread.messages.append("user", "x")
    Path(thread.messages.path).rmdir()
    os.mkfifo(thread.messages.path)
    with pytest.raises(OSError, match="regular file"):
        thread.messages.branch()
    with pytest.raises(OSError, match="regular file"):
        thread.messages.append("user", "x")
    os.unlink(thread.messages.path)
    meta = Path(thread.directory, layout.META)
    data = meta.read_bytes()
    meta.unlink()
    os.mkfifo(meta)
    with pytest.raises(OSError, match="regular file"):
        store.threads.get("t")
    meta.unlink()
    meta.write_bytes(data)


def test_links_in_place_of_files_are_not_followed(store: Store, tmp_path: Path):
    thread = store.threads.create("t")
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", thread.messages.path)
    with pytest.raises(OSError, match="symbolic links"):
        thread.messages.append("user", "x")
    with pytest.raises(OSError, match="symbolic links"):
        thread.messages.branch()
    assert (tmp_path / "secret").read_text() == "secret"
    os.unlink(thread.messages.path)
