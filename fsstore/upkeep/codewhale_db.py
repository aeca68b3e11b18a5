"""Reading a CodeWhale `state.db` that other programs may be using."""

from __future__ import annotations

import os
import os.path
import sqlite3
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

from fsstore.disk import fs
from fsstore.upkeep.codewhale_rows import COLUMNS, KEYS, THREADS, Refusal, take_row
from fsstore.upkeep.conversation import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Self

    from fsstore.codec import Object
    from fsstore.upkeep.codewhale_values import Value

FILE = "state.db"
#: What can be done about an error of SQLite.
_WAYS_OUT = {
    "SQLITE_BUSY": "close the program that has it locked",
    "SQLITE_CANTOPEN": "where it may be read, but its directory may not be written to, import a copy of both it and its -wal",
    "SQLITE_READONLY_ROLLBACK": "a write was interrupted, and must be undone first: start CodeWhale on it once",
}
#: Seconds to wait for a program that keeps the whole database locked.
_PATIENCE = 10.0


class Database:
    """A `state.db`, open for reading only.

    No statement stays open between two calls, so that nobody who writes to the database has to wait for long. A database in
    WAL mode that nobody has open cannot be read without two files beside it, an empty `-wal` and a `-shm`; SQLite makes them,
    and leaves them to the next program that writes.

    Args:
        path: The file, or the directory that it is in.

    Attributes:
        file: The file's path.
        refused: The rows that could not be taken as they stand.

    Raises:
        SourceError: There is no such file, SQLite cannot read it, or it has no table of threads.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = os.fspath(path)
        if fs.leads_to_directory(self.file):
            self.file = os.path.join(self.file, FILE)
        if not fs.is_file(self.file):
            raise SourceError(self.file, "", "no such file")
        self.refused: list[Refusal] = []
        self._connection = self._open()
        try:
            self._columns = {table: self._columns_of(table) for table in COLUMNS}
            if not self._columns[THREADS]:
                raise SourceError(self.file, "", f"no database of CodeWhale: it has no table {THREADS}")
        except SourceError:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        # Two slashes before an absolute path: it may itself begin with two, which would name a host.
        uri = ("file://" if self.file.startswith("/") else "file:") + quote(self.file, errors="surrogateescape") + "?mode=ro"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        connection.text_factory = partial(bytes.decode, errors="surrogateescape")
        return connection

    def _columns_of(self, table: str) -> list[str]:
        there = {row[1] for row in self._query(f"PRAGMA table_info({table})")}
        return [name for name in dict.fromkeys((*KEYS.get(table, ()), *COLUMNS[table])) if name in there]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Have all that is read within seen at one moment."""
        self._query("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:  # some errors end it by themselves
                self._query("ROLLBACK")

    def rows(self, table: str, where: str = "1", *values: Value, order: str = "rowid") -> list[int]:
        """Give the numbers of a table's rows; none where this version has no such table."""
        if not self._columns[table]:
            return []
        # S608: what stands in the statement is of this package's own writing.
        found = self._query(f"SELECT rowid FROM {table} WHERE {where} ORDER BY {order}, rowid", *values)  # noqa: S608
        return [number for (number,) in found if isinstance(number, int)]

    def take(self, table: str, row: int) -> Object | None:
        """Give the fields of a row's record; None where the row was refused, or is gone meanwhile."""
        taken = self.take_all(table, "rowid = ?", row)
        return taken[0] if taken else None

    def take_all(self, table: str, where: str, *values: Value, order: str = "rowid") -> list[Object]:
        """Give the fields of the records of several rows, without those that were refused."""
        names = self._columns[table]
        if not names:
            return []
        found = self._query(f"SELECT {', '.join(names)} FROM {table} WHERE {where} ORDER BY {order}", *values)  # noqa: S608
        taken = []
        for one in found:
            row = dict(zip(names, one, strict=True))
            key = "/".join(str(row.get(name)) for name in KEYS.get(table, ("id",)))
            fields = take_row(table, row, partial(self.refuse, table, key))
            if fields is not None:
                taken.append(fields)
        return taken

    def refuse(self, table: str, key: str, reason: str) -> None:
        """Note that a row could not be taken, or not as it stands."""
        self.refused.append(Refusal(table=table, key=key, reason=reason))

    def refuse_strays(self, table: str, column: str, above: str, but: Collection[int]) -> None:
        """Refuse the rows of a table that belong to no row of the one above it, or to one of `but`."""
        if not self._columns[table]:
            return
        keys = ", ".join(KEYS.get(table, ("id",)))
        taken = f"{above}.id IS {table}.{column} AND {above}.rowid NOT IN ({', '.join(map(str, but))})"
        where = f"NOT EXISTS (SELECT 1 FROM {above} WHERE {taken})" if self._columns[above] else "1"  # noqa: S608
        for owner, *key in self._query(f"SELECT {column}, {keys} FROM {table} WHERE {where} ORDER BY rowid"):  # noqa: S608
            self.refuse(table, "/".join(map(str, key)), f"it belongs to {owner!r} of {above}, which was not taken")

    def _query(self, statement: str, *values: Value) -> list[tuple[Value, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: sqlite3.Error) -> SourceError:
        way_out = _WAYS_OUT.get(getattr(error, "sqlite_errorname", ""))
        return SourceError(self.file, "", f"SQLite cannot read it: {error}{f' ({way_out})' if way_out else ''}")
