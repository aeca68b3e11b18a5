"""`fsstore prompts` and `fsstore stats`: what was asked in the sessions of `DataStore`, and what their runs come to."""

from __future__ import annotations

import dataclasses

import click

from fsstore.cli.exits import WrongUsageError
from fsstore.cli.options import limit_option, open_store, store_options
from fsstore.cli.output import clean, count_of, emit, make_console, note_unreadable, one_line, print_table
from fsstore.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from fsstore.records.statistics import Statistics, Tally
    from fsstore.store import Store

_COLUMNS = {"RUNS": ">5", "WINS": ">5", "GOOD": ">5", "BAD": ">5", "COST": ">10"}


@click.command(short_help="List what was asked.")
@limit_option("prompts")
@store_options
def prompts(limit: int | None, root: str, as_json: bool) -> None:
    """List what was asked in all sessions, the newest first, a line each."""
    with open_store(root) as store:
        found = store.prompts.recent(limit)
        if as_json:
            for prompt in found:
                emit({"prompt": prompt})
            return
        console = make_console()
        for prompt in found:
            console.print(one_line(prompt))
        if not found:
            console.print(f"No prompts in {clean(store.root)}.")


@click.command(short_help="Show wins, ratings and costs.")
@click.argument("session", required=False)
@click.option("--recipe", metavar="HASH", help="Only runs with this recipe.")
@store_options
def stats(session: str | None, recipe: str | None, root: str, as_json: bool) -> None:
    """Show how often each model and each recipe took part, was chosen, found good or bad, and what it cost.

    Runs that were rewound do not count. SESSION is a session's id, or a beginning of it that no other session has; without it
    all sessions count.
    """
    if session == "":
        raise WrongUsageError("SESSION is empty: leave it out for all sessions")
    with open_store(root) as store:
        id = None if session is None else store.data.resolve(session)
        found = store.data.statistics(session_id=id, config_hash=recipe)
        if as_json:
            emit(dataclasses.asdict(found))
        else:
            _print_statistics(make_console(), store, found)
        note_unreadable(store.data.damage() if id is None else [], "session")


def _print_statistics(console: Console, store: Store, found: Statistics) -> None:
    rewound = f", {found.rewound} rewound left out" if found.rewound else ""
    console.print(f"{count_of(found.runs, 'run')} in {count_of(found.sessions, 'session')}{rewound}.")
    for heading, tallies in (("MODEL", found.models), ("RECIPE", found.recipes)):
        if tallies:
            console.print()
            names = {key: _name_of(store, key) if heading == "RECIPE" else "" for key in tallies}
            _print_tallies(console, heading, tallies, names)


def _print_tallies(console: Console, heading: str, tallies: Mapping[str, Tally], names: Mapping[str, str]) -> None:
    columns = _COLUMNS | ({"NAME": ""} if any(names.values()) else {})
    cells = ((one.runs, one.wins, one.good, one.bad, f"{one.cost_usd:.4f}", names[key]) for key, one in tallies.items())
    rows = (row[: len(columns)] for row in cells)
    print_table(console, heading, [key or "-" for key in tallies], columns, rows)


def _name_of(store: Store, hash: str) -> str:
    try:
        return one_line(store.recipes.name_of(hash), 60)
    except CorruptError:
        return "(cannot be read)"
