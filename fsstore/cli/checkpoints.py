"""`fsstore checkpoints`: the states that a thread can come back to."""

from __future__ import annotations

import click
from rich.filesize import decimal

from fsstore.cli.options import find_thread, limit_option, open_store, refuse_beside, writing_options
from fsstore.cli.output import clean, emit, make_console, note_unreadable, one_line, print_table, when
from fsstore.disk import fs
from fsstore.errors import CheckpointNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.resources.thread import ThreadHandle


@click.command(short_help="List a thread's checkpoints, or print one.")
@click.argument("thread")
@click.argument("name", required=False)
@limit_option("checkpoints")
@click.option("--delete", metavar="NAME", help="Take this checkpoint away.")
@writing_options
def checkpoints(
    thread: str, name: str | None, limit: int | None, delete: str | None, root: str, as_json: bool, lock_timeout: float
) -> None:
    """List a thread's checkpoints, the last saved first; with NAME, print the state that was saved, as JSON.

    A deleted checkpoint stays in the store's trash.
    """
    if name is not None:
        refuse_beside("NAME", {"--limit": limit, "--delete": delete})
    if delete is not None:
        refuse_beside("--delete", {"--limit": limit})
    with open_store(root, lock_timeout=None if delete is None else lock_timeout) as store:
        handle = find_thread(store, thread)
        if delete is not None:
            _delete(handle, delete, as_json)
        elif name is not None:
            _print_state(handle, name, as_json)
        else:
            _print_list(handle, limit, as_json)


def _delete(thread: ThreadHandle, name: str, as_json: bool) -> None:
    if not thread.checkpoints.delete(name):
        raise CheckpointNotFoundError(name)
    if as_json:
        emit({"thread_id": thread.id, "checkpoint_id": name, "deleted": True})
    else:
        make_console().print(f"Deleted checkpoint {one_line(name)} of {one_line(thread.id)}; a copy is in the store's trash.")


def _print_state(thread: ThreadHandle, name: str, as_json: bool) -> None:
    checkpoint = thread.checkpoints[name]
    if as_json:
        emit({**checkpoint.to_json(), "state": checkpoint.state})
    else:
        emit(checkpoint.state, indent=2)


def _print_list(thread: ThreadHandle, limit: int | None, as_json: bool) -> None:
    rows = [_row(thread, one.checkpoint_id, one.created_at) for one in thread.checkpoints]
    shown, ids = rows[:limit], {row["checkpoint_id"] for row in rows}
    console = make_console()
    if as_json:
        for row in shown:
            emit(row)
    elif shown:
        cells = ((when(row["created_at"]), decimal(row["size"])) for row in shown)
        columns = {"SAVED": "16", "SIZE": ">10"}
        print_table(console, "CHECKPOINT", [row["checkpoint_id"] for row in shown], columns, cells)
    else:
        console.print(f"No checkpoints of {clean(thread.id)}.")
    note_unreadable(thread.checkpoints.damage(ids), "checkpoint")  # with a limit, too: it may be the newest


def _row(thread: ThreadHandle, id: str, saved: int) -> Object:
    size = fs.stat(thread.checkpoints.path(id)).st_size
    return {"thread_id": thread.id, "checkpoint_id": id, "created_at": saved, "size": size}
