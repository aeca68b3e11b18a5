"""The demo: a small store made before one's eyes, and what it promises put to the test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fsstore.cli import demo_race
from fsstore.cli.demo_story import tell
from fsstore.cli.demo_text import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

    from fsstore.codec import Object
    from fsstore.resources.thread import ThreadHandle
    from fsstore.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What was acknowledged, held against what is there.

    Attributes:
        acknowledged: How many appends returned.
        found: How many messages are there.
        missing: Acknowledged, but not there.
        twice: There more than once.
        unasked: There, but never acknowledged.
        on_branch: How many stand on the current branch.
    """

    acknowledged: int
    found: int
    missing: list[str]
    twice: list[str]
    unasked: list[str]
    on_branch: int

    @classmethod
    def of(cls, thread: ThreadHandle, ids: list[str]) -> Count:
        """Count the messages of a thread, of which those of `ids` were acknowledged."""
        there = Counter(message.id for message in thread.messages)
        return cls(
            acknowledged=len(ids),
            found=there.total(),
            missing=[id for id in ids if id not in there],
            twice=[id for id, times in there.items() if times > 1],
            unasked=sorted(there.keys() - set(ids)),
            on_branch=len(thread.messages.branch()),
        )

    @property
    def is_right(self) -> bool:
        """Whether everything acknowledged is there once, and nothing else is."""
        return not (self.missing or self.twice or self.unasked)


def run(store: Store, console: Console) -> Object:
    """Run the demo; give for programs what it says to people. Its `ok` is whether everything acknowledged is there, once."""
    text = Text(console)
    text.begin(store.root)
    thread, ids = tell(store)
    text.conversation(thread)
    text.folder(store.root, thread)
    text.before_race()
    racers = demo_race.race(store.root, thread.id)
    ids += [id for racer in racers for id in racer.acknowledged]
    ids.append(thread.messages.append("user", "One more, after the damage.").id)
    damage, problems = thread.messages.damage(), list(store.check())
    text.after_race(racers, thread, damage)
    count = Count.of(thread, ids)
    text.count(count.acknowledged, count.found, count.on_branch, right=count.is_right)
    text.check(problems)
    text.end(store.root, thread.id)
    return {
        "root": store.root,
        "thread_id": thread.id,
        "processes": [racer.report() for racer in racers],
        "acknowledged": count.acknowledged,
        "found": count.found,
        "missing": count.missing,
        "twice": count.twice,
        "unasked": count.unasked,
        "damage": [{"offset": place.offset, "kind": place.kind, "reason": place.reason} for place in damage],
        "check": [str(problem) for problem in problems],
        "ok": count.is_right,
    }
