"""What `check` can find: one value for each problem, and which of them `repair` mends."""

from __future__ import annotations

from dataclasses import dataclass

#: Problems of the lines of a log: rewriting it without what is no record mends them.
LINE_KINDS = frozenset(
    (
        "torn",
        "glued",
        "nul",
        "utf8",
        "not-json",
        "no-object",
        "conflict-marker",
        "bad-id",
        "duplicate-id",
        "conflicting-id",
        "unsorted",
    )
)
#: Problems that a repair can mend without asking, because nothing is lost by it.
FIXABLE = LINE_KINDS | {"leftover-temp", "stale-cache", "permissions", "index-differs"}
#: Problems that a live writer's next system call may take away: they are looked at twice.
PASSING = frozenset(("torn", "no-meta", "no-status", "no-run", "index-differs", "stale-cache"))
#: What could not be read, so that nobody knows what is in it.
UNREAD = frozenset(("unreadable", "format"))


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


def problem_at(root: str, path: str, kind: str, detail: str, offset: int | None = None) -> Problem:
    """Make the problem of a file of a store."""
    below = path.removeprefix(f"{root}/") if path != root else "."
    return Problem(path=below, offset=offset, kind=kind, detail=detail, fixable=kind in FIXABLE)
