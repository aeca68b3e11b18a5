"""Live writers beside programs that know nothing of locks: cat, rsync and git."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import processes
import pytest
import race_workers as work

from fsstore import Store, clock

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
    acknowledged = [id for writer in writers for _, id in writer.result()]
    last = messages.append("user", "after all of them").record_id
    ids = [record["id"] for record in work.raw_records(messages.path)]
    assert sorted(ids) == sorted([*strangers, *acknowledged, last])
    assert messages.leaf().record_id == last
    assert {message.record_id for message in messages} == set(ids)
    assert {problem.kind for problem in store.check()} <= {"unsorted", "stale-cache"}


@pytest.fixture
def replaced(store: Store, root: Path, tmp_path: Path, durability: str) -> Callable[[Callable[[int], set[str] | None]], None]:
    """Run a stranger that replaces the log of thread `t`, again and again, under live writers; then hold all to account."""

    def play(replace: Callable[[int], set[str] | None]) -> None:
        stop = tmp_path / "stop"
        messages = store.thread("t").messages
        writers = [processes.start(work.appends_until, root, "t", me, durability, stop) for me in range(WRITERS)]
        kept: set[str] = set()
        since = time.monotonic_ns()
        try:
            for writer in writers:
                writer.hear()
            for number in range(5):
                time.sleep(0.05)
                there = replace(number)
                if there is not None:
                    kept, since = there, time.monotonic_ns()
            time.sleep(0.05)
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
        assert {problem.kind for problem in store.check()} <= {"unsorted", "stale-cache", "missing-parent"}

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


@needs("git")
@pytest.mark.damaged  # as above
@pytest.mark.parametrize("durability", ["process", "full"])
def test_git_may_check_out_another_state_under_live_writers(store: Store, root: Path, replaced):
    def git(*words: str) -> bool:
        return run("git", "-c", "user.name=n", "-c", "user.email=e@example.org", *words, cwd=root).returncode == 0

    messages = store.threads.create("t").messages
    states: dict[str, set[str]] = {}
    assert git("init", "-q")
    for state in ("one", "two"):
        messages.extend([{"role": "user", "content": f"{state} {number}"} for number in range(20)])
        states[state] = {message.record_id for message in messages}
        assert git("add", "-A")
        assert git("commit", "-q", "-m", state)
        assert git("branch", state)

    def replace(number: int) -> set[str] | None:
        state = "one" if number % 2 else "two"
        # git deletes the file and then insists on making it: where a writer came between, it gives up.
        return states[state] if git("checkout", "-q", "-f", state) else None

    replaced(replace)
