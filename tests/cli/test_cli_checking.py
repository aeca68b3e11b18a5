"""check, repair and compact."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import everything, fsstore, terminal

from fsstore import Store

pytestmark = pytest.mark.damaged


@pytest.fixture
def spoiled(store: Store) -> Store:
    """A store with rubbish in a log, rights of others on a document, and a document that says another id."""
    for id in ("a", "b"):
        store.threads.create(id).messages.extend({"role": "user", "content": f"{id} {n}"} for n in range(3))
    store.close()
    with Path(store.thread("a").messages.path).open("ab") as file:
        file.write(b"rubbish\n")
    Path(store.thread("a").directory, "meta.json").chmod(0o644)
    return store


def test_a_clean_store_is_said_to_be_clean(store: Store) -> None:
    store.threads.create("a").messages.append("user", "x")
    done = fsstore("check", "--root", store.root)
    assert (done.code, done.out, done.err) == (0, f"No problems in {store.root}.\n", "")
    assert fsstore("check", "--json", "--root", store.root).lines() == []


def test_problems_are_listed_with_their_places_and_nothing_is_changed(spoiled: Store) -> None:
    before = everything(spoiled.root)
    at = Path(spoiled.thread("a").messages.path).read_bytes().index(b"rubbish")
    done = fsstore("check", "--root", spoiled.root)
    assert done.code == 1
    assert done.err == ""
    *rows, last = done.out.splitlines()
    assert sorted(row.partition(": ")[0] for row in rows) == [f"threads/a/messages.jsonl at byte {at}", "threads/a/meta.json"]
    assert all(row.endswith(" (fixable)") for row in rows)
    assert last == "2 problems, 2 of them fixable by `fsstore repair`."
    as_json = fsstore("check", "--json", "--root", spoiled.root)
    assert as_json.code == 1
    assert {(row["path"], row["kind"], row["offset"], row["fixable"]) for row in as_json.lines()} == {
        ("threads/a/messages.jsonl", "not-json", at, True),
        ("threads/a/meta.json", "permissions", None, True),
    }
    assert everything(spoiled.root) == before


def test_what_cannot_be_read_ends_with_2(spoiled: Store) -> None:
    path = Path(spoiled.thread("b").messages.path)
    path.unlink()
    path.mkdir(mode=0o700)
    assert fsstore("check", "--root", spoiled.root).code == 2
    Path(spoiled.root, "fsstore.json").write_text('{"format": "fsstore", "version": 2}')
    assert "version 2" in fsstore("check", "--root", spoiled.root).error(2)


def test_a_repair_is_first_shown_then_done_then_there_is_nothing_left(spoiled: Store) -> None:
    before = everything(spoiled.root)
    shown = fsstore("repair", "--dry-run", "--root", spoiled.root)
    assert shown.code == 1
    assert shown.out.endswith("2 problems would be mended.\n")
    assert everything(spoiled.root) == before
    done = fsstore("repair", "--root", spoiled.root)
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 problems mended.")
    assert [path.read_bytes() for path in Path(spoiled.root, ".fsstore/quarantine").glob("*.raw")] == [b"rubbish\n"]
    mended = everything(spoiled.root)
    again = fsstore("repair", "--root", spoiled.root)
    assert (again.code, again.out) == (0, f"Nothing to mend in {spoiled.root}.\n")
    assert everything(spoiled.root) == mended
    assert fsstore("check", "--root", spoiled.root).code == 0


def test_what_is_not_fixable_stays_and_the_repair_says_nothing_of_it(spoiled: Store) -> None:
    path = Path(spoiled.thread("b").directory, "meta.json")
    path.write_bytes(b"{}")
    done = fsstore("repair", "--json", "--root", spoiled.root)
    assert done.code == 0
    assert {row["kind"] for row in done.lines()} == {"not-json", "permissions"}
    assert path.read_bytes() == b"{}"
    assert [row["kind"] for row in fsstore("check", "--json", "--root", spoiled.root).lines()] == ["corrupt"]


def test_compact_takes_out_what_nobody_sees_of_one_thread_or_all(spoiled: Store) -> None:
    for id in ("a", "b"):
        spoiled.thread(id).messages.remove_last()
    (row,) = fsstore("compact", "a", "--json", "--root", spoiled.root).lines()
    assert (row["id"], row["messages"], row["damaged"]) == ("a", 1, 1)
    assert b"a 2" not in Path(spoiled.thread("a").messages.path).read_bytes()
    assert b"b 2" in Path(spoiled.thread("b").messages.path).read_bytes()
    done = fsstore("compact", "--root", spoiled.root)
    assert done.code == 0
    first, last = done.out.splitlines()
    assert first.startswith("b: 1 removed message, 0 redacted, 0 duplicates, 0 damaged places to the quarantine, ")
    assert last == f"{first.rpartition(', ')[2]}."
    assert b"b 2" not in Path(spoiled.thread("b").messages.path).read_bytes()
    assert [message.content for message in spoiled.thread("b").messages] == ["b 0", "b 1"]
    assert fsstore("compact", "nobody", "--root", spoiled.root).code == 3


def test_in_a_terminal_a_bar_shows_how_far_it_is(spoiled: Store) -> None:
    shown = terminal("check", "--root", spoiled.root)
    assert shown.code == 1
    assert "checking" in shown.out


@pytest.mark.parametrize("command", ["check", "repair", "compact"])
def test_a_missing_store_is_not_made(tmp_path: Path, command: str) -> None:
    assert "no store at" in fsstore(command, "--root", tmp_path / "none").error(2)
    assert not (tmp_path / "none").exists()


def test_likely_secrets_are_told_without_them(spoiled: Store) -> None:
    key = "ghp_" + "Zk3vQ9xT7mB2nR8wY5cL1dF6gH4jS0pAeUiO"
    said = spoiled.thread("b").messages.append("user", f"my token is {key}")
    spoiled.close()
    done = fsstore("check", "--secrets", "--root", spoiled.root)
    assert done.code == 1
    assert done.out.startswith(f"b {said.id}: ")
    assert done.out.endswith(f"\n1 likely secret in the messages of {spoiled.root}.\n")
    assert key not in done.out + done.err
    assert fsstore("redact", "b", said.id, "--secrets", "--compact", "--root", spoiled.root).code == 0
    assert fsstore("check", "--secrets", "--root", spoiled.root).code == 0
    assert key.encode() not in Path(spoiled.thread("b").messages.path).read_bytes()
