"""Reading the newest messages from the end of the log must say what reading all of it says."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from damage import line_of, read_exactly, unchanged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsstore import FormatError, Message, Store, clock
from fsstore.disk import fs
from fsstore.resources.messages import Messages

LIMITS = (0, 1, 2, 3, 7, 50, 10_000)
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="the system does not count what is read")


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Messages]:
    with Store.open(root, durability="process") as store:
        yield store.thread("t").messages


def fill(root: Path, count: int, size: int = 200) -> list[Message]:
    """Make a thread of one branch, and close it, which leaves its stamp."""
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        return messages.extend({"role": "user", "content": f"{n:06}" + "x" * size} for n in range(count))


def log_of(root: Path) -> Path:
    return root / "threads" / "t" / "messages.jsonl"


def stamp_of(root: Path) -> Path:
    return root / ".fsstore" / "cache" / "t.stamp"


def newest(root: Path, limit: int) -> list[Message]:
    with Store.open(root, read_only=True) as store:
        return store.thread("t").messages.branch(limit)


def cost(read: Callable[[], Any]) -> int:
    """Give how many bytes this process reads meanwhile."""

    def total() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = total()
    read()
    return total() - before


def assert_tail_agrees(root: Path) -> None:
    """Assert that the newest n are those of the whole branch, and that the next append goes below the last one."""
    with unchanged(log_of(root)):
        branch = read_exactly(root, "t").branch
        for limit in LIMITS:
            assert newest(root, limit) == branch[max(0, len(branch) - limit) :]
    with opened(root) as messages:
        new = messages.append("user", "after")
    assert new.parent_id == (branch[-1].id if branch else None)
    assert newest(root, 2) == [*branch[-1:], new]


def append_lines(root: Path, *records: dict[str, Any]) -> None:
    with log_of(root).open("ab") as file:
        file.write(b"".join(map(line_of, records)))


def message(id: str, parent_id: str | None, content: Any = "elsewhere", **more: Any) -> dict[str, Any]:
    return {"id": id, "parent_id": parent_id, **more, "role": "user", "content": content}


# The end is read, and not the rest


@needs_proc
def test_the_newest_of_a_large_log_are_read_from_its_end(root: Path) -> None:
    sent = fill(root, 20_000)
    assert log_of(root).stat().st_size > 5_000_000
    assert newest(root, 50) == sent[-50:]
    assert cost(lambda: newest(root, 50)) < 100_000
    assert cost(lambda: newest(root, 1)) < 60_000
    assert cost(lambda: newest(root, 1000)) < 1_000_000


@needs_proc
def test_a_fork_far_back_is_found_without_reading_what_lies_between(root: Path) -> None:
    sent = fill(root, 20_000)
    with opened(root) as messages:
        fork = messages.fork(sent[100].id, "user", "fork")
        again = messages.append("user", "again")
    assert newest(root, 20) == [*sent[83:101], fork, again]
    assert cost(lambda: newest(root, 20)) < 900_000


@needs_proc
def test_a_checkout_far_back_is_found_without_reading_what_lies_between(root: Path) -> None:
    sent = fill(root, 20_000)
    for place in (0, 1, 7_000, 19_999):
        with opened(root) as messages:
            messages.checkout(sent[place].id)
        assert newest(root, 5) == sent[max(0, place - 4) : place + 1]
        assert cost(lambda: newest(root, 5)) < 900_000


@pytest.mark.damaged
def test_a_leaf_anywhere_among_lines_of_any_length_and_damage_is_found(root: Path, seed: int) -> None:
    rng = random.Random(seed)
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        sizes = [rng.choice((0, 50, 500, 5_000, 40_000)) for _ in range(400)]
        sent = messages.extend({"role": "user", "content": "ä" * size} for size in sizes)
    lines = log_of(root).read_bytes().splitlines(keepends=True)
    for _ in range(20):
        lines.insert(rng.randrange(len(lines)), rng.choice([b"words\n", b"\0" * 9000 + b"\n", lines[7][:60] + b"~\n", b"\n"]))
    log_of(root).write_bytes(b"".join(lines))
    for place in rng.sample(range(400), 40):
        with opened(root) as messages:
            messages.checkout(sent[place].id)
        assert newest(root, 3) == sent[max(0, place - 2) : place + 1]


@needs_proc
def test_a_writer_of_a_stamped_log_reads_only_its_end(root: Path) -> None:
    sent = fill(root, 20_000)

    def append() -> None:
        with opened(root) as messages:
            assert messages.append("user", "x").parent_id == sent[-1].id

    assert cost(append) < 100_000


@needs_proc
def test_what_another_process_appended_behind_the_stamp_is_read_too(root: Path) -> None:
    sent = fill(root, 20_000)
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException), opened(root) as messages:
            messages.append("user", "of the child")
            os._exit(0)  # no stamp is kept
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert [found.content for found in newest(root, 2)] == [sent[-1].content, "of the child"]
    assert cost(lambda: newest(root, 2)) < 100_000
    assert_tail_agrees(root)


@needs_proc
@pytest.mark.campaign
def test_a_log_without_a_stamp_is_read_whole_and_a_larger_one_not_longer(root: Path, campaign: bool) -> None:
    counts = (10_000, 300_000) if campaign else (2_000, 10_000)
    costs = []
    for count in counts:
        fill(root, count)
        costs.append(cost(lambda: newest(root, 50)))
        stamp_of(root).unlink()
        assert cost(lambda: newest(root, 50)) > log_of(root).stat().st_size
        shutil.rmtree(root)
    assert costs[1] < costs[0] + 20_000


# The same answers as the whole log gives


def test_forks_and_moves_of_the_leaf(root: Path) -> None:
    sent = fill(root, 500)
    with opened(root) as messages:
        for place in (3, 450, 0, 499):
            fork = messages.fork(sent[place].id, "user", "fork")
            messages.append("user", "below")
            assert_tail_agrees(root)
            messages.checkout(fork.id)
            assert_tail_agrees(root)
        messages.checkout(None)
        assert_tail_agrees(root)


def test_removals_replacements_and_clears(root: Path) -> None:
    sent = fill(root, 500)
    changes: list[Callable[[Messages], Any]] = [
        lambda messages: messages.remove(sent[-1].id),
        lambda messages: messages.remove(sent[-3].id),
        lambda messages: messages.replace(sent[-4].id, "user", "replaced"),
        lambda messages: messages.checkout(sent[490].id),
        lambda messages: messages.remove(sent[489].id),
        lambda messages: messages.remove(sent[2].id),
        lambda messages: messages.checkout(sent[5].id),
        lambda messages: messages.replace(sent[0].id, "user", "root"),
        lambda messages: messages.clear(),
    ]
    for change in changes:
        with opened(root) as messages:
            change(messages)
        assert_tail_agrees(root)


def test_given_ids_are_shown_by_messages_and_as_parents(root: Path) -> None:
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        messages.extend({"role": "user", "content": "x" * 500, "given_id": f"g{n}"} for n in range(300))
    assert [(found.id, found.parent_id) for found in newest(root, 2)] == [("g298", "g297"), ("g299", "g298")]
    assert_tail_agrees(root)


def test_long_lines_are_read_over_several_blocks(root: Path) -> None:
    fill(root, 3)
    with opened(root) as messages:
        sent = messages.extend(
            {"role": "user", "content": "ä" * size} for size in (300_000, 5, 8192, 16_384, 70_000, 1_500_000, 0)
        )
        fork = messages.fork(sent[0].id, "user", "y" * 40_000)
    assert newest(root, 2) == [sent[0], fork]
    assert_tail_agrees(root)


def test_messages_whose_text_looks_like_the_logs_own_lines(root: Path) -> None:
    sent = fill(root, 300)
    inner = line_of(message(sent[5].id, None)).decode()
    with opened(root) as messages:
        for content in (inner, inner * 3, json.loads(inner), [json.loads(inner)], "\n" + inner, f'"id":"{sent[0].id}"'):
            messages.append("user", content, item=content)
    assert_tail_agrees(root)


# Damage in the part that is read


@pytest.mark.damaged
@pytest.mark.parametrize(
    "bytes_behind",
    [
        *(
            b"\0" * 5000,
            b"\0\n",
            b"words\n",
            b'{"id":"0199',
            b"~\n",
            b"\n\n\n",
            b"\r\n",
            b"[]\n",
            b"\xff\xfe\n",
            b"<<<<<<< HEAD\n",
        ),
        *(b'{"id":"01990000-0000-7000-8000-000000000000","parent_id":null,"role":"user","con~\n', b"x" * 300_000 + b"\n"),
    ],
)
def test_damage_at_the_end(root: Path, bytes_behind: bytes) -> None:
    fill(root, 500)
    with log_of(root).open("ab") as file:
        file.write(bytes_behind)
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("cut", [1, 2, 30, 200, 300, 5000])
def test_a_tail_cut_off(root: Path, cut: int) -> None:
    fill(root, 500)
    with log_of(root).open("rb+") as file:
        file.truncate(log_of(root).stat().st_size - cut)
    assert_tail_agrees(root)


def with_rest(root: Path) -> tuple[list[Message], list[str]]:
    """Make a stamped log, and ids for records that another writer puts behind the stamp."""
    sent = fill(root, 500)
    ids = [sent[-1].id]
    for _ in range(6):
        ids.append(clock.new_id(ids[-1]))
    return sent, ids[1:]


@pytest.mark.damaged
def test_records_glued_in_the_rest(root: Path) -> None:
    sent, ids = with_rest(root)
    one, two, three = (line_of(message(id, sent[-1].id, "x" * 50)) for id in ids[:3])
    with log_of(root).open("ab") as file:
        file.write(one[:-1] + two + one[:-30] + three)
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("tail", [b'{"id":"01', b"\0\0", b"\r", b" ", b"~", b"}"])
def test_a_whole_record_and_other_bytes_without_a_newline(root: Path, tail: bytes) -> None:
    sent, ids = with_rest(root)
    with log_of(root).open("ab") as file:
        file.write(line_of(message(ids[0], sent[-1].id))[:-1] + tail)
    assert newest(root, 1)[0].id == ids[0]
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("contents", [("zzz", "aaa"), ("aaa", "zzz"), ("aaa", "aaa")])
def test_two_records_with_one_id(root: Path, contents: tuple[str, str]) -> None:
    sent, ids = with_rest(root)
    append_lines(root, *(message(ids[0], sent[-1].id, content) for content in contents))
    assert newest(root, 1)[0].content == max(contents)
    append_lines(root, message(ids[1], ids[0]))
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("swapped", [False, True])
def test_a_message_and_its_gone_stub(root: Path, swapped: bool) -> None:
    sent, ids = with_rest(root)
    both = [message(ids[0], sent[-1].id), {"id": ids[0], "parent_id": sent[-1].id, "type": "gone"}]
    append_lines(root, *(reversed(both) if swapped else both))
    assert newest(root, 1) == sent[-1:]
    append_lines(root, message(ids[1], ids[0]))
    assert newest(root, 2)[0] == sent[-1]
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("behind", [0, 1, 2, 5])
def test_a_type_that_must_be_understood_stops_the_tail_as_well(root: Path, behind: int) -> None:
    sent, ids = with_rest(root)
    append_lines(root, {"id": ids[0], "type": "!later"})
    for parent, id in zip([sent[-1].id, *ids[1:]], ids[1 : 1 + behind], strict=False):
        append_lines(root, message(id, parent))
    for limit in LIMITS:
        with pytest.raises(FormatError, match="!later"):
            newest(root, limit)


ODD = [
    [("leaf", {"leaf_id": "0" * 36})],
    [("leaf", {"leaf_id": 7})],
    [("leaf", {"leaf_id": None})],
    [("later", {})],
    [("removed", {"message_id": 3})],
    [("removed", {"message_id": 499})],
    [("removed", {"message_id": 498})],
    [("removed", {"message_id": 499}), ("leaf", {"leaf_id": 499})],
    [("leaf", {"leaf_id": 4}), ("removed", {"message_id": 4}), ("removed", {"message_id": 3})],
    [("clear", {"leaf_ids": []}), ("clear", {"leaf_ids": 7})],
    [("gone", {"parent_id": 499})],
    [(["leaf"], {}), (7, {})],
]


@pytest.mark.damaged
@pytest.mark.parametrize("records", ODD)
@pytest.mark.parametrize("then", [None, "message", "child of the record"])
def test_records_of_other_kinds_behind_the_stamp(
    root: Path, records: list[tuple[Any, dict[str, Any]]], then: str | None
) -> None:
    sent, ids = with_rest(root)
    for id, (kind, fields) in zip(ids, records, strict=False):
        named = {
            name: sent[value].id if type(value) is int and value < 500 and value != 7 else value
            for name, value in fields.items()
        }
        append_lines(root, {"id": id, "type": kind, **named})
    if then:
        append_lines(root, message(ids[4], sent[-1].id if then == "message" else ids[0]))
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize(
    "parent", [None, 7, "", "nobody", ["x"], "0" * 36, clock.FIRST_ID, clock.LAST_ID, "self", "later", "é" * 40]
)
def test_a_newest_message_with_an_odd_parent(root: Path, parent: Any) -> None:
    _, ids = with_rest(root)
    parent = {"self": ids[0], "later": ids[1]}.get(parent, parent) if isinstance(parent, str) else parent
    append_lines(root, message(ids[0], parent))
    assert_tail_agrees(root)
    append_lines(root, message(ids[3], ids[0]))
    assert newest(root, 5) == read_exactly(root, "t").branch[-5:]


@pytest.mark.damaged
def test_a_parent_that_was_torn_out_of_the_prefix(root: Path) -> None:
    sent = fill(root, 500)
    lines = log_of(root).read_bytes().splitlines(keepends=True)
    for place in (498, 300, 0):
        torn = lines.copy()
        torn[place] = torn[place][:-3] + b"~~\n"
        log_of(root).write_bytes(b"".join(torn))
        with opened(root) as messages:
            messages.checkout(sent[-1].id)
        assert_tail_agrees(root)


# The stamp: stale, torn, wrong


def spoil_head(**fields: Any) -> Callable[[bytes], bytes]:
    def spoil(data: bytes) -> bytes:
        head, _, tail = data.partition(b"\n")
        return line_of({**json.loads(head), **fields}) + tail

    return spoil


SPOILED_STAMPS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: b"\0" * len(data),
    "torn in the head": lambda data: data[:20],
    "torn behind the head": lambda data: data.split(b"\n")[0] + b"\n",
    "torn in the tail": lambda data: data[:-100],
    "other tail": lambda data: data[:-3] + b"???",
    "short length": spoil_head(length=10),
    "no length": spoil_head(length=0),
    "negative length": spoil_head(length=-5),
    "huge length": spoil_head(length=2**70),
    "broken length": spoil_head(length=1.5),
    "length of words": spoil_head(length="many"),
    "length too long by one": lambda data: spoil_head(length=json.loads(data.split(b"\n")[0])["length"] + 1)(data),
    "greatest of words": spoil_head(greatest="zz"),
    "empty greatest": spoil_head(greatest=""),
    "no greatest": spoil_head(greatest=None),
    "greatest of another log": spoil_head(greatest="01990000-0000-7000-8000-000000000000"),
    "greatest too great": spoil_head(greatest=clock.LAST_ID),
    "no object": lambda data: b"[]\n" + data,
}


@pytest.mark.damaged
@pytest.mark.parametrize("spoil", SPOILED_STAMPS.values(), ids=SPOILED_STAMPS.keys())
def test_a_spoiled_stamp_is_not_believed(root: Path, spoil: Callable[[bytes], bytes]) -> None:
    sent = fill(root, 500)
    data = stamp_of(root).read_bytes()
    stamp_of(root).write_bytes(spoil(data))
    assert newest(root, 3) == sent[-3:]
    assert_tail_agrees(root)
    ids = [found.record_id for found in read_exactly(root, "t").messages]
    assert ids == sorted(set(ids))
    assert clock.seconds_of(ids[-1]) <= clock.now() + 1


@pytest.mark.damaged
@pytest.mark.parametrize("kind", ["directory", "link", "unreadable", "missing"])
def test_a_stamp_that_cannot_be_read_is_done_without(root: Path, kind: str) -> None:
    sent = fill(root, 500)
    stamp_of(root).unlink()
    if kind == "directory":
        stamp_of(root).mkdir()
    elif kind == "link":
        stamp_of(root).symlink_to("/dev/zero")
    elif kind == "unreadable":
        stamp_of(root).write_bytes(b"x")
        stamp_of(root).chmod(0)
    assert newest(root, 3) == sent[-3:]
    assert_tail_agrees(root)


def test_a_stamp_of_a_log_that_was_replaced_is_not_believed(root: Path, tmp_path: Path) -> None:
    fill(root, 500)
    other = tmp_path / "other"
    sent = fill(other, 600)
    shutil.copy(log_of(other), log_of(root))
    assert newest(root, 3) == sent[-3:]
    assert_tail_agrees(root)


def test_a_stamp_is_not_believed_for_another_last_line_of_the_same_last_bytes(root: Path) -> None:
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        messages.extend({"role": "user", "content": "x" * 30_000} for _ in range(3))
        first, *others = log_of(root).read_bytes().splitlines(keepends=True)
        log_of(root).write_bytes(b"".join([*others, first]))  # before the stamp is kept
    assert_tail_agrees(root)


def test_a_stamp_of_a_deleted_thread_says_nothing_of_the_next_one(root: Path) -> None:
    fill(root, 500)
    stamp = stamp_of(root).read_bytes()
    with Store.open(root, durability="process") as store:
        store.threads.delete("t")
        sent = store.threads.create("t").messages.extend({"role": "user", "content": "new" * 100} for _ in range(400))
    stamp_of(root).write_bytes(stamp)
    assert newest(root, 3) == sent[-3:]
    assert_tail_agrees(root)


def test_a_short_log_gets_no_stamp(root: Path) -> None:
    fill(root, 20)
    assert not stamp_of(root).exists()
    assert_tail_agrees(root)


@pytest.mark.parametrize("refused", ["open_fd", "write", "rename"])
def test_a_stamp_that_cannot_be_kept_harms_nobody_and_leaves_nothing(root: Path, monkeypatch, refused: str) -> None:
    fill(root, 1000)
    stamp_of(root).unlink()
    store = Store.open(root, durability="process")
    store.thread("t").messages.append("user", "more")
    with monkeypatch.context() as patch:
        patch.setattr(fs, refused, faults.failing(errno.EIO))
        store.close()
    assert not stamp_of(root).exists()
    assert os.listdir(root / ".fsstore" / "tmp") == []
    assert faults.descriptors(root) == []


def test_a_reader_keeps_no_stamp_and_changes_nothing(root: Path) -> None:
    fill(root, 500)
    stamp_of(root).unlink()
    before = sorted((path, path.lstat().st_mtime_ns) for path in root.rglob("*"))
    newest(root, 3)
    read_exactly(root, "t")
    assert sorted((path, path.lstat().st_mtime_ns) for path in root.rglob("*")) == before


@pytest.mark.parametrize("order", ["ours first", "theirs first", "shuffled", "an old line at the end"])
def test_a_git_merge_behind_a_stamp(root: Path, order: str, seed: int) -> None:
    fill(root, 400)
    base = log_of(root).read_bytes()
    sides = []
    for _ in range(2):
        log_of(root).write_bytes(base)
        with opened(root) as messages:
            first = messages.append("user", "a")
            messages.extend({"role": "user", "content": "x" * 100} for _ in range(20))
            messages.checkout(first.id)
            messages.append("user", "b")
        sides.append(log_of(root).read_bytes()[len(base) :])
    assert stamp_of(root).exists()
    ours, theirs = sides[1], sides[0]
    lines = (base + ours + theirs).splitlines(keepends=True)
    if order == "shuffled":
        random.Random(seed).shuffle(lines)
    elif order == "an old line at the end":
        lines.append(lines.pop(3))
    merged = (
        base + theirs + ours if order == "theirs first" else base + ours + theirs if order == "ours first" else b"".join(lines)
    )
    log_of(root).write_bytes(merged)
    assert_tail_agrees(root)
    assert len(read_exactly(root, "t").messages) == 400 + 2 * 22 + 1


def test_an_error_of_the_disk_in_the_tail_is_raised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, 500)
    real = fs.read_at

    def fails(fd: int, count: int, at: int) -> bytes:
        if count > 4096:
            raise OSError(5, "the disk is bad")
        return real(fd, count, at)

    monkeypatch.setattr(fs, "read_at", fails)
    with pytest.raises(OSError, match="the disk is bad"):
        newest(root, 3)


# Any history at all


SIZES = st.sampled_from([0, 10, 3_000, 40_000])
PLACE = st.integers(0, 1_000_000)
STEP = st.one_of(
    st.tuples(st.just("append"), SIZES),
    st.tuples(st.just("extend"), SIZES),
    st.tuples(st.just("fork"), PLACE),
    st.tuples(st.just("checkout"), PLACE | st.none()),
    st.tuples(st.just("remove"), PLACE),
    st.tuples(st.just("replace"), PLACE),
    st.tuples(st.just("clear"), st.integers(0, 9)),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("swap"), PLACE),
    st.tuples(st.just("duplicate"), PLACE),
    st.tuples(st.just("tear"), st.integers(1, 300)),
    st.tuples(st.just("junk"), st.sampled_from([b"\0\0\n", b"words\n", b"\n", b'{"id":"', b'{"id":"x"}\n'])),
)


class History:
    """A log with a past: what was done to it by its writer, and by others behind the writer's back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store.open(root, durability="process")
        self.messages = self.store.threads.create("t").messages
        self.count = 0

    def do(self, name: str, argument: Any) -> None:
        self.count += 1
        ids = [found.id for found in self.messages]
        chosen = ids[argument % len(ids)] if ids and isinstance(argument, int) else None
        if name in ("swap", "duplicate", "tear", "junk"):
            self.spoil(name, argument)
        elif name == "append":
            self.messages.append(
                "user", "x" * argument + f"{self.count}", given_id=f"g{self.count}" if argument == 10 else None
            )
        elif name == "extend":
            self.messages.extend({"role": "user", "content": "x" * argument + f"{self.count}.{n}"} for n in range(4))
        elif name == "reopen":
            self.store.close()
        elif name == "checkout":
            self.messages.checkout(chosen)
        elif name == "clear":
            if argument == 0:
                self.messages.clear()
        elif chosen and name == "remove":
            self.messages.remove(chosen)
        elif chosen:
            getattr(self.messages, name)(chosen, "user", f"{self.count} {name}")

    def spoil(self, name: str, argument: Any) -> None:
        path = log_of(self.root)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if not lines:
            return
        at = argument % len(lines) if isinstance(argument, int) else 0
        if name == "swap":
            lines.append(lines.pop(at))
        elif name == "duplicate":
            lines.insert(max(at, len(lines) - 2), lines[at])
        elif name == "tear":
            lines[-1] = lines[-1][:-argument]
        else:
            lines.append(argument)
        path.write_bytes(b"".join(lines))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(steps=st.lists(STEP, min_size=5, max_size=25))
