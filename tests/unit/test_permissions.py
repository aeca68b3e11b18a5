"""Whose the files are: nobody else's, whatever the umask; and nothing is written where a planted link leads."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import everything
import faults
import pytest

from fsstore import DynamicToolRecord, JobStateRecord, RecipeSnapshot, Store, StoreError, SyncFailedError, layout
from fsstore.disk import fs, machine

NOBODY = 65534
HERE = Path(__file__).parent


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that another user can reach."""
    path = Path(tempfile.mkdtemp(prefix="fsstore-permissions-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def loose(root: Path) -> dict[str, str]:
    """Everything below a directory that is not just its owner's."""
    found = {}
    for path in (root, *root.rglob("*")):
        mode = path.lstat().st_mode
        if (stat.S_IFMT(mode), stat.S_IMODE(mode)) not in ((stat.S_IFDIR, 0o700), (stat.S_IFREG, 0o600)):
            found[str(path.relative_to(root))] = oct(mode)
    return found


@pytest.mark.damaged
@pytest.mark.parametrize("uid", [0, NOBODY], ids=["this-user", "another-user"])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_every_file_is_0600_and_every_directory_0700_whatever_the_umask(place: Path, umask: int, uid: int):
    if uid and os.getuid():
        pytest.skip("only root can become another user")
    if uid:
        os.chown(place, uid, uid)
    child = [sys.executable, HERE / "everything.py", place, oct(umask)[2:], str(uid)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    subprocess.run(child, check=True, env=environment, capture_output=True, text=True)
    store = place / "store"
    assert len(list(store.rglob("*"))) > 60
    kinds = {path.parent.name for path in store.rglob("*")} & {"locks", "cache", "tainted", "quarantine", "recipes", "trash"}
    assert len(kinds) == 6
    assert loose(store) == {}


def test_temporary_files_are_the_owners_from_the_first(root: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    real = fs.write

    def write(fd: int, data: bytes) -> int:
        made.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return real(fd, data)

    monkeypatch.setattr(fs, "write", write)
    before = os.umask(0)
    try:
        everything.fill(str(root))
    finally:
        os.umask(before)
    assert set(made) == {0o600}
    shutil.rmtree(root)  # what fill left damaged was meant


def test_a_directory_that_a_dead_process_left_without_rights_is_mended(root: Path):
    (root / ".fsstore").mkdir(parents=True)
    (root / ".fsstore/locks").mkdir()
    (root / ".fsstore/locks").chmod(0)
    Store.open(root).threads.create("t")
    assert stat.S_IMODE((root / ".fsstore/locks").stat().st_mode) == 0o700


def test_threads_that_make_the_same_directories_at_once_all_find_them_open(tmp_path: Path):
    before = os.umask(0o777)
    failed: list[BaseException] = []

    def make() -> None:
        try:
            fs.make_directories(str(tmp_path / "a/b/c"))
            fs.close(fs.open_lock(str(tmp_path / "a/b/c/lock")))
        except BaseException as error:
            failed.append(error)

    try:
        for _ in range(50):
            workers = [threading.Thread(target=make) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert loose(tmp_path / "a") == {}
            shutil.rmtree(tmp_path / "a")
    finally:
        os.umask(before)
    assert failed == []


# Links

INSIDE = [
    "threads",
    "threads/t",
    "threads/t/meta.json",
    "threads/t/messages.jsonl",
    "threads/t/state.json",
    "threads/t/goal.json",
    "threads/t/usage.jsonl",
    "threads/t/tools.json",
    "threads/t/checkpoints",
    "threads/t/checkpoints/c.json",
    "threads/t/runs",
    "threads/t/runs/r",
    "threads/t/runs/r/status.json",
    "threads/t/runs/r/steps",
    "threads/t/runs/r/steps/s.json",
    "threads/data/session_metadata.json",
    "threads/data/session_content.jsonl",
    "threads/data/checkpoint.json",
    "jobs",
    "jobs/j.json",
    "recipes",
    "workflows",
    "workflows/v",
    "workflows/v/run.json",
    "workflows/v/branches",
    "workflows/v/branches/b.json",
    "session_index.jsonl",
    "prompt_history.jsonl",
    ".gitignore",
    ".fsstore",
    ".fsstore/locks",
    ".fsstore/tmp",
    ".fsstore/trash",
    ".fsstore/cache",
    ".fsstore/cache/t.stamp",
    ".fsstore/tainted",
    ".fsstore/tainted/threads,t,messages.jsonl",
    ".fsstore/quarantine",
    ".fsstore/locks/jobs",
    ".fsstore/locks/session_index",
]

WRITES: list[Callable[[Store], object]] = [
    lambda store: store.threads.create("new", name="new"),
    lambda store: store.threads.create("t"),
    lambda store: store.thread("t").messages.append("user", "x"),
    lambda store: store.thread("t").messages.compact(),
    lambda store: store.thread("t").rename("other"),
    lambda store: store.thread("t").state.set("idle"),
    lambda store: store.thread("t").goal.set("else"),
    lambda store: store.thread("t").goal.accrue(tokens=1),
    lambda store: store.thread("t").goal.delete(),
    lambda store: store.thread("t").tools.replace([DynamicToolRecord(position=0, name="other")]),
    lambda store: store.thread("t").checkpoints.save("c", 2),
    lambda store: store.thread("t").checkpoints.save("d", 2),
    lambda store: store.thread("t").checkpoints.delete("c"),
    lambda store: store.thread("t").runs.create("r2").steps.create("s"),
    lambda store: store.thread("t").runs.handle("r").update("in_progress"),
    lambda store: store.thread("t").runs.handle("r").steps.create("s2"),
    lambda store: store.thread("t").runs.handle("r").steps.update("s", "completed"),
    lambda store: store.jobs.put(JobStateRecord(id="j", name="x")),
    lambda store: store.jobs.put(JobStateRecord(id="j2")),
    lambda store: store.jobs.delete("j"),
    lambda store: store.prompts.record("other"),
    lambda store: store.recipes.put(RecipeSnapshot(name="other", system_prompt="x")),
    lambda store: store.workflows.create("deploy", id="u"),
    lambda store: store.workflows["v"].branches.create("b2", branch_id="x"),
    lambda store: store.workflows["v"].branches.delete("b"),
    lambda store: store.data.session("data", cwd="/").runs.set_tools(["bash"]),
    lambda store: store.data.session("data", cwd="/").recipe.set(RecipeSnapshot(name="other")),
    lambda store: store.data.session("data", cwd="/").checkpoint.clear(),
    *(lambda store: store.trash.restore(store.trash.recent()[-1].id),) * 6,
    lambda store: store.gc(),
    lambda store: store.threads.move("t", "moved"),
    lambda store: store.workflows.delete("v"),
    lambda store: store.threads.delete("t"),
    lambda store: store.trash.empty(),
]


def taken(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a directory: rights, time of change, bytes."""
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def write_all(store: Store) -> list[str]:
    errors = []
    for write in WRITES:
        try:
            write(store)
        except (OSError, StoreError, ValueError, IndexError) as error:
            errors.append(str(error))
    return errors


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("links") / "store"
    everything.fill(str(root))
    with Store.open(root) as store:
        store.workflows.create("deploy", id="v").branches.create("b", branch_id="x")
        store.thread("t").checkpoints.save("c", 1)
    shutil.copyfile(root / "fsstore.json", root / ".fsstore/tainted/threads,t,messages.jsonl")
    return root


@pytest.mark.damaged
@pytest.mark.parametrize("below", INSIDE)
@pytest.mark.parametrize("lead", ["to-a-copy", "to-nothing"])
@pytest.mark.parametrize("when", ["before-opening", "after-opening"])
def test_nothing_is_written_where_a_link_inside_the_store_leads(filled: Path, tmp_path: Path, below: str, lead: str, when: str):
    root, outside = tmp_path / "store", tmp_path / "outside"
    shutil.copytree(filled, root)
    outside.mkdir()
    store = Store.open(root, durability="process") if when == "after-opening" else None
    if store is not None:
        store.thread("t").messages.append("user", "held open")
    path, target = root / below, outside / "target"
    assert path.exists() or below.startswith(".fsstore/tainted/"), below
    if lead == "to-a-copy" and path.exists():
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(target)
    before = taken(outside)
    errors: list[str] = []
    try:
        store = store or Store.open(root, durability="process")
        errors = write_all(store)
        store.close()
    except OSError as error:
        errors = [str(error)]
    assert taken(outside) == before
    assert errors or not path.is_symlink(), "the link is there, and nobody was told"


def led_outside(root: Path, below: str) -> Path:
    """Move a directory out of the store, and put a link to it in its place; give where it is now."""
    outside = root.parent / "outside"
    (root / below).rename(outside)
    (root / below).symlink_to(outside)
    return outside


@pytest.mark.damaged
def test_a_mark_is_not_taken_away_through_a_link(store: Store, root: Path):
    store.threads.create("t").messages.append("user", "x")
    store.close()
    (root / ".fsstore/tainted/threads,t,messages.jsonl").touch()
    outside = led_outside(root, ".fsstore/tainted")
    before = taken(outside)
    with pytest.raises(OSError, match="a symbolic link stands in the way"):
        store.thread("t").messages.append("user", "y")
    assert taken(outside) == before


@pytest.mark.damaged
def test_no_signal_is_given_through_a_link(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    messages = store.threads.create("t").messages
    messages.append("user", "x")
    outside = led_outside(root, ".fsstore/locks")
    before = taken(outside)
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError):
        messages.append("user", "y")
    assert taken(outside) == before


@pytest.mark.damaged
def test_what_dead_writers_left_is_not_swept_through_a_link(store: Store, root: Path):
    (root / ".fsstore/tmp" / layout.temp_name("x", machine.host(), 1 << 30, machine.salt())).touch()
    outside = led_outside(root, ".fsstore/tmp")
    before = taken(outside)
    with pytest.raises(OSError, match="a symbolic link stands in the way"):
        store.gc()
    with pytest.raises(OSError, match="a symbolic link stands in the way"):
        Store.open(root)
    assert taken(outside) == before
