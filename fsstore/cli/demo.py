"""`fsstore demo`: a small store made before one's eyes, and what it promises put to the test."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass

import click
from rich.text import Text

from fsstore.cli import demo_race
from fsstore.cli.demo_folder import folder_rows
from fsstore.cli.demo_story import tell
from fsstore.cli.exits import Exit
from fsstore.cli.options import json_option, open_store
from fsstore.cli.output import clean, emit, make_console, note
from fsstore.cli.treeing import Grown, print_tree
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

    from fsstore.cli.demo_race import Racer
    from fsstore.codec import Damage, Object
    from fsstore.resources.threads import ThreadHandle
    from fsstore.store import Store
    from fsstore.upkeep.check import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """What was acknowledged, held against what is there."""

    acknowledged: int
    found: int
    missing: list[str]
    twice: list[str]
    unasked: list[str]
    on_branch: int

    @property
    def is_right(self) -> bool:
        """Whether everything acknowledged is there once, and nothing else is."""
        return self.acknowledged == self.found and not (self.missing or self.twice or self.unasked)


@click.command()
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--root", metavar="DIR", help="The same as DIR.")
@json_option
@click.pass_context
def demo(context: click.Context, directory: str | None, root: str | None, as_json: bool) -> None:
    """Make a small store, break it, and count what is left.

    DIR is a new or empty directory, or a store, which gets one thread more; without it, a fresh temporary directory that is left
    for you to look at. Ends with 1 if anything that the store acknowledged is not there.
    """
    if directory and root:
        raise click.UsageError("name the directory once: as DIR or as --root")
    console = make_console(quiet=as_json)
    place = directory or root or tempfile.mkdtemp(prefix="fsstore-demo-")
    with open_store(place, lock_timeout=10.0, create=True) as store:
        count = _Demo(store, console).run(as_json)
    if not count.is_right:
        note(
            f"{len(count.missing)} acknowledged messages are missing, {len(count.twice)} are there twice: a bug, please report it"
        )
        context.exit(Exit.REFUSED)


class _Demo:
    def __init__(self, store: Store, console: Console) -> None:
        self._store = store
        self._console = console

    def run(self, as_json: bool) -> _Count:
        self._console.print(Text(f"A store in {clean(self._store.root)}", style="bold"))
        thread, ids = tell(self._store)
        self._show_conversation(thread)
        self._show_folder(thread)
        racers = self._race(thread)
        ids += [id for racer in racers for id in racer.acknowledged]
        ids.append(thread.messages.append("user", "And one more, after the damage.").id)
        damage, problems = thread.messages.damage(), list(self._store.check())
        self._show_damage(thread, damage)
        count = _count(thread, ids)
        self._show_count(thread, count, problems)
        if as_json:
            emit(_report(self._store, thread, racers, damage, problems, count))
        return count

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(f"  {clean(line)}")

    def _show_conversation(self, thread: ThreadHandle) -> None:
        self._title("1. A conversation that forks")
        self._say("The agent's first idea was set aside and another one taken. Nothing is lost: both branches are there.")
        self._say(
            "(* is the current branch, > its last message. `fsstore tree` draws this, `fsstore show` prints the branch.)", ""
        )
        print_tree(self._console, Grown(thread), indent="    ")
        run = thread.runs["run-1"]
        steps = ", ".join(str(step.step_type) for step in run.steps)
        self._say("", f"The agent's work is kept beside it: {run.id} is {run.info().status}, its steps were {steps}.")

    def _show_folder(self, thread: ThreadHandle) -> None:
        self._title("2. On disk: plain files")
        for row in folder_rows(self._store.root, thread.name):
            self._say(f"  {row}")
        with_id = fs.read_file(thread.messages.path).decode().splitlines()[0]
        self._say("", "Each message is one line of messages.jsonl, for ever. The first one:", "", f"  {with_id}")

    def _race(self, thread: ThreadHandle) -> list[Racer]:
        self._title("3. Four processes write at once, one is killed")
        self._say(
            f"Each appends {demo_race.MESSAGES} messages to this thread, and counts one only when the store has said it is safe."
        )
        self._say("The last one is made to write half a record and hang there, holding the lock; then it gets kill -9.", "")
        racers = demo_race.race(self._store.root, thread.id)
        for racer in racers:
            end = f", then {racer.half} bytes of half a record, then SIGKILL" if racer.half else ""
            self._say(f"  {racer.name} (pid {racer.pid}): {len(racer.acknowledged)} acknowledged{end}")
        return racers

    def _show_damage(self, thread: ThreadHandle, damage: list[Damage]) -> None:
        self._say(
            "", "The others did not wait for the dead: the next writer closed the fragment off with a ~ and went on below it."
        )
        data = fs.read_file(thread.messages.path)
        for place in damage:
            line = data[place.offset :].partition(b"\n")[0]
            self._say(f"The damage, at byte {place.offset} of messages.jsonl:", "", f"  {line.decode(errors='replace')}")

    def _show_count(self, thread: ThreadHandle, count: _Count, problems: list[Problem]) -> None:
        self._title("4. What is left")
        self._say(
            f"{count.acknowledged} messages were acknowledged, {count.found} are there, {count.on_branch} on the current branch."
        )
        verdict = "Every one of them is there, once." if count.is_right else f"MISSING: {count.missing}, TWICE: {count.twice}"
        self._say(verdict, "", "store.check() reads every file and says what it finds:")
        for problem in problems:
            self._say(f"  {problem}")
        self._say("It is no loss, nobody was told that this record is safe; and nothing is deleted behind your back.")
        self._title("Look around")
        root, id = self._store.root, thread.id
        self._say(f"ls -R {root}", f"fsstore tree {id} --root {root}", f"fsstore show {id} --last 5 --root {root}")


def _count(thread: ThreadHandle, ids: list[str]) -> _Count:
    there = Counter(message.id for message in thread.messages)
    asked = set(ids)
    return _Count(
        acknowledged=len(ids),
        found=there.total(),
        missing=[id for id in ids if id not in there],
        twice=[id for id, times in there.items() if times > 1],
        unasked=[id for id in there if id not in asked],
        on_branch=len(thread.messages.branch()),
    )


def _report(
    store: Store, thread: ThreadHandle, racers: list[Racer], damage: list[Damage], problems: list[Problem], count: _Count
) -> Object:
    return {
        "root": store.root,
        "thread_id": thread.id,
        "processes": [
            {
                "pid": racer.pid,
                "acknowledged": len(racer.acknowledged),
                "killed": racer.half > 0,
                "half_record_bytes": racer.half,
            }
            for racer in racers
        ],
        "acknowledged": count.acknowledged,
        "found": count.found,
        "missing": count.missing,
        "twice": count.twice,
        "unasked": count.unasked,
        "damage": [{"offset": place.offset, "kind": place.kind, "reason": place.reason} for place in damage],
        "check": [str(problem) for problem in problems],
        "ok": count.is_right,
    }
