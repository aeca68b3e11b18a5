"""The prompt history: what was asked in all sessions of a store."""

from __future__ import annotations

from fsstore import clock, layout
from fsstore.disk.folding import View
from fsstore.errors import FormatError
from fsstore.resources.limits import checked_limit
from fsstore.resources.shapes import a_text, take_by_type
from fsstore.resources.viewed_log import ViewedLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fsstore.codec import Object
    from fsstore.disk.root import Root
    from fsstore.resources.views import Views


class PromptsView(View):
    """What the prompt history says.

    Attributes:
        prompts: The prompts, oldest first.
    """

    prompts: list[str]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.prompts = []

    def take(self, record: Object) -> None:
        """Keep a prompt."""
        take_by_type(record, {"prompt": lambda record: self.prompts.append(a_text(record["prompt"]))})


class Prompts:
    """The log `prompt_history.jsonl`. Iterating is over `recent`."""

    def __init__(self, root: Root, views: Views) -> None:
        path, owner = f"{root.path}/{layout.PROMPTS}", f"{root.path}/{layout.FORMAT_FILE}"

        def missing() -> FormatError:
            return FormatError(path, "the store is gone")

        self._log = ViewedLog(root, path, layout.store_lock(layout.PROMPTS), owner, missing, views, PromptsView)

    def recent(self, limit: int | None = None) -> list[str]:
        """Give prompts, the newest first.

        Args:
            limit: How many at the most; None for all, 0 for none.

        Raises:
            ValueError: A negative limit.
        """
        checked_limit(limit)
        with self._log.reading() as view:
            return view.prompts[: -limit - 1 : -1] if limit is not None else view.prompts[::-1]

    def record(self, prompt: str) -> bool:
        """Note a prompt; say whether it was noted: the newest one is not noted twice in a row.

        Raises:
            ValueError: It is no text that JSON can hold.

        On disk: One line at the end of prompt_history.jsonl, in one write.
        Crash: The prompt is noted, or not.
        Concurrency: Prompts of several processes are all noted; what the newest one is, is looked at under the lock.
        """
        fields = self._log.checked({"type": "prompt", "prompt": prompt, "at": clock.now()})
        return bool(self._log.append(lambda view: fields if view.prompts[-1:] != [prompt] else None))
