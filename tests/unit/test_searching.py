from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsstore import codec
from fsstore.disk import fs
from fsstore.disk.follow import last_id, whole_lines
from fsstore.resources import searching
from fsstore.resources.searching import Words, fold

#: Letters that fold in every way: to one letter, to several, to none, and to themselves.
ALPHABET = (
    "abAB1_ .-\u00e9\u00c9\u0301\u00df\u1e9e\ufb01\uff21\u0130\u212a"
    "\u041f\u043f\u0438\u0439\u03c2\u65e5\u30ac\ud55c\u093f\u00bd\u00b2\u2764\ufe0f"
)
texts = st.text(st.sampled_from(ALPHABET), max_size=12)


def plain_words(text: str) -> set[str]:
    bare = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.category(one).startswith("M"))
    return set(re.findall(r"[^\W_]+", bare.casefold()))


@settings(max_examples=500, deadline=None)
@given(texts, texts)
def test_a_word_is_in_a_text_when_both_have_it_as_a_whole_word(text: str, wanted: str):
    words = Words(wanted)
    assert bool(words) == bool(plain_words(wanted))
    assert words.are_in(text) == bool(plain_words(text) & plain_words(wanted))


@settings(max_examples=500, deadline=None)
@given(st.lists(texts, max_size=4), texts, st.booleans())
def test_bytes_that_hold_a_word_are_always_told(contents: list[str], wanted: str, escaped: bool):
    import json

    lines = [json.dumps({"content": text}, ensure_ascii=escaped).encode() + b"\n" for text in contents]
    if any(plain_words(text) & plain_words(wanted) for text in contents):
        assert Words(wanted)._may_be_in_lines(b"".join(lines))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30))
def test_folding_is_the_same_character_by_character_and_twice(text: str):
    assert fold(text) == "".join(map(fold, text))
    assert fold(fold(text)) == fold(text)


def test_every_character_folds_to_what_folds_to_itself():
    every = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    assert [one for one in every if fold(fold(one)) != fold(one)] == []


@pytest.mark.parametrize(
    ("line", "may"),
    [
        (rb'"caf\u00e9"', True),
        (rb'"\u0063afe"', True),
        (rb'"a\u000a\u001f"', False),
        (rb'"c:\\users"', False),
        (rb'"c:\\\u00e9"', True),
        (rb'"c:\\\\u00e9"', False),
        (rb'"\n\"\\"', False),
        (b"", False),
    ],
)
def test_an_escape_is_told_from_a_backslash_before_a_letter(line: bytes, may: bool):
    assert codec.may_hold_escapes(line) is may


def test_a_word_that_is_not_there_costs_no_second_look_at_most_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "log"
    log.write_text("na\u00efve caf\u00e9 \u2026 \u201cquoted\u201d\n" * 100)
    assert not Words("zygomorphic").may_be_in(str(log))
    assert Words("naive").may_be_in(str(log))
    assert Words("NAI\u0308VE").may_be_in(str(log))
    assert not Words("naiv\u00e9s").may_be_in(str(log))
    assert not Words("x").may_be_in(str(tmp_path / "nothing"))


def test_what_is_remembered_of_characters_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "_REMEMBERED", 3)
    words = Words("e")
    for number in range(20):
        words._may_be_in_lines(chr(0xE0 + number).encode())
    assert len(words._remembered) == 3


@pytest.mark.parametrize("block", [1, 7, 100, 1 << 20])
def test_whole_lines_are_all_bytes_in_blocks_that_end_where_a_line_does(tmp_path: Path, block: int):
    data = b"one\n" + b"x" * 500 + b"\ntwo\n\nthe rest"
    path = tmp_path / "log"
    path.write_bytes(data)
    fd = fs.open_read(str(path))
    blocks = list(whole_lines(fd, block))
    fs.close(fd)
    assert b"".join(blocks) == data
    assert all(one.endswith(b"\n") for one in blocks[:-1])


def test_the_last_id_is_that_of_the_last_good_record(tmp_path: Path):
    path = tmp_path / "log"
    assert last_id(str(path)) == ""
    first, second = "01a1fb9f-b7ec-787d-9601-c7b722d7b782", "01a1fb9f-b7ee-7047-9601-c7b722d7b782"
    path.write_text(f'{{"id":"{first}"}}\n{{"id":"{second}"}}\nrubbish\n{{"id":"01a1')
    assert last_id(str(path)) == second
    path.write_text("rubbish\n")
    assert last_id(str(path)) == ""
