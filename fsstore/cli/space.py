"""`fsstore gc` and `fsstore du`: what serves nobody, and what takes the space."""

from __future__ import annotations

from dataclasses import asdict

import click

from fsstore.cli.options import limit_option, open_store, store_options, writing_options
from fsstore.cli.output import brief, clean, count_of, emit, make_console, number, one_line, print_table
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.upkeep.gc import Freed
    from fsstore.upkeep.sizes import Size


@click.command(short_help="Free what serves nobody.")
@click.option("--dry-run", is_flag=True, help="Change nothing, only say what would be freed.")
@writing_options
def gc(dry_run: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Free what serves nobody: files of dead writers, caches that fit nothing, empty directories.

    Data, the trash and the quarantine stay: `fsstore trash empty` frees the trash.
    """
    with open_store(root) as store:
        found = store.gc(dry_run=True)
    if not dry_run:
        with open_store(root, lock_timeout=lock_timeout) as store:  # this alone frees what dead writers left
            swept = [one for one in found if not fs.is_file(f"{store.root}/{one.path}")]
            found = [*swept, *store.gc()]
    console = make_console(quiet=as_json)
    verb = "would be freed" if dry_run else "is gone"
    for one in found:
        if as_json:
            emit(asdict(one))
        console.print(f"{clean(one.path)} {verb}: {one.reason}, {number(one.size)} bytes")
    console.print(_sum(found, dry_run))


def _sum(found: list[Freed], dry_run: bool) -> str:
    if not found:
        return "Nothing is to be freed."
    total = f"{count_of(len(found), 'entry').replace('entrys', 'entries')} with {number(sum(one.size for one in found))} bytes"
    return f"{total} would be freed." if dry_run else f"Freed {total}."


@click.command(short_help="Show what takes the space.")
@limit_option("parts of the store")
@store_options
def du(limit: int | None, root: str, as_json: bool) -> None:
    """Show what each thread and each other part of the store takes, the biggest first."""
    with open_store(root) as store:
        sizes = store.sizes()
    shown = sizes[:limit]
    if as_json:
        for one in shown:
            emit(asdict(one))
        return
    console = make_console()
    columns = {"ON DISK": ">14", "BYTES": ">14", "OF IT MESSAGES": ">14", "FILES": ">7", "NAME": ""}
    rows = ((number(one.disk), number(one.size), _messages(one), number(one.files), brief(one.name or "")) for one in shown)
    print_table(console, "WHAT", [_what(one) for one in shown], columns, rows)
    disk, size = (number(sum(amounts)) for amounts in ((one.disk for one in sizes), (one.size for one in sizes)))
    console.print(f"All of {clean(store.root)}: {disk} bytes on disk, {size} bytes in files.")


def _what(one: Size) -> str:
    return one_line(one.id or one.path) if one.kind == "thread" else one.kind


def _messages(one: Size) -> str:
    return number(one.messages) if one.kind == "thread" else "-"
