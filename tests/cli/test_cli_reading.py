"""ls, show and tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import everything, fsstore, terminal

from fsstore import Store

EVIL = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b2J\u202e\u2028\x00\x7f\rback"
SAFE = r"\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b2J\u202e"


@pytest.fixture
def full(store: Store) -> Store:
    """A store of three threads, the first of which forks twice."""
    sky = store.threads.create("sky-1", name="The sky", updated_at=100)
    say = sky.messages.append
    question = say("user", "Why is the sky blue?", created_at=200, given_id="q")
    say("assistant", "Rayleigh scattering.", created_at=201, given_id="short")
    say("user", "In one sentence, please.", created_at=202, given_id="please")
    long = sky.messages.fork(
        question.id, "assistant", [{"type": "text", "text": "Air scatters\nblue light."}], given_id="long", created_at=203
    )
    sky.messages.append("tool", [{"type": "tool_use", "name": "look"}], created_at=204, given_id="look")
    sky.messages.fork(long.id, "user", "Thanks.", created_at=205, given_id="thanks")
    store.threads.create("sky-2", name="Clouds", updated_at=300)
    store.threads.create("sky", preview="a preview", updated_at=50)
    return store


# ls


def test_ls_shows_the_last_used_first(full: Store) -> None:
    result = fsstore("ls", "--root", full.root)
    assert result == type(result)(0, LISTING, "")


LISTING = """\
THREAD  LAST USED         MESSAGES  WHAT
sky-2   1970-01-01 00:05         0  Clouds
sky-1   1970-01-01 00:03         6  The sky
sky     1970-01-01 00:00         0  a preview
"""


def test_ls_for_programs_gives_one_object_a_line(full: Store) -> None:
    rows = fsstore("ls", "--root", full.root, "--json").lines()
    assert [(row["id"], row["messages"], row["last_activity"], row.get("name")) for row in rows] == [
        ("sky-2", 0, 300, "Clouds"),
        ("sky-1", 6, 205, "The sky"),
        ("sky", 0, 50, None),
    ]


def test_ls_can_be_cut_and_can_show_the_archived(full: Store) -> None:
    full.thread("sky-2").archive()
    assert [row["id"] for row in fsstore("ls", "--root", full.root, "--json", "-n", "1").lines()] == ["sky-1"]
    assert "Clouds [archived]" in fsstore("ls", "--root", full.root, "-a").out
    assert fsstore("ls", "--root", full.root, "--limit", "-1").error(2)


def test_ls_of_an_empty_store_says_so(store: Store) -> None:
    assert fsstore("ls", "--root", store.root).out == f"No threads in {store.root}.\n"
    assert fsstore("ls", "--root", store.root, "--json").out == ""


@pytest.mark.damaged
def test_ls_names_the_threads_that_cannot_be_read_and_lists_the_others(full: Store) -> None:
    Path(full.thread("sky-2").directory, "meta.json").write_text("{")
    result = fsstore("ls", "--root", full.root)
    assert "sky-1" in result.out
    assert (result.code, result.err) == (0, "fsstore: threads that cannot be read: sky-2\n")


# show


def test_ls_shows_a_name_that_is_no_text_as_it_is(store: Store) -> None:
    meta = Path(store.threads.create("t", name="seven").directory, "meta.json")
    meta.write_text(meta.read_text().replace('"seven"', "7"))
    assert fsstore("ls", "--root", store.root).out.splitlines()[1].split()[-1] == "7"


def test_show_prints_the_current_branch(full: Store) -> None:
    result = fsstore("show", "sky-1", "--root", full.root)
    assert result == type(result)(0, SHOWN, "")


SHOWN = """\
sky-1  The sky

user  1970-01-01 00:03  q
    Why is the sky blue?

assistant  1970-01-01 00:03  long
    Air scatters
    blue light.

user  1970-01-01 00:03  thanks
    Thanks.
