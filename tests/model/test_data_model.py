"""Random operations on one `DataStore` session by several handles, held against a simple model after each step."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fsstore import (
    ConversationTurn,
    ModelResponse,
    RewindEntry,
    SelectionParams,
    Store,
    StoreError,
    snapshot_files,
)
from fsstore.resources.data_session import DataSession

who = st.integers(0, 1)
panels = st.sampled_from(["a", "é/\0", ""])
texts = st.sampled_from(["hi", '"}\n{"id":"', "~", "\0\r\u2028", "é😀", "x" * 5000]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10
)
names = st.sampled_from(["one", "deep/two"])
contents = st.none() | st.sampled_from([b"", b"\0\xff", b"text\n", b"z" * 3000])
lengths = st.dictionaries(panels, st.integers(0, 3), min_size=1, max_size=3)


@dataclass
class Entry:
    lengths: dict[str, int]
    run: int | None
    files: dict[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)  # before, and after the write


class DataMachine(RuleBasedStateMachine):
    base: Path

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=self.base))
        self.work = self.place / "work"
        self.work.mkdir()
        self.handles = [self.opened(), self.opened()]
        self.histories: dict[str, list[str]] = {}
        self.notes: list[str | None] = []  # of the runs; None is a mark
        self.rewound: set[int] = set()
        self.selected: dict[int, str] = {}
        self.stack: list[Entry] = []
        self.prompts: list[str] = []
        self.costs: dict[str, float] = {}

    def teardown(self) -> None:
        with Store.open(self.place / "store", read_only=True) as store:
            assert list(store.check()) == []
        shutil.rmtree(self.place)

    def opened(self) -> DataSession:
        return Store.open(self.place / "store", durability="process").data.session("s", cwd=self.work)

    def on_disk(self, name: str) -> bytes | None:
        path = self.work / name
        return path.read_bytes() if path.exists() else None

    def put(self, name: str, data: bytes | None) -> None:
        path = self.work / name
        path.parent.mkdir(exist_ok=True)
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)

    def last(self, *, rewound: bool) -> int | None:
        normal = (at for at in reversed(range(len(self.notes))) if self.notes[at] is not None)
        return next((at for at in normal if rewound or at not in self.rewound), None)

    def cut(self, to: dict[str, int]) -> None:
        for panel, length in to.items():
            if panel in self.histories:
                del self.histories[panel][length:]
                if not self.histories[panel]:
                    del self.histories[panel]

    @rule(
        who=who,
        panels=st.lists(panels, min_size=1, max_size=3),
        answers=st.lists(texts | st.just(""), min_size=1, max_size=3),
        prompt=texts,
    )
    def append(self, who: int, panels: list[str], answers: list[str], prompt: str) -> None:
        before = {panel: len(self.histories.get(panel, [])) for panel in panels}
        responses = [ModelResponse(model_id="m", text=text) for text in answers]
        assert self.handles[who].histories.append(panels, responses, prompt) == before
        for panel, text in zip(panels, answers, strict=False):
            if text:
                self.histories.setdefault(panel, []).extend((prompt, text))

    @rule(who=who, histories=st.dictionaries(panels, st.lists(texts, max_size=3), max_size=2))
    def set(self, who: int, histories: dict[str, list[str]]) -> None:
        self.handles[who].histories.set(
            {panel: [ConversationTurn(role="user", content=text) for text in turns] for panel, turns in histories.items()}
        )
        self.histories = {panel: list(turns) for panel, turns in histories.items()}

    @precondition(lambda self: self.histories)
    @rule(who=who, to=lengths)
    def truncate(self, who: int, to: dict[str, int]) -> None:
        self.handles[who].histories.truncate(to)
        longer = {panel: length for panel, length in to.items() if len(self.histories.get(panel, [])) > length}
        self.cut(to if longer else {})

    @precondition(lambda self: len(self.histories) > 1)
    @rule(who=who)
    def clear(self, who: int) -> None:
        self.handles[who].histories.clear()
        self.histories = {}

    @rule(who=who, prompt=texts)
    def run(self, who: int, prompt: str) -> None:
        self.handles[who].persist_run(prompt, [ModelResponse(model_id="m", text=prompt)], None, [prompt[:5]])
        self.notes.append("")

    @rule(who=who, note=texts)
    def note(self, who: int, note: str) -> None:
        self.handles[who].runs.note(note)
        at = self.last(rewound=True)
        if at is not None:
            self.notes[at] = note

    @rule(who=who, model=texts)
    def select(self, who: int, model: str) -> None:
        self.handles[who].runs.select(SelectionParams(selected_model_id=model))
        at = self.last(rewound=True)
        if at is not None:
            self.selected[at] = model

    @rule(who=who, model=panels, cost=st.sampled_from([0.25, 1, -0.5]))
    def cost(self, who: int, model: str, cost: float) -> None:
        self.handles[who].accrue_cost(model, cost)
        self.costs[model] = self.costs.get(model, 0.0) + cost

    @rule(who=who, prompt=texts)
    def prompt(self, who: int, prompt: str) -> None:
        store = Store.open(self.place / "store", durability="process")
        assert store.prompts.record(prompt) == (self.prompts[-1:] != [prompt])
        if self.prompts[-1:] != [prompt]:
            self.prompts.append(prompt)

    @rule(who=who, to=lengths, named=st.booleans())
    def push(self, who: int, to: dict[str, int], named: bool) -> None:
        run = self.last(rewound=True) if named else None
        runs = list(self.handles[who].metadata().runs)
        entry = RewindEntry(prompt="p", history_lengths=to, run_id=None if run is None else runs[run].id)
        self.handles[who].rewinds.push(entry)
        self.stack.append(Entry(to, run))

    @precondition(lambda self: self.stack)
    @rule(who=who, files=st.dictionaries(names, contents, min_size=1, max_size=3))
    def write(self, who: int, files: dict[str, bytes | None]) -> None:
        """An agent writes, or deletes, files, and remembers them as they were."""
        before = {name: self.on_disk(name) for name in files}
        snapshots = snapshot_files(files, self.work)
        for name, data in files.items():
            self.put(name, data)
        self.handles[who].rewinds.push_files(snapshots)
        if self.stack:
            self.stack[-1].files = {name: (before[name], data) for name, data in files.items()}

    @rule(who=who, files=st.dictionaries(names, contents, min_size=1), edited=names, data=contents, force=st.booleans())
    def write_edit_and_rewind(
        self, who: int, files: dict[str, bytes | None], edited: str, data: bytes | None, force: bool
    ) -> None:
        self.push(who, {}, False)
        self.write(1 - who, files)
        self.edit(edited, data)
        self.rewind(who, force)

    @rule(name=names, data=contents)
    def edit(self, name: str, data: bytes | None) -> None:
        """Somebody else writes a file."""
        self.put(name, data)

    @precondition(lambda self: not self.stack)
    @rule(who=who, force=st.booleans())
    def rewind_of_nothing(self, who: int, force: bool) -> None:
        with pytest.raises(StoreError, match="nothing to rewind"):
            self.handles[who].rewinds.rewind(force=force)

    @precondition(lambda self: self.stack)
    @rule(who=who, force=st.booleans())
    def rewind(self, who: int, force: bool) -> None:
        entry = self.stack.pop()
        wanted = {}
        for name, (before, after) in entry.files.items():
            now = self.on_disk(name)
            unwritten = before == after  # as far as anybody knows
            left = now not in (before, after) and not force and not unwritten
            wanted[name] = now if left else before
            copied = now is not None and now != before and (unwritten or now != after)
            entry.files[name] = (now if copied else None, None)
        result = self.handles[who].rewinds.rewind(force=force)
        assert {name: self.on_disk(name) for name in entry.files} == wanted
        kept = {name: data for name, (data, _) in entry.files.items() if data is not None}
        assert {name: Path(copy).read_bytes() for name, copy in result.copies.items()} == kept
        assert result.failed == {}
        at = self.last(rewound=False) if entry.run is None else entry.run
        if at is not None:
            self.notes[at] = f"[rewound] {self.notes[at]}".rstrip()
            self.rewound.add(at)
            assert result.note == self.notes[at]
        self.cut(entry.lengths)
        self.notes.append(None)

    @precondition(lambda self: len(self.stack) > 1)
    @rule(who=who)
    def clear_stack(self, who: int) -> None:
        self.handles[who].rewinds.clear()
        self.stack = []

    @rule(who=who)
    def reopen(self, who: int) -> None:
        self.handles[who] = self.opened()

    @invariant()
    def every_handle_tells_what_the_model_does(self) -> None:
        for handle in self.handles:
            histories = {panel: [turn.content for turn in turns] for panel, turns in handle.histories.all().items()}
            assert histories == self.histories
            runs = handle.metadata().runs
            assert [None if run.is_rewind else run.note for run in runs] == self.notes
            assert {at: run.selected for at, run in enumerate(runs) if run.selected} == self.selected
            assert len(handle.rewinds) == len(self.stack)
            assert handle.costs() == self.costs
            assert len(handle.runs.content().runs) == len([note for note in self.notes if note is not None])


def test_a_session_is_what_was_done_to_it(tmp_path: Path, seed: int, campaign: bool):
    machine = type("Machine", (DataMachine,), {"base": tmp_path})
    phases = list(Phase) if campaign else [Phase.generate]  # to shrink a failure takes longer than CI has
    run_state_machine_as_test(
        hypothesis.seed(seed)(machine),
        settings=settings(
            max_examples=400 if campaign else 25,
            stateful_step_count=50,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
