"""The messages of a CodeWhale thread as turns, parents first, and which of them is the current leaf."""

from __future__ import annotations

from fsstore.codec import ABSENT
from fsstore.upkeep.codewhale_rows import KEPT_UNDER
from fsstore.upkeep.conversation import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsstore.codec import Absent, Object


def turns_of(rows: list[Object], report: Callable[[str, str], None]) -> list[Turn]:
    """Give the turns of a thread's messages.

    Args:
        rows: Their fields, in the order of their ids.
        report: Takes the id of a message and what is wrong with it.
    """
    if rows and rows[0]["parent_entry_id"] is ABSENT:  # version 0: one branch, by time
        rows = sorted(rows, key=lambda row: row["created_at"])
        return [_turn(row, at - 1 if at else None) for at, row in enumerate(rows)]
    turns: list[Turn] = []
    places: dict[str, int] = {}
    by_id: dict[str, Object] = {}
    for row in rows:
        if by_id.setdefault(row["id"], row) is not row:
            report(row["id"], "its id stands twice in the thread; the first one was taken")
    for row in _parents_first(by_id):
        parent = row["parent_entry_id"]
        above = places.get(parent)
        if above is None and parent is not None:
            report(row["id"], f"parent_entry_id {parent} names no message above it in its thread; it was taken for a root")
            row["extra"].setdefault(KEPT_UNDER, {})["parent_entry_id"] = parent
        places[row["id"]] = len(turns)
        turns.append(_turn(row, above))
    return turns


def leaf_of(leaf: str | Absent | None, turns: list[Turn]) -> int | Absent | None:
    """Give the position of the current leaf, None for none, absent for the last.

    Raises:
        ValueError: None of the turns has this id.
    """
    if leaf is None or leaf is ABSENT:
        return leaf
    for at in reversed(range(len(turns))):
        if turns[at].given_id == leaf:
            return at
    raise ValueError(f"current_leaf_id {leaf} names no message of the thread; the last one was taken")


def _parents_first(by_id: dict[str, Object]) -> Iterator[Object]:
    """Give messages in their order, but each behind the one above it.

    A message may have a lower id than its parent: CodeWhale itself put the messages of version 0 into a branch by their times.
    """
    given: set[str] = set()
    for row in by_id.values():
        path: list[Object] = []
        above: Object | None = row
        while above is not None and above["id"] not in given:  # what was given before, or stands on this very path
            path.append(above)
            given.add(above["id"])
            above = by_id.get(above["parent_entry_id"])
        yield from reversed(path)


def _turn(row: Object, parent: int | None) -> Turn:
    return Turn(
        role=row["role"],
        content=row["content"],
        parent=parent,
        given_id=row["id"],
        time=row["created_at"] * 1000,
        item=row["item"],
        extra=row["extra"],
    )
