"""Random operations on workflow runs and their parts by several handles, against a plain model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from machine import StoreMachine, play, who

from fsstore import (
    AlreadyExistsError,
    BranchRun,
    ControlNodeRun,
    LeafRun,
    NotFoundError,
    Store,
    TeacherCandidate,
    WorkflowRun,
)

RUNS = ("r", "R", "é/\0")
runs = st.sampled_from(RUNS)
PARTS = ("1", "2", "x" * 200)
parts = st.sampled_from(PARTS)
named = st.none() | parts
times = st.sampled_from([1, 2, 3])
statuses = st.sampled_from(["running", "completed", "odd word"])
hashes = st.none() | st.sampled_from(["h1", "h2"])
values = st.sampled_from([{}, [], None, {"deleted": True, "versions": 1}, "x" * 3000, {"id": [1.5]}])
#: Which parts a part may name: by the field, their kind.
REFERENCES = {
    "branches": {},
    "control_nodes": {},
    "leaves": {"branch_run_id": "branches"},
    "candidates": {"branch_run_id": "branches", "control_node_run_id": "control_nodes"},
}
kinds = st.sampled_from(list(REFERENCES))


@dataclasses.dataclass
class Trace:
    """A workflow run, and its parts by kind and id."""

    run: WorkflowRun
    parts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=lambda: {kind: {} for kind in REFERENCES})

    def shown(self, kind: str, id: str) -> Any:
        """A part shows None where the one that it names is not there."""
        part = self.parts[kind][id]
        gone = {name: None for name, other in REFERENCES[kind].items() if getattr(part, name) not in self.parts[other]}
        return dataclasses.replace(part, **gone)


class WorkflowsMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Trace] = {}

    def made(self, kind: str, run: str, id: str, time: int, value: Any, hash: str | None, above: str | None) -> Any:
        if kind == "branches":
            return BranchRun(id=id, workflow_run_id=run, branch_id="b", started_at=time, result=value)
        if kind == "control_nodes":
            return ControlNodeRun(id=id, workflow_run_id=run, node_id="n", started_at=time, selected_children=[value])
        if kind == "leaves":
            return LeafRun(
                id=id, workflow_run_id=run, leaf_id="l", input_hash=hash, started_at=time, output=value, branch_run_id=above
            )
        return TeacherCandidate(
            id=id,
            workflow_run_id=run,
            candidate_id="c",
            created_at=time,
            rationale=value,
            branch_run_id=above,
            control_node_run_id=above,
        )

    def names_what_is_there(self, run: str, kind: str, part: Any) -> bool:
        above = {name: getattr(part, name) for name in REFERENCES[kind]}
        return all(id is None or id in self.model[run].parts[REFERENCES[kind][name]] for name, id in above.items())

    # Operations on runs

    @rule(who=who, id=runs, time=times, status=statuses, value=values)
    def create(self, who, id, time, status, value):
        workflows = self.stores[who].workflows
        fields = {"started_at": time, "status": status, "metadata": value}
        if id in self.model:
            with pytest.raises(AlreadyExistsError):
                workflows.create("w1", id=id, **fields)
        else:
            assert workflows.create("w1", id=id, **fields).id == id
            self.model[id] = Trace(WorkflowRun(id=id, workflow_id="w1", **fields))

    @rule(who=who, id=runs, time=times, status=statuses)
    def put(self, who, id, time, status):
        run = WorkflowRun(id=id, workflow_id="w2", started_at=time, status=status)
        self.stores[who].workflows.put(run)
        self.model.setdefault(id, Trace(run)).run = run

    @rule(who=who, id=runs, hash=hashes)
    def finish(self, who, id, hash):
        run = self.stores[who].workflows.handle(id)
        if id not in self.model:
            with pytest.raises(NotFoundError):
                run.finish(input_hash=hash)
            return
        ended = run.finish(input_hash=hash, completed_at=9)
        self.model[id].run = dataclasses.replace(self.model[id].run, status="completed", input_hash=hash, completed_at=9)
        assert ended == self.model[id].run

    @rule(who=who, id=runs)
    def delete(self, who, id):
        assert self.stores[who].workflows.delete(id) == (id in self.model)
        self.model.pop(id, None)

    # Operations on parts

    @rule(who=who, run=runs, kind=kinds, id=parts, time=times, value=values, hash=hashes, above=named, put=st.booleans())
    def add(self, who, run, kind, id, time, value, hash, above, put):
        documents = getattr(self.stores[who].workflows.handle(run), kind)
        part = self.made(kind, run, id, time, value, hash, above)
        fields = {name: value for name, value in part.to_json().items() if name not in ("id", "workflow_run_id")}
        if run not in self.model or not self.names_what_is_there(run, kind, part):
            with pytest.raises(NotFoundError):
                documents.put(part) if put else documents.create(id, **fields)
        elif id in self.model[run].parts[kind] and not put:
            with pytest.raises(AlreadyExistsError):
                documents.create(id, **fields)
        else:
            assert (documents.put(part) if put else documents.create(id, **fields)) in (None, part)
            self.model[run].parts[kind][id] = part

    @rule(who=who, run=runs, kind=kinds, id=parts, time=times, above=named)
    def update(self, who, run, kind, id, time, above):
        documents = getattr(self.stores[who].workflows.handle(run), kind)
        when = "created_at" if kind == "candidates" else "started_at"
        changes = {when: time, **(dict.fromkeys(REFERENCES[kind], above) if above else {})}
        if run not in self.model or id not in self.model[run].parts[kind]:
            with pytest.raises(NotFoundError):
                documents.update(id, **changes)
            return
        part = dataclasses.replace(self.model[run].shown(kind, id), **changes)
        if not self.names_what_is_there(run, kind, part):
            with pytest.raises(NotFoundError):
                documents.update(id, **changes)
            return
        assert documents.update(id, **changes) == part
        self.model[run].parts[kind][id] = part

    @rule(who=who, run=runs, kind=kinds, id=parts)
    def delete_part(self, who, run, kind, id):
        there = run in self.model and id in self.model[run].parts[kind]
        assert getattr(self.stores[who].workflows.handle(run), kind).delete(id) == there
        if there:
            del self.model[run].parts[kind][id]

    # What must hold after each step

    @invariant()
    def all_is_well(self):
        with Store.open(self.root, read_only=True) as fresh:
            for store in (*self.stores, fresh):
                self.runs_are_listed(store)
                for id in RUNS:
                    assert store.workflows.get(id) == (self.model[id].run if id in self.model else None)
                    self.parts_are_listed(store, id)
        self.check_finds_only_what_was_spoiled()

    def runs_are_listed(self, store: Store) -> None:
        rows = sorted(self.model.values(), key=lambda one: (one.run.started_at, self.created(store, one.run.id)), reverse=True)
        listed = [one.run for one in rows]
        assert store.workflows.recent(None) == listed
        assert store.workflows.recent(2) == listed[:2]
        assert store.workflows.recent(status="completed") == [run for run in listed if run.status == "completed"]
        assert store.workflows.recent(workflow_id="w2") == [run for run in listed if run.workflow_id == "w2"]

    def created(self, store: Store, id: str) -> str:
        """Of one time the one created last is the newest, by the ids of those writes."""
        return str(json.loads(Path(store.workflows._runs.path(id)).read_bytes())["versions"]["id"])

    def parts_are_listed(self, store: Store, run: str) -> None:
        for kind in REFERENCES:
            documents = getattr(store.workflows.handle(run), kind)
            known = self.model[run].parts[kind] if run in self.model else {}
            found = list(documents)
            times = [part.created_at if kind == "candidates" else part.started_at for part in found]
            assert times == sorted(times)
            assert {part.id: part for part in found} == {id: self.model[run].shown(kind, id) for id in known}
            assert len(found) == len(known)
            for id in PARTS:
                assert documents.get(id) == (self.model[run].shown(kind, id) if id in known else None)
        if run in self.model:
            self.leaves_are_replayed(store.workflows.handle(run).leaves)

    def leaves_are_replayed(self, leaves: Any) -> None:
        for hash in ("h1", "h2"):
            same = [leaf for leaf in leaves if leaf.input_hash == hash]
            assert leaves.replay("l", hash) == (same[-1] if same else None)
            assert leaves.replay("other", hash) is None


def test_workflow_traces_are_what_a_plain_model_says(tmp_path: Path, seed: int, campaign: bool):
    play(WorkflowsMachine, tmp_path, seed, campaign, examples=12, steps=40)
