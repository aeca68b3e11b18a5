"""Workflow traces: runs of workflows, and in each its branches, leaves, control nodes and candidates."""

from __future__ import annotations

import os.path
from contextlib import suppress
from typing import Generic, TypeVar

from fsstore import clock, layout
from fsstore.disk import document, fs
from fsstore.disk.collection import Collection
from fsstore.errors import AlreadyExistsError, CorruptError, NotFoundError
from fsstore.records.workflows import BranchRun, ControlNodeRun, LeafRun, Part, TeacherCandidate, WorkflowRun
from fsstore.resources.limits import checked_limit, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fsstore.codec import Json, Object
    from fsstore.disk.lock import Lock
    from fsstore.disk.root import Root

R = TypeVar("R", bound=Part)

_PARTS = (layout.BRANCHES, layout.LEAVES, layout.CONTROL_NODES, layout.CANDIDATES)


class Workflows:
    """The workflow runs of a store. Iterating gives each that can be read."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._runs = Collection(root, f"{root.path}/{layout.WORKFLOWS}", layout.RUN)

    def create(self, workflow_id: str, *, id: str | None = None, **fields: Json) -> WorkflowHandle:
        """Begin a workflow run.

        Args:
            workflow_id: The workflow that runs.
            id: The run's id; a new one where None.
            **fields: Other fields of `WorkflowRun`.

        Raises:
            AlreadyExistsError: A run has this id; nothing was changed.

        On disk: workflows/<workflow run>/run.json.
        Crash: The run is there, or not.
        Concurrency: Of two creations of one id, one raises.
        """
        run = WorkflowRun(id=clock.new_id() if id is None else id, workflow_id=workflow_id, **fields)
        self._put(run, create=True)
        return self.handle(run.id)

    def put(self, run: WorkflowRun) -> None:
        """Insert a workflow run, or overwrite all its fields; its parts stay. Keys that no field knows are kept.

        Raises:
            CorruptError: The run.json that stands there cannot be read; it was not overwritten.

        On disk: workflows/<workflow run>/run.json, replaced whole.
        Crash: The old record or the new one.
        Concurrency: The last one counts, field by field when two machines merge.
        """
        self._put(run, create=False)

    def insert(self, run: WorkflowRun, version: str) -> bool:
        """Add a workflow run where nothing ever stood under its id; say whether. `version` is the id of the write.

        On disk: workflows/<workflow run>/run.json.
        Crash: The run is there, or not.
        Concurrency: Of two at once one says True.
        """
        fields = run.over(None)
        with self.locked(run.id):
            return self._runs.insert(run.id, fields, version)

    def handle(self, id: str) -> WorkflowHandle:
        """Give a run's handle, whether it is there or not; touches no disk."""
        return WorkflowHandle(self, self._root, self._runs, id)

    def __getitem__(self, id: str) -> WorkflowHandle:
        """Give the handle of a run that exists.

        Raises:
            NotFoundError: It does not.
        """
        handle = self.handle(id)
        handle.info()
        return handle

    def get(self, id: str) -> WorkflowRun | None:
        """Read what a run is, or None where there is none.

        Raises:
            CorruptError: Its run.json cannot be read.
        """
        fields = self._runs.get(id)
        return None if fields is None else WorkflowRun.from_json(document.content(fields))

    def __iter__(self) -> Iterator[WorkflowRun]:
        return (WorkflowRun.from_json(document.content(fields)) for fields in self._runs.all())

    def recent(self, limit: int | None = 50, *, status: str | None = None, workflow_id: str | None = None) -> list[WorkflowRun]:
        """Give workflow runs, the one started last first.

        Args:
            limit: How many at the most; None for all, 0 for none.
            status: Only those of this status.
            workflow_id: Only those of this workflow.

        Raises:
            ValueError: A negative limit.
        """
        checked_limit(limit)
        wanted = {name: value for name, value in (("status", status), ("workflow_id", workflow_id)) if value is not None}
        rows = [row for row in self._runs.all() if all(row.get(name) == value for name, value in wanted.items())]
        rows.sort(key=_age, reverse=True)
        return first(limit, (WorkflowRun.from_json(document.content(row)) for row in rows))

    def damage(self) -> list[CorruptError]:
        """Say of each run whose run.json cannot be read, so that it is listed nowhere, why."""
        return list(self._runs.damage())

    def delete(self, id: str) -> bool:
        """Move a workflow run with all its parts to the trash; say whether it was there.

        On disk: A copy of run.json goes to the trash, and what stands in its place says that it was deleted; then the
            directories of its parts are renamed into the trash.
        Crash: The run is there, or not; parts that were not moved are seen by nobody, and go when the id is used again.
        Concurrency: Whoever changes a part either comes before, or is told that there is no run.
        """
        with self.locked(id):
            deletion = self._runs.delete(id)
            self.clear_parts(id)
        return bool(deletion)

    def locked(self, id: str) -> Lock:
        """Give the lock of a workflow run; see `Collection.put`."""
        self._root.check_writable()
        return self._root.locks[layout.stripe(f"{layout.WORKFLOWS}/{layout.encode_name(id)}")]

    def _put(self, run: WorkflowRun, *, create: bool) -> None:
        run.over(None)  # refuses what JSON cannot hold before the lock is taken

        def change(old: Object | None) -> Object:
            if old is None:
                self.clear_parts(run.id)  # what a deletion that died did not move
            elif create:
                raise AlreadyExistsError("workflow run", run.id)
            return run.over(old)

        with self.locked(run.id):
            self._runs.put(run.id, change)

    def clear_parts(self, id: str) -> None:
        """Move the parts of a run that is not there to the trash, beside it where it was deleted; the caller holds its lock."""
        run, other = self._runs.path(id), clock.new_id()
        left = [path for part in _PARTS if fs.is_directory(path := f"{os.path.dirname(run)}/{part}")]
        deletion = self._deletion(run) or other if left else other
        for path in left:  # what a merge brought of parts that the deletion took along stands apart
            self._root.move_to_trash(path, other if fs.names(self._root.trash_path(path, deletion)) else deletion)

    def _deletion(self, run: str) -> str:
        """Give the deletion to which the parts belong that stand beside a run.json which is not there; empty where none is."""
        said = document.read_any(run)
        if said is None:
            return ""
        if clock.is_id(said.get("restores")):
            return str(said["restores"])
        for deletion in reversed(fs.names(f"{self._root.path}/{layout.TRASH}")):
            # Another machine may have deleted the run as well, and what it says of that may stand here now.
            with suppress(CorruptError):
                copy = document.read(self._root.trash_path(run, deletion))
                if copy is not None and document.created(copy) == document.created(said):
                    return deletion
        return document.newest(said)


