"""Every kind of operation once, each noted as it returns: a script to be killed at each of its system calls.

python kill_scenario.py prepare|play ROOT NOTES
"""

from __future__ import annotations

import os
import resource
import sys

from acknowledged import Notes, content, state

from fsstore import ChatMessage, JobStateRecord, ModelResponse, RecipeSnapshot, RewindEntry, Store


def prepare(root: str, notes: Notes) -> None:
    with Store.open(root) as store:
        for id in ("old", "doomed"):
            store.threads.create(id)
            notes.note("create", id)
            for number in range(3):
                store.thread(id).messages.append("user", content(f"{id}-{number}"))
                notes.note("append", id, f"{id}-{number}")
            store.thread(id).goal.set("to be spent on")
            store.thread(id).checkpoints.save("zero", state(0))
            notes.note("count", "checkpoint", id, "zero", "0")
        for id in ("kept", "doomed run"):
            run = store.workflows.create("w", id=id)
            run.branches.create("b", branch_id="left")
            run.leaves.create("first", leaf_id="x", branch_run_id="b")
            notes.note("leaf", id, "first")


def play(root: str, notes: Notes) -> None:
    store = Store.open(root)
    store.threads.create("new", name="New")
    notes.note("create", "new")
    for token, length in (("small", 10), ("second", 0), ("long", 200_000)):
        store.thread("new").messages.append("user", content(token, length))
        notes.note("append", "new", token)
    old = store.thread("old").messages
    old.extend({"role": "user", "content": content(token, 2_000)} for token in ("a", "b", "c"))
    for token in ("a", "b", "c"):
        notes.note("append", "old", token)
    old.fork(next(iter(old)).id, "assistant", content("fork"))
    notes.note("append", "old", "fork")
    full_disk(old)
    old.append("user", content("after the full disk"))
    notes.note("append", "old", "after the full disk")
    store.threads.update("old", archived=True)
    run = store.thread("old").runs.create("run")
    notes.note("run", "old", "run", "queued")
    run.steps.create("step")
    run.finish()
    notes.note("run", "old", "run", "completed")
    resources(store, notes)
    sessions(store, notes)
    data(store, notes)
    notes.note("deleting", "doomed")
    store.thread("doomed").delete()
    notes.note("deleted", "doomed")
    store.close()


def resources(store: Store, notes: Notes) -> None:
    old = store.thread("old")
    for number in range(3):
        notes.note("spending", "old")
        old.goal.accrue(tokens=1, seconds=number)
        notes.note("spent", "old")
        old.checkpoints.save("counter", state(number))
        notes.note("count", "checkpoint", "old", "counter", str(number))
        if number:
            store.jobs.update("job", progress=number, counter=number)
        else:
            store.jobs.put(JobStateRecord(id="job", extra={"counter": 0}))
        notes.note("count", "job", "job", "counter", str(number))
        store.names.append("elsewhere", str(number), number)
        notes.note("count", "name", "elsewhere", "", str(number))
    old.goal.update(objective="another")
    old.goal.note_continuation()
    old.checkpoints.save("short-lived", None)
    old.checkpoints.delete("short-lived")
    old.rename("Renamed")
    kept = store.workflows["kept"]
    kept.leaves.create("second", leaf_id="y", branch_run_id="b")
    notes.note("leaf", "kept", "second")
    kept.branches.delete("b")
    kept.finish()
    notes.note("deleting", "doomed run")
    store.workflows.delete("doomed run")
    store.workflows.create("w", id="doomed run")


def sessions(store: Store, notes: Notes) -> None:
    for token in ("hello", "taken back"):
        store.sessions.append("talk", ChatMessage.user(content(token)))
        notes.note("append", "talk", token)
    notes.note("removing", "talk", "taken back")
    store.thread("talk").messages.remove_last()
    notes.note("removed", "talk", "taken back")
    store.thread("talk").messages.compact()
    store.thread("talk").state.set("running", "1")
    notes.note("count", "turn", "talk", "", "1")
    notes.note("deleting", "talk")
    store.sessions.rename("talk", "Moved/Talk")
    notes.note("deleted", "talk")
    notes.note("append", "Moved/Talk", "hello")
    notes.note("count", "turn", "Moved/Talk", "", "1")


def data(store: Store, notes: Notes) -> None:
    session = store.data.session("data", cwd="/", recipe=RecipeSnapshot(name="fast"))
    session.recipe.begin()
    session.persist_run("Why?", [ModelResponse(model_id="m", text="Because.")], None, ["bash"])
    notes.note("answered", "data", "Why?")
    session.accrue_cost("m", 1.0)
    notes.note("count", "cost", "data", "m", "1")
    session.histories.append(["a"], [ModelResponse(model_id="m", text="Because.")], "Why?")
    session.rewinds.push(RewindEntry(prompt="Why?", history_lengths={"a": 0}))
    session.rewinds.rewind()
    session.checkpoint.saver("Why?", ["m"]).update(ModelResponse(model_id="m", text="Bec"))
    session.checkpoint.clear()
    store.prompts.record("Why?")
    notes.note("prompt", "Why?")
    notes.note("deleting", "job")
    store.jobs.delete("job")


def full_disk(messages: object) -> None:
    """Have a write stop halfway, so that it must be cut off again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(messages.path).st_size + 500, hard))
    try:
        messages.append("user", content("refused", 5_000))
    except OSError:
        return
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    raise AssertionError("the write was to be refused")


if __name__ == "__main__":
    {"prepare": prepare, "play": play}[sys.argv[1]](sys.argv[2], Notes(sys.argv[3]))
