"""`fsstore sessions` and `fsstore search`."""

from __future__ import annotations

import dataclasses

import click

from fsstore.cli.options import limit_option, open_store, refuse_beside, store_options
from fsstore.cli.output import brief, clean, emit, make_console, note_unreadable, one_line, print_table, when
from fsstore.cli.reading import note_unreadable_threads
from fsstore.errors import CorruptError
from fsstore.records.sessions import SessionQuery, SessionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.records.sessions import SessionMetadata
    from fsstore.store import Store

_UNREADABLE = SessionState(state="?")


@click.command(short_help="List sessions: all, or those that run, are stuck, or are stale.")
@click.option("--running", is_flag=True, help="Only those that are running, the turn begun last first.")
@click.option("--stuck", type=click.FloatRange(min=0), metavar="SECONDS", help="Only those whose turn began longer ago.")
@click.option(
    "--stale",
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="Only those that a clean-up would take: unused for longer, but at 0 none.",
)
@limit_option("sessions")
@store_options
def sessions(running: bool, stuck: float | None, stale: float | None, limit: int | None, root: str, as_json: bool) -> None:
    """List all threads as sessions, the last used first, with what they are doing."""
    if running:
        refuse_beside("--running", {"--stuck": stuck, "--stale": stale})
    if stuck is not None:
        refuse_beside("--stuck", {"--stale": stale})
    with open_store(root) as store:
        if running:
            found = store.sessions.running()
        elif stuck is not None:
            found = store.sessions.stuck(stuck)
        elif stale is not None:
            found = store.sessions.stale(stale)
        else:
            found = store.sessions.recent(limit)
        kind = "sessions" if (running, stuck, stale) == (False, None, None) else "such sessions"
        _print(store, found[:limit], as_json, f"No {kind} in {clean(store.root)}.")
        note_unreadable(store.sessions.damage(), "state")


@click.command(short_help="Find sessions by words.")
@click.argument("words", nargs=-1, required=True)
@limit_option("sessions")
@store_options
def search(words: tuple[str, ...], limit: int | None, root: str, as_json: bool) -> None:
    """Find the sessions that hold any of some words, in a message of the current branch or in the key; the last used first.

    Words count whole, whatever their case and accents.
    """
    with open_store(root) as store:
        found = store.sessions.search(SessionQuery(keyword=" ".join(words), limit=limit))
        _print(store, found, as_json, f"No session in {clean(store.root)} holds any of these words.")


def _print(store: Store, found: list[SessionMetadata], as_json: bool, nothing: str) -> None:
    if as_json:
        for session in found:
            state = _state(store, session.key)
            doing = {name: getattr(state, name) for name in ("state", "turn_id", "turn_started_at")}
            emit({**dataclasses.asdict(session), **doing})
    elif found:
        columns = {"LAST USED": "16", "MESSAGES": ">8", "STATE": "8", "NAME": ""}
        rows = ((when(one.last_activity), one.message_count, _doing(store, one.key), brief(one.name or "")) for one in found)
        print_table(make_console(), "SESSION", [session.key for session in found], columns, rows)
    else:
        make_console().print(nothing)
    note_unreadable_threads(store)


def _doing(store: Store, key: str) -> str:
    return one_line(_state(store, key).state, 20)


def _state(store: Store, key: str) -> SessionState:
    try:
        return store.thread(key).state.get() or SessionState()
    except CorruptError:
        return _UNREADABLE
