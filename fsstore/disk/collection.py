"""The collection: a directory of documents, one per id."""

from __future__ import annotations

import os.path

from fsstore import layout
from fsstore.disk import document, fs
from fsstore.errors import CorruptError, InvalidNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fsstore.codec import Json, Object
    from fsstore.disk.root import Root


class Collection:
    """Documents by id, below one directory.

    Args:
        root: The store's directory.
        directory: Where they are.
        file: The document's file within a directory of its own (`runs/<run>/status.json`); None where the document is
            the entry itself (`steps/<step>.json`).
    """

    __slots__ = ("_file", "_root", "directory")

    def __init__(self, root: Root, directory: str, file: str | None = None) -> None:
        self._root = root
        self.directory = directory
        self._file = file

    def path(self, id: str) -> str:
        """Give the document's path of an id; touches no disk."""
        name = layout.encode_name(id)
        return f"{self.directory}/{name}/{self._file}" if self._file else f"{self.directory}/{name}{layout.DOCUMENT_SUFFIX}"

    def get(self, id: str) -> Object | None:
        """Read the document of an id, or None.

        Raises:
            CorruptError: It cannot be read, or names another id.
        """
        fields = document.read(self.path(id))
        return None if fields is None else self._checked(self.path(id), fields, id)

    def create(
        self, id: str, fields: Mapping[str, Json], exists: Callable[[], Exception], version: str | None = None
    ) -> Object:
        """Add a document; the caller holds the lock. `exists` makes the error where the id is taken already."""
        path = self.path(id)
        old = document.read_any(path)
        if old is not None and old.get("deleted") is not True:
            raise exists()
        fs.make_directories(os.path.dirname(path))
        return document.write(self._root, path, {**fields, "id": id}, old, version)

    def update(self, id: str, change: Callable[[Object], Mapping[str, Json]], missing: Callable[[], Exception]) -> Object:
        """Replace a document by what `change` makes of it; the caller holds the lock.

        Keys that `change` does not give stay as they are.
        """
        old = self.get(id)
        if old is None:
            raise missing()
        kept = {name: value for name, value in old.items() if name != document.VERSIONS}
        return document.write(self._root, self.path(id), {**kept, **change(old), "id": id}, old)

    def ids(self) -> Iterator[str]:
        """Give the id of every document, in the order of their names; one that cannot be read has its id in its name."""
        for path, id in self._entries():
            if id is None:
                yield from (fields["id"] for fields in self._readable(path, id))
            elif fs.is_file(path):
                yield id

    def all(self) -> Iterator[Object]:
        """Give every document that can be read, in the order of their names; `check` reports the others."""
        for path, id in self._entries():
            yield from self._readable(path, id)

    def _readable(self, path: str, id: str | None) -> Iterator[Object]:
        try:
            fields = document.read(path)
        except CorruptError:
            return
        said = fields.get("id") if fields else None
        if fields and isinstance(said, str) and (said == id if id is not None else self._is_at(path, said)):
            yield fields

    def _is_at(self, path: str, id: str) -> bool:
        try:
            return self.path(id) == path
        except InvalidNameError:
            return False

    def _entries(self) -> Iterator[tuple[str, str | None]]:
        for name in fs.names(self.directory):
            try:
                if self._file:
                    yield f"{self.directory}/{name}/{self._file}", layout.decode_name(name)
                else:
                    yield f"{self.directory}/{name}", layout.document_id(name)
            except InvalidNameError:
                continue

    def _checked(self, path: str, fields: Object, id: str) -> Object:
        if fields.get("id") != id:
            raise CorruptError(path, f"the document says it is {str(fields.get('id'))[:60]!r}, not {id[:60]!r}")
        return fields
