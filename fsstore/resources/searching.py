"""Words, whatever their case and accents, and which logs may hold them: told by a log's bytes, without an index."""

from __future__ import annotations

import re
import unicodedata

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import whole_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    #: Characters and what they fold to, as UTF-8; and of each word what they cannot stand for.
    _Spellings: TypeAlias = tuple[list[tuple[bytes, bytes]], list["_Needle"]]

_WORD = re.compile(r"[^\W_]+")
_ASCII = bytes(range(128))
_PIECE = 1 << 12
#: Different non-ASCII characters of a block up to which what they fold to is remembered, and of how many blocks.
_SHORT, _REMEMBERED = 256, 4096


class _Folding(dict[int, str]):
    """What each character counts as; a table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        bare = "".join(one for one in unicodedata.normalize("NFKD", chr(code)) if unicodedata.category(one)[0] != "M")
        folded = self[code] = bare.casefold()
        return folded


_FOLDING = _Folding()


def fold(text: str) -> str:
    """Give a text without case and accents: decomposed (NFKD), without combining marks, case-folded."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


class Words:
    """Some words to look for, any of which is enough.

    A word is a maximal run of letters and digits of the folded text. Text and bytes that hold one as a whole word are
    always told; `may_be_in` also tells of some that hold it within another word, or in what is no text.

    Args:
        text: The words, between anything else.
    """

    def __init__(self, text: str) -> None:
        self._words = frozenset(_WORD.findall(fold(text)))
        self._letters = frozenset("".join(self._words))
        self._needles = [_Needle(word.encode()) for word in self._words]
        self._remembered: dict[frozenset[str], _Spellings] = {}

    def __bool__(self) -> bool:
        return bool(self._words)

    def are_in(self, text: str) -> bool:
        """Say whether a text holds one of the words, as a whole word."""
        folded = fold(text)
        return any(_is_word_of(folded, word) for word in self._words)

    def may_be_in(self, path: str) -> bool:
        """Say whether a log may hold one of the words; no more of it than one block, or its longest line, is in memory."""
        try:
            fd = fs.open_read(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return any(map(self._may_be_in_lines, whole_lines(fd)))
        finally:
            fs.close(fd)

    def _may_be_in_lines(self, data: bytes) -> bool:
        if codec.may_hold_escapes(data):
            return True
        if data.isascii():
            return _any_in(self._needles, data)
        spellings, parts = self._spellings_of(_others(data))
        if not _any_in(parts, data):
            return False
        data = data.lower()
        for spelling, folded in spellings:
            data = folded.join(data.split(spelling))
        return _any_in(self._needles, data)

    def _spellings_of(self, others: bytes) -> _Spellings:
        """Give those characters of some non-ASCII ones that matter, each with what it folds to, both as UTF-8.

        Those matter that fold to a letter of the words, and those that vanish, since the letters around them then touch.
        With them goes of each word what must stand in bytes as it is, where only these characters fold to its letters.
        """
        characters = frozenset(others.decode(errors="ignore"))
        known = self._remembered.get(characters)
        if known is not None:
            return known
        folding = [(one, _FOLDING[ord(one)]) for one in characters]
        found = [(one, to) for one, to in folding if one != to and (not to or not self._letters.isdisjoint(to))]
        spellings = [(one.encode(), to.encode()) for one, to in found], self._literal_parts({to for _, to in found})
        if len(characters) <= _SHORT and len(self._remembered) < _REMEMBERED:
            self._remembered[characters] = spellings
        return spellings

    def _literal_parts(self, foldings: set[str]) -> list[_Needle]:
        if "" in foldings:
            return [_Needle(b"")]  # what vanishes may stand between any two letters
        if not foldings:
            return self._needles
        letters = re.compile(f"[{re.escape(''.join(foldings))}]")
        return [_Needle(max(letters.split(word), key=len).encode()) for word in self._words]


class _Needle:
    """Lower-case bytes to look for, whatever the case of ASCII letters."""

    __slots__ = ("_cases", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cases = [(bytes([one]), bytes([one]).upper()) for one in set(data)]

    def is_in(self, data: bytes) -> bool:
        """Say whether bytes hold these."""
        # A letter that is nowhere, as one of a rare word often is, is told in a tenth of the time of what follows; and `rfind`
        # takes less time than `in` does.
        for small, great in self._cases:
            if small not in data and great not in data:
                return False
        return data.lower().rfind(self._data) >= 0


def _others(data: bytes) -> bytes:
    """Give the bytes that are no ASCII; pieces without any are passed over."""
    pieces = [piece for at in range(0, len(data), _PIECE) if not (piece := data[at : at + _PIECE]).isascii()]
    return b"".join(pieces).translate(None, _ASCII)


def _any_in(needles: Iterable[_Needle], data: bytes) -> bool:
    return any(needle.is_in(data) for needle in needles)


def _is_word_of(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False
