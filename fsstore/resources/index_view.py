"""What the session index says: names of threads, and the deletions that count."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from fsstore import clock, codec, layout
from fsstore.disk import fs
from fsstore.disk.folding import Unfit, View
from fsstore.errors import CorruptError
from fsstore.resources.lines import HEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Json, Object

#: A quote inside a JSON string is escaped, so that a key of this name shows itself.
_TYPE = b'"type"'
_TEXT = (str, type(None))
#: The id of a record of deletion, and where it begins and ends.
_DELETION = Struct("<36sQQ")


def _says_what_it_saw(record: Object) -> bool:
    leaves, maps = record.get("leaf_ids", []), [record.get(name, {}) for name in ("greatest", "versions")]
    if not (isinstance(leaves, list) and all(isinstance(one, dict) for one in maps)):
        return False
    return all(isinstance(id, str) for ids in (leaves, *(one.values() for one in maps)) for id in ids)


class Noted(NamedTuple):
    """What the index says of a thread's name."""

    name: str | None
    updated_at: int
    rollout_path: str | None


class IndexView(View):
    """What the index says.

    Deletions count for ever, so little is kept of each: what they saw is read again where it is asked for.

    Attributes:
        deletions: The deletions by thread id, oldest first, but of those that were taken back; packed, see `ids`.
        names: What names a thread last since its last deletion, by thread id: the newest by `updated_at`, of one time the
            greater id.
        spoken: The ids of the threads that ever had a name, by the name case-folded.
    """

    deletions: dict[str, bytes]
    names: dict[str, Noted]
    spoken: dict[str, set[str]]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.deletions = {}
        self.names = {}
        self.spoken = {}

    def take(self, record: Object) -> None:
        """Keep a name or a deletion, or forget those deletions that were taken back."""
        kind, thread_id = record.get("type"), record.get("thread_id")
        if kind not in (None, "deleted", "restored"):
            raise Unfit("unknown-type", f"a record of unknown type {codec.shown(kind)}")
        if not layout.is_id(thread_id):
            raise Unfit("bad-record", "it names no thread")
        if kind == "deleted":
            if not _says_what_it_saw(record):
                raise Unfit("bad-record", "what the deletion saw is none")
            self.deletions[thread_id] = self.deletions.get(thread_id, b"") + _DELETION.pack(record["id"].encode(), *self.span)
            self.names.pop(thread_id, None)
            return
        if kind == "restored":
            self._take_back(thread_id, record.get("deletion_ids"))
            return
        name, time, path = record.get("thread_name"), record.get("updated_at"), record.get("rollout_path")
        if not (isinstance(name, _TEXT) and type(time) is int and isinstance(path, _TEXT)):
            raise Unfit("bad-record", "its name, time or path is none")
        known = self.names.get(thread_id)
        if known is None or time >= known.updated_at:
            self.names[thread_id] = Noted(name, time, path)
        if name is not None:
            self.spoken.setdefault(name.casefold(), set()).add(thread_id)

    def _take_back(self, thread_id: str, ids: Json) -> None:
        if not isinstance(ids, list):
            raise Unfit("bad-record", "it names no deletions")
        known = self.deletions.pop(thread_id, b"")
        left = b"".join(_DELETION.pack(*one) for one in _DELETION.iter_unpack(known) if one[0].decode() not in ids)
        if left:
            self.deletions[thread_id] = left

    @staticmethod
    def ids(known: bytes) -> list[str]:
        """Give the ids of a thread's deletions."""
        return [id.decode() for id, _, _ in _DELETION.iter_unpack(known)]

    def rows(self, thread_id: str) -> list[Object]:
        """Read the records of a thread's deletions that count, oldest first; the caller holds `mutex`.

        Raises:
            CorruptError: Somebody changed one in its place; the next call reads the index anew.
        """
        rows: list[Object] = []

        def read(fd: int) -> None:
            known = _DELETION.iter_unpack(self.deletions.get(thread_id, b""))
            rows.extend(self._row(fd, id.decode(), start, end) for id, start, end in known)

        self.refresh(read)
        return rows

    def _row(self, fd: int, id: str, start: int, end: int) -> Object:
        try:
            row = codec.decode_object(fs.read_range(fd, start, end))
        except ValueError:
            row = {}
        if row.get("id") != id:
            self._clear()
            raise CorruptError(self.path, f"record {id} is not there any more")
        return row


class DeletionView(IndexView):
    """What the index says of deletions, without the names: their lines are not decoded."""

    def skips(self, raw: bytes) -> bool:
        """Pass over a record without a type, which is a name."""
        id = raw[7:43].decode("latin-1")
        whole = raw[:7] == HEAD and raw[-2:] == b"}\n" and not codec.may_be_glued(raw)
        if not whole or raw.find(_TYPE) >= 0 or id <= self.greatest or not clock.is_id(id):
            return False
        self.greatest = id
        return True
