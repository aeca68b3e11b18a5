"""What is measured in a process of its own, which prints it as JSON: `python -m benchmarks.fresh PROGRAM ARGS...`."""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def load(side: str, path: str, limit: str) -> dict[str, Any]:
    """Time the first reading of a branch, all of it where the limit is 0; the store or connection is open before."""
    from benchmarks import sample

    Side, said_of = _side(side)  # noqa: N806  # a class
    opened = Side(path)
    arguments = (int(limit),) if int(limit) else ()
    start = time.perf_counter()
    branch = opened.branch(*arguments)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "digest": sample.digest(said_of(branch))}


def goal(side: str, path: str) -> dict[str, Any]:
    """Time the first reading of a goal; the store or connection is open before."""
    opened = _side(side)[0](path)
    start = time.perf_counter()
    sums = opened.goal()
    return {"seconds": time.perf_counter() - start, "sums": sums}


def find(side: str, path: str, method: str, key: str) -> dict[str, Any]:
    """Time the opening and one look-up."""
    kind = _side(side)[0]
    start = time.perf_counter()
    answer = getattr(kind(path), method)(key)
    return {"seconds": time.perf_counter() - start, "answer": answer}


def lookup(path: str, message_id: str, *threads: str) -> dict[str, Any]:
    """Time the opening and a look-up by message id; the same look-up again; and, once each of some threads was read, of theirs.

    Also count the decodings of the first look-up.
    """
    from benchmarks.ours import Ours

    start = time.perf_counter()
    opened = Ours(path)
    opening = time.perf_counter() - start
    with _counting() as decoded:
        start = time.perf_counter()
        answer = opened.thread_of(message_id)
        seconds = time.perf_counter() - start
    again, answers = _mean(opened.thread_of, [message_id] * len(threads))
    beside, holders = _mean(opened.thread_of, [opened.at(thread).branch(50)[0].id for thread in threads])
    found = {"seconds": opening + seconds, "answer": answer, "decoded": len(decoded), "again": again, "beside": beside}
    return {**found, "answers": [*answers, *holders]}


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


def _side(name: str) -> tuple[Any, Any]:
    """Give the class of a side, and what its messages say."""
    module = importlib.import_module(f"benchmarks.{name}")
    return getattr(module, name.capitalize()), module.said_of


@contextmanager
def _counting() -> Iterator[list[bytes]]:
    """Collect all JSON that the store decodes."""
    import orjson

    loads, decoded = orjson.loads, []

    def collect(data: bytes) -> Any:
        decoded.append(data)
        return loads(data)

    orjson.loads = collect
    try:
        yield decoded
    finally:
        orjson.loads = loads


def _mean(call: Callable[[str], object], arguments: list[str]) -> tuple[float, list[object]]:
    """Give the seconds that a call takes, and what the calls gave."""
    start = time.perf_counter()
    answers = [call(argument) for argument in arguments]
    return (time.perf_counter() - start) / len(arguments), answers


def _peak() -> int:
    """Give the most memory that this process held, in bytes."""
    try:
        with open("/proc/self/status") as file:  # unlike ru_maxrss, it does not begin with what the parent held before exec
            return next(int(row.split()[1]) * 1024 for row in file if row.startswith("VmHWM"))
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


_PROGRAMS = {"load": load, "scan": scan, "first-write": first_write, "goal": goal, "find": find, "lookup": lookup}

if __name__ == "__main__":
    print(json.dumps(_PROGRAMS[sys.argv[1]](*sys.argv[2:])))
