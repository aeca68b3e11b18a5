"""What the unit tests do to a store from outside and from below: replace its files, count and fail its system calls."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fsstore import Message, Store, clock
from fsstore.disk import fs

PLAIN_CALLS = [
    "open_fd",
    "close",
    "read_at",
    "write",
    "seek",
    "stat",
    "own_status",
    "fstat",
    "exists",
    "truncate",
    "rename",
    "unlink",
    "list_names",
    "mkdir",
    "sync",
    "sync_directory",
]


class Calls(list[tuple[str, Any]]):
    """The calls of `fs` in their order, each with its first argument."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: list[str] = PLAIN_CALLS) -> None:
        gc.collect()  # stores that earlier tests left behind close their descriptors now, and not among these calls
        for name in names:
            monkeypatch.setattr(fs, name, self._recorder(name, getattr(fs, name)))

    def _recorder(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any) -> Any:
            self.append((name, args[0]))
            return call(*args)

        return recorded

    def names(self) -> list[str]:
        return [name for name, _ in self]


class Bytes:
    """How many bytes were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        read_at, lines = fs.read_at, fs.lines

        def counted(fd: int, count: int, at: int) -> bytes:
            data = read_at(fd, count, at)
            self.read += len(data)
            return data

        def counted_lines(fd: int, start: int, end: int) -> Any:
            if end - start > 1 << 16:  # else it goes to read_at
                self.read += end - start
            return lines(fd, start, end)

        monkeypatch.setattr(fs, "read_at", counted)
        monkeypatch.setattr(fs, "lines", counted_lines)

    def take(self) -> int:
        read, self.read = self.read, 0
        return read


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Have the store's clock stand still at some seconds from now."""
    at = time.time_ns() + seconds * 1_000_000_000
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: at / 1e9, time_ns=lambda: at))


def failing(code: int) -> Callable[..., Any]:
    """Give a call that always fails."""

    def fail(*args: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def once(monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[..., Any]) -> None:
    """Have one call of `fs` go to `call`, which is given the real one first; the calls after it are real."""
    real = getattr(fs, name)

    def replaced(*args: Any) -> Any:
        monkeypatch.setattr(fs, name, real)
        return call(real, *args)

    monkeypatch.setattr(fs, name, replaced)


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, code: int = errno.EIO) -> None:
    """Have one call of `fs` fail."""
    once(monkeypatch, name, lambda real, *args: failing(code)())


def replace(path: str | Path, data: bytes) -> None:
    """Put another file in the place of one, as rsync does."""
    other = Path(f"{path}.incoming")
    other.write_bytes(data)
    other.rename(path)


def texts(store: Store, thread: str = "t") -> list[Any]:
    """Give the contents of all messages as another process would see them."""
    with Store.open(store.root, read_only=True) as fresh:
        return [message.content for message in fresh.thread(thread).messages]


def links(store: Store, thread: str = "t") -> list[tuple[str, str | None]]:
    """Give record id and parent of every message as another process would see them."""
    with Store.open(store.root, read_only=True) as fresh:
        return [(message.record_id, message.parent_id) for message in fresh.thread(thread).messages]


def is_chain(messages: list[Message]) -> bool:
    """Say whether each message hangs below the one before."""
    ids = [None, *(message.id for message in messages)]
    return [message.parent_id for message in messages] == ids[:-1]


def raw(store: Store, thread: str = "t") -> bytes:
    return Path(store.thread(thread).messages.path).read_bytes()


def open_files() -> int:
    """Count what this process holds open, where the system tells, once the stores that earlier tests left are closed."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def descriptors(below: str | Path) -> list[str]:
    """Give what this process holds open below a directory, each as often as it is open."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [link for link in links if link.startswith(f"{below}/")]