"""


def test_show_prints_what_is_no_text_as_json(full: Store) -> None:
    assert fsstore("show", "sky-1", "--leaf", "look", "-n", "1", "--root", full.root).out.endswith(
        '\n    {"type": "tool_use", "name": "look"}\n'
    )


def test_show_for_programs_gives_the_messages_as_stored(full: Store) -> None:
    full.thread("sky-2").messages.append("user", "null", item=None, extra={"a": [1.5]})
    (row,) = fsstore("show", "sky-2", "--root", full.root, "--json").lines()
    (message,) = full.thread("sky-2").messages
    assert row == {
        "id": message.id,
        "record_id": message.record_id,
        "parent_id": None,
        "role": "user",
        "content": "null",
        "item": None,
        "created_at": message.created_at,
        "run_id": None,
        "extra": {"a": [1.5]},
    }
    rows = fsstore("show", "sky-1", "--root", full.root, "--json").lines()
    assert [row["content"] for row in rows] == [message.content for message in full.thread("sky-1").messages.branch()]
    assert "item" not in rows[0]


def test_show_gives_the_last_messages_or_another_branch(full: Store) -> None:
    last = fsstore("show", "sky-1", "--last", "1", "--root", full.root, "--json").lines()
    other = fsstore("show", "sky-1", "--leaf", "please", "--root", full.root, "--json").lines()
    assert [row["id"] for row in last] == ["thanks"]
    assert [row["id"] for row in other] == ["q", "short", "please"]
    assert fsstore("show", "sky-1", "--leaf", "nobody", "--root", full.root).error(3) == "message nobody not found"


def test_show_of_a_thread_without_messages_says_so(full: Store) -> None:
    assert fsstore("show", "sky-2", "--root", full.root).out == "sky-2  Clouds\nNo messages on this branch.\n"


# tree


def test_tree_draws_the_branches_and_marks_the_current_one(full: Store) -> None:
    result = fsstore("tree", "sky-1", "--root", full.root)
    assert result == type(result)(0, DRAWN, "")


DRAWN = """\
* user  Why is the sky blue?
  ├─ assistant  Rayleigh scattering.
  │  user  In one sentence, please.
* └─ assistant  Air scatters blue light.
     ├─ tool  {"type": "tool_use", "name": "look"}
