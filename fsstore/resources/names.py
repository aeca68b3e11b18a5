"""The session index: names of threads, and the memory of those that were deleted."""

from __future__ import annotations

from fsstore import codec, layout
from fsstore.disk import fs
from fsstore.disk.follow import Follower, read_new
from fsstore.disk.log import Log
from fsstore.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object
    from fsstore.disk.log import Made
    from fsstore.disk.root import Root
    from fsstore.disk.writer import Writer


class Names:
    """The log `session_index.jsonl`.

    A thread that is here has its name in its own `meta.json`; the index is truth only for deletions, and for names of
    threads that are not here.
    """

    def __init__(self, root: Root) -> None:
        self.path = f"{root.path}/{layout.INDEX}"
        self.lock = layout.log_lock(layout.INDEX)
        self._log = Log(root, self.path, self.lock, f"{root.path}/{layout.FORMAT_FILE}", self._missing)
        self._follower = Follower()
        self._deleted: dict[str, list[Object]] = {}

    def _missing(self) -> FormatError:
        return FormatError(self.path, "the store is gone")

    def note(self, thread_id: str, name: str | None, updated_at: int, rollout_path: str | None) -> None:
        """Note a thread's name; the caller holds the lock of the index."""
        fields = {"thread_id": thread_id, "thread_name": name, "updated_at": updated_at, "rollout_path": rollout_path}
        writer, _, ids = self._log.append_locked(lambda writer: _line(writer, fields))
        self._log.sync_locked(writer, ids)

    def note_deletion(self, thread_id: str, seen: Object) -> str:
        """Note that a thread is deleted, with all that was seen of it; give the id of the record.

        The caller holds the lock of the index. Synced at either durability, since what follows moves data away.
        """
        fields = {"type": "deleted", "thread_id": thread_id, **seen}
        writer, _, ids = self._log.append_locked(lambda writer: _line(writer, fields))
        self._log.sync_locked(writer, ids, always=True)
        return ids[0]

    def confirm(self) -> None:
        """Sync the index: a deletion that a dead process noted may not have reached the medium yet.

        The caller holds the lock of the index.
        """
        self._log.sync_locked(self._log.writer(), (), always=True)

    def deletions(self) -> dict[str, list[Object]]:
        """Give the records of deletion by thread id, oldest first; only what is new in the index is read."""
        try:
            fd = fs.open_read(self.path)
        except FileNotFoundError:
            return {}
        try:
            status = fs.fstat(fd)
            if not self._follower.holds(fd, status):
                self._follower.start(status)
                self._deleted = {}
            for _, line in read_new(fd, self._follower, status.st_size):
                for piece in line.records:
                    codec.check_type(piece.record)
                    if piece.record.get("type") == "deleted" and isinstance(piece.record.get("thread_id"), str):
                        self._deleted.setdefault(piece.record["thread_id"], []).append(piece.record)
        finally:
            fs.close(fd)
        return self._deleted


def _line(writer: Writer, fields: dict[str, Json]) -> Made:
    id = writer.mint()
    return codec.encode_line({"id": id, **fields}), (id,)
