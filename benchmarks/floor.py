"""The least that an append can cost: lock, encode, write, unlock, on descriptors held open, and nothing checked."""

from __future__ import annotations

import os

import orjson
from filelock import lock_descriptor, unlock_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.sample import Said

_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def record_of(said: Said) -> dict[str, object]:
    """Give the record that fsstore would write of a message."""
    role, content = said
    return {"id": _ID, "parent_id": _ID, "role": role, "content": content, "created_at": 1_700_000_000}


def line_of(said: Said) -> bytes:
    """Give the line that fsstore would write of a message."""
    return orjson.dumps(record_of(said), option=orjson.OPT_APPEND_NEWLINE)


class Floor:
    """A bare log."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)

    def append_each(self, records: list[dict[str, object]]) -> None:
        """Append records one by one."""
        fd, lock, write, dumps, newline = self._fd, self._lock, os.write, orjson.dumps, orjson.OPT_APPEND_NEWLINE
        for record in records:
            while not lock_descriptor(lock, blocking=False):
                pass
            write(fd, dumps(record, option=newline))
            unlock_descriptor(lock)

    def append_each_synced(self, lines: list[bytes]) -> None:
        """Append ready lines one by one, each synced, without a lock."""
        fd, write, sync = self._fd, os.write, os.fdatasync
        for line in lines:
            write(fd, line)
            sync(fd)

    def said(self) -> list[Said]:
        """Read everything back."""
        with open(self.path, "rb") as file:
            return [(record["role"], record["content"]) for record in map(orjson.loads, file)]

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._fd)
        os.close(self._lock)
