"""What processes do around the trash; each gives what was acknowledged."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import processes

from fsstore import (
    AlreadyExistsError,
    ChatMessage,
    JobStateRecord,
    NotFoundError,
    SessionStore,
    Store,
    ThreadNotFoundError,
    clock,
)


def appends(root: Path, me: int, count: int) -> list[str]:
    """Append to a thread that comes and goes, until so many messages were acknowledged."""
    messages, done = Store.open(root, lock_timeout=60, durability="full" if me % 2 else "process").thread("t").messages, []
    while len(done) < count:
        with contextlib.suppress(ThreadNotFoundError):
            done.append(messages.append("user", f"{me} {len(done)}").content)
            continue
        time.sleep(0.001)
    return done


def appends_anew(root: Path, me: int, count: int) -> list[str]:
    """Append to a session that comes and goes, and is begun again by whoever writes to it."""
    sessions = SessionStore(root, lock_timeout=60, durability="full" if me % 2 else "process")
    for number in range(count):
        sessions.append("t", ChatMessage("user", f"{me} {number}."))
    return [f"{me} {number}." for number in range(count)]


def deletes(root: Path, stop: Path) -> int:
    """Delete a thread whenever somebody wrote to it, once at least, until told to stop; give how often."""
    store, count, known = Store.open(root, lock_timeout=60), 0, 0
    processes.say("begins")
    while not (count and stop.exists()):
        if (found := len(store.thread("t").messages)) > known:
            known = found
            count += store.threads.delete("t")
        time.sleep(0.005)
    return count


def restores(root: Path, stop: Path, least: int = 0) -> list[str]:
    """Bring back whatever is in the trash, so much at least, until told to stop; give the ids."""
    store, done = Store.open(root, lock_timeout=60), []
    processes.say("begins")
    while not (len(done) >= least and stop.exists()):
        done += restore_all(store)
        time.sleep(0.001)
    return done


def restore_all(store: Store) -> list[str]:
    done = []
    for entry in store.trash:
        with contextlib.suppress(NotFoundError, AlreadyExistsError):
            store.trash.restore(entry.id)
            done.append(entry.id)
    return done


def empties(root: Path, stop: Path, kind: str) -> list[str]:
    """Empty the trash of one kind of thing, and collect what serves nobody, until told to stop; give the ids."""
    store, done = Store.open(root, lock_timeout=60), []
    processes.say("begins")
    while not stop.exists():
        done += [entry.id for entry in store.trash.empty(only={one.id for one in store.trash if one.kind == kind})]
        store.gc()
    return done


def deletes_jobs(root: Path, me: int, count: int) -> list[str]:
    """Make jobs and delete each; give their ids."""
    store, ids = Store.open(root, lock_timeout=60), [f"{me} {clock.new_id()}" for _ in range(count)]
    for id in ids:
        store.jobs.put(JobStateRecord(id=id))
        assert store.jobs.delete(id)
    return ids
