"""Open Assistant trees: one JSON object a line, `{message_tree_id, prompt: {message_id, text, role, replies: [...]}}`."""

from __future__ import annotations

from datetime import UTC, datetime

from fsstore import codec
from fsstore.upkeep.conversation import Conversation, Turn, objects_at, others, reading, text_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fsstore.codec import Object

#: What a message's keys become by themselves; `parent_id` says what the tree says.
_USED = ("message_id", "parent_id", "text", "role", "replies")


def conversations(lines: Iterable[bytes], file: str) -> Iterator[Conversation]:
    """Read trees, one a line; blank lines are passed over.

    Raises:
        SourceError: A line is no tree; those before it were given.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            with reading(file, f"line {number}"):
                conversation = _conversation(codec.decode_object(line), f"line {number}")
            yield conversation


def _conversation(tree: Object, place: str) -> Conversation:
    prompt = tree.get("prompt")
    if not isinstance(prompt, dict):
        raise ValueError("'prompt' must be the message that the tree begins with")
    messages, parents = _walk(prompt)
    turns = [_turn(message, parent) for message, parent in zip(messages, parents, strict=True)]
    _refuse_twins([turn.given_id for turn in turns])
    return Conversation(
        thread_id=text_at(tree, "message_tree_id"),
        turns=[_checked(turn, messages[at], turns) for at, turn in enumerate(turns)],
        leaf=_best_leaf(messages, parents),
        metadata={name: value for name, value in tree.items() if name not in ("message_tree_id", "prompt")},
        place=place,
    )


def _walk(prompt: Object) -> tuple[list[Object], list[int | None]]:
    """Give the messages depth first, replies in the source's order, and the position of each one's parent."""
    messages: list[Object] = []
    parents: list[int | None] = []
    waiting: list[tuple[Object, int | None]] = [(prompt, None)]
    while waiting:
        message, parent = waiting.pop()
        waiting.extend((reply, len(messages)) for reply in reversed(_replies(message)))
        messages.append(message)
        parents.append(parent)
    return messages, parents


def _replies(message: Object) -> list[Object]:
    return objects_at(message, "replies") if "replies" in message else []


def _turn(message: Object, parent: int | None) -> Turn:
    given_id = text_at(message, "message_id")
    if not given_id:
        raise ValueError("'message_id' is empty")
    return Turn(
        role=text_at(message, "role"),
        content=text_at(message, "text"),
        parent=parent,
        given_id=given_id,
        time=_milliseconds(message),
        extra=others(message, *_USED),
    )


def _checked(turn: Turn, message: Object, turns: list[Turn]) -> Turn:
    """Refuse a message that names another parent than the one it stands below."""
    parent = None if turn.parent is None else turns[turn.parent].given_id
    if message.get("parent_id") not in (None, parent):
        raise ValueError(f"message {turn.given_id} stands below {parent}, but says it belongs below {message['parent_id']}")
    return turn


def _refuse_twins(ids: list[str | None]) -> None:
    seen = set()
    for id in ids:
        if id in seen:
            raise ValueError(f"message {id} stands twice in the tree")
        seen.add(id)


def _milliseconds(message: Object) -> int:
    written = message.get("created_date")
    if not isinstance(written, str):
        return 0
    time = datetime.fromisoformat(written)
    return max(0, int(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000))


def _best_leaf(messages: list[Object], parents: list[int | None]) -> int:
    """Follow the best ranked reply of each message: the lowest rank; of equals, and where none is ranked, the first."""
    best: dict[int | None, int] = {}
    for at, parent in enumerate(parents):
        if parent not in best or _rank(messages[at]) < _rank(messages[best[parent]]):
            best[parent] = at
    at = best[None]
    while at in best:
        at = best[at]
    return at


def _rank(message: Object) -> float:
    rank = message.get("rank")
    return rank if isinstance(rank, (int, float)) else float("inf")
