"""Compaction: what a log of messages says, in fewer bytes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from fsstore import codec
from fsstore.records.messages import is_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction took out of a log.

    Attributes:
        messages: Removed and cleared messages, of each of which only a stub stays.
        duplicates: Records that stood there twice.
        damaged: Places with bytes that are no record; the bytes are in quarantine.
        freed: By how many bytes the log is shorter.
    """

    messages: int = 0
    duplicates: int = 0
    damaged: int = 0
    freed: int = 0


class Compaction:
    """One pass over a log's bytes.

    Attributes:
        data: The bytes that are left: each record once, ascending by id.
        pieces: What is no record: its offset, its bytes, and why it is none.
        messages: How many messages became stubs.
        duplicates: How many records stood there twice.
    """

    def __init__(self, data: bytes, gone: set[str]) -> None:
        self.pieces: list[tuple[int, bytes, str]] = []
        self.messages = 0
        self.duplicates = 0
        self._gone = gone
        self._kept: dict[tuple[str, bool], bytes] = {}
        at = 0
        for raw in BytesIO(data):
            self._take_line(at, raw)
            at += len(raw)
        self.data = b"".join(line for _, line in sorted(self._kept.items()))

    def _take_line(self, at: int, raw: bytes) -> None:
        line = codec.read_line(raw)
        reason = line.damage[0][1] if line.damage else "no record"
        end = 0
        for piece in line.records:
            self._set_aside(at + end, raw[end : piece.start], reason)
            self._take(piece.record, raw[piece.start : piece.end] + b"\n")
            end = piece.end
        self._set_aside(at + end, raw[end:], reason)

    def _set_aside(self, at: int, rest: bytes, reason: str) -> None:
        if rest.strip(b" \t\r\n\0~"):
            self.pieces.append((at, rest, reason))

    def _take(self, record: Object, line: bytes) -> None:
        id = record["id"]
        in_tree = is_message(record) or record.get("type") == "gone"
        before = self._kept.get((id, in_tree))
        self.duplicates += before is not None
        if in_tree and id in self._gone:
            self.messages += before is None and is_message(record)
            parent = record.get("parent_id")  # what is no text makes a root, and may be what cannot be written
            line = codec.encode_line({"id": id, "parent_id": parent if isinstance(parent, str) else None, "type": "gone"})
        self._kept[id, in_tree] = line if before is None else max(before, line)
