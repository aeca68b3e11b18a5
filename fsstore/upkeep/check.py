"""check: read every file of a store and say what is wrong with it. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsstore import codec, layout, tree
from fsstore.disk import document, fs
from fsstore.disk.follow import raw_lines
from fsstore.errors import CorruptError, FormatError, InvalidNameError
from fsstore.records.enums import RunStatus, RunStepStatus, RunStepType, SessionSource, ThreadStatus
from fsstore.resources import stamp
from fsstore.resources.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fsstore.store import Store

#: Problems that a repair can mend without asking, because nothing is lost by it.
FIXABLE = frozenset(
    ("torn", "glued", "nul", "utf8", "not-json", "no-object", "conflict-marker", "unsorted", "leftover-temp", "stale-cache")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding of `check`.

    Attributes:
        path: The file, below the root.
        offset: Where in the file, in bytes; None where it concerns the whole file.
        kind: One word of FORMAT.md's table.
        detail: The same for people.
        fixable: Whether a repair can mend it without losing anything.
    """

    path: str
    offset: int | None
    kind: str
    detail: str
    fixable: bool

    def __str__(self) -> str:
        place = self.path if self.offset is None else f"{self.path} at byte {self.offset}"
        return f"{place}: {self.kind}: {self.detail}"


def check(store: Store) -> Iterator[Problem]:
    """Give every problem of a store, file by file, in the order of their paths."""
    return _Check(store.root).run()


