"""The collection: a directory of documents, one per id."""

from __future__ import annotations

import os.path

from fsstore import clock, codec, layout
from fsstore.disk import document, fs
from fsstore.errors import CorruptError, InvalidNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from fsstore.codec import Json, Object
    from fsstore.disk.root import Root


class Collection:
    """Documents by id, below one directory.

    Args:
        root: The store's directory.
        directory: Where they are.
        file: The document's file within a directory of its own (`runs/<run>/status.json`); None where the document is
            the entry itself (`steps/<step>.json`).
        ordered: Whether each write has an id greater than every one in the collection, so that these ids are the order of
            the writes, whatever the clock does; but for what `insert` puts there. Only of documents that are the entries
            themselves.
    """

    __slots__ = ("_file", "_known", "_ordered", "_root", "directory")

    def __init__(self, root: Root, directory: str, file: str | None = None, *, ordered: bool = False) -> None:
        self._root = root
        self.directory = directory
        self._file = file
        self._ordered = ordered
        #: The directory's inode and time of change just after the last write here, and that write's id.
        self._known: tuple[tuple[int, int], str] | None = None

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

    def put(self, id: str, change: Callable[[Object | None], Mapping[str, Json]], version: str | None = None) -> Object:
        """Insert a document, or replace it by what `change` makes of it (None: of nothing); the caller holds the lock."""
        path = self.path(id)
        before = document.read_any(path)
        there = before is not None and before.get("deleted") is not True
        fields = change(self._checked(path, before, id) if before is not None and there else None)
        if before is None:
            self._root.make_directories(os.path.dirname(path))
        return self._write(path, {**fields, "id": id}, before, version)

    def create(
        self, id: str, fields: Mapping[str, Json], exists: Callable[[], Exception], version: str | None = None
    ) -> Object:
        """Add a document; the caller holds the lock. `exists` makes the error where the id is taken already."""

        def unless_there(old: Object | None) -> Mapping[str, Json]:
            if old is not None:
                raise exists()
            return fields

        return self.put(id, unless_there, version)

    def insert(self, id: str, fields: Mapping[str, Json], version: str) -> bool:
        """Add a document where nothing stands, not even what a deletion left; say whether. The caller holds the lock.

        `version` is the id of the write, derived from where the document comes from; it may be below others here.
        """
        is_new = document.insert(self._root, self.path(id), {**fields, "id": id}, version)
        if is_new:
            self._remember("")
        return is_new

    def update(self, id: str, change: Callable[[Object], Mapping[str, Json]], missing: Callable[[], Exception]) -> Object:
        """Change some keys of a document; the caller holds the lock.

        Keys that `change` does not give stay as they are.
        """

        def if_there(old: Object | None) -> Mapping[str, Json]:
            if old is None:
                raise missing()
            return {**{name: value for name, value in old.items() if name != document.VERSIONS}, **change(old)}

        return self.put(id, if_there)

    def __contains__(self, id: str) -> bool:
        try:
            return document.is_there(self.path(id))
        except InvalidNameError:
            return False  # a document may name what no document can be

    def delete(self, id: str) -> str:
        """Take a document away, readable or not; give the id of the deletion, empty where nothing was there.

        A copy of it goes to the trash, and what stands in its place says that it was deleted. The caller holds the lock.
        """
        version = document.delete(self._root, self.path(id), id, self._newest() if self._ordered else clock.FIRST_ID)
        if version:
            self._remember(version)
        return version

    def newest_first(self) -> Iterator[Object]:
        """Give every document that can be read, the last written first; only those that are asked for are read whole."""
        for _, path, id in self._by_version():
            yield from self._readable(path, id)

    def newest(self) -> Object | None:
        """Read the document that was written last, or None.

        Raises:
            CorruptError: It cannot be read; or of another one it cannot be told whether it is newer.
        """
        rows = self._by_version()
        for version, path, id in rows:
            if not version:
                self._read(path, id)  # says what is wrong
        for _, path, id in rows:
            fields = self._read(path, id)
            if fields is not None:
                return fields
        return None

    def _by_version(self) -> list[tuple[str, str, str | None]]:
        rows = [(document.read_newest(path), path, id) for path, id in self._entries()]
        return sorted(rows, key=lambda row: row[:2], reverse=True)

    def _write(self, path: str, fields: Object, before: Object | None, version: str | None) -> Object:
        minted = version or self._mint(before)
        stored = document.write(self._root, path, fields, before, minted)
        self._remember("" if version else minted)
        return stored

    def _mint(self, before: Object | None) -> str:
        """Give the id of the next write: greater than that of the document before, and of all beside it."""
        own = document.newest(before) if before else clock.FIRST_ID
        return clock.new_id(max(own, self._newest()) if self._ordered else own)

    def _newest(self) -> str:
        # Two changes in one tick of the directory's time look like one; the order is right all the same if the clock went on.
        if self._known and self._known[0] == self._mark() and self._known[1] < clock.new_id():
            return self._known[1]
        return max((version for version, _, _ in self._by_version() if version), default=clock.FIRST_ID)

    def _remember(self, version: str) -> None:
        """Take the id of the write just done as the newest; empty where nobody knows whether it is."""
        self._known = (self._mark(), version) if version and self._ordered else None

    def _mark(self) -> tuple[int, int]:
        """Give what changes whenever a document is put into the directory (inode(7), st_ctime)."""
        try:
            status = fs.stat(self.directory)
        except FileNotFoundError:
            return -1, -1
        return status.st_ino, status.st_ctime_ns

    def ids(self) -> Iterator[str]:
        """Give the id of every document, in the order of their names; one that cannot be read has its id in its name."""
        for path, id in self._entries():
            if id is None:
                yield from (fields["id"] for fields in self._readable(path, id))
            elif document.is_there(path):
                yield id

    def all(self) -> Iterator[Object]:
        """Give every document that can be read, in the order of their names; `check` reports the others."""
        for path, id in self._entries():
            yield from self._readable(path, id)

    def some(self, ids: Iterable[str]) -> Iterator[Object]:
        """Give those of some documents that can be read."""
        for id in ids:
            yield from self._readable(self.path(id), id)

    def places(self) -> Iterator[tuple[str, str]]:
        """Give the directory and the id of each document of a directory of its own, without looking whether it is there."""
        for path, id in self._entries():
            directory = path.removesuffix(f"/{self._file}")
            if id is None:
                yield from ((directory, fields["id"]) for fields in self._readable(path, id))
            else:
                yield directory, id

    def damage(self, but: Container[str] = ()) -> Iterator[CorruptError]:
        """Say of each document that cannot be read, and so is passed over, why; `but` are ids that need no look."""
        for path, id in self._entries():
            if id is None or id not in but:
                try:
                    self._read(path, id)
                except CorruptError as error:
                    yield error

    def _readable(self, path: str, id: str | None) -> Iterator[Object]:
        try:
            fields = self._read(path, id)
        except CorruptError:
            return
        if fields is not None:
            yield fields

    def _read(self, path: str, id: str | None) -> Object | None:
        """Read what stands at a path; `id` is what its name says, None where it ends in a hash."""
        fields = document.read(path)
        if fields is None:
            return None
        said = fields.get("id")
        if id is None and isinstance(said, str) and self._is_at(path, said):
            return fields
        return self._checked(path, fields, id)

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

    @staticmethod
    def _checked(path: str, fields: Object, id: str | None) -> Object:
        said = fields.get("id")
        if id is None or said != id:
            raise CorruptError(path, f"the document says it is {codec.shown(said)}, whose place is another")
        return fields
