"""The operations of a `DataStore` session whose crashes are looked at."""

from __future__ import annotations

from typing import Any

from crash_harness import Desk, Operation, View, working_directory

from fsstore import ModelResponse, RecipeSnapshot, RewindEntry, SelectionParams, snapshot_files
from fsstore.resources.data_session import DataSession

NO_META = frozenset(("no-meta",))
ANSWERS = [
    ModelResponse(model_id="claude", text="Rayleigh … Streuung.", cost_usd=0.5),
    ModelResponse(model_id="gpt", text="Air."),
]
FAST = RecipeSnapshot(name="fast", version=1, system_prompt="Be brief.")
FILES = ("changed", "deep/made", "gone")


def session(desk: Desk, recipe: RecipeSnapshot | None = None) -> DataSession:
    return desk.store.data.session("d", cwd=working_directory(desk.root), recipe=recipe)


def on(call: Any) -> Any:
    return lambda desk: call(session(desk))


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
        (on(lambda data: data.histories.append(["a"], ANSWERS, "Why?")),),
        between=begun,
        leaves=NO_META,
    ),
    Operation(
        "first run of a session",
        (on(lambda data: data.persist_run("Why?", ANSWERS, None, [])),),
        between=begun,
        leaves=NO_META,
    ),
    Operation(
        "run with another recipe",
        (lambda desk: session(desk, FAST).persist_run("And at night?", ANSWERS, None, ["grep"]),),
        ran,
        with_recipe,
    ),
    Operation(
        "histories",
        (
            on(lambda data: data.histories.append(["a", "c"], ANSWERS, "Again?")),
            on(lambda data: data.histories.truncate({"a": 1, "b": 0})),
            on(lambda data: data.histories.clear()),
        ),
        ran,
    ),
    Operation(
        "note, choice and tools",
        (
            on(lambda data: data.runs.note("another")),
            on(lambda data: data.runs.select(SelectionParams(selected_model_id="gpt", rating="bad"))),
            on(lambda data: data.runs.set_tools(["grep"])),
        ),
        ran,
    ),
    Operation("costs", (on(lambda data: data.accrue_cost("gpt", 0.25)), on(lambda data: data.accrue_cost("gpt", 1.0))), ran),
    Operation(
        "rewind stack",
        (
            on(lambda data: data.rewinds.push(RewindEntry(prompt="p", history_lengths={"a": 2}))),
            on(lambda data: data.rewinds.clear()),
        ),
        ran,
    ),
    Operation("rewind", (on(lambda data: data.rewinds.rewind()),), rewindable, some_restored),
    Operation(
        "recipe of a session",
        (on(lambda data: data.recipe.set(FAST)), on(lambda data: data.recipe.set(None))),
        ran,
    ),
    Operation(
        "checkpoint of a run",
        (
            on(lambda data: data.checkpoint.saver("p", ["claude", "gpt"], run_id="r").mark_completed(ANSWERS[1])),
            on(lambda data: data.checkpoint.clear()),
        ),
        checkpointed,
    ),
    Operation("prompts", (lambda desk: desk.store.prompts.record("one"), lambda desk: desk.store.prompts.record("two")), ran),
    Operation("put a recipe", (lambda desk: desk.store.recipes.put(RecipeSnapshot(name="slow")),), ran),
    Operation("delete a session", (lambda desk: desk["d"].delete(),), rewindable),
]
