"""Exit codes, and the one line that stands for an error."""

from __future__ import annotations

from enum import IntEnum

import click

from fsstore.errors import LockTimeoutError, NotFoundError, StoreError


class Exit(IntEnum):
    """How the command line ends."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    LOCKED = 4
    INTERRUPTED = 130
    CLOSED_PIPE = 141


#: What `fsstore --help` says of them.
MEANINGS = {
    Exit.OK: "done",
    Exit.REFUSED: "the store, the disk or an imported file refused",
    Exit.USAGE: "wrong usage, or no store at that root",
    Exit.NOT_FOUND: "nothing of that id, or a prefix of several",
    Exit.LOCKED: "another writer held the lock for too long",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
    Exit.CLOSED_PIPE: "the reader of the output went away",
}


class WrongUsageError(click.ClickException):
    """A mistake in what was asked for, which the usage of the command would not explain."""


def exit_of(error: BaseException) -> Exit:
    """Give the exit code that stands for an error."""
    for kind, code in (
        (KeyboardInterrupt, Exit.INTERRUPTED),
        (click.Abort, Exit.INTERRUPTED),
        (BrokenPipeError, Exit.CLOSED_PIPE),
        (click.UsageError, Exit.USAGE),
        (WrongUsageError, Exit.USAGE),
        (NotFoundError, Exit.NOT_FOUND),
        (LockTimeoutError, Exit.LOCKED),
    ):
        if isinstance(error, kind):
            return code
    return Exit.REFUSED


def sentence_of(error: BaseException) -> str:
    """Give what there is to say of an error; nothing where its reader is gone."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted"
    if isinstance(error, BrokenPipeError):
        return ""
    if isinstance(error, click.ClickException):
        hint = f" See `{error.ctx.command_path} --help`." if isinstance(error, click.UsageError) and error.ctx else ""
        return error.format_message() + hint
    if isinstance(error, OSError) and not isinstance(error, StoreError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, (StoreError, OSError, ValueError)):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"
