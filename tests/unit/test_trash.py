"""The trash: listing, bringing back, emptying."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsstore import (
    AlreadyExistsError,
    Checkpoint,
    CorruptError,
    DynamicToolRecord,
    JobStateRecord,
    LockTimeoutError,
    NotFoundError,
    ReadOnlyError,
    ResponseSnapshot,
    Store,
    SyncFailedError,
    ThreadNotFoundError,
    Trashed,
    clock,
    codec,
)
from fsstore.disk import fs, machine
from fsstore.resources.session_index import SessionIndex


def full(store: Store, id: str = "t") -> Any:
    """A thread with all that a thread can hold."""
    thread = store.threads.create(id, name="Fix the parser", rollout_path="/rollouts/t", updated_at=100)
    question = thread.messages.append("user", "Why?")
    thread.messages.append("assistant", "So.")
    thread.messages.fork(question.id, "assistant", "Or so.")
    thread.goal.set("Ship", token_budget=100)
    thread.goal.accrue(tokens=7)
    thread.checkpoints.save("a", [1])
    thread.tools.replace([DynamicToolRecord(position=0, name="grep")])
    thread.runs.create("r").steps.create("s")
    return thread


def refuse(*_: object) -> None:
    raise OSError("refused")


def seen(store: Store, id: str = "t") -> list[Any]:
    thread = store.thread(id)
    return [
        thread.info(),
        list(thread.messages),
        [message.id for message in thread.messages.branch()],
        thread.goal.get(),
        thread.checkpoints.recent(None),
        thread.tools.all(),
        [(run, list(thread.runs.handle(run.id).steps)) for run in thread.runs],
        store.names.get(id),
        store.names.path_of("fix the PARSER"),
    ]


def files(root: Path) -> dict[str, bytes]:
    """Every file of the trash, by its path in it."""
    trash = root / ".fsstore/trash"
    return {str(path.relative_to(trash)): path.read_bytes() for path in sorted(trash.rglob("*")) if path.is_file()}


def test_nothing_is_in_the_trash_of_a_new_store(store: Store):
    assert list(store.trash) == store.trash.recent() == store.trash.empty() == []
    assert store.trash.get(clock.new_id()) is None
    assert store.trash.get("../../threads") is None


def test_the_trash_says_what_was_deleted_the_last_first(store: Store):
    full(store, "Ä/" * 200)
    thread = full(store)
    thread.checkpoints.delete("a")
    thread.goal.delete()
    store.jobs.put(JobStateRecord(id="j", name="build"))
    store.jobs.delete("j")
    run = store.workflows.create("deploy", id="w")
    kinds = {"branch_id": run.branches, "leaf_id": run.leaves, "node_id": run.control_nodes, "candidate_id": run.candidates}
    for key, of_kind in kinds.items():
        of_kind.create("gone", **{key: "x"})
        of_kind.create("kept", **{key: "x"})
        of_kind.delete("gone")
    run.delete()
    store.threads.delete("Ä/" * 200)
    found = store.trash.recent()
    assert [(one.kind, one.item_id, one.thread_id, one.name) for one in found] == [
        ("thread", "Ä/" * 200, "Ä/" * 200, "Fix the parser"),
        ("workflow run", "w", None, None),
        ("teacher candidate", "gone", None, None),
        ("control node run", "gone", None, None),
        ("leaf run", "gone", None, None),
        ("branch run", "gone", None, None),
        ("job", "j", None, "build"),
        ("goal", "t", "t", None),
        ("checkpoint", "a", "t", None),
    ]
    assert found == sorted(found, key=lambda one: one.id, reverse=True)
    assert store.trash.recent(2) == found[:2]
    assert [store.trash.get(one.id) for one in found] == found
    assert found[6].path == "jobs/j.json"
    assert sum(one.size for one in found) == sum(map(len, files(Path(store.root)).values()))
    assert all(abs(one.deleted_at - clock.now()) < 100 for one in found)
    with pytest.raises(ValueError, match="limit"):
        store.trash.recent(-1)


def test_a_thread_comes_back_whole_and_lives_again(store: Store, root: Path):
    full(store)
    before = seen(store)
    other = Store.open(root)
    assert seen(other) == before
    store.threads.delete("t")
    (entry,) = store.trash
    assert store.trash.restore(entry.id) == entry
    assert seen(store) == seen(other) == seen(Store.open(root)) == before
    assert files(root) == {}
    assert not list((root / ".fsstore/trash").iterdir())
    store.thread("t").messages.append("user", "on")
    other.thread("t").messages.append("user", "and on")
    assert [message.content for message in store.thread("t").messages.branch()] == ["Why?", "Or so.", "on", "and on"]
    assert store.thread("t").goal.accrue(tokens=1).tokens_used == 8
    store.names.append("t", "again", 200)  # refused for a thread that was deleted
    assert store.names.get("t") == "again"


def test_a_restored_thread_can_be_deleted_and_restored_again_and_again(store: Store, root: Path):
    full(store)
    before = seen(store)
    for _ in range(3):
        store.threads.delete("t")
        with pytest.raises(ThreadNotFoundError):
            store.thread("t").messages.append("user", "late")
        (entry,) = store.trash
        store.trash.restore(entry.id)
        store = Store.open(root)
        assert seen(store) == before
    store.threads.delete("t")
    store.threads.create("t")
    assert list(store.thread("t").messages) == []
    assert Store.open(root).threads.ids() == ["t"]


def test_a_union_of_the_index_with_that_of_another_machine_leaves_a_restored_thread_alone(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash
    index = root / "session_index.jsonl"
    elsewhere = index.read_bytes()  # a copy, in which it stays deleted
    store.trash.restore(entry.id)
    here = index.read_bytes()
    lines = {*elsewhere.splitlines(keepends=True), *here.splitlines(keepends=True)}
    for merged in (here + elsewhere, b"".join(sorted(lines, reverse=True))):
        index.write_bytes(merged)
        with Store.open(root) as again:
            assert again.threads.ids() == ["t"]
            assert again.names.path_of("Fix the parser") == "/rollouts/t"
            assert again.threads._index.deletions() == {}
    index.write_bytes(here)


def test_an_older_deletion_comes_back_too_and_takes_the_later_ones_back(store: Store, root: Path):
    full(store)
    before = seen(store)
    store.threads.delete("t")
    store.threads.create("t").messages.append("user", "another")
    store.threads.delete("t")
    second, first = store.trash
    store.trash.restore(first.id)
    assert seen(store) == before
    assert seen(Store.open(root)) == before
    with pytest.raises(AlreadyExistsError, match="thread t already exists: delete it"):
        store.trash.restore(second.id)
    store.threads.delete("t")
    store.trash.restore(second.id)
    assert [message.content for message in store.thread("t").messages] == ["another"]
    assert Store.open(root).threads.ids() == ["t"]


def test_a_restored_later_generation_keeps_the_deletion_of_the_first(store: Store):
    full(store)
    store.threads.delete("t")
    (first,) = store.trash
    store.threads.create("t").messages.append("user", "another")
    store.threads.delete("t")
    second = store.trash.recent(1)[0]
    store.trash.restore(second.id)
    assert [row["id"] for row in store.threads._index.deletions_of("t")] == [first.id]


def test_a_thread_begun_again_is_not_put_over(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash
    store.threads.create("t", name="new").messages.append("user", "new")
    kept = files(root)
    with pytest.raises(AlreadyExistsError, match="thread t already exists: delete it, or give it another id, and restore"):
        store.trash.restore(entry.id)
    assert files(root) == kept
    assert [message.content for message in store.thread("t").messages] == ["new"]
    store.threads.move("t", "new")
    store.trash.restore(entry.id)
    assert len(list(store.thread("t").messages)) == 3
    assert store.threads.ids() == ["new", "t"]


def test_a_thread_begun_again_is_not_taken_for_one_whose_restoration_failed(store: Store):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash.empty()
    store.threads.create("t")
    with pytest.raises(NotFoundError, match=f"deletion {entry.id} not found"):
        store.trash.restore(entry.id)
    assert [row["id"] for row in store.threads._index.deletions_of("t")] == [entry.id]


def test_a_lost_index_neither_keeps_a_thread_from_coming_back_nor_its_name_from_being_found(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    store.threads.create("other", name="other")
    (entry,) = store.trash
    store.close()
    (root / "session_index.jsonl").unlink()
    with Store.open(root) as again:
        again.trash.restore(entry.id)
        ids, whole = again.threads._index.called("fix the parser")
        assert (ids, whole) == ({"t"}, True)
        assert again.names.path_of("Fix the parser") == "/rollouts/t"


def test_a_restoration_whose_sync_failed_is_finished_when_done_again(store: Store, monkeypatch: pytest.MonkeyPatch):
    full(store)
    before = seen(store)
    store.threads.delete("t")
    (entry,) = store.trash

    def fails(path: str | int) -> None:
        raise OSError(5, "Input/output error")

    real = fs.rename
    with monkeypatch.context() as patch:
        patch.setattr(fs, "rename", lambda *args: (real(*args), patch.setattr(fs, "sync_directory", fails)))
        with pytest.raises(SyncFailedError):
            store.trash.restore(entry.id)
    assert list(store.trash) == []
    assert store.trash.restore(entry.id).item_id == "t"
    assert store.threads._index.deletions() == {}
    assert seen(store) == before


def test_what_a_cut_short_creation_left_in_the_place_makes_room(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash
    (root / "threads/t").mkdir()
    (root / "threads/t/usage.jsonl").touch()
    store.trash.restore(entry.id)
    assert len(list(store.thread("t").messages)) == 3


@pytest.mark.damaged
def test_what_is_no_whole_thread_or_nothing_of_the_stores_stays_in_the_trash(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash
    place = root / ".fsstore/trash" / entry.id
    (place / "threads/t/meta.json").unlink()
    stranger = root / ".fsstore/trash" / clock.new_id() / "notes/a"
    stranger.mkdir(parents=True)
    (stranger / "text").write_text("mine")
    (root / ".fsstore/trash/by hand").mkdir()
    found = store.trash.recent()
    assert {one.kind for one in found} == {"thread", "other"}
    kept = files(root)
    for one in found:
        with pytest.raises(CorruptError):
            store.trash.restore(one.id)
    assert files(root) == kept
    assert len(store.trash.empty()) == 2
    assert [path.name for path in (root / ".fsstore/trash").iterdir()] == ["by hand"]


def test_a_thread_whose_description_is_damaged_comes_back_as_it_was(store: Store, root: Path):
    full(store)
    (root / "threads/t/meta.json").write_bytes(b"{")
    store.threads.delete("t")
    (entry,) = store.trash
    assert (entry.kind, entry.item_id, entry.name) == ("thread", "t", None)
    store.trash.restore(entry.id)
    assert (root / "threads/t/meta.json").read_bytes() == b"{"
    store.threads.delete("t")


# Documents


def put_goal(store: Store) -> Callable[[], Any]:
    thread = full(store)
    thread.goal.delete()
    return thread.goal.get


def put_checkpoint(store: Store) -> Callable[[], Any]:
    thread = full(store)
    thread.checkpoints.delete("a")
    return lambda: getattr(thread.checkpoints.get("a"), "state", None)


def put_run_checkpoint(store: Store) -> Callable[[], Any]:
    kept = store.data.session("t", cwd="/").checkpoint
    kept.save(Checkpoint(prompt="p", responses=[ResponseSnapshot(model_id="m", text="half")], adapter_ids=["m"]))
    kept.clear()
    return lambda: getattr(kept.load(), "prompt", None)


def put_job(store: Store) -> Callable[[], Any]:
    store.jobs.put(JobStateRecord(id="j", name="build", progress=5, updated_at=3))
    store.jobs.delete("j")
    return lambda: store.jobs.get("j")


def put_part(store: Store) -> Callable[[], Any]:
    parts = store.workflows.create("deploy", id="w").branches
    parts.create("b", branch_id="left", result={"a": [1]})
    parts.delete("b")
    return lambda: parts.get("b")


DOCUMENTS = pytest.mark.parametrize("put", [put_goal, put_checkpoint, put_run_checkpoint, put_job, put_part])


@DOCUMENTS
def test_a_document_comes_back_as_a_new_version(store: Store, root: Path, put: Callable[[Store], Callable[[], Any]]):
    get = put(store)
    assert get() is None
    (entry,) = store.trash
    place = root / entry.path
    tombstone = place.read_bytes()
    store.trash.restore(entry.id)
    assert get() is not None
    assert files(root) == {}
    old, new = codec.decode_object(tombstone), codec.decode_object(place.read_bytes())
    assert new["versions"][""] > old["versions"][""] == entry.id
    assert new["versions"]["id"] == old["versions"]["id"] < entry.id  # its place among others is that of its creation
    assert {name for name in new if name != "versions"} <= new["versions"].keys()
    assert new["versions"]["deleted"] == new["versions"][""]
    with pytest.raises(NotFoundError):
        store.trash.restore(entry.id)


@DOCUMENTS
def test_a_document_that_is_there_again_is_not_put_over(store: Store, root: Path, put: Callable[[Store], Callable[[], Any]]):
    get = put(store)
    (entry,) = store.trash
    copy = files(root)
    store.trash.restore(entry.id)
    path = root / ".fsstore/trash" / next(iter(copy))
    path.parent.mkdir(parents=True)
    path.write_bytes(next(iter(copy.values())))  # as a crash before it was taken out of the trash leaves it
    store.trash.restore(entry.id)
    assert files(root) == {}
    back = get()
    path.parent.mkdir(parents=True)
    path.write_bytes(next(iter(copy.values())).replace(b'"id"', b'"more": 1,\n  "id"', 1))
    with pytest.raises(AlreadyExistsError, match="already exists: delete it"):
        store.trash.restore(entry.id)
    assert get() == back
    assert len(files(root)) == 1


def test_a_restored_goal_has_what_was_spent_on_it(store: Store):
    thread = full(store)
    goal = thread.goal.get()
    thread.goal.delete()
    (entry,) = store.trash
    store.trash.restore(entry.id)
    assert thread.goal.get() == goal
    assert thread.goal.accrue(tokens=1).tokens_used == 8


def test_restored_checkpoints_and_jobs_are_the_last_that_were_written(store: Store):
    thread = full(store)
    for name in "bc":
        thread.checkpoints.save(name, name)
    thread.checkpoints.delete("a")
    (entry,) = store.trash
    store.trash.restore(entry.id)
    assert [one.checkpoint_id for one in thread.checkpoints.recent()] == ["a", "c", "b"]
    thread.checkpoints.save("d", 0)
    assert thread.checkpoints.newest().checkpoint_id == "d"


def test_a_part_of_what_is_not_there_does_not_come_back(store: Store):
    put_checkpoint(store)
    put_part(store)
    store.threads.delete("t")
    store.workflows.delete("w")
    run, thread, part, checkpoint = store.trash
    with pytest.raises(ThreadNotFoundError, match="thread t not found"):
        store.trash.restore(checkpoint.id)
    with pytest.raises(NotFoundError, match="workflow run w not found"):
        store.trash.restore(part.id)
    for entry in (run, thread, part, checkpoint):
        store.trash.restore(entry.id)
    assert list(store.trash) == []
    assert store.workflows["w"].branches["b"].branch_id == "left"


def test_a_damaged_document_neither_comes_back_nor_is_written_over(store: Store, root: Path):
    put_job(store)
    (entry,) = store.trash
    copy = root / ".fsstore/trash" / entry.id / entry.path
    data = copy.read_bytes()
    copy.write_bytes(b"{")
    with pytest.raises(CorruptError):
        store.trash.restore(entry.id)
    copy.write_bytes(data)
    place = root / entry.path
    tombstone = place.read_bytes()
    place.write_bytes(b"no json")
    with pytest.raises(CorruptError):
        store.trash.restore(entry.id)
    assert place.read_bytes() == b"no json"
    place.write_bytes(tombstone)
    store.trash.restore(entry.id)


# Workflow runs


def trace(store: Store) -> Any:
    run = store.workflows.create("deploy", id="w", goal="ship", started_at=5)
    run.branches.create("b", branch_id="left")
    run.leaves.create("l", leaf_id="build", branch_run_id="b", output={"a": [1]})
    run.control_nodes.create("n", node_id="root")
    run.candidates.create("c", candidate_id="1", branch_run_id="b", control_node_run_id="n", score=0.5)
    run.branches.create("gone", branch_id="right")
    run.branches.delete("gone")
    return run


def parts(store: Store) -> list[Any]:
    run = store.workflows["w"]
    return [run.info(), *map(list, (run.branches, run.leaves, run.control_nodes, run.candidates))]


def test_a_workflow_run_comes_back_with_all_its_parts(store: Store, root: Path):
    trace(store)
    before = parts(store)
    for _ in range(2):
        store.workflows.delete("w")
        entry = store.trash.recent(1)[0]
        assert (entry.kind, entry.path) == ("workflow run", "workflows/w")
        store.trash.restore(entry.id)
        assert parts(store) == parts(Store.open(root)) == before
    assert [one.kind for one in store.trash] == ["branch run"]
    store.workflows["w"].leaves.create("more", leaf_id="more")


def test_a_workflow_run_that_is_there_again_is_not_put_over(store: Store):
    trace(store)
    before = parts(store)
    store.workflows.delete("w")
    entry = store.trash.recent(1)[0]
    store.workflows.create("other", id="w")
    with pytest.raises(AlreadyExistsError, match="workflow run w already exists: delete it"):
        store.trash.restore(entry.id)
    store.workflows.delete("w")
    store.trash.restore(entry.id)
    assert parts(store) == before


def delete_half_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete the workflow run `w`, and die before its parts are moved."""
    with monkeypatch.context() as patch:
        patch.setattr(store._root, "move_to_trash", refuse)
        with pytest.raises(OSError, match="refused"):
            store.workflows.delete("w")


