"""Damage for a thread's log, and a reader that holds every view of it against every other."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsstore import Message, Store
from fsstore.codec import Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsstore.resources.messages import Messages


class LogBench:
    """A thread of a few messages, and ways to spoil its `messages.jsonl` in place. Lines count from 0."""

    def __init__(self, root: Path, *, count: int = 5, thread_id: str = "t") -> None:
        self.root = root
        self.thread_id = thread_id
        with Store.open(root, durability="process") as store:
            thread = store.threads.create(thread_id)
            self.path = Path(thread.messages.path)
            self.sent = thread.messages.extend({"role": "user", "content": f"message {n} ä€𝄞"} for n in range(count))
        self.whole = self.data

    def ids(self, *places: int) -> list[str]:
        return [self.sent[place].id for place in places]

    # Looking

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def lines(self) -> list[bytes]:
        return self.data.splitlines(keepends=True)

    def offset(self, n: int) -> int:
        return sum(map(len, self.lines[:n]))

    def record(self, n: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines[n])
        return found

    # Spoiling

    def put(self, data: bytes) -> None:
        self.path.write_bytes(data)

    def set_line(self, n: int, raw: bytes) -> None:
        lines = self.lines
        lines[n] = raw
        self.put(b"".join(lines))

    def append_bytes(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def append_record(self, **fields: Any) -> None:
        self.append_bytes(line_of(fields))

    def cut_last(self, count: int = 1) -> None:
        self.put(self.data[:-count])

    def tear_line(self, n: int, keep: int = 60) -> None:
        self.set_line(n, self.lines[n][:keep] + b"\n")

    def glue(self, n: int, keep: int | None = None) -> None:
        """Take line n's newline away, and all of it behind `keep` bytes, so that the next line follows at once."""
        self.set_line(n, self.lines[n][:-1][:keep])

    def put_nul(self, n: int, at: int, count: int = 8) -> None:
        line = self.lines[n]
        self.set_line(n, line[:at] + b"\0" * count + line[at:])

    def set_bytes(self, n: int, old: bytes, new: bytes) -> None:
        line = self.lines[n]
        assert old in line
        self.set_line(n, line.replace(old, new, 1))

    def change(self, n: int, **fields: Any) -> None:
        self.set_line(n, line_of({**self.record(n), **fields}))

    def swap_lines(self, a: int, b: int) -> None:
        lines = self.lines
        lines[a], lines[b] = lines[b], lines[a]
        self.put(b"".join(lines))

    def insert_line(self, n: int, raw: bytes) -> None:
        lines = self.lines
        lines.insert(n, raw)
        self.put(b"".join(lines))

    def duplicate_line(self, n: int, before: int | None = None) -> None:
        self.insert_line(len(self.lines) if before is None else before, self.lines[n])

    def drop_line(self, n: int) -> None:
        self.set_line(n, b"")

    # Reading

    def read(self) -> View:
        """Read the log with readers that change nothing, in every way; all must say the same."""
        with unchanged(self.path):
            return read_all_ways(self.root, self.thread_id)

    def assert_kept(self, *lost: int) -> View:
        """Assert that every message but those of the places `lost` is read as it was written."""
        view = self.read()
        expected = [message for place, message in enumerate(self.sent) if place not in lost]
        assert_same(view.messages, expected)
        return view


@dataclass
class View:
    """What a log says."""

    messages: list[Message]
    branch: list[Message]
    leaves: list[Message]
    children: dict[str | None, list[str]]
    damage: list[Damage]

    @property
    def contents(self) -> list[Any]:
        return [message.content for message in self.branch]

    @property
    def kinds(self) -> list[tuple[str, int]]:
        return [(damage.kind, damage.offset) for damage in self.damage]


def line_of(record: dict[str, Any]) -> bytes:
    """Spell a record as the store does."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def without_parent(message: Message) -> tuple[Any, ...]:
    return (
        message.id,
        message.record_id,
        message.role,
        message.content,
        message.item,
        message.created_at,
        message.run_id,
        message.extra,
    )


def assert_same(found: list[Message], expected: list[Message]) -> None:
    """Compare messages in every respect but their parent, which may have been lost."""
    assert [without_parent(message) for message in found] == [without_parent(message) for message in expected]


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    before = path.stat()
    data = path.read_bytes()
    yield
    after = path.stat()
    assert path.read_bytes() == data
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ctime_ns, before.st_ino)


def read_exactly(root: Path, thread_id: str) -> View:
    """Read all of a log with a reader that has decoded every line of it."""
    with Store.open(root, read_only=True) as store:
        exact = store.thread(thread_id).messages
        damage = exact.damage()
        view = View(list(exact), exact.branch(), exact.leaves(), exact.children(), damage)
        assert len(exact) == len(view.messages)
        return view


def read_all_ways(root: Path, thread_id: str, limits: tuple[int, ...] = (0, 1, 2, 3, 1000)) -> View:
    """Ask each question of a reader of its own, which knows nothing yet; the answers must agree with one that decoded all."""

    def ask(question: Callable[[Messages], Any]) -> Any:
        with Store.open(root, read_only=True) as store:
            return question(store.thread(thread_id).messages)

    view = read_exactly(root, thread_id)
    assert ask(list) == view.messages
    assert ask(lambda m: m.branch()) == view.branch
    assert ask(lambda m: m.leaves()) == view.leaves
    assert ask(lambda m: m.children()) == view.children
    for limit in limits:
        assert ask(lambda m, limit=limit: m.branch(limit)) == view.branch[max(0, len(view.branch) - limit) :]
    by_id = {message.id: message for message in view.messages}
    for message in by_id.values():
        assert ask(lambda m, wanted=message.id: m.get(wanted)) == message
        assert message.parent_id is None or message.parent_id in by_id
    _assert_tree(view, by_id)
    return view


def _assert_tree(view: View, by_id: dict[str, Message]) -> None:
    below: dict[str | None, list[str]] = {}
    for message in view.messages:
        below.setdefault(message.parent_id, []).append(message.id)
    assert view.children == below
    assert [leaf.id for leaf in view.leaves] == [id for id in by_id if id not in below]
    walk = view.branch[-1].id if view.branch else None
    for message in reversed(view.branch):
        assert message == by_id[message.id]
        assert message.id == walk
        walk = message.parent_id
    assert walk is None
