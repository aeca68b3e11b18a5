"""The operations of a `DataStore` session whose crashes are looked at."""

from __future__ import annotations

from typing import Any

from crash_harness import BY_HAND, Desk, Operation, View, working_directory

from fsstore import (
    Checkpoint,
    DataStore,
    DataStoreOptions,
    FileSnapshot,
    ModelResponse,
    RecipeSnapshot,
    ResponseSnapshot,
    RewindEntry,
    SelectionParams,
    snapshot_files,
)
from fsstore.resources.data_session import DataSession

NO_META = frozenset(("no-meta",))
ANSWERS = [
    ModelResponse(model_id="claude", text="Rayleigh … Streuung.", cost_usd=0.5),
    ModelResponse(model_id="gpt", text="Air."),
]
FAST = RecipeSnapshot(name="fast", version=1, system_prompt="Be brief.")
SLOW = RecipeSnapshot(name="slow", version=2, system_prompt="Take your time.")
FILES = ("changed", "deep/made", "gone")


def session(desk: Desk, recipe: RecipeSnapshot | None = None) -> DataSession:
    return desk.store.data.session("d", cwd=working_directory(desk.root), recipe=recipe)


def on(call: Any) -> Any:
    return lambda desk: call(session(desk))


def data(call: str, *arguments: Any, recipe: RecipeSnapshot | None = None) -> Any:
    """A step through `DataStore`."""

    def opened(root: Any, durability: str) -> DataStore:
        return DataStore(DataStoreOptions(root, "d", cwd=working_directory(root), recipe=recipe, durability=durability))

    return lambda desk: getattr(desk.facade(opened), call)(*arguments)


def ran(desk: Desk) -> None:
    """A session of one run, with histories, a recipe and a prompt."""
    data = session(desk, FAST)
    data.histories.append(["a", "b"], ANSWERS, "Why?")
    data.persist_run("Why?", ANSWERS, None, ["bash"])
    data.runs.note("Applied: changed")
    desk.store.prompts.record("Why?")
    desk.store.close()


def rewindable(desk: Desk) -> None:
    """The same, and an entry with three files that were written since."""
    ran(desk)
    work = working_directory(desk.root)
    work.mkdir()
    (work / "changed").write_text("old")
    (work / "gone").write_text("taken away")
    data = session(desk)
    data.rewinds.push(RewindEntry(prompt="Why?", history_lengths={"a": 0, "b": 0}))
    files = snapshot_files(FILES, work)
    (work / "changed").write_text("new")
    (work / "deep").mkdir()
    (work / "deep" / "made").write_text("made")
    (work / "gone").unlink()
    data.rewinds.push_files(files)
    desk.store.close()


def changed_since(desk: Desk) -> None:
    """The same, and somebody changed one of the files after that."""
    rewindable(desk)
    (working_directory(desk.root) / "changed").write_text(f"changed {BY_HAND}")


def without_a_directory(desk: Desk) -> None:
    """The same, and a directory that a file of it goes back into is gone."""
    rewindable(desk)
    work = working_directory(desk.root)
    (work / "deep" / "made").write_text("kept")
    session(desk).rewinds.push(RewindEntry(prompt="Why?", history_lengths={"a": 0, "b": 0}))
    session(desk).rewinds.push_files(snapshot_files(["deep/made"], work))
    (work / "deep" / "made").unlink()
    (work / "deep").rmdir()
    desk.store.close()


def some_restored(before: View, after: View) -> list[View]:
    """The views in which only the first files are restored, and nothing else is done."""
    old, new = before["work"], after["work"]
    views = []
    for count in range(1, len(FILES) + 1):
        mixed = {**old, **{path: new[path] for path in FILES[:count] if path in new}}
        gone = {path for path in FILES[:count] if path not in new}
        views.append({**before, "work": {path: data for path, data in mixed.items() if path not in gone}})
    return views


