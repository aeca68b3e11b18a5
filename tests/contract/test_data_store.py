"""`DataStore` against 3D of the contract, numbered in its order; part 0 first. (Nothing there is of SQLite alone.)

1-46 are those of the datastore, and those of its sessions, statistics, recipes, prompts, checkpoints and files follow in
`test_data_sessions.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import onroot
import pytest
from data_samples import ANSWERS, FAILED, PANELS, RECIPE, SESSION, Collector, data_store, turns

from fsstore import (
    CorruptError,
    DataStore,
    FileSnapshot,
    ModelResponse,
    RecipeSnapshot,
    RewindEntry,
    RunRating,
    RunType,
    SelectionParams,
    Store,
    StoreError,
    snapshot_files,
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def data(root: Path, work: Path) -> DataStore:
    return data_store(root)


def again(data: DataStore, **options: object) -> DataStore:
    """The same session as another process would open it."""
    return data_store(data.sessions_dir().parent, data.session_id(), **options)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Beginning


def test_1_a_new_session_is_empty_and_a_constructor_writes_nothing_into_it(data: DataStore) -> None:
    assert (data.histories(), data.content().runs, data.content().histories, data.metadata().runs) == ({}, [], {}, [])
    assert (data.metadata().prompt_count, data.load_checkpoint(), data.session_recipe(), data.can_rewind()) == (
        0,
        None,
        None,
        False,
    )
    assert not data.content_path().parent.exists()
    assert not list(data.sessions_dir().iterdir())


def test_2_what_was_said_is_loaded(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.persist_run_state("Why?", ANSWERS)
    assert again(data).content() == data.content()
    assert again(data).content().runs[0].prompt == "Why?"


def test_3_the_prompt_history_is_loaded_newest_first(data: DataStore) -> None:
    for prompt in ("one", "two", "three"):
        data.record_prompt(prompt)
    assert again(data).prompt_history() == ["three", "two", "one"]


# Histories


def test_4_an_append_gives_the_lengths_before_it_and_two_turns_to_each_panel(data: DataStore) -> None:
    assert data.append_histories(PANELS, ANSWERS, "Why?") == {"a": 0, "b": 0}
    assert data.histories() == {"a": turns("Why?", "Rayleigh scattering."), "b": turns("Why?", "Air.")}
    assert again(data).histories() == data.histories()


def test_5_a_second_append_gives_two_and_leaves_four(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    assert data.append_histories(PANELS, ANSWERS, "And at night?") == {"a": 2, "b": 2}
    assert [len(history) for history in data.histories().values()] == [4, 4]


@pytest.mark.parametrize("response", [FAILED, ModelResponse(model_id="gpt")], ids=["error", "no-text"])
def test_6_a_response_with_an_error_or_without_text_adds_nothing(data: DataStore, response: ModelResponse) -> None:
    assert data.append_histories(PANELS, (ANSWERS[0], response), "Why?") == {"a": 0, "b": 0}
    assert list(data.histories()) == ["a"]
    assert data.append_histories(["a", "b", "c"], (response,), "Again?") == {"a": 2, "b": 0, "c": 0}
    assert list(data.histories()) == ["a"]


def test_6_responses_beyond_the_panels_are_passed_over(data: DataStore) -> None:
    assert data.append_histories(["a"], ANSWERS, "Why?") == {"a": 0}
    assert list(data.histories()) == ["a"]


def test_7_histories_are_replaced_whole(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.set_histories({"c": turns("x", "y", "z")})
    assert data.histories() == again(data).histories() == {"c": turns("x", "y", "z")}


def test_8_histories_are_cut_to_lengths(data: DataStore) -> None:
    data.set_histories({"a": turns("1", "2", "3", "4"), "b": turns("1", "2")})
    data.truncate_histories({"a": 2, "b": 5, "nobody": 0})
    assert data.histories() == again(data).histories() == {"a": turns("1", "2"), "b": turns("1", "2")}


def test_9_a_history_cut_to_nothing_goes(data: DataStore) -> None:
    data.set_histories({"a": turns("1", "2"), "b": turns("1", "2")})
    data.truncate_histories({"a": 0})
    assert data.histories() == again(data).histories() == {"b": turns("1", "2")}


def test_10_histories_are_cleared_and_the_runs_stay(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.persist_run_state("Why?", ANSWERS)
    data.clear_histories()
    assert data.histories() == again(data).histories() == {}
    assert len(data.content().runs) == 1


def test_what_a_caller_does_to_the_histories_it_was_given_changes_nothing(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.histories()["a"].clear()
    assert len(data.histories()["a"]) == 2


@pytest.mark.parametrize("length", [-1, 1.5, True, None])
def test_a_length_that_is_none_is_refused_and_changes_nothing(data: DataStore, length: object) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    before = data.content_path().read_bytes()
    with pytest.raises(ValueError, match="0 or more"):
        data.truncate_histories({"a": length})  # type: ignore[dict-item]
    assert data.content_path().read_bytes() == before


# Prompts


def test_11_prompts_are_noted_in_their_order(data: DataStore) -> None:
    assert [data.record_prompt(prompt) for prompt in ("one", "two")] == [True, True]
    assert data.prompt_history() == ["two", "one"]
    assert [line["prompt"] for line in lines(data.sessions_dir().parent / "prompt_history.jsonl")] == ["one", "two"]


def test_12_the_newest_prompt_is_not_noted_twice_in_a_row(data: DataStore) -> None:
    assert [data.record_prompt("one"), data.record_prompt("one")] == [True, False]
    assert data.prompt_history() == ["one"]


def test_13_a_prompt_that_is_not_the_newest_is_noted_again(data: DataStore) -> None:
    assert [data.record_prompt(prompt) for prompt in "ABA"] == [True, True, True]
    assert data.prompt_history() == ["A", "B", "A"]


def test_prompts_of_all_sessions_are_one_history_and_begin_none(data: DataStore, root: Path) -> None:
    data.record_prompt("one")
    other = data_store(root, "another")
    assert not other.record_prompt("one")
    assert other.record_prompt("")
    assert data.prompt_history() == ["", "one"]
    assert list(data.sessions_dir().iterdir()) == []


def test_14_histories_and_prompts_survive_reopening(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.record_prompt("Why?")
    before = data.histories(), data.prompt_history()
    assert (again(data).histories(), again(data).prompt_history()) == before


# The checkpoint


def test_15_a_checkpoint_is_cleared(data: DataStore) -> None:
    data.checkpoint_saver("Why?", ["claude"]).update(ANSWERS[0])
    assert data.load_checkpoint() is not None
    data.clear_checkpoint()
    assert data.load_checkpoint() is again(data).load_checkpoint() is None


def test_16_clearing_a_checkpoint_that_is_not_there_is_no_matter(data: DataStore) -> None:
    data.clear_checkpoint()
    assert data.load_checkpoint() is None
    assert not data.checkpoint_path().exists()


# Runs


def test_17_a_run_is_counted_and_told_in_the_metadata(data: DataStore) -> None:
    data.persist_run_state("Why is the sky blue?", ANSWERS)
    meta = data.metadata()
    assert (meta.id, meta.prompt_count, meta.first_prompt, meta.last_prompt) == (SESSION, 1, *["Why is the sky blue?"] * 2)
    assert meta.models == ["claude", "gpt"]
    assert meta.created_at <= meta.last_active_at
    (run,) = meta.runs
    assert run.prompt_preview == "Why is the sky blue?"
    assert run.prompt_hash == "ph_" + hashlib.sha256(b"Why is the sky blue?").hexdigest()
    assert (run.models, run.latencies_ms, run.costs_usd) == (
        ["claude", "gpt"],
        {"claude": 120, "gpt": 80},
        {"claude": 0.25, "gpt": 0.5},
    )
    assert (run.input_tokens["claude"], run.output_tokens["claude"]) == (10, 20)
    assert (run.tool_calls, run.proposed_writes_count) == ({"claude": {"bash": 2}}, {"claude": 2})
    assert (run.type, run.rating, run.selected, run.note, run.applied_files) == (RunType.NORMAL, RunRating.NONE, "", "", [])
    assert run.config_hash == meta.config_hash == data.recipe_hash()


def test_18_a_second_run_keeps_the_first_prompt(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.persist_run_state("two", ANSWERS)
    meta = data.metadata()
    assert (meta.prompt_count, meta.first_prompt, meta.last_prompt, len(meta.runs)) == (2, "one", "two", 2)
    assert len({run.id for run in meta.runs}) == 2


def test_19_the_metadata_of_a_run_is_on_disk(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    assert again(data).metadata() == data.metadata()


def test_20_the_content_of_a_run_is_on_disk(data: DataStore) -> None:
    data.persist_run_state("Why?", ANSWERS)
    (run,) = again(data).content().runs
    assert [model.model_id for model in run.models] == ["claude", "gpt"]
    claude = run.models[0]
    assert (claude.text, claude.steps, claude.reasoning_tokens, claude.stop_reason) == (
        "Rayleigh scattering.",
        3,
        5,
        "complete",
    )
    assert [(write.path, write.content, write.delete) for write in claude.proposed_writes] == [
        ("foo.go", "package foo", False),
        ("old.go", "", True),
    ]
    assert claude.events == []


def test_21_content_accumulates(data: DataStore) -> None:
    for prompt in ("one", "two", "three"):
        data.persist_run_state(prompt, ANSWERS)
    assert [run.prompt for run in again(data).content().runs] == ["one", "two", "three"]


@pytest.mark.parametrize("prompt", ["x" * 200, "\N{PILE OF POO}" * 200, "a" * 119 + "\u00e9" * 9])
def test_22_a_preview_has_120_characters_and_no_half_one(data: DataStore, prompt: str) -> None:
    data.persist_run_state(prompt, ANSWERS)
    meta = again(data).metadata()
    assert meta.first_prompt == meta.last_prompt == meta.runs[0].prompt_preview == prompt[:120]
    assert data.content().runs[0].prompt == prompt


@pytest.mark.parametrize("by_model", [False, True])
def test_23_the_events_of_a_collector_are_kept_in_their_order(data: DataStore, by_model: bool) -> None:
    collector = Collector()
    given = {one.model_id: collector.events(one.model_id) for one in ANSWERS} if by_model else collector
    data.persist_run_state("Why?", ANSWERS, given)
    models = again(data).content().runs[0].models
    assert [[event.type for event in model.events] for model in models] == [["reading", "bash"]] * 2
    assert models[1].events == collector.events("gpt")


def test_24_the_recipe_is_written_as_text(root: Path, work: Path) -> None:
    data = data_store(root, recipe=RECIPE)
    data.persist_run_state("Why?", ANSWERS)
    text = data.session_recipe_path().read_text()
    assert text.startswith("# fast\n")
    assert all(part in text for part in ("Be brief.", "Run the tests.", "max_steps", "Sum it up."))
    data.set_session_recipe(RecipeSnapshot(name="slow", system_prompt="Take your time."))
    assert "Be brief." in data.session_recipe_path().read_text()  # it is written with a run
    data.persist_run_state("And now?", ANSWERS)
    assert "Take your time." in data.session_recipe_path().read_text()


def test_25_without_a_recipe_there_is_no_text(data: DataStore) -> None:
    data.persist_run_state("Why?", ANSWERS)
    assert not data.session_recipe_path().exists()


# Notes and choices


def test_26_a_note_without_a_run_is_no_matter_and_begins_no_session(data: DataStore) -> None:
    data.update_last_run_note("a note")
    data.record_selection(SelectionParams(selected_model_id="claude"))
    data.truncate_histories({"a": 0})
    data.clear_histories()
    data.clear_rewind_stack()
    data.push_file_snapshots([FileSnapshot(path="foo.go")])
    assert list(data.sessions_dir().iterdir()) == []


def test_27_a_note_changes_the_last_run_only(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.persist_run_state("two", ANSWERS)
    data.update_last_run_note("Applied: foo.go")
    assert [run.note for run in data.metadata().runs] == ["", "Applied: foo.go"]


def test_28_a_note_is_on_disk(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.update_last_run_note("Applied: foo.go")
    assert again(data).metadata().runs[0].note == "Applied: foo.go"


def test_29_a_note_is_overwritten(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    for note in ("first", "second", ""):
        data.update_last_run_note(note)
        assert again(data).metadata().runs[0].note == note


def test_30_a_choice_and_the_files_that_were_applied_are_kept(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.record_selection(
        SelectionParams(selected_model_id="claude", applied_files=["foo.go"], responses=ANSWERS, prompt="one")
    )
    run = data.metadata().runs[0]
    assert (run.selected, run.applied_files, run.rating) == ("claude", ["foo.go"], RunRating.NONE)
    data.record_selection(SelectionParams(selected_model_id="gpt"))
    run = data.metadata().runs[0]
    assert (run.selected, run.applied_files) == ("gpt", ["foo.go"])


def test_31_a_rating_is_kept_and_always_overwritten(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.record_selection(SelectionParams(selected_model_id="claude", rating="good"))
    assert data.metadata().runs[0].rating is RunRating.GOOD
    data.record_selection(SelectionParams(selected_model_id="claude", rating=RunRating.BAD))
    assert data.metadata().runs[0].rating is RunRating.BAD
    data.record_selection(SelectionParams(selected_model_id="claude"))
    assert data.metadata().runs[0].rating is RunRating.NONE


def test_32_a_choice_is_on_disk(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.record_selection(SelectionParams(selected_model_id="claude", rating="good", applied_files=["foo.go"]))
    assert again(data).metadata() == data.metadata()


def test_decision_34_note_and_choice_are_of_the_last_run_and_not_of_a_rewind_mark(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.push_rewind_entry(RewindEntry(prompt="one"))
    data.rewind()
    data.update_last_run_note("a note")
    data.record_selection(SelectionParams(selected_model_id="gpt", rating="bad"))
    run, mark = data.metadata().runs
    assert (run.note, run.selected, run.rating) == ("a note", "gpt", RunRating.BAD)
    assert (mark.type, mark.note, mark.selected, mark.rating) == (RunType.REWIND, "", "", RunRating.NONE)


# Costs


def test_33_costs_are_summed_by_model_and_survive_a_restart(data: DataStore) -> None:
    for model, cost in (("claude", 0.25), ("gpt", 0.5), ("claude", 0.125), ("gpt", 1)):
        data.accumulate_cost(model, cost)
    assert data.cost_per_model() == again(data).cost_per_model() == {"claude": 0.375, "gpt": 1.5}
    assert data.total_cost() == again(data).total_cost() == 1.875


def test_34_without_any_cost_the_total_is_nothing(data: DataStore) -> None:
    assert (data.total_cost(), data.cost_per_model()) == (0.0, {})


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), "1", None, True])
def test_a_cost_that_is_no_number_is_refused(data: DataStore, cost: object) -> None:
    with pytest.raises(ValueError, match="cost"):
        data.accumulate_cost("claude", cost)  # type: ignore[arg-type]
    assert data.total_cost() == 0.0


# Rewind


def test_35_an_empty_stack_says_that_there_is_nothing_to_rewind(data: DataStore) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match=r"^nothing to rewind$"):
            data.rewind()
        data.persist_run_state("one", ANSWERS)


def test_36_a_rewind_shortens_the_histories_and_takes_the_entry(data: DataStore) -> None:
    data.append_histories(PANELS, ANSWERS, "one")
    lengths = data.append_histories(PANELS, ANSWERS, "two")
    data.push_rewind_entry(RewindEntry(prompt="two", history_lengths=lengths, feed_index=3))
    result = data.rewind()
    assert (result.feed_index, result.file_msg) == (3, "")
    assert {panel: len(history) for panel, history in again(data).histories().items()} == {"a": 2, "b": 2}
    assert (data.can_rewind(), data.rewind_stack_len()) == (False, 0)


def test_37_a_rewind_marks_the_run_and_its_note(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.update_last_run_note("Applied: foo.go")
    data.push_rewind_entry(RewindEntry(prompt="one"))
    assert data.rewind().note == "[rewound] Applied: foo.go"
    run, mark = again(data).metadata().runs
    assert run.note == "[rewound] Applied: foo.go"
    assert (mark.type, mark.prompt_hash) == (RunType.REWIND, run.prompt_hash)
    assert data.metadata().prompt_count == len(data.content().runs) == 1


def test_38_a_run_without_a_note_has_the_mark_alone(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    data.push_rewind_entry(RewindEntry(prompt="one"))
    assert data.rewind().note == again(data).metadata().runs[0].note == "[rewound]"


def test_39_without_a_run_a_rewind_notes_none(data: DataStore) -> None:
    data.push_rewind_entry(RewindEntry(prompt="one", run_id=None))
    assert data.rewind().note == ""
    assert [run.type for run in data.metadata().runs] == [RunType.REWIND]


def test_decision_30_the_run_is_named_by_its_id_whatever_came_between(data: DataStore) -> None:
    for prompt in ("one", "two"):
        data.persist_run_state(prompt, ANSWERS)
    first = data.metadata().runs[0]
    data.push_rewind_entry(RewindEntry(prompt="one", run_id=first.id, feed_index=17))
    data.persist_run_state("three", ANSWERS)
    data.rewind()
    assert [run.note for run in data.metadata().runs] == ["[rewound]", "", "", ""]


def test_decision_30_without_an_id_each_rewind_is_of_the_last_run_that_is_not_rewound_yet(data: DataStore) -> None:
    for prompt in ("one", "two"):
        data.push_rewind_entry(RewindEntry(prompt=prompt))
        data.persist_run_state(prompt, ANSWERS)
    data.rewind()
    assert [run.note for run in data.metadata().runs] == ["", "[rewound]", ""]
    data.rewind()
    assert [run.note for run in data.metadata().runs] == ["[rewound]", "[rewound]", "", ""]


def test_40_the_stack_grows_and_is_cleared(data: DataStore) -> None:
    lengths = [data.rewind_stack_len()]
    for prompt in ("one", "two"):
        data.push_rewind_entry(RewindEntry(prompt=prompt))
        lengths.append(again(data).rewind_stack_len())
    assert data.can_rewind()
    data.clear_rewind_stack()
    assert [*lengths, data.rewind_stack_len(), again(data).rewind_stack_len()] == [0, 1, 2, 0, 0]


def test_decision_30_a_restarted_process_rewinds_files_with_bytes_and_mode(data: DataStore, work: Path) -> None:
    script, new, raw = work / "run.sh", work / "deep" / "new.txt", work / "raw.bin"
    script.write_text("old")
    script.chmod(0o750)
    raw.write_bytes(bytes(range(256)))
    data.push_rewind_entry(RewindEntry(prompt="one"))
    snapshots = snapshot_files([script, "deep/new.txt", str(raw)], work)
    script.write_text("new")
    script.chmod(0o600)
    new.parent.mkdir()
    new.write_text("made")
    raw.unlink()
    data.push_file_snapshots(snapshots)
    result = again(data).rewind()
    assert (result.restored, result.file_msg) == (["run.sh", "deep/new.txt", "raw.bin"], "")
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("old", 0o750)
    assert (new.exists(), raw.read_bytes()) == (False, bytes(range(256)))
    assert sorted(path.name for path in work.rglob("*")) == ["deep", "raw.bin", "run.sh"]


def test_the_snapshots_of_the_uppermost_entry_are_replaced(data: DataStore, work: Path) -> None:
    kept = work / "kept"
    kept.write_text("now")
    data.push_rewind_entry(RewindEntry(file_snapshots=[FileSnapshot(path=str(kept), content=b"first")]))
    data.push_file_snapshots([FileSnapshot(path=str(kept), content=b"second")])
    data.push_file_snapshots([])
    data.rewind()
    assert kept.read_bytes() == b"second"


def changed_since(data: DataStore, work: Path) -> Path:
    file = work / "foo.go"
    file.write_text("old")
    data.push_rewind_entry(RewindEntry(prompt="one"))
    snapshots = snapshot_files([file], work)
    file.write_text("written by the agent")
    data.push_file_snapshots(snapshots)
    file.write_text("and by me")
    return file


def test_decision_30_a_file_changed_since_is_left_copied_aside_and_reported(data: DataStore, work: Path) -> None:
    file = changed_since(data, work)
    result = data.rewind()
    assert file.read_text() == "and by me"
    assert (result.left, result.restored, result.failed) == (["foo.go"], [], {})
    assert Path(result.copies["foo.go"]).read_text() == "and by me"
    assert "foo.go was changed since" in result.file_msg
    assert data.rewind_stack_len() == 0


def test_decision_30_force_overwrites_it_once_it_is_copied_aside(data: DataStore, work: Path) -> None:
    file = changed_since(data, work)
    result = data.rewind(force=True)
    assert file.read_text() == "old"
    assert (result.left, result.restored) == ([], ["foo.go"])
    assert Path(result.copies["foo.go"]).read_text() == "and by me"


# Recipes


def test_41_a_snapshot_without_a_recipe_is_called_default(data: DataStore) -> None:
    assert data.build_recipe_snapshot() == RecipeSnapshot(name="default")
    data.set_last_active_tools(["bash", "grep"])
    assert data.build_recipe_snapshot() == RecipeSnapshot(name="default", tools=["bash", "grep"])


def test_42_a_snapshot_holds_every_field_and_the_tools_that_were_active(root: Path, work: Path) -> None:
    data = data_store(root, recipe=RECIPE)
    assert data.build_recipe_snapshot() == RECIPE
    data.persist_run_state("Why?", ANSWERS, tool_names=["grep"])
    assert data.last_active_tools() == again(data).last_active_tools() == ["grep"]
    assert data.build_recipe_snapshot().tools == ["grep"]
    assert data.recipe_store().get(data.metadata().config_hash) == data.build_recipe_snapshot()


def test_43_the_sessions_own_recipe_wins_and_persists(root: Path, work: Path) -> None:
    data = data_store(root, recipe=RECIPE)
    own = RecipeSnapshot(name="slow", system_prompt="Take your time.", extra={"models": ["x"]})
    assert (data.base_recipe(), data.session_recipe(), data.active_recipe()) == (RECIPE, None, RECIPE)
    data.set_session_recipe(own)
    for store in (data, again(data, recipe=RECIPE)):
        assert (store.base_recipe(), store.session_recipe(), store.active_recipe()) == (RECIPE, own, own)
        assert store.build_recipe_snapshot() == own
    data.set_session_recipe(None)
    assert again(data, recipe=RECIPE).active_recipe() == RECIPE


def test_44_the_directories_are_those_of_the_store(data: DataStore, root: Path) -> None:
    assert data.sessions_dir() == root / "threads"
    assert data.recipes_dir() == root / "recipes"
    here = root / "threads" / SESSION
    assert (data.metadata_path(), data.content_path()) == (here / "session_metadata.json", here / "session_content.jsonl")
    assert (data.session_recipe_path(), data.checkpoint_path()) == (here / "recipe.md", here / "checkpoint.json")
    assert data.session_id() == SESSION


def test_45_a_name_is_looked_up_by_hash(root: Path, work: Path) -> None:
    data = data_store(root, recipe=RECIPE)
    name = data.recipe_name_lookup()
    assert name(data.recipe_hash()) == "fast"


@pytest.mark.parametrize("hash", ["", "cfg_v1_00", "no hash"])
def test_46_a_hash_that_nobody_knows_has_no_name(data: DataStore, hash: str) -> None:
    assert data.recipe_name_lookup()(hash) == ""


# What part 0 adds


def test_decision_6_the_first_write_begins_the_session(root: Path, work: Path) -> None:
    writes = {
        "append": lambda data: data.append_histories(PANELS, ANSWERS, "Why?"),
        "set": lambda data: data.set_histories({}),
        "initial": lambda data: data.save_initial_meta(),
        "run": lambda data: data.persist_run_state("Why?", ANSWERS),
        "push": lambda data: data.push_rewind_entry(RewindEntry()),
        "cost": lambda data: data.accumulate_cost("claude", 1.0),
        "tools": lambda data: data.set_last_active_tools(["bash"]),
        "recipe": lambda data: data.set_session_recipe(RECIPE),
        "checkpoint": lambda data: data.checkpoint_saver("Why?", ["claude"]).update(ANSWERS[0]),
    }
    for name, write in writes.items():
        data = data_store(root, name)
        write(data)
        meta = json.loads((root / "threads" / name / "meta.json").read_text())
        assert (meta["kind"], meta["cwd"]) == ("data", str(work)), name


def test_the_initial_metadata_keep_the_time_at_which_the_session_was_begun(data: DataStore) -> None:
    data.save_initial_meta()
    before = data.metadata_path().read_bytes()
    data.save_initial_meta()
    again(data).save_initial_meta()
    assert data.metadata_path().read_bytes() == before
    assert json.loads(before)["created_at"] == data.metadata().created_at


def test_deleting_the_session_under_it_starts_it_anew_empty(data: DataStore, root: Path) -> None:
    data.append_histories(PANELS, ANSWERS, "Why?")
    data.persist_run_state("Why?", ANSWERS)
    data.push_rewind_entry(RewindEntry())
    data.accumulate_cost("claude", 1.0)
    data.set_session_recipe(RECIPE)
    assert data._store.threads.delete(SESSION)
    assert (data.histories(), data.metadata().runs, data.rewind_stack_len(), data.total_cost()) == ({}, [], 0, 0.0)
    data.persist_run_state("And now?", ANSWERS)
    assert [run.prompt for run in again(data).content().runs] == ["And now?"]
    assert (data.histories(), data.rewind_stack_len(), data.session_recipe()) == ({}, 0, None)


def test_what_another_process_wrote_is_seen_without_reopening(data: DataStore) -> None:
    other = again(data)
    data.append_histories(PANELS, ANSWERS, "Why?")
    other.append_histories(PANELS, ANSWERS, "And at night?")
    data.persist_run_state("one", ANSWERS)
    other.persist_run_state("two", ANSWERS)
    for store in (data, other):
        assert [run.prompt for run in store.content().runs] == ["one", "two"]
        assert [len(history) for history in store.histories().values()] == [4, 4]


@pytest.mark.parametrize("bad", [float("nan"), 2**64, "\ud800", {1}, (1, 2)], ids=repr)
def test_decision_40_what_json_cannot_hold_is_refused_before_anything_changes(data: DataStore, bad: object) -> None:
    data.persist_run_state("one", ANSWERS)
    before = data.content_path().read_bytes()
    response = ModelResponse(model_id="claude", text="x", extra={"x": bad})
    with pytest.raises(ValueError, match=r"JSON|string"):
        data.persist_run_state("two", [response])
    assert data.content_path().read_bytes() == before


def test_unknown_keys_come_back(data: DataStore) -> None:
    data.persist_run_state("one", [ModelResponse(model_id="claude", text="x", extra={"trace": [1]})])
    assert again(data).content().runs[0].models[0].extra == {"trace": [1]}
    path = data.content_path()
    line = json.loads(path.read_text())
    line["summary"]["mood"] = "glad"
    line["summary"]["rating"] = "splendid"
    path.write_text(json.dumps(line) + "\n")
    run = data.metadata().runs[0]
    assert (run.extra, run.rating) == ({"mood": "glad"}, "splendid")
    data.update_last_run_note("a note")
    assert data.metadata().runs[0].extra == {"mood": "glad"}
    line["summary"]["rating"] = "good"
    path.write_text(json.dumps(line) + "\n")


@pytest.mark.damaged
def test_corrupt_metadata_are_an_error_and_are_not_overwritten(data: DataStore) -> None:
    data.save_initial_meta()
    data.metadata_path().write_text("{")
    for call in (data.metadata, data.session_recipe, lambda: data.set_session_recipe(RECIPE), data.save_initial_meta):
        with pytest.raises(CorruptError, match=r"session_metadata\.json"):
            call()
    assert data.metadata_path().read_text() == "{"


@pytest.mark.damaged
def test_a_bad_line_hides_nothing(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    with data.content_path().open("a") as log:
        log.write('{"id": "torn\n{"id":"0190a5b0-0000-7000-8000-00000000000a","type":"run"}\nnonsense\n')
    data.persist_run_state("two", ANSWERS)
    assert [run.prompt for run in again(data).content().runs] == ["one", "two"]


def test_the_files_of_an_entry_are_kept_as_base64(data: DataStore, work: Path) -> None:
    (work / "a").write_bytes(b"\0\xff")
    (work / "a").chmod(0o640)
    data.push_rewind_entry(RewindEntry(prompt="p", file_snapshots=snapshot_files(["a", "b"], work)))
    (line,) = lines(data.sessions_dir() / SESSION / "rewind.jsonl")
    assert line["files"] == [
        {"path": "a", "content": base64.b64encode(b"\0\xff").decode(), "mode": 0o640},
        {"path": "b"},
    ]


NOT_KEPT = {
    "a turn that is none": lambda data: data.set_histories({"a": [{"x": 1}]}),
    "a panel that is no text": lambda data: data.append_histories([1], ANSWERS, "Why?"),
    "an answer that is no text": lambda data: data.append_histories(["a"], [ModelResponse(model_id="m", text=5)], "Why?"),
    "a tool that is no text": lambda data: data.persist_run_state("Why?", ANSWERS, tool_names=[1]),
    "a cost that is no number": lambda data: data.persist_run_state("Why?", [ModelResponse(model_id="m", cost_usd=None)]),
    "an active tool that is no text": lambda data: data.set_last_active_tools([None]),
    "a note that is no text": lambda data: data.update_last_run_note(None),
    "a choice of nothing": lambda data: data.record_selection(SelectionParams(selected_model_id=None)),
    "a rating of nothing": lambda data: data.record_selection(SelectionParams(selected_model_id="m", rating=None)),
    "a rewind of no text": lambda data: data.push_rewind_entry(RewindEntry(prompt=5)),
    "a mode that is none": lambda data: data.push_file_snapshots([FileSnapshot(path="a", mode="x")]),
    "a checkpoint of no prompt": lambda data: data.checkpoint_saver(None, ["claude"]).update(ANSWERS[0]),
    "a prompt that is no text": lambda data: data.record_prompt(None),
}


@pytest.mark.parametrize("write", NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_readers_would_take_for_damage_is_refused_before_anything_changes(
    data: DataStore, write: Callable[[DataStore], object]
) -> None:
    new = data_store(data.sessions_dir().parent, "new")
    data.persist_run_state("one", ANSWERS)
    data.push_rewind_entry(RewindEntry(prompt="one"))
    before = onroot.snapshot(data.sessions_dir().parent)
    with pytest.raises(ValueError, match=r"belongs|it holds no prompt|missing|mode"):
        write(data)
    with suppress(ValueError):  # a note, a choice or files without anything to put them to are no matter
        write(new)
    assert onroot.snapshot(data.sessions_dir().parent) == before


@pytest.mark.damaged
@pytest.mark.parametrize(
    ("name", "value"),
    [("models", None), ("models", [["x"]]), ("costs_usd", {"m": None}), ("config_hash", []), ("prompt_hash", 5)],
)
def test_a_run_that_nobody_can_count_with_is_damage_and_hides_no_other(data: DataStore, name: str, value: object) -> None:
    for prompt in ("one", "two"):
        data.persist_run_state(prompt, ANSWERS)
    first, second = lines(data.content_path())
    first["summary"][name] = value
    data.content_path().write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    store = Store.open(data.sessions_dir().parent)
    assert [run.prompt_preview for run in data.metadata().runs] == ["two"]
    assert [session.prompt_count for session in store.data.recent()] == [1]
    assert store.data.statistics().runs == 1
    assert [(problem.kind, problem.offset) for problem in store.check()] == [("bad-record", 0)]
