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

_WORD = re.compile(r"[^\W_]+")
_ASCII = bytes(range(128))
#: Non-ASCII bytes of a block up to which what they fold to is remembered, and how many such are.
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
        self._needles = [word.encode() for word in self._words]
        self._spellings: dict[bytes, list[tuple[bytes, bytes]]] = {}

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
        data = data.lower()
        if codec.may_hold_escapes(data):
            return True
        spellings = [] if data.isascii() else self._spellings_of(data.translate(None, _ASCII))
        if not _any_in(self._literal_parts(spellings), data):
            return False
        for spelling, folded in spellings:
            data = folded.join(data.split(spelling))
        return _any_in(self._needles, data)

    def _literal_parts(self, spellings: list[tuple[bytes, bytes]]) -> list[bytes]:
        """Give of each word what must stand in bytes as it is, where only these characters fold to letters of the words."""
        if not all(folded for _, folded in spellings):
            return [b""]  # what vanishes may stand between any two letters
        letters = "".join({folded.decode() for _, folded in spellings})
        if not letters:
            return self._needles
        return [max(re.split(f"[{re.escape(letters)}]", word), key=len).encode() for word in self._words]

    def _spellings_of(self, others: bytes) -> list[tuple[bytes, bytes]]:
        """Give those characters of some non-ASCII ones that matter, each with what it folds to, both as UTF-8.

        Those matter that fold to a letter of the words, and those that vanish, since the letters around them then touch.
        """
        known = self._spellings.get(others)
        if known is not None:
            return known
        found = []
        for one in set(others.decode(errors="ignore")):
            folded = _FOLDING[ord(one)]
            if folded != one and (not folded or not self._letters.isdisjoint(folded)):
                found.append((one.encode(), folded.encode()))
        if len(others) <= _SHORT and len(self._spellings) < _REMEMBERED:
            self._spellings[others] = found
        return found


def _any_in(needles: Iterable[bytes], data: bytes) -> bool:
    return any(needle in data for needle in needles)


def _is_word_of(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False
