"""import: conversations of other systems become threads, under ids derived from the source.

The same import on two machines writes the same bytes, so that a merge of the two is one set of records; done twice on one
machine it adds nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fsstore import clock, codec
from fsstore.codec import ABSENT
from fsstore.errors import AlreadyExistsError
from fsstore.records.threads import ThreadInfo
from fsstore.upkeep import oasst, sharegpt
from fsstore.upkeep.conversation import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from fsstore.codec import Json, Object
    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store
    from fsstore.upkeep.conversation import Conversation, Turn

#: The formats that can be imported, each with its reader.
FORMATS = {"oasst": oasst.conversations, "sharegpt": sharegpt.conversations}
#: Characters of the first message that stand in a thread's `preview`.
_PREVIEW = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one conversation.

    Attributes:
        thread_id: Its thread.
        is_new: Whether the import began the thread.
        added: How many messages were added.
        known: How many were there already.
        differing: How many ids the thread holds with other words than the source; if any, nothing was added.
    """

    thread_id: str
    is_new: bool
    added: int
    known: int
    differing: int = 0


def import_stream(store: Store, format: str, stream: BinaryIO, name: str) -> Iterator[Imported]:
    """Import conversations one after the other, as the result is iterated.

    Args:
        store: Where to.
        format: One of `FORMATS`.
        stream: The file, open for reading bytes.
        name: What error messages call the file.

    Raises:
        SourceError: The file is not of that format at some place; what stood before it is imported, nothing of it is.

    On disk: Per conversation a thread with its meta.json, then all its messages in one write.
    Crash: A thread may be there without its messages; the same import completes it.
    Concurrency: The same import twice at once adds every message once.
    """
    for conversation in FORMATS[format](stream, name):
        with reading(name, conversation.place):
            times = [turn.time for turn in conversation.turns if turn.time]
            imported = add_conversation(store, conversation, _info(conversation, times), min(times, default=0))
        yield imported


def add_conversation(store: Store, conversation: Conversation, info: ThreadInfo, time: int) -> Imported:
    """Begin the thread of a conversation, where it is not there, and add the messages that it does not know.

    Args:
        store: Where to.
        conversation: The messages.
        info: What the thread is; it counts only where the thread is new.
        time: When the thread began, in milliseconds since 1970.

    Raises:
        ValueError: Something that the store cannot hold; nothing was changed.

    On disk: meta.json, with the thread's name before that; then the messages in one write.
    Crash: The thread may be there without its messages; the same import completes it.
    Concurrency: The same import twice at once adds every message once.
    """
    thread = store.thread(conversation.thread_id)
    records = _records(conversation)
    codec.check_json(records, "the conversation")  # before the thread is begun
    is_new = _begin(store, info, time)
    differing = 0 if is_new else _count_differing(thread, records)
    if differing:
        return Imported(thread_id=thread.id, is_new=False, added=0, known=len(records) - differing, differing=differing)
    leaf = records[conversation.leaf]["id"] if isinstance(conversation.leaf, int) else conversation.leaf
    added = thread.messages.import_records(records, leaf_id=leaf)
    return Imported(thread_id=thread.id, is_new=is_new, added=len(added), known=len(records) - len(added))


class DerivedIds:
    """Ids made of a source's own ids and times: the same on every machine, ascending in the order of asking.

    Args:
        thread_id: The thread, or whatever else has ids of its own in the source.
    """

    def __init__(self, thread_id: str) -> None:
        self._thread_id = thread_id
        self._stamp = -1

    def next(self, time: int, key: str) -> str:
        """Give the next id.

        Args:
            time: Milliseconds since 1970.
            key: What the source calls it.

        Raises:
            ValueError: A time after the year 3000.
        """
        self._stamp = max(time << 12, self._stamp + 1)
        digest = hashlib.sha256(f"{self._thread_id}\0{key}".encode()).digest()
        bits = int.from_bytes(digest[:8], "big") >> 2 | 1 << 63  # the variant and 62 bits
        id = clock.spell_id(self._stamp, clock.suffix_of(bits))
        if not clock.is_id(id):
            raise ValueError("a time after the year 3000")
        return id


def _info(conversation: Conversation, times: list[int]) -> ThreadInfo:
    turns = conversation.turns
    return ThreadInfo(
        id=conversation.thread_id,
        preview=" ".join(turns[0].content.split())[:_PREVIEW] if turns else "",
        created_at=min(times, default=0) // 1000,
        updated_at=max(times, default=0) // 1000,
        metadata=conversation.metadata,
    )


def _begin(store: Store, info: ThreadInfo, time: int) -> bool:
    """Begin the thread, the same bytes on every machine; say whether it is new."""
    if info.id in store.threads:
        return False
    try:
        store.threads.add(info, version=DerivedIds(info.id).next(time, "meta"))
    except AlreadyExistsError:  # begun meanwhile by another process
        return False
    return True


def _records(conversation: Conversation) -> list[Object]:
    """Give the messages under their derived ids, ascending in the order of the log."""
    records: list[Object] = []
    ids = DerivedIds(conversation.thread_id)
    for at, turn in enumerate(conversation.turns):
        id = ids.next(turn.time, str(at) if turn.given_id is None else turn.given_id)
        parent = None if turn.parent is None else records[turn.parent]["id"]
        records.append({**_fields(turn), "id": id, "parent_id": parent})
    return records


def _fields(turn: Turn) -> Object:
    named: Object = {} if turn.given_id is None else {"given_id": turn.given_id}
    if turn.item is not ABSENT:
        named["item"] = turn.item
    return {**turn.extra, **named, "role": turn.role, "content": turn.content, "created_at": turn.time // 1000}


def _count_differing(thread: ThreadHandle, records: list[Object]) -> int:
    """Count the messages that the thread holds under the same id with other words: another source used its ids."""
    said = {}
    for message in thread.messages:
        said[message.record_id] = said[message.id] = (message.role, message.content)
    return sum(_differs(record, said.get(record.get("given_id", "")) or said.get(record["id"])) for record in records)


def _differs(record: Object, said: tuple[str, Json] | None) -> bool:
    return said is not None and said != (record["role"], record["content"])
