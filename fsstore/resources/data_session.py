"""One `DataStore` session: histories, runs, rewind stack, recipe, checkpoint, costs."""

from __future__ import annotations

from fsstore import clock
from fsstore.disk.workdir import WorkDirectory
from fsstore.resources.histories import Histories
from fsstore.resources.recipes import recipe_hash
from fsstore.resources.rewind import RewindStack
from fsstore.resources.run_checkpoint import RunCheckpoint
from fsstore.resources.session_files import SessionFiles
from fsstore.resources.session_recipe import SessionRecipe
from fsstore.resources.session_runs import SessionRuns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from fsstore.records.recipes import RecipeSnapshot
    from fsstore.records.responses import ModelResponse
    from fsstore.records.session_runs import DataSessionMetadata
    from fsstore.resources.recipes import Recipes
    from fsstore.resources.session_runs import Events
    from fsstore.resources.threads import Threads
    from fsstore.resources.views import Views


class DataSession:
    """One session. Making it changes nothing on disk; its first write begins the session.

    Attributes:
        id: Its id, and that of its thread.
        histories: The turns of its panels.
        runs: Its runs.
        rewinds: Its rewind stack.
        checkpoint: The checkpoint of its last run.
        recipe: Its recipe.
    """

    def __init__(
        self,
        threads: Threads,
        views: Views,
        recipes: Recipes,
        id: str,
        cwd: str | os.PathLike[str] | None,
        recipe: RecipeSnapshot | None,
    ) -> None:
        work = WorkDirectory(cwd)
        self.id = id
        self._files = files = SessionFiles(threads, views, id, work.path)
        self._recipes = recipes
        self._made_at = clock.now()
        self.histories = Histories(files)
        self.runs = SessionRuns(files)
        self.rewinds = RewindStack(files, work)
        self.checkpoint = RunCheckpoint(files)
        self.recipe = SessionRecipe(files, recipe)
        self.directory = files.place.directory
        self.content_path = files.content.path

    def metadata(self) -> DataSessionMetadata:
        """Give what the session is.

        Raises:
            CorruptError: session_metadata.json, or meta.json, cannot be read.
        """
        began = self.recipe.created_at()
        return self.runs.metadata(self._made_at if began is None else began)

    def persist_run(
        self, prompt: str, responses: Sequence[ModelResponse], collector: Events | None, tools: Iterable[str]
    ) -> None:
        """Keep a run, with the recipe that it had.

        Raises:
            ValueError: Something that JSON cannot hold exactly, or of another type than belongs there; nothing was written.

        On disk: recipes/<hash>.json and recipe.md where they change; the run is one line of session_content.jsonl.
        Crash: The run is there whole, or not at all.
        Concurrency: Runs of several processes are all there.
        """
        names = list(tools)
        recipe = self.recipe.snapshot(names)
        run = self.runs.prepared(prompt, responses, collector, names, recipe_hash(recipe))
        self._recipes.put(recipe)
        self.recipe.keep_text()
        self.runs.add(run)

    def snapshot(self) -> RecipeSnapshot:
        """Give the active recipe with the tools that were active last; see `SessionRecipe.snapshot`."""
        return self.recipe.snapshot(self.runs.tools())

    def recipe_hash(self) -> str:
        """Keep the recipe as it is now; give its hash. See `Recipes.put`."""
        return self._recipes.put(self.snapshot())

    def accrue_cost(self, model_id: str, cost: float) -> None:
        """Add to what a model cost; see `Usage.accrue_cost`."""
        self._files.write(lambda: self._files.thread.goal.usage.accrue_cost(model_id, cost))

    def costs(self) -> dict[str, float]:
        """Give what each model cost."""
        return self._files.thread.goal.usage.costs()
