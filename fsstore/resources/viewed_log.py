"""A log with a view: appends that know what the log says, and readers that read only what is new in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Generic, TypeVar

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.folding import Unfit, View, ViewFold
from fsstore.disk.follow import raw_lines_back
from fsstore.disk.log import Log
from fsstore.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsstore.codec import Object
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer
    from fsstore.resources.views import Views

V = TypeVar("V", bound=View)
#: What a record names that is known under the lock only.
_LATER = {"id": "", "run_id": "", "entry_id": ""}


class ViewedLog(Generic[V]):
    """A log, and what it says.

    Args:
        root: The store's directory.
        path: The log.
        lock: The name of the lock that its writers take.
        owner: What must exist for the log to be begun.
        missing: Makes the error where `owner` is not there.
        views: The views kept in memory.
        kind: What keeps what the records say.
    """

    def __init__(
        self,
        root: Root,
        path: str,
        lock: str,
        owner: str,
        missing: Callable[[], Exception],
        views: Views,
        kind: type[V],
    ) -> None:
        self.path = path
        self._views = views
        self._kind = kind
        self._log = Log(root, path, lock, owner, missing, lambda: ViewFold(self._view()))

    def _view(self) -> V:
        return self._views.get(self.path, self._kind)

    @contextmanager
    def reading(self) -> Iterator[V]:
        """Give what the log says now, for as long as the block lasts; only what is new in it is read."""
        view = self._view()
        with view.mutex:
            view.refresh()
            yield view

    def checked(self, fields: Object) -> Object:
        """Give the fields of a record back; to be called before anything is changed for it.

        Raises:
            ValueError: They hold what JSON cannot, or what readers would pass over as damage.
        """
        codec.check_json(fields, f"the {fields['type']}")
        try:
            self._kind(self.path).take({**_LATER, **fields})
        except Unfit as unfit:
            raise ValueError(str(unfit)) from None
        return fields

    def append(self, describe: Callable[[V], Object | None]) -> tuple[str, ...]:
        """Append the record that `describe` makes of what the log says under the lock; give its id, none where it makes none.

        `describe` may be called again where the file was replaced meanwhile.

        On disk: One line at the end of the log, in one write.
        Crash: The record is there whole, or not at all.
        Concurrency: Records of several processes all count, each once.
        """
        return self._log.append(lambda writer: self._line(writer, describe))

    def append_locked(self, describe: Callable[[V], Object | None]) -> None:
        """Append as `append` does, synced, under a lock that the caller holds."""
        writer, _, ids = self._log.append_locked(lambda writer: self._line(writer, describe))
        self._log.sync_locked(writer, ids)

    def _line(self, writer: Writer, describe: Callable[[V], Object | None]) -> Made:
        view = self._view()
        with view.mutex:
            view.follow(writer.fd, fs.fstat(writer.fd))
            fields = describe(view)
        if fields is None:
            return b"", ()
        id = writer.mint()
        return codec.encode_line({"id": id, **fields}), (id,)

    def find(self, id: str) -> Object:
        """Read one record again, the last ones first; for what a view does not keep.

        Raises:
            CorruptError: It is not there any more.
        """
        fd = fs.open_read(self.path)
        try:
            for _, raw in raw_lines_back(fd, fs.fstat(fd).st_size):
                for piece in codec.read_line(raw).records if id.encode() in raw else ():
                    if piece.record["id"] == id:
                        return piece.record
        finally:
            fs.close(fd)
        raise CorruptError(self.path, f"record {id} is not there any more")
