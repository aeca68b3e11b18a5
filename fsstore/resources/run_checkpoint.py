"""The checkpoint of a session: what a run had come to when it was interrupted."""

from __future__ import annotations

from dataclasses import replace

from fsstore import clock, layout
from fsstore.disk import document
from fsstore.errors import CorruptError, ThreadNotFoundError
from fsstore.records.responses import Checkpoint, ResponseSnapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fsstore.codec import Json, Object
    from fsstore.records.responses import ModelResponse
    from fsstore.resources.session_files import SessionFiles


class RunCheckpoint:
    """The document `checkpoint.json` of one session.

    Attributes:
        path: Where it is.
    """

    __slots__ = ("_files", "path")

    def __init__(self, files: SessionFiles) -> None:
        self._files = files
        self.path = files.place.path(layout.CHECKPOINT)

    def load(self) -> Checkpoint | None:
        """Read the checkpoint, or None where there is none.

        Raises:
            CorruptError: It cannot be read.
        """
        fields = document.read(self.path)
        return None if fields is None else self._checked(fields)

    def save(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of any other.

        Raises:
            ValueError: It holds no response, or something that JSON cannot hold.
            CorruptError: What stands there cannot be read; it was not overwritten (clear it first).

        On disk: checkpoint.json, replaced whole.
        Crash: The old checkpoint or the new one.
        Concurrency: The last one counts.
        """
        self.change(lambda _: checkpoint)

    def change(self, make: Callable[[Checkpoint | None], Checkpoint]) -> None:
        """Put what `make` makes of the checkpoint that is there, if any, in its place.

        Raises:
            ValueError: As `save`.
            CorruptError: As `save`.

        On disk: As `save`.
        Crash: As `save`.
        Concurrency: `make` is called under the lock, and once before it, so that no session is begun for what is refused: no
            change of another process is lost.
        """
        _fields(make(None))
        self._files.write(lambda: self._change(make))

    def clear(self) -> bool:
        """Take the checkpoint away, readable or not; say whether there was one.

        On disk: A copy goes to the trash, and checkpoint.json says that it was deleted.
        Crash: It is there, or not.
        Concurrency: Of two at once one says True.
        """
        place = self._files.place
        try:
            with place.lock_existing():
                return bool(document.delete(place.root, self.path, place.id))
        except ThreadNotFoundError:
            return False

    def saver(
        self, prompt: str, adapter_ids: Iterable[str], *, verbose: bool = False, run_id: str | None = None
    ) -> CheckpointSaver:
        """Give what keeps the checkpoint of a run up to date while its models answer.

        Args:
            prompt: What was asked.
            adapter_ids: Who is to answer, in the order in which the checkpoint shows them.
            verbose: Kept for the caller.
            run_id: The run; a new one where None. Savers of one run, in any process, make one checkpoint together; the
                checkpoint of another run is replaced.
        """
        return CheckpointSaver(self, prompt, list(adapter_ids), verbose=verbose, run_id=run_id or clock.new_id())

    def _change(self, make: Callable[[Checkpoint | None], Checkpoint]) -> None:
        place = self._files.place
        with place.lock_existing():
            before = document.read_any(self.path)
            there = before is not None and before.get("deleted") is not True
            fields = _fields(make(self._checked(before) if before is not None and there else None))
            document.write(place.root, self.path, {**fields, "id": place.id}, before)

    def _checked(self, fields: Object) -> Checkpoint:
        wrong = flaw(fields)
        if wrong:
            raise CorruptError(self.path, wrong)
        return Checkpoint.from_json({name: value for name, value in document.content(fields).items() if name != "id"})


class CheckpointSaver:
    """Keeps the checkpoint of one run up to date; for any number of threads.

    Attributes:
        run_id: What the savers of this run share.
    """

    def __init__(self, checkpoint: RunCheckpoint, prompt: str, adapter_ids: list[str], *, verbose: bool, run_id: str) -> None:
        self.run_id = run_id
        self._checkpoint = checkpoint
        self._adapter_ids = adapter_ids
        self._begun = Checkpoint(prompt=prompt, adapter_ids=adapter_ids, verbose=verbose, run_id=run_id)

    def update(self, response: ModelResponse) -> None:
        """Keep what a model has answered so far: it counts as interrupted until `mark_completed`.

        Raises:
            ValueError: The model is none of those that are to answer.
            CorruptError: The checkpoint that stands there cannot be read; it was not overwritten.

        On disk: checkpoint.json, replaced whole; see `RunCheckpoint.change`.
        Crash: The old answer or the new one.
        Concurrency: Answers of other models, from any process, stay.
        """
        self._put(replace(ResponseSnapshot.of(response), interrupted=True, completed=False))

    def mark_completed(self, response: ModelResponse) -> None:
        """Keep what a model answered in the end; see `update`."""
        self._put(ResponseSnapshot.of(response))

    def _put(self, snapshot: ResponseSnapshot) -> None:
        if snapshot.model_id not in self._adapter_ids:
            raise ValueError(f"{snapshot.model_id} is none of the models that are to answer: {', '.join(self._adapter_ids)}")
        self._checkpoint.change(lambda old: self._with(snapshot, old))

    def _with(self, snapshot: ResponseSnapshot, old: Checkpoint | None) -> Checkpoint:
        same = old if old is not None and old.run_id == self.run_id else self._begun
        known = {one.model_id: one for one in (*same.responses, snapshot)}
        order = dict.fromkeys((*same.adapter_ids, *self._adapter_ids))
        return replace(same, adapter_ids=list(order), responses=[known[id] for id in order if id in known])


def _fields(checkpoint: Checkpoint) -> Object:
    """Give a checkpoint as its document says it.

    Raises:
        ValueError: It holds no response, what JSON cannot hold, or what `flaw` would find.
    """
    fields = checkpoint.over(None)
    wrong = flaw(fields) if checkpoint.responses else "it must hold at least one response"
    if wrong:
        raise ValueError(f"this is no checkpoint: {wrong}")
    return fields


def flaw(fields: Json) -> str | None:
    """Say what is wrong with a checkpoint.json, None where nothing is."""
    responses = fields.get("responses")
    if not isinstance(fields.get("prompt"), str):
        return "it holds no prompt"
    if not isinstance(responses, list) or not all(isinstance(one, dict) and "model_id" in one for one in responses):
        return "it holds no list of responses"
    return None
