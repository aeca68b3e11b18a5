"""`fsstore demo`."""

from __future__ import annotations

import click

from fsstore.cli.exits import Exit, WrongUsageError
from fsstore.cli.options import json_option, open_store
from fsstore.cli.output import emit, make_console, note


@click.command()
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--root", metavar="DIR", help="The same as DIR.")
@json_option
@click.pass_context
def demo(context: click.Context, directory: str | None, root: str | None, as_json: bool) -> None:
    """Make a small store, break it, and count what is left.

    DIR is a new or empty directory, or a store, which gets one thread more; without it, a fresh temporary directory that is
    left for you to look at. Ends with 1 if anything that the store acknowledged is not there.
    """
    if directory and root:
        raise WrongUsageError("name the directory once: as DIR or as --root")
    import tempfile  # here, and what runs the demo: other commands start faster without them

    from fsstore.cli.demo_run import run

    place = directory or root or tempfile.mkdtemp(prefix="fsstore-demo-")
    with open_store(place, lock_timeout=10.0, create=True) as store:
        report = run(store, make_console(quiet=as_json))
    if as_json:
        emit(report)
    if not report["ok"]:
        note("not everything that was acknowledged is there, once: this is a bug, please report it with the folder")
        context.exit(Exit.REFUSED)
