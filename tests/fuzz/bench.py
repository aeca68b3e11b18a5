"""One store, one of its files damaged, and all that must hold then whatever the damage."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import spoiling
import whole_store
from damage import line_of, read_all_ways
from whole_store import DOCUMENTS, LOGS, QUESTIONS, STAMP

from fsstore import CorruptError, FormatError, Store, StoreError, clock, layout
from fsstore.disk.folding import View

MESSAGES = "messages.jsonl"
LONG_LOG = f"{layout.THREADS}/{whole_store.LONG}/{MESSAGES}"
#: What compaction leaves as it is: whole records that say odd things.
ODDITIES = {"unknown-type", "no-message", "missing-parent", "cycle", "dangling", "duplicate-given-id", "shared-id"}
#: What a document shows that stands in another file.
_BORROWS = ("goal.json", "workflows/")


class Bench:
    """A store of everything, whole again before each damage.

    Attributes:
        figures: How many files were read, in how many of them something was found, ...
    """

    def __init__(self, place: Path) -> None:
        self.root = place / "store"
        self._whole = place / "whole"
        self.figures: Counter[str] = Counter()
        whole_store.make(self._whole)
        self.renew()
        with Store.open(self.root, read_only=True) as store:
            self._said = {name: one.read(store) for name, one in DOCUMENTS.items()}
            assert list(store.check()) == []

    def renew(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._whole, self.root)

    def data(self, below: str) -> bytes:
        return (self._whole / below).read_bytes()

    def damage(self, below: str, data: bytes) -> set[str]:
        """Put other bytes into a file, read everything, and give the kinds of problems that are found in it."""
        self.renew()
        (self.root / below).write_bytes(data)
        before = snapshot(self.root)
        with Store.open(self.root, read_only=True) as store:
            problems = list(store.check())
            for question in QUESTIONS:
                outcome(question, store)
            for name, document in DOCUMENTS.items():
                if examples.below(name) != below and not name.startswith(_BORROWS):
                    assert document.read(store) == self._said[name], f"{name} changed"
        self.unchanged_since(before)
        others = {problem.path for problem in problems if problem.kind != "index-differs"}  # of a name that the index lost
        assert others <= {below, STAMP}, problems
        self.figures.update(files=1, damaged=bool(problems))
        return {problem.kind for problem in problems if problem.path == below}

    def unchanged_since(self, before: dict[str, Any]) -> None:
        assert snapshot(self.root) == before, "reading changed something"

    # Documents

    def document(self, name: str, data: bytes) -> None:
        """Damage a document; all that holds for one holds."""
        below, document = examples.below(name), DOCUMENTS[name]
        kinds = self.damage(below, data)
        with Store.open(self.root, read_only=True) as store:
            said = outcome(document.read, store)
        assert isinstance(said, CorruptError) or not is_no_document(data), f"read as {said}"
        if isinstance(said, CorruptError):
            assert kinds & {"corrupt", "misplaced"}, f"check finds {kinds} where reading says {said}"
            self.figures["corrupt"] += 1
        else:
            assert not isinstance(said, StoreError), said
            assert "corrupt" not in kinds, f"check finds {kinds} in what is read as {said}"
        with Store.open(self.root, durability="process") as store:
            done = outcome(document.write, store, ValueError)  # of keys that stay as they are and cannot be written
            if isinstance(said, CorruptError):
                assert isinstance(done, CorruptError) or name.startswith("recipes/"), f"{said}, and yet written over"
                assert (self.root / below).read_bytes() == data
            elif isinstance(done, Exception):
                assert (self.root / below).read_bytes() == data, f"{done}, and yet changed"
            else:
                assert not isinstance(outcome(document.read, store), StoreError)

    # Logs

    def log(self, name: str, data: bytes) -> None:
        """Damage a log; all that holds for one holds."""
        below = examples.below(name)
        kinds = self.damage(below, data)
        if "format" in kinds:
            self._stopped(name, data)
        elif name == MESSAGES:
            self._messages(data, kinds)
        else:
            self._view(name, data, kinds)

    def _stopped(self, name: str, data: bytes) -> None:
        """Nobody reads on, and nobody writes, where a record must be understood and is not."""
        self.figures["stopped"] += 1
        assert b'"!' in data
        if name == MESSAGES and re.search(rb'"role".*"type":"!', data):
            return  # a key of another writer's order counts where its line is decoded
        append = LOGS[name].append if name in LOGS else lambda s: whole_store.thread(s).messages.append("user", "after")
        try:
            with Store.open(self.root, durability="process") as store:
                assert isinstance(outcome(append, store), FormatError)
        except FormatError:
            assert name == layout.INDEX  # a store is not opened for writing before its deletions are known
        assert (self.root / examples.below(name)).read_bytes() == data

    def _view(self, name: str, data: bytes, kinds: set[str]) -> None:
        log, path = LOGS[name], self.root / examples.below(name)
        taken = taken_by(log.view, path)
        intact = self.intact(name, data)
        for id, record in intact.items():
            assert taken.get(id) == record or (id in taken and twice(data, id)), f"lost: {record}"
        if not kinds:
            assert list(taken) == assert_clean(data)
        with Store.open(self.root, durability="process") as store:
            said = outcome(log.shows, store)
            done = outcome(log.append, store)
            if isinstance(done, OverflowError):
                return
            assert not isinstance(done, Exception), done
            assert log.shows(store) == log.grows(said)
        again = taken_by(log.view, path)
        assert {id: again.get(id) for id in taken} == taken
        self.figures["kept"] += len(intact)

    def _messages(self, data: bytes, kinds: set[str]) -> None:
        view = read_all_ways(self.root, examples.THREAD)
        found = {message.record_id: message for message in view.messages}
        intact = self.intact(MESSAGES, data)
        for id, record in intact.items():
            if "role" not in record or record.get("type") is not None or said_gone(data, id):
                continue
            assert id in found, f"lost: {record}"
            redactions = [one["content"] for one in intact.values() if one.get("message_id") == id and "content" in one]
            assert found[id].content in (record["content"], *redactions) or twice(data, id)
            assert not redactions or kinds or found[id].content != record["content"], "a redaction does not count"
        if not kinds:
            assert_clean(data)
        with Store.open(self.root, durability="process") as store:
            done = outcome(lambda s: whole_store.thread(s).messages.append("user", "after"), store)
        if isinstance(done, OverflowError):
            return
        assert not isinstance(done, Exception), done
        after = read_all_ways(self.root, examples.THREAD, (1, 3))
        assert after.branch[-1] == done
        assert [m.id for m in after.messages if m.id in {n.id for n in view.messages}] == [m.id for m in view.messages]
        with Store.open(self.root, durability="process") as store:
            whole_store.thread(store).messages.compact()
            assert list(whole_store.thread(store).messages) == after.messages
            assert whole_store.thread(store).messages.branch() == after.branch
            assert {problem.kind for problem in store.check()} <= ODDITIES
        self.figures["kept"] += len(intact)

    # What is no data

    def stamp(self, data: bytes) -> None:
        """A cache of any bytes changes no answer: at worst it is passed over, and made anew."""
        whole = self._put_beside(STAMP, data, {"stale-cache"})
        assert read_all_ways(self.root, whole_store.LONG, (1, 3)) == whole
        with Store.open(self.root, durability="process") as store:
            new = store.thread(whole_store.LONG).messages.append("user", "after")
            assert store.thread(whole_store.LONG).messages.branch(2) == [whole.branch[-1], new]

    def stamped_log(self, data: bytes) -> None:
        """A stamp beside a log that was changed behind its back makes no reader say another thing than the log does."""
        self._put_beside(LONG_LOG, data, None)
        try:
            read_all_ways(self.root, whole_store.LONG, (1, 3))
        except FormatError:
            assert b'"!' in data

    def _put_beside(self, below: str, data: bytes, kinds: set[str] | None) -> Any:
        self.renew()
        whole = read_all_ways(self.root, whole_store.LONG, (1, 3))
        (self.root / below).write_bytes(data)
        before = snapshot(self.root)
        with Store.open(self.root, read_only=True) as store:
            problems = list(store.check())
        self.unchanged_since(before)
        assert {problem.path for problem in problems} <= {below, STAMP}
        assert kinds is None or {problem.kind for problem in problems} <= kinds
        self.figures.update(files=1, damaged=bool(problems))
        return whole

    def format_file(self, data: bytes) -> None:
        """A store whose format file cannot be read is not opened, and not touched."""
        self.renew()
        (self.root / layout.FORMAT_FILE).write_bytes(data)
        before = snapshot(self.root)
        self.figures["files"] += 1
        for read_only in (True, False):
            try:
                Store.open(self.root, read_only=read_only).close()
            except FormatError:
                self.figures["refused"] += 1
            else:
                fields = json.loads(data)
                assert (fields["format"], fields["version"]) == ("fsstore", 1)
        self.unchanged_since(before)

    def real(self, raw: bytes) -> None:
        """A real file, damaged as it is: no record of the store, and then with its whole lines made messages."""
        for name in LOGS:
            self._view(name, raw, self.damage(examples.below(name), raw))
        lines, contents, at = [], [], 0
        for line in re.findall(rb"[^\n]*\n|[^\n]+$", raw):
            content = spoiling.decoded(line)
            if isinstance(content, dict) and line.endswith(b"\n"):
                at, id = clock.next_id(at, clock.random_suffix())
                line = line_of({"id": id, "parent_id": None, "role": "user", "content": content})  # noqa: PLW2901
                contents.append(content)
            lines.append(line)
        kinds = self.damage(examples.below(MESSAGES), b"".join(lines))
        assert len([line for line in lines if line.strip()]) == len(contents) or kinds
        with Store.open(self.root, durability="process") as store:
            messages = whole_store.thread(store).messages
            assert [message.content for message in messages] == contents
            new = messages.append("user", "after")
            assert list(messages)[-1] == messages.branch(1)[0] == new
        self.figures["kept"] += len(contents)

    def intact(self, name: str, data: bytes) -> dict[str, dict[str, Any]]:
        """Give the records, by id, of the lines that are as they were, each on a line of its own."""
        whole = set(self.data(examples.below(name)).split(b"\n"))
        lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
        return {record["id"]: record for record in (json.loads(line) for line in lines if line and line in whole)}


def outcome(ask: Callable[[Store], Any], store: Store, *also: type[Exception]) -> Any:
    """Give the answer, or the error where it is one that may be: what else is raised ends the test."""
    try:
        return ask(store)
    except (StoreError, OverflowError, *also) as error:
        return error


def is_no_document(data: bytes) -> bool:
    """Say whether a decoder that knows nothing of the store finds no document in these bytes."""
    try:
        fields = json.loads(data.decode())
    except RecursionError:
        return False
    except ValueError:
        return True
    versions = fields.get("versions") if isinstance(fields, dict) else None
    return not isinstance(versions, dict) or not clock.is_id(versions.get(""))


def taken_by(kind: type[View], path: Path) -> dict[str, dict[str, Any]]:
    """Give each record that a view is given to keep, by its id."""

    class Noting(kind):  # type: ignore[valid-type,misc]
        def begin(self) -> None:
            self.taken: dict[str, dict[str, Any]] = {}
            super().begin()

        def take(self, record: dict[str, Any]) -> None:
            self.taken[record["id"]] = record
            super().take(record)

    view = Noting(str(path))
    view.refresh()
    return view.taken


def twice(data: bytes, id: str) -> bool:
    """Say whether more than one record may have an id: the one with the greater bytes counts."""
    return data.count(id.encode()) > 1


def assert_clean(data: bytes) -> list[str]:
    """Assert that a log in which nothing was found is one of whole records, ascending; give their ids."""

    def id_of(line: bytes) -> str:
        try:
            return json.loads(line)["id"]
        except RecursionError:
            return line[7:43].decode()

    ids = [id_of(line) for line in data.split(b"\n") if line.strip()]
    assert ids == sorted(set(ids)), "check finds nothing in what is out of order"
    return ids


def said_gone(data: bytes, id: str) -> bool:
    """Say whether any line but the message's own may make it go."""
    words = (b"removed", b"replaces", b"gone", b"clear")
    lines = [line for line in data.split(b"\n") if not line.startswith(b'{"id":"%b"' % id.encode()) or b"gone" in line]
    return any(b'"clear"' in line or (id.encode() in line and any(word in line for word in words)) for line in lines)


def snapshot(root: Path) -> dict[str, Any]:
    return {
        str(path): (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
        for status in [path.lstat()]
    }