>    └─ user  Thanks.
"""


def test_tree_shows_ids_where_asked(full: Store) -> None:
    assert "* └─ assistant  long  Air scatters blue light.\n" in fsstore("tree", "sky-1", "--ids", "--root", full.root).out


def test_tree_draws_several_roots_and_none(full: Store) -> None:
    full.thread("sky-1").messages.checkout(None)
    full.thread("sky-1").messages.append("user", "Anew.")
    drawn = fsstore("tree", "sky-1", "--root", full.root).out.splitlines()
    assert (drawn[0], drawn[-1]) == ("  user  Why is the sky blue?", "> user  Anew.")
    assert fsstore("tree", "sky-2", "--root", full.root).out == "No messages.\n"


def test_tree_for_programs_gives_every_message_with_its_parent_and_its_mark(full: Store) -> None:
    rows = fsstore("tree", "sky-1", "--root", full.root, "--json").lines()
    assert [(row["id"], row["parent_id"], row["on_current_branch"], row["is_current_leaf"]) for row in rows] == [
        ("q", None, True, False),
        ("short", "q", False, False),
        ("please", "short", False, False),
        ("long", "q", True, False),
        ("look", "long", False, False),
        ("thanks", "long", True, True),
    ]


def test_tree_draws_a_deep_thread_without_indenting_it(store: Store) -> None:
    store.threads.create("deep").messages.extend([{"role": "user", "content": str(number)} for number in range(3000)])
    drawn = fsstore("tree", "deep", "--root", store.root).out.splitlines()
    assert (len(drawn), drawn[0], drawn[-1]) == (3000, "* user  0", "> user  2999")


@pytest.mark.damaged
def test_tree_of_ids_given_twice_draws_every_message_once(store: Store) -> None:
    messages = store.threads.create("twice").messages
    for number in range(4):
        messages.append("user", str(number), given_id="same")
    drawn = fsstore("tree", "twice", "--root", store.root).out.splitlines()
    assert drawn == ["* user  0", "* user  1", "* user  2", "> user  3"]


@pytest.mark.damaged
@pytest.mark.parametrize("command", ["show", "tree"])
def test_damage_is_passed_over_and_said(full: Store, command: str) -> None:
    path = Path(full.thread("sky-1").messages.path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b'{"id":"torn~\n')
    full.thread("sky-1").messages.append("user", "after it")
    result = fsstore(command, "sky-1", "--root", full.root)
    assert "after it" in result.out
    assert result.err.startswith(f"fsstore: passed over 1 damaged place in {path}, the first at byte {size}: ")
    assert result.err.count("\n") == 1


# All of them


READING = [["ls"], ["show", "sky-1"], ["tree", "sky-1"]]


@pytest.mark.parametrize("arguments", READING, ids=lambda arguments: arguments[0])
def test_reading_changes_nothing_on_disk(full: Store, arguments: list[str]) -> None:
    full.close()
    before = everything(full.root)
    assert fsstore(*arguments, "--root", full.root).code == 0
    assert everything(full.root) == before


@pytest.mark.parametrize("arguments", READING, ids=lambda arguments: arguments[0])
def test_reading_a_store_that_is_not_there_makes_none(tmp_path: Path, arguments: list[str]) -> None:
    missing = tmp_path / "nowhere"
    assert f"no store at {missing}" in fsstore(*arguments, "--root", missing).error(2)
    assert not missing.exists()
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "notes.txt").write_text("mine")
    assert "no store at" in fsstore(*arguments, "--root", tmp_path / "stranger").error(2)
    assert [entry.name for entry in (tmp_path / "stranger").iterdir()] == ["notes.txt"]


def test_who_lost_the_format_file_of_a_store_is_told_what_to_put_back(full: Store) -> None:
    file = Path(full.root, "fsstore.json")
    whole = file.read_bytes()
    file.unlink()
    error = fsstore("ls", "--root", full.root).error(2)
    assert f"no store at {full.root}: " in error
    file.write_text(error.rpartition("back: ")[2])
    assert json.loads(file.read_bytes()) == json.loads(whole)
    assert fsstore("ls", "--root", full.root).code == 0


def test_a_thread_is_found_by_its_id_or_by_a_beginning_that_no_other_has(full: Store) -> None:
    full.threads.create("other-thread")
    assert fsstore("show", "sky", "--root", full.root).code == 0, "the exact id wins over being a beginning of others"
    assert fsstore("show", "ot", "--root", full.root).out.startswith("other-thread\n")
    assert fsstore("tree", "sk", "--root", full.root).error(3) == "3 threads begin with 'sk': sky, sky-1, sky-2"
    assert fsstore("tree", "SKY", "--root", full.root).error(3) == "thread SKY not found"
    assert "THREAD is empty" in fsstore("show", "", "--root", full.root).error(2)
    assert fsstore("show", "x" * 1001, "--root", full.root).error(3).startswith("thread xxx")


def test_a_beginning_of_many_threads_names_a_few(store: Store) -> None:
    for number in range(9):
        store.threads.create(f"t{number}")
    assert fsstore("show", "t", "--root", store.root).error(3) == "9 threads begin with 't': t0, t1, t2 and 6 more"


@pytest.fixture
def evil(store: Store) -> Store:
    thread = store.threads.create(f"id {EVIL}", name=EVIL)
    thread.messages.append(EVIL, EVIL, given_id=EVIL)
    return store


@pytest.mark.parametrize("arguments", [["ls"], ["show", "id"], ["tree", "id", "--ids"]], ids=lambda arguments: arguments[0])
def test_no_text_of_the_store_gets_control_of_the_terminal(evil: Store, arguments: list[str]) -> None:
    for result in (fsstore(*arguments, "--root", evil.root), terminal(*arguments, "--root", evil.root, columns=400)):
        assert SAFE in result.out
        assert not [character for character in result.out if not (character.isprintable() or character == "\n")]


@pytest.mark.parametrize("arguments", [["ls"], ["show", "id"], ["tree", "id"]], ids=lambda arguments: arguments[0])
def test_json_carries_control_characters_escaped_and_exact(evil: Store, arguments: list[str]) -> None:
    result = fsstore(*arguments, "--root", evil.root, "--json")
    assert not [character for character in result.out if not (character.isprintable() or character == "\n")]
    (row,) = result.lines()
    assert EVIL in (row.get("name"), row.get("content"), row.get("role"))


@pytest.mark.parametrize(("command", "columns"), [("ls", 80), ("ls", 40), ("show", 80), ("tree", 80), ("tree", 40)])
def test_nothing_is_wider_than_the_terminal(store: Store, command: str, columns: int) -> None:
    thread = store.threads.create("long-" + "x" * 60, name="word " * 100)
    first = thread.messages.append("user", "word " * 100 + "\n" + "y" * 300)
    for _ in range(30):
        first = thread.messages.fork(first.id, "user", "left " * 30)
        thread.messages.fork(first.parent_id or "", "user", "right")
    named = ["long"] if command != "ls" else []
    result = terminal(command, *named, "--root", store.root, columns=columns)
    assert result.code == 0
    assert max(map(len, result.out.splitlines()[command == "show" :])) <= columns
    assert "word" in result.out or columns == 40


def test_a_terminal_that_knows_only_ascii_gets_ascii(full: Store) -> None:
    full.thread("sky-1").messages.append("user", "Gr\u00fc\u00dfe \U0001f600")
    drawn = fsstore("tree", "sky-1", "--root", full.root, PYTHONIOENCODING="ascii")
    assert "* `- assistant  Air scatters" in drawn.out
    assert r"Gr\xfc\xdfe \U0001f600" in drawn.out
    assert (
        fsstore("show", "sky-1", "--root", full.root, "--json", PYTHONIOENCODING="ascii").lines()[-1]["content"]
        == "Gr\u00fc\u00dfe \U0001f600"
    )
