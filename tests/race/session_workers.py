"""What the processes of the race tests do to sessions; each gives what was acknowledged."""

from __future__ import annotations

import random
import time
from pathlib import Path

import processes
from race_workers import Barrier

from fsstore import AlreadyExistsError, ChatMessage, SessionNotFoundError, SessionQuery, SessionStore

INTERRUPTED = "assistant"


def opened(root: Path) -> SessionStore:
    return SessionStore(root, durability="process", lock_timeout=60)


def begins(root: Path, barrier: Path, me: int, rounds: int) -> None:
    """All append to the same new session at the same moment."""
    sessions, together = opened(root), Barrier(barrier, me)
    for number in range(rounds):
        together.wait()
        sessions.append(f"new {number}", ChatMessage.user(f"{me}"))


def works(root: Path, key: str, me: int, count: int, seed: int) -> dict[str, int]:
    """Append, replace and take away the last message; give how often each was done."""
    sessions, chance = opened(root), random.Random(seed + me)
    done = {"append": 0, "update": 0, "remove": 0}
    for number in range(count):
        kind = chance.choice(("append", "append", "append", "update", "remove"))
        if kind == "append":
            sessions.append(key, ChatMessage.user(f"{me} {number}"))
            done["append"] += 1
        elif kind == "update":
            done["update"] += sessions.update_last(key, ChatMessage.assistant(f"{me} {number} new"))
        else:
            done["remove"] += sessions.remove_last(key)
        assert len(set(contents := [message.content for message in sessions.load(key)])) == len(contents)
    return done


def clears(root: Path, key: str, me: int, count: int) -> tuple[int, int]:
    """Append, and now and then clear; give how many were appended and how many cleared."""
    sessions, cleared = opened(root), 0
    for number in range(count):
        sessions.append(key, ChatMessage.user(f"{me} {number}"))
        if number % 10 == me:
            cleared += sessions.clear_messages(key)
    return count, cleared


def appends_until(root: Path, key: str, me: int, stop: Path) -> list[str]:
    """Append until `stop` appears, whatever becomes of the session; give what was acknowledged."""
    sessions, told = opened(root), []
    processes.say("begins")
    while not stop.exists():
        sessions.append(key, ChatMessage.user(f"{me} {len(told)}"))
        told.append(f"{me} {len(told)}")
    return told


def renames_until(root: Path, keys: list[str], stop: Path) -> int:
    """Move a session from key to key until `stop` appears; give how often."""
    sessions, done, number = opened(root), 0, 0
    processes.say("begins")
    while not stop.exists():
        number += 1
        try:
            sessions.rename_session(keys[number % len(keys)], f"moved {number}")
            done += 1
        except (SessionNotFoundError, AlreadyExistsError):
            time.sleep(0.001)
    return done


def renames(root: Path, barrier: Path, me: int, rounds: int) -> list[int]:
    """All rename the same session at the same moment, each to a key of its own; give the rounds that this one won."""
    sessions, together, won = opened(root), Barrier(barrier, me), []
    for number in range(rounds):
        together.wait()
        try:
            sessions.rename_session(f"s {number}", f"s {number} by {me}")
            won.append(number)
        except SessionNotFoundError:
            pass
    return won


def closes(root: Path, barrier: Path, me: int, rounds: int) -> list[str]:
    """All close the same interrupted turns at the same moment; give what this one closed."""
    sessions, together, closed = opened(root), Barrier(barrier, me), []
    for number in range(rounds):
        if me == 0:
            sessions.append(f"s {number}", ChatMessage.user("a question"))
            sessions.set_session_state(f"s {number}", "running", f"turn {number}")
        together.wait()
        closed += sessions.close_interrupted()
        together.wait()
    return closed


def uses(root: Path, keys: list[str], me: int, stop: Path) -> dict[str, int]:
    """Use sessions of its own while others clean up; give how many messages each had in the end, as far as this one knows."""
    sessions, said = opened(root), dict.fromkeys(keys, 0)
    processes.say("begins")
    while not stop.exists():
        for key in keys:
            sessions.append(key, ChatMessage.user(f"{me} {said[key]}"))
            said[key] += 1
            sessions.set_session_state(key, "running" if said[key] % 2 else "idle")
    return said


def cleans_up(root: Path, stop: Path) -> int:
    sessions, done = opened(root), 0
    processes.say("begins")
    while not stop.exists():
        done += sessions.cleanup_stale(1)
    return done


def compacts(root: Path, key: str, stop: Path) -> int:
    sessions, dropped = opened(root), 0
    processes.say("begins")
    while not stop.exists():
        dropped += sessions.compact(key).messages
    return dropped


def removes_its_own(root: Path, key: str, me: int, count: int) -> list[str]:
    """Append two and take one of them away by its id, over and over; give what is left."""
    store, left = opened(root), []
    messages = store._store.thread(key).messages
    for number in range(count):
        kept, gone = (messages.append("user", f"{me} {number} {part}") for part in ("kept", "gone"))
        assert messages.remove(gone.id)
        left.append(kept.content)
    return left


def searches(root: Path, word: str, keys: list[str], stop: Path) -> int:
    """Search on and on: what is there all the time is always found."""
    sessions, count = opened(root), 0
    processes.say("begins")
    while not stop.exists():
        assert sorted(session.key for session in sessions.search(SessionQuery(keyword=word))) == keys
        count += 1
    return count
