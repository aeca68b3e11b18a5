"""Checkpoints of a thread: states by name, one document each."""

from __future__ import annotations

from fsstore import clock, codec, layout
from fsstore.disk import document
from fsstore.disk.collection import Collection
from fsstore.errors import CheckpointNotFoundError, ThreadNotFoundError
from fsstore.records.checkpoints import CheckpointRecord
from fsstore.resources.limits import checked_limit, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from fsstore.codec import Json, Object
    from fsstore.errors import CorruptError
    from fsstore.resources.place import Place


class Checkpoints:
    """The checkpoints of one thread. Iterating gives each that can be read, the one saved last first."""

    __slots__ = ("_documents", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._documents = Collection(place.root, place.path(layout.CHECKPOINTS), ordered=True)

    def save(self, id: str, state: Json) -> CheckpointRecord:
        """Keep a state under a name, in the place of what was kept under it; give it as stored.

        Args:
            id: The checkpoint's name.
            state: Any JSON value.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: A value that JSON cannot hold exactly; nothing was written.
            CorruptError: What stands under this name cannot be read; it was not overwritten (delete it first).

        On disk: checkpoints/<checkpoint>.json, replaced whole.
        Crash: The old state or the new one.
        Concurrency: Of two savings of one name the last one counts, whole.
        """
        fields = {"state": state, "created_at": clock.now()}
        codec.check_json(fields, "the state")
        with self._place.lock_existing():
            return self._record(self._documents.put(id, lambda old: {**document.content(old or {}), **fields}))

    def insert(self, checkpoint: CheckpointRecord, version: str) -> bool:
        """Add a checkpoint of an earlier time where nothing ever stood under its name; say whether.

        Args:
            checkpoint: The checkpoint, with the time at which it was saved.
            version: The id of the write, which is its place among the others.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            ValueError: A value that JSON cannot hold exactly; nothing was written.

        On disk: checkpoints/<checkpoint>.json.
        Crash: The checkpoint is there, or not.
        Concurrency: Of two at once one says True.
        """
        fields = {**checkpoint.over(None), "state": checkpoint.state}
        del fields["thread_id"], fields["checkpoint_id"]
        with self._place.lock_existing():
            return self._documents.insert(checkpoint.checkpoint_id, fields, version)

    def get(self, id: str) -> CheckpointRecord | None:
        """Read a checkpoint, or None where there is none.

        Raises:
            CorruptError: It cannot be read.
        """
        fields = self._documents.get(id)
        return None if fields is None else self._record(fields)

    def __getitem__(self, id: str) -> CheckpointRecord:
        """Read a checkpoint that exists.

        Raises:
            CheckpointNotFoundError: It does not.
        """
        checkpoint = self.get(id)
        if checkpoint is None:
            raise CheckpointNotFoundError(id)
        return checkpoint

    def newest(self) -> CheckpointRecord | None:
        """Read the checkpoint that was saved last, or None where there is none.

        Raises:
            CorruptError: It cannot be read, or another one is so damaged that it may be newer. Nothing older is taken for it.
        """
        fields = self._documents.newest()
        return None if fields is None else self._record(fields)

    def recent(self, limit: int | None = 100) -> list[CheckpointRecord]:
        """Give checkpoints, the one saved last first; those that cannot be read are left out, and `check` says why.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        return first(checked_limit(limit), self)

    def __iter__(self) -> Iterator[CheckpointRecord]:
        return map(self._record, self._documents.newest_first())

    def ids(self) -> list[str]:
        """Give the names of all checkpoints, in the order of their names on disk."""
        return list(self._documents.ids())

    def path(self, id: str) -> str:
        """Give the path of a checkpoint's document; touches no disk."""
        return self._documents.path(id)

    def damage(self, but: Container[str] = ()) -> list[CorruptError]:
        """Say of each checkpoint that cannot be read, and so is listed nowhere, why; `but` are names that need no look."""
        return list(self._documents.damage(but))

    def delete(self, id: str) -> bool:
        """Take a checkpoint away, readable or not; say whether it was there.

        On disk: A copy goes to the trash, and what stands in its place says that it was deleted.
        Crash: It is there, or not.
        Concurrency: Of two deletions at once one says True.
        """
        try:
            with self._place.lock_existing():
                return bool(self._documents.delete(id))
        except ThreadNotFoundError:
            return False

    def _record(self, fields: Object) -> CheckpointRecord:
        said = {name: value for name, value in document.content(fields).items() if name != "id"}
        return CheckpointRecord.from_json({**said, "thread_id": self._place.id, "checkpoint_id": fields["id"]})
