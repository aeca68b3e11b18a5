"""`fsstore check`, `fsstore repair` and `fsstore compact`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.progress import Progress

from fsstore.cli.exits import Exit, WrongUsageError, sentence_of
from fsstore.cli.options import find_thread, open_store, store_options, writing_options
from fsstore.cli.output import clean, count_of, emit, make_console, number, one_line
from fsstore.cli.secrets import print_secrets
from fsstore.errors import FormatError
from fsstore.upkeep.problems import UNREAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from rich.console import Console

    from fsstore.resources.compaction import Compacted
    from fsstore.store import Store
    from fsstore.upkeep.problems import Problem


@click.command(short_help="Read every file and say what is wrong.")
@click.option("--secrets", is_flag=True, help="Look for likely keys and passwords in messages, and for nothing else.")
@store_options
def check(secrets: bool, root: str, as_json: bool) -> None:
    """Read every file of the store, and say of each problem where it is; change nothing.

    Exit code 0: clean; 1: problems; 2: something could not be read. A secret that --secrets finds is not printed.
    """
    console = make_console(quiet=as_json)
    if secrets:
        with _open(root) as store:
            count = print_secrets(store, as_json)
            console.print(f"{count_of(count, 'likely secret')} in the messages of {clean(store.root)}.")
        _end(Exit.REFUSED if count else Exit.OK)
    found = []
    with _open(root) as store, _progress() as progress:
        for problem in store.check(progress):
            _print(console, problem, as_json, " (fixable)" * problem.fixable)
            found.append(problem)
        if found:
            fixable = sum(problem.fixable for problem in found)
            console.print(f"{count_of(len(found), 'problem')}, {fixable} of them fixable by `fsstore repair`.")
        else:
            console.print(f"No problems in {clean(store.root)}.")
    unread = any(problem.kind in UNREAD for problem in found)
    _end(Exit.USAGE if unread else Exit.REFUSED if found else Exit.OK)


@click.command(short_help="Mend what `check` calls fixable.")
@click.option("--dry-run", is_flag=True, help="Only say what would be mended.")
@writing_options
def repair(dry_run: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Mend what `fsstore check` calls fixable; what is taken out of a file goes to the store's quarantine first.

    Exit code 0: nothing fixable is left; 1: something is.
    """
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=None if dry_run else lock_timeout) as store:
        found = store.repair(dry_run=dry_run)
        for problem in found:
            _print(console, problem, as_json)
        left = dry_run and bool(found)
        if not dry_run:
            left = any(problem.fixable for problem in store.check())
        if found:
            console.print(f"{count_of(len(found), 'problem')} {'would be ' if dry_run else ''}mended.")
        else:
            console.print(f"Nothing to mend in {clean(store.root)}.")
    _end(Exit.REFUSED if left else Exit.OK)


@click.command(short_help="Rewrite logs without what nobody sees.")
@click.argument("threads", metavar="[THREAD...]", nargs=-1)
@writing_options
def compact(threads: tuple[str, ...], root: str, as_json: bool, lock_timeout: float) -> None:
    """Rewrite the messages of threads, or of all, without removed ones, records that stand twice, and damage.

    Bytes that are no record go to the store's quarantine first. The bytes of removed messages are gone for good.
    """
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=lock_timeout) as store:
        chosen = {handle.id: handle for handle in (find_thread(store, given) for given in threads)}
        done = ((id, handle.messages.compact()) for id, handle in chosen.items()) if threads else store.compact()
        freed = 0
        for id, left in done:
            freed += left.freed
            _print_compacted(console, id, left, as_json, always=bool(threads))
        console.print(f"{number(freed)} bytes freed.")


@contextmanager
def _open(root: str) -> Iterator[Store]:
    """Open a store to be read; what cannot be read ends with the exit code that `check` has for it."""
    try:
        with open_store(root) as store:
            yield store
    except BrokenPipeError:
        raise
    except (FormatError, OSError) as error:
        raise WrongUsageError(sentence_of(error)) from None


def _print_compacted(console: Console, id: str, left: Compacted, as_json: bool, *, always: bool) -> None:
    if as_json:
        emit({"id": id, **asdict(left)})
    elif always or left.freed:
        parts = (
            count_of(left.messages, "removed message"),
            f"{left.redacted} redacted",
            count_of(left.duplicates, "duplicate"),
            f"{count_of(left.damaged, 'damaged place')} to the quarantine",
            f"{number(left.freed)} bytes freed",
        )
        console.print(f"{one_line(id)}: {', '.join(parts)}")


def _print(console: Console, problem: Problem, as_json: bool, more: str = "") -> None:
    if as_json:
        emit(asdict(problem))
    console.print(f"{one_line(str(problem))}{more}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], object] | None]:
    """Show how far the check is, in a terminal."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("checking")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _end(code: Exit) -> NoReturn:
    click.get_current_context().exit(code)
