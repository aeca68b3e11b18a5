"""rename, archive and rm."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Result, everything, fsstore

from fsstore import Store


@pytest.fixture
def three(store: Store) -> Store:
    """A store of three threads."""
    store.threads.create("sky-1", name="The sky").messages.append("user", "Why is it blue?")
    store.threads.create("sky-2")
    store.threads.create("sea", name="The sea")
    return store


def rows(store: Store, *options: str) -> list[str]:
    return [row["id"] for row in fsstore("ls", "--json", *options, "--root", store.root).lines()]


# rename


def test_rename_gives_a_thread_another_name_or_none(three: Store) -> None:
    first = fsstore("rename", "sky-1", "Sunset & Sons", "--root", three.root)
    assert first == Result(0, "sky-1 is now called: Sunset & Sons\n", "")
    assert (three.thread("sky-1").info().name, three.names.get("sky-1")) == ("Sunset & Sons", "Sunset & Sons")
    assert fsstore("rename", "sky-1", "Sunset & Sons", "--root", three.root) == first
    for _ in range(2):
        assert fsstore("rename", "sky-1", "--clear", "--root", three.root) == Result(0, "sky-1 has no name any more\n", "")
    assert three.thread("sky-1").info().name is None


def test_rename_for_programs_gives_the_thread(three: Store) -> None:
    (row,) = fsstore("rename", "--json", "--root", three.root, "--", "se", "-5\n").lines()
    assert row == three.thread("sea").info().to_json()
    assert row["name"] == "-5\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sky-1"], "NAME is missing"),
        (["sky-1", ""], "NAME is empty: --clear takes the name away"),
        (["sky-1", " "], "NAME is empty"),
        (["sky-1", "x", "--clear"], "NAME and --clear exclude"),
        (["", "x"], "THREAD is empty"),
    ],
    ids=lambda value: repr(value) if isinstance(value, list) else "",
)
def test_rename_without_a_name_or_with_two_wishes_changes_nothing(three: Store, arguments: list[str], said: str) -> None:
    assert said in fsstore("rename", *arguments, "--root", three.root).error(2)
    assert three.thread("sky-1").info().name == "The sky"


def test_rename_refuses_a_name_that_cannot_be_kept(three: Store) -> None:
    assert "UTF-8" in fsstore("rename", "sky-1", "ab\udcff", "--root", three.root).error(1)
    assert three.thread("sky-1").info().name == "The sky"


# archive


def test_archive_hides_threads_and_undo_shows_them_again(three: Store) -> None:
    result = fsstore("archive", "sky-1", "sky-2", "--root", three.root)
    assert result == Result(0, "sky-1 (The sky) is archived now\nsky-2 is archived now\n", "")
    assert (rows(three), sorted(rows(three, "-a"))) == (["sea"], ["sea", "sky-1", "sky-2"])
    assert three.thread("sky-1").info().archived_at
    result = fsstore("archive", "--undo", "sky-1", "--root", three.root)
    assert result == Result(0, "sky-1 (The sky) is not archived any more\n", "")
    info = three.thread("sky-1").info()
    assert (info.archived, info.archived_at, info.status) == (False, None, "idle")


def test_archive_a_second_time_changes_nothing_on_disk(three: Store) -> None:
    fsstore("archive", "sky-1", "--root", three.root)
    before = everything(f"{three.root}/threads")
    assert fsstore("archive", "sky-1", "--root", three.root).out == "sky-1 (The sky) was archived already\n"
    assert fsstore("archive", "sea", "--undo", "--root", three.root).out == "sea (The sea) was not archived\n"
    assert everything(f"{three.root}/threads") == before


def test_archive_for_programs_gives_each_thread(three: Store) -> None:
    for options in ([], ["--undo"]):
        shown = fsstore("archive", "sea", "sky-2", *options, "--json", "--root", three.root).lines()
        assert shown == [three.thread(id).info().to_json() for id in ("sea", "sky-2")]
        assert [row["archived"] for row in shown] == [not options, not options]


# rm


def test_rm_moves_threads_to_the_trash_and_says_where(three: Store) -> None:
    before = Path(three.thread("sky-1").messages.path).read_bytes()
    result = fsstore("rm", "sky-1", "se", "--root", three.root)
    assert (result.code, result.err, rows(three)) == (0, "", ["sky-2"])
    first, second, last = result.out.splitlines()
    start, _, place = first.partition(": ")
    assert start == "sky-1 (The sky) is now in the trash"
    assert place.startswith(f"{three.root}/.fsstore/trash/")
    assert Path(place, "messages.jsonl").read_bytes() == before
    assert Path(second.removeprefix("sea (The sea) is now in the trash: "), "meta.json").is_file()
    assert last == "Nothing is freed until `fsstore trash empty`; `fsstore trash restore` brings it back."


def test_rm_for_programs_gives_each_place_in_the_trash(three: Store) -> None:
    result = fsstore("rm", "sky-2", "sea", "--json", "--root", three.root)
    assert [(row["id"], Path(row["trash"], "meta.json").is_file()) for row in result.lines()] == [
        ("sky-2", True),
        ("sea", True),
    ]
    three.threads.create("sea")
    (row,) = fsstore("rm", "sea", "--json", "--root", three.root).lines()
    assert row["trash"] not in result.out
    assert row["trash"] == three.threads.trash_path("sea")
    assert Path(row["trash"], "meta.json").is_file()


def test_rm_of_what_is_gone_is_not_found(three: Store) -> None:
    assert fsstore("rm", "sea", "--root", three.root).code == 0
    assert fsstore("rm", "sea", "--root", three.root).error(3) == "thread sea not found"
    assert three.threads.trash_path("sky-1") is None


@pytest.mark.damaged
def test_rm_takes_a_thread_that_cannot_be_read(three: Store) -> None:
    Path(three.thread("sea").place.meta).write_text("{")
    assert fsstore("rm", "sea", "--root", three.root).out.startswith("sea is now in the trash: ")
    assert three.threads.ids() == ["sky-1", "sky-2"]


# Both


@pytest.mark.parametrize("command", ["archive", "rm"])
def test_all_threads_are_found_before_one_is_changed_and_each_is_changed_once(three: Store, command: str) -> None:
    before = everything(f"{three.root}/threads")
    assert fsstore(command, "sea", "nobody", "--root", three.root).error(3) == "thread nobody not found"
    assert fsstore(command, "sea", "sky", "--root", three.root).error(3) == "2 threads begin with 'sky': sky-1, sky-2"
    assert "THREAD is empty" in fsstore(command, "sea", "", "--root", three.root).error(2)
    assert "Missing argument" in fsstore(command, "--root", three.root).error(2)
    assert everything(f"{three.root}/threads") == before
    assert [row["id"] for row in fsstore(command, "sea", "se", "sea", "--json", "--root", three.root).lines()] == ["sea"]


@pytest.mark.damaged
def test_archive_changes_none_where_one_cannot_be_read(three: Store) -> None:
    Path(three.thread("sky-2").place.meta).write_text("{")
    assert fsstore("archive", "sea", "sky-2", "--root", three.root).error(1).startswith("corrupt: ")
    assert not three.thread("sea").info().archived