def test_a_workflow_run_comes_back_after_a_deletion_that_died_half_way(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    trace(store)
    before = parts(store)
    delete_half_way(store, monkeypatch)
    entry = store.trash.recent(1)[0]
    assert (entry.kind, entry.path) == ("workflow run", "workflows/w")
    store.trash.restore(entry.id)
    assert parts(store) == before


def test_parts_that_a_deletion_did_not_move_join_their_run_in_the_trash(store: Store, monkeypatch: pytest.MonkeyPatch):
    trace(store)
    before = parts(store)
    delete_half_way(store, monkeypatch)
    store.workflows.create("other", id="w")
    store.workflows.delete("w")
    second, first, _ = store.trash
    store.trash.restore(first.id)
    assert parts(store) == before
    assert second.kind == "workflow run"


def steps_of(monkeypatch: pytest.MonkeyPatch, root: Path, do: Callable[[], object]) -> list[Path]:
    """Do something; give copies of the store, one as it was before each call that changes it."""
    copies: list[Path] = []

    def copied(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            copies.append(root.parent / f"step-{len(copies)}")
            shutil.copytree(root, copies[-1])
            return real(*args, **more)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "mkdir", "rmdir"):
            patch.setattr(fs, name, copied(getattr(fs, name)))
        do()
    return copies


def test_a_workflow_run_comes_back_as_it_was_wherever_its_restoration_meets_a_merge(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is not there when somebody merges comes from the other machine as that has it, older."""
    run = trace(store)
    shutil.copytree(root, root.parent / "older")
    run.update(goal="newer")
    run.branches.update("b", status="done")
    before = parts(store)
    run.delete()
    entry = store.trash.recent(1)[0]
    for place in steps_of(monkeypatch, root, lambda: store.trash.restore(entry.id)):
        copy = Store.open(place)
        merged_with(place, root.parent / "older")
        if copy.workflows.get("w") is None or any(one.id == entry.id for one in copy.trash):
            copy.trash.restore(entry.id)
        assert parts(copy) == before
        assert entry.id not in {one.id for one in copy.trash if one.kind == "workflow run"}


def merged_with(root: Path, other: Path) -> None:
    """Take from another copy of the workflow runs what is missing."""
    for path in (one for one in sorted((other / "workflows").rglob("*")) if one.is_file()):
        place = root / path.relative_to(other)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(path, place)


def test_a_run_whose_parts_a_merge_brought_back_can_be_begun_again_and_comes_back(store: Store, root: Path):
    trace(store)
    before = parts(store)
    shutil.copytree(root, root.parent / "older")
    for _ in range(2):
        store.workflows.delete("w")
        entry = store.trash.recent(1)[0]
        merged_with(root, root.parent / "older")
        store.trash.restore(entry.id)
        assert parts(store) == before
    store.workflows.delete("w")
    merged_with(root, root.parent / "older")
    store.workflows.create("other", id="w")
    assert parts(store)[1:] == [[], [], [], []]


def test_an_older_deletion_that_died_coming_back_keeps_its_own_parts(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    trace(store)
    before = parts(store)
    store.workflows.delete("w")
    store.workflows.create("other", id="w").leaves.create("l", leaf_id="x")
    other = parts(store)
    store.workflows.delete("w")
    second, first, _ = store.trash
    for place in steps_of(monkeypatch, root, lambda: store.trash.restore(first.id)):
        copy = Store.open(place)
        if any(one.id == first.id for one in copy.trash):
            copy.trash.restore(first.id)
        assert parts(copy) == before
        copy.workflows.delete("w")
        copy.trash.restore(second.id)
        assert parts(copy) == other


def test_what_a_deletion_did_not_move_joins_it_although_another_machine_deleted_the_run_too(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    trace(store)
    before = parts(store)
    shutil.copytree(root, root.parent / "other")
    with monkeypatch.context() as patch:
        real, left = fs.rename, [1, 2, 3]  # a copy, what run.json becomes, and one directory of parts
        patch.setattr(fs, "rename", lambda *paths: real(*paths) if left and left.pop() else refuse())
        with pytest.raises(OSError, match="refused"):
            store.workflows.delete("w")
    entry = store.trash.recent(1)[0]
    with Store.open(root.parent / "other") as other:
        other.workflows.delete("w")
    shutil.copyfile(root.parent / "other/workflows/w/run.json", root / "workflows/w/run.json")
    store.trash.restore(entry.id)
    assert parts(store) == before


def test_the_parts_of_a_run_join_no_deletion_of_another_run_of_its_id(store: Store, root: Path):
    trace(store)
    store.workflows.delete("w")
    store.workflows.create("other", id="w")
    other = parts(store)
    store.workflows.delete("w")
    second, first, _ = store.trash
    store.trash.restore(first.id)
    shutil.copytree(root, root.parent / "other")
    with Store.open(root.parent / "other") as machine:
        machine.workflows.delete("w")
    shutil.copyfile(root.parent / "other/workflows/w/run.json", root / "workflows/w/run.json")
    store.trash.restore(second.id)
    assert parts(store) == other


def test_what_is_not_the_stores_is_not_moved_for_a_workflow_run(store: Store, root: Path):
    trace(store)
    store.workflows.delete("w")
    entry = store.trash.recent(1)[0]
    (root / "workflows/w/mine").write_text("x")
    with pytest.raises(AlreadyExistsError, match="not the store's: move it away"):
        store.trash.restore(entry.id)
    (root / "workflows/w/mine").unlink()
    store.trash.restore(entry.id)


# Emptying


def test_emptying_deletes_for_good_and_says_what(store: Store, root: Path):
    full(store)
    store.threads.create("kept")
    store.threads.delete("t")
    put_job(store)
    found = store.trash.recent()
    assert store.trash.empty() == found
    assert files(root) == {}
    assert not list((root / ".fsstore/trash").iterdir())
    assert not list((root / ".fsstore/tmp").iterdir())
    assert store.trash.empty() == []
    with pytest.raises(NotFoundError):
        store.trash.restore(found[0].id)
    assert Store.open(root).threads.ids() == ["kept"]


def test_only_what_is_old_enough_or_named_goes(store: Store, monkeypatch: pytest.MonkeyPatch):
    now = clock.now()
    for number in range(3):
        store.threads.create(f"t{number}")
        store.threads.delete(f"t{number}")
    newest, middle, oldest = store.trash.recent()
    assert store.trash.empty(older_than=60) == []
    monkeypatch.setattr(clock, "now", lambda: now + 100)
    assert store.trash.empty(older_than=1000) == []
    assert store.trash.empty(older_than=60, only={oldest.id, "x"}) == [oldest]
    assert store.trash.old(60) == [newest, middle]
    assert store.trash.empty(older_than=60) == [newest, middle]
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="older_than"):
            store.trash.empty(older_than=wrong)


def test_what_was_half_deleted_is_swept_and_never_listed(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch):
    full(store)
    store.threads.delete("t")
    with monkeypatch.context() as patch:
        patch.setattr(fs, "unlink", refuse)
        patch.setattr(machine, "pid", lambda: 0x7FFFFFFF)
        with pytest.raises(OSError, match="refused"):
            store.trash.empty()
    assert list(store.trash) == []
    assert list((root / ".fsstore/tmp").iterdir())
    Store.open(root)
    assert not list((root / ".fsstore/tmp").iterdir())


def test_a_half_emptied_entry_is_told_as_far_as_it_goes(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    (entry,) = store.trash
    shutil.rmtree(root / ".fsstore/trash" / entry.id / "threads/t/runs")
    (entry,) = store.trash
    assert entry.kind == "thread"
    for path in sorted((root / ".fsstore/trash" / entry.id).rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
    assert list(store.trash) == []
    assert store.trash.get(entry.id) is None


def test_what_was_taken_out_before_a_lock_was_not_free_is_gone(root: Path):
    store = Store.open(root, lock_timeout=0)
    for name in ("a", "b"):
        store.threads.create(name)
        store.threads.delete(name)
    other = Store.open(root)
    with other.thread("a").place.lock(), pytest.raises(LockTimeoutError):
        store.trash.empty()  # the last deletion first
    assert [one.item_id for one in store.trash] == ["a"]
    assert not list((root / ".fsstore/tmp").iterdir())


def test_a_read_only_store_lists_its_trash_and_changes_nothing(store: Store, root: Path):
    full(store)
    store.threads.delete("t")
    with Store.open(root, read_only=True) as reader:
        (entry,) = reader.trash
        with pytest.raises(ReadOnlyError):
            reader.trash.restore(entry.id)
        with pytest.raises(ReadOnlyError):
            reader.trash.empty()
    assert isinstance(entry, Trashed)


def test_an_append_that_was_deleted_is_not_carried_into_a_new_thread_though_the_trash_was_emptied(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    store.threads.create("t").messages.append("user", "first")
    other = Store.open(root)
    real = fs.sync

    def meanwhile(fd: int) -> None:
        real(fd)
        monkeypatch.setattr(fs, "sync", real)
        other.threads.delete("t")
        other.threads.create("t")
        other.trash.empty()

    monkeypatch.setattr(fs, "sync", meanwhile)
    assert store.thread("t").messages.append("user", "deleted with the rest").content == "deleted with the rest"
    assert list(other.thread("t").messages) == []
    other.threads.delete("t")
    with pytest.raises(ThreadNotFoundError):
        store.thread("t").messages.append("user", "after it")


def test_who_held_a_log_open_when_its_thread_was_deleted_makes_its_place_durable_before_he_goes_on(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    full(store)
    held = Store.open(root)
    held.thread("t").messages.append("user", "held open")
    store.threads.delete("t")
    (entry,) = store.trash
    real = fs.rename
    with monkeypatch.context() as patch:
        patch.setattr(fs, "rename", lambda *args: (real(*args), patch.setattr(fs, "sync_directory", refuse)))
        with pytest.raises(SyncFailedError):
            store.trash.restore(entry.id)  # as if it had died: the directory is back, and no sync said so
    synced: list[str] = []
    sync_directory = fs.sync_directory
    monkeypatch.setattr(fs, "sync_directory", lambda path: (synced.append(path), sync_directory(path)))
    held.thread("t").messages.append("user", "after it")
    assert f"{root}/threads" in synced
    assert [message.content for message in store.thread("t").messages.branch()][-2:] == ["held open", "after it"]
    store.trash.restore(entry.id)
    assert not list((root / ".fsstore/tainted").glob("*messages*"))
    store.thread("t").goal.accrue(tokens=1)
    held.thread("t").messages.append("user", "and on")


def test_of_two_who_finish_a_restoration_at_once_one_is_told_that_there_is_none(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Store.open(root, lock_timeout=0)
    store.threads.create("t")
    store.threads.delete("t")
    (entry,) = store.trash
    with monkeypatch.context() as patch:
        patch.setattr(SessionIndex, "note_restoration", refuse)
        with pytest.raises(OSError, match="refused"):
            store.trash.restore(entry.id)  # as if it had died: the directory is back, and the deletion counts
    look = SessionIndex.deletions_of

    def meanwhile(index: SessionIndex, thread_id: str) -> list[Any]:
        rows = look(index, thread_id)
        monkeypatch.undo()
        assert other.trash.restore(entry.id).item_id == "t"
        return rows

    monkeypatch.setattr(SessionIndex, "deletions_of", meanwhile)
    with pytest.raises(NotFoundError):
        store.trash.restore(entry.id)
    assert (root / "session_index.jsonl").read_text().count('"restored"') == 1
