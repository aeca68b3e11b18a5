"""Options that commands share, and what they open."""

from __future__ import annotations

import os.path

import click

from fsstore import layout
from fsstore.cli.exits import WrongUsageError
from fsstore.cli.output import one_line
from fsstore.disk import fs
from fsstore.errors import AmbiguousPrefixError, FormatError, InvalidNameError, NotFoundError
from fsstore.store import Store, default_root, way_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    from fsstore.resources.thread import ThreadHandle

    Command = TypeVar("Command", bound=Callable[..., Any])


def _shown_root() -> str:
    return one_line(default_root())


def json_option(command: Command) -> Command:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs, and nothing else.")(command)


def store_options(command: Command) -> Command:
    """Give a command `--root` and `--json`."""
    root = click.option(
        "--root",
        metavar="DIR",
        default=default_root,
        help=f"The store's directory; by default $FSSTORE_ROOT, else the user's data directory, which makes {_shown_root()}.",
    )
    return root(json_option(command))


def writing_options(command: Command) -> Command:
    """Give a command `store_options` and `--lock-timeout`."""
    timeout = click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        default=10.0,
        show_default=True,
        help="How long to wait for another writer.",
    )
    return store_options(timeout(command))


def limit_option(things: str) -> Callable[[Command], Command]:
    """Give a command that lists something `--limit`."""
    return click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N {things}.")


def refuse_beside(option: str, others: Mapping[str, object]) -> None:
    """Refuse what makes no sense beside an option that was given; what was not is None or False."""
    for other, value in others.items():
        if value is not None and value is not False:
            raise click.UsageError(f"{option} and {other} exclude each other.", click.get_current_context())


def open_store(root: str, *, lock_timeout: float | None = None, create: bool = False) -> Store:
    """Open the store that a command is about; only where `create` says so, make one.

    Args:
        root: What `--root` says.
        lock_timeout: How long a writing command waits; None opens the store for reading only.
        create: Whether a missing store is made.

    Raises:
        WrongUsageError: There is no store, or something that is none.
    """
    if not root.strip():
        raise WrongUsageError("--root is empty: name the store's directory")
    path = os.path.abspath(os.path.expanduser(root))
    if not create and not _has_store(path):
        way_out = f"give its directory with --root, or make one with `fsstore import`{way_back(path)}"
        raise WrongUsageError(f"no store at {path}: {way_out}")
    if lock_timeout is None:
        return Store.open(path, read_only=True)
    try:
        return Store.open(path, lock_timeout=lock_timeout)
    except FormatError as error:
        if _has_store(path):
            raise
        raise WrongUsageError(str(error)) from None


def _has_store(path: str) -> bool:
    return fs.is_file(f"{path}/{layout.FORMAT_FILE}")


def find_thread(store: Store, given: str) -> ThreadHandle:
    """Find a thread; see `whole_id`."""
    threads = store.threads
    return store.thread(whole_id(given, "thread", "ls", threads.__contains__, threads.ids))


def whole_id(given: str, kind: str, listing: str, is_there: Callable[[str], object], ids: Callable[[], Iterable[str]]) -> str:
    """Find something by its id, or by the beginning of it that no other has; give the id.

    Args:
        given: What the user said.
        kind: What it is, for people.
        listing: The command that shows the ids.
        is_there: Says whether something has just this id.
        ids: Gives all ids.

    Raises:
        NotFoundError: No id begins so.
        AmbiguousPrefixError: Several do.
    """
    if not given:
        raise WrongUsageError(f"{kind.upper()} is empty: `fsstore {listing}` shows the {kind}s")
    try:
        if is_there(given):
            return given
    except InvalidNameError:
        raise NotFoundError(given, kind) from None
    matches = [id for id in ids() if id.startswith(given)]
    if len(matches) > 1:
        raise AmbiguousPrefixError(given, kind, matches)
    if not matches:
        raise NotFoundError(given, kind)
    return matches[0]
