from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_ids import HOSTILE, WINDOWS_DEVICES, folded, mutants
from hypothesis import given
from hypothesis import strategies as st

from fsstore import InvalidNameError, Store, layout

LEGAL = re.compile(r"(?:[a-z0-9._-]|%[0-9a-f]{2})+|(?:[a-z0-9._%-]*)%%[0-9a-f]{40}")
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80) | st.sampled_from(HOSTILE)


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


@pytest.mark.campaign
def test_a_million_ids_get_a_million_names(seed: int, campaign: bool, figures: Callable[[str], None]) -> None:
    ids = mutants(random.Random(seed), 1_000_000 if campaign else 20_000)
    names = {}
    for id in ids:
        name = layout.encode_name(id)
        assert is_a_safe_name(name), (id, name)
        assert names.setdefault(folded(name), id) == id
        assert layout.decode_name(name) in (id, None)
    assert len(names) == len(ids)
    figures(f"names: {len(ids)} hostile ids, as many names, also on a disk that folds case and normalises")


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
