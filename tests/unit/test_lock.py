from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import children
import faults
import processes
import pytest

from fsstore import LockTimeoutError, Store, layout
from fsstore.disk import fs, lock, machine
from fsstore.disk.lock import Locks


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(str(tmp_path), 0.05, 8)


def in_thread(call: Callable[[], object]) -> list[object]:
    """Give what a call returns, or the error it raises, in another thread."""
    answer: list[object] = []

    def catch() -> None:
        try:
            answer.append(call())
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    return answer


def is_free(directory: str, name: str) -> bool:
    """Say whether somebody else could take a lock now."""
    try:
        with Locks(directory, 0, 8)[name]:
            return True
    except LockTimeoutError:
        return False


def test_a_lock_keeps_other_descriptors_out_until_it_is_given_back(locks: Locks, tmp_path: Path):
    with locks["a"]:
        assert not is_free(str(tmp_path), "a")
        assert is_free(str(tmp_path), "b")
    assert is_free(str(tmp_path), "a")


def test_a_lock_file_stays_when_the_lock_is_given_back(locks: Locks, tmp_path: Path):
    with locks["a"]:
        inode = os.stat(tmp_path / "a").st_ino
    with locks["a"]:
        pass
    assert os.stat(tmp_path / "a").st_ino == inode
    assert os.stat(tmp_path / "a").st_mode & 0o777 == 0o600


def test_a_second_use_opens_no_file(locks: Locks, monkeypatch: pytest.MonkeyPatch):
    with locks["a"]:
        pass
    calls = faults.Calls(monkeypatch)
    with locks["a"]:
        pass
    assert calls.names() == ["fstat"]


def test_taking_a_lock_while_holding_one_is_an_error(locks: Locks, tmp_path: Path):
    with locks["a"]:
        with pytest.raises(RuntimeError, match="while holding another"):
            locks["b"].take()
        with pytest.raises(RuntimeError, match="while holding another"):
            locks["a"].take()
        with pytest.raises(RuntimeError, match="while holding another"), locks.together(("a", "b")):
            pass
        assert is_free(str(tmp_path), "b")
    with locks["b"]:
        assert is_free(str(tmp_path), "a")


