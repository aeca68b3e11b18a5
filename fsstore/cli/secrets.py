"""`fsstore redact`, and what `fsstore check --secrets` prints."""

from __future__ import annotations

import click

from fsstore.cli.options import find_thread, open_store, refuse_beside, writing_options
from fsstore.cli.output import count_of, emit, make_console, one_line
from fsstore.cli.writing import text_of_input
from fsstore.upkeep.secrets import redact_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.store import Store


def print_secrets(store: Store, as_json: bool) -> int:
    """Print what is likely to be a secret in the messages of a store, never the secret itself; give how many there are."""
    console = make_console(quiet=as_json)
    count = 0
    for one in store.secrets():
        count += 1
        place = {"thread_id": one.thread_id, "message_id": one.message_id}
        if as_json:
            emit({**place, "kind": one.kind, "shown": one.shown})
        where = "" if one.shown else ", not shown any more: the bytes go when the thread is compacted"
        console.print(f"{' '.join(map(one_line, place.values()))}: {one.kind}{where}")
    return count


@click.command()
@click.argument("thread")
@click.argument("message")
@click.option("--value", "values", metavar="TEXT", multiple=True, help="What to replace; - reads it from the standard input.")
@click.option("--secrets", is_flag=True, help="Replace what `fsstore check --secrets` finds in the message.")
@click.option(
    "--with", "replacement", metavar="TEXT", default="[redacted]", show_default=True, help="What to put in its place."
)
@click.option("--compact", is_flag=True, help="Then rewrite the thread's log without the old bytes.")
@writing_options
def redact(
    thread: str,
    message: str,
    values: tuple[str, ...],
    secrets: bool,
    replacement: str,
    compact: bool,
    root: str,
    as_json: bool,
    lock_timeout: float,
) -> None:
    """Replace a text in a message, wherever it stands in it.

    MESSAGE is a message's id. A secret that is given with --value stays in the shell's history: give --value -, and the text on
    the standard input, a newline at its end left out. Without --compact the old bytes stay in the log; in copies of it, as git
    and backups keep them, they stay in any case. A key that was leaked must be revoked.
    """
    if values:
        refuse_beside("--value", {"--secrets": secrets})
    elif not secrets:
        raise click.UsageError("give --value TEXT, or --secrets.", click.get_current_context())
    texts = [text_of_input("the text to replace") if value == "-" else value for value in values]
    with open_store(root, lock_timeout=lock_timeout) as store:
        handle = find_thread(store, thread)
        if secrets:
            count = redact_secrets(handle.messages, message, replacement=replacement)
        else:
            count = handle.messages.redact(message, *texts, replacement=replacement)
        freed = handle.messages.compact().freed if compact else None
    if as_json:
        emit({"thread_id": handle.id, "message_id": message, "redacted": count, "compacted": compact})
        return
    console = make_console()
    console.print(f"Redacted {count_of(count, 'place')} in {one_line(message)}." if count else "There was nothing to redact.")
    if freed is not None:
        console.print(f"{one_line(handle.id)} is compacted: the old bytes are not in its log any more.")
