"""`fsstore tree`: a thread's branches, drawn."""

from __future__ import annotations

import click
from rich.text import Text

from fsstore.cli.options import find_thread, open_store, store_options
from fsstore.cli.output import emit, make_console, one_line, words_of
from fsstore.cli.reading import note_damage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from fsstore.records.messages import Message
    from fsstore.resources.thread import ThreadHandle

_PREVIEW = 200
_NONE = -1
_LINES = ("├─ ", "└─ ", "│  ", "   ")
_ASCII = ("|- ", "`- ", "|  ", "   ")


@click.command()
@click.argument("thread")
@click.option("--ids", is_flag=True, help="The messages' ids too, as `fsstore show --leaf` takes them.")
@store_options
def tree(thread: str, root: str, as_json: bool, ids: bool) -> None:
    """Draw a thread's message tree.

    A * stands before every message of the current branch, a > before its last one, the current leaf. What follows a message
    without another branch stands below it, not indented.
    """
    with open_store(root) as store:
        handle = find_thread(store, thread)
        grown = Grown(handle)
        if as_json:
            for node in grown.nodes:
                emit(node)
        else:
            print_tree(make_console(), grown, ids=ids)
        note_damage(handle)


class Grown:
    """A message tree with all that is drawn of it.

    Attributes:
        nodes: What there is to say of each message, in the order of the log.
        children: The positions below each position, and under -1 the roots.
    """

    def __init__(self, thread: ThreadHandle) -> None:
        branch = [message.record_id for message in thread.messages.branch()]
        current, leaf = set(branch), branch[-1] if branch else None
        self.nodes: list[dict[str, str | bool | None]] = []
        self.children: dict[int, list[int]] = {}
        places: dict[str | None, int] = {None: _NONE}
        for message in thread.messages:
            at = len(self.nodes)
            self.nodes.append(_node(message, message.record_id in current, message.record_id == leaf))
            # a parent stands before its child, so that nothing drawn can loop, ids given twice included
            self.children.setdefault(places.get(message.parent_id, _NONE), []).append(at)
            places[message.id] = at

    def rows(self, lines: tuple[str, str, str, str] = _LINES) -> Iterator[tuple[int, str]]:
        """Give each message in the order of drawing, with the lines that lead to it."""
        fork, last, through, blank = lines
        waiting = [(root, "", "") for root in reversed(self.children.get(_NONE, []))]
        while waiting:
            at, head, rest = waiting.pop()
            yield at, head
            below = self.children.get(at, [])
            if len(below) == 1:
                waiting.append((below[0], rest, rest))
                continue
            rows = [(child, rest + fork, rest + through) for child in below[:-1]]
            rows += [(child, rest + last, rest + blank) for child in below[-1:]]
            waiting.extend(reversed(rows))


def _node(message: Message, on_branch: bool, is_leaf: bool) -> dict[str, str | bool | None]:
    return {
        "id": message.id,
        "record_id": message.record_id,
        "parent_id": message.parent_id,
        "role": message.role,
        "preview": " ".join(words_of(message.content)[: 4 * _PREVIEW].split())[:_PREVIEW],
        "on_current_branch": on_branch,
        "is_current_leaf": is_leaf,
    }


def print_tree(console: Console, grown: Grown, *, ids: bool = False, indent: str = "") -> None:
    """Draw a tree, one line a message, cut to the width of the terminal."""
    if not grown.nodes:
        console.print(f"{indent}No messages.")
    room = console.width - len(indent) if console.is_terminal else _PREVIEW
    for at, guide in grown.rows(_LINES if console.encoding.startswith("utf") else _ASCII):
        shown = guide if len(guide) <= room // 2 else f"…{guide[len(guide) - room // 2 + 1 :]}"
        line = _row(grown.nodes[at], shown, ids)
        line.truncate(room, overflow="ellipsis")
        console.print(Text(indent).append_text(line))


def _row(node: dict[str, str | bool | None], guide: str, ids: bool) -> Text:
    style = "green" if node["on_current_branch"] else ""
    mark = "> " if node["is_current_leaf"] else "* " if style else "  "
    line = Text(mark, style="bold green").append(guide, style="dim")
    line.append(one_line(str(node["role"]), 20), style=f"bold {style}")
    if ids:
        line.append(f"  {one_line(str(node['id']))}", style="dim")
    return line.append(f"  {one_line(str(node['preview']))}", style=style)