class _Check:
    def __init__(self, root: str) -> None:
        self._root = root

    def run(self) -> Iterator[Problem]:
        yield from self._log(f"{self._root}/{layout.INDEX}", self._records)
        for name in fs.names(f"{self._root}/{layout.THREADS}"):
            yield from self._thread(name)
        yield from self._temporary()
        yield from self._stamps()

    def _problem(self, path: str, offset: int | None, kind: str, detail: str) -> Problem:
        below = path.removeprefix(f"{self._root}/")
        return Problem(path=below, offset=offset, kind=kind, detail=detail, fixable=kind in FIXABLE)

    def _thread(self, name: str) -> Iterator[Problem]:
        directory = f"{self._root}/{layout.THREADS}/{name}"
        if not fs.is_directory(directory):
            yield self._problem(directory, None, "stranger", "only directories of threads belong here, and no links")
            return
        try:
            id = layout.decode_name(name)
        except InvalidNameError as error:
            yield self._problem(directory, None, "name", str(error))
            return
        meta = f"{directory}/{layout.META}"
        if not fs.is_file(meta) and fs.names(directory):  # an empty one is just being made
            yield self._problem(directory, None, "no-meta", "a thread's directory without its meta.json")
        yield from self._document(meta, id, name, {"status": ThreadStatus, "source": SessionSource})
        yield from self._log(f"{directory}/{layout.MESSAGES}", self._tree)
        yield from self._runs(f"{directory}/{layout.RUNS}")

    def _runs(self, directory: str) -> Iterator[Problem]:
        for name in fs.names(directory):
            path = f"{directory}/{name}/{layout.STATUS}"
            if not fs.is_directory(f"{directory}/{name}"):
                yield self._problem(
                    f"{directory}/{name}", None, "stranger", "only directories of runs belong here, and no links"
                )
                continue
            if not fs.is_file(path) and fs.names(f"{directory}/{name}"):
                yield self._problem(f"{directory}/{name}", None, "no-status", "a run's directory without its status.json")
            try:
                yield from self._document(path, layout.decode_name(name), name, {"status": RunStatus})
            except InvalidNameError as error:
                yield self._problem(path, None, "name", str(error))
            steps = f"{directory}/{name}/{layout.STEPS}"
            enums = {"status": RunStepStatus, "step_type": RunStepType}
            for file in fs.names(steps):
                try:
                    id = layout.document_id(file)
                    yield from self._document(f"{steps}/{file}", id, file.removesuffix(layout.DOCUMENT_SUFFIX), enums)
                except InvalidNameError as error:
                    yield self._problem(f"{steps}/{file}", None, "name", str(error))

    def _document(self, path: str, id: str | None, name: str, enums: Mapping[str, type[StrEnum]]) -> Iterator[Problem]:
        try:
            fields = document.read(path)
        except CorruptError as error:
            yield self._problem(path, None, "corrupt", error.reason)
            return
        except OSError as error:
            yield self._problem(path, None, "unreadable", str(error))
            return
        if fields is None:
            return
        said = fields.get("id")
        if not isinstance(said, str) or (said != id if id is not None else layout.encode_name(said) != name):
            yield self._problem(path, None, "misplaced", f"the document says it is {str(said)[:60]!r}")
        for field, kind in enums.items():
            if field in fields and fields[field] not in list(kind):
                yield self._problem(path, None, "unknown-value", f"{field} is {str(fields[field])[:60]!r}")

    def _log(self, path: str, look: Callable[[str, int], Iterator[Problem]]) -> Iterator[Problem]:
        try:
            fd = fs.open_read(path)
        except FileNotFoundError:
            return
        except OSError as error:
            yield self._problem(path, None, "unreadable", str(error))
            return
        try:
            yield from look(path, fd)
        except FormatError as error:
            yield self._problem(path, None, "format", error.reason)
        finally:
            fs.close(fd)

    def _tree(self, path: str, fd: int) -> Iterator[Problem]:
        """Check a log of messages, each of which stands below another."""
        index = Index(path)
        status = fs.fstat(fd)
        index.build(fd, status, exact=True)
        for damage in sorted(index.damage, key=lambda damage: damage.offset):
            yield self._problem(path, damage.offset, damage.kind, damage.reason)
        for at in index.older_given:
            if not index.tree.gone[at] and index.older_alive(at) != tree.NONE:
                given = index.record_at(fd, at)["given_id"]
                detail = f"an older message has the given id {given[:60]!r} as well; look-ups find this one"
                yield self._problem(path, index.offsets[at], "duplicate-given-id", detail)
        if not index.sorted:
            yield self._problem(path, None, "unsorted", "the records do not ascend by id; the next append sorts them")
        yield from self._fragment(path, fd, index.follower.end, status.st_size)

    def _records(self, path: str, fd: int) -> Iterator[Problem]:
        """Check a log whose records stand for themselves."""
        size, last, end = fs.fstat(fd).st_size, "", 0
        for at, raw in raw_lines(fd, 0, size):
            line = codec.read_line(raw)
            if not raw.endswith(b"\n") and not line.records:
                break
            end = at + len(raw)
            for kind, reason in line.damage:
                yield self._problem(path, at, kind, reason)
            for piece in line.records:
                codec.check_type(piece.record)
                id = piece.record["id"]
                if id <= last:
                    kind = "duplicate-id" if id == last else "unsorted"
                    yield self._problem(path, at + piece.start, kind, f"id {id} after {last}")
                last = max(last, id)
        yield from self._fragment(path, fd, end, size)

    def _fragment(self, path: str, fd: int, end: int, size: int) -> Iterator[Problem]:
        if end < size:
            start = fs.read_range(fd, end, min(size, end + 60))
            yield self._problem(path, end, "torn", f"an unfinished last record of {size - end} bytes: {start!r}")

    def _temporary(self) -> Iterator[Problem]:
        directory = f"{self._root}/{layout.TMP}"
        for name in fs.names(directory):
            made_by = layout.parse_temp_name(name)
            if made_by is None or made_by[0] != layout.temp_host(fs.host()) or not fs.is_running(made_by[1]):
                yield self._problem(f"{directory}/{name}", None, "leftover-temp", "its writer is gone")

    def _stamps(self) -> Iterator[Problem]:
        directory = f"{self._root}/{layout.CACHE}"
        for name in fs.names(directory):
            log = f"{self._root}/{layout.THREADS}/{layout.stamped_name(name)}/{layout.MESSAGES}"
            if not stamp.fits(f"{directory}/{name}", log):
                yield self._problem(f"{directory}/{name}", None, "stale-cache", "it does not fit its log any more")
