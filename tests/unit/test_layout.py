from __future__ import annotations

import itertools
import random
import re
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsstore import InvalidNameError, Store, layout

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
LEGAL = re.compile(r"(?:[a-z0-9._-]|%[0-9a-f]{2})+|(?:[a-z0-9._%-]*)%%[0-9a-f]{40}")
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80) | st.sampled_from(HOSTILE)


def folded(name: str) -> str:
    """Give what a disk that folds case and normalises Unicode keeps apart by."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).rstrip(". ")


def is_a_safe_name(name: str) -> bool:
    stem = name.split(".", maxsplit=1)[0]
    return bool(
        LEGAL.fullmatch(name)
        and name.isascii()
        and name == name.lower()
        and name[0] not in ".-_"
        and name[-1] not in ". "
        and len(name) <= layout.NAME_LIMIT
        and stem not in WINDOWS_DEVICES
    )


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


@pytest.mark.parametrize("id", ["thread", "0199", "a-b_c.d", "thread_0123abcdef", "a" * 100, "x.json"])
def test_ordinary_ids_stay_readable_as_they_are(id: str) -> None:
    assert layout.encode_name(id) == id
    assert layout.decode_name(id) == id


@pytest.mark.parametrize("id", HOSTILE)
def test_hostile_ids_get_safe_names_that_come_back(id: str) -> None:
    name = layout.encode_name(id)
    assert is_a_safe_name(name), name
    assert layout.decode_name(name) in (id, None)


@given(IDS)
def test_every_name_is_safe_and_comes_back_or_is_hashed(id: str) -> None:
    name = layout.encode_name(id)
    assert is_a_safe_name(name)
    decoded = layout.decode_name(name)
    assert decoded == id or (decoded is None and "%%" in name)
    assert layout.document_id(f"{name}.json") == decoded


@given(IDS, IDS)
def test_two_ids_never_share_a_name_on_a_disk_that_folds(one: str, other: str) -> None:
    same = folded(layout.encode_name(one)) == folded(layout.encode_name(other))
    assert same == (one == other)


@given(st.text(alphabet="abcA%.-_0124e/é", max_size=12))
def test_a_name_is_decoded_only_when_the_store_would_make_it(name: str) -> None:
    try:
        id = layout.decode_name(name)
    except InvalidNameError:
        return
    assert id is not None
    assert layout.encode_name(id) == name


def test_a_million_ids_get_a_million_names(seed: int, campaign: bool) -> None:
    ids = mutants(random.Random(seed), 1_000_000 if campaign else 20_000)
    names = {}
    for id in ids:
        name = layout.encode_name(id)
        assert is_a_safe_name(name), (id, name)
        assert names.setdefault(folded(name), id) == id
    assert len(names) == len(ids)


def test_all_short_ids_of_hostile_characters_are_apart() -> None:
    ids = ["".join(id) for length in (1, 2, 3, 4) for id in itertools.product("aA.%-_/ \0", repeat=length)]
    names = {folded(layout.encode_name(id)) for id in ids}
    assert len(names) == len(ids)


@pytest.mark.parametrize("id", ["", "a" * 1001, "\u00e9" * 1001, "\ud800", "a\udfffb", "a" * 200 + "\udc80"])
def test_ids_that_cannot_be_kept_are_refused(id: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        layout.encode_name(id)
    assert caught.value.name == id
    assert len(str(caught.value).encode("utf-8", "backslashreplace")) < 500


@pytest.mark.parametrize("id", [None, 5, b"bytes", ["a"], 1.5])
def test_an_id_that_is_no_string_is_refused(id: object) -> None:
    with pytest.raises(InvalidNameError, match="an id is a string"):
        layout.encode_name(id)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        *("", "A", ".", "..", ".a", "-a", "_a", "a.", "a b", "a/b", "\u00e9", "%", "%4", "%zz", "%C3", "%41%", "%61", "con"),
        *("con.txt", "%ff", "%ed%a0%80", "a%%b", "a%%" + "G" * 40, "a%%" + "0" * 39, "a" * 101, "%c3%a9" * 20),
    ],
)
def test_names_that_the_store_does_not_make_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        layout.decode_name(name)


@pytest.mark.parametrize("file", ["a", "a.jsonl", ".json", "A.json", "a.JSON", "con.json", ""])
def test_files_that_are_no_document_of_the_store_are_refused(file: str) -> None:
    with pytest.raises(InvalidNameError):
        layout.document_id(file)


@pytest.mark.parametrize("host", ["laptop", "a.b.example", "UPPER", "host.", ".host", "-x", "\u00fc", "con", "h" * 64])
@pytest.mark.parametrize("file", ["meta.json", "x" * 100 + ".json", "%%" + "0" * 40, "a.12.b.tmp"])
def test_a_temporary_name_tells_who_made_it(host: str, file: str) -> None:
    name = layout.temp_name(f"/somewhere/{file}", host, 4711, "0123456789abcdef")
    assert layout.parse_temp_name(name) == (layout.temp_host(host), 4711)
    assert "/" not in name
    assert len(name) < 256


@pytest.mark.parametrize(
    "name", ["", "x.tmp", "0123.12.host.meta.json", "zz.12.host.m.tmp", "0123.x.host.m.tmp", "meta.json", "0.1.a/b.m.tmp"]
)
def test_strange_temporary_names_are_nobodys(name: str) -> None:
    assert layout.parse_temp_name(name) is None


@given(IDS)
def test_a_stripe_is_one_of_256_and_always_the_same(id: str) -> None:
    name = layout.encode_name(id)
    assert re.fullmatch(r"thread-[0-9a-f]{2}", layout.stripe(name))
    assert layout.stripe(name) == layout.stripe(name)


def test_many_threads_spread_over_all_stripes() -> None:
    assert len({layout.stripe(f"thread-{number}") for number in range(5000)}) == layout.STRIPES


def test_stamps_and_taints_lead_back_to_their_logs() -> None:
    name = layout.encode_name("A/b.stamp")
    assert layout.stamped_name(layout.cache_name(name)) == name
    assert layout.taint_name("threads/a/messages.jsonl") != layout.taint_name("threads/a,messages.jsonl/x")


def test_hostile_ids_are_threads_of_their_own_and_listed_byte_for_byte(root: Path, seed: int) -> None:
    extra = sorted(mutants(random.Random(seed), len(set(HOSTILE)) + 300) - set(HOSTILE))[:300]
    ids = list(dict.fromkeys([*HOSTILE, *extra]))
    with Store.open(root, durability="process") as store:
        for id in ids:
            store.threads.create(id)
        directories = {store.thread(id).directory for id in ids}
    threads = root / "threads"
    assert {Path(directory).parent for directory in directories} == {threads}
    assert sorted(map(str, threads.iterdir())) == sorted(directories)
    assert len(directories) == len(ids)
    with Store.open(root, read_only=True) as store:
        assert sorted(store.threads.ids()) == sorted(ids)
        assert sorted(info.id for info in store.threads) == sorted(ids)
        for id in ids:
            assert store.thread(id).info().id == id


def test_hostile_ids_keep_their_messages_runs_and_steps_apart(root: Path) -> None:
    ids = ["a/b", "a:b", "a_b", "A", "a", "\u00e9", "e\u0301", "../a", "..", ".", "CON", "a" * 1000, "a" * 999 + "b"]
    with Store.open(root, durability="process") as store:
        for id in ids:
            thread = store.threads.create(id)
            thread.messages.append("user", f"of {id}", given_id=id)
            thread.runs.create(id).steps.create(id)
    with Store.open(root, read_only=True) as store:
        for id in ids:
            thread = store.thread(id)
            assert [(message.id, message.content) for message in thread.messages] == [(id, f"of {id}")]
            assert [run.id for run in thread.runs] == [id]
            assert [step.id for step in thread.runs[id].steps] == [id]


@pytest.mark.parametrize("id", ["", "a" * 1001, "\ud800"])
def test_a_thread_of_an_impossible_id_is_refused_and_nothing_is_made(store: Store, id: str) -> None:
    with pytest.raises(ValueError, match="invalid id"):
        store.threads.create(id)
    assert list((Path(store.root) / "threads").iterdir()) == []
