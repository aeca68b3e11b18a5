"""gc and sizes: what serves nobody, and what takes the space."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsstore import Freed, JobStateRecord, ReadOnlyError, Store, clock, layout
from fsstore.disk import fs, machine

#: No process has this id.
DEAD = 0x7FFFFFFF


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def temp(root: Path, host: str, pid: int, *, age: int = 0) -> str:
    path = root / ".fsstore/tmp" / layout.temp_name("x.json", host, pid, "ab" * 8)
    path.write_bytes(b"12345")
    return str(path.relative_to(root))


def deletion(root: Path, *, age: int) -> Path:
    """A directory for what a deletion takes, made so many seconds ago."""
    new = clock.new_id()
    stamp = f"{int(new[:8] + new[9:13], 16) - age * 1000:012x}"
    return root / ".fsstore/trash" / f"{stamp[:8]}-{stamp[8:]}{new[13:]}"


@pytest.fixture
def littered(store: Store, root: Path) -> dict[str, str]:
    """What serves nobody, by its path, and why."""
    for id in ("t", "deleted", "gone"):
        store.threads.create(id).messages.extend([{"role": "user", "content": "x" * 1000}] * 100)
        (root / ".fsstore/tainted" / f"threads,{id},messages.jsonl").touch()
    store.threads.delete("gone")
    store.trash.empty()
    store.threads.delete("deleted")  # may come back: its mark stays
    store.threads.create("u").messages.append("user", "kept")
    store.close()
    (root / ".fsstore/cache/gone.stamp").write_bytes(b"123")
    empty = deletion(root, age=90_000)
    (empty / "threads/u/checkpoints").mkdir(parents=True)
    half = deletion(root, age=90_000) / "threads"
    half.mkdir(parents=True)
    (root / ".fsstore/trash/by hand").mkdir()
    below = [f".fsstore/trash/{empty.name}{rest}" for rest in ("/threads/u/checkpoints", "/threads/u", "/threads", "")]
    below += [f".fsstore/trash/{half.parent.name}{rest}" for rest in ("/threads", "")]
    return {
        temp(root, machine.host(), DEAD): "its writer is gone",
        ".fsstore/cache/gone.stamp": "it does not fit its log any more",
        ".fsstore/tainted/threads,gone,messages.jsonl": "its log is gone",
        **dict.fromkeys(below, "nothing is left in it"),
    }


def test_gc_frees_what_serves_nobody_and_says_why(store: Store, root: Path, littered: dict[str, str]):
    alive = temp(root, machine.host(), os.getpid())
    elsewhere = temp(root, "elsewhere", DEAD)
    before = files(root)
    planned = store.gc(dry_run=True)
    assert {one.path: one.reason for one in planned} == littered
    assert {one.path: one.size for one in planned if one.size} == {
        path: len(before[path]) for path in littered if before.get(path)
    }
    assert files(root) == before
    assert store.gc() == planned
    kept = {path: data for path, data in before.items() if path not in littered and "/locks/" not in path}
    assert {path: data for path, data in files(root).items() if "/locks/" not in path} == kept
    assert {alive, elsewhere} <= kept.keys()
    assert sorted(path.name for path in (root / ".fsstore/trash").iterdir())[-1] == "by hand"
    assert store.gc() == []
    (entry,) = store.trash
    store.trash.restore(entry.id)
    assert len(list(store.thread("deleted").messages)) == 100
    (root / alive).unlink()
    (root / elsewhere).unlink()


def test_files_of_other_machines_go_when_they_are_a_day_old(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    path, strange = temp(root, "elsewhere", 1), root / ".fsstore/tmp/strange"
    strange.mkdir()
    (strange / "file").write_bytes(b"123")
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 86_000)
    assert store.gc() == []
    monkeypatch.setattr(clock, "now", lambda: now + 86_500)
    why = "its writer is gone"
    assert store.gc() == [
        Freed(path=path, size=5, reason=why),
        Freed(path=".fsstore/tmp/strange", size=3, reason=why),
    ]
    assert not strange.exists()


def test_a_directory_into_which_a_deletion_moves_something_just_then_stays(store: Store, root: Path):
    store.threads.create("t")
    top = deletion(root, age=90_000)  # the next open finishes what a dead process noted
    place = Path(store._root.trash_place(f"{root}/threads/t", top.name))
    from fsstore.upkeep import gc, leftovers

    found = list(leftovers.empty_directories(str(root)))
    assert f"{top}/threads" in found
    fs.rename(f"{root}/threads/t", str(place))
    assert not any(gc._free(store._root, leftovers.empty_directories, path) for path in found)
    assert store.trash.recent()[0].item_id == "t"


def test_what_a_deletion_makes_for_what_it_takes_stays_for_a_day(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    place = deletion(root, age=0) / "jobs"
    place.mkdir(parents=True)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 86_000)
    assert store.gc() == []
    assert place.is_dir()
    monkeypatch.setattr(clock, "now", lambda: now + 86_500)
    assert [Path(root, one.path) for one in store.gc()] == [place, place.parent]


def test_a_read_only_store_only_says_what_would_go(store: Store, root: Path, littered: dict[str, str]):
    with Store.open(root, read_only=True) as reader:
        assert {one.path for one in reader.gc(dry_run=True)} == littered.keys()
        with pytest.raises(ReadOnlyError):
            reader.gc()
    store.gc()


# sizes


def test_sizes_tell_what_takes_the_space_the_biggest_first(store: Store, root: Path):
    store.threads.create("small", name="Small")
    store.threads.create("Ä/" * 200, name="Big").messages.append("user", "x" * 300_000)
    store.threads.create("gone").messages.append("user", "x" * 100_000)
    store.threads.delete("gone")
    store.jobs.put(JobStateRecord(id="j"))
    found = store.sizes()
    assert [(one.kind, one.id, one.name) for one in found[:2]] == [("thread", "Ä/" * 200, "Big"), ("trash", None, None)]
    assert [one.disk for one in found] == sorted((one.disk for one in found), reverse=True)
    every = files(root)
    assert sum(one.size for one in found) == sum(map(len, every.values()))
    assert sum(one.files for one in found) == len(every)
    blocks = sum(path.lstat().st_blocks for path in (root, *root.rglob("*"))) * 512
    assert sum(one.disk for one in found) == blocks
    big = found[0]
    assert big.messages == (root / big.path / "messages.jsonl").stat().st_size > 300_000
    assert big.size == sum(map(len, files(root / big.path).values())) > big.messages
    kinds = {one.kind: one for one in found}
    assert kinds["jobs"].size == len(every["jobs/j.json"])
    assert kinds["session_index"].size == len(every["session_index.jsonl"])
    assert kinds["trash"].messages == 0
    assert {"recipes", "workflows", "quarantine"}.isdisjoint(kinds)


def test_sizes_change_nothing_and_follow_no_link(store: Store, root: Path, tmp_path: Path):
    (tmp_path / "big").write_bytes(b"x" * 1_000_000)
    (root / ".fsstore/cache/link").symlink_to(tmp_path / "big")
    store.threads.create("t")
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    assert sum(one.size for one in store.sizes()) < 10_000
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    (root / ".fsstore/cache/link").unlink()
