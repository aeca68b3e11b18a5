"""Moving in from CodeWhale: a `state.db`, and the `session_index.jsonl` beside it, become threads, jobs and workflow traces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from fsstore import layout
from fsstore.codec import ABSENT
from fsstore.errors import ThreadNotFoundError
from fsstore.records.checkpoints import CheckpointRecord
from fsstore.records.goals import ThreadGoalRecord
from fsstore.records.jobs import JobStateRecord
from fsstore.records.threads import ThreadInfo
from fsstore.records.tools import DynamicToolRecord
from fsstore.records.workflows import BranchRun, ControlNodeRun, LeafRun, Part, TeacherCandidate, WorkflowRun
from fsstore.resources import tools
from fsstore.upkeep import codewhale_rows as rows
from fsstore.upkeep.codewhale_db import Database
from fsstore.upkeep.codewhale_names import read_names, renamed
from fsstore.upkeep.codewhale_rows import KEPT_UNDER
from fsstore.upkeep.codewhale_tree import leaf_of, turns_of
from fsstore.upkeep.codewhale_values import END_OF_TIME
from fsstore.upkeep.conversation import Conversation
from fsstore.upkeep.imports import DerivedIds, add_conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fsstore.codec import Object
    from fsstore.resources.thread import ThreadHandle
    from fsstore.resources.workflows import Parts
    from fsstore.store import Store
    from fsstore.upkeep.codewhale_rows import Refusal
    from fsstore.upkeep.imports import Imported

R = TypeVar("R", bound=Part)


@dataclass(slots=True)
class Moved:
    """What a move did. Counts are by table, in CodeWhale's words; the session index counts as one.

    Attributes:
        added: How many rows were added.
        known: How many were there already, or had been deleted here, and were left as they are.
        differing: Threads whose messages stand here under the same ids with other words; no message of theirs was added.
        refused: Rows that could not be taken, or not as they stand.
    """

    added: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    differing: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def count(self, table: str, is_new: bool, number: int = 1) -> None:
        """Count rows that were added, or were there already."""
        (self.added if is_new else self.known)[table] += number


def import_codewhale(
    store: Store, path: str | os.PathLike[str], *, watch: Callable[[Moved, int], None] = lambda _moved, _threads: None
) -> Moved:
    """Move the state of a CodeWhale installation into a store.

    All ids and versions are derived from the source, so that the same move on two machines writes the same records, and doing
    it again adds only what is not there. What the store has is never overwritten, and what was deleted here stays deleted,
    but for a thread, which comes back. A row that cannot be taken as it stands is reported; the rest is taken.

    Args:
        store: Where to.
        path: The `state.db`, of any version, or the directory that it is in. It is opened for reading only, and may be in use.
        watch: Called at the beginning and after each thread, with what was done so far and the number of threads.

    Returns:
        What was done.

    Raises:
        SourceError: There is no such file, or it is no database of CodeWhale; nothing was changed. Also that SQLite cannot
            read on; what was read before is there.

    On disk: Per thread its meta.json, its messages in one write, then each other document; the names of threads that are not
        in the database in the session index. Nothing but SQLite's own files changes in the source's directory: see `Database`.
    Crash: What was added is whole; the same move completes the rest.
    Concurrency: The same move twice at once adds everything once. A program that writes to the database is seen at one
        moment per thread.
    """
    with Database(path) as database:
        move = _Move(store, database)
        move.run(watch)
    return move.moved


class _Move:
    def __init__(self, store: Store, database: Database) -> None:
        self._store = store
        self._database = database
        self._threads: set[str] = set()
        self.moved = Moved(refused=database.refused)

    def run(self, watch: Callable[[Moved, int], None]) -> None:
        names = read_names(self._database.file, self._database.refuse)
        threads = self._database.rows(rows.THREADS)
        watch(self.moved, len(threads))
        refused = []
        for row in threads:
            if not self._thread(row, names):
                refused.append(row)
            watch(self.moved, len(threads))
        for table in (rows.MESSAGES, rows.CHECKPOINTS, rows.TOOLS, rows.GOALS):
            self._database.refuse_strays(table, "thread_id", rows.THREADS, refused)
        self._add_names(names)
        self._jobs()
        self._workflows()

    # Threads

    def _thread(self, row: int, names: dict[str, Object]) -> bool:
        with self._database.snapshot():
            fields = self._database.take(rows.THREADS, row)
            if fields is None:
                return False
            messages = self._database.take_all(rows.MESSAGES, "thread_id = ?", fields["id"], order="id")
        conversation = self._conversation(fields, messages)
        info = ThreadInfo(**renamed(fields, names))
        self._count(add_conversation(self._store, conversation, info, _milliseconds(info.created_at)))
        thread = self._store.thread(info.id)
        self._tools(thread, info.created_at)
        self._goal(thread)
        self._checkpoints(thread)
        return True

    def _conversation(self, fields: Object, messages: list[Object]) -> Conversation:
        """Make the conversation of a thread's fields, which then are those of its record."""
        turns = turns_of(messages, partial(self._database.refuse, rows.MESSAGES))
        named = fields.pop("current_leaf_id")
        try:
            leaf = leaf_of(named, turns)
        except ValueError as error:
            self._database.refuse(rows.THREADS, fields["id"], str(error))
            fields["extra"].setdefault(KEPT_UNDER, {})["current_leaf_id"] = named
            leaf = ABSENT
        return Conversation(thread_id=fields["id"], turns=turns, leaf=leaf)

    def _count(self, done: Imported) -> None:
        self._threads.add(done.thread_id)
        self.moved.count(rows.THREADS, done.is_new)
        self.moved.count(rows.MESSAGES, True, done.added)
        self.moved.count(rows.MESSAGES, False, done.known)
        if done.differing:
            self.moved.differing.append(done.thread_id)

    def _tools(self, thread: ThreadHandle, began: int) -> None:
        found: dict[int, DynamicToolRecord] = {}
        for row in self._database.rows(rows.TOOLS, "thread_id = ?", thread.id, order="position"):
            fields = self._database.take(rows.TOOLS, row)
            if fields is None:
                continue
            try:
                tools.checked(tool := DynamicToolRecord(**fields))
                if found.setdefault(tool.position, tool) is not tool:
                    raise ValueError("its position is given twice; the first one was taken")
            except ValueError as error:
                self._database.refuse(rows.TOOLS, f"{thread.id}/{fields['position']}", str(error))
        if found:
            version = _version(DerivedIds(thread.id), rows.TOOLS, thread.id, began)
            self.moved.count(rows.TOOLS, thread.tools.insert(found.values(), version), len(found))

    def _goal(self, thread: ThreadHandle) -> None:
        for row in self._database.rows(rows.GOALS, "thread_id = ?", thread.id):
            fields = self._database.take(rows.GOALS, row)
            if fields is not None:
                version = _version(DerivedIds(thread.id), rows.GOALS, thread.id, fields["updated_at"])
                self.moved.count(rows.GOALS, thread.goal.insert(ThreadGoalRecord(**fields), version))

    def _checkpoints(self, thread: ThreadHandle) -> None:
        versions = DerivedIds(thread.id)
        for row in self._database.rows(rows.CHECKPOINTS, "thread_id = ?", thread.id, order="created_at"):
            fields = self._database.take(rows.CHECKPOINTS, row)
            if fields is not None:
                checkpoint = CheckpointRecord(**fields)
                version = _version(versions, rows.CHECKPOINTS, checkpoint.checkpoint_id, checkpoint.created_at)
                self.moved.count(rows.CHECKPOINTS, thread.checkpoints.insert(checkpoint, version))

    # Names

    def _add_names(self, names: dict[str, Object]) -> None:
        """Note what threads are called that are not in the database."""
        for id, noted in names.items():
            if id not in self._threads and noted["thread_name"] is not None:
                self.moved.count(layout.INDEX, self._note(id, noted))

    def _note(self, id: str, noted: Object) -> bool:
        if id in self._store.threads or self._store.names.get(id) is not None:
            return False
        try:
            self._store.names.append(id, noted["thread_name"], noted["updated_at"], noted["rollout_path"])
        except ThreadNotFoundError:  # it was deleted here
            return False
        return True

    # What belongs to no thread

    def _jobs(self) -> None:
        versions = DerivedIds(rows.JOBS)
        for row in self._database.rows(rows.JOBS, order="updated_at"):
            fields = self._database.take(rows.JOBS, row)
            if fields is not None:
                job = JobStateRecord(**fields)
                version = _version(versions, rows.JOBS, job.id, job.updated_at)
                self.moved.count(rows.JOBS, self._store.jobs.insert(job, version))

    def _workflows(self) -> None:
        versions, refused = DerivedIds(rows.RUNS), []
        for row in self._database.rows(rows.RUNS, order="started_at"):
            fields = self._database.take(rows.RUNS, row)
            if fields is None:
                refused.append(row)
                continue
            run = WorkflowRun(**fields)
            version = _version(versions, rows.RUNS, run.id, run.started_at)
            self.moved.count(rows.RUNS, self._store.workflows.insert(run, version))
            self._parts(run.id)
        for table in (rows.BRANCHES, rows.LEAVES, rows.NODES, rows.CANDIDATES):
            self._database.refuse_strays(table, "workflow_run_id", rows.RUNS, refused)

    def _parts(self, run_id: str) -> None:
        run = self._store.workflows.handle(run_id)
        there = run.is_there()  # it may have been deleted here
        self._add_parts(run_id, rows.BRANCHES, BranchRun, run.branches if there else None)
        self._add_parts(run_id, rows.NODES, ControlNodeRun, run.control_nodes if there else None)
        self._add_parts(run_id, rows.LEAVES, LeafRun, run.leaves if there else None)
        self._add_parts(run_id, rows.CANDIDATES, TeacherCandidate, run.candidates if there else None)

    def _add_parts(self, run_id: str, table: str, kind: type[R], parts: Parts[R] | None) -> None:
        versions = DerivedIds(run_id)
        order = "created_at" if table == rows.CANDIDATES else "started_at"
        for row in self._database.rows(table, "workflow_run_id = ?", run_id, order=order):
            fields = self._database.take(table, row)
            if fields is not None:
                part = kind(**fields)
                version = _version(versions, table, part.id, fields[order])
                self.moved.count(table, parts is not None and parts.insert(part, version))


def _version(ids: DerivedIds, table: str, id: str, seconds: int) -> str:
    return ids.next(_milliseconds(seconds), f"{table}\0{id}")


def _milliseconds(seconds: int) -> int:
    """Give the time of an id: a second that no id can carry counts as unknown."""
    return seconds * 1000 if 0 <= seconds < END_OF_TIME else 0
