"""What fuzzing found, each by its name: see tests/fuzz."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import pytest
from damage import LogBench, line_of, read_all_ways, read_exactly
from examples import THREAD

from fsstore import CorruptError, DynamicToolRecord, FormatError, RecipeSnapshot, Store, clock

pytestmark = pytest.mark.damaged
#: Nested nearly as deep as the decoder takes it: to spell it takes more frames than Python has.
DEEP = "[" * 990 + "]" * 990


@pytest.fixture
def example(root: Path) -> Path:
    examples.make(root)
    return root


def change(root: Path, name: str, **fields: Any) -> Path:
    """Give a document other fields; None takes one away."""
    path = root / examples.below(name)
    said = {**json.loads(path.read_bytes()), **fields}
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    return path


def append_deep(path: Path, record: dict[str, Any]) -> None:
    """Append a record in which "deep" stands for what is nested deep."""
    with path.open("ab") as file:
        file.write(line_of(record).replace(b'"deep"', DEEP.encode()))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "deep"},
        {"type": "deep"},
        {"parent_id": "deep", "role": "user", "content": "x"},
        {"type": "leaf", "leaf_id": "deep"},
        {"type": "removed", "message_id": "deep"},
        {"type": "clear", "leaf_ids": ["deep"]},
        {"given_id": "deep", "replaces": "deep", "role": "user", "content": "x"},
    ],
)
def test_a_record_nested_deep_hides_no_message(root: Path, fields: dict[str, Any]):
    bench = LogBench(root)
    append_deep(bench.path, {"id": clock.new_id(bench.sent[-1].id), **fields})
    with Store.open(root, read_only=True) as store:
        assert list(store.thread("t").messages)[:5] == bench.sent
        assert {problem.path for problem in store.check()} <= {"threads/t/messages.jsonl"}


@pytest.mark.parametrize("fields", [{"id": "deep"}, {"type": "deep"}, {"type": "cost", "model_id": "m", "cost": "deep"}])
def test_a_record_nested_deep_hides_no_other_cost(example: Path, fields: dict[str, Any]):
    append_deep(example / examples.below("usage.jsonl"), {"id": clock.new_id(), **fields})
    with Store.open(example, read_only=True) as store:
        assert store.data.session(THREAD).costs() == {"claude": 0.25}
        assert len(list(store.check())) == 1


def test_a_record_nested_deep_that_stands_twice_is_a_duplicate(example: Path):
    record = {"id": clock.new_id(), "type": "cost", "model_id": "m", "cost": 1, "x": "deep"}
    for _ in range(2):
        append_deep(example / examples.below("usage.jsonl"), record)
    with Store.open(example, read_only=True) as store:
        assert store.data.session(THREAD).costs() == {"claude": 0.25, "m": 1}
        assert [problem.kind for problem in store.check()] == ["duplicate-id"]


def test_a_document_nested_deep_is_a_problem_and_no_crash(example: Path):
    path = example / examples.below("jobs/index-repo.json")
    path.write_bytes(path.read_bytes().replace(b'"running"', DEEP.encode()))
    with Store.open(example, read_only=True) as store:
        assert [problem.kind for problem in store.check()] == ["unknown-value"]


@pytest.mark.parametrize("first", [None, 0])
def test_of_a_key_that_stands_twice_the_last_one_counts_in_every_view(root: Path, first: int | None):
    bench = LogBench(root)
    (id,) = [clock.new_id(bench.sent[-1].id)]
    parent = None if first is None else bench.sent[first].id
    line = line_of({"id": id, "parent_id": parent, "role": "user", "content": "x"})[:-2]
    bench.append_bytes(line + b',"parent_id":"' + bench.sent[2].id.encode() + b'"}\n')
    view = read_all_ways(root, "t")
    assert [message.id for message in view.branch] == [*bench.ids(0, 1, 2), id]


@pytest.mark.parametrize("late", [{"given_id": "mine"}, {"replaces": 1}])
def test_keys_of_another_writers_order_count_in_a_root_too(root: Path, late: dict[str, Any]):
    bench = LogBench(root)
    late = {"replaces": bench.sent[1].id} if "replaces" in late else late
    record = {"id": clock.new_id(bench.sent[-1].id), "parent_id": None, "role": "user", "content": "x"}
    bench.append_record(**record, **late)
    with Store.open(root, read_only=True) as store:
        branch = store.thread("t").messages.branch()
    assert branch == read_exactly(root, "t").branch


@pytest.mark.parametrize("reverse", [False, True])
def test_a_twin_that_must_be_understood_stops_reading_in_any_order_of_lines(example: Path, reverse: bool):
    path = example / "prompt_history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    twin = line_of({**json.loads(lines[0]), "type": "!later"})
    path.write_bytes(b"".join([twin, *lines][:: -1 if reverse else 1]))
    with Store.open(example, read_only=True) as store, pytest.raises(FormatError, match="!later"):
        store.prompts.recent()


@pytest.mark.parametrize(
    ("name", "fields", "write"),
    [
        ("state.json", {"state": 7}, lambda s: s.thread(THREAD).state.set("idle")),
        ("tools.json", {"tools": 7}, lambda s: s.thread(THREAD).tools.replace([DynamicToolRecord(position=0, name="x")])),
        ("session_metadata.json", {"recipe": 7}, lambda s: s.data.session(THREAD).recipe.set(RecipeSnapshot(name="x"))),
    ],
)
def test_a_document_that_reads_as_corrupt_is_not_written_over(
    example: Path, name: str, fields: dict[str, Any], write: Callable[[Store], Any]
):
    path = change(example, name, **fields)
    before = path.read_bytes()
    with Store.open(example) as store, pytest.raises(CorruptError):
        write(store)
    assert path.read_bytes() == before


def test_a_goal_without_a_status_can_be_changed(example: Path):
    change(example, "goal.json", status=None)
    with Store.open(example) as store:
        goal = store.thread(THREAD).goal.update(objective="after")
        assert store.thread(THREAD).goal.get() == goal
        assert (goal.objective, goal.tokens_used) == ("after", 1200)


def test_a_recipe_without_an_id_is_corrupt_to_check(example: Path):
    [name] = [name for name in examples.EXAMPLES if name.startswith("recipes/")]
    change(example, name, id=None)
    with Store.open(example, read_only=True) as store:
        assert {problem.kind for problem in store.check()} == {"corrupt", "misplaced"}


def test_a_part_that_names_what_can_be_no_id_reads_as_naming_nothing(example: Path):
    change(example, "workflows/wr_1/candidates/tc_1.json", branch_run_id="x" * 1001, control_node_run_id="")
    with Store.open(example, read_only=True) as store:
        candidates = store.workflows["wr_1"].candidates
        assert candidates.get("tc_1") == next(iter(candidates))
        assert (candidates["tc_1"].branch_run_id, candidates["tc_1"].control_node_run_id) == (None, None)


def test_a_recipe_whose_parts_are_no_objects_is_shown_as_it_is(example: Path):
    change(example, "session_metadata.json", recipe={"name": "odd", "constraints": 1.5, "context": "x"})
    with Store.open(example, read_only=True) as store:
        snapshot = store.data.session(THREAD).snapshot()
        assert (snapshot.name, snapshot.constraints, snapshot.context) == ("odd", 1.5, "x")


def test_a_twin_without_the_given_id_gives_it_back_to_the_older_message(root: Path):
    bench = LogBench(root)
    one, two = clock.new_id(bench.sent[-1].id), clock.new_id(clock.new_id(clock.LAST_ID.replace("1d8f", "1d8e")))
    for id in (one, two):
        bench.append_record(id=id, parent_id=None, given_id="mine", role="user", content=id)
    bench.append_record(id=two, parent_id=None, role="user", content="a twin of greater bytes")
    view = read_exactly(root, "t")
    assert [message.id for message in view.messages[5:]] == ["mine", two]
    with Store.open(root, read_only=True) as store:
        assert store.thread("t").messages.get("mine").content == one
        assert [problem.kind for problem in store.check()] == ["conflicting-id"]


def test_a_recipe_nested_deep_is_corrupt_and_no_crash(example: Path):
    [name] = [name for name in examples.EXAMPLES if name.startswith("recipes/")]
    path = example / name
    path.write_bytes(path.read_bytes().replace(b'"5m0s"', DEEP.encode()))
    with Store.open(example, read_only=True) as store:
        assert store.recipes.all() == {}
        assert [problem.kind for problem in store.check()] == ["corrupt"]


def test_a_message_that_is_gone_and_whose_parent_is_no_text_can_be_compacted(root: Path):
    bench = LogBench(root)
    bench.change(2, parent_id=1 << 70)
    with Store.open(root) as store:
        messages = store.thread("t").messages
        messages.remove(bench.sent[2].id)
        before = messages.branch()
        messages.compact()
        assert messages.branch() == before
    assert bench.record(2) == {"id": bench.sent[2].id, "parent_id": None, "type": "gone"}
