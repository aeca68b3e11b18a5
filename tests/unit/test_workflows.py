"""Workflow traces: runs and their parts, the references between them, and what a deletion takes along."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import children
import faults
import pytest
from processes import run_all

from fsstore import (
    AlreadyExistsError,
    BranchRun,
    ControlNodeRun,
    CorruptError,
    LeafRun,
    LockTimeoutError,
    NotFoundError,
    ReadOnlyError,
    Store,
    TeacherCandidate,
    WorkflowRun,
    clock,
)
from fsstore.disk import fs
from fsstore.resources.workflows import WorkflowHandle, Workflows

FULL = WorkflowRun(
    id="w",
    workflow_id="review",
    goal="Review the change",
    status="waiting",
    input_hash="9f2c",
    started_at=5,
    completed_at=9,
    metadata={"deep": [1, None]},
    extra={"mine": 1},
)
#: One record of each kind of part, with every field, in the run "w".
PARTS = {
    "branches": BranchRun(
        id="b", workflow_run_id="w", branch_id="style", node_id="n", status="done", started_at=1, completed_at=2, result=[1]
    ),
    "control_nodes": ControlNodeRun(
        id="n",
        workflow_run_id="w",
        node_id="choose",
        kind="select",
        status="done",
        selected_children=["b"],
        result={"k": None},
        started_at=1,
        completed_at=2,
    ),
    "leaves": LeafRun(
        id="l",
        workflow_run_id="w",
        branch_run_id="b",
        leaf_id="lint",
        task_id="t1",
        input_hash="77ab",
        status="done",
        output={"warnings": 0},
        artifacts=["lint.txt"],
        started_at=1,
        completed_at=2,
    ),
    "candidates": TeacherCandidate(
        id="c",
        workflow_run_id="w",
        control_node_run_id="n",
        candidate_id="first",
        branch_run_id="b",
        score=0.5,
        passed=True,
        rationale="good",
        created_at=1,
    ),
}


@pytest.fixture
def workflows(store: Store) -> Workflows:
    return store.workflows


@pytest.fixture
def run(workflows: Workflows) -> WorkflowHandle:
    """A run with a part of each kind."""
    workflows.put(FULL)
    handle = workflows.handle("w")
    for name, part in PARTS.items():
        getattr(handle, name).put(part)
    return handle


def directory(store: Store, id: str = "w") -> Path:
    return Path(store.root, "workflows", id)


def trashed(store: Store) -> dict[str, bytes]:
    """Give what is in the trash, by its path below the deletion's."""
    trash = Path(store.root, ".fsstore", "trash")
    return {str(Path(*path.relative_to(trash).parts[1:])): path.read_bytes() for path in trash.rglob("*.json")}


# Runs


def test_a_run_comes_back_with_every_field(store: Store, workflows: Workflows):
    workflows.put(FULL)
    assert workflows.get("w") == workflows["w"].info() == workflows.handle("w").info() == FULL
    assert list(workflows) == workflows.recent() == [FULL]
    said = json.loads((directory(store) / "run.json").read_text())
    versions = said.pop("versions")
    assert said == FULL.to_json()
    assert set(versions) == {"", "id"}


def test_a_run_that_was_begun_is_running_since_now(workflows: Workflows):
    before = clock.now()
    run = workflows.create("review", goal="Review", metadata=[1])
    info = run.info()
    assert clock.is_id(run.id)
    assert (info.id, info.workflow_id, info.goal, info.status, info.metadata) == (run.id, "review", "Review", "running", [1])
    assert (info.input_hash, info.completed_at) == (None, None)
    assert before <= info.started_at <= clock.now()
    assert run.is_there()


def test_what_is_not_there_is_none_or_raises(store: Store, workflows: Workflows):
    handle = workflows.handle("w")
    assert (workflows.get("w"), workflows.recent(), list(workflows), workflows.delete("w"), handle.delete()) == (
        None,
        [],
        [],
        False,
        False,
    )
    assert not handle.is_there()
    for call in (handle.info, handle.finish, lambda: handle.update(goal="x"), lambda: workflows["w"]):
        with pytest.raises(NotFoundError, match="workflow run w not found"):
            call()
    assert not Path(store.root, "workflows").exists()


