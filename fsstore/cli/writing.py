"""`fsstore append` and `fsstore import`."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field

import click

from fsstore.cli.exits import Exit, WrongUsageError
from fsstore.cli.options import find_thread, open_store, writing_options
from fsstore.cli.output import count_of, emit, make_console, message_json, note, one_line
from fsstore.errors import AlreadyExistsError
from fsstore.upkeep.imports import FORMATS, import_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store
    from fsstore.upkeep.imports import Imported


#: Characters of the first message that stand in the `preview` of a thread made here.
_PREVIEW = 120


@click.command()
@click.argument("thread")
@click.argument("role")
@click.argument("text", metavar="[TEXT|-]", default="-")
@click.option("--create", is_flag=True, help="Begin the thread, and the store, where there is none; THREAD is its whole id.")
@writing_options
def append(thread: str, role: str, text: str, create: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Add a message below the current leaf of a thread.

    ROLE is any word: user, assistant, ... TEXT is what was said; with - or without TEXT it is read from the standard input, and
    a newline at its end is left out. Put -- before a TEXT that begins with a dash.
    """
    said = _text(text) if create else ""  # before anything is made
    with open_store(root, lock_timeout=lock_timeout, create=create) as store:
        handle = _created(store, thread, said) if create else find_thread(store, thread)
        message = handle.messages.append(role, said if create else _text(text))
    if as_json:
        emit({"thread_id": handle.id, **message_json(message)})
    else:
        below = f", below {one_line(message.parent_id)}" if message.parent_id else ", as its first message"
        make_console().print(f"Appended {message.id} to {one_line(handle.id)}{below}.")


def _created(store: Store, id: str, said: str) -> ThreadHandle:
    if id not in store.threads:
        with contextlib.suppress(AlreadyExistsError):  # begun meanwhile by another process
            return store.threads.create(id, preview=" ".join(said.split())[:_PREVIEW])
    return store.thread(id)


def _text(given: str) -> str:
    """Give the message's text, from the standard input where the command line says so."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        note("reading the message from the terminal; end it with Ctrl-D")
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise WrongUsageError(f"the standard input is no UTF-8 text: byte {error.start} cannot be read") from None


@dataclass(slots=True)
class _Tally:
    """What an import did so far."""

    threads: int = 0
    new_threads: int = 0
    added: int = 0
    known: int = 0
    differing: list[str] = field(default_factory=list)

    def count(self, done: Imported) -> None:
        self.threads += 1
        self.new_threads += done.is_new
        self.added += done.added
        self.known += done.known
        if done.differing:
            self.differing.append(done.thread_id)

    def print(self, as_json: bool) -> None:
        if as_json:
            emit({name: getattr(self, name) for name in self.__slots__})
        else:
            threads = f"{count_of(self.threads, 'thread')} ({self.new_threads} new)"
            make_console().print(f"{threads}: {count_of(self.added, 'message')} added, {self.known} already there.")


@click.command("import")
@click.argument("format", type=click.Choice(sorted(FORMATS)))
@click.argument("files", metavar="PATH...", nargs=-1, required=True, type=click.File("rb"))
@writing_options
@click.pass_context
def import_(
    context: click.Context, format: str, files: tuple[BinaryIO, ...], root: str, as_json: bool, lock_timeout: float
) -> None:
    """Import conversations of other systems, each as a thread.

    oasst: Open Assistant trees, one JSON object a line. sharegpt: a JSON array of conversations, as FastChat has them.
    A PATH of - is the standard input. Importing a file again adds only what is not there.
    """
    tally = _Tally()
    with open_store(root, lock_timeout=lock_timeout, create=True) as store:
        try:
            for file in files:
                for done in _with_progress(store, format, file):
                    tally.count(done)
        finally:  # what is imported stays, whatever stopped the rest
            tally.print(as_json)
    if tally.differing:
        shown = ", ".join(one_line(id, 60) for id in tally.differing[:3])
        threads = count_of(len(tally.differing), "thread")
        note(f"{threads} not changed, since other messages stand there under the same ids: {shown}")
        context.exit(Exit.REFUSED)


def _with_progress(store: Store, format: str, file: BinaryIO) -> Iterator[Imported]:
    """Import one file with a progress bar where somebody looks."""
    console, imports = make_console(stderr=True), import_stream(store, format, file, file.name)
    if not console.is_terminal:
        yield from imports
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # here: the rest starts faster without it

    threads = TextColumn("{task.fields[threads]} threads")
    columns = (TextColumn("{task.description}"), BarColumn(), threads, TimeRemainingColumn())
    size = _size(file)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(one_line(file.name, 40), total=size, threads=0)
        for number, done in enumerate(imports, 1):
            progress.update(task, completed=file.tell() if size else None, threads=number)
            yield done


def _size(file: BinaryIO) -> int | None:
    if not file.seekable():
        return None
    size = file.seek(0, 2)
    file.seek(0)
    return size
