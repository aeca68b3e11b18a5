"""What stands on disk below a store's root, read and changed as another program would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fsstore import ThreadStore
from fsstore.disk import fs

#: What JSON does not give back exactly, by the name that a failing test shows.
NOT_JSON = {
    "nan": float("nan"),
    "infinity": [float("-inf")],
    "over-64-bits": {"n": 2**64},
    "under-64-bits": -(2**63) - 1,
    "lone-surrogate": "half \ud800 a pair",
    "lone-surrogate-in-a-key": {"\udc00": 1},
    "tuple": [(1, 2)],
    "set": {"tags": {1}},
    "bytes": b"raw",
    "number-as-key": {1: "one"},
    "object": object(),
}

#: Bytes that are no document.
CORRUPT = {
    "empty": b"",
    "torn": b'{"id": "t", "vers',
    "null": b"null",
    "list": b"[1]",
    "without-versions": b'{"id": "t"}',
    "no-utf-8": b"\xff\xfe",
    "nul": b"\0" * 80,
}

#: Ids that a file system would not keep apart, or not keep at all.
STRANGE_IDS = (
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a:b",
    "a_b",
    "a b",
    "A",
    "a",
    "CON",
    ".",
    "..",
    "trailing.",
    "-rf",
    "%2e",
    "\N{SNOWMAN}\N{PILE OF POO}",
    "caf\u00e9",
    "cafe\u0301",
    "nul\0byte",
    "new\nline",
    "x" * 255,
    "x" * 256,
    "\u00e9" * 1000,
)


def snapshot(root: Path) -> dict[str, bytes | None]:
    """Give every file's bytes below a root but for its lock files, which a refused write may have made; None is a directory."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if "locks" not in path.relative_to(root).parts
    }


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change a document in its place, as a person with an editor would."""
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")


def in_thread(root: Path, thread_id: str, *names: str) -> Path:
    """Give the path of something in a thread's directory."""
    return ThreadStore(root).thread_dir(thread_id).joinpath(*names)


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Have the system refuse to open every file in whose path a text stands."""
    opened = fs.open_fd

    def refuse(path: str, *args: object, **named: object) -> int:
        if part in str(path):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *args, **named)

    monkeypatch.setattr(fs, "open_fd", refuse)


def meta(root: Path, thread_id: str) -> Path:
    """Give the path of a thread's own document."""
    return in_thread(root, thread_id, "meta.json")


def log(root: Path, thread_id: str) -> Path:
    """Give the path of a thread's messages."""
    return in_thread(root, thread_id, "messages.jsonl")


def rows(path: Path) -> list[dict[str, object]]:
    """Give the records of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]