@pytest.mark.damaged
def test_after_any_history_the_tail_and_the_whole_log_agree(tmp_path: Path, steps: list[tuple[str, Any]]) -> None:
    root = tmp_path / "any"
    shutil.rmtree(root, ignore_errors=True)
    history = History(root)
    for step in [("extend", 40_000), *steps]:
        history.do(*step)
    history.store.close()
    assert_tail_agrees(root)
    assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.campaign
def test_random_long_histories_agree_all_the_way(tmp_path: Path, seed: int, campaign: bool) -> None:
    rng = random.Random(seed)
    names = ["append"] * 8 + ["extend", "fork", "fork", "checkout", "checkout", "remove", "replace", "reopen", "reopen"]
    for run in range(200 if campaign else 2):
        history = History(tmp_path / f"run-{run}")
        for step in range(80):
            name = rng.choice(names if rng.random() < 0.9 else ["swap", "duplicate", "clear"])
            sized = name in ("append", "extend")
            history.do(
                name, rng.choice((0, 10, 3_000, 30_000)) if sized else rng.randrange(1_000_000) if name != "clear" else 0
            )
            if step % 8 == 7:
                history.store.close()
                assert_tail_agrees(history.root)


# What stands between two records, or hides a second one


@pytest.mark.damaged
@pytest.mark.parametrize("between", [b"\n", b'{"id":"0~\n', b"<<<<<<< ours\n", b"\r\n\n"])
@pytest.mark.parametrize("twin", [{"content": ""}, {"type": "gone"}, {"given_id": "other"}])
@pytest.mark.parametrize("first", [False, True])
def test_a_second_record_of_an_id_is_seen_past_what_is_no_record(
    root: Path, between: bytes, twin: dict[str, Any], first: bool
) -> None:
    sent = fill(root, 400)
    for at in (0, 399):
        lines = log_of(root).read_bytes().splitlines(keepends=True)
        again = {**message(sent[at].record_id, sent[at - 1].record_id if at else None), **twin}
        place = lines.index(next(line for line in lines if sent[at].record_id.encode() == line[7:43]))
        lines[place : place + 1] = [line_of(again), between, lines[place]] if first else [lines[place], between, line_of(again)]
        log_of(root).write_bytes(b"".join(lines))
        with opened(root) as messages:
            assert messages  # reads all of it
            messages.append("user", "leaves a stamp")
        assert_tail_agrees(root)


