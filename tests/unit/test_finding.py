"""Looking for a message by its id alone: in the threads used lately, then in all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import line_of
from faults import Calls

from fsstore import MessageNotFoundError, Store, clock, codec
from fsstore.disk import fs
from fsstore.resources import finding, stamp
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


# By an id that a caller gave, in any spelling


def give(store: Store, thread: str, *ids: str) -> list[str]:
    """Add messages of given ids to a thread, which is made where it is missing; give their record ids."""
    handle = store.threads[thread] if thread in store.threads else store.threads.create(thread)
    return [handle.messages.append("user", "hi", given_id=id).record_id for id in ids]


def find(store: Store, id: str) -> str:
    """Give the thread of a message as this store and one that knows nothing yet find it."""
    with Store.open(store.root, read_only=True) as fresh:
        found = fresh.threads.with_message(id).id
    assert store.threads.with_message(id).id == found
    return found


def assert_nowhere(store: Store, id: str) -> None:
    with Store.open(store.root, read_only=True) as fresh:
        for opened in (store, fresh):
            with pytest.raises(MessageNotFoundError) as raised:
                opened.threads.with_message(id)
            assert raised.value.id == id


@pytest.mark.parametrize(
    "id",
    [
        *("1", "0", "msg_1", " ", "id", "null", "given_id", "user", "a" * 5_000, "caf\u00e9", "\N{PILE OF POO}"),
        *(
            '"',
            '"id"',
            "\\",
            "\\u0041",
            "a/b",
            "<b>&'+`",
            "new\nline",
            "\0",
            "\x7f",
            "\u2028",
            '{"id":"1"}',
            '","parent_id":null',
        ),
    ],
    ids=ascii,
)
def test_any_given_id_is_found_and_what_only_quotes_it_is_not(store: Store, id: str) -> None:
    store.threads.create("quotes").messages.extend(
        {"role": "user", "content": text} for text in (id, f'"{id}"', {"id": id, "given_id": id}, [id], f'"given_id":"{id}"')
    )
    store.thread("quotes").messages.append(id, id, item={"given_id": id}, run_id=id, extra={"given": id})
    assert_nowhere(store, id)
    give(store, "holds", f"{id}x", id, f"x{id}")
    assert find(store, id) == "holds"
    assert_nowhere(store, f"{id}xx")


@pytest.mark.parametrize("id", [b"raw", 5, None, ["m"]], ids=repr)
def test_what_is_no_text_names_no_message(store: Store, id: object) -> None:
    give(store, "t", "5")
    with pytest.raises(MessageNotFoundError):
        store.threads.with_message(id)  # type: ignore[arg-type]


@pytest.mark.parametrize("id", ["", "half \ud800 a pair", "x" * 3_000_000])
def test_an_id_that_no_message_has_is_not_found(store: Store, id: str) -> None:
    give(store, "t", "5")
    assert_nowhere(store, id)


SPELLINGS = {
    "as Python does": json.dumps,
    "with blanks": lambda fields: json.dumps(fields, separators=(" , ", " : "), ensure_ascii=False),
    "with slashes escaped": lambda fields: json.dumps(fields, ensure_ascii=False).replace("/", "\\/"),
    "as for web pages": lambda fields: json.dumps(fields).translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&'+`"}),
    "in capitals": lambda fields: json.dumps(fields).replace("\\u00e9", "\\u00E9"),
    "in another order": lambda fields: json.dumps({name: fields[name] for name in ("given_id", "role", "content", "id")}),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("id", ["msg_1", "1", "caf\u00e9", "a/b", "<b>&'+`", 'quo"te \\'], ids=ascii)
def test_an_id_is_found_however_another_program_spelled_it(store: Store, spell: Callable[[Any], str], id: str) -> None:
    path = Path(store.threads.create("t").messages.path)
    record_id = clock.new_id()
    fields = {"id": record_id, "given_id": id, "role": "user", "content": "hi", "created_at": 5}
    path.write_text(spell(fields) + "\n", encoding="utf-8")
    give(store, "other", "other")
    assert (find(store, id), find(store, record_id)) == ("t", "t")


def test_an_id_across_the_edge_of_what_is_read_at_once_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_BUFFER", 64)
    for length in range(100):
        store.threads.create(f"t{length}").messages.append("user", "x" * length, given_id=f"given-{length:03}")
    for length in range(100):
        assert find(store, f"given-{length:03}") == f"t{length}"


@pytest.mark.parametrize("thread", ["x" * 300, "../../up", "A", "caf\u00e9"], ids=ascii)
def test_the_thread_may_have_any_id(store: Store, thread: str) -> None:
    (record_id,) = give(store, thread, "given")
    assert (find(store, "given"), find(store, record_id)) == (thread, thread)


# Messages and threads that come and go


def test_a_given_id_in_several_threads_is_refused_with_their_names_and_a_record_id_is_not(store: Store) -> None:
    records = [give(store, thread, "same")[0] for thread in ("a", "b", "c")]
    for opened in (store, Store.open(store.root, read_only=True)):
        with pytest.raises(ValueError, match=r"'same' stands in several threads \(a, b, c\): name the thread"):
            opened.threads.with_message("same")
    assert [find(store, record) for record in records] == ["a", "b", "c"]
    store.thread("b").messages.remove("same")
    store.threads.delete("c")
    assert find(store, "same") == "a"


def test_an_id_that_a_second_thread_is_given_later_is_refused_from_then_on(store: Store) -> None:
    give(store, "a", "same")
    assert find(store, "same") == "a"
    with Store.open(store.root) as other:
        give(other, "b", "same")
    with pytest.raises(ValueError, match="several threads"):
        store.threads.with_message("same")
    store.threads.delete("a")
    assert find(store, "same") == "b"


def test_a_record_id_is_found_before_the_same_id_given_by_a_caller(store: Store) -> None:
    (record,) = give(store, "z", "first")
    give(store, "a", record)
    assert find(store, record) == "z"
    store.thread("z").messages.remove(record)
    assert find(store, record) == "a"


def test_an_id_given_twice_in_one_thread_is_that_thread(store: Store) -> None:
    give(store, "t", "same", "same")
    assert find(store, "same") == "t"
    store.thread("t").messages.remove("same")
    assert find(store, "same") == "t"  # the older one
    store.thread("t").messages.remove("same")
    assert_nowhere(store, "same")


@pytest.mark.parametrize("by", ["record", "given"])
def test_an_answer_is_right_after_a_removal_a_clear_a_deletion_and_a_new_beginning(store: Store, by: str) -> None:
    (record,) = give(store, "t", "given")
    id = record if by == "record" else "given"
    assert find(store, id) == "t"
    with Store.open(store.root) as other:
        other.thread("t").messages.remove("given")
    assert_nowhere(store, id)
    (record,) = give(store, "t", "given")
    id = record if by == "record" else "given"
    assert find(store, id) == "t"
    with Store.open(store.root) as other:
        other.thread("t").messages.clear()
    assert_nowhere(store, id)
    (record,) = give(store, "t", "given")
    id = record if by == "record" else "given"
    assert find(store, id) == "t"
    with Store.open(store.root) as other:
        other.threads.delete("t")
    assert_nowhere(store, id)
    (again,) = give(store, "t", "given")
    assert find(store, "given") == find(store, again) == "t"
    if by == "record":
        assert_nowhere(store, id)
    give(store, "moved", id)
    if by == "record":
        assert find(store, id) == "moved"


def test_a_message_that_was_replaced_is_found_no_more(store: Store) -> None:
    (record,) = give(store, "t", "old")
    assert find(store, record) == "t"
    new = store.thread("t").messages.replace(record, "user", "new")
    assert find(store, new.id) == "t"
    assert_nowhere(store, record)
    assert_nowhere(store, "old")


def test_a_thread_deleted_while_it_is_looked_at_is_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    give(store, "a", "given")
    holds = finding._holds

    def then_delete(path: str, *rest: Any) -> bool:
        found = holds(path, *rest)
        if "/a/" in path:
            with Store.open(store.root) as other:
                other.threads.delete("a")
        return found

    monkeypatch.setattr(finding, "_holds", then_delete)
    with pytest.raises(MessageNotFoundError):
        store.threads.with_message("given")


def test_a_thread_that_vanishes_before_it_is_looked_at_is_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    give(store, "a", "other")
    (record,) = give(store, "b", "given")
    names, other = fs.names, Store.open(store.root)

    def and_delete(path: str) -> list[str]:
        found = names(path)
        monkeypatch.undo()
        other.threads.delete("a")
        return found

    monkeypatch.setattr(fs, "names", and_delete)
    assert store.threads.with_message("given").id == "b"
    assert "a" not in store.threads
    assert find(store, record) == "b"


def test_a_message_whose_thread_is_given_another_id_meanwhile_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    give(store, "a", "given")
    names, other = fs.names, Store.open(store.root)

    def and_move(path: str) -> list[str]:
        found = names(path)
        monkeypatch.undo()
        other.threads.move("a", "b")
        return found

    monkeypatch.setattr(fs, "names", and_move)
    assert store.threads.with_message("given").id == "b"


@pytest.mark.damaged
def test_what_is_no_thread_holds_no_message(store: Store, root: Path) -> None:
    (record,) = give(store, "t", "given")
    for name in ("UPPER", "no-meta", "%%" + "0" * 40, "x%%" + "0" * 40):
        (root / "threads" / name).mkdir()
        (root / "threads" / name / "messages.jsonl").write_bytes(Path(store.thread("t").messages.path).read_bytes())
    (root / "threads" / ("x%%" + "0" * 40) / "meta.json").write_bytes((root / "threads" / "t" / "meta.json").read_bytes())
    (root / "threads" / "a file").write_text("given")
    assert (find(store, "given"), find(store, record)) == ("t", "t")


@pytest.mark.damaged
def test_a_message_between_damage_is_found(store: Store) -> None:
    records = give(store, "t", "one", "two", "three")
    path = Path(store.thread("t").messages.path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:60] + lines[2] + b"\xff\n")
    assert [find(store, id) for id in ("one", "three", records[0], records[2])] == ["t"] * 4
    assert_nowhere(store, "two")
    assert_nowhere(store, records[1])


@pytest.mark.damaged
def test_a_thread_whose_record_cannot_be_read_still_has_its_messages(store: Store) -> None:
    (record,) = give(store, "t", "given")
    Path(store.thread("t").directory, "meta.json").write_text("{")
    assert (find(store, "given"), find(store, record)) == ("t", "t")


def test_a_log_that_may_not_be_read_is_an_error_and_not_nowhere(store: Store) -> None:
    give(store, "a", "other")
    path = Path(store.thread("a").messages.path)
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        store.threads.with_message("given")
    path.rmdir()
    path.write_bytes(kept)


def test_the_id_of_a_record_that_is_no_message_is_not_found(store: Store) -> None:
    messages = store.threads.create("t").messages
    first = messages.append("user", "one")
    messages.append("user", "two")
    messages.checkout(first.id)
    messages.remove(first.id)
    rows = [json.loads(line) for line in Path(messages.path).read_bytes().splitlines()]
    for row in rows:
        if row.get("type"):
            assert_nowhere(store, row["id"])
    assert find(store, rows[1]["id"]) == "t"


def test_no_more_answers_are_kept_than_memory_has_room_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_ANSWERS", 5)
    sent = store.threads.create("t").messages.extend({"role": "user", "content": number} for number in range(20))
    for message in sent * 2:
        assert store.threads.with_message(message.id).id == "t"
    assert len(store.threads._finder._answers) == 5


def test_a_look_up_decodes_no_log_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        store.threads.create(name).messages.extend({"role": "user", "content": "x"} for _ in range(1_000))
    (record,) = give(store, "b", "given")
    decoded: list[bytes] = []
    read_line = codec.read_line
    monkeypatch.setattr(codec, "read_line", lambda raw: (decoded.append(raw), read_line(raw))[1])
    with Store.open(store.root, read_only=True) as fresh:
        assert fresh.threads.with_message(record).id == "b"
    assert len(decoded) <= 5
    with Store.open(store.root, read_only=True) as fresh, pytest.raises(MessageNotFoundError):
        fresh.threads.with_message("nowhere")
    assert len(decoded) <= 5