def test_a_second_creation_is_refused_and_changes_nothing(store: Store, workflows: Workflows):
    workflows.create("review", id="w", goal="first")
    before = (directory(store) / "run.json").read_bytes()
    with pytest.raises(AlreadyExistsError, match="workflow run w already exists"):
        workflows.create("review", id="w", goal="second")
    assert (directory(store) / "run.json").read_bytes() == before


def test_put_overwrites_all_fields_and_leaves_the_parts(run: WorkflowHandle, workflows: Workflows):
    workflows.put(WorkflowRun(id="w", workflow_id="other", started_at=7))
    assert workflows.get("w") == WorkflowRun(id="w", workflow_id="other", started_at=7, extra={"mine": 1})
    assert [part.id for part in run.leaves] == ["l"]


def test_an_update_and_an_end_change_what_they_name(workflows: Workflows):
    workflows.put(FULL)
    run = workflows.handle("w")
    updated = run.update(goal="other", completed_at=None)
    assert updated == run.info()
    assert (updated.goal, updated.completed_at, updated.metadata, updated.extra) == ("other", None, FULL.metadata, {"mine": 1})
    before = clock.now()
    ended = run.finish("failed", metadata={})
    assert (ended.status, ended.metadata, ended.goal) == ("failed", {}, "other")
    assert before <= ended.completed_at <= clock.now()
    assert run.finish(completed_at=5).completed_at == 5
    assert run.info().status == "completed"


@pytest.mark.parametrize("value", [float("nan"), (1,), {1: 1}, "\ud800", 2**64, b"bytes"], ids=repr)
def test_what_json_cannot_hold_is_refused_before_anything_is_made(store: Store, workflows: Workflows, value: Any):
    with pytest.raises(ValueError, match=r"JSON|surrogate|string"):
        workflows.create("review", metadata=value)
    assert not Path(store.root, "workflows").exists()
    run = workflows.create("review")
    with pytest.raises(ValueError, match=r"JSON|surrogate|string"):
        run.leaves.create(leaf_id="l", output=value)
    with pytest.raises(ValueError, match=r"JSON|surrogate|string"):
        run.update(metadata=value)
    assert os.listdir(directory(store, run.id)) == ["run.json"]


@pytest.mark.parametrize("bad", ["", "x" * 1001, "\ud800"])
def test_an_id_that_cannot_be_kept_is_refused(store: Store, workflows: Workflows, bad: str):
    for call in (workflows.handle, workflows.get, workflows.delete, lambda name: workflows.create("review", id=name)):
        with pytest.raises(ValueError, match=r"id|JSON"):
            call(bad)
    run = workflows.create("review")
    for call in (run.leaves.get, run.leaves.delete, lambda name: run.leaves.create(name, leaf_id="l")):
        with pytest.raises(ValueError, match=r"id|JSON"):
            call(bad)
    assert os.listdir(directory(store, run.id)) == ["run.json"]


def test_any_id_has_its_own_run_and_parts(store: Store, workflows: Workflows):
    ids = ["../../up", "A", "a", "CON", ".", "x" * 1000, "caf\u00e9", "nul\0"]
    for id in ids:
        run = workflows.create("review", id=id)
        for part in ids:
            run.branches.create(part, branch_id=part)
    with Store.open(store.root, read_only=True) as other:
        assert sorted(run.id for run in other.workflows) == sorted(ids)
        for id in ids:
            assert [part.id for part in other.workflows.handle(id).branches] == ids
            assert all(part.branch_id == part.id for part in other.workflows.handle(id).branches)


# Listing


def test_the_run_started_last_is_first_and_of_one_second_the_one_created_last(workflows: Workflows):
    for id, started_at in (("a", 5), ("b", 9), ("c", 5), ("d", 7)):
        workflows.put(WorkflowRun(id=id, workflow_id="review", started_at=started_at))
    workflows.handle("a").update(goal="changed later")
    assert [run.id for run in workflows.recent()] == ["b", "d", "c", "a"]


