"""`fsstore append` and `fsstore import`."""

from __future__ import annotations

import contextlib
import sys

import click

from fsstore.cli.exits import Exit, WrongUsageError
from fsstore.cli.importing import CODEWHALE, Tally, import_file, move_in
from fsstore.cli.options import find_thread, open_store, writing_options
from fsstore.cli.output import emit, make_console, message_json, note, one_line
from fsstore.errors import AlreadyExistsError
from fsstore.upkeep.imports import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store

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
    return text_of_input("the message") if given == "-" else given


def text_of_input(what: str) -> str:
    """Read a text from the standard input; a newline at its end is left out."""
    if sys.stdin.isatty():
        note(f"reading {what} from the terminal; end it with Ctrl-D")
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise WrongUsageError(f"the standard input is no UTF-8 text: byte {error.start} cannot be read") from None


def _opened(context: click.Context, argument: click.Parameter, paths: tuple[str, ...]) -> tuple[BinaryIO | str, ...]:
    """Open the files of an import, before a store is made; a database is only looked for."""
    kind: click.ParamType[Any] = click.Path(exists=True) if context.params["format"] == CODEWHALE else click.File("rb")
    return tuple(kind.convert(path, argument, context) for path in paths)


@click.command("import")
@click.argument("format", type=click.Choice(sorted((*FORMATS, CODEWHALE))))
@click.argument("sources", metavar="PATH...", nargs=-1, required=True, callback=_opened)
@writing_options
@click.pass_context
def import_(
    context: click.Context, format: str, sources: tuple[BinaryIO | str, ...], root: str, as_json: bool, lock_timeout: float
) -> None:
    """Import what other systems keep; doing it again adds only what is not there.

    oasst: Open Assistant trees, one JSON object a line. sharegpt: a JSON array of conversations, as FastChat has them.
    A PATH of - is the standard input.

    codewhale: the state.db of a CodeWhale of any version, with the session_index.jsonl beside it. PATH is the file, or the
    directory that it is in; it is only read, and may be in use.
    """
    tally = Tally()
    with open_store(root, lock_timeout=lock_timeout, create=True) as store:
        try:
            for source in sources:
                if isinstance(source, str):
                    move_in(store, source, tally)
                else:
                    import_file(store, format, source, tally)
        finally:  # what is imported stays, whatever stopped the rest
            tally.print(as_json)
    notes = list(tally.notes())
    for text in notes:
        note(text)
    if notes:
        context.exit(Exit.REFUSED)
