"""What the demo says."""

from __future__ import annotations

from rich.text import Text as RichText

from fsstore.cli.demo_folder import folder_rows
from fsstore.cli.demo_race import MESSAGES
from fsstore.cli.output import clean, print_indented
from fsstore.cli.treeing import Grown, print_tree
from fsstore.disk import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

    from fsstore.cli.demo_race import Racer
    from fsstore.codec import Damage
    from fsstore.resources.thread import ThreadHandle
    from fsstore.upkeep.problems import Problem


class Text:
    """The demo's words, part by part."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.print(RichText(text, style="bold cyan"))

    def _say(self, text: str) -> None:
        """Print a paragraph, wrapped to the terminal."""
        print_indented(self._console, text, 2, self._console.width)

    def _rows(self, *rows: str) -> None:
        """Print rows as they are, an empty one before and behind them."""
        self._console.print()
        for row in rows:
            self._console.print(RichText(f"    {clean(row)}"))
        self._console.print()

    def begin(self, root: str) -> None:
        """Say where it is."""
        self._console.print(RichText(f"A store in {clean(root)}", style="bold"))

    def conversation(self, thread: ThreadHandle) -> None:
        """Show the message tree and the run."""
        self._title("1. A conversation that forks")
        self._say(
            "The agent's first idea was set aside for another one. Both are kept: * is the current branch, > its last message."
        )
        self._console.print()
        print_tree(self._console, Grown(thread), indent="    ")
        self._console.print()
        run = thread.runs["run-1"]
        steps = " and ".join(str(step.step_type) for step in run.steps)
        self._say(f"The agent's work is kept beside it: {run.id} is {run.info().status}; its steps were {steps}.")

    def folder(self, root: str, thread: ThreadHandle) -> None:
        """Show the files."""
        self._title("2. On disk: plain files")
        self._rows(*folder_rows(root, thread.place.name))
        self._say("A message is one line of messages.jsonl, and lines are only ever added. The first one:")
        self._rows(fs.read_file(thread.messages.path).decode().partition("\n")[0])
        self._say("Nothing else holds the truth: ls, grep, git diff and rsync work on it.")

    def before_race(self) -> None:
        """Say what the four processes are going to do."""
        self._title("3. Four processes write at once, and one is killed")
        self._say(
            f"Each appends {MESSAGES} messages to this thread, and counts one only when the store says it is safe on disk. "
            "The last one is made to write half a record, on purpose, and hang there with the lock held. Then it gets SIGKILL."
        )

    def after_race(self, racers: list[Racer], thread: ThreadHandle, damage: list[Damage]) -> None:
        """Say what they did, and show the damage."""
        self._rows(*(racer.sentence() for racer in racers))
        self._say("A dead process blocks nobody: the next writer closed the half record off with a ~ and went on below it.")
        data = fs.read_file(thread.messages.path)
        for place in damage:
            self._say(f"The damage, at byte {place.offset} of messages.jsonl, which every reader passes over:")
            self._rows(data[place.offset :].partition(b"\n")[0].decode(errors="replace"))

    def count(self, acknowledged: int, found: int, on_branch: int, *, right: bool) -> None:
        """Say what is there."""
        self._title("4. What is left")
        self._say(f"{acknowledged} messages were acknowledged, {found} are there, {on_branch} of them on the current branch.")
        self._say("Every acknowledged message is there, once." if right else "SOME ARE MISSING OR THERE TWICE.")

    def check(self, problems: list[Problem]) -> None:
        """Show what `Store.check` says."""
        self._console.print()
        self._say("store.check() reads every file and reports:")
        self._rows(*(str(problem) for problem in problems))
        self._say("That is the half record, which nobody was told is safe. Nothing is deleted behind your back.")

    def end(self, root: str, thread_id: str) -> None:
        """Say how to go on."""
        self._title("The folder is yours to look at")
        self._rows(f"ls -R {root}", f"fsstore tree {thread_id} --root {root}", f"fsstore show {thread_id} -n 3 --root {root}")
