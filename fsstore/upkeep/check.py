"""check: read every file of a store and say what is wrong with it. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsstore import codec, layout, tree
from fsstore.disk import document, fs
from fsstore.errors import CorruptError, FormatError, InvalidNameError
from fsstore.records.enums import (
    JobStateStatus,
    RunStatus,
    RunStepStatus,
    RunStepType,
    SessionSource,
    ThreadGoalStatus,
    ThreadStatus,
)
from fsstore.resources import goal, recipes, run_checkpoint, session_recipe, stamp, state, tools
from fsstore.resources.content_log import StrictContentView
from fsstore.resources.index import Index
from fsstore.resources.prompts import PromptsView
from fsstore.resources.rewind_log import RewindView
from fsstore.resources.session_index import IndexView
from fsstore.resources.usage import UsageView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from fsstore.codec import Damage, Object
    from fsstore.disk.folding import View
    from fsstore.store import Store

    #: The enums of a document's fields.
    Enums: TypeAlias = Mapping[str, type[StrEnum]]

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
        yield from self._view(f"{self._root}/{layout.INDEX}", IndexView)
        yield from self._collection(f"{self._root}/{layout.JOBS}", {"status": JobStateStatus})
        yield from self._view(f"{self._root}/{layout.PROMPTS}", PromptsView)
        yield from self._collection(f"{self._root}/{layout.RECIPES}", {}, recipes.flaw)
        yield from self._directories(layout.THREADS, "a thread", self._thread)
        yield from self._directories(layout.WORKFLOWS, "a workflow run", self._workflow)
        yield from self._temporary()
        yield from self._stamps()

    def _problem(self, path: str, offset: int | None, kind: str, detail: str) -> Problem:
        below = path.removeprefix(f"{self._root}/")
        return Problem(path=below, offset=offset, kind=kind, detail=detail, fixable=kind in FIXABLE)

    # Directories

    def _directories(
        self, below: str, what: str, look: Callable[[str, str | None, str], Iterator[Problem]]
    ) -> Iterator[Problem]:
        """Check what holds a directory for each of something; `look` is given its path, its id and its name."""
        for name in fs.names(f"{self._root}/{below}"):
            path = f"{self._root}/{below}/{name}"
            if not fs.is_directory(path):
                if name in fs.names(f"{self._root}/{below}"):  # else it was deleted meanwhile
                    yield self._problem(path, None, "stranger", f"only the directory of {what} belongs here, and no link")
                continue
            try:
                id = layout.decode_name(name)
            except InvalidNameError as error:
                yield self._problem(path, None, "name", str(error))
                continue
            yield from look(path, id, name)

    def _thread(self, directory: str, id: str | None, name: str) -> Iterator[Problem]:
        meta = f"{directory}/{layout.META}"
        if not fs.is_file(meta) and fs.names(directory):  # an empty one is just being made
            yield self._problem(directory, None, "no-meta", "a thread's directory without its meta.json")
        yield from self._document(meta, id, name, {"status": ThreadStatus, "source": SessionSource})
        yield from self._document(f"{directory}/{layout.GOAL}", id, name, {"status": ThreadGoalStatus}, goal.flaw)
        yield from self._document(f"{directory}/{layout.TOOLS}", id, name, {}, tools.flaw)
        yield from self._document(f"{directory}/{layout.STATE}", id, name, {}, state.flaw)
        yield from self._log(f"{directory}/{layout.MESSAGES}", self._tree)
        yield from self._view(f"{directory}/{layout.USAGE}", UsageView)
        yield from self._collection(f"{directory}/{layout.CHECKPOINTS}", {})
        yield from self._document(f"{directory}/{layout.SESSION}", id, name, {}, session_recipe.flaw)
        yield from self._document(f"{directory}/{layout.CHECKPOINT}", id, name, {}, run_checkpoint.flaw)
        yield from self._view(f"{directory}/{layout.CONTENT}", StrictContentView)
        yield from self._view(f"{directory}/{layout.REWIND}", RewindView)
        runs = f"{directory}/{layout.RUNS}".removeprefix(f"{self._root}/")
        yield from self._directories(runs, "a run", self._run)

    def _run(self, directory: str, id: str | None, name: str) -> Iterator[Problem]:
        status = f"{directory}/{layout.STATUS}"
        if not fs.is_file(status) and fs.names(directory):
            yield self._problem(directory, None, "no-status", "a run's directory without its status.json")
        yield from self._document(status, id, name, {"status": RunStatus})
        yield from self._collection(f"{directory}/{layout.STEPS}", {"status": RunStepStatus, "step_type": RunStepType})

    def _workflow(self, directory: str, id: str | None, name: str) -> Iterator[Problem]:
        run = f"{directory}/{layout.RUN}"
        yield from self._document(run, id, name, {})
        there = fs.is_file(run) and not self._is_deleted(run)
        for part in (layout.BRANCHES, layout.LEAVES, layout.CONTROL_NODES, layout.CANDIDATES):
            if not there and fs.names(f"{directory}/{part}"):
                yield self._problem(f"{directory}/{part}", None, "no-run", "parts of a workflow run that is not there")
            yield from self._collection(f"{directory}/{part}", {})

    # Documents

    def _collection(
        self, directory: str, enums: Enums, flaw: Callable[[Object], str | None] = lambda _: None
    ) -> Iterator[Problem]:
        for file in fs.names(directory):
            path = f"{directory}/{file}"
            try:
                id = layout.document_id(file)
            except InvalidNameError as error:
                yield self._problem(path, None, "name", str(error))
                continue
            yield from self._document(path, id, file.removesuffix(layout.DOCUMENT_SUFFIX), enums, flaw)

    def _document(
        self, path: str, id: str | None, name: str, enums: Enums, flaw: Callable[[Object], str | None] = lambda _: None
    ) -> Iterator[Problem]:
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
        wrong = flaw(fields)
        if wrong:
            yield self._problem(path, None, "corrupt", wrong)
        said = fields.get("id")
        if not isinstance(said, str) or (said != id if id is not None else layout.encode_name(said) != name):
            yield self._problem(path, None, "misplaced", f"the document says it is {codec.shown(said)}")
        for field, kind in enums.items():
            if field in fields and fields[field] not in list(kind):
                yield self._problem(path, None, "unknown-value", f"{field} is {codec.shown(fields[field])}")

    def _is_deleted(self, path: str) -> bool:
        try:
            return document.read(path) is None
        except (CorruptError, OSError):
            return False

    # Logs

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

    def _view(self, path: str, kind: Callable[[str], View]) -> Iterator[Problem]:
        """Check a log whose records stand for themselves."""

        def look(path: str, fd: int) -> Iterator[Problem]:
            view, status = kind(path), fs.fstat(fd)
            view.follow(fd, status)
            yield from self._damage(path, view.damage, view.sorted)
            yield from self._fragment(path, fd, view.end, status.st_size)

        return self._log(path, look)

    def _tree(self, path: str, fd: int) -> Iterator[Problem]:
        """Check a log of messages, each of which stands below another."""
        index = Index(path)
        status = fs.fstat(fd)
        index.build(fd, status, exact=True)
        yield from self._damage(path, index.damage, index.sorted)
        for at in index.older_given:
            if not index.tree.gone[at] and index.older_alive(at) != tree.NONE:
                given = index.record_at(fd, at)["given_id"]
                detail = f"an older message has the given id {given[:60]!r} as well; look-ups find this one"
                yield self._problem(path, index.offsets[at], "duplicate-given-id", detail)
        yield from self._fragment(path, fd, index.follower.end, status.st_size)

    def _damage(self, path: str, found: list[Damage], sorted_: bool) -> Iterator[Problem]:
        for damage in sorted(found, key=lambda damage: damage.offset):
            yield self._problem(path, damage.offset, damage.kind, damage.reason)
        if not sorted_:
            yield self._problem(path, None, "unsorted", "the records do not ascend by id; the next append sorts them")

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