def test_runs_are_listed_by_status_and_by_workflow(workflows: Workflows):
    for number in range(12):
        workflows.put(
            WorkflowRun(
                id=f"{number}",
                workflow_id=("review", "build")[number % 2],
                status=("running", "failed", "completed")[number % 3],
                started_at=number,
            )
        )

    def ids(limit: int | None = 50, **wanted: str) -> list[int]:
        return [int(run.id) for run in workflows.recent(limit, **wanted)]

    assert ids(status="failed") == [10, 7, 4, 1]
    assert ids(workflow_id="build") == [11, 9, 7, 5, 3, 1]
    assert ids(status="failed", workflow_id="build") == [7, 1]
    assert ids(1, status="failed", workflow_id="build") == [7]
    assert (ids(status="other"), ids(workflow_id=""), ids(0)) == ([], [], [])
    assert ids(None) == list(range(11, -1, -1))
    with pytest.raises(ValueError, match="-1"):
        workflows.recent(-1)


def test_fifty_runs_are_listed_where_nothing_is_said(root: Path):
    with Store.open(root, durability="process") as store:
        for number in range(53):
            store.workflows.put(WorkflowRun(id=f"{number}", workflow_id="review", started_at=number))
        assert [run.id for run in store.workflows.recent()] == [f"{number}" for number in range(52, 2, -1)]
        assert len(store.workflows.recent(None)) == 53


# Parts


@pytest.mark.parametrize("name", PARTS)
def test_a_part_comes_back_with_every_field(store: Store, run: WorkflowHandle, name: str):
    parts = getattr(run, name)
    assert parts.get(PARTS[name].id) == parts[PARTS[name].id] == PARTS[name]
    assert list(parts) == [PARTS[name]]
    with Store.open(store.root, read_only=True) as other:
        assert list(getattr(other.workflows.handle("w"), name)) == [PARTS[name]]
    said = json.loads((directory(store) / name / f"{PARTS[name].id}.json").read_text())
    assert {**said, "versions": 0} == {**PARTS[name].to_json(), "versions": 0}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_put_updated_and_deleted(store: Store, run: WorkflowHandle, name: str):
    parts, part = getattr(run, name), PARTS[name]
    of = {"branches": "branch_id", "control_nodes": "node_id", "leaves": "leaf_id", "candidates": "candidate_id"}[name]
    made = parts.create(**{of: "x", "extra": {"mine": 1}})
    assert clock.is_id(made.id)
    assert (made.workflow_run_id, made.extra, parts[made.id]) == ("w", {"mine": 1}, made)
    with pytest.raises(AlreadyExistsError, match=f"{part.id} already exists"):
        parts.create(part.id, **{of: "x"})
    updated = parts.update(part.id, **{of: "y", "note": "kept"})
    assert (getattr(updated, of), updated.extra) == ("y", {"note": "kept"})
    assert parts[part.id] == updated
    parts.put(part)
    assert parts[part.id].extra == {"note": "kept"}
    before = (directory(store) / name / f"{part.id}.json").read_bytes()
    assert [parts.delete(part.id), parts.delete(part.id), parts.delete("missing")] == [True, False, False]
    assert trashed(store) == {f"workflows/w/{name}/{part.id}.json": before}
    assert (parts.get(part.id), [one.id for one in parts]) == (None, [made.id])
    for call in (lambda: parts[part.id], lambda: parts.update(part.id, note=1)):
        with pytest.raises(NotFoundError, match=f"{part.id} not found"):
            call()
    assert parts.create(part.id, **{of: "z"}).extra == {}


def test_parts_are_listed_as_they_began(run: WorkflowHandle):
    for id, started_at in (("late", 9), ("early", 0), ("first of one second", 5), ("second of it", 5)):
        run.branches.create(id, branch_id=id, started_at=started_at)
    assert [part.id for part in run.branches] == ["early", "b", "first of one second", "second of it", "late"]


def test_the_end_of_a_part_is_told(run: WorkflowHandle):
    before = clock.now()
    leaf = run.leaves.create(leaf_id="build")
    ended = run.leaves.finish(leaf.id, "failed", output={"error": "x"})
    assert (ended.status, ended.output) == ("failed", {"error": "x"})
    assert before <= ended.completed_at <= clock.now()
    assert run.branches.finish("b").status == "completed"


