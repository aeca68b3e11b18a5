"""What stands beside a `DataStore`'s session against 3D of the contract, numbered on from `test_data_store.py`.

47-55 sessions, 56-61 their records, 62-66 statistics, 67-75 recipes, 76-82 prompts, 83-91 checkpoints, 92-98 files.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import data_children as children
import onroot
import processes
import pytest
from data_samples import ANSWERS, FAILED, RECIPE, SESSION, data_store, turn, turns

from fsstore import (
    AmbiguousPrefixError,
    Checkpoint,
    ConversationTurn,
    CorruptError,
    DataSessionMetadata,
    DataStore,
    EventEntry,
    EventType,
    FileWrite,
    ModelResponse,
    ModelRunContent,
    RecipeConstraints,
    RecipeModelParams,
    RecipeSnapshot,
    ResponseSnapshot,
    RewindEntry,
    RunContent,
    RunRating,
    RunSummary,
    RunType,
    SelectionParams,
    SessionContent,
    SessionNotFoundError,
    SessionStore,
    Store,
    SystemReminder,
    Tally,
    ThreadInfo,
    WriteEntry,
    new_session_id,
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


@pytest.fixture
def sessions(root: Path, work: Path) -> Store:
    """Three sessions, of which the last but one was used last, and a thread of somebody else's."""
    store = Store.open(root)
    store.threads.create("ses_other")
    for id in ("ses_a1", "ses_a2", "ses_b"):
        data_store(root, id).save_initial_meta()
        data_store(root, id).persist_run_state(f"first of {id}", ANSWERS)
    data_store(root, "ses_a2").update_last_run_note("a note")
    return store


# Sessions


