"""`fsstore ls` and `fsstore show`."""

from __future__ import annotations

import click
from rich.text import Text

from fsstore.cli.options import find_thread, limit_option, open_store, store_options
from fsstore.cli.output import (
    brief,
    clean,
    count_of,
    emit,
    make_console,
    message_json,
    note,
    one_line,
    print_content,
    print_head,
    print_table,
    when,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.records.messages import Message
    from fsstore.records.threads import ThreadInfo
    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store


@click.command()
@limit_option("threads")
@click.option("-a", "--archived", is_flag=True, help="Archived threads too.")
@store_options
def ls(root: str, as_json: bool, limit: int | None, archived: bool) -> None:
    """List the threads, the last used first."""
    with open_store(root) as store:
        threads = store.threads.recent(limit, archived=archived)
        if as_json:
            for info in threads:
                emit({**info.to_json(), "last_activity": store.threads.last_activity(info), "messages": _count(store, info)})
        else:
            _print_threads(store, threads)
        note_unreadable_threads(store)


def _count(store: Store, info: ThreadInfo) -> int:
    return len(store.thread(info.id).messages)


def _print_threads(store: Store, threads: list[ThreadInfo]) -> None:
    console = make_console()
    if not threads:
        console.print(f"No threads in {clean(store.root)}.")
        return
    columns = {"LAST USED": "16", "MESSAGES": ">8", "WHAT": ""}
    rows = ((when(store.threads.last_activity(info)), _count(store, info), _title(info)) for info in threads)
    print_table(console, "THREAD", [info.id for info in threads], columns, rows)


def _title(info: ThreadInfo) -> str:
    title = brief(info.name or info.preview, 120)
    return f"{title} [archived]".lstrip() if info.archived else title


def note_unreadable_threads(store: Store) -> None:
    """Say on stderr which threads were passed over, if any."""
    unreadable = store.threads.unreadable()
    if unreadable:
        note(f"threads that cannot be read: {', '.join(unreadable)}")


@click.command(short_help="Print a thread's current branch.")
@click.argument("thread")
@click.option("-n", "--last", type=click.IntRange(min=0), metavar="N", help="Only the last N messages.")
@click.option("--leaf", metavar="MESSAGE", help="Another branch: the one that ends in this message.")
@store_options
def show(thread: str, root: str, as_json: bool, last: int | None, leaf: str | None) -> None:
    """Print a thread's current branch, from its first message to its last."""
    with open_store(root) as store:
        handle = find_thread(store, thread)
        messages = handle.messages.branch(last, leaf=leaf)
        if as_json:
            for message in messages:
                emit(message_json(message))
        else:
            _print_branch(handle, messages)
        if last is None:  # else only the end of the log is read
            note_damage(handle)


def note_damage(thread: ThreadHandle) -> None:
    """Say on stderr how much of a thread's log was passed over, if anything."""
    places = thread.messages.damage()
    if places:
        first = f"the first at byte {places[0].offset}: {places[0].reason}"
        note(f"passed over {count_of(len(places), 'damaged place')} in {thread.messages.path}, {first}")


def _print_branch(thread: ThreadHandle, messages: list[Message]) -> None:
    console = make_console()
    print_head(console, thread.id, thread.info().name)
    if not messages:
        console.print("No messages on this branch.")
    for message in messages:
        console.print()
        heading = Text(one_line(message.role, 40), style="bold green")
        console.print(heading.append(f"  {when(message.created_at)}  {one_line(message.id)}", style="dim"))
        print_content(console, message.content)