def begun(before: View, after: View) -> list[View]:
    """The views in which the session is begun, and nothing is in it yet; its recipe may be kept."""
    if "d" not in after["threads"]:
        return with_recipe(before, after)
    lists, objects = ("runs", "said", "tools", "stack"), ("histories", "costs")
    nothing = {**{name: [] for name in lists}, **{name: {} for name in objects}, "recipe": None, "checkpoint": None}
    empty = {**before, "threads": {"d": {**after["threads"]["d"], "data": nothing}}}
    return [empty, *with_recipe(before, after), *with_recipe(empty, after)]


def with_recipe(before: View, after: View) -> list[View]:
    """The views in which only the recipe of a run is kept; or, at durability "process", only the run."""
    return [{**before, "recipes": after["recipes"]}, {**after, "recipes": before["recipes"]}]


def checkpointed(desk: Desk) -> None:
    ran(desk)
    session(desk).checkpoint.saver("p", ["claude", "gpt"], run_id="r").update(ANSWERS[0])


DATA = [
    Operation(
        "first write of a session",
        (data("append_histories", ["a"], ANSWERS, "Why?"),),
        between=begun,
        leaves=NO_META,
    ),
    Operation(
        "first run of a session",
        (data("persist_run_state", "Why?", ANSWERS, None, []),),
        between=begun,
        leaves=NO_META,
    ),
    Operation(
        "run with another recipe",
        (data("persist_run_state", "And at night?", ANSWERS, None, ["grep"], recipe=FAST),),
        ran,
        with_recipe,
    ),
    Operation(
        "run with a text of its recipe", (data("persist_run_state", "Why?", ANSWERS, None, [], recipe=SLOW),), ran, with_recipe
    ),
    Operation(
        "histories",
        (
            data("append_histories", ["a", "c"], ANSWERS, "Again?"),
            data("truncate_histories", {"a": 1, "b": 0}),
            data("set_histories", {"a": []}),
            data("clear_histories"),
        ),
        ran,
    ),
    Operation(
        "note, choice and tools",
        (
            data("update_last_run_note", "another"),
            data("record_selection", SelectionParams(selected_model_id="gpt", rating="bad")),
            data("set_last_active_tools", ["grep"]),
        ),
        ran,
    ),
    Operation("costs", (data("accumulate_cost", "gpt", 0.25), data("accumulate_cost", "gpt", 1.0)), ran),
    Operation(
        "rewind stack",
        (
            data("push_rewind_entry", RewindEntry(prompt="p", history_lengths={"a": 2})),
            data("push_file_snapshots", [FileSnapshot(path="new", did_not_exist=True)]),
            data("clear_rewind_stack"),
        ),
        ran,
    ),
    Operation("rewind", (data("rewind"),), rewindable, some_restored),
    Operation(
        "rewind of a file that somebody changed", (on(lambda it: it.rewinds.rewind(force=True)),), changed_since, some_restored
    ),
    Operation("rewind into a directory that is gone", (data("rewind"),), without_a_directory, some_restored),
    Operation(
        "recipe of a session",
        (data("save_initial_meta"), data("set_session_recipe", FAST), data("set_session_recipe", None)),
        ran,
    ),
    Operation(
        "checkpoint of a run",
        (
            on(lambda it: it.checkpoint.saver("p", ["claude", "gpt"], run_id="r").mark_completed(ANSWERS[1])),
            on(lambda it: it.checkpoint.saver("p", ["claude", "gpt"], run_id="r").update(ANSWERS[1])),
            data("save_checkpoint", Checkpoint(prompt="p", responses=[ResponseSnapshot.of(ANSWERS[1])])),
            data("clear_checkpoint"),
        ),
        checkpointed,
    ),
    Operation("prompts", (data("record_prompt", "one"), data("record_prompt", "two")), ran),
    Operation("put a recipe", (lambda desk: desk.store.recipes.put(RecipeSnapshot(name="slow")),), ran),
    Operation("keep the recipe of a session", (data("recipe_hash", recipe=SLOW),), ran),
    Operation("delete a session", (lambda desk: desk["d"].delete(),), rewindable),
]
