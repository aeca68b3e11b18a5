"""Recipes as text, durations, nested records, and paths below a working directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsstore import (
    Checkpoint,
    EventEntry,
    EventType,
    FileWrite,
    ModelResponse,
    OutputRule,
    RecipeConstraints,
    RecipeSnapshot,
    ResponseSnapshot,
    RunSummary,
    StopReason,
    Store,
    SystemReminder,
)
from fsstore.disk.workdir import WorkDirectory
from fsstore.records.nested import plain, strange_words
from fsstore.resources.recipe_text import markdown
from fsstore.resources.session_recipe import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.25, "59.25s"),
        (60, "1m0s"),
        (300, "5m0s"),
        (3600, "1h0m0s"),
        (90061.5, "25h1m1.5s"),
        (-65, "-1m5s"),
    ],
)
def test_a_duration_is_spelled_as_recipes_do(seconds: float, said: str):
    assert duration(seconds) == said


def test_a_snapshot_spells_the_time_out_and_leaves_out_parts_that_say_nothing(store: Store):
    constraints = RecipeConstraints(timeout=300)
    recipe = store.data.session("s", recipe=RecipeSnapshot(constraints=constraints)).snapshot()
    assert recipe == RecipeSnapshot(name="default", constraints=RecipeConstraints(timeout="5m0s"))
    empty = RecipeSnapshot(name="x", constraints=RecipeConstraints())
    assert store.data.session("s", recipe=empty).snapshot() == RecipeSnapshot(name="x")
    with pytest.raises(ValueError, match="JSON number"):
        store.recipes.put(RecipeSnapshot(constraints=RecipeConstraints(timeout=float("nan"))))


def test_a_recipe_as_markdown_has_a_section_for_each_thing_it_says():
    recipe = RecipeSnapshot(
        name="fast",
        version=2,
        tools=["bash", "grep"],
        system_prompt="Be\nbrief.",
        system_reminders=[SystemReminder(name="tests", content="Run\nthem.")],
        output_processing={"bash": OutputRule(max_lines=5)},
    )
    assert markdown(recipe) == (
        "# fast\n\nVersion 2\n\n## System prompt\n\nBe\nbrief.\n\n## Tools\n\n- bash\n- grep\n\n"
        "## System reminders\n\n-\n  - **name**: tests\n  - **content**: Run\n    them.\n\n"
        "## Output processing\n\n- **bash**\n  - **max_lines**: 5\n"
    )
    assert markdown(RecipeSnapshot()) == "# default\n"


def test_a_field_that_has_its_default_is_left_out_and_comes_back():
    response = ModelResponse(model_id="m", tool_calls={"bash": 1})
    assert response.to_json() == {"model_id": "m", "tool_calls": {"bash": 1}}
    assert ModelResponse.from_json(response.to_json()) == response
    assert set(RunSummary().to_json()) == {"timestamp"}


def test_records_in_records_go_to_json_and_come_back():
    snapshot = ResponseSnapshot(model_id="m", proposed_writes=[FileWrite(path="a", extra={"k": 1})])
    checkpoint = Checkpoint(prompt="p", timestamp=1, adapter_ids=["m"], responses=[snapshot])
    said = json.loads(json.dumps(checkpoint.to_json()))
    assert said["responses"] == [{"model_id": "m", "proposed_writes": [{"path": "a", "k": 1}]}]
    assert Checkpoint.from_json(said) == checkpoint


def test_what_is_of_another_shape_is_kept_as_read():
    said = {"prompt": "p", "responses": {"m": 1}, "timestamp": 1}
    assert Checkpoint.from_json(said).to_json() == said
    assert EventEntry.from_json({"type": 7}).type == 7


def test_enums_and_tuples_of_records_become_json_and_other_tuples_are_refused_later():
    assert plain([EventType.BASH, (FileWrite(path="a"),)]) == ["bash", [{"path": "a"}]]
    assert plain((1, 2)) == (1, 2)


def test_words_that_no_enum_knows_are_found_at_any_depth():
    response = ModelResponse(model_id="m", stop_reason="tired")
    known = ModelResponse(model_id="m", stop_reason=StopReason.TIMEOUT)
    assert list(strange_words({"a": [response, known]})) == [("stop_reason", "tired")]


def test_extra_cannot_hold_what_has_a_meaning_of_its_own():
    with pytest.raises(ValueError, match="model_id"):
        ModelResponse(model_id="m", extra={"model_id": "n"}).to_json()


def test_a_working_directory_gives_paths_as_they_are_below_it(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    work = WorkDirectory(tmp_path)
    assert [work.below(path) for path in ("a", "./a", "deep/../a", tmp_path / "deep" / "b")] == ["a", "a", "a", "deep/b"]
    assert WorkDirectory("/").below("/etc/hostname") == "etc/hostname"
    for path in ("..", "", ".", "/", f"{tmp_path}x/a"):
        with pytest.raises(ValueError, match="outside the working directory"):
            work.below(path)


def test_a_working_directory_that_is_gone_has_no_files_and_takes_none(tmp_path: Path):
    work = WorkDirectory(tmp_path / "gone")
    assert work.read("a") is None
    with pytest.raises(FileNotFoundError):
        work.write("a", b"x", 0o644, ".temp")
