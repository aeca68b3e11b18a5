"""`DataStore`: one session's histories, prompts, runs, choices, rewinds, recipes and costs."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from fsstore.store import Store
from fsstore.stores.opened import OpenedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fsstore.records.recipes import RecipeSnapshot
    from fsstore.records.responses import Checkpoint, ModelResponse
    from fsstore.records.rewind import FileSnapshot, RewindEntry, RewindResult
    from fsstore.records.session_runs import (
        ConversationTurn,
        DataSessionMetadata,
        SelectionParams,
        SessionContent,
    )
    from fsstore.resources.recipes import Recipes
    from fsstore.resources.run_checkpoint import CheckpointSaver
    from fsstore.resources.session_runs import Events


@dataclass(frozen=True, slots=True)
class DataStoreOptions:
    """What a `DataStore` is about.

    Attributes:
        root: The store's directory; see `Store.open` for this, `durability` and `lock_timeout`.
        session_id: The session; see `new_session_id`.
        cwd: The working directory, which no file of a rewind lies outside of; the process's own where None.
        recipe: The recipe that the session is begun with.
        durability: `"full"` or `"process"`.
        lock_timeout: Seconds to wait for another writer.
    """

    root: str | os.PathLike[str] | None
    session_id: str
    _: KW_ONLY
    cwd: str | os.PathLike[str] | None = None
    recipe: RecipeSnapshot | None = None
    durability: str = "full"
    lock_timeout: float | None = 10.0


class DataStore(OpenedStore):
    """A view of a store: one session of it. Making one changes nothing in the session; its first write begins it.

    What a method changes is on disk when it returns, and every other process sees it from then on.

    Args:
        options: What it is about.
    """

    def __init__(self, options: DataStoreOptions) -> None:
        super().__init__(Store.open(options.root, durability=options.durability, lock_timeout=options.lock_timeout))
        self._session = self._store.data.session(options.session_id, cwd=options.cwd, recipe=options.recipe)

    # Histories

    def histories(self) -> dict[str, list[ConversationTurn]]:
        """Give the turns of each panel; see `Histories.all`."""
        return self._session.histories.all()

    def append_histories(
        self, panel_ids: Sequence[str], responses: Sequence[ModelResponse], user_prompt: str
    ) -> dict[str, int]:
        """Add a prompt and its answers to the panels; give how long each was before; see `Histories.append`."""
        return self._session.histories.append(panel_ids, responses, user_prompt)

    def set_histories(self, histories: Mapping[str, Iterable[ConversationTurn]]) -> None:
        """Put other histories in the place of all; see `Histories.set`."""
        self._session.histories.set(histories)

    def truncate_histories(self, lengths: Mapping[str, int]) -> None:
        """Cut histories; see `Histories.truncate`."""
        self._session.histories.truncate(lengths)

    def clear_histories(self) -> None:
        """Take all histories away; the runs stay; see `Histories.clear`."""
        self._session.histories.clear()

    # Prompts

    def prompt_history(self) -> list[str]:
        """Give what was asked in all sessions, the newest first; see `Prompts.recent`."""
        return self._store.prompts.recent()

    def record_prompt(self, prompt: str) -> bool:
        """Note a prompt, unless it is the newest one already; say so; see `Prompts.record`."""
        return self._store.prompts.record(prompt)

    # Runs

    def metadata(self) -> DataSessionMetadata:
        """Give what the session is; see `DataSession.metadata`."""
        return self._session.metadata()

    def content(self) -> SessionContent:
        """Read all that was said in the session; see `SessionRuns.content`."""
        return self._session.runs.content()

    def save_initial_meta(self) -> None:
        """Note that the session was begun; see `SessionRecipe.begin`."""
        self._session.recipe.begin()

    def persist_run_state(
        self,
        last_prompt: str,
        responses: Sequence[ModelResponse],
        collector: Events | None = None,
        tool_names: Iterable[str] = (),
    ) -> None:
        """Keep a run; see `DataSession.persist_run`."""
        self._session.persist_run(last_prompt, responses, collector, tool_names)

    def update_last_run_note(self, note: str) -> None:
        """Put a note in the place of that of the last run; see `SessionRuns.note`."""
        self._session.runs.note(note)

    def record_selection(self, params: SelectionParams) -> None:
        """Keep which answer of the last run was chosen; see `SessionRuns.select`."""
        self._session.runs.select(params)

    # Rewind

    def push_rewind_entry(self, entry: RewindEntry) -> None:
        """Put an entry on the rewind stack; see `RewindStack.push`."""
        self._session.rewinds.push(entry)

    def push_file_snapshots(self, snapshots: Sequence[FileSnapshot]) -> None:
        """Put files in the place of those of the uppermost entry, after they were written; see `RewindStack.push_files`."""
        self._session.rewinds.push_files(snapshots)

    def can_rewind(self) -> bool:
        """Say whether there is anything to go back to."""
        return len(self._session.rewinds) > 0

    def clear_rewind_stack(self) -> None:
        """Take every entry from the rewind stack; see `RewindStack.clear`."""
        self._session.rewinds.clear()

    def rewind_stack_len(self) -> int:
        """Give the number of entries on the rewind stack."""
        return len(self._session.rewinds)

    def rewind(self, *, force: bool = False) -> RewindResult:
        """Go back to before the run of the uppermost entry; see `RewindStack.rewind`."""
        return self._session.rewinds.rewind(force=force)

    # The checkpoint of a run

    def checkpoint_path(self) -> Path:
        """Give the path of the checkpoint; it may not exist."""
        return Path(self._session.checkpoint.path)

    def load_checkpoint(self) -> Checkpoint | None:
        """Read the checkpoint, or None; see `RunCheckpoint.load`."""
        return self._session.checkpoint.load()

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of any other; see `RunCheckpoint.save`."""
        self._session.checkpoint.save(checkpoint)

    def checkpoint_saver(
        self, prompt: str, adapter_ids: Iterable[str], *, verbose: bool = False, run_id: str | None = None
    ) -> CheckpointSaver:
        """Give what keeps the checkpoint of a run up to date while its models answer; see `RunCheckpoint.saver`."""
        return self._session.checkpoint.saver(prompt, adapter_ids, verbose=verbose, run_id=run_id)

    def clear_checkpoint(self) -> None:
        """Take the checkpoint away; see `RunCheckpoint.clear`."""
        self._session.checkpoint.clear()

    # Costs

    def accumulate_cost(self, model_id: str, cost: float) -> None:
        """Add to what a model cost; see `Usage.accrue_cost`."""
        self._session.accrue_cost(model_id, cost)

    def total_cost(self) -> float:
        """Give what all models cost."""
        return sum(self._session.costs().values(), 0.0)

    def cost_per_model(self) -> dict[str, float]:
        """Give what each model cost."""
        return self._session.costs()

    # Places

    def session_id(self) -> str:
        """Give the session's id."""
        return self._session.id

    def metadata_path(self) -> Path:
        """Give the path of session_metadata.json; it may not exist."""
        return Path(self._session.recipe.path)

    def content_path(self) -> Path:
        """Give the path of session_content.jsonl; it may not exist."""
        return Path(self._session.content_path)

    def session_recipe_path(self) -> Path:
        """Give the path of recipe.md; it may not exist."""
        return Path(self._session.recipe.text_path)

    def sessions_dir(self) -> Path:
        """Give the directory of all sessions."""
        return Path(self._session.directory).parent

    def recipes_dir(self) -> Path:
        """Give the directory of the recipes; it may not exist."""
        return Path(self._store.recipes.directory)

    # Recipes

    def recipe_store(self) -> Recipes:
        """Give the recipes of the store."""
        return self._store.recipes

    def recipe_name_lookup(self) -> Callable[[str], str]:
        """Give what tells the name of a recipe by its hash, nothing of one that is not there; see `Recipes.name_of`."""
        return self._store.recipes.name_of

    def last_active_tools(self) -> list[str]:
        """Give the names of the tools that were active last; see `SessionRuns.tools`."""
        return self._session.runs.tools()

    def set_last_active_tools(self, names: Iterable[str]) -> None:
        """Keep the names of the tools that are active; see `SessionRuns.set_tools`."""
        self._session.runs.set_tools(names)

    def base_recipe(self) -> RecipeSnapshot | None:
        """Give the recipe that the session is begun with."""
        return self._session.recipe.base

    def session_recipe(self) -> RecipeSnapshot | None:
        """Give the recipe that the session has instead, or None; see `SessionRecipe.own`."""
        return self._session.recipe.own()

    def set_session_recipe(self, recipe: RecipeSnapshot | None) -> None:
        """Give the session a recipe of its own, or take that away; see `SessionRecipe.set`."""
        self._session.recipe.set(recipe)

    def active_recipe(self) -> RecipeSnapshot | None:
        """Give the session's own recipe, else the one it is begun with."""
        return self._session.recipe.active()

    def build_recipe_snapshot(self) -> RecipeSnapshot:
        """Give the active recipe with the tools that were active last; see `DataSession.snapshot`."""
        return self._session.snapshot()

    def recipe_hash(self) -> str:
        """Keep the recipe as it is now; give its hash; see `DataSession.recipe_hash`."""
        return self._session.recipe_hash()
