"""The runs of a session: what was asked, what each model answered, what was chosen and noted."""

from __future__ import annotations

from fsstore import clock
from fsstore.records.nested import plain
from fsstore.records.responses import WriteEntry
from fsstore.records.session_runs import (
    DataSessionMetadata,
    ModelRunContent,
    RunContent,
    RunSummary,
    SessionContent,
    preview,
    prompt_hash,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol, TypeAlias

    from fsstore.codec import Json, Object
    from fsstore.records.responses import EventEntry, ModelResponse
    from fsstore.records.session_runs import SelectionParams
    from fsstore.resources.content_log import ContentView
    from fsstore.resources.session_files import SessionFiles

    class Collector(Protocol):
        """What knows the events of a run."""

        def events(self, model_id: str, /) -> Iterable[EventEntry]:
            """Give the events of one model, oldest first."""

    #: Where the events of a run are known: by model, or by what gives those of a model.
    Events: TypeAlias = Collector | Mapping[str, Iterable[EventEntry]]


class SessionRuns:
    """The runs of one session."""

    __slots__ = ("_files",)

    def __init__(self, files: SessionFiles) -> None:
        self._files = files

    def prepared(
        self,
        prompt: str,
        responses: Sequence[ModelResponse],
        collector: Events | None,
        tools: list[str],
        config_hash: str,
    ) -> Object:
        """Give a run as `add` takes it: its summary, all that was said, and the tools that were active.

        Args:
            prompt: What was asked.
            responses: What each model answered.
            collector: Where the events of the models are known.
            tools: The tools that were active.
            config_hash: The hash of the recipe.

        Raises:
            ValueError: Something that JSON cannot hold exactly, or of another type than belongs there.
        """
        hash = prompt_hash(prompt)
        summary = RunSummary(
            timestamp=clock.now(),
            prompt_hash=hash,
            prompt_preview=preview(prompt),
            config_hash=config_hash,
            **_sums(responses),
        )
        content = RunContent(prompt=prompt, prompt_hash=hash, models=[_content_of(one, collector) for one in responses])
        said = {"summary": summary.to_json(), "content": content.to_json(), "tools": tools}
        return self._files.content.checked({"type": "run", **said})

    def add(self, run: Object) -> None:
        """Keep a run.

        On disk: One line at the end of session_content.jsonl, in one write.
        Crash: The run is there whole, or not at all.
        Concurrency: Runs of several processes are all there.
        """
        self._files.append(lambda _: run)

    def note(self, note: str) -> None:
        """Put a note in the place of that of the last run; without any run nothing happens.

        On disk: One line at the end of session_content.jsonl, in one write.
        Crash: The old note or the new one.
        Concurrency: The run is the last one under the lock.
        """
        self._say({"type": "note", "note": note})

    def select(self, params: SelectionParams) -> None:
        """Keep which answer of the last run was chosen, and what somebody thought of it; without any run nothing happens.

        On disk: One line at the end of session_content.jsonl, in one write.
        Crash: The old choice or the new one.
        Concurrency: The run is the last one under the lock.
        """
        files = {"applied_files": list(params.applied_files)} if params.applied_files else {}
        self._say({"type": "selection", "selected": params.selected_model_id, "rating": plain(params.rating), **files})

    def tools(self) -> list[str]:
        """Give the names of the tools that were active last."""
        with self._files.content.reading() as view:
            return list(view.tools)

    def set_tools(self, names: Iterable[str]) -> None:
        """Keep the names of the tools that are active.

        On disk: One line at the end of session_content.jsonl, in one write.
        Crash: The old names or the new ones.
        Concurrency: The last ones count.
        """
        fields = self._files.content.checked({"type": "tools", "names": list(names)})
        self._files.append(lambda _: fields)

    def content(self) -> SessionContent:
        """Read all that was said in the session."""
        whole = self._files.whole()
        return SessionContent(session_id=self._files.place.id, runs=whole.contents, histories=whole.histories)

    def metadata(self, created_at: int) -> DataSessionMetadata:
        """Give what the session is, as its runs tell."""
        with self._files.content.reading() as view:
            return described(view, self._files.place.id, created_at)

    def _say(self, said: Object) -> None:
        self._files.content.checked(said)

        def describe(view: ContentView) -> Object | None:
            run = view.last_run()
            return None if run is None else {**said, "run_id": run.id}

        self._files.append_if(describe)


def described(view: ContentView, id: str, created_at: int) -> DataSessionMetadata:
    """Give what a session is, as its content tells."""
    runs = list(view.runs.values())
    normal = [run for run in runs if not run.is_rewind]
    active_at = view.active_at()
    return DataSessionMetadata(
        id=id,
        created_at=created_at,
        last_active_at=created_at if active_at is None else active_at,
        models=list(dict.fromkeys(model for run in normal for model in run.models)),
        first_prompt=normal[0].prompt_preview if normal else "",
        last_prompt=normal[-1].prompt_preview if normal else "",
        prompt_count=len(normal),
        config_hash=normal[-1].config_hash if normal else "",
        runs=runs,
    )


def _sums(responses: Sequence[ModelResponse]) -> Json:
    """Give what a run's summary says of each model; of two answers of one model it is the last."""
    return {
        "models": [one.model_id for one in responses],
        "latencies_ms": {one.model_id: one.latency_ms for one in responses},
        "costs_usd": {one.model_id: one.cost_usd for one in responses},
        "input_tokens": {one.model_id: one.input_tokens for one in responses},
        "output_tokens": {one.model_id: one.output_tokens for one in responses},
        "tool_calls": {one.model_id: one.tool_calls for one in responses if one.tool_calls},
        "proposed_writes_count": {one.model_id: len(one.proposed_writes) for one in responses if one.proposed_writes},
    }


def _content_of(response: ModelResponse, collector: Events | None) -> ModelRunContent:
    return ModelRunContent(
        model_id=response.model_id,
        text=response.text,
        proposed_writes=[
            WriteEntry(path=write.path, content=write.content, delete=write.delete, extra=write.extra)
            for write in response.proposed_writes
        ],
        events=list(_events_of(response.model_id, collector)),
        stop_reason=response.stop_reason,
        steps=response.steps,
        reasoning_tokens=response.reasoning_tokens,
        extra=response.extra,
    )


def _events_of(model_id: str, collector: Events | None) -> Iterable[EventEntry]:
    if collector is None:
        return ()
    return collector.events(model_id) if hasattr(collector, "events") else collector.get(model_id, ())
