"""What an import did so far, counted and told, and its progress."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from fsstore import layout
from fsstore.cli.output import count_of, emit, make_console, one_line
from fsstore.upkeep.imports import import_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, TypeAlias

    from fsstore.codec import Object
    from fsstore.store import Store
    from fsstore.upkeep.codewhale import Moved
    from fsstore.upkeep.codewhale_rows import Refusal
    from fsstore.upkeep.imports import Imported

    #: Shows how many threads are done, how far that is, and how far it goes, where that is known.
    Show: TypeAlias = Callable[[int, int | None, int | None], None]

#: The format that is no stream, but a database.
CODEWHALE = "codewhale"
#: How many threads or rows a note names.
_SHOWN = 3


@dataclass(slots=True)
class Tally:
    """What an import did so far.

    Attributes:
        threads: How many threads it saw.
        new_threads: How many of them it began.
        added: How many messages it added.
        known: How many were there already.
        differing: The threads that it did not change.
        rows: How many rows of each table were added, and how many there already; None where the source has no tables.
        refused: The rows that could not be taken as they stand.
    """

    threads: int = 0
    new_threads: int = 0
    added: int = 0
    known: int = 0
    differing: list[str] = field(default_factory=list)
    rows: tuple[Counter[str], Counter[str]] | None = None
    refused: list[Refusal] = field(default_factory=list)

    def count(self, done: Imported) -> None:
        """Count a conversation."""
        self.threads += 1
        self.new_threads += done.is_new
        self.added += done.added
        self.known += done.known
        if done.differing:
            self.differing.append(done.thread_id)

    def count_move(self, done: Moved) -> None:
        """Count what was done with a database."""
        added, known = self.rows or (Counter(), Counter())
        self.rows = added + done.added, known + done.known
        self.new_threads += done.added[layout.THREADS]
        self.threads += done.added[layout.THREADS] + done.known[layout.THREADS]
        self.added += done.added["messages"]
        self.known += done.known["messages"]
        self.differing += done.differing
        self.refused += done.refused

    def print(self, as_json: bool) -> None:
        """Say what was done."""
        if as_json:
            emit(self._to_json())
            return
        console = make_console()
        threads = f"{count_of(self.threads, 'thread')} ({self.new_threads} new)"
        console.print(f"{threads}: {count_of(self.added, 'message')} added, {self.known} already there.")
        if self.rows:
            console.print(_others(*self.rows))

    def notes(self) -> Iterator[str]:
        """Say what was not done."""
        if self.differing:
            shown = ", ".join(one_line(id, 60) for id in self.differing[:_SHOWN])
            threads = count_of(len(self.differing), "thread")
            yield f"{threads} not changed, since other messages stand there under the same ids: {shown}"
        if self.refused:
            shown = "; ".join(one_line(str(refusal), 160) for refusal in self.refused[:_SHOWN])
            more = len(self.refused) - _SHOWN
            rest = f"; and {more} more, which --json gives" if more > 0 else ""
            rows = count_of(len({(refusal.table, refusal.key) for refusal in self.refused}), "row")
            yield f"{rows} not taken, or not as they stand: {shown}{rest}"

    def _to_json(self) -> Object:
        named = ("threads", "new_threads", "added", "known", "differing")
        fields: Object = {name: getattr(self, name) for name in named}
        if self.rows:
            added, known = self.rows
            fields["rows"] = {table: {"added": added[table], "known": known[table]} for table in sorted(added | known)}
            fields["refused"] = [
                {"table": refusal.table, "key": refusal.key, "reason": refusal.reason} for refusal in self.refused
            ]
        return fields


def _others(added: Counter[str], known: Counter[str]) -> str:
    others = [table for table in sorted(added | known) if table not in (layout.THREADS, "messages")]
    counts = ", ".join(count_of(added[table], _thing(table)) for table in others if added[table])
    return f"Beside them: {counts or 'nothing'} added, {sum(known[table] for table in others)} already there."


def _thing(table: str) -> str:
    """Give the word for what a row of a table of CodeWhale is."""
    return "name" if table == layout.INDEX else table.removeprefix("thread_").removesuffix("s").replace("_", " ")


def import_file(store: Store, format: str, file: BinaryIO, tally: Tally) -> None:
    """Import the conversations of a file."""
    size = _size(file)
    with _progress(file.name) as show:
        for number, done in enumerate(import_stream(store, format, file, file.name), 1):
            tally.count(done)
            show(number, file.tell() if size else None, size)


def move_in(store: Store, path: str, tally: Tally) -> None:
    """Import a database of CodeWhale."""
    from fsstore.upkeep.codewhale import Moved, import_codewhale  # SQLite takes as long to load as all of this

    moved = Moved()
    with _progress(path) as show:

        def watch(so_far: Moved, threads: int) -> None:
            nonlocal moved
            moved = so_far
            done = moved.added[layout.THREADS] + moved.known[layout.THREADS]
            show(done, done, threads)

        try:
            import_codewhale(store, path, watch=watch)
        finally:  # what is imported stays, whatever stopped the rest
            tally.count_move(moved)


@contextmanager
def _progress(name: str) -> Iterator[Show]:
    """Show a progress bar where somebody looks."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield lambda _threads, _completed, _total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # here: the rest starts faster without it

    threads = TextColumn("{task.fields[threads]} threads")
    columns = (TextColumn("{task.description}"), BarColumn(), threads, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(one_line(name, 40), total=None, threads=0)
        yield lambda done, completed, total: progress.update(task, threads=done, completed=completed, total=total)


def _size(file: BinaryIO) -> int | None:
    if not file.seekable():
        return None
    size = file.seek(0, 2)
    file.seek(0)
    return size
