"""Moving in from CodeWhale: what arrives of each version's database, that doing it twice is doing it once, what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import processes
import pytest
from codewhale_source import TREE, VERSIONS, Source, filled

from fsstore import (
    BranchRun,
    CheckpointRecord,
    ControlNodeRun,
    DynamicToolRecord,
    JobStateRecord,
    LeafRun,
    StateStore,
    Store,
    TeacherCandidate,
    ThreadGoalRecord,
    ThreadListFilters,
    ThreadMetadata,
    WorkflowRun,
)
from fsstore.disk import fs
from fsstore.upkeep import codewhale_db
from fsstore.upkeep.codewhale import Moved, import_codewhale
from fsstore.upkeep.conversation import SourceError

SPECIAL = "caf\u00e9 \U0001f600 \u0000 end"


@pytest.fixture
def state(store: Store) -> StateStore:
    return StateStore(store)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "codewhale")


def contents(state: StateStore, thread: str = "t") -> list[Any]:
    return [message.content for message in state.list_messages(thread)]


def refused(moved: Moved) -> list[str]:
    return [str(refusal) for refusal in moved.refused]


def everything(root: str | Path) -> dict[str, bytes]:
    """Give every file of a store but the caches and locks of this root."""
    files = (path for path in sorted(Path(root).rglob("*")) if path.is_file() and ".fsstore" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def difference(one: Store | Path, other: Store | Path) -> str:
    """Give what diff(1) has to say of all that is derived: everything but the ids of the session index."""
    roots = [root.root if isinstance(root, Store) else str(root) for root in (one, other)]
    command = ["diff", "-r", "-x", ".fsstore", "-x", "session_index.jsonl", *roots]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def on_another_machine(tmp_path: Path, path: Path) -> Store:
    other = Store.open(tmp_path / "other")
    import_codewhale(other, path)
    return other


# What arrives, of every version


@pytest.mark.parametrize("version", VERSIONS)
def test_threads_of_every_version_arrive_with_all_their_fields(
    state: StateStore, store: Store, tmp_path: Path, version: int
) -> None:
    moved = import_codewhale(store, filled(tmp_path / "source", version).close())
    assert refused(moved) == []
    columns = {name: value for name, value in TREE.items() if name not in ("title", "ephemeral", "archived")}
    expected = ThreadMetadata(id="tree", name="The tree \u2603", ephemeral=True, archived=False, current_leaf_id="8", **columns)
    assert state.get_thread("tree") == expected
    archived = state.get_thread("archived/one")
    assert archived is not None
    assert (archived.status, archived.archived, archived.archived_at) == ("archived", True, 1_700_000_300)
    assert (archived.name, archived.created_at, archived.updated_at) == (None, 1_600_000_000, 1_700_000_100)
    assert [thread.id for thread in state.list_threads()] == ["tree", "Empty"]
    assert len(state.list_threads(ThreadListFilters(include_archived=True))) == 3
    assert state.get_thread_memory_mode("tree") == "local"
    assert state.find_rollout_path_by_id("tree") == "/rollouts/tree.jsonl"


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_of_every_version_arrive_with_branches_and_leaf(
    state: StateStore, store: Store, tmp_path: Path, version: int
) -> None:
    import_codewhale(store, filled(tmp_path / "source", version).close())
    other = [] if version else ["5"]
    assert contents(state, "tree") == ["0", "1", "2", "3", "4", *other, "6", SPECIAL]
    assert [leaf.id for leaf in state.list_leaf_messages("tree")] == (["6", "8"] if version else ["8"])
    assert [(row.id, row.created_at) for row in state.list_messages("tree", 2)] == [("7", 1_700_000_007), ("8", 1_700_000_007)]
    parents = {row.id: row.parent_entry_id for row in state.list_messages("tree")}
    assert parents["5"] == "4"
    assert parents["7"] == ("5" if version else "6")
    assert contents(state, "archived/one") == ["alone"]
    assert contents(state, "Empty") == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_belongs_to_a_thread_or_to_none_arrives(state: StateStore, store: Store, tmp_path: Path, version: int) -> None:
    import_codewhale(store, filled(tmp_path / "source", version).close())
    checkpoints = state.list_checkpoints("tree")
    assert [row.checkpoint_id for row in checkpoints] == ["latest", "third", "second", "first", "oldest"]
    newest = {"reason": "turn", "text": "\u00e9"}
    assert state.load_checkpoint("tree") == CheckpointRecord(
        thread_id="tree", checkpoint_id="latest", state=newest, created_at=1_700_000_400
    )
    assert [row.created_at for row in checkpoints[1:]] == [1_700_000_200] * 3 + [1_700_000_150]
    assert state.load_checkpoint("tree", "oldest").state is None  # type: ignore[union-attr]
    schemas = [{"type": "object", "properties": {name: {"type": "string"}}} for name in ("read", "write")]
    assert state.get_dynamic_tools("tree") == [
        DynamicToolRecord(position=0, name="read", description="Read \u00e9", input_schema=schemas[0]),
        DynamicToolRecord(position=1, name="write", input_schema=schemas[1]),
    ]
    times = {"created_at": 1_700_000_001, "updated_at": 1_700_000_010, "detail": '{"retry": 1}'}
    assert state.list_jobs() == [  # of one time, the row that came later first
        JobStateRecord(id="a", name="Job a", status="queued", **times),
        JobStateRecord(id="b", name="Job b", status="running", progress=40, **times),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_goal_arrives_with_what_was_spent_and_goes_on_from_there(
    state: StateStore, store: Store, tmp_path: Path, version: int
) -> None:
    import_codewhale(store, filled(tmp_path / "source", version).close())
    if version < 3:
        assert state.get_thread_goal("tree") is None
        return
    goal = ThreadGoalRecord(
        thread_id="tree",
        goal_id="g1",
        objective="Ship \u2603",
        status="usage_limited",
        token_budget=50_000,
        tokens_used=1_200,
        time_used_seconds=75,
        continuation_count=3 if version == 4 else 0,
        created_at=1_700_000_020,
        updated_at=1_700_000_030,
    )
    assert state.get_thread_goal("tree") == goal
    more = state.record_thread_goal_usage("tree", 10, 5, 1)
    assert more is not None
    assert (more.tokens_used, more.time_used_seconds, more.updated_at) == (1_210, 80, 1_700_000_030)


@pytest.mark.parametrize("version", VERSIONS)
def test_names_arrive_also_of_threads_that_are_not_in_the_database(
    state: StateStore, store: Store, tmp_path: Path, version: int
) -> None:
    import_codewhale(store, filled(tmp_path / "source", version).close())
    asked = ["tree", "archived/one", "Empty", "elsewhere", "nameless", "unknown"]
    assert state.find_thread_names_by_ids(asked) == {
        "tree": "The tree \u2603",
        "archived/one": None,
        "Empty": "Nothing said",
        "elsewhere": "From elsewhere",
        "nameless": None,
        "unknown": None,
    }
    assert state.find_thread_path_by_name_str("from ELSEWHERE") == "/rollouts/elsewhere.jsonl"
    assert state.find_thread_path_by_name_str("Old name") is None
    assert state.get_thread("elsewhere") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_workflow_traces_arrive(store: Store, tmp_path: Path, version: int) -> None:
    import_codewhale(store, filled(tmp_path / "source", version).close())
    runs = store.workflows.recent(None)
    if version < 2:
        assert runs == []
        return
    times = {"started_at": 100, "completed_at": 200}
    assert runs == [
        WorkflowRun(id="run2", workflow_id="review", status="paused", started_at=100),
        WorkflowRun(
            id="run/1",
            workflow_id="review",
            goal="Find bugs",
            status="completed",
            input_hash="h",
            metadata={"by": "me"},
            **times,
        ),
    ]
    assert [run.id for run in store.workflows.recent(status="paused")] == ["run2"]
    run = store.workflows["run/1"]
    of: Any = {"workflow_run_id": "run/1", "status": "completed"}
    assert list(run.branches) == [BranchRun(id="br", branch_id="main", node_id="n1", started_at=101, result={"ok": True}, **of)]
    leaf = {"branch_run_id": "br", "leaf_id": "lint", "task_id": "t", "input_hash": "i", "started_at": 102, **of}
    leaves = [LeafRun(id="l2", output=[1], artifacts=["a"], completed_at=103, **leaf), LeafRun(id="l1", **leaf)]
    assert list(run.leaves) == leaves
    assert run.leaves.replay("lint", "i") == leaves[1]
    node = {"node_id": "c", "kind": "vote", "selected_children": ["br"], "started_at": 104}
    assert list(run.control_nodes) == [ControlNodeRun(id="cn", **node, **of)]
    teacher = {"control_node_run_id": "cn", "candidate_id": "x", "score": 0.5, "passed": True, "created_at": 105}
    assert list(run.candidates) == [TeacherCandidate(id="tc", workflow_run_id="run/1", **teacher)]


def test_an_old_integer_id_finds_its_message_in_the_whole_store(state: StateStore, store: Store, tmp_path: Path) -> None:
    import_codewhale(store, filled(tmp_path / "source").close())
    assert store.threads.with_message("9").id == "archived/one"
    state.fork_at_message("2", "user", "another way")
    assert contents(state, "tree") == ["0", "1", "another way"]
    state.set_current_leaf_id("tree", "6")
    assert contents(state, "tree") == ["0", "1", "2", "5"]


def test_an_item_of_null_is_told_from_none(state: StateStore, store: Store, tmp_path: Path) -> None:
    import_codewhale(store, filled(tmp_path / "source").close())
    fifth, seventh, eighth = state.list_messages("tree")[-3:]
    assert (fifth.has_item, seventh.item) == (False, {"calls": [{"n": 2**64 - 1}]})
    assert (eighth.has_item, eighth.item) == (True, None)


def test_version_0_is_one_branch_by_time_and_then_by_id(state: StateStore, store: Store, tmp_path: Path) -> None:
    source = Source(tmp_path / "source", 0)
    source.thread("t")
    for id, time in ((1, 50), (2, 10), (3, 30), (4, 30)):
        source.message(id, "t", f"m{id}", created_at=time)
    import_codewhale(store, source.close())
    assert [(row.id, row.parent_entry_id) for row in state.list_messages("t")] == [
        ("2", None),
        ("3", "2"),
        ("4", "3"),
        ("1", "4"),
    ]


def test_a_database_that_codewhale_itself_brought_from_version_0_to_1_gives_the_same_records(
    store: Store, tmp_path: Path
) -> None:
    old, new = Source(tmp_path / "old", 0), Source(tmp_path / "new", 1)
    for source, parents in ((old, {}), (new, {1: 4, 3: 2, 4: 3})):
        source.thread("t")
        for id, time in ((1, 50), (2, 10), (3, 30), (4, 30)):
            source.message(id, "t", f"m{id}", parents.get(id), created_at=time)
    new.leaf("t", 1)
    import_codewhale(store, old.close())
    assert difference(store, on_another_machine(tmp_path, new.file)) == ""
    moved = import_codewhale(store, new.close())
    assert (moved.added["messages"], moved.known["messages"]) == (0, 4)


def test_a_schema_newer_than_4_gives_what_is_known_of_it(state: StateStore, store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    source.run(
        "ALTER TABLE threads ADD COLUMN colour TEXT DEFAULT 'red'",
        "CREATE TABLE moods (id TEXT PRIMARY KEY)",
        "INSERT INTO moods VALUES ('glad')",
        "PRAGMA user_version = 9",
    )
    assert refused(import_codewhale(store, source.close())) == []
    assert len(state.list_messages("tree")) == 7


def test_ids_may_be_any_text(state: StateStore, store: Store, source: Source) -> None:
    ids = ["A", "a", "../../etc/passwd", "CON", "caf\u00e9", "cafe\u0301", "x" * 1000, "two\nlines", "tab\t\u0001", "%41"]
    for at, id in enumerate(ids):
        source.thread(id)
        source.message(at + 1, id, id)
        source.leaf(id, at + 1)
        source.checkpoint(id, id, id, 5)
        source.add("jobs", id=id, name=id, status="queued", created_at=1, updated_at=2)
    assert refused(import_codewhale(store, source.close())) == []
    for id in ids:
        assert contents(state, id) == [id]
        assert state.load_checkpoint(id, id).state == id  # type: ignore[union-attr]
        assert state.get_job(id).name == id  # type: ignore[union-attr]


# Twice, here and elsewhere


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_move_changes_no_byte(store: Store, tmp_path: Path, version: int) -> None:
    path = filled(tmp_path / "source", version).close()
    first = import_codewhale(store, path)
    before = everything(store.root)
    second = import_codewhale(Store.open(store.root), path.parent)
    assert everything(store.root) == before
    assert (+second.added, second.known) == ({}, +first.added)


@pytest.mark.parametrize("version", VERSIONS)
def test_two_machines_write_the_same_bytes(store: Store, tmp_path: Path, version: int) -> None:
    path = filled(tmp_path / "source", version).close()
    import_codewhale(store, path)
    assert difference(store, on_another_machine(tmp_path, path)) == ""
    assert len(everything(store.root)) > 10


def test_the_derivation_of_ids_and_versions_never_changes(store: Store, tmp_path: Path) -> None:
    import_codewhale(store, filled(tmp_path / "source").close())
    found = everything(store.root)
    documents = [
        "threads/tree/meta.json",
        "threads/tree/goal.json",
        "threads/tree/tools.json",
        "threads/tree/checkpoints/second.json",
        "jobs/a.json",
        "workflows/run2/run.json",
        "workflows/run%2f1/leaves/l1.json",
    ]
    versions = [json.loads(found[path])["versions"] for path in documents]
    messages = [json.loads(line)["id"] for line in found["threads/tree/messages.jsonl"].splitlines()]
    assert [version[""] for version in versions] + messages[-2:] == [
        "018bcfe5-6800-7000-9592-3249a8ba2383",
        "018bcfe5-dd30-7000-9d21-7df466097feb",
        "018bcfe5-6800-7000-9fee-3d18adfce08c",
        "018bcfe8-7540-7001-a986-717194d19b10",
        "018bcfe5-8f10-7001-9408-c51334984a00",
        "00000001-86a0-7001-82d9-a23082338479",
        "00000001-8e70-7001-8fc4-491b5ed11c95",
        "018bcfe5-8358-7000-b929-3b71c8ef3fb7",
        "018bcfe5-8358-7001-aa92-7672b2f80dc0",
    ]
    assert all(version == {"": version[""], "id": version[""]} for version in versions)
    assert json.loads(found["threads/tree/goal.json"])["base"]["epoch"] == versions[1][""]


def test_what_two_machines_accrue_to_a_goal_that_both_imported_is_of_one_epoch(store: Store, tmp_path: Path) -> None:
    path = filled(tmp_path / "source").close()
    import_codewhale(store, path)
    other = on_another_machine(tmp_path, path)
    store.thread("tree").goal.accrue(tokens=1)
    other.thread("tree").goal.accrue(tokens=2)
    ledger = Path(store.root, "threads/tree/usage.jsonl")
    ledger.write_bytes(ledger.read_bytes() + Path(other.root, "threads/tree/usage.jsonl").read_bytes())
    assert Store.open(store.root).thread("tree").goal.get().tokens_used == 1_203  # type: ignore[union-attr]


def test_four_processes_that_move_the_same_at_once_add_it_once(store: Store, tmp_path: Path) -> None:
    path = filled(tmp_path / "source").close()
    counts = processes.run_all(move_in_child, [(store.root, str(path))] * 4)
    other = on_another_machine(tmp_path, path)
    expected = +import_codewhale(Store.open(tmp_path / "third"), path).added
    names = {"session_index.jsonl"}  # two that note one name at once note it twice
    assert {table: sum(count[table] for count in counts) for table in expected.keys() - names} == {
        table: number for table, number in expected.items() if table not in names
    }
    assert difference(store, other) == ""


def move_in_child(root: str, path: str) -> dict[str, int]:
    return import_codewhale(Store.open(root), path).added


def test_a_source_that_has_grown_adds_what_is_new_and_writes_what_another_machine_writes(
    state: StateStore, store: Store, tmp_path: Path
) -> None:
    source = filled(tmp_path / "source")
    import_codewhale(store, source.file)
    source.message(20, "tree", "later", 8)
    source.message(21, "tree", "aside", 1)
    source.leaf("tree", 20)
    source.thread("new", title="New")
    source.checkpoint("tree", "newer", 1, 1_700_000_600)
    moved = import_codewhale(store, source.file)
    assert +moved.added == {"messages": 2, "threads": 1, "checkpoints": 1}
    assert contents(state, "tree")[-2:] == [SPECIAL, "later"]
    assert state.load_checkpoint("tree").checkpoint_id == "newer"  # type: ignore[union-attr]
    other = on_another_machine(tmp_path, source.close())
    lines = [Path(root, "threads/tree/messages.jsonl").read_bytes().splitlines() for root in (store.root, other.root)]
    records = [[line for line in log if b'"leaf"' not in line] for log in lines]
    assert records[0] == records[1]
    assert difference(store, other).count("\ndiff ") == 0  # but for where the leaf was moved in between


# What the store has is never overwritten


def test_what_was_changed_here_stays_as_it_is(state: StateStore, store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    import_codewhale(store, source.file)
    state.append_message("tree", "user", "mine")
    store.threads.update("tree", name="renamed", preview="mine")
    state.save_checkpoint("tree", "latest", "mine")
    state.persist_dynamic_tools("tree", [])
    state.upsert_thread_goal(ThreadGoalRecord(thread_id="tree", objective="mine"))
    state.upsert_job(JobStateRecord(id="a", name="mine"))
    store.workflows["run/1"].update(goal="mine")
    store.workflows["run/1"].leaves.update("l1", output="mine")
    state.append_thread_name("elsewhere", "mine", 3, "/mine")
    before = everything(store.root)
    assert +import_codewhale(store, source.close()).added == {}
    assert everything(store.root) == before
    assert contents(state, "tree")[-1] == "mine"


def test_what_was_deleted_here_stays_deleted(state: StateStore, store: Store, tmp_path: Path) -> None:
    path = filled(tmp_path / "source").close()
    import_codewhale(store, path)
    state.delete_checkpoint("tree", "latest")
    state.delete_thread_goal("tree")
    state.delete_job("a")
    store.thread("tree").messages.remove("8")
    store.workflows["run/1"].branches.delete("br")
    store.workflows.delete("run2")
    state.clear_messages("archived/one")
    before = everything(store.root)
    moved = import_codewhale(store, path)
    assert +moved.added == {}
    assert everything(store.root) == before
    store.workflows.delete("run/1")
    moved = import_codewhale(store, path)
    assert (+moved.added, moved.known["leaf_runs"]) == ({}, 2)
    assert store.workflows.recent() == []


def test_a_deleted_thread_comes_back_whole_and_stays(state: StateStore, store: Store, tmp_path: Path) -> None:
    path = filled(tmp_path / "source").close()
    import_codewhale(store, path)
    state.delete_thread("tree")
    moved = import_codewhale(store, path)
    assert (moved.added["threads"], moved.added["messages"], moved.added["checkpoints"]) == (1, 8, 5)
    again = StateStore(Store.open(store.root))
    assert contents(again, "tree")[-1] == SPECIAL
    assert again.load_checkpoint("tree").checkpoint_id == "latest"  # type: ignore[union-attr]
    assert again.get_thread_goal("tree").tokens_used == 1_200  # type: ignore[union-attr]
    assert +import_codewhale(store, path).added == {}


def test_a_thread_of_the_same_id_with_other_words_is_left_alone(state: StateStore, store: Store, source: Source) -> None:
    source.thread("t")
    source.message(1, "t", "theirs")
    store.threads.create("t").messages.append("user", "mine", given_id="1")
    moved = import_codewhale(store, source.close())
    assert (moved.differing, moved.added["messages"]) == (["t"], 0)
    assert contents(state) == ["mine"]


def test_a_checkpoint_saved_here_stays_the_newest(state: StateStore, store: Store, tmp_path: Path) -> None:
    store.threads.create("tree")
    state.save_checkpoint("tree", "mine", 1)
    import_codewhale(store, filled(tmp_path / "source").close())
    assert [row.checkpoint_id for row in state.list_checkpoints("tree")][:2] == ["mine", "latest"]
    state.save_checkpoint("tree", "again", 2)
    assert state.load_checkpoint("tree").checkpoint_id == "again"  # type: ignore[union-attr]


def test_what_is_saved_after_a_move_is_newer_than_what_came_from_the_future(
    state: StateStore, store: Store, source: Source
) -> None:
    source.thread("t")
    source.checkpoint("t", "future", 1, 20_000_000_000)
    import_codewhale(store, source.close())
    state.save_checkpoint("t", "now", 2)
    assert [row.checkpoint_id for row in state.list_checkpoints("t")] == ["now", "future"]


# Names


def test_a_name_of_the_index_counts_unless_the_thread_was_put_later(state: StateStore, store: Store, source: Source) -> None:
    for id in ("newer", "older", "cleared"):
        source.thread(id, title=f"title of {id}", updated_at=100, rollout_path="/db")
    source.name("newer", "by name", 100, "/index")
    source.name("older", "by name", 99, "/index")
    source.name("cleared", "by name", 100)
    source.name("cleared", None, 101)
    import_codewhale(store, source.close())
    names = state.find_thread_names_by_ids(["newer", "older", "cleared"])
    assert names == {"newer": "by name", "older": "title of older", "cleared": None}
    paths = [state.find_rollout_path_by_id(id) for id in names]
    assert paths == ["/index", "/db", "/db"]
    assert state.get_thread("newer").updated_at == 100  # type: ignore[union-attr]


def test_a_bad_line_of_the_index_hides_no_other(state: StateStore, store: Store, source: Source) -> None:
    source.thread("t")
    source.name("a", "A", 1)
    bad = [
        b'{"thread_id": "torn", "thr',
        b"[1]",
        b'{"thread_name": "no id", "updated_at": 1}',
        b'{"thread_id": "", "thread_name": "x", "updated_at": 1}',
        b'{"thread_id": "b", "thread_name": 5, "updated_at": 1}',
        b'{"thread_id": "b", "thread_name": "x"}',
        b'{"thread_id": "b", "thread_name": "x", "updated_at": 1e99}',
        b'{"thread_id": "b", "thread_name": "x", "updated_at": 123456789012345678901234567890}',
        b'{"thread_id": "b", "thread_name": "\xff", "updated_at": 1}',
        b'{"thread_id": "b", "thread_name": "x", "updated_at": 1, "rollout_path": []}',
    ]
    source.index.write_bytes(source.index.read_bytes() + b"\n \r\n" + b"\n".join(bad) + b"\n")
    source.name("c", "C", 1)
    moved = import_codewhale(store, source.close())
    assert [refusal.key for refusal in moved.refused] == [f"line {number}" for number in range(4, 14)]
    assert {refusal.table for refusal in moved.refused} == {"session_index.jsonl"}
    assert state.find_thread_names_by_ids("abc") == {"a": "A", "b": None, "c": "C"}


def test_a_name_that_the_store_knows_or_that_was_deleted_here_is_left(state: StateStore, store: Store, source: Source) -> None:
    source.thread("t")
    for id in ("here", "noted", "gone"):
        source.name(id, "theirs", 2_000_000_000, "/theirs")
    store.threads.create("here", name="mine")
    state.append_thread_name("noted", "mine", 1)
    store.threads.create("gone", name="mine").delete()
    moved = import_codewhale(store, source.close())
    assert (moved.added["session_index.jsonl"], moved.known["session_index.jsonl"]) == (0, 3)
    assert state.find_thread_names_by_ids(["here", "noted", "gone"]) == {"here": "mine", "noted": "mine", "gone": None}


def test_the_index_may_be_missing_or_a_link(state: StateStore, store: Store, source: Source, tmp_path: Path) -> None:
    source.thread("t")
    import_codewhale(store, source.file)
    source.name("a", "A", 1)
    source.index.rename(tmp_path / "moved.jsonl")
    source.index.symlink_to(tmp_path / "moved.jsonl")
    import_codewhale(store, source.close())
    assert state.find_thread_name_by_id("a") == "A"


# What cannot be taken as it stands


def test_a_leaf_of_null_is_no_leaf_and_one_that_names_no_message_is_the_last(
    state: StateStore, store: Store, source: Source
) -> None:
    for at, id in enumerate(["none", "dangling", "text", "foreign"]):
        source.thread(id)
        source.message(2 * at + 1, id, "a")
        source.message(2 * at + 2, id, "b", 2 * at + 1)
    for id, leaf in (("dangling", 99), ("text", "abc"), ("foreign", 1)):
        source.leaf(id, leaf)
    moved = import_codewhale(store, source.close())
    assert refused(moved) == [
        f"threads {id}: current_leaf_id {leaf} names no message of the thread; the last one was taken"
        for id, leaf in (("dangling", 99), ("text", "abc"), ("foreign", 1))
    ]
    assert state.get_thread("none").current_leaf_id is None  # type: ignore[union-attr]
    assert (contents(state, "none"), len(state.list_leaf_messages("none"))) == ([], 1)
    assert [contents(state, id) for id in ("dangling", "text", "foreign")] == [["a", "b"]] * 3
    assert store.thread("text").info().extra == {"codewhale": {"current_leaf_id": "abc"}}


def test_a_parent_that_is_missing_elsewhere_or_in_a_circle_makes_a_root(
    state: StateStore, store: Store, source: Source
) -> None:
    source.thread("other")
    source.message(1, "other", "other")
    source.thread("t")
    for id, parent in ((2, 99), (3, 1), (4, 3), (5, 7), (6, 5), (7, 6), (8, 8), (9, "abc"), (10, 1.5)):
        source.message(id, "t", f"m{id}", parent)
    source.leaf("t", 7)
    moved = import_codewhale(store, source.close())
    parents = {message.id: message.parent_id for message in store.thread("t").messages}
    assert parents == {
        "2": None,
        "3": None,
        "4": "3",
        "6": None,
        "7": "6",
        "5": "7",
        "8": None,
        "9": None,
        "10": None,
    }
    assert contents(state) == ["m6", "m7"]
    assert {refusal.key for refusal in moved.refused if refusal.table == "messages"} == {"2", "3", "6", "8", "9", "10"}
    assert store.thread("t").messages["2"].extra == {"codewhale": {"parent_entry_id": "99"}}


BAD_VALUES: list[tuple[str, str, Any, str]] = [
    # table, column, value, what is said of it
    ("threads", "preview", b"x\xff", "preview is no text"),
    ("threads", "ephemeral", "maybe", "ephemeral is no integer"),
    ("threads", "created_at", 1.5, "created_at is no integer"),
    ("threads", "updated_at", "soon", "updated_at is no integer"),
    ("threads", "archived_at", "soon", "archived_at is no integer"),
    ("threads", "status", b"idle", "status is no text"),
    ("threads", "title", b"\xff", "title is no text"),
    ("messages", "role", b"user", "role is no text"),
    ("messages", "content", b"caf\xc3\xa9", "content is no text"),
    ("messages", "item_json", "{", "item_json is no valid JSON: Expecting property name"),
    ("messages", "item_json", "", "item_json is no valid JSON: Expecting value (at character 0 of it)"),
    ("messages", "item_json", "[NaN]", "item_json cannot be kept exactly: the value cannot be stored as JSON: nan is no JSON"),
    ("messages", "item_json", "[123456789012345678901]", "item_json cannot be kept exactly: "),
    ("messages", "item_json", '"\\ud800"', "item_json cannot be kept exactly: "),
    ("messages", "item_json", "[" * 100_000, "item_json is nested too deep"),
    ("messages", "item_json", "[" * 252 + "]" * 252, "item_json cannot be kept exactly: "),
    ("messages", "created_at", 10**12, "created_at is after the year 3000"),
    ("messages", "created_at", "soon", "created_at is no integer"),
    ("checkpoints", "created_at", "soon", "created_at is no integer"),
    ("thread_dynamic_tools", "description", b"x", "description is no text"),
    ("thread_goals", "tokens_used", "many", "tokens_used is no integer"),
    ("thread_goals", "token_budget", 0.5, "token_budget is no integer"),
    ("thread_goals", "objective", b"x", "objective is no text"),
    ("jobs", "progress", 150, "progress is not from 0 to 100"),
    ("jobs", "progress", -1, "progress is not from 0 to 100"),
    ("jobs", "progress", "half", "progress is no integer"),
    ("jobs", "updated_at", "soon", "updated_at is no integer"),
    ("workflow_runs", "metadata_json", "", "metadata_json is no valid JSON"),
    ("branch_runs", "result_json", "{", "result_json is no valid JSON"),
    ("leaf_runs", "artifacts_json", "{}", "artifacts_json is no list"),
    ("leaf_runs", "branch_run_id", "", "branch_run_id is no id: an id has at least one character"),
    ("control_node_runs", "completed_at", "soon", "completed_at is no integer"),
    ("teacher_candidates", "score", "high", "score is no number"),
    ("teacher_candidates", "score", float("inf"), "score is no number"),
    ("teacher_candidates", "passed", "yes", "passed is no integer"),
]
#: Values that nothing of a row makes sense without.
BAD_ROWS: list[tuple[str, str, Any, str]] = [
    ("checkpoints", "state_json", "{", "state_json is no valid JSON"),
    ("checkpoints", "state_json", b"1", "state_json is no text"),
    ("checkpoints", "checkpoint_id", "", "checkpoint_id is no id: an id has at least one character"),
    ("thread_dynamic_tools", "input_schema", "{", "input_schema is no valid JSON"),
    ("thread_dynamic_tools", "input_schema", "[]", "input_schema must be a JSON object, not list"),
    ("thread_dynamic_tools", "position", -1, "position must be an integer of 0 or more, not -1"),
    ("thread_dynamic_tools", "name", b"x", "name is no text"),
    ("jobs", "id", "x" * 1001, "id is no id: an id has at most 1000 characters, not 1001"),
    ("jobs", "id", None, "id is no text"),
    ("workflow_runs", "id", "", "id is no id: an id has at least one character"),
    ("branch_runs", "id", b"x", "id is no text"),
    ("leaf_runs", "id", "", "id is no id: an id has at least one character"),
]


def spoiled(directory: Path, table: str, column: str, value: Any) -> Source:
    """Make a full database, and put one value into one row of it."""
    source = filled(directory)
    source.run("PRAGMA foreign_keys = OFF", "PRAGMA ignore_check_constraints = ON")
    row = source.connection.execute(f"SELECT min(rowid) FROM {table}").fetchone()[0]
    source.connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
    return source


@pytest.mark.parametrize(("table", "column", "value", "reason"), BAD_VALUES)
def test_a_value_of_the_wrong_kind_is_reported_and_kept_and_the_rest_is_taken(
    store: Store, tmp_path: Path, table: str, column: str, value: Any, reason: str
) -> None:
    path = spoiled(tmp_path / "source", table, column, value).close()
    whole = import_codewhale(Store.open(tmp_path / "whole"), filled(tmp_path / "good").close())
    moved = import_codewhale(store, path)
    (refusal,) = moved.refused
    assert refusal.table == table
    assert reason in refusal.reason
    assert moved.added == whole.added
    kept = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    assert f'"{column}":' in "".join(data.decode() for data in everything(store.root).values() if b'"codewhale"' in data)
    assert any(kept[:60] in data.decode().replace('\\"', '"').replace("\\\\", "\\") for data in everything(store.root).values())
    before = everything(store.root)
    assert refused(import_codewhale(store, path)) == refused(moved)
    assert everything(store.root) == before


@pytest.mark.parametrize(("table", "column", "value", "reason"), BAD_ROWS)
def test_a_row_that_makes_no_sense_is_refused_and_the_rest_is_taken(
    store: Store, tmp_path: Path, table: str, column: str, value: Any, reason: str
) -> None:
    source = spoiled(tmp_path / "source", table, column, value)
    whole = import_codewhale(Store.open(tmp_path / "whole"), filled(tmp_path / "good").close())
    moved = import_codewhale(store, source.close())
    assert moved.refused[0].table == table
    assert reason in moved.refused[0].reason
    assert moved.added[table] == whole.added[table] - 1
    untouched = {"threads", "messages", "thread_goals", "session_index.jsonl"}
    assert {name: moved.added[name] for name in untouched} == {name: whole.added[name] for name in untouched}


def test_text_that_is_no_utf8_shows_what_can_be_read(state: StateStore, store: Store, source: Source) -> None:
    source.thread("t")
    source.message(1, "t", "")
    source.leaf("t", 1)
    source.run("UPDATE messages SET content = CAST(x'6162ff63' AS TEXT)", "UPDATE threads SET title = CAST(x'fe' AS TEXT)")
    moved = import_codewhale(store, source.close())
    assert refused(moved) == ["threads t: title is no valid UTF-8", "messages 1: content is no valid UTF-8"]
    assert contents(state) == ["ab\ufffdc"]
    assert state.get_thread("t").name == "\ufffd"  # type: ignore[union-attr]


def test_what_belongs_to_nothing_that_was_taken_is_reported_row_by_row(store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    source.run(
        "PRAGMA foreign_keys = OFF",
        "UPDATE threads SET id = '' WHERE id = 'tree'",
        "DELETE FROM workflow_runs WHERE id = 'run/1'",
    )
    source.message(50, "", "of the empty id")
    moved = import_codewhale(store, source.close())
    said: dict[str, list[str]] = {}
    for refusal in moved.refused:
        said.setdefault(refusal.table, []).append(refusal.key)
    assert said == {
        "threads": [""],
        "messages": [*map(str, range(1, 9)), "50"],
        "checkpoints": ["tree/first", "tree/second", "tree/third", "tree/oldest", "tree/latest"],
        "thread_dynamic_tools": ["tree/1", "tree/0"],
        "thread_goals": ["tree"],
        "branch_runs": ["br"],
        "leaf_runs": ["l2", "l1"],
        "control_node_runs": ["cn"],
        "teacher_candidates": ["tc"],
    }
    assert refused(moved)[0] == "threads : id is no id: an id has at least one character"
    assert "messages 50: it belongs to '' of threads, which was not taken" in refused(moved)
    assert store.threads.ids() == ["Empty", "archived/one"]


def test_a_position_given_twice_takes_the_first_tool_only(state: StateStore, store: Store, source: Source) -> None:
    source.run(
        "DROP TABLE thread_dynamic_tools",
        "CREATE TABLE thread_dynamic_tools (thread_id, position, name, description, input_schema)",
    )
    source.thread("t")
    for name in ("one", "two"):
        source.add("thread_dynamic_tools", thread_id="t", position=0, name=name, input_schema="{}")
    moved = import_codewhale(store, source.close())
    assert [tool.name for tool in state.get_dynamic_tools("t")] == ["one"]
    assert [(refusal.table, refusal.key) for refusal in moved.refused] == [("thread_dynamic_tools", "t/0")]


@pytest.mark.damaged
def test_an_unknown_status_is_kept_as_read_and_drives_no_work(state: StateStore, store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    source.run("PRAGMA ignore_check_constraints = ON")
    source.run(*(f"UPDATE {table} SET status = 'dancing'" for table in ("threads", "jobs", "thread_goals", "workflow_runs")))
    assert refused(import_codewhale(store, source.close())) == []
    assert state.get_thread("tree").status == "dancing"  # type: ignore[union-attr]
    assert state.get_job("a").status == "dancing"  # type: ignore[union-attr]
    assert state.get_thread_goal("tree").status == "paused"  # type: ignore[union-attr]
    assert b'"status": "dancing"' in everything(store.root)["threads/tree/goal.json"]
    assert {problem.kind for problem in store.check()} == {"unknown-value"}


# The source is left as it is, and may be in use


def entries(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}


def test_the_source_is_not_changed_and_nothing_is_left_beside_it(store: Store, tmp_path: Path) -> None:
    path = filled(tmp_path / "source").close()
    before, changed = entries(path.parent), path.parent.stat().st_mtime_ns
    import_codewhale(store, path)
    assert entries(path.parent) == before
    assert path.parent.stat().st_mtime_ns == changed


def test_of_a_database_in_wal_mode_that_nobody_has_open_only_sqlites_own_files_are_made(store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    source.run("PRAGMA journal_mode = WAL")
    path = source.close()
    before = entries(path.parent)
    import_codewhale(store, path)
    after = entries(path.parent)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"state.db-wal", "state.db-shm"}
    assert not after.get("state.db-wal", (0, b""))[1]
    assert "tree" in store.threads


def test_what_a_program_has_in_its_wal_is_seen_while_it_is_open(state: StateStore, store: Store, tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    source.run("PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0")
    source.message(30, "tree", "only in the WAL", 8)
    source.leaf("tree", 30)
    before = entries(source.directory)
    assert refused(import_codewhale(store, source.file)) == []
    assert contents(state, "tree")[-1] == "only in the WAL"
    after = entries(source.directory)
    del before["state.db-shm"], after["state.db-shm"]  # readers mark there how far they read
    assert after == before
    source.message(31, "tree", "still open for writing", 30)
    source.close()


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_program_that_writes_meanwhile_never_waits(store: Store, tmp_path: Path, mode: str) -> None:
    source = filled(tmp_path / "source")
    source.run(f"PRAGMA journal_mode = {mode}", "PRAGMA busy_timeout = 0")

    def write(moved: Moved, threads: int) -> None:
        source.message(100 + moved.added["threads"], "Empty", "meanwhile")

    assert refused(import_codewhale(store, source.file, watch=write)) == []
    assert len(store.thread("Empty").messages) == 3  # of four, those that were there when its turn came
    source.close()


def test_a_thread_is_seen_at_one_moment(
    state: StateStore, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = filled(tmp_path / "source")
    source.run("PRAGMA journal_mode = WAL")
    take_all = codewhale_db.Database.take_all

    def then_write(self: Any, table: str, *args: Any, **more: Any) -> Any:
        found = take_all(self, table, *args, **more)
        if table == "threads" and found and found[0]["id"] == "tree":
            source.message(60, "tree", "meanwhile", 8)
            source.leaf("tree", 60)
        return found

    monkeypatch.setattr(codewhale_db.Database, "take_all", then_write)
    assert refused(import_codewhale(store, source.file)) == []
    assert contents(state, "tree")[-1] == SPECIAL
    monkeypatch.undo()
    import_codewhale(store, source.close())
    assert contents(state, "tree")[-1] == "meanwhile"


def test_memory_does_not_hold_the_whole_database(store: Store, source: Source) -> None:
    text = "x" * 1_000_000
    for at in range(24):
        source.thread(f"t{at}")
        source.message(at + 1, f"t{at}", text)
        source.checkpoint(f"t{at}", "latest", text, 1)
    path = source.close()
    tracemalloc.start()
    try:
        import_codewhale(store, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000 < path.stat().st_size


# Cut short


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_a_killed_move_is_completed_by_the_next_with_the_same_bytes(store: Store, tmp_path: Path, threads: int) -> None:
    path = filled(tmp_path / "source").close()
    with processes.start(move_and_tell, store.root, str(path)) as child:
        for _ in range(threads + 1):
            child.hear()
        child.kill()
    import_codewhale(Store.open(store.root), path)
    assert difference(store, on_another_machine(tmp_path, path)) == ""


def move_and_tell(root: str, path: str) -> None:
    import_codewhale(Store.open(root), path, watch=lambda moved, threads: processes.say(moved.added["threads"]))


class _PowerCut(BaseException):
    pass


def test_a_move_that_ends_before_any_of_its_documents_is_completed_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "source").close()
    whole = on_another_machine(tmp_path, path)
    rename = fs.rename
    for last in range(1, 100):
        root = tmp_path / f"cut{last}"
        store = Store.open(root, durability="process")
        left = last

        def cut(one: str, other: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise _PowerCut
            rename(one, other)

        with monkeypatch.context() as patch:
            patch.setattr(fs, "rename", cut)
            try:
                import_codewhale(store, path)
            except _PowerCut:
                pass
            else:
                break
        store.close()
        import_codewhale(Store.open(root, durability="process"), path)
        assert difference(root, whole) == ""
    assert last > 15


# What is no database of CodeWhale


def test_what_is_no_database_of_codewhale_is_one_error_that_names_the_file(store: Store, tmp_path: Path) -> None:
    text, empty, other = tmp_path / "notes.txt", tmp_path / "empty.db", tmp_path / "other.db"
    text.write_text("Not a database at all. " * 100)
    empty.touch()
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY)")
    (tmp_path / "directory" / "state.db").mkdir(parents=True)
    reasons = {
        tmp_path / "nowhere.db": f"{tmp_path}/nowhere.db: no such file",
        tmp_path: f"{tmp_path}/state.db: no such file",
        text: f"{text}: SQLite cannot read it: file is not a database",
        empty: f"{empty}: no database of CodeWhale: it has no table threads",
        other: f"{other}: no database of CodeWhale: it has no table threads",
        tmp_path / "directory": f"{tmp_path}/directory/state.db: SQLite cannot read it: ",
    }
    before = everything(store.root)
    for path, reason in reasons.items():
        with pytest.raises(SourceError) as caught:
            import_codewhale(store, path)
        assert str(caught.value).startswith(reason)
    assert everything(store.root) == before
    assert not (tmp_path / "nowhere.db").exists()


def test_a_database_that_another_program_keeps_locked_says_so(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codewhale_db, "_PATIENCE", 0.05)
    source.run("BEGIN EXCLUSIVE")
    with pytest.raises(SourceError, match=r"database is locked \(close the program that has it locked\)"):
        import_codewhale(store, source.file)
    source.close()


def test_an_interrupted_write_of_codewhale_says_what_to_do(store: Store, source: Source, tmp_path: Path) -> None:
    source.run("PRAGMA cache_size = 2", "BEGIN")
    for at in range(2000):
        source.thread(f"t{at}", preview="x" * 500)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in source.directory.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    source.close()
    with pytest.raises(SourceError, match="start CodeWhale on it once"):
        import_codewhale(store, copy)


@pytest.mark.parametrize("cut", [0.3, 0.7])
def test_a_database_that_breaks_off_is_an_error_and_keeps_what_was_read(store: Store, tmp_path: Path, cut: float) -> None:
    source = filled(tmp_path / "source")
    for at in range(200):
        source.thread(f"t{at}", preview="x" * 2000)
    path = source.close()
    os.truncate(path, int(path.stat().st_size * cut) & ~4095)
    with pytest.raises(SourceError, match="SQLite cannot read it: database disk image is malformed"):
        import_codewhale(store, path)


@pytest.mark.parametrize("name", ["a?mode=rw#x%41 b.db", "caf\u00e9", b"\xff\xfe", "'\"&", "file:x"])
def test_a_path_may_hold_any_character(store: Store, source: Source, tmp_path: Path, name: str | bytes) -> None:
    source.thread("t")
    file = source.close()
    path = os.path.join(str(tmp_path), os.fsdecode(name))
    os.rename(file, path)
    import_codewhale(store, path)
    assert store.threads.ids() == ["t"]


def test_a_path_may_be_relative_or_begin_with_two_slashes_or_lead_through_a_link(
    store: Store, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.thread("t")
    source.name("a", "A", 1)
    source.close()
    (tmp_path / "link").symlink_to(source.directory)
    monkeypatch.chdir(source.directory)
    assert import_codewhale(store, "state.db").added["session_index.jsonl"] == 1
    for path in (f"/{source.file}", ".", tmp_path / "link", tmp_path / "link" / "state.db"):
        moved = import_codewhale(store, path)
        assert (moved.known["threads"], moved.known["session_index.jsonl"]) == (1, 1)
