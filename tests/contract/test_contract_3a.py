"""Contract 3A, the behaviours that CodeWhale's own tests assert: where each number is tested, and those that stand alone here.

A test of number N is named `test_3a_NN_...`. Where part 0 of the contract decides otherwise than the original, the test is of
part 0; the table says so.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import onroot
import pytest
from codewhale_source import Source

from fsstore import (
    BranchRun,
    ControlNodeRun,
    DynamicToolRecord,
    LeafRun,
    MessageNotFoundError,
    StateStore,
    Store,
    TeacherCandidate,
    ThreadGoalRecord,
    ThreadListFilters,
    ThreadMetadata,
    ThreadStatus,
    WorkflowRun,
)
from fsstore.upkeep.codewhale import import_codewhale

GOALS, CHECKPOINTS, NAMES = "test_state_goals.py", "test_state_checkpoints.py", "test_state_names.py"
STATE, HERE = "test_state_store.py", "test_contract_3a.py"

#: Every number: where it is tested, and what of it is not asserted as the original has it, and why.
TABLE = {
    1: (GOALS, ""),
    2: (GOALS, ""),
    3: (HERE, ""),
    4: (HERE, "the database is moved in, not migrated in place: moving it in twice changes nothing"),
    5: (HERE, "the old ids are texts"),
    6: (HERE, "there is no schema: a fresh store takes and gives back all five kinds of workflow rows"),
    7: (HERE, "as 4"),
    8: (STATE, ""),
    9: (GOALS, "decision 18: the unknown word is kept on disk, reported by check, and reads as paused"),
    10: (HERE, "there are no rows: nothing of the thread is shown, found, or in its place; its files are in the trash"),
    11: (STATE, "no connection, foreign key or WAL: stores on one root are one store, no write is orphaned, readers see on"),
    12: (STATE, ""),
    13: (STATE, ""),
    14: (STATE, ""),
    15: (GOALS, ""),
    16: (GOALS, ""),
    17: (GOALS, ""),
    18: (HERE, "decision 36: $FSSTORE_ROOT is the root itself; there is no state.db below it and no legacy path"),
    19: (CHECKPOINTS, "decision 41: also where none is named, and nothing older is taken for it"),
    20: (NAMES, "the index is never compacted by a threshold: the promise behind it, that the latest name is kept"),
    21: (NAMES, ""),
    22: (NAMES, "as 20: the index is only rewritten to sort it, and a name noted at that moment is not lost"),
}


def test_every_number_is_tested_where_the_table_says() -> None:
    found: dict[int, set[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match = re.match(r"test_3a_(\d\d)_", node.name) if isinstance(node, ast.FunctionDef) else None
            if match:
                found.setdefault(int(match[1]), set()).add(path.name)
    assert sorted(TABLE) == list(range(1, 23))
    assert found == {number: {file} for number, (file, _) in TABLE.items()}


def test_3a_03_a_thread_comes_back_with_name_memory_mode_and_rollout_path_and_can_be_archived(state: StateStore) -> None:
    given = ThreadMetadata(id="t", name="parity", memory_mode="enabled", rollout_path="/sessions/t.jsonl", updated_at=5)
    state.upsert_thread(given)
    found = state.get_thread("t")
    assert found == given
    assert (found.name, found.memory_mode, found.rollout_path) == ("parity", "enabled", "/sessions/t.jsonl")
    state.mark_archived("t")
    found = state.get_thread("t")
    assert found is not None
    assert (found.archived, found.status) == (True, ThreadStatus.ARCHIVED)
    assert [thread.id for thread in state.list_threads(ThreadListFilters(include_archived=True, limit=10))] == ["t"]
    assert state.list_threads() == []


def moved_in(root: Path, database: Path) -> StateStore:
    """Give a store into which a database was moved twice, the second time without any change."""
    with Store.open(root) as store:
        import_codewhale(store, database)
        before = onroot.snapshot(root)
        import_codewhale(store, database)
    assert onroot.snapshot(root) == before
    return StateStore.open(root)


def test_3a_04_messages_of_version_0_become_a_chain_in_the_order_of_their_times(root: Path, tmp_path: Path) -> None:
    source = Source(tmp_path / "codewhale", 0)
    source.thread("t")
    for id, created_at in ((1, 30), (2, 10), (3, 20)):
        source.message(id, "t", f"at {created_at}", created_at=created_at)
    state = moved_in(root, source.close())
    listed = state.list_messages("t")
    assert [(message.content, message.created_at) for message in listed] == [("at 10", 10), ("at 20", 20), ("at 30", 30)]
    assert [message.parent_entry_id for message in listed] == [None, "2", "3"]
    found = state.get_thread("t")
    assert found is not None
    assert found.current_leaf_id == "1"


def test_3a_05_messages_of_one_second_keep_the_order_of_their_ids(root: Path, tmp_path: Path) -> None:
    source = Source(tmp_path / "codewhale", 0)
    source.thread("t")
    for id in (1, 2, 3, 4):
        source.message(id, "t", f"message {id}", created_at=100)
    listed = moved_in(root, source.close()).list_messages("t")
    assert [(message.id, message.parent_entry_id) for message in listed] == [("1", None), ("2", "1"), ("3", "2"), ("4", "3")]


def test_3a_06_a_fresh_store_takes_every_kind_of_workflow_row(root: Path) -> None:
    run = WorkflowRun(id="w", workflow_id="review", goal="Review", status="running", started_at=1)
    branch = BranchRun(id="b", workflow_run_id="w", branch_id="style", node_id="n", started_at=1)
    node = ControlNodeRun(id="n", workflow_run_id="w", node_id="choose", kind="select", selected_children=["b"], started_at=1)
    leaf = LeafRun(id="l", workflow_run_id="w", branch_run_id="b", leaf_id="lint", task_id="t", input_hash="h", started_at=1)
    candidate = TeacherCandidate(
        id="c", workflow_run_id="w", control_node_run_id="n", candidate_id="first", branch_run_id="b", score=0.5, passed=True
    )
    with Store.open(root) as store:
        store.workflows.put(run)
        handle = store.workflows.handle("w")
        handle.branches.put(branch)
        handle.control_nodes.put(node)
        handle.leaves.put(leaf)
        handle.candidates.put(candidate)
    with Store.open(root, read_only=True) as again:
        handle = again.workflows["w"]
        assert handle.info() == run
        found = [*handle.branches, *handle.control_nodes, *handle.leaves, *handle.candidates]
        assert found == [branch, node, leaf, candidate]


def test_3a_07_a_thread_of_version_1_survives_with_its_branches(root: Path, tmp_path: Path) -> None:
    source = Source(tmp_path / "codewhale", 1)
    source.thread("t", title="survivor", memory_mode="on", rollout_path="/t", created_at=100, updated_at=200)
    for id, parent in ((1, None), (2, 1), (3, 1)):
        source.message(id, "t", f"message {id}", parent)
    source.leaf("t", 2)
    state = moved_in(root, source.close())
    found = state.get_thread("t")
    assert found is not None
    assert (found.name, found.memory_mode, found.rollout_path) == ("survivor", "on", "/t")
    assert (found.created_at, found.updated_at, found.current_leaf_id) == (100, 200, "2")
    assert [message.id for message in state.list_messages("t")] == ["1", "2"]
    assert [message.id for message in state.list_leaf_messages("t")] == ["2", "3"]


def test_3a_10_nothing_of_a_deleted_thread_is_left(state: StateStore, root: Path) -> None:
    for thread in ("t", "other"):
        state.upsert_thread(ThreadMetadata(id=thread, name=thread, rollout_path=f"/{thread}"))
        state.append_message(thread, "user", "hi")
        state.save_checkpoint(thread, "latest", {"kept": thread})
        state.persist_dynamic_tools(thread, [DynamicToolRecord(position=0, name=thread)])
        state.upsert_thread_goal(ThreadGoalRecord(thread_id=thread, objective=thread))
        state.record_thread_goal_usage(thread, 5, 5, 5)
    (message,) = state.list_messages("t")
    before = onroot.snapshot(root / "threads" / "t")
    others = onroot.snapshot(root / "threads" / "other")
    assert state.delete_thread("t") is True
    for opened in (state, StateStore.open(root)):
        assert opened.get_thread("t") is None
        assert (opened.list_messages("t"), opened.list_leaf_messages("t")) == ([], [])
        assert (opened.load_checkpoint("t"), opened.load_checkpoint("t", "latest"), opened.list_checkpoints("t")) == (
            None,
            None,
            [],
        )
        assert (opened.get_dynamic_tools("t"), opened.get_thread_goal("t")) == ([], None)
        assert (opened.find_thread_name_by_id("t"), opened.find_thread_path_by_name_str("t")) == (None, None)
        with pytest.raises(MessageNotFoundError):
            opened.fork_at_message(message.id, "user", "late")
    assert [path.name for path in (root / "threads").iterdir()] == ["other"]
    assert onroot.snapshot(root / "threads" / "other") == others
    (trashed,) = (root / ".fsstore" / "trash").glob("*/threads/t")
    assert onroot.snapshot(trashed) == before
    assert {"messages.jsonl", "checkpoints/latest.json", "tools.json", "goal.json", "usage.jsonl"} <= set(before)
    state.upsert_thread(ThreadMetadata(id="t"))
    assert (state.list_messages("t"), state.list_checkpoints("t"), state.get_dynamic_tools("t")) == ([], [], [])
    assert (state.get_thread_goal("t"), state.find_thread_name_by_id("t")) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="the place is the platform's")
@pytest.mark.parametrize(
    ("named", "expected"), [("{}/named", "named"), (None, "data/fsstore"), ("", "data/fsstore"), (" \t", "data/fsstore")]
)
def test_3a_18_the_root_that_is_named_is_taken_as_it_is_and_a_blank_is_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, expected: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", f"{tmp_path}/data")
    monkeypatch.delenv("FSSTORE_ROOT", raising=False)
    if named is not None:
        monkeypatch.setenv("FSSTORE_ROOT", named.format(tmp_path))
    with StateStore.open() as state:
        assert state.db_path() == tmp_path / expected
        state.upsert_thread(ThreadMetadata(id="t"))
    assert (tmp_path / expected / "threads" / "t" / "meta.json").is_file()