def test_a_part_of_another_run_is_refused(run: WorkflowHandle):
    with pytest.raises(ValueError, match="names workflow run other, not w"):
        run.branches.put(BranchRun(id="x", workflow_run_id="other", branch_id="x"))
    with pytest.raises(ValueError, match="names workflow run other, not w"):
        run.branches.update("b", workflow_run_id="other")
    assert [part.id for part in run.branches] == ["b"]


def test_a_part_without_its_run_is_refused_and_makes_nothing(store: Store, workflows: Workflows):
    run = workflows.handle("w")
    for name, part in PARTS.items():
        parts = getattr(run, name)
        with pytest.raises(NotFoundError, match="workflow run w not found"):
            parts.put(part)
        assert (parts.get(part.id), list(parts), parts.delete(part.id)) == (None, [], False)
    assert not Path(store.root, "workflows").exists()


@pytest.mark.parametrize(
    ("name", "field", "what"),
    [
        ("leaves", "branch_run_id", "branch run"),
        ("candidates", "branch_run_id", "branch run"),
        ("candidates", "control_node_run_id", "control node run"),
    ],
)
def test_a_part_that_names_another_needs_it_to_be_there(run: WorkflowHandle, name: str, field: str, what: str):
    parts, part = getattr(run, name), PARTS[name]
    of = {"leaves": "leaf_id", "candidates": "candidate_id"}[name]
    with pytest.raises(NotFoundError, match=f"{what} missing not found"):
        parts.create("new", **{of: "x", field: "missing"})
    with pytest.raises(NotFoundError, match=f"{what} missing not found"):
        parts.update(part.id, **{field: "missing"})
    assert (parts.get("new"), parts[part.id]) == (None, part)
    assert getattr(parts.update(part.id, **{field: None}), field) is None


def test_the_reference_to_a_deleted_part_shows_none_and_the_part_stays(store: Store, run: WorkflowHandle):
    before = (directory(store) / "leaves" / "l.json").read_bytes()
    assert run.branches.delete("b") is True
    with Store.open(store.root, read_only=True) as other:
        for handle in (run, other.workflows.handle("w")):
            assert (handle.leaves["l"].branch_run_id, [leaf.branch_run_id for leaf in handle.leaves]) == (None, [None])
            candidate = handle.candidates["c"]
            assert (candidate.branch_run_id, candidate.control_node_run_id) == (None, "n")
    assert (directory(store) / "leaves" / "l.json").read_bytes() == before  # no other document was touched
    run.control_nodes.delete("n")
    assert run.candidates["c"].control_node_run_id is None
    assert run.leaves.update("l", status="again").branch_run_id is None  # an update of a part whose branch is gone


def test_a_branch_put_again_under_its_id_is_named_again_by_what_was_not_changed_since(run: WorkflowHandle):
    run.branches.delete("b")
    run.candidates.update("c", score=1)
    run.branches.put(PARTS["branches"])
    assert run.leaves["l"].branch_run_id == "b"
    assert run.candidates["c"].branch_run_id is None


def test_a_leaf_is_replayed_by_its_id_and_its_input(run: WorkflowHandle):
    assert run.leaves.replay("lint", "77ab") == PARTS["leaves"]
    for leaf, input_hash in (("lint", "other"), ("other", "77ab"), ("lint", "")):
        assert run.leaves.replay(leaf, input_hash) is None
    newer = run.leaves.create("l2", leaf_id="lint", input_hash="77ab", output=2, started_at=5)
    run.leaves.create("l3", leaf_id="lint", input_hash="77ab", output=3, started_at=4)
    run.leaves.create("l4", leaf_id="lint", input_hash="other", started_at=9)
    assert run.leaves.replay("lint", "77ab") == newer
    run.leaves.delete("l2")
    assert run.leaves.replay("lint", "77ab").id == "l3"


def test_runs_do_not_share_their_parts(run: WorkflowHandle, workflows: Workflows):
    other = workflows.create("review", id="other")
    other.leaves.create("l", leaf_id="lint", input_hash="77ab", output="other")
    assert run.leaves["l"].output == {"warnings": 0}
    assert other.leaves.replay("lint", "77ab").output == "other"
    with pytest.raises(NotFoundError, match="branch run b not found"):
        other.leaves.update("l", branch_run_id="b")


