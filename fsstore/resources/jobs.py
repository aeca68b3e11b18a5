"""Jobs: work of the whole store, one document each."""

from __future__ import annotations

from fsstore import clock, layout
from fsstore.disk import document
from fsstore.disk.collection import Collection
from fsstore.errors import NotFoundError
from fsstore.records.jobs import JobStateRecord
from fsstore.resources.limits import checked_limit, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.codec import Json, Object
    from fsstore.disk.lock import Lock
    from fsstore.disk.root import Root
    from fsstore.errors import CorruptError


class Jobs:
    """The jobs of a store. Iterating gives each that can be read."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._documents = Collection(root, f"{root.path}/{layout.JOBS}", ordered=True)

    def get(self, id: str) -> JobStateRecord | None:
        """Read a job, or None where there is none.

        Raises:
            CorruptError: Its document cannot be read.
        """
        fields = self._documents.get(id)
        return None if fields is None else _job(fields)

    def __getitem__(self, id: str) -> JobStateRecord:
        """Read a job that exists.

        Raises:
            NotFoundError: It does not.
        """
        job = self.get(id)
        if job is None:
            raise NotFoundError(id, "job")
        return job

    def __iter__(self) -> Iterator[JobStateRecord]:
        return map(_job, self._documents.all())

    def recent(self, limit: int | None = 100) -> list[JobStateRecord]:
        """Give jobs, the newest update first; of one time the one written last.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        checked_limit(limit)
        rows = sorted(self._documents.all(), key=_age, reverse=True)
        return first(limit, map(_job, rows))

    def damage(self) -> list[CorruptError]:
        """Say of each job that cannot be read, and so is listed nowhere, why."""
        return list(self._documents.damage())

    def put(self, job: JobStateRecord) -> None:
        """Insert a job, or overwrite all its fields. Keys that no field knows are kept.

        A `created_at` that nobody gave does not replace the old one.

        Raises:
            ValueError: Progress outside 0 to 100.
            CorruptError: The document that stands there cannot be read; it was not overwritten.

        On disk: jobs/<job>.json, replaced whole.
        Crash: The old job or the new one.
        Concurrency: The last one counts, field by field when two machines merge.
        """
        _check(job)
        job.over(None)  # refuses what JSON cannot hold before the lock is taken
        with self._locked():
            self._documents.put(job.id, job.over)

    def insert(self, job: JobStateRecord, version: str) -> bool:
        """Add a job where nothing ever stood under its id; say whether. `version` is the id of the write.

        Raises:
            ValueError: Progress outside 0 to 100.

        On disk: jobs/<job>.json.
        Crash: The job is there, or not.
        Concurrency: Of two at once one says True.
        """
        _check(job)
        fields = job.over(None)
        with self._locked():
            return self._documents.insert(job.id, fields, version)

    def update(self, id: str, **changes: Json) -> JobStateRecord:
        """Change some fields of a job; `updated_at` is now, unless it is given.

        Raises:
            NotFoundError: It does not exist.
            ValueError: Progress outside 0 to 100.

        On disk: As `put`.
        Crash: As `put`.
        Concurrency: No change of another process to another field is lost.
        """

        def change(old: Object | None) -> Object:
            if old is None:
                raise NotFoundError(id, "job")
            job = JobStateRecord.from_json({**document.content(old), "updated_at": clock.now(), **changes})
            _check(job)
            return job.over(old)

        with self._locked():
            return _job(self._documents.put(id, change))

    def delete(self, id: str) -> bool:
        """Take a job away, readable or not; say whether it was there.

        On disk: A copy goes to the trash, and what stands in its place says that it was deleted.
        Crash: The job is there, or not.
        Concurrency: Of two deletions at once one says True.
        """
        with self._locked():
            return bool(self._documents.delete(id))

    def _locked(self) -> Lock:
        self._root.check_writable()
        return self._root.locks[layout.store_lock(layout.JOBS)]


def _job(fields: Object) -> JobStateRecord:
    return JobStateRecord.from_json(document.content(fields))


def _age(fields: Object) -> tuple[int, str]:
    time = fields.get("updated_at")
    return (time if type(time) is int else 0, document.newest(fields))


def _check(job: JobStateRecord) -> None:
    if job.progress is not None and (type(job.progress) is not int or not 0 <= job.progress <= 100):
        raise ValueError(f"progress must be an integer from 0 to 100, or None, not {job.progress!r}")
