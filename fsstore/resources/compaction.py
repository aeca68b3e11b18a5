"""Compaction: what a log of messages says, in fewer bytes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

from fsstore import codec
from fsstore.records.messages import is_in_tree, is_message, redacted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.resources.index import Index


#: Greater than every record.
_GONE = b"\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction took out of a log.

    Attributes:
        messages: Removed and cleared messages, of each of which only a stub stays.
        redacted: Messages whose line says what a redaction made of it from now on.
        duplicates: Records that stood there twice.
        damaged: Places with bytes that are in quarantine now: no record, or one that loses against another of its id.
        freed: By how many bytes the log is shorter.
    """

    messages: int = 0
    redacted: int = 0
    duplicates: int = 0
    damaged: int = 0
    freed: int = 0


@dataclass(frozen=True, slots=True)
class Folded:
    """What a log's records say of each other.

    Attributes:
        gone: The record ids of the messages that are gone.
        redactions: For those that were redacted and are not gone, the record that counts, by the message's record id.
    """

    gone: frozenset[str] = frozenset()
    redactions: dict[str, Object] = field(default_factory=dict)

    @classmethod
    def of(cls, fd: int, index: Index) -> Folded:
        """Tell it from the index of the log open as `fd`."""
        ids = [index.id_at(fd, at).decode() for at, gone in enumerate(index.tree.gone) if gone]
        redactions = [index.redaction_at(fd, at) for at in index.redacted if not index.tree.gone[at]]
        return cls(frozenset(ids), {record["message_id"]: record for record in redactions})


class Compaction:
    """One pass over a log's bytes.

    Attributes:
        data: The bytes that are left: each record once, ascending by id.
        pieces: What is no record, or loses against another of its id: its offset, its bytes, and why it goes.
        messages: How many messages became stubs.
        redacted: How many messages' lines became what a redaction says.
        duplicates: How many records stood there twice.
    """

    def __init__(self, data: bytes, folded: Folded) -> None:
        self.pieces: list[tuple[int, bytes, str]] = []
        self.messages = 0
        self.redacted = 0
        self.duplicates = 0
        self._folded = folded
        #: By id, and whether it is of the tree: the record that counts, as it stands there, and what becomes of it.
        self._kept: dict[tuple[str, bool], tuple[bytes, bytes]] = {}
        at = 0
        for raw in BytesIO(data):
            self._take_line(at, raw)
            at += len(raw)
        self.data = b"".join(line for _, (_, line) in sorted(self._kept.items()))

    def _take_line(self, at: int, raw: bytes) -> None:
        line = codec.read_line(raw)
        reason = line.damage[0][1] if line.damage else "no record"
        end = 0
        for piece in line.records:
            self._set_aside(at + end, raw[end : piece.start], reason)
            self._take(at + piece.start, piece.record, raw[piece.start : piece.end] + b"\n")
            end = piece.end
        self._set_aside(at + end, raw[end:], reason)

    def _set_aside(self, at: int, rest: bytes, reason: str) -> None:
        if rest.strip(b" \t\r\n\0~"):
            self.pieces.append((at, rest, reason))

    def _take(self, at: int, record: Object, line: bytes) -> None:
        id = record["id"]
        in_tree = is_in_tree(record)
        before, left = self._kept.get((id, in_tree), (None, line))
        self.duplicates += before is not None
        said = line
        if in_tree and id in self._folded.gone:
            self.messages += before is None and is_message(record)
            parent = record.get("parent_id")  # what is no text makes a root, and may be what cannot be written
            line = codec.encode_line({"id": id, "parent_id": parent if isinstance(parent, str) else None, "type": "gone"})
        elif in_tree and id in self._folded.redactions:
            with suppress(ValueError):  # another program's, that can be read and not be written: both lines stay
                line = codec.encode_line(redacted(record, self._folded.redactions[id]))
            self.redacted += before is None and line != said
        elif record.get("type") == "redacted":
            line = self._redaction(record, line)
        elif before is not None and said != before:
            self.pieces.append((at, min(before, said), f"id {id} stands here twice, and this says something else"))
        if record.get("type") == "gone":
            said, line = _GONE, line if before is None else left
        # Readers compare what stands in the log, not what becomes of it; `gone` beats all, and the parent stays.
        self._kept[id, in_tree] = (said, line) if before is None or said >= before else (before, left)

    def _redaction(self, record: Object, line: bytes) -> bytes:
        """Give the line of a redaction: without its body, which nobody sees, where another one counts or the message is gone.

        That of a message which is not here yet is kept.
        """
        id, message = record["id"], str(record.get("message_id"))
        counts = self._folded.redactions.get(message)
        if message in self._folded.gone or (counts and counts["id"] != id):
            return codec.encode_line({"id": id, "type": "redacted", "message_id": message})
        with suppress(ValueError):  # see `_take`
            return codec.encode_line(counts) if counts else line
        return line
