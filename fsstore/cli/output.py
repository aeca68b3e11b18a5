"""What goes to the terminal: text without control characters, or JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from io import TextIOWrapper
from itertools import chain

from rich.console import Console
from rich.text import Text

from fsstore.errors import CorruptError
from fsstore.records.message_views import text_of
from fsstore.records.messages import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn

    from fsstore.codec import Json, Object
    from fsstore.resources.thread import ThreadHandle

#: C0 but tab and newline, DEL, C1, the line separators, what turns the direction of writing, and half characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

#: Columns for the ids of a list; in a terminal longer ones are cut.
_ID_WIDTH = 36
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Make a console that prints text as it is: no markup, no emoji codes, no guessed colours."""
    return _Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False, soft_wrap=True)


def prepare() -> None:
    """Have what the terminal's encoding lacks printed as an escape, not as an error; a stream that was closed takes all."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def clean(text: str) -> str:
    """Give text without anything that a terminal would obey; lines and tabs stay."""
    return _CONTROL.sub(_spell, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 1000) -> str:
    """Give the beginning of a text on one line, `clean`."""
    return clean(" ".join(text[: 4 * limit].split()))[:limit]


def _spell(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def count_of(number: int, thing: str) -> str:
    """Give a number of things in words."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def number(value: Json) -> str:
    """Give a number for people; what is none as it is."""
    return f"{value:,}" if type(value) is int else brief(value)


def when(seconds: Json) -> str:
    """Give a time of day for people, in their time zone; a dash where nobody said."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"
    except (OverflowError, TypeError, ValueError, OSError):
        return brief(seconds)


def how_long(seconds: Json) -> str:
    """Give a duration for people, its two greatest units; what is none as it is."""
    if type(seconds) is not int:
        return brief(seconds)
    rest, parts = abs(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return ("-" if seconds < 0 else "") + (" ".join(parts[:2]) or "0 s")


def words_of(content: Json) -> str:
    """Give a message's content for people: its text, and what is no text as JSON."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else [content]
    return "\n".join(text_of([block]) or json.dumps(block, ensure_ascii=False) for block in blocks)


def brief(content: Json, limit: int = 200) -> str:
    """Give the beginning of any value for people on one line, `clean`."""
    return one_line(words_of(content), limit)


def name_of(thread: ThreadHandle) -> Json:
    """Give a thread's name, None also where its meta.json cannot be read."""
    try:
        return thread.info().name
    except CorruptError:
        return None


def print_head(console: Console, id: str, title: Json, text: Json = None) -> None:
    """Print what stands above all that is said of one thing: its id and title, and below them a text, if there is any."""
    console.print(Text(f"{one_line(id)}  {brief(title or '')}".rstrip(), style="bold"))
    if text:
        console.print()
        print_content(console, text)
        console.print()


def print_table(
    console: Console, heading: str, ids: list[str], columns: Mapping[str, str], rows: Iterable[tuple[str | int, ...]]
) -> None:
    """Print rows in columns; each is printed when it is made, and in a terminal cut at its edge.

    Args:
        console: Where to.
        heading: What stands above the ids.
        ids: The first column.
        columns: What stands above the others, and the format of what stands in each.
        rows: For each id what stands behind it.
    """
    first = [Text(one_line(id)) for id in ids]
    room = console.width if console.is_terminal else None
    width = min(max([len(heading), *(id.cell_len for id in first)]), _ID_WIDTH, room // 3 if room else _ID_WIDTH)
    formats = columns.values()
    for id, row in chain([(Text(heading, style="bold"), tuple(columns))], zip(first, rows, strict=True)):
        if room:
            id.truncate(width, overflow="ellipsis")  # a beginning of it is as good
        id.pad_right(max(0, width - id.cell_len))
        cells = (f"  {cell:{form}}" for cell, form in zip(row, formats, strict=True))
        print_row(console, id.append("".join(cells)))


def print_row(console: Console, row: Text) -> None:
    """Print one line; in a terminal cut at its edge."""
    row.rstrip()
    if console.is_terminal:
        row.truncate(console.width, overflow="ellipsis")
    console.print(row)


def print_fields(console: Console, fields: Mapping[str, str]) -> None:
    """Print what there is to say of one thing, a line each."""
    width = max(map(len, fields))
    for name, value in fields.items():
        print_row(console, Text(f"{name:{width}}  ", style="dim").append(value, style="not dim"))


def print_content(console: Console, content: Json) -> None:
    """Print a message's content, or any other value, for people: indented, and wrapped in a terminal."""
    print_indented(console, words_of(content), 4, console.width if console.is_terminal else None)


def print_indented(console: Console, text: str, indent: int, width: int | None) -> None:
    """Print text, cleaned, a few columns from the left; wrapped at `width`, where there is one."""
    body = Text(clean(text), tab_size=4)
    lines = body.wrap(console, max(20, width - indent)) if width else body.split(allow_blank=True)
    for line in lines:
        line.rstrip()
        console.print(Text(" " * indent).append_text(line) if line else "")


def message_json(message: Message) -> Object:
    """Give a message for programs."""
    item = {"item": message.item} if message.has_item else {}
    return {
        "id": message.id,
        "record_id": message.record_id,
        "parent_id": message.parent_id,
        "role": message.role,
        "content": message.content,
        **item,
        "created_at": message.created_at,
        "run_id": message.run_id,
        "extra": message.extra,
    }


def emit(value: Json, indent: int | None = None) -> None:
    """Print JSON, on one line unless indented; in UTF-8 whatever the terminal's encoding, control characters escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.buffer.write(text.encode() + b"\n")


def note(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"fsstore: {one_line(text)}\n")


def note_unreadable(found: list[CorruptError], thing: str) -> None:
    """Say on stderr how many documents were passed over, if any, and why the first."""
    if found:
        note(f"passed over {count_of(len(found), thing)} that cannot be read, the first: {found[0].path}: {found[0].reason}")
