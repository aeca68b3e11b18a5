"""Ids that hope to be taken for each other, to leave their directory, or to break it."""

from __future__ import annotations

import random
import string
import unicodedata

from fsstore import layout

WINDOWS_DEVICES = [
    *("con", "prn", "aux", "nul", "CON", "Nul", "conin$", "conout$", "clock$"),
    *(f"{name}{digit}" for name in ("com", "lpt", "COM") for digit in "0123456789"),
]
HOSTILE = [
    *("../../etc/passwd", "..", ".", "...", "/", "//", "/etc/passwd", "a/b", "a:b", "a_b", "a\\b", "a b", "a.b", "a-b", "ab"),
    *("A", "a", "Ab", "AB", "aB", "ß", "SS", "ss", "\u1e9e", "\u0131", "I", "i", "\u0130", "\u212a", "K", "k"),
    *("\u00e9", "e\u0301", "\u00c5", "A\u030a", "\u212b", "\ufb01", "fi", "\uac00", "\u1100\u1161", "\uff0f", "\uff0e\uff0e"),
    *("a.", "a..", "a. .", ".a", "..a", "-a", "--", "_a", "__", "-", "_", "a-", "a_", "~", "~a", "a~", "$HOME", "*", "?", "|"),
    *("\0", "a\0", "\0a", "\n", "a\n", "con\n", "\r\n", "\t", " ", "  ", "a ", " a", "\x7f", "\u202e", "\u200b", "\ufeff"),
    *("%", "%%", "%2e", "%41", "%%41", "a%", "%a", "%61", "%c3%a9", "{}", '"', "'", "`", "<>"),
    *("\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0010ffff", "\uffff", "\ud7ff"),
    *WINDOWS_DEVICES,
    *(f"{device}.txt" for device in WINDOWS_DEVICES),
    *(f"{device}." for device in WINDOWS_DEVICES[:9]),
    *("con.tar.gz", "conn", "com", "com10", "xcon", "con-", "con txt", "nul:", "aux/..", "com\u00b9", "LPT\u00b3.x"),
    *("meta.json", "messages.jsonl", ".fsstore", "fsstore.json", "threads", "x.stamp", "x.json", "x.tmp", ".git", ".gitignore"),
    *("a" * length for length in (99, 100, 101, 143, 200, 254, 255, 256, 999, 1000)),
    *("A" * length for length in (33, 34, 50, 85, 86, 255, 1000)),
    *("\u00e9" * length for length in (16, 17, 42, 1000)),
    *("\U0001f600" * length for length in (8, 9, 1000)),
    *("." * length for length in (57, 58, 59, 99, 100, 101, 1000)),
    *("a" * 57 + "." * 100, "a" * 58 + "." * 100, "a" * 999 + "b", "a" * 999 + "B", "con." + "a" * 200),
    *("x%%" + "0" * 40, "%%" + "a" * 40, "a" * 58 + "%%" + "0123456789abcdef" * 2 + "01234567"),
]


def folded(name: str) -> str:
    """Give what a disk that folds case and normalises Unicode keeps apart by."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).rstrip(". ")


def mutants(rng: random.Random, count: int) -> set[str]:
    """Draw ids that lie close to each other: one edit, one case, one normalisation away from the hostile ones."""
    pieces = [*HOSTILE, *string.printable, *"\u00e9\u0301\u00c5\u0131\u0130\u017f\uff0f\uff0e"]
    found = set(HOSTILE)
    while len(found) < count:
        id = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 4)))[: rng.choice((5, 60, 120, 1000))]
        found.update(
            other
            for other in (id, id.upper(), id.lower(), unicodedata.normalize("NFD", id), unicodedata.normalize("NFC", id))
            if 0 < len(other) <= layout.ID_LIMIT
        )
    return found