# Deleting a run


def test_a_deleted_run_is_gone_with_all_its_parts_and_they_are_in_the_trash(store: Store, run: WorkflowHandle, workflows):
    before = {str(path.relative_to(store.root)): path.read_bytes() for path in directory(store).rglob("*.json")}
    assert len(before) == 5
    assert [run.delete(), run.delete(), workflows.delete("w")] == [True, False, False]
    assert trashed(store) == before
    assert (workflows.get("w"), workflows.recent(), run.is_there()) == (None, [], False)
    for name, part in PARTS.items():
        parts = getattr(run, name)
        assert (parts.get(part.id), list(parts), parts.delete(part.id)) == (None, [], False)
        with pytest.raises(NotFoundError):
            parts.put(part)
    assert sorted(os.listdir(directory(store))) == ["run.json"]


def test_a_run_begun_again_under_its_id_has_no_part_of_the_old(store: Store, run: WorkflowHandle, workflows: Workflows):
    run.delete()
    again = workflows.create("review", id="w")
    assert (again.info().goal, again.info().extra) == ("", {})
    for name in PARTS:
        assert list(getattr(again, name)) == []
    again.branches.create("b", branch_id="new")
    assert [part.branch_id for part in run.branches] == ["new"]


@pytest.mark.parametrize("read_parts", [list, lambda parts: [part for part in [parts.get("c")] if part]])
def test_a_part_whose_run_is_deleted_while_it_is_read_is_not_given_without_what_it_names(
    store: Store, run: WorkflowHandle, monkeypatch: pytest.MonkeyPatch, read_parts: Any
):
    assert read_parts(run.candidates)
    read = fs.read_file

    def and_delete(path: str) -> bytes:
        data = read(path)
        if "/candidates/" in path:
            monkeypatch.undo()
            assert Store.open(store.root).workflows.delete("w")
        return data

    monkeypatch.setattr(fs, "read_file", and_delete)
    assert read_parts(run.candidates) == []


@pytest.mark.parametrize("then", ["delete", "create", "put"])
@pytest.mark.parametrize("moved", range(4))
def test_parts_that_a_dying_deletion_left_are_seen_by_nobody_and_go_when_the_id_is_used_again(
    store: Store, run: WorkflowHandle, workflows: Workflows, monkeypatch: pytest.MonkeyPatch, moved: int, then: str
):
    before = {str(path.relative_to(store.root)): path.read_bytes() for path in directory(store).rglob("*.json")}
    left = moved + 2  # the trash's copy of run.json, and run.json itself
    with monkeypatch.context() as context:
        real = faults.fs.rename

        def rename(old: str, new: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, "Input/output error")
            real(old, new)

        context.setattr(faults.fs, "rename", rename)
        with pytest.raises(OSError, match="Input/output"):
            run.delete()
    assert (workflows.get("w"), workflows.recent()) == (None, [])
    assert len([name for name in os.listdir(directory(store)) if name != "run.json"]) == 4 - moved
    for name in PARTS:
        assert list(getattr(run, name)) == []
    again = {
        "delete": run.delete,
        "create": lambda: workflows.create("review", id="w"),
        "put": lambda: workflows.put(WorkflowRun(id="w", workflow_id="review")),
    }
    assert again[then]() is not True
    assert (os.listdir(directory(store)), trashed(store)) == (["run.json"], before)
    assert [list(getattr(run, name)) for name in PARTS] == [[]] * 4


# Damage


@pytest.mark.damaged
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"id": "w"}', b'{"id": "other", "versions": {"": "%s"}}'])
def test_a_corrupt_run_is_an_error_not_listed_and_never_written_over(store: Store, run: WorkflowHandle, workflows, data: bytes):
    workflows.create("review", id="good")
    path = directory(store) / "run.json"
    path.write_bytes(data.replace(b"%s", clock.new_id().encode()))
    before = path.read_bytes()
    for call in (run.info, lambda: workflows.put(FULL), lambda: run.update(goal="x"), lambda: workflows.create("x", id="w")):
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(path)
    assert path.read_bytes() == before
    assert [found.id for found in workflows] == [found.id for found in workflows.recent()] == ["good"]
    assert [error.path for error in workflows.damage()] == [str(path)]
    assert run.leaves["l"] == PARTS["leaves"]  # its parts are there all the same
    assert run.delete() is True
    workflows.put(FULL)
    assert workflows.get("w") == FULL


