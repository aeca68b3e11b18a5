"""What a process keeps in memory of threads that it used, and that are gone: next to nothing."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from fsstore import BranchRun, ModelResponse, RewindEntry, SessionQuery, Store
from fsstore.resources import finding, index, threads

#: Of what is kept ready, so many: a few threads fill it.
FEW = 4
#: Bytes that each thread deleted may leave, in the one view of the session index: some 200 for its deletion, 300 for a name.
KEPT = 750


@pytest.fixture
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    for module, name in ((threads, "_HANDLES"), (finding, "_ANSWERS"), (index, "_RECENT")):
        monkeypatch.setattr(module, name, FEW)
    store = Store.open(root, durability="process", max_open_files=8)
    store._views._count = store.threads._indexes._count = FEW
    for stripe in range(256):
        store._root.locks[f"thread-{stripe:02x}"]  # as many as there ever are
    return store


def use(store: Store, number: int) -> None:
    """Do everything to a thread, a session and a workflow run that were not there before, and delete them."""
    id = f"thread {number}"
    thread = store.threads.create(id, name=f"Name {number}", rollout_path=f"/{number}")
    question = thread.messages.append("user", f"Why question{number}?")
    thread.messages.append("assistant", "An answer.")
    thread.messages.fork(question.id, "assistant", "Another answer.")
    thread.messages.compact()
    thread.runs.create(f"run {number}").steps.create(step_type="tool_calls")
    thread.checkpoints.save(f"checkpoint {number}", number)
    thread.goal.set(f"Goal {number}")
    thread.goal.accrue(tokens=1)
    thread.rename(f"Other {number}")
    thread.archive()
    session = store.data.session(f"session {number}", cwd=store.root)
    session.persist_run(f"Prompt {number}", [ModelResponse(model_id="m", text="x")], None, ["t"])
    session.rewinds.push(RewindEntry(prompt="p"))
    run = store.workflows.create("w", id=f"run {number}")
    run.branches.put(BranchRun(id=f"b {number}", workflow_run_id=run.id, branch_id="b"))
    assert store.names.path_of(f"other {number}") == f"/{number}"
    assert store.threads.with_message(question.id).id == id
    assert [found.key for found in store.sessions.search(SessionQuery(keyword=f"question{number}"))] == [id]
    with Store.open(store.root, read_only=True) as reader:
        assert [info.id for info in reader.threads.recent()] == [f"session {number}"]  # the other one is archived
    store.threads.move(id, f"moved {number}")
    assert store.threads[f"moved {number}"].delete()
    assert store.threads.delete(f"session {number}")
    assert store.workflows.delete(run.id)
    entry = next(entry for entry in store.trash if entry.kind == "workflow run")
    store.trash.restore(entry.id)
    assert store.workflows.delete(run.id)
    assert len(store.trash.empty()) >= 4
    store.gc()


def kept() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_next_to_nothing_is_kept_of_threads_that_are_gone(small: Store) -> None:
    tracemalloc.start()
    try:
        for number in range(5):
            use(small, number)
        before = kept()
        for number in range(5, 15):
            use(small, number)
        more = kept() - before
    finally:
        tracemalloc.stop()
    assert list(small.threads) == []
    assert more < 10 * 3 * KEPT  # each time three threads are deleted, one of them under two ids
