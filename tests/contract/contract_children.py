"""Other processes for the contract's tests: one holds a lock, one appends slowly, ones die by SIGKILL.

Each is this very file, run with the name of a function below. A child says "ready" when it is where its parent wants it, and
goes on when its parent writes a line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fsstore
from fsstore import ChatMessage, Run, RunStatus, SessionStore, Store, ThreadStore
from fsstore.disk import fs

_PATH = str(Path(fsstore.__file__).parents[1])


def _start(work: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, work, *map(str, args)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": _PATH}
    )


@contextlib.contextmanager
def _ready(work: str, *args: object) -> Iterator[Callable[[], None]]:
    """Run a child that is ready within the block; it goes on when the call yielded is made, or at the block's end."""
    with _start(work, *args) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child.stdin.close
        child.stdin.close()
    assert child.returncode == 0


def holding(root: Path, thread_id: str) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Have another process hold a thread's lock."""
    return _ready("hold", root, thread_id)


def holding_jobs(root: Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Have another process hold the lock of the jobs."""
    return _ready("hold_jobs", root)


def appending_slowly(root: Path, thread_id: str, text: str) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Have another process append, and stand just before its write."""
    return _ready("append_slowly", root, thread_id, text)


def updating_last_slowly(root: Path, key: str, text: str) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Have another process replace a session's last message, and stand just before its write."""
    return _ready("update_last_slowly", root, key, text)


def dying(work: str, *args: object) -> None:
    """Run a child that must die by SIGKILL."""
    with _start(work, *args) as child:
        pass
    assert child.returncode == -signal.SIGKILL


def reading_status(root: Path, thread_id: str, run_id: str) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Have another process read a run's status over and over, and fail where that is once impossible."""
    return _ready("read_status", root, thread_id, run_id)


# What the children do


def _wait() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hold(root: str, thread_id: str) -> None:
    store = Store.open(root, read_only=True)  # which leaves what a crash left
    with store._root.locks[store.thread(thread_id).place.stripe]:
        _wait()


def hold_jobs(root: str) -> None:
    with Store.open(root, read_only=True)._root.locks["jobs"]:
        _wait()


def _write_slowly() -> None:
    write = fs.write

    def wait(fd: int, data: bytes) -> int:
        _wait()
        return write(fd, data)

    fs.write = wait


def append_slowly(root: str, thread_id: str, text: str) -> None:
    store = Store.open(root)
    _write_slowly()
    store.thread(thread_id).messages.append("user", text)


def update_last_slowly(root: str, key: str, text: str) -> None:
    store = SessionStore(root)
    _write_slowly()
    store.update_last(key, ChatMessage.user(text))


def ask_and_die(root: str, key: str) -> None:
    store = SessionStore(root)
    store.append(key, ChatMessage.user("a question"))
    store.set_session_state(key, "running", "turn-1")
    _die()


def close_and_die(root: str) -> None:
    store = SessionStore(root)
    fs.rename = lambda old, new: _die()
    store.close_interrupted()


def rename_and_die(root: str, key: str, new_key: str) -> None:
    store = SessionStore(root)
    store._store.threads._index.note_deletion = lambda *what: _die()
    store.rename_session(key, new_key)


def delete_and_die(root: str, thread_id: str) -> None:
    fs.rename = lambda old, new: _die()
    Store.open(root).threads.delete(thread_id)


def work_and_die(root: str, thread_id: str, run_id: str) -> None:
    threads = ThreadStore(root)
    threads.create_run(thread_id, Run(id=run_id, thread_id=thread_id))
    threads.update_run_status(thread_id, run_id, RunStatus.IN_PROGRESS)
    _die()


def read_status(root: str, thread_id: str, run_id: str) -> None:
    threads = ThreadStore(root)
    os.set_blocking(sys.stdin.fileno(), False)
    print("ready", flush=True)
    seen = 0
    while seen == 0 or sys.stdin.buffer.read() != b"":
        assert threads.get_run(thread_id, run_id).status in RunStatus
        seen += 1


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
