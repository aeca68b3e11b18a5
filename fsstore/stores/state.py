"""`StateStore`: threads and all that belongs to them in the words of a coding agent's state database."""

from __future__ import annotations

from pathlib import Path

from fsstore.codec import ABSENT
from fsstore.records.message_views import MessageRecord
from fsstore.records.threads import ThreadListFilters, ThreadMetadata
from fsstore.store import Store
from fsstore.stores.opened import OpenedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Self

    from fsstore.codec import Absent, Json
    from fsstore.records.checkpoints import CheckpointRecord
    from fsstore.records.goals import ThreadGoalRecord
    from fsstore.records.jobs import JobStateRecord
    from fsstore.records.messages import Message
    from fsstore.records.threads import ThreadInfo
    from fsstore.records.tools import DynamicToolRecord


class StateStore(OpenedStore):
    """A view of a store; `open` makes one."""

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str] | None = None,
        *,
        durability: str = "full",
        lock_timeout: float | None = 10.0,
    ) -> Self:
        """Open a store; see `Store.open`."""
        return cls(Store.open(root, durability=durability, lock_timeout=lock_timeout))

    def db_path(self) -> Path:
        """Give the store's root."""
        return Path(self._store.root)

    def upsert_thread(self, thread: ThreadMetadata) -> None:
        """Insert a thread, or overwrite all its fields but the current leaf; see `Threads.put`."""
        self._store.threads.put(thread.to_info(), keep=("metadata", "kind", "moved_from"))

    def get_thread(self, thread_id: str) -> ThreadMetadata | None:
        """Read a thread, or None; see `Threads.get`."""
        info = self._store.threads.get(thread_id)
        return self._metadata(info) if info else None

    def list_threads(self, filters: ThreadListFilters = ThreadListFilters()) -> list[ThreadMetadata]:  # noqa: B008  # frozen
        """List threads, the last upsert first; see `Threads.recent`."""
        rows = self._store.threads.recent(filters.limit, archived=filters.include_archived, by="updated_at")
        return [self._metadata(info) for info in rows]

    def mark_archived(self, thread_id: str) -> None:
        """Archive a thread, now; see `ThreadHandle.archive`."""
        self._store.thread(thread_id).archive()

    def mark_unarchived(self, thread_id: str) -> None:
        """Take a thread out of the archive; see `ThreadHandle.unarchive`."""
        self._store.thread(thread_id).unarchive()

    def delete_thread(self, thread_id: str) -> bool:
        """Move a thread to the trash; say whether it was there; see `Threads.delete`."""
        return self._store.threads.delete(thread_id)

    def set_thread_memory_mode(self, thread_id: str, mode: str | None) -> None:
        """Set or clear a thread's memory mode; see `Threads.update`."""
        self._store.threads.update(thread_id, memory_mode=mode)

    def get_thread_memory_mode(self, thread_id: str) -> str | None:
        """Give a thread's memory mode, None where it has none or is missing."""
        info = self._store.threads.get(thread_id)
        return info.memory_mode if info else None

    def find_rollout_path_by_id(self, thread_id: str) -> str | None:
        """Give a thread's rollout path, None where it has none or is missing."""
        info = self._store.threads.get(thread_id)
        return info.rollout_path if info else None

    def append_thread_name(
        self, thread_id: str, thread_name: str | None, updated_at: int, rollout_path: str | None = None
    ) -> None:
        """Note what a thread is called, whether it is here or not; see `Names.append`."""
        self._store.names.append(thread_id, thread_name, updated_at, rollout_path)

    def find_thread_name_by_id(self, thread_id: str) -> str | None:
        """Give a thread's name, None where it has none or nobody knows it; see `Names.get`."""
        return self._store.names.get(thread_id)

    def find_thread_names_by_ids(self, ids: Iterable[str]) -> dict[str, str | None]:
        """Give the names of several threads, each asked for a key; see `Names.get_all`."""
        return self._store.names.get_all(ids)

    def find_thread_path_by_name_str(self, name: str) -> str | None:
        """Give the rollout path of the thread of a name, whatever its case; see `Names.path_of`."""
        return self._store.names.path_of(name)

    def upsert_thread_goal(self, goal: ThreadGoalRecord) -> None:
        """Replace a thread's goal; see `Goal.put`."""
        self._store.thread(goal.thread_id).goal.put(goal)

    def record_thread_goal_usage(
        self, thread_id: str, token_delta: int, time_delta_seconds: int, now: int
    ) -> ThreadGoalRecord | None:
        """Add to what was spent on a thread's goal; give it, or None where there is none; see `Goal.accrue`."""
        return self._store.thread(thread_id).goal.accrue(tokens=token_delta, seconds=time_delta_seconds, now=now)

    def record_thread_goal_continuation(self, thread_id: str, now: int) -> ThreadGoalRecord | None:
        """Count that a thread's goal was gone on with; see `Goal.note_continuation`."""
        return self._store.thread(thread_id).goal.note_continuation(now=now)

    def get_thread_goal(self, thread_id: str) -> ThreadGoalRecord | None:
        """Read a thread's goal, or None; see `Goal.get`."""
        return self._store.thread(thread_id).goal.get()

    def delete_thread_goal(self, thread_id: str) -> bool:
        """Take a thread's goal away; say whether there was one; see `Goal.delete`."""
        return self._store.thread(thread_id).goal.delete()

    def persist_dynamic_tools(self, thread_id: str, tools: Iterable[DynamicToolRecord]) -> None:
        """Replace the set of a thread's dynamic tools; see `Tools.replace`."""
        self._store.thread(thread_id).tools.replace(tools)

    def get_dynamic_tools(self, thread_id: str) -> list[DynamicToolRecord]:
        """Give a thread's dynamic tools by position; see `Tools.all`."""
        return self._store.thread(thread_id).tools.all()

    def save_checkpoint(self, thread_id: str, checkpoint_id: str, state: Json) -> None:
        """Keep a state under a name; see `Checkpoints.save`."""
        self._store.thread(thread_id).checkpoints.save(checkpoint_id, state)

    def load_checkpoint(self, thread_id: str, checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Read a checkpoint, the one saved last where none is named; None where there is none; see `Checkpoints`."""
        checkpoints = self._store.thread(thread_id).checkpoints
        return checkpoints.newest() if checkpoint_id is None else checkpoints.get(checkpoint_id)

    def list_checkpoints(self, thread_id: str, limit: int | None = 100) -> list[CheckpointRecord]:
        """List a thread's checkpoints, the one saved last first; see `Checkpoints.recent`."""
        return self._store.thread(thread_id).checkpoints.recent(limit)

    def delete_checkpoint(self, thread_id: str, checkpoint_id: str) -> bool:
        """Take a checkpoint away; say whether it was there; see `Checkpoints.delete`."""
        return self._store.thread(thread_id).checkpoints.delete(checkpoint_id)

    def upsert_job(self, job: JobStateRecord) -> None:
        """Insert a job, or overwrite all its fields; see `Jobs.put`."""
        self._store.jobs.put(job)

    def get_job(self, job_id: str) -> JobStateRecord | None:
        """Read a job, or None; see `Jobs.get`."""
        return self._store.jobs.get(job_id)

    def list_jobs(self, limit: int | None = 100) -> list[JobStateRecord]:
        """List jobs, the newest update first; see `Jobs.recent`."""
        return self._store.jobs.recent(limit)

    def delete_job(self, job_id: str) -> bool:
        """Take a job away; say whether it was there; see `Jobs.delete`."""
        return self._store.jobs.delete(job_id)

    def append_message(self, thread_id: str, role: str, content: Json, item: Json | Absent = ABSENT) -> str:
        """Add a message below the current leaf; give its id; see `Messages.append`."""
        return self._store.thread(thread_id).messages.append(role, content, item=item).id

    def list_messages(self, thread_id: str, limit: int | None = 500) -> list[MessageRecord]:
        """List the current branch, oldest first, only the `limit` nearest its leaf; see `Messages.branch`."""
        return self._records(thread_id, self._store.thread(thread_id).messages.branch(limit))

    def list_leaf_messages(self, thread_id: str) -> list[MessageRecord]:
        """List the messages that have none below them; see `Messages.leaves`."""
        return self._records(thread_id, self._store.thread(thread_id).messages.leaves())

    def set_current_leaf_id(self, thread_id: str, current_leaf_id: str) -> None:
        """Make a message the current leaf; see `Messages.checkout`."""
        self._store.threads[thread_id].messages.checkout(current_leaf_id)

    def fork_at_message(
        self,
        message_id: str,
        role: str,
        content: Json,
        item: Json | Absent = ABSENT,
        *,
        thread_id: str | None = None,
    ) -> str:
        """Add a message below any other, of any thread where none is named; see `Messages.fork`."""
        threads = self._store.threads
        thread = threads.with_message(message_id) if thread_id is None else threads[thread_id]
        return thread.messages.fork(message_id, role, content, item=item).id

    def clear_messages(self, thread_id: str) -> int:
        """Remove all messages of all branches; give how many; see `Messages.clear`."""
        return self._store.thread(thread_id).messages.clear()

    def _metadata(self, info: ThreadInfo) -> ThreadMetadata:
        leaf = self._store.thread(info.id).messages.leaf()
        return ThreadMetadata.of(info, leaf.id if leaf else None)

    def _records(self, thread_id: str, messages: list[Message]) -> list[MessageRecord]:
        return [MessageRecord.of(thread_id, message) for message in messages]
