"""Runs of a thread, and their steps."""

from __future__ import annotations

import uuid

from fsstore import clock, codec, layout
from fsstore.disk import document, machine
from fsstore.disk.collection import Collection
from fsstore.errors import (
    AlreadyExistsError,
    RunInTerminalStateError,
    RunNotFoundError,
    RunStepNotFoundError,
)
from fsstore.records.enums import RunStatus, RunStepStatus, RunStepType
from fsstore.records.runs import RunError, RunInfo, StepInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsstore.codec import Json, Object
    from fsstore.resources.place import Place


class Runs:
    """The runs of one thread. Iterating gives a `RunInfo` for each that can be read, the oldest first."""

    __slots__ = ("_documents", "_place", "thread_id")

    def __init__(self, place: Place) -> None:
        self.thread_id = place.id
        self._place = place
        self._documents = Collection(place.root, place.path(layout.RUNS), layout.STATUS)

    def create(
        self,
        id: str | None = None,
        *,
        model: str = "",
        status: RunStatus | str = RunStatus.QUEUED,
        extra: Object | None = None,
    ) -> RunHandle:
        """Begin a run.

        Args:
            id: Its id; a new one where None.
            model: The model that is to do it.
            status: Where it stands.
            extra: Any other keys, with JSON values.

        Raises:
            ThreadNotFoundError: The thread does not exist.
            AlreadyExistsError: The thread has a run of this id; nothing was changed.

        On disk: runs/<run>/status.json.
        Crash: The run is there, or not.
        Concurrency: Of two creations of one id, one raises.
        """
        info = RunInfo(
            id=f"run_{uuid.uuid4().hex}" if id is None else id,
            thread_id=self.thread_id,
            model=model,
            status=status,
            extra=extra or {},
        )
        return self.add(info)

    def add(self, info: RunInfo) -> RunHandle:
        """Begin a run of a record; see `create`.

        Raises:
            ValueError: The record names another thread.

        On disk: As `create`.
        Crash: As `create`.
        Concurrency: As `create`.
        """
        if info.thread_id != self.thread_id:
            raise ValueError(f"run {info.id} names thread {info.thread_id}, not {self.thread_id}")
        fields = info.over(None)
        with self._place.lock_existing():
            self._documents.create(info.id, {**fields, **_process(info.status)}, lambda: AlreadyExistsError("run", info.id))
        return self.handle(info.id)

    def handle(self, id: str) -> RunHandle:
        """Give a run's handle, whether it is there or not; touches no disk."""
        return RunHandle(self, self._place, self._documents, id)

    def get(self, id: str) -> RunInfo | None:
        """Read what a run is, or None where there is none.

        Raises:
            CorruptError: Its status.json cannot be read.
        """
        fields = self._documents.get(id)
        return None if fields is None else _run(fields, self.thread_id)

    def __getitem__(self, id: str) -> RunHandle:
        """Give the handle of a run that exists.

        Raises:
            RunNotFoundError: It does not.
        """
        if self.get(id) is None:
            raise RunNotFoundError(id)
        return self.handle(id)

    def __iter__(self) -> Iterator[RunInfo]:
        rows = sorted(self._documents.all(), key=_age)
        return (_run(fields, self.thread_id) for fields in rows)

    def directory(self, id: str) -> str:
        """Give a run's directory; it may not exist."""
        return self._documents.path(id).removesuffix(f"/{layout.STATUS}")


class RunHandle:
    """One run.

    Attributes:
        id: The run's id.
        steps: Its steps.
    """

    __slots__ = ("_documents", "_place", "_runs", "id", "steps")

    def __init__(self, runs: Runs, place: Place, documents: Collection, id: str) -> None:
        self.id = id
        self._runs = runs
        self._place = place
        self._documents = documents
        self.steps = Steps(place, id, documents, runs.directory(id))

    def info(self) -> RunInfo:
        """Read what the run is.

        Raises:
            RunNotFoundError: It does not exist.
            CorruptError: Its status.json cannot be read.
        """
        info = self._runs.get(self.id)
        if info is None:
            raise RunNotFoundError(self.id)
        return info

    def finish(self, status: RunStatus | str = RunStatus.COMPLETED, error: RunError | None = None) -> RunInfo:
        """End the run.

        Raises:
            ValueError: The status is none that ends a run.
            RunInTerminalStateError: It has ended already: of two that finish it at once exactly one wins.

        On disk: status.json, replaced whole.
        Crash: The old status or the new one.
        Concurrency: Read and replaced under one lock.
        """
        if not RunInfo(id=self.id, thread_id="", status=_status(status)).is_terminal:
            raise ValueError(f"{status!r} does not end a run: use completed, cancelled, failed or expired")
        return self.update(status, error)

    def update(self, status: RunStatus | str, error: RunError | None = None, *, force: bool = False) -> RunInfo:
        """Set the run's status and its last error; None clears the error.

        Args:
            status: The new status.
            error: What went wrong.
            force: Change even a run that has ended.

        Raises:
            RunNotFoundError: It does not exist.
            RunInTerminalStateError: It has ended, and `force` was not given; nothing was changed.

        On disk: status.json, replaced whole.
        Crash: The old status or the new one.
        Concurrency: Read and replaced under one lock.
        """
        problem = None if error is None else error.to_json()
        codec.check_json(problem, "the error")

        def change(old: Object) -> Object:
            info = _run(old, self._runs.thread_id)
            if info.is_terminal and not force:
                raise RunInTerminalStateError(self.id, str(info.status))
            return {"status": str(_status(status)), "last_error": problem, **_process(status)}

        with self._place.lock():
            fields = self._documents.update(self.id, change, lambda: RunNotFoundError(self.id))
        return _run(fields, self._runs.thread_id)


