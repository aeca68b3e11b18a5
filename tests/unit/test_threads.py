from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import faults
import processes
import pytest

from fsstore import (
    AlreadyExistsError,
    CorruptError,
    FormatError,
    InvalidNameError,
    MessageNotFoundError,
    Store,
    SyncFailedError,
    ThreadInfo,
    ThreadNotFoundError,
    ThreadStatus,
    clock,
    layout,
)
from fsstore.disk.collection import Collection


def meta(store: Store, id: str) -> Path:
    return Path(store.thread(id).directory, layout.META)


def edit(path: Path, **changes: Any) -> None:
    """Change a document as a person or a newer version would."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=2, sort_keys=True) + "\n")


def trash(store: Store) -> list[str]:
    """The threads in the trash, below it; a place that was made for one that never came holds none."""
    place = Path(store.root, layout.TRASH)
    return sorted(str(path.relative_to(place)) for path in place.glob("*/threads/*"))


# create, put, update


def test_a_created_thread_is_there_with_what_was_given(store: Store):
    thread = store.threads.create(name="Fix the parser", cwd="/repo", model_provider="anthropic", metadata={"k": [1, None]})
    info = store.threads.get(thread.id)
    assert info == thread.info()
    assert (info.name, info.cwd, info.model_provider, info.metadata) == (
        "Fix the parser",
        "/repo",
        "anthropic",
        {"k": [1, None]},
    )
    assert clock.is_id(thread.id)
    assert info.status is ThreadStatus.IDLE
    assert thread.id in store.threads
    assert store.threads[thread.id].id == thread.id


def test_a_missing_thread_is_none_or_raises(store: Store):
    assert store.threads.get("t") is None
    assert "t" not in store.threads
    for call in (lambda: store.threads["t"], lambda: store.threads.update("t", name="x"), store.thread("t").info):
        with pytest.raises(ThreadNotFoundError) as raised:
            call()
        assert raised.value.id == "t"
    with pytest.raises(ThreadNotFoundError):
        store.thread("t").archive()
    with pytest.raises(ThreadNotFoundError):
        store.thread("t").unarchive()
    assert store.threads.delete("t") is False
    assert os.listdir(Path(store.root, layout.THREADS)) == []


def test_a_second_creation_is_refused_and_changes_nothing(store: Store):
    store.threads.create("t", name="first")
    before = meta(store, "t").read_bytes()
    with pytest.raises(AlreadyExistsError) as raised:
        store.threads.create("t", name="second")
    assert isinstance(raised.value, FileExistsError)
    assert meta(store, "t").read_bytes() == before
    assert b"second" not in Path(store.root, layout.INDEX).read_bytes()


def test_a_second_creation_is_refused_where_the_first_cannot_be_read(store: Store):
    store.threads.create("t")
    meta(store, "t").write_text("{")
    with pytest.raises((AlreadyExistsError, CorruptError)):
        store.threads.create("t")
    assert meta(store, "t").read_text() == "{"
    shutil.rmtree(store.thread("t").directory)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2**64, {1: 2}, (1, 2), {"a": {"b": {3}}}, "\ud800", b"x"])
def test_what_json_cannot_hold_is_refused_before_anything_is_made(store: Store, bad: Any):
    for field in ("metadata", "extra"):
        with pytest.raises(ValueError, match=r"cannot be stored|surrogate|string"):
            store.threads.create("t", name="n", **{field: {"key": bad}})
    with pytest.raises(ValueError, match=r"cannot be stored|surrogate|string"):
        store.threads.put(ThreadInfo(id="t", name="n", metadata=bad))
    assert os.listdir(Path(store.root, layout.THREADS)) == []
    assert not Path(store.root, layout.INDEX).exists()


@pytest.mark.parametrize("bad", ["", "x" * 1001, "\ud800"])
def test_an_id_that_cannot_be_kept_is_refused(store: Store, bad: str):
    for call in (store.threads.create, store.threads.handle, store.threads.get, store.threads.delete):
        with pytest.raises(InvalidNameError):
            call(bad)
    assert os.listdir(Path(store.root, layout.THREADS)) == []


def test_put_inserts_and_overwrites_but_the_messages_stay(store: Store):
    store.threads.put(ThreadInfo(id="t", preview="old", cwd="/a", created_at=5, updated_at=6))
    store.thread("t").messages.append("user", "stays")
    store.threads.put(ThreadInfo(id="t", preview="new", updated_at=7))
    info = store.threads.get("t")
    assert (info.preview, info.cwd, info.updated_at) == ("new", "", 7)
    assert faults.texts(store) == ["stays"]


def test_a_created_at_that_nobody_gave_does_not_replace_the_old_one(store: Store):
    store.threads.put(ThreadInfo(id="t", created_at=5, updated_at=5))
    store.threads.put(ThreadInfo(id="t", preview="default"))
    assert store.threads.get("t").created_at == 5
    assert store.threads.get("t").updated_at > 5
    store.threads.put(ThreadInfo(id="t", created_at=3))
    assert store.threads.get("t").created_at == 3


def test_put_keeps_the_fields_it_is_told_to_keep(store: Store):
    store.threads.put(ThreadInfo(id="t", memory_mode="full", preview="old"))
    store.threads.put(ThreadInfo(id="t", memory_mode="none", preview="new"), keep=("memory_mode",))
    assert (store.threads.get("t").memory_mode, store.threads.get("t").preview) == ("full", "new")


def test_update_changes_only_what_it_names(store: Store):
    store.threads.put(ThreadInfo(id="t", preview="p", cwd="/a", updated_at=9))
    info = store.threads.update("t", cwd="/b")
    assert info == store.threads.get("t")
    assert (info.preview, info.cwd, info.updated_at) == ("p", "/b", 9)


def test_archiving_and_back_is_told_by_status_and_time(store: Store):
    store.threads.put(ThreadInfo(id="t", updated_at=9))
    archived = store.thread("t").archive()
    assert (archived.archived, archived.status, archived.updated_at) == (True, "archived", 9)
    assert archived.archived_at >= 1_700_000_000
    back = store.thread("t").unarchive()
    assert (back.archived, back.status, back.archived_at, back.updated_at) == (False, "idle", None, 9)
    store.threads.update("t", status="failed", archived=True)
    assert store.thread("t").unarchive().status == "failed"


@pytest.mark.damaged
def test_unknown_keys_and_values_are_kept_through_every_rewrite(store: Store):
    store.threads.create("t", name="n", extra={"from_create": {"deep": [1]}})
    edit(meta(store, "t"), from_future=[1, {"a": None}], status="dreaming", source="telepathy")
    rewrites: list[Callable[[], object]] = [
        lambda: store.threads.update("t", preview="p"),
        lambda: store.threads.put(store.threads.get("t")),
        lambda: store.threads.put(ThreadInfo(id="t", name="n", status="dreaming", source="telepathy")),
        lambda: store.threads.update("t", name="other"),
    ]
    for rewrite in rewrites:
        rewrite()
        info = store.threads.get("t")
        assert info.extra == {"from_create": {"deep": [1]}, "from_future": [1, {"a": None}]}
        assert (info.status, info.source) == ("dreaming", "telepathy")
        on_disk = json.loads(meta(store, "t").read_text())
        assert on_disk["from_future"] == [1, {"a": None}]


@pytest.mark.parametrize("key", ["deleted", "versions", "id", "extra", "type", "parent_id"])
@pytest.mark.parametrize("value", [True, 1, {"": "x"}])
def test_a_callers_key_with_a_name_of_the_stores_own_is_kept_or_refused(store: Store, key: str, value: Any):
    try:
        store.threads.create("t", extra={key: value})
    except ValueError:
        assert store.threads.get("t") is None
        return
    assert store.threads.ids() == ["t"]
    info = store.threads.get("t")
    assert info.id == "t"
    assert info.extra in ({key: value}, {} if key == "id" else None)
    store.threads.update("t", preview="p")
    assert store.threads.get("t").extra == info.extra


# Damage


CORRUPT = {
    "empty": b"",
    "torn": b'{"id": "t", "vers',
    "no object": b"[1]\n",
    "null": b"null\n",
    "NUL": bytes(200),
    "not UTF-8": b'{"id": "t\xff"}\n',
    "no versions": b'{"id": "t"}\n',
    "conflict": b'<<<<<<< ours\n{"id": "t"}\n=======\n{"id": "t"}\n>>>>>>> theirs\n',
    "another id": b'{"id": "u", "versions": {"": "01890000-0000-7000-8000-000000000000"}}\n',
    "no id": b'{"versions": {"": "01890000-0000-7000-8000-000000000000"}}\n',
    "late version": b'{"id": "t", "versions": {"": "ffffffff-0000-7000-8000-000000000000"}}\n',
}


@pytest.mark.damaged
@pytest.mark.parametrize("data", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_meta_raises_is_never_overwritten_and_listings_skip_it(store: Store, data: bytes):
    store.threads.create("good").messages.append("user", "x")
    store.threads.create("t").messages.append("user", "still readable")
    meta(store, "t").write_bytes(data)
    calls: list[Callable[[], object]] = [
        lambda: store.threads.get("t"),
        store.thread("t").info,
        lambda: store.threads.put(ThreadInfo(id="t", preview="over it")),
        lambda: store.threads.update("t", preview="over it"),
        store.thread("t").archive,
    ]
    for call in calls:
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(meta(store, "t"))
        assert raised.value.reason
    assert meta(store, "t").read_bytes() == data
    assert [info.id for info in store.threads] == ["good"]
    assert [info.id for info in store.threads.recent(None)] == ["good"]
    assert store.threads.unreadable() == ["t"]
    assert [problem.path for problem in store.check()] == ["threads/t/meta.json"]
    assert faults.texts(store) == ["still readable"]
    store.thread("t").messages.append("user", "and writable")
    assert meta(store, "t").read_bytes() == data


def test_a_thread_that_is_made_while_somebody_looks_is_not_unreadable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.threads.create("t")
    documents = store.threads._documents
    listed = list(documents.all())

    def listed_before() -> Iterator[Any]:
        store.threads.create("new")
        return iter(listed)

    monkeypatch.setattr(Collection, "all", lambda self: listed_before())
    assert store.threads.unreadable() == []


@pytest.mark.damaged
@pytest.mark.parametrize("data", [b"", b'{"versions": {"": "01890000-0000-7000-8000-000000000000"}}\n', CORRUPT["another id"]])
def test_a_corrupt_meta_below_a_hashed_name_is_skipped_too(store: Store, data: bytes):
    long = "x" * 500
    store.threads.create(long)
    store.threads.create("good")
    meta(store, long).write_bytes(data)
    assert store.threads.ids() == ["good"]
    assert [info.id for info in store.threads.recent()] == ["good"]


@pytest.mark.damaged
@pytest.mark.parametrize("odd", [None, "yesterday", [], -5, 1.5, 10**30])
def test_a_time_that_is_no_time_stops_no_listing(store: Store, odd: Any):
    store.threads.create("good")
    store.threads.create("t")
    edit(meta(store, "t"), updated_at=odd, created_at=odd)
    for by in ("last_activity", "updated_at"):
        assert "good" in [info.id for info in store.threads.recent(by=by)]
    assert store.threads.ids() == ["good", "t"]


@pytest.mark.damaged
def test_a_log_that_needs_a_newer_version_stops_reading_it_but_no_listing(store: Store):
    store.threads.create("good")
    store.threads.create("t").messages.append("user", "x")
    with open(store.thread("t").messages.path, "ab") as file:
        file.write(b'{"id":"%s","type":"!future"}\n' % clock.new_id().encode())
    with pytest.raises(FormatError):
        store.thread("t").messages.branch()
    with pytest.raises(FormatError):
        store.thread("t").messages.append("user", "y")
    assert {info.id for info in store.threads.recent()} == {"good", "t"}


def test_strange_entries_among_the_threads_are_passed_over(store: Store, root: Path):
    store.threads.create("t")
    strange = [root / "threads" / name for name in ("UPPER", ".hidden", "with space", "%zz")]
    for path in strange:
        path.mkdir()
    (root / "threads" / "file").write_text("x")
    assert store.threads.ids() == ["t"]
    assert [info.id for info in store.threads] == ["t"]
    for path in strange:
        path.rmdir()
    (root / "threads" / "file").unlink()


# recent


def test_recent_is_newest_first_and_ties_go_by_the_last_write(store: Store):
    for id, at in (("a", 10), ("b", 30), ("c", 20), ("d", 20)):
        store.threads.put(ThreadInfo(id=id, created_at=at, updated_at=at))
    assert [info.id for info in store.threads.recent()] == ["b", "d", "c", "a"]
    store.threads.update("c", preview="written again")
    assert [info.id for info in store.threads.recent(by="updated_at")] == ["b", "c", "d", "a"]


def test_recent_counts_a_message_as_activity_and_updated_at_does_not(store: Store):
    for id in "ab":
        store.threads.put(ThreadInfo(id=id, created_at=10, updated_at=10))
    store.threads.put(ThreadInfo(id="c", created_at=10, updated_at=20))
    store.thread("a").messages.append("user", "x", created_at=30)
    assert [info.id for info in store.threads.recent()][:2] == ["a", "c"]
    assert next(info.id for info in store.threads.recent(by="updated_at")) == "c"
    assert store.thread("a").last_activity() == 30
    assert store.thread("c").last_activity() == 20
    assert store.threads.get("a").updated_at == 10


def test_recent_holds_its_limit_and_leaves_out_what_is_archived(store: Store):
    for number in range(60):
        store.threads.put(ThreadInfo(id=f"{number:02d}", updated_at=number))
    store.thread("59").archive()
    assert len(store.threads.recent()) == 50
    assert [info.id for info in store.threads.recent(2)] == ["58", "57"]
    assert [info.id for info in store.threads.recent(2, archived=True)] == ["59", "58"]
    assert len(store.threads.recent(None)) == 59
    assert store.threads.recent(0) == []
    with pytest.raises(ValueError, match="limit"):
        store.threads.recent(-1)


def test_ids_come_back_byte_for_byte(store: Store):
    ids = [
        "../../etc/passwd",
        "a/b",
        "a:b",
        "a_b",
        "A",
        "a",
        "CON",
        ".",
        "..",
        "end.",
        "🙂",
        "e\u0301",
        "\u00e9",
        "\0",
        "x" * 1000,
        " ",
    ]
    for id in ids:
        store.threads.create(id).messages.append("user", id)
    assert sorted(store.threads.ids()) == sorted(ids)
    with Store.open(store.root, read_only=True) as fresh:
        for id in ids:
            assert fresh.threads.get(id).id == id
            assert [message.content for message in fresh.thread(id).messages] == [id]
    names = os.listdir(Path(store.root, layout.THREADS))
    assert len({name.lower() for name in names}) == len(ids)


def test_a_message_is_found_by_its_id_alone(store: Store):
    wanted = None
    for number in range(5):
        messages = store.threads.create(str(number)).messages
        messages.append("user", "x")
        wanted = messages.append("user", "y", given_id=f"given-{number}-é")
    assert store.threads.with_message("given-3-é").id == "3"
    assert store.threads.with_message(wanted.record_id).id == "4"
    with pytest.raises(MessageNotFoundError):
        store.threads.with_message("nowhere")


# delete


def test_a_deleted_thread_is_gone_whole_and_kept_in_the_trash(store: Store, root: Path):
    thread = store.threads.create("t", name="n")
    thread.messages.append("user", "x")
    thread.runs.create("r").steps.create("s")
    before = {path.name: path.read_bytes() for path in Path(thread.directory).rglob("*.json*")}
    assert store.threads.delete("t") is True
    assert store.threads.delete("t") is False
    assert store.threads.ids() == []
    assert list(thread.messages) == []
    (name,) = trash(store)
    after = {path.name: path.read_bytes() for path in (root / layout.TRASH / name).rglob("*.json*")}
    assert after == before


def test_a_deletion_is_remembered_with_the_leaves_and_versions_that_it_saw(store: Store, root: Path):
    thread = store.threads.create("t")
    first = thread.messages.append("user", "x")
    left = thread.messages.append("user", "left")
    right = thread.messages.fork(first.id, "user", "right")
    thread.runs.create("r").steps.create("s")
    store.threads.delete("t")
    record = json.loads((root / layout.INDEX).read_text().splitlines()[-1])
    assert (record["type"], record["thread_id"]) == ("deleted", "t")
    assert sorted(record["leaf_ids"]) == [left.record_id, right.record_id]
    assert sorted(record["versions"]) == ["meta.json", "runs/r/status.json", "runs/r/steps/s.json"]
    assert next(iter(record)) == "id"


@pytest.mark.parametrize("durability", ["full", "process"])
def test_the_tombstone_is_synced_before_the_directory_is_renamed(root: Path, monkeypatch, durability: str):
    with Store.open(root, durability=durability) as store:
        store.threads.create("t").messages.append("user", "x")
        calls = faults.Calls(monkeypatch, ["write", "sync", "rename", "sync_directory"])
        store.threads.delete("t")
    names = calls.names()
    assert names.index("write") < names.index("sync") < names.index("rename")
    at = names.index("rename")
    before, after = ([where for name, where in part if name == "sync_directory"] for part in (calls[:at], calls[at:]))
    assert f"{root}/{layout.TRASH}" in before, "the place in the trash is durable before anything is moved there"
    assert f"{root}/{layout.THREADS}" in after


def test_when_the_tombstone_cannot_be_synced_the_thread_stays(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.threads.create("t").messages.append("user", "x")
    faults.fail_once(monkeypatch, "sync")
    with pytest.raises(SyncFailedError):
        store.threads.delete("t")
    assert faults.texts(store) == ["x"]
    assert store.threads.delete("t") is True


def test_a_deletion_without_room_in_the_trash_is_refused_before_it_is_noted(store: Store, root: Path, monkeypatch):
    store.threads.create("t").messages.append("user", "kept")
    faults.fail_once(monkeypatch, "mkdir", errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        store.threads.delete("t")
    with Store.open(root) as other:  # which ends deletions that were begun
        assert [message.content for message in other.thread("t").messages] == ["kept"]
    assert store.threads.delete("t") is True


def test_a_thread_deleted_with_a_long_log_leaves_nothing_that_check_minds(store: Store):
    store.threads.create("t").messages.extend([{"role": "user", "content": "x" * 100}] * 1_000)
    store.close()
    assert os.listdir(Path(store.root, layout.CACHE)) != []
    store.thread("t").messages.append("user", "warm")
    store.threads.delete("t")
    assert list(store.check()) == []


def test_a_thread_with_a_corrupt_meta_can_be_deleted(store: Store):
    store.threads.create("t")
    meta(store, "t").write_text("{")
    assert store.threads.delete("t") is True
    assert store.threads.ids() == []


def interrupt_deletion(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete thread t, and die between the tombstone and the rename."""
    faults.fail_once(monkeypatch, "rename", errno.EINTR)
    with pytest.raises(OSError, match="Interrupted"):
        store.threads.delete("t")
    assert "t" in store.threads
    assert trash(store) == []


