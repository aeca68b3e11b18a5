"""One of the demo's processes: append messages, and print the id of each that the store acknowledged.

    python -m fsstore.cli.demo_worker ROOT THREAD NAME COUNT TEAR_AT

At message TEAR_AT (0: at none) it writes only the first half of the record, prints `half <bytes>`, and hangs as it is:
in the middle of an append, the lock held. Its parent kills it then.
"""

from __future__ import annotations

import sys
import time

from fsstore.disk import fs
from fsstore.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_write = fs.write


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _write_half(fd: int, data: bytes) -> NoReturn:
    written = _write(fd, data[: len(data) // 2])
    _say(f"half {written}")
    while True:
        time.sleep(60)


def main(root: str, thread_id: str, name: str, count: int, tear_at: int) -> None:
    """Wait for a line on the standard input, then append."""
    with Store.open(root) as store:
        messages = store.threads[thread_id].messages
        _say("ready")
        sys.stdin.readline()
        for number in range(1, count + 1):
            if number == tear_at:
                fs.write = _write_half  # type: ignore[assignment]  # the store's own append is what breaks off
            _say(messages.append("tool", f"{name}: result {number} of {count}").id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
