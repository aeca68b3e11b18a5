"""Looking for a message by its id alone: in the threads used lately, then in all."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import line_of
from faults import Calls

from fsstore import MessageNotFoundError, Store
from fsstore.disk import fs
from fsstore.resources import stamp
from fsstore.resources.tail import find_line

LONG = "x" * 4000


@pytest.fixture
def many(root: Path) -> dict[str, list[str]]:
    """Give the message ids of some threads, each with a log whose end is read without the rest."""
    with Store.open(root, durability="process") as store:
        ids = {}
        for name in "abcde":
            sent = store.threads.create(name).messages.extend({"role": "user", "content": LONG} for _ in range(40))
            ids[name] = [message.id for message in sent]
            assert Path(store.thread(name).messages.path).stat().st_size > stamp.SMALLEST
    return ids


def logs_opened(calls: Calls) -> set[str]:
    """Give the threads whose logs were opened."""
    return {Path(path).parent.name for _, path in calls if str(path).endswith("messages.jsonl")}


def test_a_message_of_a_thread_just_read_is_found_without_opening_other_logs(
    root: Path, many: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(root, read_only=True)
    for name in "bd":
        store.thread(name).messages.branch(5)
    calls = Calls(monkeypatch, ["open_fd"])
    for at in (0, 20, -1):
        assert store.threads.with_message(many["d"][at]).id == "d"
    assert logs_opened(calls) == {"d"}
    assert store.threads.with_message(many["b"][7]).id == "b"
    assert logs_opened(calls) == {"b", "d"}
    assert store.threads.with_message(many["e"][7]).id == "e"  # that one nobody used
    assert logs_opened(calls) == set("abcde")


def test_listing_threads_does_not_push_out_those_in_use(
    root: Path, many: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(root, durability="process")
    for number in range(300):
        store.threads.create(f"more-{number}")
    store = Store.open(root, read_only=True)
    store.thread("c").messages.branch(5)
    assert len(store.threads.recent(None)) == 305
    calls = Calls(monkeypatch, ["open_fd"])
    assert store.threads.with_message(many["c"][3]).id == "c"
    assert logs_opened(calls) == {"c"}


@pytest.mark.damaged
def test_a_message_is_found_where_the_order_of_the_ids_does_not_lead_to_it(root: Path, many: dict[str, list[str]]) -> None:
    store = Store.open(root, read_only=True)
    path = Path(store.thread("c").messages.path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[20:] + lines[:20]))
    store.thread("c").messages.branch(5)
    for id in many["c"]:
        assert store.threads.with_message(id).id == "c"


def test_a_message_that_was_removed_is_found_no_more(root: Path, many: dict[str, list[str]]) -> None:
    store = Store.open(root, durability="process")
    id = many["a"][10]
    assert store.threads.with_message(id).id == "a"
    store.thread("a").messages.remove(id)
    with pytest.raises(MessageNotFoundError):
        store.threads.with_message(id)


def test_every_line_is_found_by_bisection_and_no_other(root: Path, many: dict[str, list[str]]) -> None:
    fd = fs.open_read(f"{root}/threads/b/messages.jsonl")
    size = fs.fstat(fd).st_size
    for at, id in enumerate(many["b"]):
        place = find_line(fd, id.encode(), size)
        assert fs.read_at(fd, 43, place) == b'{"id":"' + id.encode(), at
        assert find_line(fd, id.encode(), place) == -1  # it begins at the end that was given
    for id in many["a"] + many["c"]:
        assert find_line(fd, id.encode(), size) == -1
    fs.close(fd)


def test_bisection_is_not_misled_by_an_object_inside_a_record(tmp_path: Path, many: dict[str, list[str]]) -> None:
    outer, inner = many["a"][:2]
    path = tmp_path / "log.jsonl"
    path.write_bytes(line_of({"id": outer, "item": {"id": inner}}))
    fd = fs.open_read(str(path))
    assert find_line(fd, inner.encode(), path.stat().st_size) == -1
    assert find_line(fd, outer.encode(), path.stat().st_size) == 0
    fs.close(fd)
