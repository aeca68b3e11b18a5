"""Conversations in the shape of ShareGPT and FastChat: a JSON array of `{id, conversations: [{from, value}]}`."""

from __future__ import annotations

import codecs
import itertools
import json
import re

from fsstore.upkeep.conversation import Conversation, Turn, objects_at, others, reading, text_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from fsstore.codec import Json

_ROLES = {"human": "user", "gpt": "assistant"}
_BLOCK = 1 << 18
_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def conversations(stream: BinaryIO, file: str) -> Iterator[Conversation]:
    """Read conversations, one entry of the array at a time: memory does not hold the file. One entry a line does as well.

    Raises:
        SourceError: An entry is no conversation, or the file breaks off; those before it were given.
    """
    entries = _entries(_Text(stream))
    for number in itertools.count(1):
        place = f"entry {number}"
        with reading(file, place):
            try:
                conversation = _conversation(next(entries), place)
            except StopIteration:
                return
        yield conversation


def _conversation(entry: Json, place: str) -> Conversation:
    if not isinstance(entry, dict):
        raise ValueError("an entry must be an object")
    turns = [
        Turn(
            role=_ROLES.get(speaker := text_at(said, "from"), speaker),
            content=text_at(said, "value"),
            parent=at - 1 if at else None,
            extra=others(said, "from", "value"),
        )
        for at, said in enumerate(objects_at(entry, "conversations"))
    ]
    metadata = {name: value for name, value in entry.items() if name not in ("id", "conversations")}
    return Conversation(thread_id=text_at(entry, "id"), turns=turns, metadata=metadata, place=place)


def _entries(text: _Text) -> Iterator[Json]:
    if text.peek() == "{":  # one object after the other, without an array around them
        while text.peek():
            yield text.value()
        return
    if not text.take("["):
        raise ValueError("the file must hold a JSON array")
    while not text.take("]"):
        yield text.value()
        if not text.take(",") and text.peek() != "]":
            raise ValueError("a comma, or the end of the array, is missing before it" if text.peek() else "the file breaks off")
    if text.peek():
        raise ValueError("something follows the end of the array")


class _Text:
    """JSON text that is read as it is needed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Give the next character that is no white space; nothing at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> bool:
        """Pass over a character; say whether it was the next one."""
        found = self.peek() == character
        self._at += found
        return found

    def value(self) -> Json:
        """Read one JSON value; where it is not there whole, read on and try again."""
        self.peek()
        while True:
            try:
                value, self._at = _decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise ValueError("it is nested too deep") from None
            except ValueError:
                if self._more():
                    continue
                self._text, self._at = self._text[self._at :], 0
                _decoder.raw_decode(self._text)  # raises, with a place counted from the entry's own beginning
            else:
                return value

    def _more(self) -> bool:
        """Read as much again as is waiting, so that a long value is tried only a few times."""
        if self._ended:
            return False
        block = self._stream.read(max(_BLOCK, len(self._text) - self._at))
        self._ended = not block
        self._text, self._at = self._text[self._at :] + self._decode(block, self._ended), 0
        return not self._ended
