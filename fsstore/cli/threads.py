"""`fsstore rename`, `fsstore archive` and `fsstore rm`."""

from __future__ import annotations

import click

from fsstore.cli.exits import WrongUsageError
from fsstore.cli.options import find_thread, open_store, refuse_beside, writing_options
from fsstore.cli.output import brief, clean, emit, make_console, name_of, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json
    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store

#: What to say of a thread, by whether the archive is undone, and whether that was so already.
_STATES = {
    (False, False): "is archived now",
    (False, True): "was archived already",
    (True, False): "is not archived any more",
    (True, True): "was not archived",
}


@click.command()
@click.argument("thread")
@click.argument("name", required=False)
@click.option("--clear", is_flag=True, help="Take the name away.")
@writing_options
def rename(thread: str, name: str | None, clear: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Give a thread another name, or none.

    Its id stays. Put -- before a NAME that begins with a dash.
    """
    if name is not None:
        refuse_beside("NAME", {"--clear": clear})
    elif not clear:
        raise click.UsageError("NAME is missing: give a name, or --clear.", click.get_current_context())
    if name is not None and not name.strip():
        raise WrongUsageError("NAME is empty: --clear takes the name away")
    with open_store(root, lock_timeout=lock_timeout) as store:
        info = find_thread(store, thread).rename(name)
    if as_json:
        emit(info.to_json())
    else:
        called = "has no name any more" if name is None else f"is now called: {one_line(name)}"
        make_console().print(f"{one_line(info.id)} {called}")


@click.command()
@click.argument("threads", metavar="THREAD...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Take the threads out of the archive again.")
@writing_options
def archive(threads: tuple[str, ...], undo: bool, root: str, as_json: bool, lock_timeout: float) -> None:
    """Archive threads: `fsstore ls` leaves them out. They can be read and written as before."""
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=lock_timeout) as store:
        for handle, before in [(handle, handle.info()) for handle in _found(store, threads)]:
            done = bool(before.archived) is not undo
            info = before if done else handle.unarchive() if undo else handle.archive()
            if as_json:
                emit(info.to_json())
            console.print(f"{_called(info.id, info.name)} {_STATES[undo, done]}")


@click.command()
@click.argument("threads", metavar="THREAD...", nargs=-1, required=True)
@writing_options
def rm(threads: tuple[str, ...], root: str, as_json: bool, lock_timeout: float) -> None:
    """Move threads to the store's trash, whole.

    `fsstore trash restore` brings them back; nothing is freed until `fsstore trash empty`.
    """
    console = make_console(quiet=as_json)
    with open_store(root, lock_timeout=lock_timeout) as store:
        for handle in _found(store, threads):
            called = _called(handle.id, name_of(handle))
            handle.delete()  # where another process was faster, it is in the trash as well
            trash = store.threads.trash_path(handle.id)
            if as_json:
                emit({"id": handle.id, "trash": trash})
            console.print(f"{called} is now in the trash: {clean(trash or '')}")
        console.print("Nothing is freed until `fsstore trash empty`; `fsstore trash restore` brings it back.")


def _found(store: Store, threads: tuple[str, ...]) -> list[ThreadHandle]:
    """Find all threads before anything is changed, each once."""
    return list({handle.id: handle for handle in (find_thread(store, given) for given in threads)}.values())


def _called(id: str, name: Json) -> str:
    return f"{one_line(id)} ({brief(name, 60)})" if name else one_line(id)
