"""Threads: `ThreadInfo` as the store has it, and the views of it in the words of the stores."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from fsstore import clock
from fsstore.records.base import Record, member
from fsstore.records.enums import SessionSource, ThreadStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fsstore.codec import Json, Object


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadInfo(Record):
    """What a thread is: its `meta.json`.

    Times are whole Unix seconds. `metadata` is any JSON value of the caller's. `kind` is `session` where `SessionStore` began
    the thread, `data` where `DataStore` did: these may be cleaned up when nobody uses them any more. `moved_from` is what a
    thread that was given another id remembers of the old one: `id`, and a digest of all that `seen` was of it then.
    """

    KIND = "the thread"

    id: str
    name: str | None = None
    preview: str = ""
    status: ThreadStatus | str = ThreadStatus.IDLE
    source: SessionSource | str = SessionSource.UNKNOWN
    created_at: int = field(default_factory=clock.default_now)
    updated_at: int = field(default_factory=clock.default_now)
    archived: bool = False
    archived_at: int | None = None
    ephemeral: bool = False
    cwd: str = ""
    path: str | None = None
    rollout_path: str | None = None
    model_provider: str = ""
    cli_version: str = ""
    sandbox_policy: str | None = None
    approval_mode: str | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None
    memory_mode: str | None = None
    metadata: Json = field(default_factory=dict)
    kind: str | None = None
    moved_from: Json = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def _decoded(cls, known: Object) -> Object:
        if "status" in known:
            known["status"] = member(ThreadStatus, known["status"])
        if "source" in known:
            known["source"] = member(SessionSource, known["source"])
        return known


#: Fields of `ThreadInfo` that `ThreadMetadata` has as well.
_SHARED = tuple(name for name in ThreadInfo.__slots__ if name not in ("metadata", "kind", "moved_from", "extra"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMetadata:
    """A thread in the words of `StateStore`. `current_leaf_id` is read, never written: see `set_current_leaf_id`."""

    id: str
    rollout_path: str | None = None
    preview: str = ""
    ephemeral: bool = False
    model_provider: str = ""
    created_at: int = field(default_factory=clock.default_now)
    updated_at: int = field(default_factory=clock.default_now)
    status: ThreadStatus | str = ThreadStatus.IDLE
    path: str | None = None
    cwd: str = ""
    cli_version: str = ""
    source: SessionSource | str = SessionSource.UNKNOWN
    name: str | None = None
    sandbox_policy: str | None = None
    approval_mode: str | None = None
    archived: bool = False
    archived_at: int | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None
    memory_mode: str | None = None
    current_leaf_id: str | None = None
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, info: ThreadInfo, current_leaf_id: str | None) -> Self:
        """Make it of a thread's info and its current leaf."""
        shared = {name: getattr(info, name) for name in _SHARED}
        return cls(**shared, current_leaf_id=current_leaf_id, extra=info.extra)

    def to_info(self) -> ThreadInfo:
        """Give what the store keeps of it."""
        return ThreadInfo(**{name: getattr(self, name) for name in _SHARED}, extra=self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadListFilters:
    """Which threads to list.

    Attributes:
        include_archived: Whether archived threads are listed too.
        limit: How many at the most; None for all.
    """

    include_archived: bool = False
    limit: int | None = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread in the words of `ThreadStore`."""

    id: str = field(default_factory=lambda: f"thread_{uuid.uuid4().hex}")
    object: str = "thread"
    created_at: int = field(default_factory=clock.default_now)
    metadata: Json = field(default_factory=dict)
    extra: Object = field(default_factory=dict)

    @classmethod
    def of(cls, info: ThreadInfo) -> Self:
        """Make it of a thread's info."""
        return cls(id=info.id, created_at=info.created_at, metadata=info.metadata, extra=info.extra)

    def to_info(self) -> ThreadInfo:
        """Give what the store keeps of it."""
        return ThreadInfo(
            id=self.id, created_at=self.created_at, updated_at=self.created_at, metadata=self.metadata, extra=self.extra
        )
