"""The demo: what it says of the store that it leaves must be true of that store."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from command import Result, fsstore, terminal

from fsstore import Store
from fsstore.cli.demo_race import MESSAGES, PROCESSES, TEAR_AT

#: What the four processes have acknowledged when the last of them is killed in the middle of one.
RACE = (PROCESSES - 1) * MESSAGES + TEAR_AT - 1
THREAD = "fix-the-date-parser"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Give what one demo printed, and its store."""
    root = tmp_path_factory.mktemp("demo") / "store"
    return terminal("demo", root), root


def test_the_demo_says_what_it_did_and_what_is_left(shown: tuple[Result, Path]) -> None:
    result, root = shown
    assert result.code == 0
    assert result.out.startswith(f"A store in {root}\n")
    for part in (
        "* user  03/04",
        "├─ assistant",
        ">    assistant  Done",
        "messages.jsonl   ",
        "step-2.json",
        "SIGKILL",
        "half a record",
        '"parent_id":null',
    ):
        assert part in result.out
    kills = re.findall(
        r"process 4 \(pid \d+\): (\d+) acknowledged, then (\d+) bytes of half a record, then SIGKILL", result.out
    )
    assert kills[0][0] == str(TEAR_AT - 1)
    acknowledged, found = re.findall(r"(\d+) messages were acknowledged, (\d+) are there", result.out)[0]
    assert acknowledged == found == str(RACE + 9)
    assert "Every acknowledged message is there, once." in result.out
    assert f"threads/{THREAD}/messages.jsonl at byte" in result.out


def test_the_demo_fits_the_terminal_but_for_lines_of_files(shown: tuple[Result, Path]) -> None:
    wide = [line for line in shown[0].out.splitlines() if len(line) > 80]
    assert all(line.startswith(("    ", "A store in")) for line in wide)


def test_the_store_that_the_demo_leaves_is_what_it_said(shown: tuple[Result, Path]) -> None:
    with Store.open(shown[1], read_only=True) as store:
        thread = store.thread(THREAD)
        assert len(thread.messages) == RACE + 9
        assert len(thread.messages.leaves()) == 2
        (problem,) = store.check()
        assert (problem.kind, problem.path) == ("torn", f"threads/{THREAD}/messages.jsonl")
        assert [str(step.status) for step in thread.runs["run-1"].steps] == ["completed", "completed"]
        words = [message.content for message in thread.messages if "result" in str(message.content)]
        assert len(set(words)) == RACE


def test_what_the_demo_tells_to_try_works(shown: tuple[Result, Path]) -> None:
    for line in re.findall(r"^    fsstore (.*)$", shown[0].out, re.M):
        assert fsstore(*line.split()).code == 0


@pytest.mark.damaged
def test_the_demo_for_programs_gives_one_object_and_adds_a_thread_to_a_store(store: Store) -> None:
    store.threads.create(THREAD)
    result = fsstore("demo", "--root", store.root, "--json")
    report = json.loads(result.out)
    assert (result.code, result.err, report["ok"]) == (0, "", True)
    assert (report["thread_id"], report["acknowledged"], report["found"]) == (f"{THREAD}-2", RACE + 9, RACE + 9)
    assert (report["missing"], report["twice"], report["unasked"]) == ([], [], [])
    assert [process["killed"] for process in report["processes"]] == [False, False, False, True]
    assert report["processes"][-1]["half_record_bytes"] > 0
    assert [place["kind"] for place in report["damage"]] == ["torn"]
    assert len(report["check"]) == 1
    assert len(store.thread(THREAD).messages) == 0
    assert len(store.thread(f"{THREAD}-2").messages) == RACE + 9


@pytest.mark.damaged
def test_the_demo_leaves_a_fresh_directory_and_ends_with_1_when_something_is_missing(tmp_path: Path) -> None:
    code = (
        "from fsstore.cli import demo_race, main; real = demo_race.race\n"
        "def race(*place):\n racers = real(*place); racers[0].acknowledged.append('nobody'); return racers\n"
        "demo_race.race = race; main()"
    )
    result = fsstore("demo", "--json", command=[sys.executable, "-c", code], TMPDIR=str(tmp_path))
    report = json.loads(result.out)
    assert (result.code, report["ok"], report["missing"]) == (1, False, ["nobody"])
    assert result.err.startswith("fsstore: not everything that was acknowledged is there")
    assert [Path(report["root"])] == list(tmp_path.glob("fsstore-demo-*"))


def test_the_demo_refuses_a_directory_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "neither empty nor a store (it holds notes.txt)" in fsstore("demo", tmp_path).error(2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_process_of_the_demo_that_fails_ends_it_in_one_line(tmp_path: Path) -> None:
    code = "import sys; from fsstore.cli import main; sys.executable = '/bin/false'; main()"
    assert (
        fsstore("demo", tmp_path, "--json", command=[sys.executable, "-c", code]).error(1)
        == "process 1 failed: it said nothing"
    )