def test_47_an_id_is_a_uuid_of_version_7_and_100_are_unique() -> None:
    ids = [new_session_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"ses_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id) for id in ids)
    assert [id[:17] for id in ids] == sorted(id[:17] for id in ids)


def test_48_the_files_of_a_session_are_in_its_directory(root: Path) -> None:
    data = data_store(root, "ses/../x")
    assert {path.parent for path in (data.metadata_path(), data.content_path(), data.checkpoint_path())} == {
        root / "threads" / "ses%2f..%2fx"
    }


def test_49_the_session_used_last_is_listed_first(sessions: Store) -> None:
    assert [meta.id for meta in sessions.data.recent()] == ["ses_a2", "ses_b", "ses_a1"]
    assert [meta.id for meta in sessions.data] == ["ses_a2", "ses_b", "ses_a1"]
    assert [meta.id for meta in sessions.data.recent(1)] == ["ses_a2"]
    assert sessions.data.recent(1)[0] == data_store(Path(sessions.root), "ses_a2").metadata()
    with pytest.raises(ValueError, match="limit"):
        sessions.data.recent(-1)


def test_49_a_session_that_nobody_ran_yet_is_listed_by_its_beginning(sessions: Store, root: Path) -> None:
    data_store(root, "ses_c").save_initial_meta()
    sessions.threads.create("ses_d", kind="data")
    assert [meta.id for meta in sessions.data.recent(3)] == ["ses_d", "ses_c", "ses_a2"]


def test_a_run_is_a_use_that_keeps_a_session_from_being_cleaned_up(root: Path, work: Path, store: Store) -> None:
    for id in ("used", "unused"):
        store.threads.add(ThreadInfo(id=id, kind="data", created_at=1, updated_at=1))
    data_store(root, "used").persist_run_state("Why?", ANSWERS)
    sessions = SessionStore(root)
    assert sessions.get_session_metadata("used").last_activity == data_store(root, "used").metadata().last_active_at > 1
    assert (sessions.cleanup_stale(1), store.data.ids()) == (1, ["used"])


@pytest.mark.damaged
@pytest.mark.parametrize("file", ["meta.json", "session_metadata.json"])
def test_50_a_corrupt_session_is_skipped_and_reported(sessions: Store, root: Path, file: str) -> None:
    (root / "threads" / "ses_b" / file).write_text("{")
    assert [meta.id for meta in sessions.data.recent()] == ["ses_a2", "ses_a1"]
    (error,) = sessions.data.damage()
    assert isinstance(error, CorruptError)
    assert error.path.endswith(f"ses_b/{file}")
    assert sessions.data.resolve("ses_b") == "ses_b"


def test_51_without_sessions_the_list_is_empty(store: Store) -> None:
    store.threads.create("ses_other")
    assert (store.data.recent(), store.data.ids(), store.data.damage()) == ([], [], [])


def test_52_the_latest_id_is_that_of_the_session_used_last(sessions: Store) -> None:
    assert sessions.data.latest_id() == "ses_a2"


def test_53_without_sessions_there_is_no_latest(store: Store) -> None:
    with pytest.raises(SessionNotFoundError, match="no sessions found"):
        store.data.latest_id()


def test_54_an_id_is_resolved_exactly_or_by_a_prefix_that_no_other_has(sessions: Store, root: Path) -> None:
    assert [sessions.data.resolve(prefix) for prefix in ("ses_a1", "ses_b", "ses_b"[:5])] == ["ses_a1", "ses_b", "ses_b"]
    data_store(root, "ses_a11").save_initial_meta()
    assert sessions.data.resolve("ses_a1") == "ses_a1"


@pytest.mark.parametrize("prefix", ["ses_x", "", "ses_other"])
def test_55_a_prefix_of_none_is_not_found(sessions: Store, prefix: str) -> None:
    with pytest.raises(SessionNotFoundError):
        sessions.data.resolve(prefix)


def test_55_a_prefix_of_several_says_of_which(sessions: Store) -> None:
    with pytest.raises(AmbiguousPrefixError, match="2 sessions begin with 'ses_a': ses_a1, ses_a2") as caught:
        sessions.data.resolve("ses_a")
    assert caught.value.matches == ["ses_a1", "ses_a2"]


# Records

WHOLE = SessionContent(
    session_id=SESSION,
    runs=[
        RunContent(
            prompt="Why?",
            prompt_hash="ph_1",
            models=[
                ModelRunContent(
                    model_id="claude",
                    text="Because.",
                    proposed_writes=[WriteEntry(path="a", content="b"), WriteEntry(path="c", delete=True, extra={"why": 1})],
                    events=[EventEntry(type=EventType.REQUEST, data={"n": None}), EventEntry(type="unheard of")],
                    stop_reason="max_steps",
                    steps=4,
                    reasoning_tokens=9,
                )
            ],
        )
    ],
    histories={"a": [turn("user", "Why?"), ConversationTurn(role="system", content="x", extra={"at": 1})]},
    extra={"from": "elsewhere"},
)
METADATA = DataSessionMetadata(
    id=SESSION,
    created_at=1,
    last_active_at=2,
    models=["claude"],
    first_prompt="a",
    last_prompt="b",
    prompt_count=2,
    config_hash="cfg_v1_x",
    runs=[
        RunSummary(
            id="r",
            timestamp=3,
            prompt_hash="ph_1",
            prompt_preview="a",
            models=["claude"],
            selected="claude",
            rating=RunRating.GOOD,
            latencies_ms={"claude": 1},
            costs_usd={"claude": 0.5},
            input_tokens={"claude": 1},
            output_tokens={"claude": 2},
            tool_calls={"claude": {"bash": 3}},
            proposed_writes_count={"claude": 1},
            applied_files=["a"],
            config_hash="cfg_v1_x",
            note="n",
        ),
        RunSummary(timestamp=4, prompt_hash="ph_1", type=RunType.REWIND),
    ],
    extra={"host": "x"},
)


@pytest.mark.parametrize("record", [WHOLE, METADATA, RECIPE], ids=["56-content", "57-metadata", "58-recipe"])
def test_a_record_comes_back_from_json_with_every_field(record: SessionContent | DataSessionMetadata | RecipeSnapshot) -> None:
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


def test_59_words_are_enums_where_they_are_known_and_text_where_not() -> None:
    model = WHOLE.runs[0].models[0]
    read = ModelRunContent.from_json(json.loads(json.dumps(model.to_json())))
    assert (read.events[0].type, read.events[1].type) == (EventType.REQUEST, "unheard of")
    assert isinstance(read.events[0].type, EventType)


def test_60_without_runs_and_histories_nothing_is_null() -> None:
    assert (SessionContent.from_json({}).runs, SessionContent.from_json({}).histories) == ([], {})
    assert ModelRunContent.from_json({"model_id": "x"}).events == []


@pytest.mark.damaged
def test_61_a_log_that_is_nothing_but_damage_is_never_written_over(data: DataStore) -> None:
    data.persist_run_state("one", ANSWERS)
    damage = b"\xff\xfe nothing of this can be read\n"
    data.content_path().write_bytes(damage)
    data.persist_run_state("two", ANSWERS)
    assert data.content_path().read_bytes().startswith(damage)
    assert [run.prompt for run in data.content().runs] == ["two"]


# Statistics


def run_and_choose(data: DataStore, prompt: str, selected: str = "", rating: str = "") -> None:
    data.persist_run_state(prompt, ANSWERS)
    data.record_selection(SelectionParams(selected_model_id=selected, rating=rating))


def test_62_wins_ratings_and_costs_are_told_by_model(data: DataStore, store: Store) -> None:
    run_and_choose(data, "one", "claude", "good")
    run_and_choose(data, "two", "gpt", "bad")
    run_and_choose(data, "three", "claude")
    run_and_choose(data, "four")
    found = store.data.statistics()
    assert (found.sessions, found.runs, found.rewound) == (1, 4, 0)
    assert found.models == {
        "claude": Tally(runs=4, wins=2, good=1, cost_usd=1.0),
        "gpt": Tally(runs=4, wins=1, bad=1, cost_usd=2.0),
    }


def test_63_what_was_rewound_is_left_out_newest_first(data: DataStore, store: Store) -> None:
    run_and_choose(data, "one", "claude")
    run_and_choose(data, "one", "gpt")
    data.push_rewind_entry(RewindEntry(prompt="one"))
    data.rewind()
    found = store.data.statistics()
    assert (found.runs, found.rewound) == (1, 1)
    assert (found.models["claude"].wins, found.models["gpt"].wins) == (1, 0)
    run_and_choose(data, "one", "gpt")
    assert store.data.statistics().models["gpt"].wins == 1, "a run after the mark counts again"


def test_64_only_the_runs_of_a_recipe_can_be_asked_for(root: Path, work: Path, store: Store) -> None:
    fast = data_store(root, recipe=RECIPE)
    run_and_choose(fast, "one", "claude", "good")
    fast.set_session_recipe(RecipeSnapshot(name="slow"))
    run_and_choose(fast, "two", "gpt")
    first, second = (run.config_hash for run in fast.metadata().runs)
    assert store.data.statistics(config_hash=first).models["claude"].wins == 1
    assert store.data.statistics(config_hash=second).models["claude"].wins == 0
    assert store.data.statistics(config_hash="cfg_v9_x").models == {}
    assert store.data.statistics().recipes == {
        first: Tally(runs=1, wins=1, good=1, cost_usd=0.75),
        second: Tally(runs=1, wins=1, cost_usd=0.75),
    }


def test_65_models_stand_in_the_order_in_which_they_first_took_part(data: DataStore, store: Store) -> None:
    for model in ("zeta", "alpha", "zeta", "mid"):
        data.persist_run_state(model, [ModelResponse(model_id=model, text="x")])
    assert list(store.data.statistics().models) == ["zeta", "alpha", "mid"]


def test_66_only_one_session_can_be_asked_for(sessions: Store) -> None:
    assert sessions.data.statistics().runs == 3
    assert sessions.data.statistics(session_id="ses_b").runs == 1
    with pytest.raises(SessionNotFoundError):
        sessions.data.statistics(session_id="ses_x")


# Recipes


def test_67_the_hash_of_a_recipe_is_always_the_same(data: DataStore) -> None:
    first, second = data.recipe_store().put(RECIPE), data.recipe_store().put(replace(RECIPE))
    said = {"name": "", **{name: value for name, value in RECIPE.to_json().items() if name != "name"}}
    compact = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    assert first == second == f"cfg_v2_{hashlib.sha256(compact).hexdigest()}"


@pytest.mark.parametrize(
    ("recipe", "hash"),
    [  # printf '{"name":""}' | sha256sum, and likewise '{"name":"","system_prompt":"<caf\xc3\xa9> & 1","version":3}'
        (RecipeSnapshot(name="empty"), "cfg_v0_1390696a77e5d6f4375e9b36450c26bb67e99662fcd31b71cecd8ceda332040e"),
        (
            RecipeSnapshot(version=3, name="x", system_prompt="<caf\u00e9> & 1"),
            "cfg_v3_1b2266d30fd4b865c082bdfefaf5fac7e4bd15ac4c230ddd7cf2d61f155ec012",
        ),
    ],
)
def test_decision_32_the_hash_is_that_of_sorted_compact_json_with_an_empty_name(
    data: DataStore, recipe: RecipeSnapshot, hash: str
) -> None:
    assert data.recipe_store().put(recipe) == hash


def test_68_the_name_does_not_count_in_the_hash(data: DataStore) -> None:
    assert data.recipe_store().put(RECIPE) == data.recipe_store().put(replace(RECIPE, name="another"))
    assert len(data.recipe_store().all()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"system_prompt": "Be long."},
        {"tools": ["bash", "grep"]},
        {"tool_guidance": {}},
        {"bash_prefixes": ["git", "ls"]},
        {"context": None},
        {"system_reminders": [SystemReminder(name="other")]},
        {"constraints": RecipeConstraints(max_steps=11)},
        {"model_params": RecipeModelParams(seed=8)},
        {"extra": {"unknown": 1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_69_whatever_else_differs_makes_another_hash(data: DataStore, changes: dict[str, object]) -> None:
    assert data.recipe_store().put(RECIPE) != data.recipe_store().put(replace(RECIPE, **changes))


def test_70_a_recipe_is_put_once_and_read_back(data: DataStore, root: Path) -> None:
    recipes = data.recipe_store()
    hash = recipes.put(RECIPE)
    path = root / "recipes" / f"{hash}.json"
    before = path.stat()
    assert recipes.put(RECIPE) == hash
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert recipes.get(hash) == recipes[hash] == RECIPE


def test_71_a_recipe_that_is_not_there_is_none(data: DataStore) -> None:
    assert data.recipe_store().get("cfg_v1_00") is None
    with pytest.raises(LookupError, match="cfg_v1_00"):
        _ = data.recipe_store()["cfg_v1_00"]


def test_72_recipes_survive_reopening(data: DataStore, root: Path) -> None:
    hash = data.recipe_store().put(RECIPE)
    assert Store.open(root).recipes.get(hash) == RECIPE


def test_73_recipes_are_listed_and_what_is_done_to_the_list_changes_nothing(data: DataStore) -> None:
    recipes = data.recipe_store()
    hashes = {recipes.put(RECIPE), recipes.put(RecipeSnapshot(name="other"))}
    listed = recipes.all()
    assert set(listed) == hashes
    listed.clear()
    assert len(list(recipes)) == 2


def test_74_the_hashes_of_a_name_are_found(data: DataStore) -> None:
    recipes = data.recipe_store()
    found = {recipes.put(replace(RECIPE, version=version)) for version in (1, 2)}
    recipes.put(RecipeSnapshot(name="other"))
    assert set(recipes.hashes_for_name("fast")) == found
    assert recipes.hashes_for_name("nobody") == []


@pytest.mark.damaged
@pytest.mark.parametrize("data_on_disk", [b"", b"{", b'{"recipe": {}}'])
def test_75_a_corrupt_recipe_is_an_error_and_never_an_empty_start(data: DataStore, root: Path, data_on_disk: bytes) -> None:
    recipes = data.recipe_store()
    hash, other = recipes.put(RECIPE), recipes.put(RecipeSnapshot(name="other"))
    path = root / "recipes" / f"{hash}.json"
    path.write_bytes(data_on_disk)
    with pytest.raises(CorruptError, match=hash):
        recipes.get(hash)
    assert list(recipes.all()) == [other]
    assert [error.path for error in recipes.damage()] == [str(path)]
    assert recipes.put(RECIPE) == hash
    assert path.read_bytes() == data_on_disk


@pytest.mark.damaged
def test_75_a_recipe_whose_content_is_not_what_its_hash_names_is_corrupt(data: DataStore, root: Path) -> None:
    hash = data.recipe_store().put(RECIPE)
    path = root / "recipes" / f"{hash}.json"
    path.write_text(path.read_text().replace("Be brief.", "Be long."))
    with pytest.raises(CorruptError, match="not the one that its hash names"):
        data.recipe_store().get(hash)
    assert [problem.kind for problem in Store.open(root).check()] == ["corrupt"]
    path.write_text(path.read_text().replace("Be long.", "Be brief.").replace('"fast"', '"renamed"'))
    assert data.recipe_store()[hash].name == "renamed"


# Prompts


def test_76_without_any_prompt_the_history_is_empty(data: DataStore, root: Path) -> None:
    assert data.prompt_history() == []
    assert not (root / "prompt_history.jsonl").exists()


@pytest.mark.parametrize(
    "prompt", ['say "hi"', "two\nlines\r\n", "\ttab", "\N{PILE OF POO} caf\u00e9 \u2028", "\\n", '{"id":"x"}', ""]
)
def test_77_to_80_quotes_newlines_tabs_and_unicode_survive(data: DataStore, root: Path, prompt: str) -> None:
    assert data.record_prompt(prompt)
    assert Store.open(root).prompts.recent() == [prompt]


@pytest.mark.damaged
def test_81_a_corrupt_line_is_skipped(data: DataStore, root: Path) -> None:
    for prompt in ("one", "two"):
        data.record_prompt(prompt)
    path = root / "prompt_history.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b'{"half\n' + b'"a prompt of another kind"\n' + second)
    assert data.prompt_history() == ["two", "one"]
    assert data.record_prompt("three")
    assert data.prompt_history() == ["three", "two", "one"]


def test_82_an_error_of_the_disk_is_raised(data: DataStore, root: Path) -> None:
    (root / "prompt_history.jsonl").mkdir()
    with pytest.raises(OSError, match=r"prompt_history\.jsonl"):
        data.prompt_history()
    with pytest.raises(OSError, match=r"prompt_history\.jsonl"):
        data.record_prompt("one")
    (root / "prompt_history.jsonl").rmdir()


def test_the_newest_prompts_can_be_asked_for(store: Store) -> None:
    for number in range(5):
        store.prompts.record(str(number))
    assert [store.prompts.recent(limit) for limit in (0, 2, 9)] == [[], ["4", "3"], ["4", "3", "2", "1", "0"]]


# Checkpoints

INTERRUPTED = ModelResponse(
    model_id="claude", text="half", interrupted=True, proposed_writes=[FileWrite(path="a", content="b")]
)


def test_83_a_checkpoint_comes_back_with_every_field(data: DataStore, root: Path) -> None:
    checkpoint = Checkpoint.build("Why?", ["claude", "gpt"], [INTERRUPTED, FAILED], verbose=True)
    assert checkpoint is not None
    data.save_checkpoint(checkpoint)
    assert data_store(root).load_checkpoint() == checkpoint
    assert [one.completed for one in checkpoint.responses] == [False, False]


def test_84_a_missing_checkpoint_is_none(data: DataStore) -> None:
    assert data.load_checkpoint() is None


@pytest.mark.damaged
@pytest.mark.parametrize("text", ["", "{", "[]", '{"prompt": "x"}'])
def test_85_a_corrupt_checkpoint_is_an_error_and_stays(data: DataStore, text: str) -> None:
    saver = data.checkpoint_saver("Why?", ["claude"])
    saver.update(ANSWERS[0])
    data.checkpoint_path().write_text(text)
    with pytest.raises(CorruptError, match=r"checkpoint\.json"):
        data.load_checkpoint()
    with pytest.raises(CorruptError, match=r"checkpoint\.json"):
        saver.update(ANSWERS[0])
    assert data.checkpoint_path().read_text() == text
    data.clear_checkpoint()
    assert data.load_checkpoint() is None


def test_86_where_nothing_was_interrupted_there_is_no_checkpoint() -> None:
    assert Checkpoint.build("Why?", ["claude", "gpt"], [*ANSWERS]) is None
    assert Checkpoint.build("Why?", ["gpt"], [FAILED]) is None
    assert Checkpoint.build("Why?", [], []) is None


def test_87_clearing_twice_is_no_matter(data: DataStore) -> None:
    data.checkpoint_saver("Why?", ["claude"]).update(ANSWERS[0])
    data.clear_checkpoint()
    data.clear_checkpoint()
    data.checkpoint_saver("Again?", ["claude"]).update(ANSWERS[0])
    assert data.load_checkpoint().prompt == "Again?"


MODELS = ["one", "two", "three"]


def test_88_models_of_many_threads_make_one_checkpoint(data: DataStore) -> None:
    saver = data.checkpoint_saver("Why?", MODELS)
    writers = [threading.Thread(target=children.answers, args=(saver, model, 10)) for model in reversed(MODELS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert told(data) == [(model, f"{model} 9", False, True) for model in MODELS]


def test_88_models_of_many_processes_make_one_checkpoint(data: DataStore, root: Path) -> None:
    saver = data.checkpoint_saver("Why?", MODELS)
    given = [(root, SESSION, "Why?", MODELS, saver.run_id, model, 10) for model in reversed(MODELS)]
    processes.run_all(children.answers_elsewhere, given)
    assert told(data) == [(model, f"{model} 9", False, True) for model in MODELS]


def told(data: DataStore) -> list[tuple[str, str, bool, bool]]:
    checkpoint = data.load_checkpoint()
    assert checkpoint is not None
    return [(one.model_id, one.text, one.interrupted, one.completed) for one in checkpoint.responses]


def test_89_responses_stand_in_the_order_of_the_adapters(data: DataStore) -> None:
    saver = data.checkpoint_saver("Why?", MODELS, verbose=True)
    for model in ("three", "one", "two"):
        saver.update(ModelResponse(model_id=model, text=model))
    saver.mark_completed(ModelResponse(model_id="two", text="done"))
    saver.mark_completed(ModelResponse(model_id="three", error="overloaded"))
    assert told(data) == [("one", "one", True, False), ("two", "done", False, True), ("three", "", False, False)]
    checkpoint = data.load_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.adapter_ids, checkpoint.verbose, checkpoint.prompt) == (MODELS, True, "Why?")


def test_90_there_is_never_a_checkpoint_without_a_response(data: DataStore) -> None:
    saver = data.checkpoint_saver("Why?", ["claude"])
    with pytest.raises(ValueError, match="nobody is none of the models"):
        saver.update(ModelResponse(model_id="nobody"))
    with pytest.raises(ValueError, match="at least one response"):
        data.save_checkpoint(Checkpoint(prompt="Why?"))
    assert not data.checkpoint_path().exists()


def test_unknown_keys_of_the_documents_of_a_session_are_kept(data: DataStore) -> None:
    data.set_session_recipe(RECIPE)
    saver = data.checkpoint_saver("Why?", MODELS)
    saver.update(ModelResponse(model_id="one"))
    for path in (data.metadata_path(), data.checkpoint_path()):
        onroot.edit(path, lambda fields: fields.update(mood="glad"))
    data.set_session_recipe(None)
    saver.update(ModelResponse(model_id="two"))
    assert data.load_checkpoint().extra == {"mood": "glad"}
    for path in (data.metadata_path(), data.checkpoint_path()):
        assert json.loads(path.read_text())["mood"] == "glad"


def test_90_another_run_replaces_the_checkpoint(data: DataStore) -> None:
    data.checkpoint_saver("one", MODELS).update(ModelResponse(model_id="one", text="old"))
    data.checkpoint_saver("one", MODELS).update(ModelResponse(model_id="two", text="new"))
    assert told(data) == [("two", "new", True, False)]


def test_91_an_error_of_the_disk_is_raised_not_swallowed(data: DataStore) -> None:
    data.save_initial_meta()
    data.checkpoint_path().mkdir()
    saver = data.checkpoint_saver("Why?", ["claude"])
    for call in (data.load_checkpoint, lambda: saver.update(ANSWERS[0]), data.clear_checkpoint):
        with pytest.raises(OSError, match="checkpoint"):
            call()
    data.checkpoint_path().rmdir()


def test_a_snapshot_of_a_response_is_completed_where_nothing_went_wrong() -> None:
    assert [ResponseSnapshot.of(one).completed for one in (ANSWERS[0], FAILED, INTERRUPTED)] == [True, False, False]


# Files


def test_92_an_overwritten_file_is_restored(data: DataStore, work: Path) -> None:
    (work / "a").write_text("old")
    rewound(data, work, "a", lambda: (work / "a").write_text("new"))
    assert (work / "a").read_text() == "old"


def test_93_a_file_that_was_made_is_removed(data: DataStore, work: Path) -> None:
    rewound(data, work, "a", lambda: (work / "a").write_text("new"))
    assert not (work / "a").exists()


def test_94_a_file_whose_directory_went_is_restored_with_it(data: DataStore, work: Path) -> None:
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / "a").write_text("old")

    def remove() -> None:
        (work / "deep" / "er" / "a").unlink()
        (work / "deep" / "er").rmdir()
        (work / "deep").rmdir()

    rewound(data, work, "deep/er/a", remove)
    assert (work / "deep" / "er" / "a").read_text() == "old"


def rewound(data: DataStore, work: Path, path: str, write: object) -> None:
    data.push_rewind_entry(RewindEntry(prompt="p"))
    snapshots = snapshot_files([path], work)
    write()  # type: ignore[operator]
    data.push_file_snapshots(snapshots)
    assert data.rewind().file_msg == ""


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside", "", ".", "link/outside", "to_outside"])
def test_95_a_path_outside_the_working_directory_is_rejected(data: DataStore, work: Path, path: str) -> None:
    (work.parent / "outside").write_text("mine")
    (work / "link").symlink_to(work.parent)
    (work / "to_outside").symlink_to(work.parent / "outside")
    with pytest.raises(ValueError, match="outside the working directory"):
        snapshot_files([path], work)


def test_96_what_is_to_be_deleted_is_captured(work: Path) -> None:
    (work / "a").write_text("old")
    (snapshot,) = snapshot_files([FileWrite(path="a", delete=True)], work)
    assert (snapshot.content, snapshot.did_not_exist, snapshot.path) == (b"old", False, str(work / "a"))


def test_97_what_is_to_be_deleted_and_is_not_there_has_no_snapshot(work: Path) -> None:
    assert snapshot_files([FileWrite(path="a", delete=True)], work) == []


def test_98_what_is_to_be_written_and_is_not_there_did_not_exist(work: Path) -> None:
    (snapshot,) = snapshot_files([FileWrite(path="a", content="x")], work)
    assert (snapshot.did_not_exist, snapshot.content, snapshot.mode) == (True, b"", None)


@pytest.mark.damaged
def test_histories_take_turns_of_any_role(data: DataStore) -> None:
    data.set_histories({"a": [*turns("x", "y"), ConversationTurn(role="system", content="z", extra={"at": 1})]})
    assert data.histories()["a"][2] == ConversationTurn(role="system", content="z", extra={"at": 1})
    data.clear_histories()
    data.set_histories({"a": turns("x")})
