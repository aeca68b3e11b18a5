"""import codewhale."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from codewhale_source import Source, filled
from command import Result, begun, everything, fsstore, terminal

from fsstore import StateStore, Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return filled(tmp_path / "codewhale").close()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A database of which three rows cannot be taken as they stand, with five reasons."""
    source = filled(tmp_path / "damaged")
    source.thread("odd", updated_at="soon")
    source.message(50, "odd", "below nothing", 999)
    source.message(51, "odd", "with no item", 50, item_json="{", created_at=10**12)
    source.leaf("odd", 7777)
    return source.close()


def test_a_move_counts_what_it_did_and_twice_adds_nothing(root: Path, database: Path) -> None:
    first = fsstore("import", "codewhale", database, "--root", root)
    others = (
        "Beside them: 1 branch run, 5 checkpoints, 1 control node run, 2 jobs, 2 leaf runs, 1 name, 1 teacher candidate,"
        " 2 dynamic tools, 1 goal, 2 workflow runs added, 0 already there.\n"
    )
    assert first == Result(0, "3 threads (3 new): 9 messages added, 0 already there.\n" + others, "")
    before = everything(f"{root}/threads")
    again = fsstore("import", "codewhale", database.parent, database, "--root", root)
    others = "Beside them: nothing added, 36 already there.\n"
    assert again == Result(0, "6 threads (0 new): 0 messages added, 18 already there.\n" + others, "")
    assert everything(f"{root}/threads") == before
    assert len(StateStore(Store.open(root)).list_messages("tree")) == 7


def test_a_move_for_programs_gives_one_object(root: Path, database: Path) -> None:
    result = fsstore("import", "codewhale", database, "--json", "--root", root)
    (row,) = result.lines()
    assert (result.code, result.err) == (0, "")
    assert {name: row[name] for name in ("threads", "new_threads", "added", "known", "differing", "refused")} == {
        "threads": 3,
        "new_threads": 3,
        "added": 9,
        "known": 0,
        "differing": [],
        "refused": [],
    }
    assert row["rows"]["checkpoints"] == {"added": 5, "known": 0}
    assert row["rows"]["session_index.jsonl"] == {"added": 1, "known": 0}
    assert len(row["rows"]) == 12


def test_a_move_shows_its_progress_to_a_terminal_only(root: Path, database: Path) -> None:
    shown = terminal("import", "codewhale", database, "--root", root)
    assert "\u2501" in shown.out  # the bar
    assert shown.code == 0
    assert "3 threads (3 new): 9 messages added, 0 already there." in shown.out


def test_rows_that_cannot_be_taken_are_named_and_the_rest_is_there(root: Path, damaged: Path) -> None:
    result = fsstore("import", "codewhale", damaged, "--root", root)
    assert result.code == 1
    assert result.out.startswith("4 threads (4 new): 11 messages added, 0 already there.\nBeside them: 1 branch run, ")
    assert result.err == (
        "fsstore: 3 rows not taken, or not as they stand: threads odd: updated_at is no integer; messages 51: item_json is no"
        " valid JSON: Expecting property name enclosed in double quotes (at character 1 of it); messages 51: created_at is"
        " after the year 3000; and 2 more, which --json gives\n"
    )
    assert [message.content for message in Store.open(root).thread("odd").messages.branch()] == [
        "below nothing",
        "with no item",
    ]


def test_for_programs_every_row_that_cannot_be_taken_is_given(root: Path, damaged: Path) -> None:
    result = fsstore("import", "codewhale", damaged, "--json", "--root", root)
    (row,) = result.lines()
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert [(refusal["table"], refusal["key"]) for refusal in row["refused"]] == [
        ("threads", "odd"),
        ("messages", "51"),
        ("messages", "51"),
        ("messages", "50"),
        ("threads", "odd"),
    ]
    assert row["refused"][0]["reason"] == "updated_at is no integer"


def test_other_words_under_known_ids_are_refused_and_the_rest_is_taken(root: Path, database: Path) -> None:
    Store.open(root).threads.create("tree").messages.append("user", "mine", given_id="1")
    result = fsstore("import", "codewhale", database, "--root", root)
    assert result.code == 1
    assert result.out.startswith("3 threads (2 new): 1 message added, ")
    assert result.err == "fsstore: 1 thread not changed, since other messages stand there under the same ids: tree\n"


def test_what_is_no_database_is_one_line(root: Path, tmp_path: Path, database: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("Not a database at all. " * 100)
    result = fsstore("import", "codewhale", database, text, "--root", root)
    assert (result.code, result.err) == (1, f"fsstore: {text}: SQLite cannot read it: file is not a database\n")
    assert result.out.startswith("3 threads (3 new): ")
    result = fsstore("import", "codewhale", tmp_path, "--json", "--root", root)
    assert (result.code, result.err) == (1, f"fsstore: {tmp_path}/state.db: no such file\n")
    assert result.lines()[0]["rows"] == {}


def test_a_missing_file_and_the_standard_input_make_no_store(root: Path, tmp_path: Path) -> None:
    assert "nowhere.db" in fsstore("import", "codewhale", tmp_path / "nowhere.db", "--root", root).error(2)
    assert "'-' does not exist" in fsstore("import", "codewhale", "-", "--root", root, stdin=b"SQLite format 3\0").error(2)
    assert not root.exists()


def test_a_name_that_would_move_the_terminal_is_shown_harmless(root: Path, tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    source.thread("\x1b[2Jx\n", status="idle", updated_at="\x1b[31m")
    result = fsstore("import", "codewhale", source.close(), "--root", root)
    assert result.err == "fsstore: 1 row not taken, or not as they stand: threads \\x1b[2Jx : updated_at is no integer\n"


def test_ctrl_c_keeps_and_counts_what_was_imported_and_the_next_completes_it(root: Path, tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    for at in range(300):
        source.thread(f"t{at:03}", title="one of many")
    path = source.close()
    with begun("import", "codewhale", path, "--json", "--root", root) as process:
        while not (root / "threads" / "t003" / "meta.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, b"fsstore: interrupted\n")
    threads = len(Store.open(root).threads.ids())
    assert 4 <= threads < 300
    assert json.loads(out)["threads"] in (threads, threads - 1)
    (row,) = fsstore("import", "codewhale", path, "--json", "--root", root).lines()
    assert (row["threads"], row["new_threads"]) == (300, 300 - threads)
