"""The operations of `SessionStore` whose crashes are looked at."""

from __future__ import annotations

from typing import Any

from crash_harness import Desk, Operation, View

from fsstore import ChatMessage, SessionStore, ThreadInfo

NO_META = frozenset(("no-meta",))


def session(call: str, *arguments: Any) -> Any:
    return lambda desk: getattr(desk.facade(SessionStore), call)(*arguments)


def talk(desk: Desk) -> None:
    """A session of three messages, one of them removed, in which a turn runs."""
    store = desk.facade(SessionStore)
    for message in (ChatMessage.user("Why?"), ChatMessage.assistant("Because … ß"), ChatMessage.user("And then?")):
        store.append("s", message)
    store.append("s", ChatMessage.tool("gone"))
    store.remove_last("s")
    store.set_session_name("s", "Sky")
    store.set_session_state("s", "running", "turn-1")
    desk.store.close()


def spoiled(desk: Desk) -> None:
    """The same, with bytes in its log that are no record, and a record that stands there twice."""
    talk(desk)
    with open(desk["s"].messages.path, "r+b") as log:
        first, *rest = log.read().splitlines(keepends=True)
        log.seek(0)
        log.writelines((first, b"rubbish\n", *rest, rest[-1]))


def furnished(desk: Desk) -> None:
    """The same with all else that a thread can have."""
    talk(desk)
    thread = desk["s"]
    thread.goal.set("Ship 1.0")
    thread.goal.accrue(tokens=5)
    thread.checkpoints.save("c", {"a": 1})
    thread.runs.create("r").steps.create("step")
    desk.store.close()


def with_a_deleted_one(desk: Desk) -> None:
    furnished(desk)
    store = desk.facade(SessionStore)
    store.append("new", ChatMessage.user("deleted"))
    store.delete_session("new")


def long_unused(desk: Desk) -> None:
    talk(desk)
    desk.store.threads.add(ThreadInfo(id="old", kind="session", created_at=1, updated_at=1))
    desk["old"].messages.append("user", "long ago", created_at=1)
    desk.store.close()


def begun(before: View, after: View) -> list[View]:
    """The view in which a session is there, and its first message is not yet."""
    if "s" in before["threads"] or "s" not in after["threads"]:
        return []
    empty: View = {"messages": [], "branch": [], "newest": [], "leaves": []}
    return [{**after, "threads": {**after["threads"], "s": {**after["threads"]["s"], **empty}}}]


def answered(before: View, after: View) -> list[View]:
    """The views in which only one is there: the closing message, or, where nothing was synced, the state after the turn."""
    old, new = before["threads"]["s"], after["threads"]["s"]
    halves = ({**new, "state": old["state"]}, {**old, "state": new["state"]})
    return [{**after, "threads": {**after["threads"], "s": half}} for half in halves]


def moving(before: View, after: View) -> list[View]:
    """The views in which the new name is noted, and in which the session is there under both keys."""
    noted = {**before, "names": {**before["names"], **after["names"]}}
    return [noted, {**noted, "threads": {**before["threads"], **after["threads"]}}]


SESSIONS = [
    Operation(
        "append to a new session, twice",
        (session("append", "s", ChatMessage.user("one")), session("append", "s", ChatMessage.assistant("zwei … ü"))),
        between=begun,
        leaves=NO_META,
    ),
    Operation("remove_last of a session", (session("remove_last", "s"),), talk, repeats=False),
    Operation("update_last of a session", (session("update_last", "s", ChatMessage.user("Und dann … ?")),), talk),
    Operation("roll back a turn", (session("rollback_turn", "s"),), talk),
    Operation("clear a session", (session("clear_messages", "s"),), talk),
    Operation("compact a session", (session("compact", "s"), session("append", "s", ChatMessage.user("more"))), spoiled),
    Operation(
        "state of a session",
        (session("set_session_state", "s", "idle"), session("set_session_state", "s", "running", "turn-2")),
        talk,
    ),
    Operation("name of a session", (session("set_session_name", "s", "Sea"), session("set_session_name", "s", "")), talk),
    Operation("close an interrupted turn", (session("close_interrupted"),), talk, answered),
    Operation("clean up", (session("cleanup_stale", 1),), long_unused),
    Operation(
        "delete a session and append to it",
        (session("delete_session", "s"), session("append", "s", ChatMessage.user("anew"))),
        furnished,
        begun,
        leaves=NO_META,
    ),
    Operation("rename a session", (session("rename_session", "s", "New/Key"),), furnished, moving),
    Operation("rename a session to a deleted key", (session("rename_session", "s", "new"),), with_a_deleted_one, moving),
]
