"""Between the write of one process and its sync, which is outside the lock, another one does something; then the power goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from crash_harness import Desk, View, disks, no_sync, view
from crash_scenes import conversation, spent, thread

from fsstore import LockTimeoutError, Store, ThreadNotFoundError
from fsstore.disk import fs
from fsstore.testing.crash_states import power_cuts
from fsstore.testing.trace import Recorder


def append(store: Store) -> None:
    store.thread("t").messages.append("user", "by the other")


def delete(store: Store) -> None:
    store.thread("t").delete()


def create_again(store: Store) -> None:
    delete(store)
    store.threads.create("t")
    append(store)


def archive(store: Store) -> None:
    store.thread("t").archive()
    append(store)


def rewrite(store: Store) -> None:
    """As a writer does after another one's sync failed: the same bytes in a new file."""
    fs.close(fs.open_lock(store.thread("t").messages._log._taint))
    append(store)


def put_back(store: Store) -> None:
    put_back_older(store.thread("t").messages.path)


def put_back_older(path: str) -> None:
    """As rsync or git would: an older version in the log's place, not synced."""
    with open(path, "rb") as log:
        older = log.read().splitlines(keepends=True)[:-1]
    fd = fs.open_fd(f"{path}.other", os.O_WRONLY | os.O_CREAT, 0o600)
    fs.write(fd, b"".join(older))
    fs.close(fd)
    fs.rename(f"{path}.other", path)


OTHERS = (append, delete, create_again, archive, rewrite, put_back)


def spend(store: Store) -> None:
    store.thread("t").goal.accrue(tokens=100)


def change_goal(store: Store) -> None:
    store.thread("t").goal.update(objective="another", token_budget=None)


def rewrite_ledger(store: Store) -> None:
    fs.close(fs.open_lock(store.thread("t").goal.usage._log._log._taint))
    spend(store)


def put_back_ledger(store: Store) -> None:
    put_back_older(store.thread("t").goal.usage.path)


OTHERS_AT_A_GOAL = (spend, change_goal, rewrite_ledger, put_back_ledger, append, archive)


def append_first(store: Store) -> bool:
    try:
        store.thread("t").messages.append("user", "by the first")
    except ThreadNotFoundError:
        return False  # as the deletion came first
    return True


def said(root: Path, text: str) -> int:
    """How often a text stands in the logs of messages, those in the trash too."""
    return sum(log.read_bytes().count(text.encode()) for log in root.rglob("messages.jsonl"))


def spend_first(store: Store) -> bool:
    return store.thread("t").goal.accrue(tokens=1_000) is not None


@dataclass
class Played:
    recorder: Recorder
    before: View
    after: View
    acknowledged: bool
    is_written: bool
    was_interrupted: bool


def play(
    world: Path,
    prepare: Callable[[Desk], object],
    other: Callable[[Store], None],
    durability: str,
    at: int,
    act: Callable[[Store], bool] = append_first,
) -> Played:
    """Act; before the `at`-th sync of it the other one acts, where the first one holds no lock just then."""
    world.mkdir()
    root = world / "store"
    prepare(Desk(root))
    before = view(root)
    first, second = Store.open(root), Store.open(root, durability=durability, lock_timeout=0.0)
    syncs, was_interrupted = 0, False

    def interrupted(real: Callable[..., None]) -> Callable[..., None]:
        def call(what: object) -> None:
            nonlocal syncs, was_interrupted
            syncs += 1
            if syncs == at:
                with suppress(LockTimeoutError):
                    other(second)
                    was_interrupted = True
            real(what)

        return call

    with Recorder(world) as recorder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fs, "sync", interrupted(fs.sync))
        patch.setattr(fs, "sync_directory", interrupted(fs.sync_directory))
        acknowledged = act(first)
    after, is_written = view(root), said(root, "by the first") > 0
    shutil.rmtree(world)
    return Played(recorder, before, after, acknowledged, is_written, was_interrupted)


def count(seen: View, text: str) -> int:
    return sum(message.content == text for message in seen["threads"].get("t", {"messages": []})["messages"])


@pytest.mark.parametrize("durability", ["full", "process"])
@pytest.mark.parametrize("prepare", [thread, conversation])
@pytest.mark.parametrize("other", OTHERS)
def test_what_another_does_before_the_sync_takes_nothing_that_is_acknowledged(
    other: Callable[[Store], None], prepare: Callable[[Desk], object], durability: str, tmp_path: Path, seed: int
):
    interrupted = 0
    for at in range(1, 6):
        played = play(tmp_path / "world", prepare, other, durability, at)
        interrupted += played.was_interrupted
        assert played.acknowledged == played.is_written
        if other not in (delete, create_again):
            assert count(played.after, "by the first") == 1
        calls = played.recorder.calls
        with no_sync():
            for disk in disks(power_cuts(played.recorder.before, calls, start=len(calls), seed=seed)):
                disk.image.write(str(tmp_path / "after"))
                seen, written = view(tmp_path / "after" / "store"), said(tmp_path / "after", "by the first")
                shutil.rmtree(tmp_path / "after")
                what = (at, disk.moments[0][1])
                if played.acknowledged:
                    assert written >= 1, what  # a deletion that came after it took it along
                    assert count(seen, "by the first") == count(played.after, "by the first"), what
                if durability == "full" and played.was_interrupted:
                    assert count(seen, "by the other") == count(played.after, "by the other"), what
                if other in (append, archive, rewrite, put_back):
                    old = played.before["threads"]["t"]["messages"]
                    assert seen["threads"]["t"]["messages"][: len(old)] == old, what
                elif played.was_interrupted and durability == "full":
                    assert seen["deleted"] == ["t"], what
    assert interrupted >= 1


@pytest.mark.parametrize("durability", ["full", "process"])
@pytest.mark.parametrize("other", OTHERS_AT_A_GOAL)
def test_what_another_does_before_the_sync_takes_nothing_that_was_spent(
    other: Callable[[Store], None], durability: str, tmp_path: Path, seed: int
):
    interrupted = 0
    for at in range(1, 9):
        played = play(tmp_path / "world", spent, other, durability, at, spend_first)
        interrupted += played.was_interrupted
        before, after = (view["threads"]["t"]["goal"].tokens_used for view in (played.before, played.after))
        assert played.acknowledged
        assert (after - before) // 1_000 == 1
        calls = played.recorder.calls
        with no_sync():
            for disk in disks(power_cuts(played.recorder.before, calls, start=len(calls), seed=seed)):
                disk.image.write(str(tmp_path / "after"))
                seen = view(tmp_path / "after" / "store")["threads"]["t"]["goal"].tokens_used
                shutil.rmtree(tmp_path / "after")
                assert seen == after or (durability == "process" and seen == before + 1_000), (at, disk.moments[0][1])
    assert interrupted >= 1