class WorkflowHandle:
    """One workflow run.

    Attributes:
        id: The run's id.
        branches: Its branches.
        leaves: Its leaves.
        control_nodes: Its control nodes.
        candidates: The candidates that a teacher judged in it.
    """

    __slots__ = ("_runs", "_workflows", "branches", "candidates", "control_nodes", "id", "leaves")

    def __init__(self, workflows: Workflows, root: Root, runs: Collection, id: str) -> None:
        self.id = id
        self._workflows = workflows
        self._runs = runs
        directory = os.path.dirname(runs.path(id))
        branches, leaves, nodes, candidates = (Collection(root, f"{directory}/{part}") for part in _PARTS)
        self.branches = Stages(self, branches, BranchRun, "branch run", {})
        self.leaves = Leaves(self, leaves, LeafRun, "leaf run", {"branch_run_id": branches})
        self.control_nodes = Stages(self, nodes, ControlNodeRun, "control node run", {})
        above = {"branch_run_id": branches, "control_node_run_id": nodes}
        self.candidates = Parts(self, candidates, TeacherCandidate, "teacher candidate", above)

    def info(self) -> WorkflowRun:
        """Read what the run is.

        Raises:
            NotFoundError: It does not exist.
            CorruptError: Its run.json cannot be read.
        """
        run = self._workflows.get(self.id)
        if run is None:
            raise self.missing()
        return run

    def update(self, **changes: Json) -> WorkflowRun:
        """Change some fields of the run.

        Raises:
            NotFoundError: It does not exist.

        On disk: run.json, replaced whole.
        Crash: The old record or the new one.
        Concurrency: No change of another process to another field is lost.
        """

        def change(old: Object | None) -> Object:
            if old is None:
                raise self.missing()
            return WorkflowRun.from_json({**document.content(old), **changes}).over(old)

        with self._workflows.locked(self.id):
            return WorkflowRun.from_json(document.content(self._runs.put(self.id, change)))

    def finish(self, status: str = "completed", **changes: Json) -> WorkflowRun:
        """End the run, now; see `WorkflowHandle.update`."""
        return self.update(status=status, **{"completed_at": clock.now(), **changes})

    def delete(self) -> bool:
        """Move the run with all its parts to the trash; see `Workflows.delete`."""
        return self._workflows.delete(self.id)

    def missing(self) -> NotFoundError:
        """Make the error that says that the run does not exist."""
        return NotFoundError(self.id, "workflow run")

    def locked(self) -> Lock:
        """Give the run's lock; see `Workflows.locked`."""
        return self._workflows.locked(self.id)

    def is_there(self) -> bool:
        """Say whether the run exists."""
        return self.id in self._runs

    def damage(self) -> list[CorruptError]:
        """Say of each part that cannot be read, and so is listed nowhere, why."""
        kinds = (self.branches, self.leaves, self.control_nodes, self.candidates)
        return [error for parts in kinds for error in parts.damage()]


