"""check: read every file of a store and say what is wrong with it. It changes nothing."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from functools import partial

from fsstore import codec, layout, tree
from fsstore.disk import document, fs, machine
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
from fsstore.resources import goal, recipes, run_checkpoint, session_recipe, state, tools
from fsstore.resources.content_log import StrictContentView
from fsstore.resources.index import Index, Provisional
from fsstore.resources.index_view import IndexView
from fsstore.resources.prompts import PromptsView
from fsstore.resources.rewind_log import RewindView
from fsstore.resources.usage import UsageView
from fsstore.upkeep import entries, leftovers
from fsstore.upkeep.problems import PASSING, Problem, problem_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from fsstore.codec import Damage, Json, Object
    from fsstore.disk.folding import View
    from fsstore.store import Store

    #: The enums of a document's fields.
    Enums: TypeAlias = Mapping[str, type[StrEnum]]
    #: What looks at one part of a store, as often as it is called.
    Part: TypeAlias = Callable[[], Iterator[Problem]]

#: Seconds after which what looked like a problem is none of a writer at work.
_SETTLED = 0.1
#: Above every id of a process.
_PIDS = 1 << 31


def check(store: Store, progress: Callable[[int, int], object] | None) -> Iterator[Problem]:
    """Give every problem of a store, file by file; see `Store.check`."""
    return _Check(store.root, progress).run()


class _Check:
    def __init__(self, root: str, progress: Callable[[int, int], object] | None) -> None:
        self._root = root
        self._progress = progress
        self._names = IndexView(f"{root}/{layout.INDEX}")

    def run(self) -> Iterator[Problem]:
        """Look at one part after the other, and at the end once more at those where a writer may have been at work."""
        again = []
        parts = list(self._parts())
        for done, part in enumerate(parts):
            if self._progress:
                self._progress(done, len(parts))
            found = list(self._found(part))
            if PASSING.isdisjoint(problem.kind for problem in found):
                yield from found
            else:
                again.append((part, found))
        if self._progress:
            self._progress(len(parts), len(parts))
        if again:
            machine.pause(_SETTLED)
        for part, found in again:
            now = set(self._found(part))
            yield from (problem for problem in found if problem in now)

    def _found(self, part: Part) -> Iterator[Problem]:
        """Give what one part has; where the system refuses to look (a directory nobody may enter), the others go on."""
        try:
            yield from part()
        except OSError as error:
            yield self._problem(error.filename or self._root, None, "unreadable", str(error))

    def _parts(self) -> Iterator[Part]:
        yield partial(self._view, f"{self._root}/{layout.INDEX}", IndexView)
        yield partial(self._collection, f"{self._root}/{layout.JOBS}", {"status": JobStateStatus})
        yield partial(self._view, f"{self._root}/{layout.PROMPTS}", PromptsView)
        yield partial(self._collection, f"{self._root}/{layout.RECIPES}", {}, recipes.flaw)
        yield from self._directories(f"{self._root}/{layout.THREADS}", "a thread", self._thread)
        yield from self._directories(f"{self._root}/{layout.WORKFLOWS}", "a workflow run", self._workflow)
        yield self._leftovers
        yield partial(entries.problems, self._root)

    def _problem(self, path: str, offset: int | None, kind: str, detail: str) -> Problem:
        return problem_at(self._root, path, kind, detail, offset)

    # Directories

    def _directories(self, directory: str, what: str, look: Callable[[str, str], Iterator[Problem]]) -> Iterator[Part]:
        """Give what checks each entry of a directory that holds a directory for each of something.

        `look` is given its path and its name.
        """
        for name in self._listed(directory):
            yield partial(self._directory, f"{directory}/{name}", name, what, look)

    def _directory(self, path: str, name: str, what: str, look: Callable[[str, str], Iterator[Problem]]) -> Iterator[Problem]:
        if fs.is_link(path) or layout.is_conflict_copy(name):
            return  # of which `entries` tells
        if not fs.is_directory(path):
            if fs.is_file(path):
                yield self._problem(path, None, "stranger", f"only the directory of {what} belongs here")
            return
        try:
            layout.decode_name(name)
        except InvalidNameError as error:
            yield self._problem(path, None, "name", str(error))
            return
        yield from look(path, name)

    @staticmethod
    def _listed(directory: str) -> list[str]:
        try:
            return [] if fs.is_link(directory) else fs.names(directory)
        except OSError:
            return []  # of which `entries` tells

    def _thread(self, directory: str, name: str) -> Iterator[Problem]:
        meta = f"{directory}/{layout.META}"
        if not fs.is_file(meta) and self._listed(directory):  # an empty one is just being made
            yield self._problem(directory, None, "no-meta", "a thread's directory without its meta.json")
        yield from self._document(meta, name, {"status": ThreadStatus, "source": SessionSource}, more=self._index)
        yield from self._document(f"{directory}/{layout.GOAL}", name, {"status": ThreadGoalStatus}, goal.flaw)
        yield from self._document(f"{directory}/{layout.TOOLS}", name, {}, tools.flaw)
        yield from self._document(f"{directory}/{layout.STATE}", name, {}, state.flaw)
        yield from self._log(f"{directory}/{layout.MESSAGES}", self._tree)
        yield from self._view(f"{directory}/{layout.USAGE}", UsageView)
        yield from self._collection(f"{directory}/{layout.CHECKPOINTS}", {})
        yield from self._document(f"{directory}/{layout.SESSION}", name, {}, session_recipe.flaw)
        yield from self._document(f"{directory}/{layout.CHECKPOINT}", name, {}, run_checkpoint.flaw)
        yield from self._view(f"{directory}/{layout.CONTENT}", StrictContentView)
        yield from self._view(f"{directory}/{layout.REWIND}", RewindView)
        for part in self._directories(f"{directory}/{layout.RUNS}", "a run", self._run):
            yield from part()

    def _run(self, directory: str, name: str) -> Iterator[Problem]:
        status = f"{directory}/{layout.STATUS}"
        if not fs.is_file(status) and self._listed(directory):
            yield self._problem(directory, None, "no-status", "a run's directory without its status.json")
        yield from self._document(status, name, {"status": RunStatus}, more=self._abandoned)
        yield from self._collection(f"{directory}/{layout.STEPS}", {"status": RunStepStatus, "step_type": RunStepType})

    def _abandoned(self, path: str, fields: Object) -> Iterator[Problem]:
        """See whether the process of a run in progress is gone."""
        worker = fields.get("process") if fields.get("status") == RunStatus.IN_PROGRESS else None
        if not isinstance(worker, dict) or worker.get("host") != machine.host():
            return
        pid = worker.get("pid")
        if type(pid) is int and 0 < pid < _PIDS and not machine.is_running(pid):
            yield self._problem(path, None, "abandoned-run", f"in progress, and process {pid} is gone")

    def _index(self, meta: str, fields: Object) -> Iterator[Problem]:
        """See whether the session index knows a thread by the name that its own document says."""
        name, id = fields.get("name"), fields.get("id")
        if not isinstance(name, str):
            return
        try:
            self._names.refresh()
        except (OSError, FormatError):
            return  # of which another part tells
        if self._names.end and id not in self._names.spoken.get(name.casefold(), ()):
            detail = f"the session index does not know that it is called {name[:60]!r}"
            yield self._problem(meta, None, "index-differs", detail)

    def _workflow(self, directory: str, name: str) -> Iterator[Problem]:
        run = f"{directory}/{layout.RUN}"
        yield from self._document(run, name, {})
        there = fs.is_file(run) and not self._is_deleted(run)
        for part in (layout.BRANCHES, layout.LEAVES, layout.CONTROL_NODES, layout.CANDIDATES):
            if not there and self._listed(f"{directory}/{part}"):
                yield self._problem(f"{directory}/{part}", None, "no-run", "parts of a workflow run that is not there")
            yield from self._collection(f"{directory}/{part}", {})

    # Documents

    def _collection(
        self, directory: str, enums: Enums, flaw: Callable[[Object], str | None] = lambda _: None
    ) -> Iterator[Problem]:
        for file in self._listed(directory):
            path = f"{directory}/{file}"
            if fs.is_link(path) or layout.is_conflict_copy(file):
                continue  # of which `entries` tells
            try:
                layout.document_id(file)
            except InvalidNameError as error:
                yield self._problem(path, None, "name", str(error))
                continue
            yield from self._document(path, file.removesuffix(layout.DOCUMENT_SUFFIX), enums, flaw)

    def _document(
        self,
        path: str,
        name: str,
        enums: Enums,
        flaw: Callable[[Object], str | None] = lambda _: None,
        more: Callable[[str, Object], Iterator[Problem]] = lambda _, __: iter(()),
    ) -> Iterator[Problem]:
        try:
            fields = document.read(path)
        except CorruptError as error:
            yield self._problem(path, None, "corrupt", error.reason)
            return
        except OSError as error:
            yield from self._unreadable(path, error)
            return
        if fields is None:
            return
        wrong = flaw(fields)
        if wrong:
            yield self._problem(path, None, "corrupt", wrong)
        said = fields.get("id")
        if _is_name_of(name, said):
            yield from more(path, fields)
        else:
            yield self._misplaced(path, name, said)
        for field, kind in enums.items():
            if field in fields and fields[field] not in list(kind):
                yield self._problem(path, None, "unknown-value", f"{field} is {codec.shown(fields[field])}")

    def _misplaced(self, path: str, name: str, said: Json) -> Problem:
        detail = f"the document says it is {codec.shown(said)}"
        for end in (layout.DOCUMENT_SUFFIX, "/"):
            above, found, below = path.rpartition(f"/{name}{end}")
            if found and _is_name(said) and fs.is_file(f"{above}/{layout.encode_name(said)}{end}{below}"):
                return self._problem(path, None, "two-names", f"{detail}, which stands in its own place as well")
        return self._problem(path, None, "misplaced", detail)

    def _unreadable(self, path: str, error: OSError) -> Iterator[Problem]:
        if not fs.is_link(path):  # of which `entries` tells
            yield self._problem(path, None, "unreadable", str(error))

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
            yield from self._unreadable(path, error)
            return
        try:
            yield from look(path, fd)
        except FormatError as error:
            yield self._problem(path, None, "format", error.reason)
        except Provisional:
            yield self._problem(path, None, "unreadable", "somebody writes it over while it is read")
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

    def _leftovers(self) -> Iterator[Problem]:
        for path in self._left(leftovers.temporary):
            yield self._problem(path, None, "leftover-temp", "its writer is gone")
        for path in self._left(leftovers.stale_stamps):
            yield self._problem(path, None, "stale-cache", "it does not fit its log any more")

    def _left(self, find: Callable[[str], Iterator[str]]) -> Iterator[str]:
        with contextlib.suppress(OSError):  # of links, and of what may not be read, `entries` tells
            yield from (path for path in find(self._root) if not fs.is_link(path))


def _is_name_of(name: str, id: Json) -> bool:
    return _is_name(id) and layout.encode_name(id) == name


def _is_name(id: Json) -> bool:
    try:
        layout.encode_name(id)
    except InvalidNameError:
        return False
    return True
