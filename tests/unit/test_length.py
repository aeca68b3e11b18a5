"""Counting a branch: a log that is one chain is counted without its index, and every log as its index counts it."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsstore import Store, clock
from fsstore.disk import fs
from fsstore.disk.follow import whole_lines
from fsstore.resources import branches
from fsstore.resources.index import Index
from fsstore.resources.messages import Messages

LATE = "ffffffff-ffff-7fff-bfff-ffffffffffff"
#: What a log may hold beside messages that each stand below the one before.
KINDS = [
    "fork",
    "root",
    "leaf",
    "no leaf",
    "removed",
    "replaces",
    "clear",
    "gone",
    "given",
    "nested",
    "unknown",
    "twice",
    "late",
]
DAMAGE = ["torn", "glued", "blank", "nul", "crlf", "open", "swapped", "blanks", "lost", "cut", "fragment"]


def lines_of(kinds: list[str], at: int) -> list[bytes]:
    """Make a line of each kind, in the order of their ids; `at` chooses what they name."""
    _, ids = clock.next_ids(0, "9601-c7b722d7b782", len(kinds))
    records: list[dict[str, Any]] = []
    for number, (kind, id) in enumerate(zip(kinds, ids, strict=True)):
        named = ids[at % number] if number else None
        record: dict[str, Any] = {"id": id, "parent_id": ids[number - 1] if number else None}
        said = {"role": "user", "content": f"message {number} \u00e9"}
        if kind in ("fork", "root"):
            record |= {"parent_id": named if kind == "fork" else None, **said}
        elif kind in ("leaf", "no leaf"):
            record = {"id": id, "type": "leaf", "leaf_id": named if kind == "leaf" else None}
        elif kind == "removed":
            record = {"id": id, "type": "removed", "message_id": named}
        elif kind == "clear":
            record = {"id": id, "type": "clear", "leaf_ids": [named]}
        elif kind in ("gone", "unknown"):
            record |= {"type": kind}
        elif kind in ("given", "replaces"):
            record |= {"given_id": "mine", **said} if kind == "given" else {"replaces": named, **said}
        elif kind == "nested":
            record |= {**said, "content": [{"id": id}]}
        elif kind == "twice":
            record |= {"id": ids[number - 1] if number else id, **said}
        elif kind == "late":
            record |= {"id": LATE, **said}
        else:
            record |= said
        records.append(record)
    return [json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for one in records]


def spoil(lines: list[bytes], kind: str, at: int) -> None:
    """Do one kind of damage to one of the lines."""
    at %= len(lines)
    raw = lines[at]
    if kind == "swapped":
        lines[at], lines[at - 1] = lines[at - 1], raw
    elif kind == "lost":
        del lines[at]
    elif kind == "cut":
        lines[-1] = lines[-1][:-1]
    elif kind == "fragment":
        lines.append(raw[: len(raw) // 2])
    else:
        lines[at] = {
            "torn": raw[: len(raw) // 2] + b"~\n",
            "glued": raw[:-1],
            "blank": raw + b"\n",
            "nul": b"\0\0" + raw,
            "crlf": raw[:-1] + b"\r\n",
            "open": raw[:-2] + b"\n",
            "blanks": raw.replace(b":", b": "),
        }[kind]


def counted_by_index(messages: Messages) -> int:
    fd = fs.open_read(messages.path)
    try:
        return messages.with_index(fd, lambda _, index: len(index.tree.branch(index.tree.current())))
    finally:
        fs.close(fd)


def test_every_log_is_counted_as_its_index_counts_it(root: Path, monkeypatch: pytest.MonkeyPatch):
    @settings(max_examples=500, deadline=None)
    @given(
        st.lists(st.sampled_from(["message"] * 2 * len(KINDS) + KINDS), min_size=1, max_size=12),
        st.none() | st.sampled_from(DAMAGE),
        st.integers(0, 1000),
        st.sampled_from([1, 200, 1 << 20]),
    )
    def is_counted(kinds: list[str], damage: str | None, at: int, block: int) -> None:
        lines = lines_of(kinds, at)
        if damage:
            spoil(lines, damage, at)
        monkeypatch.setattr(branches, "whole_lines", partial(whole_lines, block=block))
        Path(messages.path).write_bytes(b"".join(lines))
        assert messages.length() == counted_by_index(messages)
        if not damage and set(kinds) == {"message"}:
            assert messages.length() == len(kinds)

    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        is_counted()
        Path(messages.path).unlink()


def test_a_chain_is_counted_without_its_index(root: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        messages.extend({"role": "user", "content": f'"id" {n}'} for n in range(300))
        last = messages.append("user", "the last one")
    with Store.open(root, durability="process") as store:
        messages = store.thread("t").messages
        monkeypatch.setattr(Index, "refresh", lambda *_: pytest.fail("the index was asked"))
        assert messages.length() == 301
        monkeypatch.undo()
        messages.remove(last.id)
        assert messages.length() == 300


@pytest.mark.parametrize("data", [b"\n", b"\n\n", b"{}\n", b"{", b"\0" * 200, b"\xff\n"])
def test_what_is_no_chain_is_left_to_the_index(root: Path, data: bytes):
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        Path(messages.path).write_bytes(data)
        assert messages.length() == 0
        os.unlink(messages.path)
        assert messages.length() == 0
