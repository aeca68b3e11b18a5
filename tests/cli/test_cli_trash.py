"""trash, gc and du."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from command import Result, everything, fsstore, terminal

from fsstore import JobStateRecord, Store, layout
from fsstore.disk import machine


@pytest.fixture
def deleted(store: Store) -> Store:
    """A store of which a thread, one of its checkpoints, and a job were deleted."""
    thread = store.threads.create("sky", name="The sky\x1b[2J")
    thread.messages.append("user", "Why is it blue?")
    thread.checkpoints.save("a", 1)
    thread.checkpoints.delete("a")
    store.jobs.put(JobStateRecord(id="j", name="build"))
    store.jobs.delete("j")
    store.threads.delete("sky")
    return store


def ids(store: Store) -> list[str]:
    return [entry.id for entry in store.trash]


def test_ls_shows_the_last_deletion_first_and_changes_nothing(deleted: Store) -> None:
    before = everything(deleted.root)
    shown = fsstore("trash", "ls", "--root", deleted.root)
    assert shown.code == 0
    assert shown.out.splitlines()[0].split() == ["DELETION", "DELETED", "KIND", "BYTES", "WHAT"]
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == ids(deleted)
    assert "sky (The sky\\x1b[2J)" in shown.out
    assert "a of thread sky" in shown.out
    rows = fsstore("trash", "ls", "--json", "-n", "2", "--root", deleted.root).lines()
    assert rows == [asdict(entry) for entry in deleted.trash.recent(2)]
    assert everything(deleted.root) == before


def test_an_empty_trash_is_told(store: Store) -> None:
    assert fsstore("trash", "ls", "--root", store.root) == Result(0, f"The trash of {store.root} is empty.\n", "")
    assert fsstore("trash", "empty", "--root", store.root) == Result(0, "Nothing is in the trash.\n", "")
    assert fsstore("trash", "ls", "--json", "--root", store.root) == Result(0, "", "")


def test_restore_brings_things_back_in_the_order_given(deleted: Store) -> None:
    thread, job, checkpoint = ids(deleted)
    assert "thread sky not found" in fsstore("trash", "restore", checkpoint, "--root", deleted.root).error(3)
    done = fsstore("trash", "restore", thread, checkpoint, "--root", deleted.root)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"thread sky (The sky\\x1b[2J) is back: {deleted.root}/threads/sky",
        f"checkpoint a of thread sky is back: {deleted.root}/threads/sky/checkpoints/a.json",
    ]
    assert deleted.thread("sky").checkpoints.get("a").state == 1
    (row,) = fsstore("trash", "restore", "--json", job, "--root", deleted.root).lines()
    assert (row["kind"], row["item_id"]) == ("job", "j")
    assert "deletion nothing not found" in fsstore("trash", "restore", "nothing", "--root", deleted.root).error(3)


def test_restore_refuses_where_something_was_begun_since(deleted: Store) -> None:
    deleted.threads.create("sky")
    said = fsstore("trash", "restore", ids(deleted)[0], "--root", deleted.root).error(1)
    assert said == "thread sky already exists: delete it, or give it another id, and restore again"


def test_empty_without_anybody_to_ask_needs_yes(deleted: Store) -> None:
    before = ids(deleted)
    said = fsstore("trash", "empty", "--root", deleted.root).error(2)
    assert said.startswith("3 deletions with ")
    assert said.endswith("would be gone for good: say --yes, since nobody can be asked here")
    assert ids(deleted) == before
    rows = fsstore("trash", "empty", "--yes", "--json", "--root", deleted.root).lines()
    assert [row["id"] for row in rows] == before
    assert ids(deleted) == []


@pytest.mark.parametrize(("age", "left"), [("1h", 3), ("2d", 3), ("0s", 0), ("10m", 3), ("1w", 3)])
def test_empty_takes_only_what_is_old_enough(deleted: Store, age: str, left: int) -> None:
    done = fsstore("trash", "empty", "--older-than", age, "--yes", "--root", deleted.root)
    assert done.code == 0
    assert len(ids(deleted)) == left
    assert ("gone for good" in done.out) == (left == 0)


@pytest.mark.parametrize("age", ["", "3", "x", "-1d", "1y", "1.5h", "\u0661d"])
def test_no_age_is_refused(deleted: Store, age: str) -> None:
    assert "no age: say 30d, 12h" in fsstore("trash", "empty", "--older-than", age, "--yes", "--root", deleted.root).error(2)
    assert len(ids(deleted)) == 3


def test_in_a_terminal_empty_asks(deleted: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty as real

    def answered(answer: bytes) -> Result:
        def openpty() -> tuple[int, int]:
            ours, theirs = pair()
            os.write(ours, answer)
            return ours, theirs

        pair = real.openpty
        with monkeypatch.context() as patch:
            patch.setattr("command.pty.openpty", openpty)
            return terminal("trash", "empty", "--root", deleted.root, columns=200)

    no = answered(b"n\n")
    assert "Delete 3 deletions with" in no.out
    assert "Nothing was deleted for good." in no.out
    assert len(ids(deleted)) == 3
    yes = answered(b"y\n")
    assert yes.code == 0
    assert "3 deletions with" in yes.out
    assert ids(deleted) == []


def test_rm_points_to_the_trash(store: Store) -> None:
    store.threads.create("t")
    done = fsstore("rm", "t", "--root", store.root)
    assert done.out.splitlines()[-1] == "Nothing is freed until `fsstore trash empty`; `fsstore trash restore` brings it back."


def test_gc_says_what_it_frees_the_files_of_dead_writers_included(store: Store) -> None:
    left = Path(store.root, layout.TMP, layout.temp_name("x", machine.host(), 0x7FFFFFFF, "ab" * 8))
    left.write_bytes(b"123")
    stale = Path(store.root, layout.CACHE, "t.stamp")
    stale.touch()
    before = everything(store.root)
    planned = fsstore("gc", "--dry-run", "--root", store.root)
    assert planned.out.splitlines()[-1] == "2 entries with 3 bytes would be freed."
    assert everything(store.root) == before
    rows = fsstore("gc", "--json", "--root", store.root).lines()
    assert [row["path"] for row in rows] == [str(path.relative_to(store.root)) for path in (left, stale)]
    assert not left.exists()
    assert not stale.exists()
    assert fsstore("gc", "--root", store.root) == Result(0, "Nothing is to be freed.\n", "")


def test_du_shows_the_biggest_first_and_changes_nothing(store: Store) -> None:
    store.threads.create("small")
    store.threads.create("big", name="Big one").messages.append("user", "x" * 100_000)
    before = everything(store.root)
    shown = fsstore("du", "--root", store.root)
    lines = shown.out.splitlines()
    assert lines[0].split() == ["WHAT", "ON", "DISK", "BYTES", "OF", "IT", "MESSAGES", "FILES", "NAME"]
    assert lines[1].split()[0] == "big"
    assert lines[1].endswith("Big one")
    sizes = store.sizes()
    assert lines[-1].startswith(f"All of {store.root}: {sum(one.disk for one in sizes):,} bytes on disk, ")
    assert fsstore("du", "--json", "-n", "2", "--root", store.root).lines() == [asdict(one) for one in sizes[:2]]
    assert fsstore("du", "-n", "0", "--root", store.root).out.splitlines()[1:] == lines[-1:]
    assert everything(store.root) == before
