"""Dynamic tools in `StateStore` (contract 2A, rows 18 and 19, part 0 first)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import contract_children as children
import onroot
import pytest

from fsstore import (
    CorruptError,
    DynamicToolRecord,
    InvalidNameError,
    LockTimeoutError,
    StateStore,
    Store,
    ThreadMetadata,
    ThreadNotFoundError,
)

SCHEMA = {"type": "object", "properties": {"pattern": {"type": "string", "default": None}}, "required": ["pattern"]}
GREP = DynamicToolRecord(position=0, name="grep", description="Search the files", input_schema=SCHEMA)
READ = DynamicToolRecord(position=1, name="read", input_schema={})


@pytest.fixture
def tools(state: StateStore, thread: str) -> list[DynamicToolRecord]:
    """The set that the thread has."""
    state.persist_dynamic_tools(thread, [GREP, READ])
    return [GREP, READ]


def document(root: Path) -> Path:
    return onroot.in_thread(root, "t", "tools.json")


# persist_dynamic_tools, get_dynamic_tools


def test_a_set_comes_back_by_position_whatever_order_it_was_given_in(state: StateStore, root: Path, thread: str) -> None:
    far = DynamicToolRecord(position=2**40, name="far", description="")
    state.persist_dynamic_tools(thread, (far, READ, GREP))
    assert state.get_dynamic_tools(thread) == StateStore.open(root).get_dynamic_tools(thread) == [GREP, READ, far]


def test_any_iterable_of_tools_is_a_set(state: StateStore, thread: str) -> None:
    def made() -> Iterator[DynamicToolRecord]:
        yield READ
        yield GREP

    state.persist_dynamic_tools(thread, made())
    assert state.get_dynamic_tools(thread) == [GREP, READ]


def test_a_new_set_takes_the_place_of_the_whole_old_one(state: StateStore, tools: list[DynamicToolRecord]) -> None:
    other = DynamicToolRecord(position=5, name="other")
    state.persist_dynamic_tools("t", [other])
    assert state.get_dynamic_tools("t") == [other]
    state.persist_dynamic_tools("t", [])
    assert state.get_dynamic_tools("t") == []


def test_names_may_stand_twice_and_be_any_text(state: StateStore, thread: str) -> None:
    given = [DynamicToolRecord(position=at, name=name) for at, name in enumerate(["same", "same", "", "caf\u00e9 \0\n"])]
    state.persist_dynamic_tools(thread, given)
    assert state.get_dynamic_tools(thread) == given


def test_a_schema_of_any_json_object_comes_back_exactly(state: StateStore, root: Path, thread: str) -> None:
    schema = {"enum": [None, True, 1, 1.0, -0.5, 2**63, "\u2028"], "nested": {"a": [{"b": []}]}, "": {}}
    state.persist_dynamic_tools(thread, [dataclasses.replace(GREP, input_schema=schema)])
    (found,) = StateStore.open(root).get_dynamic_tools(thread)
    assert json.dumps(found.input_schema, sort_keys=True) == json.dumps(schema, sort_keys=True)


def test_a_description_is_told_from_none(state: StateStore, thread: str) -> None:
    given = [dataclasses.replace(GREP, position=at, description=text) for at, text in enumerate([None, "", "text"])]
    state.persist_dynamic_tools(thread, given)
    assert [tool.description for tool in state.get_dynamic_tools(thread)] == [None, "", "text"]


def test_a_thread_without_tools_and_no_thread_have_none(state: StateStore, thread: str) -> None:
    assert state.get_dynamic_tools(thread) == state.get_dynamic_tools("missing") == []


def test_keys_that_no_field_knows_are_kept(state: StateStore, root: Path, tools: list[DynamicToolRecord]) -> None:
    given = dataclasses.replace(GREP, extra={"strict": True})
    onroot.edit(document(root), lambda fields: fields.update(theirs="kept"))
    state.persist_dynamic_tools("t", [given])
    assert state.get_dynamic_tools("t") == [given]
    assert json.loads(document(root).read_text())["theirs"] == "kept"


def test_tools_outlive_what_is_done_to_their_thread(state: StateStore, root: Path, tools: list[DynamicToolRecord]) -> None:
    state.append_message("t", "user", "hi")
    state.clear_messages("t")
    state.upsert_thread(ThreadMetadata(id="t", name="renamed"))
    assert StateStore.open(root).get_dynamic_tools("t") == tools


# All of it, or nothing


@pytest.mark.parametrize("order", [1, -1])
def test_a_position_given_twice_is_refused_and_the_old_set_stays(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], order: int
) -> None:
    before = onroot.snapshot(root)
    twice = [DynamicToolRecord(position=at, name=name) for at, name in ((3, "a"), (4, "b"), (3, "c"))][::order]
    with pytest.raises(ValueError, match="position 3"):
        state.persist_dynamic_tools("t", twice)
    assert state.get_dynamic_tools("t") == tools
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize(
    "wrong",
    [
        *({"position": -1}, {"position": "0"}, {"position": None}, {"position": True}, {"position": 1.0}),
        *({"input_schema": None}, {"input_schema": []}, {"input_schema": "{}"}, {"input_schema": [("type", "object")]}),
        *({"name": None}, {"name": 5}, {"description": 5}, {"position": 2**64}),
    ],
    ids=repr,
)
def test_a_tool_that_is_none_is_refused_by_its_name_and_the_old_set_stays(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], wrong: dict[str, object]
) -> None:
    before = onroot.snapshot(root)
    bad = dataclasses.replace(DynamicToolRecord(position=9, name="bad one"), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"(bad one|None|5).*({next(iter(wrong))}|JSON)"):
        state.persist_dynamic_tools("t", [DynamicToolRecord(position=8, name="good"), bad])
    assert state.get_dynamic_tools("t") == tools
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_what_json_cannot_hold_is_refused_and_the_old_set_stays(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], value: object
) -> None:
    before = onroot.snapshot(root)
    for wrong in ({"input_schema": {"default": value}}, {"extra": {"key": value}}):
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            state.persist_dynamic_tools("t", [dataclasses.replace(GREP, **wrong)])  # type: ignore[arg-type]
    assert state.get_dynamic_tools("t") == tools
    assert onroot.snapshot(root) == before


# Threads that are not there


@pytest.mark.parametrize("given", [[GREP], []], ids=["some", "none"])
def test_no_thread_takes_tools_not_even_none(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], given: list[DynamicToolRecord]
) -> None:
    state.delete_thread("t")
    before = onroot.snapshot(root)
    for missing in ("t", "missing"):
        with pytest.raises(ThreadNotFoundError, match=missing):
            state.persist_dynamic_tools(missing, given)
        assert state.get_dynamic_tools(missing) == []
    assert onroot.snapshot(root) == before
    state.upsert_thread(ThreadMetadata(id="t"))
    assert state.get_dynamic_tools("t") == []


@pytest.mark.parametrize("id", ["", "x" * 1001, "half \ud800"])
def test_an_id_that_cannot_be_kept_is_a_value_error(state: StateStore, id: str) -> None:
    for call in (lambda: state.get_dynamic_tools(id), lambda: state.persist_dynamic_tools(id, [])):
        with pytest.raises(InvalidNameError):
            call()


# Damage


@pytest.mark.damaged
@pytest.mark.parametrize("data", onroot.CORRUPT.values(), ids=onroot.CORRUPT)
def test_corrupt_tools_are_an_error_and_are_never_written_over(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], data: bytes
) -> None:
    document(root).write_bytes(data)
    for call in (lambda: state.get_dynamic_tools("t"), lambda: state.persist_dynamic_tools("t", [READ])):
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(document(root))
        assert raised.value.reason
    assert document(root).read_bytes() == data
    assert [(problem.kind, problem.path) for problem in Store.open(root).check()] == [("corrupt", "threads/t/tools.json")]


@pytest.mark.damaged
@pytest.mark.parametrize("listed", [None, {}, "tools", [5], [{"name": "n"}], [{"position": "0", "name": "n"}]], ids=repr)
def test_one_tool_that_is_none_fails_the_call_and_is_not_written_over(
    state: StateStore, root: Path, tools: list[DynamicToolRecord], listed: object
) -> None:
    onroot.edit(document(root), lambda fields: fields.update(tools=listed))
    with pytest.raises(CorruptError, match="tools"):
        state.get_dynamic_tools("t")
    assert [problem.kind for problem in Store.open(root).check()] == ["corrupt"]
    before = document(root).read_bytes()
    with pytest.raises(CorruptError, match="tools"):
        state.persist_dynamic_tools("t", [READ])
    assert document(root).read_bytes() == before
    document(root).unlink()
    state.persist_dynamic_tools("t", [READ])
    assert state.get_dynamic_tools("t") == [READ]
    assert list(Store.open(root).check()) == []


def test_a_refusal_of_the_system_is_never_taken_for_no_tools(
    state: StateStore, tools: list[DynamicToolRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    onroot.refuse_to_open(monkeypatch, "tools.json")
    for call in (lambda: state.get_dynamic_tools("t"), lambda: state.persist_dynamic_tools("t", [])):
        with pytest.raises(PermissionError):
            call()
    monkeypatch.undo()
    assert state.get_dynamic_tools("t") == tools


# Beside others


def test_tools_are_read_without_a_lock_and_replaced_under_the_threads(
    state: StateStore, root: Path, tools: list[DynamicToolRecord]
) -> None:
    with children.holding(root, "t"), StateStore.open(root, lock_timeout=0) as other:
        assert other.get_dynamic_tools("t") == tools
        with pytest.raises(LockTimeoutError):
            other.persist_dynamic_tools("t", [])
    assert state.get_dynamic_tools("t") == tools


def test_the_same_set_again_changes_no_version_of_the_tools(
    state: StateStore, root: Path, tools: list[DynamicToolRecord]
) -> None:
    first = json.loads(document(root).read_text())["versions"]
    state.persist_dynamic_tools("t", tools)
    second = json.loads(document(root).read_text())["versions"]
    assert second[""] > first[""]
    assert "tools" not in second
