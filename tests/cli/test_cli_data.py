"""prompts and stats."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import everything, fsstore, terminal

from fsstore import ModelResponse, RecipeSnapshot, RewindEntry, SelectionParams, Store
from fsstore.resources.data_session import DataSession


@pytest.fixture
def sessions(store: Store, tmp_path: Path) -> Store:
    fast = RecipeSnapshot(name="fast", version=1)
    for id, prompts in (("ses_a1", ["Why?", "And at night?"]), ("ses_a2", ["How?"]), ("ses_b", ["When?"])):
        session = store.data.session(id, cwd=tmp_path, recipe=fast)
        for prompt in prompts:
            store.prompts.record(prompt)
            ran(session, prompt)
    session = store.data.session("ses_b", cwd=tmp_path)
    session.rewinds.push(RewindEntry(prompt="When?"))
    session.rewinds.rewind()
    return store


def ran(session: DataSession, prompt: str) -> None:
    answers = [ModelResponse(model_id=model, text="x", cost_usd=cost) for model, cost in (("claude", 0.5), ("gpt", 0.25))]
    session.persist_run(prompt, answers, None, [])
    session.runs.select(SelectionParams(selected_model_id="claude", rating="good"))


# prompts


def test_prompts_are_listed_newest_first_a_line_each(sessions: Store) -> None:
    sessions.prompts.record("two\nlines \x1b[31m")
    result = fsstore("prompts", "--root", sessions.root)
    assert result.out.splitlines() == ["two lines \\x1b[31m", "When?", "How?", "And at night?", "Why?"]
    assert (result.code, result.err) == (0, "")


def test_prompts_for_programs_are_whole_and_limited(sessions: Store) -> None:
    sessions.prompts.record("two\nlines")
    rows = fsstore("prompts", "--json", "-n", "2", "--root", sessions.root).lines()
    assert rows == [{"prompt": "two\nlines"}, {"prompt": "When?"}]


def test_without_prompts_that_is_said(store: Store) -> None:
    assert fsstore("prompts", "--root", store.root).out == f"No prompts in {store.root}.\n"
    assert fsstore("prompts", "--json", "--root", store.root).out == ""


# stats


def test_stats_tell_models_and_recipes_without_what_was_rewound(sessions: Store) -> None:
    lines = fsstore("stats", "--root", sessions.root).out.splitlines()
    assert lines[0] == "3 runs in 3 sessions, 1 rewound left out."
    assert [line.split() for line in lines[2:5]] == [
        ["MODEL", "RUNS", "WINS", "GOOD", "BAD", "COST"],
        ["claude", "3", "3", "3", "0", "1.5000"],
        ["gpt", "3", "0", "0", "0", "0.7500"],
    ]
    assert lines[6].split() == ["RECIPE", "RUNS", "WINS", "GOOD", "BAD", "COST", "NAME"]
    assert lines[7].split()[1:] == ["3", "3", "3", "0", "2.2500", "fast"]


def test_stats_for_programs(sessions: Store) -> None:
    (found,) = fsstore("stats", "--json", "--root", sessions.root).lines()
    assert (found["sessions"], found["runs"], found["rewound"]) == (3, 3, 1)
    assert found["models"]["claude"] == {"runs": 3, "wins": 3, "good": 3, "bad": 0, "cost_usd": 1.5}
    (hash,) = found["recipes"]
    assert fsstore("stats", "--json", "--recipe", hash, "--root", sessions.root).lines() == [found]
    (none,) = fsstore("stats", "--json", "--recipe", "cfg_v9_x", "--root", sessions.root).lines()
    assert (none["runs"], none["models"]) == (0, {})


def test_stats_of_one_session_by_the_beginning_of_its_id(sessions: Store) -> None:
    assert fsstore("stats", "ses_a1", "--root", sessions.root).out.startswith("2 runs in 1 session.\n")
    assert fsstore("stats", "ses_b", "--root", sessions.root).out == "0 runs in 1 session, 1 rewound left out.\n"


def test_stats_of_a_session_that_is_not_there_or_of_several(sessions: Store) -> None:
    assert fsstore("stats", "ses_x", "--root", sessions.root).error(3) == "session ses_x not found"
    assert fsstore("stats", "", "--root", sessions.root).error(2) == "SESSION is empty: leave it out for all sessions"
    assert "2 sessions begin with 'ses_a'" in fsstore("stats", "ses_a", "--root", sessions.root).error(3)


@pytest.mark.damaged
def test_stats_say_what_was_passed_over(sessions: Store) -> None:
    (Path(sessions.root) / "threads" / "ses_b" / "session_metadata.json").write_text("{")
    result = fsstore("stats", "--root", sessions.root)
    assert "passed over 1 session that cannot be read" in result.err
    (recipe,) = (Path(sessions.root) / "recipes").iterdir()
    recipe.write_text("{")
    assert "(cannot be read)" in fsstore("stats", "--root", sessions.root).out


@pytest.mark.parametrize("command", ["prompts", "stats"])
def test_neither_changes_anything_nor_makes_a_store(sessions: Store, tmp_path: Path, command: str) -> None:
    before = everything(sessions.root)
    assert fsstore(command, "--root", sessions.root).code == 0
    assert everything(sessions.root) == before
    assert "no store at" in fsstore(command, "--root", tmp_path / "none").error(2)
    assert not (tmp_path / "none").exists()


def test_in_a_narrow_terminal_rows_are_cut(sessions: Store) -> None:
    result = terminal("stats", "--root", sessions.root, columns=44)
    assert all(len(line) <= 44 for line in result.out.splitlines())
    assert "cfg_v1_" in result.out
