"""`fsstore demo`: a small store made before one's eyes, and what it promises put to the test."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass

import click

from fsstore.cli import demo_race
from fsstore.cli.demo_story import tell
from fsstore.cli.demo_text import Text
from fsstore.cli.exits import Exit, WrongUsageError
from fsstore.cli.options import json_option, open_store
from fsstore.cli.output import emit, make_console, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.resources.threads import ThreadHandle
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


@click.command()
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--root", metavar="DIR", help="The same as DIR.")
@json_option
@click.pass_context
def demo(context: click.Context, directory: str | None, root: str | None, as_json: bool) -> None:
    """Make a small store, break it, and count what is left.

    DIR is a new or empty directory, or a store, which gets one thread more; without it, a fresh temporary directory that is
    left for you to look at. Ends with 1 if anything that the store acknowledged is not there.
    """
    if directory and root:
        raise WrongUsageError("name the directory once: as DIR or as --root")
    place = directory or root or tempfile.mkdtemp(prefix="fsstore-demo-")
    with open_store(place, lock_timeout=10.0, create=True) as store:
        report = _run(store, Text(make_console(quiet=as_json)))
    if as_json:
        emit(report)
    if not report["ok"]:
        note("not everything that was acknowledged is there, once: this is a bug, please report it with the folder")
        context.exit(Exit.REFUSED)


def _run(store: Store, text: Text) -> Object:
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