def test_an_interrupted_deletion_is_finished_by_the_next_open(store: Store, root: Path, monkeypatch):
    thread = store.threads.create("t", name="n")
    thread.messages.append("user", "x")
    thread.runs.create("r")
    interrupt_deletion(store, monkeypatch)
    Store.open(root, read_only=True).close()
    assert "t" in store.threads
    Store.open(root).close()
    assert store.threads.ids() == []
    assert len(trash(store)) == 1
    Store.open(root).close()
    assert len(trash(store)) == 1


WRITES: dict[str, Callable[[Store], object]] = {
    "append": lambda store: store.thread("t").messages.append("user", "since"),
    "checkout": lambda store: store.thread("t").messages.checkout(None),
    "remove the leaf": lambda store: store.thread("t").messages.remove(store.thread("t").messages.leaf().id),
    "remove the root": lambda store: store.thread("t").messages.remove(next(iter(store.thread("t").messages)).id),
    "update": lambda store: store.threads.update("t", preview="since"),
    "run": lambda store: store.thread("t").runs.create("q"),
    "run's end": lambda store: store.thread("t").runs["r"].finish(),
    "step": lambda store: store.thread("t").runs["r"].steps.create("s"),
    "accrual": lambda store: store.thread("t").goal.accrue(tokens=1),
    "goal": lambda store: store.thread("t").goal.update(objective="since"),
    "checkpoint": lambda store: store.thread("t").checkpoints.save("since", 1),
    "tools": lambda store: store.thread("t").tools.replace([]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_interrupted_deletion_is_dropped_where_somebody_wrote_since(store: Store, root: Path, monkeypatch, write):
    thread = store.threads.create("t")
    thread.messages.extend([{"role": "user", "content": number} for number in range(3)])
    thread.runs.create("r")
    thread.goal.set("objective")
    interrupt_deletion(store, monkeypatch)
    write(store)
    Store.open(root).close()
    assert store.threads.ids() == ["t"]
    assert trash(store) == []
    assert store.threads.delete("t") is True


def test_a_deletion_killed_at_any_call_is_finished_or_never_was(root: Path):
    Store.open(root).close()
    there = processes.run(children.kill_deletions, str(root))
    assert len(there) >= 5
    kept = [str(number) for number in range(there.count(True))]
    assert there == [True] * len(kept) + [False] * (len(there) - len(kept))
    assert len(kept) == 3  # two directories in the trash are made, then comes the tombstone
    with Store.open(root) as store:
        assert store.threads.ids() == kept
        assert [faults.texts(store, id) for id in kept] == [["x"]] * len(kept)
        assert len(trash(store)) == len(there) - len(kept) + 1  # and the one whose process was not killed


def test_a_late_append_after_another_processs_deletion_raises_and_recreates_nothing(store: Store, root: Path):
    thread = store.threads.create("t")
    thread.messages.append("user", "warm")
    thread.runs.create("r")
    with processes.start(children.append_when_told, str(root), "t", "process") as other:
        other.hear()
        other.tell("warm too")
        other.hear()
        store.threads.delete("t")
        other.tell("late")
        assert isinstance(other.hear(), ThreadNotFoundError)
    late: list[Callable[[], object]] = [
        lambda: thread.messages.append("user", "late"),
        lambda: thread.messages.checkout(None),
        lambda: thread.runs.create("q"),
        lambda: thread.runs.handle("r").finish(),
        lambda: thread.runs.handle("r").steps.create("s"),
        thread.archive,
        thread.info,
    ]
    for call in late:
        with pytest.raises(LookupError):
            call()
    assert os.listdir(root / layout.THREADS) == []
    (name,) = trash(store)
    data = (root / layout.TRASH / name / layout.MESSAGES).read_bytes()
    assert b"late" not in data
    assert data.count(b"\n") == 2


@pytest.mark.parametrize("how", ["create", "put"])
def test_a_thread_created_again_begins_with_a_clear_and_sees_nothing_of_the_old_one(store: Store, how: str):
    thread = store.threads.create("t", preview="old")
    first = thread.messages.append("user", "old")
    leaves = [thread.messages.append("user", "left").record_id, thread.messages.fork(first.id, "user", "right").record_id]
    thread.runs.create("r")
    old_version = json.loads(meta(store, "t").read_text())["versions"][""]
    old_ids = [message.record_id for message in thread.messages]
    store.threads.delete("t")
    store.threads.create("t") if how == "create" else store.threads.put(ThreadInfo(id="t"))
    record = json.loads(faults.raw(store))
    assert (record["type"], sorted(record["leaf_ids"])) == ("clear", sorted(leaves))
    assert record["id"] > max(old_ids)
    assert json.loads(meta(store, "t").read_text())["versions"][""] > old_version
    assert list(thread.messages) == []
    assert thread.messages.leaf() is None
    assert thread.info().preview == ""
    assert list(thread.runs) == []
    new = thread.messages.append("user", "new")
    assert new.parent_id is None
    assert new.record_id > record["id"]
    assert faults.texts(store) == ["new"]
    assert Store.open(store.root).threads.ids() == ["t"]


def test_the_old_messages_stay_gone_when_another_copy_brings_their_lines_back(store: Store):
    thread = store.threads.create("t")
    thread.messages.extend([{"role": "user", "content": number} for number in range(3)])
    old = faults.raw(store)
    store.threads.delete("t")
    store.threads.create("t")
    thread.messages.append("user", "new")
    faults.replace(thread.messages.path, old + faults.raw(store))
    assert faults.texts(store) == ["new"]
    assert thread.messages.append("user", "newer").parent_id is not None
    assert faults.texts(store) == ["new", "newer"]


def test_a_thread_deleted_twice_is_cleared_of_both(store: Store):
    for text in ("one", "two"):
        store.threads.create("t").messages.append("user", text)
        store.threads.delete("t")
    store.threads.create("t")
    assert len(json.loads(faults.raw(store))["leaf_ids"]) == 2
    assert len(trash(store)) == 2
    assert faults.texts(store) == []


def test_a_creation_killed_after_its_clear_is_finished_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.threads.create("t").messages.append("user", "old")
    store.threads.delete("t")
    faults.fail_once(monkeypatch, "rename")
    with pytest.raises(OSError, match="Input/output"):
        store.threads.create("t")
    assert store.threads.get("t") is None
    with pytest.raises(ThreadNotFoundError):
        Store.open(store.root).thread("t").messages.append("user", "too early")
    store.threads.create("t").messages.append("user", "new")
    assert faults.texts(store) == ["new"]
    assert faults.raw(store).count(b'"clear"') == 1


def test_of_processes_that_create_one_thread_exactly_one_succeeds(root: Path):
    Store.open(root).close()
    results = processes.run_all(children.create, [(str(root), "t")] * 4)
    assert sorted(results) == ["AlreadyExistsError"] * 3 + ["created"]


def test_updates_of_different_fields_by_two_processes_are_both_kept(root: Path):
    with Store.open(root) as store:
        store.threads.create("t")
        fields = ["preview", "cwd", "cli_version"]
        processes.run_all(children.update_often, [(str(root), "t", field, 30) for field in fields])
        info = store.threads.get("t")
        assert [getattr(info, field) for field in fields] == ["29"] * 3


# Names in the index


def test_a_name_is_noted_in_the_index_before_the_thread_has_it(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    store.threads.create("t", name="first")
    faults.fail_once(monkeypatch, "rename")
    with pytest.raises(OSError, match="Input/output"):
        store.threads.update("t", name="second")
    assert store.threads.get("t").name == "first"
    rows = [json.loads(line) for line in (root / layout.INDEX).read_text().splitlines()]
    assert [row["thread_name"] for row in rows] == ["first", "second"]
    assert [row["thread_id"] for row in rows] == ["t", "t"]


def test_an_update_without_a_name_leaves_the_index_alone(store: Store, root: Path):
    store.threads.create("t", name="n")
    before = (root / layout.INDEX).read_bytes()
    store.threads.update("t", preview="p")
    store.thread("t").archive()
    assert (root / layout.INDEX).read_bytes() == before


@pytest.mark.damaged
def test_an_index_that_needs_a_newer_version_is_not_written_over(store: Store, root: Path):
    store.threads.create("t", name="n")
    with open(root / layout.INDEX, "ab") as file:
        file.write(b'{"id":"%s","type":"!future"}\n' % clock.new_id().encode())
    with pytest.raises(FormatError):
        store.threads.delete("t")
    with pytest.raises(FormatError):
        store.threads.create("u", name="m")
    assert store.threads.ids() == ["t"]


def test_handles_are_made_without_number_and_stay_the_same_thread(store: Store):
    first = store.thread("0")
    store.threads.create("0")
    for number in range(600):
        store.thread(str(number))
    first.messages.append("user", "x")
    store.thread("0").messages.append("user", "y")
    assert faults.texts(store, "0") == ["x", "y"]


@pytest.mark.parametrize("call", ["write", "sync"])
def test_what_finds_no_room_for_the_thread_notes_no_name(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    store.threads.create("t", name="old")
    index = (root / layout.INDEX).read_bytes()
    for write in (
        lambda: store.threads.create("new", name="new"),
        lambda: store.threads.put(ThreadInfo(id="new", name="new")),
        lambda: store.threads.put(ThreadInfo(id="t", name="new")),
        lambda: store.threads.update("t", name="new"),
        lambda: store.thread("t").rename("new"),
        lambda: store.threads.move("t", "new"),
    ):
        faults.fail_once(monkeypatch, call, errno.ENOSPC)
        with pytest.raises(OSError, match="No space left on device"):
            write()
        assert (root / layout.INDEX).read_bytes() == index
        assert os.listdir(root / layout.THREADS) == ["t"]
    assert store.names.get_all(["t", "new"]) == {"t": "old", "new": None}
