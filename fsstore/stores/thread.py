"""`ThreadStore`: threads, messages, runs and run steps in the words of an assistants-style server."""

from __future__ import annotations

from pathlib import Path

from fsstore.records.message_views import ThreadMessage
from fsstore.records.runs import Run, RunStep
from fsstore.records.threads import Thread
from fsstore.stores.opened import RootedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.records.enums import RunStatus, RunStepStatus
    from fsstore.records.runs import RunError


class ThreadStore(RootedStore):
    """A view of a store. Its arguments are those of `Store.open`."""

    def create_thread(self, thread: Thread) -> None:
        """Begin a thread; see `Threads.create`."""
        self._store.threads.add(thread.to_info())

    def get_thread(self, thread_id: str) -> Thread:
        """Read a thread; see `ThreadHandle.info`."""
        return Thread.of(self._store.thread(thread_id).info())

    def list_thread_ids(self) -> list[str]:
        """List the ids of all threads; see `Threads.ids`."""
        return self._store.threads.ids()

    def append_message(self, thread_id: str, msg: ThreadMessage) -> ThreadMessage:
        """Add a message below the current leaf; give it as stored; see `Messages.append`."""
        fields = msg.to_append(thread_id)
        return ThreadMessage.of(thread_id, self._store.thread(thread_id).messages.append(**fields))

    def list_messages(self, thread_id: str) -> list[ThreadMessage]:
        """List all messages in the order of the log."""
        messages = self._store.threads[thread_id].messages
        return [ThreadMessage.of(thread_id, message) for message in messages]

    def create_run(self, thread_id: str, run: Run) -> None:
        """Begin a run; see `Runs.create`."""
        self._store.thread(thread_id).runs.add(run.to_info())

    def get_run(self, thread_id: str, run_id: str) -> Run:
        """Read a run; see `RunHandle.info`."""
        return Run.of(self._store.thread(thread_id).runs.handle(run_id).info())

    def list_run_ids(self, thread_id: str) -> list[str]:
        """List the ids of a thread's runs, oldest first."""
        return [run.id for run in self._store.thread(thread_id).runs]

    def update_run_status(self, thread_id: str, run_id: str, status: RunStatus | str, error: RunError | None = None) -> None:
        """Set the status of a run that has not ended; see `RunHandle.update`."""
        self._store.thread(thread_id).runs.handle(run_id).update(status, error)

    def force_update_run_status(
        self, thread_id: str, run_id: str, status: RunStatus | str, error: RunError | None = None
    ) -> None:
        """Set the status of a run, ended or not; see `RunHandle.update`."""
        self._store.thread(thread_id).runs.handle(run_id).update(status, error, force=True)

    def append_step(self, thread_id: str, run_id: str, step: RunStep) -> None:
        """Add a step to a run; see `Steps.create`."""
        self._store.thread(thread_id).runs.handle(run_id).steps.add(step.to_info())

    def list_steps(self, thread_id: str, run_id: str) -> list[RunStep]:
        """List a run's steps, oldest first."""
        steps = self._store.thread(thread_id).runs[run_id].steps
        return [RunStep.of(step) for step in steps]

    def get_step(self, thread_id: str, run_id: str, step_id: str) -> RunStep:
        """Read a step; see `Steps.get`."""
        return RunStep.of(self._store.thread(thread_id).runs.handle(run_id).steps[step_id])

    def update_step_status(
        self, thread_id: str, run_id: str, step_id: str, status: RunStepStatus | str, error: str | None = None
    ) -> None:
        """Set a step's status, and where given its error; see `Steps.update`."""
        self._store.thread(thread_id).runs.handle(run_id).steps.update(step_id, status, error)

    def thread_dir(self, thread_id: str) -> Path:
        """Give a thread's directory; it may not exist."""
        return Path(self._store.thread(thread_id).directory)

    def run_dir(self, thread_id: str, run_id: str) -> Path:
        """Give a run's directory; it may not exist."""
        return Path(self._store.thread(thread_id).runs.directory(run_id))

    def steps_dir(self, thread_id: str, run_id: str) -> Path:
        """Give the directory of a run's steps; it may not exist."""
        return Path(self._store.thread(thread_id).runs.handle(run_id).steps.directory)