@pytest.mark.damaged
@pytest.mark.parametrize("name", PARTS)
def test_a_corrupt_part_is_an_error_not_listed_and_never_written_over(store: Store, run: WorkflowHandle, name: str):
    parts, part = getattr(run, name), PARTS[name]
    path = directory(store) / name / f"{part.id}.json"
    path.write_bytes(b"{")
    for call in (lambda: parts[part.id], lambda: parts.put(part), lambda: parts.update(part.id, note=1)):
        with pytest.raises(CorruptError):
            call()
    assert (list(parts), path.read_bytes()) == ([], b"{")
    assert [error.path for error in run.damage()] == [str(path)]
    assert parts.delete(part.id) is True
    parts.put(part)
    assert parts[part.id] == part


@pytest.mark.damaged
@pytest.mark.parametrize("name", ["run", *PARTS])
def test_a_document_that_lacks_what_another_program_left_out_is_shown_as_far_as_it_goes(
    store: Store, run, workflows, name: str
):
    path = directory(store) / "run.json" if name == "run" else directory(store) / name / f"{PARTS[name].id}.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({"id": fields["id"], "versions": fields["versions"], "started_at": "then"}))
    (found,) = workflows if name == "run" else getattr(run, name)
    assert found.id == fields["id"]
    of = {"run": "workflow_id", "branches": "branch_id", "control_nodes": "node_id", "leaves": "leaf_id"}
    assert getattr(found, of.get(name, "candidate_id")) == ""
    assert name != "run" or workflows.recent() == [found]


def test_any_status_is_kept_as_the_engine_said_it(run: WorkflowHandle):
    assert run.update(status="waiting for a human").status == run.info().status == "waiting for a human"
    assert run.leaves.update("l", status="").status == ""


# Beside others


def test_a_read_only_store_and_a_held_lock_take_nothing(store: Store, run: WorkflowHandle):
    calls = (
        lambda theirs: theirs.put(FULL),
        lambda theirs: theirs.handle("w").update(goal="x"),
        lambda theirs: theirs.handle("w").leaves.put(PARTS["leaves"]),
        lambda theirs: theirs.handle("w").leaves.delete("l"),
        lambda theirs: theirs.delete("w"),
    )
    with Store.open(store.root, read_only=True) as reader, Store.open(store.root, lock_timeout=0) as hasty:
        with run.locked():
            for call in calls:
                with pytest.raises(LockTimeoutError):
                    call(hasty.workflows)
            assert hasty.workflows.get("w") == FULL
            assert list(hasty.workflows.handle("w").leaves) == [PARTS["leaves"]]
        for call in calls:
            with pytest.raises(ReadOnlyError):
                call(reader.workflows)


def test_handles_touch_no_disk(store: Store, monkeypatch: pytest.MonkeyPatch):
    workflows = store.workflows
    calls = faults.Calls(monkeypatch)
    assert workflows.handle("w").leaves is not None
    assert calls == []
    assert store.workflows is workflows


def test_parts_of_several_processes_and_threads_are_all_kept(root: Path, store: Store):
    with children.patient(str(root)) as mine:
        run = mine.workflows.create("review", id="w")
        counting = [
            threading.Thread(target=lambda name=name: [run.update(**{name: number}) for number in range(20)])
            for name in ("one", "two")
        ]
        for one in counting:
            one.start()
        made = run_all(children.create_leaves, [(str(root), "w", 20)] * 2)
        for one in counting:
            one.join()
    with Store.open(root, read_only=True) as other:
        handle = other.workflows.handle("w")
        assert {leaf.id for leaf in handle.leaves} == {id for ids in made for id in ids}
        assert len(list(handle.leaves)) == 40
        assert handle.info().extra == {"one": 19, "two": 19}