class Parts(Generic[R]):
    """One kind of part of a workflow run. Iterating gives each that can be read, the oldest first.

    A part may name a branch or a control node of its run; where that was deleted, the part shows None.
    """

    __slots__ = ("_documents", "_kind", "_references", "_run", "_what")

    def __init__(
        self, run: WorkflowHandle, documents: Collection, kind: type[R], what: str, references: Mapping[str, Collection]
    ) -> None:
        self._run = run
        self._documents = documents
        self._kind = kind
        self._what = what
        self._references = references

    def create(self, id: str | None = None, **fields: Json) -> R:
        """Add a part.

        Args:
            id: Its id; a new one where None.
            **fields: Fields of its record but `workflow_run_id`.

        Raises:
            NotFoundError: The run, or a part that this one names, does not exist.
            AlreadyExistsError: The run has such a part of this id; nothing was changed.

        On disk: One document in the directory of its kind.
        Crash: The part is there, or not.
        Concurrency: Of two creations of one id, one raises.
        """
        part = self._kind(id=clock.new_id() if id is None else id, workflow_run_id=self._run.id, **fields)
        return self._put(part, create=True)

    def put(self, part: R) -> None:
        """Insert a part, or overwrite all its fields. Keys that no field knows are kept.

        Raises:
            NotFoundError: The run, or a part that this one names, does not exist.
            ValueError: The part names another run.
            CorruptError: The document that stands there cannot be read; it was not overwritten.

        On disk: The part's document, replaced whole.
        Crash: The old record or the new one.
        Concurrency: The last one counts, field by field when two machines merge.
        """
        self._put(part, create=False)

    def insert(self, part: R, version: str) -> bool:
        """Add a part where nothing ever stood under its id; say whether. `version` is the id of the write.

        A part that it names need not be there: it shows None until that is.

        Raises:
            NotFoundError: The run does not exist.
            ValueError: The part names another run.

        On disk: One document in the directory of its kind.
        Crash: The part is there, or not.
        Concurrency: Of two at once one says True.
        """
        self._check_run(part)
        fields = part.over(None)
        with self._run.locked():
            if not self._run.is_there():
                raise self._run.missing()
            return self._documents.insert(part.id, fields, version)

    def get(self, id: str) -> R | None:
        """Read a part, or None where there is none.

        Raises:
            CorruptError: Its document cannot be read.
        """
        fields = self._documents.get(id)
        part = None if fields is None else self._part(fields, {})
        return part if self._run.is_there() else None  # last: what a deletion takes away meanwhile is there in part

    def __getitem__(self, id: str) -> R:
        """Read a part that exists.

        Raises:
            NotFoundError: It does not.
        """
        part = self.get(id)
        if part is None:
            raise NotFoundError(id, self._what)
        return part

    def __iter__(self) -> Iterator[R]:
        known: dict[tuple[str, str], bool] = {}
        parts = [self._part(fields, known) for fields in sorted(self._documents.all(), key=_age)]
        return iter(parts if self._run.is_there() else ())  # last, as above

    def damage(self) -> Iterator[CorruptError]:
        """Say of each part that cannot be read, and so is listed nowhere, why."""
        return self._documents.damage()

    def update(self, id: str, **changes: Json) -> R:
        """Change some fields of a part.

        Raises:
            NotFoundError: It, or a part that it is to name, does not exist.

        On disk: The part's document, replaced whole.
        Crash: The old record or the new one.
        Concurrency: No change of another process to another field is lost.
        """

        def change(old: Object | None) -> Object:
            if old is None or not self._run.is_there():
                raise NotFoundError(id, self._what)
            part = self._kind.from_json({**self._part(old, {}).to_json(), **changes})
            self._check(part)
            return part.over(old)

        with self._run.locked():
            return self._part(self._documents.put(id, change), {})

    def delete(self, id: str) -> bool:
        """Take a part away; say whether it was there. What names it shows None from then on.

        On disk: A copy goes to the trash, and what stands in its place says that it was deleted.
        Crash: The part is there, or not.
        Concurrency: Of two deletions at once one says True.
        """
        with self._run.locked():
            return self._run.is_there() and bool(self._documents.delete(id))

    def _put(self, part: R, *, create: bool) -> R:
        part.over(None)  # refuses what JSON cannot hold before the lock is taken

        def change(old: Object | None) -> Object:
            if old is not None and create:
                raise AlreadyExistsError(self._what, part.id)
            return part.over(old)

        with self._run.locked():
            if not self._run.is_there():
                raise self._run.missing()
            self._check(part)
            return self._part(self._documents.put(part.id, change), {})

    def _check_run(self, part: R) -> None:
        if part.workflow_run_id != self._run.id:
            raise ValueError(f"{self._what} {part.id} names workflow run {part.workflow_run_id}, not {self._run.id}")

    def _check(self, part: R) -> None:
        self._check_run(part)
        for name, documents in self._references.items():
            id = getattr(part, name)
            if id is not None and id not in documents:
                raise NotFoundError(id, name.removesuffix("_id").replace("_", " "))

    def _part(self, fields: Object, known: dict[tuple[str, str], bool]) -> R:
        said = {**document.content(fields), "workflow_run_id": self._run.id}
        for name, documents in self._references.items():
            id = said.get(name)
            if isinstance(id, str) and (name, id) not in known:
                known[name, id] = id in documents
            if not known.get((name, str(id))):
                said[name] = None
        return self._kind.from_json(said)


class Stages(Parts[R]):
    """The parts of one kind that begin and end."""

    __slots__ = ()

    def finish(self, id: str, status: str = "completed", **changes: Json) -> R:
        """End a part, now; see `Parts.update`."""
        return self.update(id, status=status, **{"completed_at": clock.now(), **changes})


class Leaves(Stages[LeafRun]):
    """The leaves of a workflow run."""

    __slots__ = ()

    def replay(self, leaf_id: str, input_hash: str) -> LeafRun | None:
        """Give the newest run of a leaf on an input, whose output need not be made again; None where there is none."""
        found = [leaf for leaf in self if (leaf.leaf_id, leaf.input_hash) == (leaf_id, input_hash)]
        return found[-1] if found else None


def _age(fields: Object) -> tuple[int, str]:
    time = fields.get("started_at", fields.get("created_at"))
    return (time if type(time) is int else 0, document.created(fields))
