"""Live writers beside programs that know nothing of locks: cat, rsync and git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import processes
import pytest
import race_workers as work

from fsstore import Store, clock
from fsstore.disk import fs

WRITERS = 4


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, timeout=60)


@pytest.mark.damaged  # the strangers' ids do not ascend among ours until the next append sorts them
@pytest.mark.parametrize("durability", ["process", "full"])
def test_lines_appended_without_the_lock_are_kept_beside_ours(
    store: Store, root: Path, tmp_path: Path, durability: str, campaign: bool
):
    messages = store.threads.create("t").messages
    stop, count = tmp_path / "stop", 500 if campaign else 60
    strangers = []
    for number in range(count):
        record = {"id": clock.new_id(), "parent_id": None, "role": "user", "content": f"stranger {number} " + "y" * 20_000}
        strangers.append(record["id"])
        (tmp_path / f"line {number}").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    writers = [processes.start(work.appends_until, root, "t", me, durability, stop) for me in range(WRITERS)]
    try:
        for writer in writers:
            writer.hear()
        for number in range(count):
            done = run("sh", "-c", 'cat "$1" >> "$2"', "sh", tmp_path / f"line {number}", messages.path)
            assert done.returncode == 0, done.stderr
    finally:
        stop.touch()
    acknowledged = {id for writer in writers for _, id in writer.result()}
    last = messages.append("user", "after all of them")
    found = [message.record_id for message in messages]
    assert len(found) == len(set(found))
    assert acknowledged <= set(found), "a stranger hides nothing of ours"
    # A stranger that opened the log just before it was sorted to a new file writes to the old one: nobody can see that.
    assert set(found) - acknowledged - {last.record_id} <= set(strangers)
    assert set(found) & set(strangers)
    assert messages.leaf() == last
    # A stranger's line seen half written is sealed, so a `~` may stand alone behind it; ours are whole.
    lines = work.raw_lines(messages.path)
    assert all(b"y" * 10 in line or line == b"~" or json.loads(line)["id"] in found for line in lines)
    assert {problem.kind for problem in store.check()} <= {
        "unsorted",
        "stale-cache",
        "not-json",
        "torn",
        "glued",
        "missing-parent",
    }


@pytest.mark.parametrize("durability", ["process", "full"])
def test_a_line_that_comes_while_the_log_is_sorted_is_kept(root: Path, durability: str, monkeypatch: pytest.MonkeyPatch):
    store = Store.open(root, durability=durability)
    messages = store.threads.create("t").messages
    old, older = clock.new_id(), clock.new_id()
    first = messages.append("user", "first").record_id

    def line(id: str) -> bytes:
        return json.dumps({"id": id, "parent_id": None, "role": "user", "content": "a stranger's"}).encode() + b"\n"

    def rename(source: str, target: str) -> None:
        if target == messages.path and late:
            append_bytes(target, line(late.pop()))
        os.rename(source, target)

    late = [older]
    append_bytes(messages.path, line(old))
    monkeypatch.setattr(fs, "rename", rename)
    second = messages.append("user", "second").record_id
    monkeypatch.undo()
    assert {message.record_id for message in messages} == {old, older, first, second}
    third = messages.append("user", "third").record_id
    assert work.ids_on_disk(messages.path) == sorted([old, older, first, second, third])


@pytest.mark.parametrize("durability", ["process", "full"])
def test_a_file_that_is_written_over_while_the_log_is_sorted_is_kept(
    root: Path, durability: str, monkeypatch: pytest.MonkeyPatch
):
    store = Store.open(root, durability=durability)
    messages = store.threads.create("t").messages
    old, *theirs = (clock.new_id() for _ in range(4))
    messages.append("user", "first")

    def line(id: str) -> bytes:
        return json.dumps({"id": id, "parent_id": None, "role": "user", "content": "a stranger's"}).encode() + b"\n"

    def rename(source: str, target: str) -> None:
        if target == messages.path and theirs_in_place:
            with open(target, "r+b") as file:
                file.write(theirs_in_place.pop())
        os.rename(source, target)

    theirs_in_place = [b"".join(map(line, theirs))]
    append_bytes(messages.path, line(old))
    monkeypatch.setattr(fs, "rename", rename)
    ours = messages.append("user", "second").record_id
    monkeypatch.undo()
    assert {*theirs, ours} <= {message.record_id for message in messages}
    messages.append("user", "third")
    assert {*theirs, ours} <= set(work.ids_on_disk(messages.path))
    assert list(store.check()) == []


@pytest.mark.parametrize("second", ["b", "longer than the first"])
@pytest.mark.damaged
def test_a_log_replaced_under_the_same_inode_number_is_read_anew(store: Store, second: str):
    messages = store.threads.create("t").messages
    texts = ["a", second, "x" * 5000]
    ids = [messages.append("user", text).id for text in texts]
    for _ in range(2):
        assert [message.content for message in messages] == texts
        assert len(messages) == 3  # builds an exact index
    inode = os.stat(messages.path).st_ino
    store.close()  # no descriptor keeps the inode from being given away again
    one, two, rest = Path(messages.path).read_bytes().split(b"\n", 2)
    for _ in range(20):
        aside = Path(f"{store.root}/aside")
        aside.write_bytes(b"\n".join([two, one, rest]))
        aside.replace(messages.path)
        if os.stat(messages.path).st_ino == inode:
            break
    else:
        pytest.skip("this file system does not use inode numbers again at once")
    assert [message.content for message in messages] == texts
    assert [messages[id].content for id in ids] == texts
    assert [message.content for message in messages.branch()] == texts
    messages.append("user", "sorts it")
    assert [message.content for message in messages] == [*texts, "sorts it"]


def append_bytes(path: str, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


@pytest.fixture
def replaced(store: Store, root: Path, tmp_path: Path, durability: str) -> Callable[..., None]:
    """Run a stranger that replaces the log of thread `t`, again and again, under live writers; then hold all to account."""

    def play(replace: Callable[[int], set[str] | None], *more: str) -> None:
        allowed = {"unsorted", "stale-cache", "missing-parent", *more}
        stop = tmp_path / "stop"
        messages = store.thread("t").messages
        writers = [processes.start(work.appends_until, root, "t", me, durability, stop) for me in range(WRITERS)]
        kept: set[str] = set()
        since = time.monotonic_ns()
        try:
            for writer in writers:
                writer.hear()
            for number in range(50):
                time.sleep(0.05)
                there = replace(number)
                kept, since = there or set(), time.monotonic_ns()
                if kept and number >= 4:
                    break
            seen = len(messages)
            while len(messages) <= seen + WRITERS:  # then one of them wrote twice
                time.sleep(0.001)
        finally:
            stop.touch()
        acknowledged = [one for writer in writers for one in writer.result()]
        after = {id for began, id in acknowledged if began > since}
        assert kept
        assert after
        last = messages.append("user", "after all of them")
        found = [message.record_id for message in messages]
        assert len(found) == len(set(found))
        assert kept <= set(found), "what the new file holds is kept"
        assert after <= set(found), "what was acknowledged after it came is there"
        assert messages.leaf() == last
        assert after <= {message.record_id for message in messages.branch()}
        assert {problem.kind for problem in store.check()} <= allowed

    return play


@needs("rsync")
@pytest.mark.damaged  # an append that was under way may hang below a message that rsync took away
@pytest.mark.parametrize("durability", ["process", "full"])
def test_rsync_may_replace_a_log_under_live_writers(store: Store, root: Path, tmp_path: Path, replaced):
    store.threads.create("t").messages.extend([{"role": "user", "content": f"first {number}"} for number in range(20)])
    assert run("rsync", "-a", f"{root}/", f"{tmp_path}/copy/").returncode == 0
    copy = Store.open(tmp_path / "copy").thread("t").messages

    def replace(number: int) -> set[str]:
        copy.append("user", f"in the copy {number}" + "z" * 1000)
        done = run("rsync", "-a", f"{tmp_path}/copy/threads/", f"{root}/threads/")
        assert done.returncode == 0, done.stderr
        return {message.record_id for message in copy}

    replaced(replace)


#: What the rest of a line looks like when git wrote over its beginning.
OVERWRITTEN = ("torn", "glued", "not-json", "no-object", "utf8")


@needs("git")
@pytest.mark.damaged  # as above
@pytest.mark.parametrize("durability", ["process", "full"])
def test_git_may_check_out_another_state_under_live_writers(store: Store, root: Path, replaced):
    def git(*words: str) -> bool:
        return run("git", "-c", "user.name=n", "-c", "user.email=e@example.org", *words, cwd=root).returncode == 0

    messages = store.threads.create("t").messages
    assert git("init", "-q")
    for state in ("one", "two"):
        messages.extend([{"role": "user", "content": f"{state} {number}"} for number in range(20)])
        assert git("add", "-A")
        assert git("commit", "-q", "-m", state)
        assert git("branch", state)

    def replace(number: int) -> set[str] | None:
        # git deletes the file, makes it, and writes it at its beginning: a writer may come between each of these, and then
        # git gives up, the old file deleted, or writes over him. What stands there once it is done must stay.
        done = git("checkout", "-q", "-f", "one" if number % 2 else "two")
        return {message.record_id for message in Store.open(root, read_only=True).thread("t").messages} if done else None

    replaced(replace, *OVERWRITTEN)
