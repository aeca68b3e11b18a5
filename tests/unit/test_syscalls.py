"""The exact system calls of the operations that are done most, as `fs` makes them and as the kernel sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import faults
import processes
import pytest

from fsstore import Store
from fsstore.disk import fs, lock

#: Time after which a change of a directory is old enough to tell it from the next one (disk/log.py).
SETTLED = 0.1
#: More nanoseconds than any test takes.
NEVER = 1 << 62
#: Names that kernels and C libraries give to the same call.
GENERAL = {
    **dict.fromkeys(("fstat", "lstat", "newfstat", "newfstatat", "stat", "statx"), "stat"),
    **dict.fromkeys(("access", "faccessat", "faccessat2"), "access"),
    "openat": "open",
    "pread64": "pread",
    "_llseek": "lseek",
    "renameat": "rename",
    "renameat2": "rename",
}
#: What it takes to make an id and the name of a temporary file; some kernels give random bytes without a call.
OF_A_NAME = ("getrandom", "uname", "getpid")


def warm(root: str, durability: str) -> Store:
    store = Store.open(root, durability=durability)
    thread = store.threads.create("t")
    thread.messages.append("user", "one")
    time.sleep(SETTLED)
    thread.messages.append("user", "two")
    return store


def recently_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> faults.Calls:
    """Count the calls from here on, at a time when the lock file was looked at just now."""
    monkeypatch.setattr(lock, "LOOK", NEVER)
    return faults.Calls(monkeypatch)


def test_a_warm_append_with_process_durability_is_three_calls_besides_the_lock(root: Path, monkeypatch: pytest.MonkeyPatch):
    with warm(str(root), "process") as store:
        calls = recently_used(store, monkeypatch)
        store.thread("t").messages.append("user", "three")
    assert calls.names()[:3] == ["read_at", "write", "stat"]
    assert calls.names()[3:] == ["close"] * 3  # of the store


def test_a_warm_append_with_full_durability_adds_the_sync_and_its_confirmation(root: Path, monkeypatch: pytest.MonkeyPatch):
    with warm(str(root), "full") as store:
        calls = recently_used(store, monkeypatch)
        store.thread("t").messages.append("user", "three")
        assert calls.names() == ["read_at", "write", "stat", "sync", "exists", "stat"]


def test_a_batch_makes_as_many_calls_as_one_append(root: Path, monkeypatch: pytest.MonkeyPatch):
    with warm(str(root), "full") as store:
        calls = recently_used(store, monkeypatch)
        store.thread("t").messages.extend([{"role": "user", "content": number} for number in range(100)])
        assert calls.names() == ["read_at", "write", "stat", "sync", "exists", "stat"]


def stamped(root: str) -> None:
    """Leave a thread of a megabyte whose stamp tells that it ascends."""
    with Store.open(root, durability="process") as store:
        thread = store.threads.create("t")
        thread.messages.extend([{"role": "user", "content": f"{number} {'x' * 100}"} for number in range(5_000)])


def test_the_newest_messages_are_read_from_the_end_of_the_file(root: Path, monkeypatch: pytest.MonkeyPatch):
    stamped(str(root))
    with Store.open(root, read_only=True) as store:
        calls, read = faults.Calls(monkeypatch), []
        real = fs.read_at
        monkeypatch.setattr(fs, "read_at", lambda fd, count, at: read.append(count) or real(fd, count, at))
        newest = store.thread("t").messages.branch(50)
    assert [message.content.split()[0] for message in newest] == [str(number) for number in range(4_950, 5_000)]
    assert [name for name, _ in calls if name != "read_at"] == [
        "open_fd",
        "fstat",
        "fstat",
        "open_fd",
        "fstat",
        *["close"] * 2,
    ]
    assert sum(read) < 50_000  # of a megabyte


def test_reading_what_did_not_change_reads_no_message_again(root: Path, monkeypatch: pytest.MonkeyPatch):
    with warm(str(root), "process") as store:
        messages = store.thread("t").messages
        assert len(messages) == 2
        calls = faults.Calls(monkeypatch)
        assert len(messages) == 2
        assert calls.names() == ["open_fd", "fstat", "fstat", "read_at", "close"]


#: How a whole file is read.
READ = ["open_fd", "fstat", "fstat", "read_at", "close"]
#: How a file takes the place of another, before directories are synced.
REPLACE = ["open_fd", "write", "sync", "close", "rename"]
SYNC_DIRECTORY = ["sync_directory", "open_fd", "close"]


def worked(root: str, durability: str) -> Store:
    """Give a store in which a goal, a checkpoint and a message were just written and read."""
    store = warm(root, durability)
    thread = store.thread("t")
    thread.goal.set("Ship")
    thread.goal.accrue(tokens=1)
    thread.checkpoints.save("latest", 1)
    time.sleep(SETTLED)
    thread.goal.accrue(tokens=1)
    thread.goal.get()
    thread.checkpoints.save("latest", 2)
    thread.messages.branch()
    return store


@pytest.mark.parametrize("durability", ["process", "full"])
def test_a_warm_accrual_is_an_append_and_a_reading_of_the_goal(root: Path, monkeypatch: pytest.MonkeyPatch, durability: str):
    with worked(str(root), durability) as store:
        calls = recently_used(store, monkeypatch)
        assert store.thread("t").goal.accrue(tokens=1).tokens_used == 3
        appended = ["stat", "read_at", "fstat", "read_at", *READ, "write", "stat"]
        assert calls.names() == appended + ["sync", "exists", "stat"] * (durability == "full")


def test_a_warm_goal_is_read_with_nothing_of_its_ledger_but_the_end(root: Path, monkeypatch: pytest.MonkeyPatch):
    with worked(str(root), "process") as store:
        goal, calls = store.thread("t").goal, faults.Calls(monkeypatch)
        assert goal.get().tokens_used == 2
        assert calls.names() == [*READ, *READ, *READ]  # the goal, the ledger, and that the goal is still the same
        assert [Path(path).name for name, path in calls if name == "open_fd"] == ["goal.json", "usage.jsonl", "goal.json"]


@pytest.mark.parametrize("durability", ["process", "full"])
def test_a_warm_saving_replaces_one_file_and_looks_at_no_other(root: Path, monkeypatch: pytest.MonkeyPatch, durability: str):
    with worked(str(root), durability) as store:
        for number in range(5):
            store.thread("t").checkpoints.save(f"c{number}", number)
        calls = recently_used(store, monkeypatch)
        store.thread("t").checkpoints.save("latest", 3)
        directories = 4 if durability == "full" else 1  # up to the root
        found = ["stat", *READ, "stat"]  # the thread, the old state, whether anybody wrote another one since
        links = ["own_status"] * 5  # threads/t/checkpoints and .fsstore/tmp: none of them may be one
        assert calls.names() == [*found, *links, *REPLACE, *SYNC_DIRECTORY * directories, "stat"]


def test_the_newest_checkpoint_is_found_by_the_ends_of_all(root: Path, monkeypatch: pytest.MonkeyPatch):
    with worked(str(root), "process") as store:
        for number in range(5):
            store.thread("t").checkpoints.save(f"c{number}", number)
        calls = faults.Calls(monkeypatch)
        assert store.thread("t").checkpoints.newest().state == 4
        assert calls.names() == ["list_names", *READ * 6, *READ]


def test_a_warm_look_up_of_a_message_opens_one_log(root: Path, monkeypatch: pytest.MonkeyPatch):
    with worked(str(root), "process") as store:
        for number in range(5):
            store.threads.create(f"other-{number}").messages.append("user", "x")
        message = store.thread("t").messages.branch()[0]
        assert store.threads.with_message(message.id).id == "t"
        calls = faults.Calls(monkeypatch)
        assert store.threads.with_message(message.id).id == "t"
        assert calls.names() == ["open_fd", "fstat", "fstat", *["read_at"] * 3, "close"]  # the end, the id, the message
        assert calls[0][1].endswith("/threads/t/messages.jsonl")


def test_the_name_of_a_thread_is_one_file_read(root: Path, monkeypatch: pytest.MonkeyPatch):
    with worked(str(root), "process") as store:
        store.thread("t").rename("parser")
        calls = faults.Calls(monkeypatch)
        assert store.names.get("t") == "parser"
        assert calls.names() == READ


def test_a_handle_touches_no_disk(store: Store, monkeypatch: pytest.MonkeyPatch):
    calls = faults.Calls(monkeypatch)
    thread = store.thread("anything")
    assert thread.runs.handle("run").steps.directory.endswith("/threads/anything/runs/run/steps")
    assert thread.checkpoints.path("c").endswith("/threads/anything/checkpoints/c.json")
    assert thread.goal.usage.path.endswith("/threads/anything/usage.jsonl")
    assert thread.tools is not None
    assert store.workflows.handle("w").leaves is not None
    assert calls == []


def traced(root: str, durability: str, what: str) -> None:
    """Do one thing between two calls that strace shows."""
    store = warm(root, durability)
    messages = store.thread("t").messages
    save = partial(store.thread("t").checkpoints.save, "latest")
    items = [{"role": "user", "content": number} for number in range(100)]
    if what == "save":
        save("old")
    if what == "tail":
        messages.extend([{"role": "user", "content": "x" * 100}] * 5_000)
        store.close()
        messages = Store.open(root, read_only=True).thread("t").messages
    do = {
        "append": lambda: messages.append("user", "x"),
        "extend": lambda: messages.extend(items),
        "tail": lambda: messages.branch(50),
        "save": lambda: save("new"),
    }
    lock.LOOK = NEVER
    for mark in ("begin", "end"):
        fs.exists(f"/mark-{mark}", 0)
        if mark == "begin":
            do[what]()


def seen_by_the_kernel(root: Path, durability: str, what: str) -> list[str]:
    """Give the names of the system calls of one operation, in order."""
    strace, output = shutil.which("strace"), root.parent / "strace"
    if not strace:
        pytest.skip("no strace here")
    if subprocess.run([strace, "-o", str(output), "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    command = (strace, "-f", "-e", "trace=!mmap,munmap,brk,mprotect,madvise,futex,rt_sigaction", "-o", str(output))
    processes.run(traced, str(root), durability, what, under=command)
    text = output.read_text()
    between = text[text.index("/mark-begin") : text.index("/mark-end")].splitlines()[1:-1]
    calls = re.findall(r"^\d+ +(\w+)\(", "\n".join(between), re.MULTILINE)
    return [GENERAL.get(call, call) for call in calls]


@pytest.mark.parametrize("what", ["append", "extend"])
@pytest.mark.parametrize(
    ("durability", "expected"),
    [
        ("process", "flock pread write stat flock"),
        ("full", "flock pread write stat flock fdatasync access stat"),
    ],
)
def test_the_kernel_sees_no_other_calls_of_a_warm_append(root: Path, durability: str, expected: str, what: str):
    assert " ".join(seen_by_the_kernel(root, durability, what)) == expected


@pytest.mark.parametrize(("durability", "directories"), [("process", 1), ("full", 4)])
def test_the_kernel_sees_no_other_calls_of_a_warm_saving(root: Path, durability: str, directories: int):
    seen = [name for name in seen_by_the_kernel(root, durability, "save") if name not in OF_A_NAME]
    links = "stat stat stat stat stat"  # threads/t/checkpoints and .fsstore/tmp: none of them may be one
    replaced = "open fchmod write fdatasync close rename" + " open fsync close" * directories
    assert " ".join(seen) == f"flock stat open stat stat pread close stat {links} {replaced} stat flock"


def test_the_kernel_sees_no_other_calls_of_a_tail_read(root: Path):
    seen = seen_by_the_kernel(root, "process", "tail")
    assert [name for name in seen if name not in ("pread", "close")] == ["open", "stat", "stat", "open", "stat"]
    assert seen.count("pread") <= 5