@pytest.mark.damaged
@pytest.mark.parametrize("odd", [["x"], {"a": 1}, 7, None])
@pytest.mark.parametrize("key", ["message_id", "replaces"])
def test_a_removal_that_names_no_text_removes_nothing(root: Path, key: str, odd: Any) -> None:
    sent = fill(root, 400)
    id = clock.new_id(sent[-1].record_id)
    append_lines(
        root, {"id": id, "type": "removed", key: odd} if key == "message_id" else message(id, sent[-1].record_id, replaces=odd)
    )
    assert_tail_agrees(root)


def test_a_line_longer_than_every_block_is_read_twice_at_the_most(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, read = 20_000_000, []
    with Store.open(root, durability="process") as store:
        messages = store.threads.create("t").messages
        sent = [messages.append("user", "first"), messages.append("user", "y" * size)]
    real = fs.read_at

    def counted(fd: int, count: int, at: int) -> bytes:
        data = real(fd, count, at)
        read.append(len(data))
        return data

    monkeypatch.setattr(fs, "read_at", counted)
    assert newest(root, 2) == sent
    assert sum(read) < 2 * size + 100_000  # once for the stamp
    assert len(read) < 60


@pytest.mark.damaged
def test_a_live_writer_sees_a_second_record_in_a_line_of_a_chain(root: Path) -> None:
    fill(root, 400)
    with opened(root) as messages:
        last = messages.append("user", "the log is held open from here on")
        ids = [clock.new_id(last.record_id)]
        for _ in range(2):
            ids.append(clock.new_id(ids[-1]))
        lines = line_of(message(ids[0], last.record_id))[:-1], line_of({"id": ids[1], "type": "!new"})
        log_of(root).write_bytes(log_of(root).read_bytes() + b"".join(lines) + line_of(message(ids[2], ids[0])))
        with pytest.raises(FormatError):
            messages.append("user", "mine")


@pytest.mark.damaged
def test_a_live_writer_takes_no_older_record_behind_a_fragment_for_the_leaf(root: Path) -> None:
    sent = fill(root, 400)
    with opened(root) as messages:
        last = messages.append("user", "the log is held open from here on")
        fragment = line_of(message(clock.new_id(last.record_id), last.record_id, "torn"))[:-20]
        older = clock.spell_id(clock.stamp_of(sent[0].record_id) - 1, "8000-000000000000")
        with log_of(root).open("ab") as file:
            file.write(fragment + line_of(message(older, None, "older")))
        assert messages.append("user", "mine").parent_id == last.id
    assert_tail_agrees(root)
