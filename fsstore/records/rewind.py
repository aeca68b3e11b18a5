"""Going back to before a run: what is remembered for it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot:
    """A file as it was: its bytes and mode, or that it was not there. `path` is absolute, or below the working directory."""

    path: str
    content: bytes = b""
    did_not_exist: bool = False
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindEntry:
    """What to go back to.

    Attributes:
        prompt: The prompt of the run that would be undone.
        history_lengths: How long each panel's history was before it.
        file_snapshots: The files as they were before it.
        feed_index: The caller's own; given back in the result.
        run_id: The run that would be undone; None for the last one that is not rewound yet.
    """

    prompt: str = ""
    history_lengths: Mapping[str, int] = field(default_factory=dict)
    file_snapshots: Sequence[FileSnapshot] = ()
    feed_index: int = -1
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindResult:
    """What a rewind did. All paths are below the working directory.

    Attributes:
        file_msg: What people must be told of the files; empty where all are as they were.
        feed_index: The entry's own.
        note: The note of the run that was undone, empty where there is none.
        restored: The files that were given back their bytes and mode, or taken away again.
        left: The files that somebody changed since, and that were left as they are.
        copies: Where a file's bytes were kept that were not those expected, by the file's path.
        failed: Why a file could not be restored, by its path. Where there are any the entry stays on the stack, and the next
            rewind tries these files again.
    """

    file_msg: str = ""
    feed_index: int = -1
    note: str = ""
    restored: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