def test_several_locks_are_taken_once_each_in_ascending_order(locks: Locks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    real = fs.open_lock
    monkeypatch.setattr(fs, "open_lock", lambda path: opened.append(os.path.basename(path)) or real(path))
    with locks.together(("c", "a", "b", "a")):
        assert [name for name in "abc" if is_free(str(tmp_path), name)] == []
        with pytest.raises(RuntimeError):
            locks["d"].take()
    assert [name for name in opened if name in "abc"][:3] == ["a", "b", "c"]
    assert [name for name in "abc" if not is_free(str(tmp_path), name)] == []


def test_when_one_of_several_is_not_free_the_others_are_given_back(locks: Locks, tmp_path: Path):
    other = Locks(str(tmp_path), 0, 8)
    with other["b"]:
        with pytest.raises(LockTimeoutError), locks.together(("a", "b", "c")):
            pass
        assert is_free(str(tmp_path), "a")
        assert is_free(str(tmp_path), "c")
    with locks["c"]:
        pass


def test_threads_of_one_process_exclude_each_other(locks: Locks):
    with locks["a"]:
        (error,) = in_thread(locks["a"].take)
    assert isinstance(error, LockTimeoutError)
    assert str(os.getpid()) in str(error)
    assert "thread" in str(error)
    assert in_thread(lambda: (locks["a"].take(), locks["a"].give())) == [(None, None)]


def test_two_threads_that_name_the_same_locks_in_other_orders_do_not_wait_for_each_other(tmp_path: Path):
    locks = Locks(str(tmp_path), 10, 8)
    turns = []

    def work(names: tuple[str, str]) -> None:
        for _ in range(300):
            with locks.together(names):
                turns.append(names)

    threads = [threading.Thread(target=work, args=(names,)) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 600


def test_a_timeout_names_the_process_that_holds_the_lock(store: Store, root: Path):
    store.threads.create("t")
    with processes.start(children.hold_lock, str(root), "t") as holder:
        pid = holder.hear()
        with Store.open(root, lock_timeout=0.05) as other, pytest.raises(LockTimeoutError) as raised:
            other.thread("t").messages.append("user", "waits")
    assert f"process {pid}" in str(raised.value)
    assert raised.value.holder.startswith(f"process {pid} (python")
    assert raised.value.seconds == 0.05
    assert len(store.thread("t").messages) == 0


def test_a_timeout_says_so_where_the_system_does_not_know_the_holder(locks: Locks, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(machine, "read_pseudo_file", faults.failing(errno.ENOENT))
    with Locks(str(tmp_path), 0, 8)["a"], pytest.raises(LockTimeoutError, match="held by an unknown process"):
        locks["a"].take()


def test_a_lock_is_waited_for(store: Store, root: Path):
    store.threads.create("t")
    with processes.start(children.hold_lock, str(root), "t") as holder:
        holder.hear()
        waiter = threading.Thread(target=store.thread("t").messages.append, args=("user", "late"))
        waiter.start()
        waiter.join(0.1)
        assert waiter.is_alive()
        assert faults.texts(store) == []
        holder.tell("end")
        waiter.join()
        holder.result()
    assert faults.texts(store) == ["late"]


def test_readers_do_not_wait_for_the_holder_of_the_lock(store: Store, root: Path):
    message = store.threads.create("t", name="n").messages.append("user", "here")
    run = store.thread("t").runs.create("r")
    run.steps.create("s")
    with (
        processes.start(children.hold_lock, str(root), "t") as holder,
        Store.open(root, read_only=True, lock_timeout=0) as reader,
    ):
        holder.hear()
        thread = reader.thread("t")
        assert [m.content for m in thread.messages.branch()] == ["here"]
        assert [m.content for m in thread.messages.branch(1)] == ["here"]
        assert [m.id for m in thread.messages.leaves()] == [message.id]
        assert thread.messages[message.id].content == "here"
        assert thread.info().name == "n"
        assert [info.id for info in reader.threads.recent()] == ["t"]
        assert thread.runs.get("r").id == "r"
        assert [step.id for step in thread.runs["r"].steps] == ["s"]
        assert list(reader.check()) == []


def test_a_dead_holder_blocks_nobody(store: Store, root: Path):
    store.threads.create("t")
    with processes.start(children.hold_lock, str(root), "t") as holder:
        holder.hear()
        holder.kill()
    with Store.open(root, lock_timeout=0.5) as other:
        other.thread("t").messages.append("user", "free")
    assert faults.texts(store) == ["free"]


def test_a_lock_file_that_was_removed_is_made_anew(locks: Locks, tmp_path: Path):
    with locks["a"]:
        pass
    (tmp_path / "a").unlink()
    time.sleep(lock.LOOK / 1e9)
    with locks["a"]:
        assert (tmp_path / "a").exists()
        assert not is_free(str(tmp_path), "a")


def test_a_lock_file_removed_while_one_waits_for_it_is_not_the_one_taken(locks: Locks, tmp_path: Path):
    waiting = Locks(str(tmp_path), 10, 8)
    with waiting["a"]:
        pass
    free = []

    def take_and_look() -> None:
        with waiting["a"]:
            free.append(is_free(str(tmp_path), "a"))

    with locks["a"]:
        waiter = threading.Thread(target=take_and_look)
        waiter.start()
        (tmp_path / "a").unlink()
        time.sleep(lock.LOOK / 1e9)
    waiter.join()
    assert free == [False]


def test_closing_idle_lock_files_spares_those_that_are_held(tmp_path: Path):
    locks = Locks(str(tmp_path), 0, 2)
    names = [f"lock-{number}" for number in range(6)]
    with locks.together(names):
        assert [name for name in names if is_free(str(tmp_path), name)] == []
    assert [name for name in names if not is_free(str(tmp_path), name)] == []


def test_the_store_goes_on_after_git_clean(store: Store, root: Path):
    thread = store.threads.create("t")
    thread.messages.append("user", "before")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "-c", "safe.directory=*", "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(root), "-c", "safe.directory=*", "clean", "-q", "-fdx"], check=True)
    assert not (root / ".fsstore").exists()
    thread.messages.append("user", "after")
    store.threads.create("u").archive()
    store.threads.delete("u")
    assert faults.texts(store) == ["before", "after"]


def test_taking_counts_no_lock_that_was_not_taken(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    thread = store.threads.create("t")
    monkeypatch.setattr(fs, "open_lock", faults.failing(errno.EMFILE))
    store.close()
    with pytest.raises(OSError, match="Too many open files"):
        thread.messages.append("user", "no descriptor left")
    monkeypatch.undo()
    thread.messages.append("user", "one left")
    assert faults.texts(store) == ["one left"]


def test_a_descriptor_closed_behind_the_lock_is_an_error_once_and_no_deadlock(locks: Locks):
    with locks["a"]:
        pass
    os.close(locks["a"].fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        locks["a"].take()
    with locks["a"]:
        pass


def test_no_more_lock_files_stay_open_than_allowed(locks: Locks, tmp_path: Path):
    for number in range(50):
        with locks[f"lock-{number}"]:
            pass
    assert 1 <= len(faults.descriptors(tmp_path)) <= 8


def test_every_thread_shares_one_of_256_locks_by_its_name():
    names = {layout.stripe(f"thread-{number}") for number in range(10_000)}
    assert len(names) == 256
    assert names == {f"thread-{number:02x}" for number in range(256)}
    assert layout.stripe("a") == layout.stripe("a")


def test_two_threads_of_one_stripe_use_one_lock_file(store: Store, root: Path):
    by_stripe: dict[str, str] = {}
    for number in itertools.count():
        other = by_stripe.setdefault(layout.stripe(str(number)), str(number))
        if other != str(number):
            break
    for id in (other, str(number)):
        store.threads.create(id).messages.append("user", id)
    assert store.thread(other).place.stripe == store.thread(str(number)).place.stripe
    assert faults.texts(store, other) == [other]
    assert faults.texts(store, str(number)) == [str(number)]


def test_all_descriptors_are_closed_on_exec(store: Store):
    store.threads.create("t").messages.append("user", "open")
    listing = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True).stdout
    assert store.root not in listing


def fork_while_a_thread_holds_the_lock(root: str) -> dict[str, object]:
    store = Store.open(root, lock_timeout=0.2)
    thread = store.threads.create("t")
    thread.messages.append("user", "parent before")
    taken, give_back = threading.Event(), threading.Event()

    def hold() -> None:
        with store._root.locks[thread.place.stripe]:
            taken.set()
            give_back.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    pid = os.fork()
    if pid == 0:
        refused = False
        try:
            thread.messages.append("user", "child too early")
        except LockTimeoutError:
            refused = True
        store.close()
        os._exit(0 if refused else 1)
    status = os.waitpid(pid, 0)[1]
    free_after_child = is_free(f"{root}/{layout.LOCKS}", thread.place.stripe)
    give_back.set()
    holder.join()
    thread.messages.append("user", "parent after")
    return {"child": status, "free_after_child": free_after_child}


def test_a_forked_child_does_not_unlock_what_its_parent_holds(root: Path):
    seen = processes.run(fork_while_a_thread_holds_the_lock, str(root))
    assert seen == {"child": 0, "free_after_child": False}
    with Store.open(root) as store:
        assert faults.texts(store) == ["parent before", "parent after"]


def fork_and_append(root: str, generations: int) -> None:
    store = Store.open(root)
    thread = store.threads.create("t")
    thread.messages.append("user", "first")
    threads = [threading.Thread(target=lambda: [thread.messages.append("user", "t") for _ in range(40)]) for _ in range(3)]
    for one in threads:
        one.start()
    pids = []
    for generation in range(generations):
        pid = os.fork()
        if pid == 0:
            for number in range(20):
                thread.messages.append("user", f"child {generation} {number}")
            inner = threading.Thread(target=thread.messages.append, args=("user", f"child {generation} thread"))
            inner.start()
            inner.join()
            os._exit(0)
        pids.append(pid)
        thread.messages.append("user", f"parent {generation}")
    for one in threads:
        one.join()
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * generations
    thread.messages.append("user", "last")
    store.close()


def test_parent_children_and_threads_all_go_on_after_forks(root: Path):
    processes.run(fork_and_append, str(root), 4)
    with Store.open(root) as store:
        found = faults.texts(store)
        assert len(set(found)) == len(found) - 119  # "t" stands there 120 times
        assert found.count("t") == 120
        assert len(found) == 120 + 4 * 21 + 4 + 2
        assert faults.is_chain(list(store.thread("t").messages))


def fork_with_descriptors(root: str) -> tuple[int, int]:
    store = Store.open(root)
    store.threads.create("t").messages.append("user", "warm")
    pid = os.fork()
    if pid == 0:
        os._exit(len(faults.descriptors(root)))
    return len(faults.descriptors(root)), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_keeps_none_of_its_parents_descriptors(root: Path):
    parents, childs = processes.run(fork_with_descriptors, str(root))
    assert parents > 0
    assert childs == 0


def test_a_spawned_process_begins_with_nothing_of_its_parents(store: Store, root: Path):
    store.threads.create("t").messages.append("user", "parent")
    processes.run(children.append, str(root), "t", "child")
    store.thread("t").messages.append("user", "parent again")
    assert faults.texts(store) == ["parent", "child", "parent again"]
    assert faults.is_chain(list(store.thread("t").messages))


class Interrupt:
    """Raise KeyboardInterrupt at the n-th moment at which Python would deliver a signal: the begin of a function, the end
    of a call into C.
    """

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_return") and "/fsstore/" in frame.f_code.co_filename:
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


def interrupted_append(store: Store, number: int) -> bool:
    """Append, interrupted at a moment; say whether it came to that."""
    thread = store.thread("t")
    interrupt = Interrupt(number)
    sys.setprofile(interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        thread.messages.append("user", f"interrupted {number}")
    sys.setprofile(None)
    return interrupt.left < 0


#: An interrupt inside a destructor is reported and dropped by Python itself.
in_destructors = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@in_destructors
@pytest.mark.parametrize("durability", ["full", "process"])
def test_an_interrupt_at_any_moment_leaves_lock_and_log_in_order(root: Path, durability: str):
    store = Store.open(root, durability=durability, lock_timeout=0.5)
    other = Store.open(root, durability=durability, lock_timeout=0.5)
    store.threads.create("t").messages.append("user", "first")
    for number in itertools.count():
        store.thread("t").messages.append("user", "warm")
        interrupted = interrupted_append(store, number)
        other.thread("t").messages.append("user", f"other {number}")
        store.thread("t").messages.append("user", f"same {number}")
        if not interrupted:
            break
    assert number > 20
    with Store.open(root, read_only=True) as fresh:
        assert fresh.thread("t").messages.damage() == []
        assert faults.is_chain(list(fresh.thread("t").messages))


@in_destructors
def test_an_interrupt_while_opening_leaves_the_lock_free(store: Store, root: Path):
    store.threads.create("t").messages.append("user", "first")
    shutil.rmtree(root / layout.LOCKS)
    (root / layout.LOCKS).mkdir()
    for number in itertools.count():
        store.close()
        interrupted = interrupted_append(store, number)
        assert is_free(str(root / layout.LOCKS), store.thread("t").place.stripe)
        if not interrupted:
            break
    assert number > 30
    assert faults.is_chain(list(store.thread("t").messages))