class Steps:
    """The steps of one run. Iterating gives a `StepInfo` for each that can be read, the oldest first."""

    __slots__ = ("_documents", "_place", "_runs", "run_id", "thread_id")

    def __init__(self, place: Place, run_id: str, runs: Collection, directory: str) -> None:
        self.thread_id = place.id
        self.run_id = run_id
        self._place = place
        self._runs = runs
        self._documents = Collection(place.root, f"{directory}/{layout.STEPS}")

    @property
    def directory(self) -> str:
        """The directory of the steps; it may not exist."""
        return self._documents.directory

    def create(
        self,
        id: str | None = None,
        *,
        step_type: RunStepType | str = RunStepType.MESSAGE_CREATION,
        status: RunStepStatus | str = RunStepStatus.IN_PROGRESS,
        step_details: Json = None,
        extra: Object | None = None,
    ) -> StepInfo:
        """Add a step, also to a run that has ended.

        Args:
            id: Its id; a new one where None.
            step_type: What it does.
            status: Where it stands.
            step_details: Any JSON value.
            extra: Any other keys, with JSON values.

        Raises:
            RunNotFoundError: The run does not exist.
            AlreadyExistsError: The run has a step of this id; nothing was changed.

        On disk: steps/<step>.json.
        Crash: The step is there, or not.
        Concurrency: Of two creations of one id, one raises.
        """
        info = StepInfo(
            id=f"step-{uuid.uuid4().hex}" if id is None else id,
            run_id=self.run_id,
            thread_id=self.thread_id,
            step_type=step_type,
            status=status,
            step_details=step_details,
            extra=extra or {},
        )
        return self.add(info)

    def add(self, info: StepInfo) -> StepInfo:
        """Add a step of a record; see `create`.

        Raises:
            ValueError: The record names another thread or run.

        On disk: As `create`.
        Crash: As `create`.
        Concurrency: As `create`.
        """
        if (info.thread_id, info.run_id) != (self.thread_id, self.run_id):
            raise ValueError(
                f"step {info.id} names run {info.run_id} of thread {info.thread_id}, not {self.run_id} of {self.thread_id}"
            )
        fields = info.over(None)
        with self._place.lock():
            if self._runs.get(self.run_id) is None:
                raise RunNotFoundError(self.run_id)
            stored = self._documents.create(info.id, fields, lambda: AlreadyExistsError("run step", info.id))
        return self._step(stored)

    def get(self, id: str) -> StepInfo | None:
        """Read a step, or None where there is none.

        Raises:
            CorruptError: Its document cannot be read.
        """
        fields = self._documents.get(id)
        return None if fields is None else self._step(fields)

    def __getitem__(self, id: str) -> StepInfo:
        """Read a step that exists.

        Raises:
            RunStepNotFoundError: It does not.
        """
        step = self.get(id)
        if step is None:
            raise RunStepNotFoundError(id)
        return step

    def __iter__(self) -> Iterator[StepInfo]:
        return map(self._step, sorted(self._documents.all(), key=_age))

    def update(self, id: str, status: RunStepStatus | str, error: str | None = None, step_details: Json = None) -> StepInfo:
        """Set a step's status, and the time where it completed or failed; an error or details only where given.

        Raises:
            RunStepNotFoundError: It does not exist.

        On disk: steps/<step>.json, replaced whole.
        Crash: The old step or the new one.
        Concurrency: Read and replaced under one lock.
        """
        changes: Object = {"status": str(status)}
        if status in (RunStepStatus.COMPLETED, RunStepStatus.FAILED):
            changes[f"{status}_at"] = clock.now()
        if error is not None:
            changes["error"] = error
        if step_details is not None:
            codec.check_json(step_details, "step_details")
            changes["step_details"] = step_details
        with self._place.lock():
            return self._step(self._documents.update(id, lambda _: changes, lambda: RunStepNotFoundError(id)))

    def _step(self, fields: Object) -> StepInfo:
        return StepInfo.from_json({"thread_id": self.thread_id, "run_id": self.run_id, **document.content(fields)})


def _process(status: RunStatus | str) -> Object:
    """Give what `status.json` says of who works on a run: how `check` tells a run that its process left behind."""
    return {"process": {"host": machine.host(), "pid": machine.pid()}} if status == RunStatus.IN_PROGRESS else {}


def _status(status: RunStatus | str) -> RunStatus | str:
    try:
        return RunStatus(status)
    except ValueError:
        return status


def _run(fields: Object, thread_id: str) -> RunInfo:
    return RunInfo.from_json({"thread_id": thread_id, **document.content(fields)})


def _age(fields: Object) -> tuple[int, str]:
    at = fields.get("created_at")
    return (at if isinstance(at, int) else 0, document.created(fields))
