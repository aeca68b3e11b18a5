"""Real processes at checkpoints, tools, jobs and workflow traces: each is read whole, the last one counts, nobody's is lost."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import processes
import pytest
import resource_workers as work
from race_workers import PROCESSES

from fsstore import JobStateRecord, NotFoundError, Store

BOTH = pytest.mark.parametrize("durability", ["process", "full"])


@pytest.fixture
def many(campaign: bool) -> int:
    return 500 if campaign else 8


@BOTH
@pytest.mark.parametrize("names", [["a"], ["a", "b"]], ids=["one name", "two names"])
def test_checkpoints_are_whole_and_the_newest_is_the_one_saved_last(
    store: Store, root: Path, names: list[str], durability: str, many: int, readers
):
    checkpoints = store.threads.create("t").checkpoints
    with readers("checkpoints_that_are_whole"):
        last = processes.run_all(work.saves, [(root, names, me, many, durability) for me in range(PROCESSES)])
    assert sorted(checkpoints.ids()) == names
    for name in names:
        assert checkpoints[name].state in [one[name] for one in last], "the last one of somebody"
    newest = checkpoints.newest()
    assert newest.state in [one["of all"] for one in last]
    assert next(iter(checkpoints)) == newest
    directory = Path(store.thread("t").directory) / "checkpoints"
    versions = {path.stem: json.loads(path.read_bytes())["versions"][""] for path in directory.iterdir()}
    assert newest.checkpoint_id == max(versions, key=versions.__getitem__)


def test_versions_ascend_in_the_order_of_the_savings_whatever_the_clocks_say(store: Store, root: Path, many: int):
    store.threads.create("t")
    done = processes.run_all(work.saves_in_order, [(root, me, many) for me in range(PROCESSES)])
    saved = [one for each in done for one in each]
    versions = [version for _, version, _ in saved]
    assert len(set(versions)) == len(versions) == PROCESSES * many
    # Of two of which one was done before the other began, the other has the greater version.
    began = sorted((began, version) for began, version, _ in saved)
    ended = sorted((done, version) for _, version, done in saved)
    greatest, at = "", 0
    for start, version in began:
        while at < len(ended) and ended[at][0] < start:
            greatest, at = max(greatest, ended[at][1]), at + 1
        assert version > greatest
    newest = next(iter(store.thread("t").checkpoints))
    assert max(versions) == done[int(newest.checkpoint_id.removeprefix("of "))][-1][1]


def test_tools_are_replaced_as_whole_sets(store: Store, root: Path, many: int, readers):
    store.threads.create("t")
    work.replaces_tools(root, 0, 1)
    with readers("a_set_of_tools"):
        processes.run_all(work.replaces_tools, [(root, me, many) for me in range(PROCESSES)])
    work.a_set_of_tools()(store)


def test_no_update_of_another_field_of_a_job_is_lost(store: Store, root: Path, many: int, readers):
    store.jobs.put(JobStateRecord(id="shared"))
    with readers("jobs_that_count"):
        processes.run_all(work.updates_a_job, [(root, me, many) for me in range(PROCESSES)])
    assert store.jobs["shared"].extra == {f"of {me}": many - 1 for me in range(PROCESSES)}
    for me in range(PROCESSES):
        job = store.jobs[f"of {me}"]
        assert (job.progress, job.detail, job.updated_at) == ((many - 1) % 101, f"{many - 1}", many - 1)


@BOTH
def test_leaves_of_many_processes_are_all_there_while_others_list(
    store: Store, root: Path, durability: str, many: int, readers
):
    run = store.workflows.create("deploy", id="w")
    with readers("leaves_that_grow"):
        made = processes.run_all(work.creates_leaves, [(root, me, many // 2, durability) for me in range(PROCESSES)])
    leaves = list(run.leaves)
    assert sorted(leaf.id for leaf in leaves) == sorted(id for one in made for id in one)
    assert {leaf.status for leaf in leaves} == {"completed"}
    assert all(before.started_at <= after.started_at for before, after in itertools.pairwise(leaves))
    assert all(run.leaves.replay(f"{me}", "0").output == [me, 0] for me in range(PROCESSES))
    assert sorted(branch.id for branch in run.branches) == [f"branch {me}" for me in range(PROCESSES)]


@BOTH
def test_a_leaf_goes_along_to_the_trash_or_is_refused(store: Store, root: Path, durability: str, campaign: bool):
    stop, rounds = root.with_name("stop"), 500 if campaign else 15
    store.workflows.create("deploy", id="w")
    arguments = [(root, me, durability, stop) for me in range(PROCESSES)]
    writers = [processes.start(work.creates_leaves_of_what_may_vanish, *each) for each in arguments]
    directory = root / "workflows" / "w"
    try:
        for writer in writers:
            writer.hear()
        while not list(store.workflows.handle("w").leaves):
            time.sleep(0.001)
        for _ in range(rounds):
            time.sleep(0.01)  # lets the writers in; nothing depends on how many come
            assert store.workflows.delete("w")
            time.sleep(0.003)
            assert [path.name for path in directory.iterdir()] == ["run.json"], "a late leaf recreates nothing"
            assert list(store.workflows.handle("w").leaves) == []
            with pytest.raises(NotFoundError):
                store.workflows.handle("w").leaves.create(leaf_id="late")
            store.workflows.create("deploy", id="w")
        assert store.workflows.delete("w")
    finally:
        stop.touch()
    made = [id for writer in writers for id in writer.result()]
    assert made
    kept = [json.loads(path.read_bytes())["id"] for path in (root / ".fsstore" / "trash").glob("*/workflows/w/leaves/*.json")]
    assert sorted(kept) == sorted(made), "each went along once"


def test_threads_of_one_process_write_everything_at_once(root: Path, many: int):
    store = work.opened(root)
    thread, run = store.threads.create("t"), store.workflows.create("deploy", id="w")
    thread.goal.set("shared")
    store.jobs.put(JobStateRecord(id="j"))

    def write(me: int) -> None:
        for number in range(many // 2):
            message = thread.messages.append("user", f"{me} {number}")
            thread.goal.accrue(tokens=me, seconds=1)
            thread.checkpoints.save(f"of {me}", number)
            assert thread.checkpoints[f"of {me}"].state == number
            store.jobs.update("j", **{f"of {me}": number})
            store.names.append(f"elsewhere {me}", f"{number}", number)
            assert store.names.get(f"elsewhere {me}") == f"{number}"
            run.leaves.create(f"{me} {number}", leaf_id="x")
            assert store.threads.with_message(message.id).id == "t"

    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(write, range(PROCESSES)))
    count, goal = many // 2, thread.goal.get()
    assert (goal.tokens_used, goal.time_used_seconds) == (count * sum(range(PROCESSES)), count * PROCESSES)
    assert {one.checkpoint_id: one.state for one in thread.checkpoints} == {f"of {me}": count - 1 for me in range(PROCESSES)}
    assert store.jobs["j"].extra == {f"of {me}": count - 1 for me in range(PROCESSES)}
    assert len(list(run.leaves)) == len(thread.messages) == count * PROCESSES
