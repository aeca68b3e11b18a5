"""The commands together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys

import click

import fsstore
from fsstore.cli.checking import check, compact, repair
from fsstore.cli.checkpoints import checkpoints
from fsstore.cli.data import prompts, stats
from fsstore.cli.demo import demo
from fsstore.cli.exits import MEANINGS, Exit, exit_of, sentence_of
from fsstore.cli.goals import goal
from fsstore.cli.jobs import jobs
from fsstore.cli.output import note, prepare
from fsstore.cli.reading import ls, show
from fsstore.cli.secrets import redact
from fsstore.cli.sessions import search, sessions
from fsstore.cli.space import du, gc
from fsstore.cli.threads import archive, rename, rm
from fsstore.cli.trash import trash
from fsstore.cli.treeing import tree
from fsstore.cli.workflows import workflows
from fsstore.cli.writing import append, import_

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())


@click.group(invoke_without_command=True, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fsstore.__version__, prog_name="fsstore")
@click.pass_context
def cli(context: click.Context) -> None:
    """The state of AI agents, kept as plain files.

    Begin with `fsstore demo`: it makes a small store in a temporary directory and shows what is in it and what it promises.
    A THREAD is a thread's id, or a beginning of it that no other thread has; so are a JOB and a RUN.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    demo,
    ls,
    show,
    tree,
    append,
    import_,
    rename,
    archive,
    rm,
    redact,
    trash,
    gc,
    du,
    goal,
    checkpoints,
    jobs,
    workflows,
    check,
    repair,
    compact,
    sessions,
    search,
    prompts,
    stats,
):
    cli.add_command(command)


def run(arguments: list[str]) -> int:
    """Run a command line; give its exit code. No error leaves it but as a line on stderr."""
    prepare()
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        _drop_output()
        code = exit_of(error)
        if code is Exit.INTERRUPTED and sys.stderr.isatty():
            sys.stderr.write("\n")  # behind the terminal's own ^C
        if sentence := sentence_of(error):
            note(sentence)
    return code


def _invoke(arguments: list[str]) -> int:
    try:
        # not cli.main(): it prints an empty line of its own when interrupted
        with cli.make_context("fsstore", arguments) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return Exit.OK


def _drop_output() -> None:
    """Print what can be printed still; where nobody takes it, the interpreter must not complain of it when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
