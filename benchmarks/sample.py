"""The messages that every benchmark writes: lines of 322 bytes in the median, 728 in the mean, one in a hundred of 20 KB."""

from __future__ import annotations

import hashlib
import random
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypeAlias

    #: A role and a content.
    Said: TypeAlias = tuple[str, str]

#: As in real conversations, one character in about 95 needs an escape in JSON, and one message in ten is not all ASCII.
_WORDS = (
    "the parser reads a token and asks what comes next before it gives up, so that an error names the place where it began\n"
    "    return self.table[key] if key in self.table else self.miss(key)  # a miss is counted, and never kept for later\n"
    'simple but correct: every branch ends in a leaf, and every leaf has a way back to the root, "however old" the log may be\n'
    "$ pytest -q tests/unit && git commit -m 'say why' prints 42 passed in 0.61s, and the second time nothing at all to do\n"
)
_POOL = 1000
_LARGE = 20_000
#: The messages of a thread of many.
PER_THREAD = 100
#: What a line holds beside the content: ids, keys, role, time, and the message's number.
_AROUND = 158


@cache
def _pool() -> list[str]:
    source = random.Random(20)
    lengths = [max(8, min(8000, int(source.lognormvariate(5.1, 1.27)))) for _ in range(_POOL)]
    lengths[::100] = [_LARGE - _AROUND] * (_POOL // 100)
    text = _WORDS * (_LARGE // len(_WORDS) + 2)
    starts = (source.randrange(len(_WORDS)) for _ in lengths)
    pool = [text[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    return [said.replace("simple", "naïve") if at % 10 == 0 else said for at, said in enumerate(pool)]


def message(number: int) -> Said:
    """Give the message of a number; no two have the same content."""
    return ("assistant" if number % 2 else "user"), f"{number} {_pool()[number % _POOL]}"


def messages(start: int, count: int) -> list[Said]:
    """Give the messages of these numbers."""
    return [message(number) for number in range(start, start + count)]


def batches(start: int, end: int, size: int = 1000) -> Iterator[list[Said]]:
    """Give the messages of a range, so many at a time."""
    for first in range(start, end, size):
        yield messages(first, min(size, end - first))


def thread(number: int) -> tuple[str, str, str, list[Said]]:
    """Give the id of the thread of a number, its name, its rollout path, and its messages."""
    name = f"Fix the parser, round {number}"
    return f"thread-{number}", name, f"/rollouts/{number}.jsonl", messages(number * PER_THREAD, PER_THREAD)


def state(turn: int) -> dict[str, Any]:
    """Give what an agent keeps at a turn, 1 MB as JSON: the files it has open, what was said, what it knows of each line."""
    return {"turn": turn, **_state()}


@cache
def _state() -> dict[str, Any]:
    files = {f"src/package_{at % 7}/module_{at}.py": "".join(_pool()[at : at + 40])[:14_000] for at in range(0, 480, 10)}
    spoken = [{"role": role, "content": content} for role, content in messages(0, 300)]
    lines = [{"line": at, "column": at % 80, "score": at / 7, "seen": at % 3 == 0, "symbol": None} for at in range(2000)]
    return {"files": files, "messages": spoken, "plan": {"steps": ["read", "change", "test"], "done": 1}, "lines": lines}


def digest(said: Iterable[tuple[object, object]]) -> str:
    """Give one short text that differs when a message, or their order, does."""
    summary = hashlib.sha256()
    for role, content in said:
        summary.update(f"{role}\0{content}\0".encode())
    return summary.hexdigest()
