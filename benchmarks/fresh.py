"""What is measured in a process of its own, which prints it as JSON: `python -m benchmarks.fresh PROGRAM ARGS...`."""

from __future__ import annotations

import json
import resource
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load(side: str, path: str, limit: str) -> dict[str, Any]:
    """Time the first reading of a branch, all of it where the limit is 0; the store or connection is open before."""
    from benchmarks import sample

    if side == "ours":
        from benchmarks.ours import Ours as Side
        from benchmarks.ours import said_of
    else:
        from benchmarks.sqlite import Sqlite as Side
        from benchmarks.sqlite import said_of
    opened = Side(path)
    arguments = (int(limit),) if int(limit) else ()
    start = time.perf_counter()
    branch = opened.branch(*arguments)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "digest": sample.digest(said_of(branch))}


def scan(path: str) -> dict[str, Any]:
    """Go over all messages of a thread and keep none of their bodies."""
    from benchmarks import sample
    from benchmarks.ours import Ours

    opened = Ours(path)
    start = time.perf_counter()
    digest = sample.digest((message.role, message.content) for message in opened.messages)
    return {"seconds": time.perf_counter() - start, "digest": digest, "peak": _peak()}


def first_write(path: str) -> dict[str, Any]:
    """Say when filelock is imported: opening, reading and listing must not, the first write must."""
    from fsstore import Store

    store = Store.open(path)
    thread = store.thread("thread")
    thread.messages.branch(1)
    store.threads.recent()
    before = "filelock" in sys.modules
    thread.messages.append("user", "the first write")
    return {"before": before, "after": "filelock" in sys.modules}


def _peak() -> int:
    """Give the most memory that this process held, in bytes."""
    try:
        with open("/proc/self/status") as file:  # unlike ru_maxrss, it does not begin with what the parent held before exec
            return next(int(row.split()[1]) * 1024 for row in file if row.startswith("VmHWM"))
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(json.dumps({"load": load, "scan": scan, "first-write": first_write}[sys.argv[1]](*sys.argv[2:])))
