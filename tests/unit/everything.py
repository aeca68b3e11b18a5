"""A process that makes every kind of file that a store has, under a umask, as a user: `everything.py ROOT UMASK UID`."""

from __future__ import annotations

import contextlib
import os
import sys

from fsstore import (
    Checkpoint,
    DynamicToolRecord,
    JobStateRecord,
    RecipeSnapshot,
    ResponseSnapshot,
    Store,
    SyncFailedError,
)
from fsstore.disk import fs, lock


def fill(root: str) -> None:
    with Store.open(root) as store:
        thread = store.threads.create("t", name="one", rollout_path="/one")
        thread.messages.extend([{"role": "user", "content": f"{number} {'x' * 1000}"} for number in range(100)])
        thread.goal.set("Ship")
        thread.goal.accrue(tokens=1)
        thread.checkpoints.save("c", 1)
        thread.tools.replace([DynamicToolRecord(position=0, name="grep")])
        thread.state.set("running", "turn")
        thread.runs.create("r").steps.create("s")
        store.jobs.put(JobStateRecord(id="j"))
        store.prompts.record("Why?")
        store.recipes.put(RecipeSnapshot(name="fast"))
        run = store.workflows.create("deploy", id="w")
        run.branches.create("b", branch_id="x")
        session = store.data.session("data", cwd=root)
        session.recipe.set(RecipeSnapshot(name="fast"))
        session.runs.set_tools(["grep"])
        session.checkpoint.save(Checkpoint(prompt="p", responses=[ResponseSnapshot(model_id="m", text="")], adapter_ids=["m"]))
        # Trash, quarantine, marks
        for id in ("gone", "back"):
            store.threads.create(id).messages.append("user", "hi")
            store.threads.delete(id)
        store.trash.restore(store.trash.recent(1)[0].id)
        thread.checkpoints.delete("c")
        run.delete()
        with open(f"{root}/threads/t/messages.jsonl", "ab") as log:
            log.write(b"no record\n")
        thread.messages.compact()
        real = fs.sync
        fs.sync = fail
        with contextlib.suppress(SyncFailedError):
            thread.messages.append("user", "not confirmed")
        fs.sync = real


def fail(fd: int) -> None:
    raise OSError(5, "Input/output error")


if __name__ == "__main__":
    root, umask, uid = sys.argv[1], int(sys.argv[2], 8), int(sys.argv[3])
    lock._load()  # what is imported late may not be readable later
    fill(f"{root}/first")  # with what any program's umask is: all is imported now
    if uid:
        os.setuid(uid)
    os.umask(umask)
    fill(f"{root}/store")
