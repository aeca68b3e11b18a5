"""What goes to the terminal: text without control characters, or JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from io import TextIOWrapper

from rich.console import Console
from rich.text import Text

from fsstore.records.message_views import text_of
from fsstore.records.messages import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from fsstore.codec import Json, Object

#: C0 but tab and newline, DEL, C1, the line separators, what turns the direction of writing, and half characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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


def when(seconds: int) -> str:
    """Give a time of day for people, in their time zone; a dash where nobody said."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def words_of(content: Json) -> str:
    """Give a message's content for people: its text, and what is no text as JSON."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else [content]
    return "\n".join(text_of([block]) or json.dumps(block, ensure_ascii=False) for block in blocks)


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


def emit(value: Json) -> None:
    """Print one line of JSON, in UTF-8 whatever the terminal's encoding, control characters escaped."""
    text = json.dumps(value, ensure_ascii=False)
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.buffer.write(text.encode() + b"\n")


def note(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"fsstore: {one_line(text)}\n")
