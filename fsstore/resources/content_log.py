"""What a `DataStore` session went through: its runs, the histories of its panels, what was chosen, noted and rewound."""

from __future__ import annotations

from dataclasses import replace

from fsstore import clock
from fsstore.disk.folding import Unfit, View
from fsstore.records.enums import MessageRole, RunRating, RunType
from fsstore.records.nested import Word, strange_words
from fsstore.records.session_runs import ConversationTurn, RunContent, RunSummary
from fsstore.resources.shapes import a_list, a_text, an_object, counts, numbers, take_by_type, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsstore.codec import Json, Object

_rating = Word(RunRating)


class ContentView(View):
    """What `session_content.jsonl` says, but for what was said in the runs.

    Attributes:
        runs: The runs and the rewind marks by the id of their record, oldest first.
        rewound: The runs that were rewound.
        histories: The turns by panel.
        tools: The tools that were active last.
        taken_back: The rewind entries that were taken back, each with the files that could not be restored.
    """

    runs: dict[str, RunSummary]
    rewound: set[str]
    histories: dict[str, list[ConversationTurn]]
    tools: list[str]
    taken_back: dict[str, list[str]]

    def begin(self) -> None:
        """Forget all that was kept."""
        self.runs = {}
        self.rewound = set()
        self.histories = {}
        self.tools = []
        self.taken_back = {}

    def take(self, record: Object) -> None:
        """Keep what a record says."""
        takes = {
            "run": self._take_run,
            "tools": self._take_tools,
            "note": self._take_note,
            "selection": self._take_selection,
            "turns": self._take_turns,
            "histories": self._take_histories,
            "truncation": self._take_truncation,
            "rewind": self._take_rewind,
            "restored": self._take_restored,
        }
        take_by_type(record, takes)

    def last_run(self, *, rewound: bool = True) -> RunSummary | None:
        """Give the last run that is no rewind mark; `rewound`: whether it may have been rewound."""
        runs = (run for run in reversed(self.runs.values()) if not run.is_rewind)
        return next((run for run in runs if rewound or run.id not in self.rewound), None)

    def active_at(self) -> int | None:
        """Give the time of the newest record in Unix seconds, None where there is none."""
        return clock.seconds_of(self.greatest) if self.greatest else None

    def _take_run(self, record: Object) -> None:
        an_object(record["content"])
        tools, run = texts(record["tools"]), _run({**an_object(record["summary"]), "id": record["id"]})
        self.tools = tools
        self.runs[run.id] = run

    def _take_tools(self, record: Object) -> None:
        self.tools = texts(record["names"])

    def _take_note(self, record: Object) -> None:
        self._change(a_text(record["run_id"]), note=a_text(record["note"]))

    def _take_selection(self, record: Object) -> None:
        changes: Object = {"selected": a_text(record["selected"]), "rating": _rating(a_text(record["rating"]))}
        if "applied_files" in record:
            changes["applied_files"] = texts(record["applied_files"])
        self._change(a_text(record["run_id"]), **changes)

    def _take_turns(self, record: Object) -> None:
        asked = ConversationTurn(role=MessageRole.USER, content=a_text(record["prompt"]))
        answers = [(a_text(answer["panel_id"]), a_text(answer["text"])) for answer in map(an_object, a_list(record["answers"]))]
        for panel, text in answers:
            said = ConversationTurn(role=MessageRole.ASSISTANT, content=text)
            self.histories.setdefault(panel, []).extend((asked, said))

    def _take_histories(self, record: Object) -> None:
        self.histories = {
            panel: [ConversationTurn.from_json(an_object(turn)) for turn in a_list(turns)]
            for panel, turns in an_object(record["histories"]).items()
        }

    def _take_truncation(self, record: Object) -> None:
        self._truncate(counts(record["lengths"]))

    def _take_rewind(self, record: Object) -> None:
        lengths, failed, entry = counts(record["lengths"]), texts(record["failed"]), a_text(record["entry_id"])
        mark = _run({**an_object(record["summary"]), "id": record["id"], "type": RunType.REWIND.value})
        run_id, note = record["run_id"], a_text(record["note"])
        if run_id is not None:
            self._change(a_text(run_id), note=note)
            self.rewound.add(run_id)
        self._truncate(lengths)
        self.runs[mark.id] = mark
        self.taken_back[entry] = failed

    def _take_restored(self, record: Object) -> None:
        failed = texts(record["failed"])
        self.taken_back[a_text(record["entry_id"])] = failed

    def _change(self, run_id: str, **changes: Json) -> None:
        run = self.runs.get(run_id)
        if run is not None:  # else it is in a copy that was not merged yet
            self.runs[run_id] = replace(run, **changes)

    def _truncate(self, lengths: Mapping[str, int]) -> None:
        for panel, length in lengths.items():
            turns = self.histories.get(panel)
            if turns is not None:
                del turns[length:]
                if not turns:
                    del self.histories[panel]


def _run(summary: Object) -> RunSummary:
    """Make a run of its summary; what is counted with must be what it should be."""
    run = RunSummary.from_json(summary)
    texts([*a_list(run.models), run.prompt_hash, run.prompt_preview, run.config_hash])
    numbers(run.costs_usd)
    return run


class WholeContentView(ContentView):
    """All that `session_content.jsonl` says.

    Attributes:
        contents: What was said in each run, oldest first.
    """

    contents: list[RunContent]

    def begin(self) -> None:
        """Forget all that was kept."""
        super().begin()
        self.contents = []

    def _take_run(self, record: Object) -> None:
        super()._take_run(record)
        self.contents.append(RunContent.from_json({"prompt": "", **record["content"]}))


class StrictContentView(WholeContentView):
    """All that `session_content.jsonl` says; a word that no enum knows is kept, and counted as damage."""

    def take(self, record: Object) -> None:
        """Keep what a record says, and look at its words."""
        super().take(record)
        for name, text in strange_words(self._touched(record)):
            raise Unfit("unknown-value", f"{name} is {text[:60]!r}")

    def _touched(self, record: Object) -> Json:
        """Give the records that a record made or changed."""
        match record["type"]:
            case "run":
                return [self.runs[record["id"]], self.contents[-1]]
            case "selection":
                return self.runs.get(record["run_id"])
            case "histories":
                return self.histories
        return None
