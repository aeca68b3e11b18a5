"""`fsstore trash`: what was deleted, the way back, and the way out."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict

import click

from fsstore.cli.exits import WrongUsageError
from fsstore.cli.options import limit_option, open_store, store_options, whole_id, writing_options
from fsstore.cli.output import brief, clean, count_of, emit, how_long, make_console, number, one_line, print_table, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.resources.trashed import Trashed
    from fsstore.store import Store

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """Give the seconds of a number and a unit of time."""
    if value is None:
        return None
    found = re.fullmatch(rf"([0-9]{{1,9}})([{''.join(_UNITS)}])", value.strip())
    if not found:
        raise click.BadParameter(f"{one_line(value)!r} is no age: say 30d, 12h, 90m, 10s or 2w.", context, option)
    return int(found[1]) * _UNITS[found[2]]


@click.group(short_help="List, restore or empty the trash.")
def trash() -> None:
    """What was deleted. Nothing empties the trash by itself."""


@trash.command("ls")
@limit_option("deletions")
@store_options
def ls(limit: int | None, root: str, as_json: bool) -> None:
    """List what is in the trash, the last deletion first."""
    with open_store(root) as store:
        found = store.trash.recent(limit)
    if as_json:
        for entry in found:
            emit(asdict(entry))
    elif found:
        columns = {"DELETED": "16", "KIND": "19", "BYTES": ">12", "WHAT": ""}
        rows = ((when(one.deleted_at), one.kind, number(one.size), _what(one)) for one in found)
        print_table(make_console(), "DELETION", [one.id for one in found], columns, rows)
    else:
        make_console().print(f"The trash of {clean(store.root)} is empty.")


@trash.command("restore")
@click.argument("deletions", metavar="DELETION...", nargs=-1, required=True)
@writing_options
def restore(deletions: tuple[str, ...], root: str, as_json: bool, lock_timeout: float) -> None:
    """Bring back what was deleted, to its place. `fsstore trash ls` shows the ids of the deletions.

    A part of a thread or of a workflow run needs that to be there: name it first.
    """
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=lock_timeout) as store:
        for id in list(dict.fromkeys(_whole_id(store, given) for given in deletions)):
            entry = store.trash.restore(id)
            if as_json:
                emit(asdict(entry))
            console.print(f"{entry.kind} {_what(entry)} is back: {clean(store.root)}/{clean(entry.path)}")


@trash.command("empty")
@click.option(
    "--older-than", callback=_seconds, metavar="AGE", help="Only what was deleted so long ago: 30d, 12h, 90m, 10s, 2w."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@writing_options
def empty(older_than: int | None, yes: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Delete for good what is in the trash."""
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=lock_timeout) as store:
        found = store.trash.old(older_than)
        if not found:
            age = "" if older_than is None else f" that was deleted {how_long(older_than)} ago or before"
            console.print(f"Nothing is in the trash{age}.")
            return
        if not yes and not _is_sure(found):
            console.print("Nothing was deleted for good.")
            return
        gone = store.trash.empty(older_than, only={one.id for one in found})
    for one in gone:
        if as_json:
            emit(asdict(one))
        console.print(f"{one.kind} {_what(one)} is gone: {number(one.size)} bytes")
    console.print(_sum(gone).capitalize() + (" is" if len(gone) == 1 else " are") + " gone for good.")


def _is_sure(found: list[Trashed]) -> bool:
    if not sys.stdin.isatty():
        raise WrongUsageError(f"{_sum(found)} would be gone for good: say --yes, since nobody can be asked here")
    return click.confirm(f"Delete {_sum(found)} for good?", err=True)


def _sum(found: list[Trashed]) -> str:
    return f"{count_of(len(found), 'deletion')} with {number(sum(one.size for one in found))} bytes"


def _whole_id(store: Store, given: str) -> str:
    trash = store.trash
    return whole_id(given, "deletion", "trash ls", trash.get, lambda: (one.id for one in trash))


def _what(entry: Trashed) -> str:
    id = one_line(entry.item_id or entry.path)
    of_thread = f" of thread {one_line(entry.thread_id)}" if entry.thread_id and entry.kind == "checkpoint" else ""
    return f"{id}{of_thread}" + (f" ({brief(entry.name, 60)})" if entry.name else "")
