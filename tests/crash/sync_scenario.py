"""Every kind of write once, each noted as it returns, by a process of which one sync fails; a script for `test_eio.py`.

    python sync_scenario.py prepare|stop|go-on|retry ROOT NOTES DROPS

Where a sync fails, `stop` ends there, `go-on` goes on, and `retry` goes on as a store would that tries again on the same
file: it must be caught. A file whose sync failed gets a second name in DROPS, for its bytes to be dropped there later.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from acknowledged import Notes, content, state

from fsstore import ChatMessage, JobStateRecord, ModelResponse, RecipeSnapshot, Store
from fsstore.disk import fs

ANSWER = [ModelResponse(model_id="m", text="Because.")]


def prepare(root: str, notes: Notes) -> None:
    with Store.open(root) as store:
        for id in ("old", "doomed-first", "doomed-second"):
            store.threads.create(id)
            store.thread(id).messages.append("user", content(id))
            notes.note("append", id, id)
            store.thread(id).goal.set("to be spent on")
        store.jobs.put(JobStateRecord(id="job"))
        store.workflows.create("w", id="run")


def work(store: Store, notes: Notes, who: str) -> Iterator[Callable[[], object]]:
    """Give what is to be done, one by one; each notes that it is."""
    old = store.thread("old")

    def append(number: int) -> None:
        old.messages.append("user", content(f"{who}-{number}", 3_000))
        notes.note("append", "old", f"{who}-{number}")

    def begin() -> None:
        store.threads.create(f"{who}-new", name=who)
        notes.note("create", f"{who}-new")
        store.thread(f"{who}-new").messages.append("user", content(who))
        notes.note("append", f"{who}-new", who)

    def spend() -> None:
        notes.note("spending", "old")
        old.goal.accrue(tokens=1)
        notes.note("spent", "old")

    def save(number: int) -> None:
        old.checkpoints.save(who, state(number))
        notes.note("count", "checkpoint", "old", who, str(number))

    def job(number: int) -> None:
        store.jobs.update("job", **{who: number})
        notes.note("count", "job", "job", who, str(number))

    def name() -> None:
        store.names.append(f"elsewhere-{who}", "1", 1)
        notes.note("count", "name", f"elsewhere-{who}", "", "1")

    def leaf() -> None:
        store.workflows["run"].leaves.create(who, leaf_id="x")
        notes.note("leaf", "run", who)

    def talk() -> None:
        store.sessions.append("talk", ChatMessage.user(content(f"{who}-said")))
        notes.note("append", "talk", f"{who}-said")

    def answer() -> None:
        session = store.data.session("data", cwd="/", recipe=RecipeSnapshot(name=who))
        session.persist_run(who, ANSWER, None, [])
        notes.note("answered", "data", who)
        session.accrue_cost(who, 1.0)
        notes.note("count", "cost", "data", who, "1")

    def ask() -> None:
        store.prompts.record(who)
        notes.note("prompt", who)

    def delete() -> None:
        notes.note("deleting", f"doomed-{who}")
        store.thread(f"doomed-{who}").delete()
        notes.note("deleted", f"doomed-{who}")

    for number in range(2):
        yield from ((lambda number=number: append(number)), spend, lambda number=number: save(number))
        yield from ((lambda number=number: job(number)), name, talk if number else leaf)
    yield from (begin, answer, ask, lambda: old.rename(who), old.messages.compact, delete, lambda: append(2))


class Drops:
    """Keeps each file whose sync failed, and which of its bytes nobody may rely on."""

    def __init__(self, root: str, place: str, *, tries_again: bool) -> None:
        self._tries_again = tries_again
        self._place = Path(place)
        self._place.mkdir(exist_ok=True)
        self._good = {path.stat().st_ino: path.stat().st_size for path in Path(root).rglob("*") if path.is_file()}
        self._real, fs.sync = fs.sync, self._sync

    def _sync(self, fd: int) -> None:
        status = os.fstat(fd)
        try:
            self._real(fd)
        except OSError:
            path = os.readlink(f"/proc/self/fd/{fd}")
            os.link(path, self._place / str(status.st_ino))
            about = {"path": path, "start": self._good.get(status.st_ino, 0), "end": status.st_size}
            (self._place / f"{status.st_ino}.json").write_text(json.dumps(about))
            if not self._tries_again:
                raise
            self._real(fd)
        self._good[status.st_ino] = status.st_size


def main(mode: str, root: str, notes: Notes, drops: str, who: str) -> None:
    if mode == "prepare":
        prepare(root, notes)
        return
    store = Store.open(root)
    Drops(root, drops, tries_again=mode == "retry")
    for do in work(store, notes, who):
        try:
            do()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            notes.note("told", type(error).__name__)
            if mode == "stop":
                break
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Notes(sys.argv[3]), sys.argv[4], sys.argv[5])
