"""What a session's logs say whatever stands in them, and that one more record costs what the first one did."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults import PLAIN_CALLS, descriptors

from fsstore import EventEntry, FileSnapshot, ModelResponse, RecipeSnapshot, RewindEntry, Store, clock, snapshot_files
from fsstore.disk import fs
from fsstore.resources.data_session import DataSession
from fsstore.resources.viewed_log import ViewedLog

RUN = {"timestamp": 1, "prompt_hash": "ph_1", "models": ["m"]}
GOOD: dict[str, dict[str, Any]] = {
    "run": {"summary": RUN, "content": {"prompt": "p"}, "tools": []},
    "tools": {"names": ["bash"]},
    "note": {"run_id": "r", "note": "n"},
    "selection": {"run_id": "r", "selected": "m", "rating": "good"},
    "turns": {"prompt": "p", "answers": [{"panel_id": "a", "text": "t"}]},
    "histories": {"histories": {"a": [{"role": "user", "content": "c"}]}},
    "truncation": {"lengths": {"a": 1}},
    "rewind": {"entry_id": "e", "run_id": None, "note": "", "lengths": {}, "summary": RUN, "failed": []},
    "restored": {"entry_id": "e", "failed": []},
}
WRONG = [
    ("run", {"summary": []}),
    ("run", {"content": "x"}),
    ("run", {"tools": [1]}),
    ("tools", {"names": "bash"}),
    ("note", {"note": 1}),
    ("note", {"run_id": None}),
    ("selection", {"rating": None}),
    ("selection", {"applied_files": "x"}),
    ("turns", {"prompt": None}),
    ("turns", {"answers": [{"panel_id": "a"}]}),
    ("turns", {"answers": ["x"]}),
    ("histories", {"histories": []}),
    ("histories", {"histories": {"a": [{"role": "user"}]}}),
    ("truncation", {"lengths": {"a": -1}}),
    ("truncation", {"lengths": {"a": True}}),
    ("rewind", {"run_id": 1}),
    ("rewind", {"failed": None}),
    ("rewind", {"summary": 1}),
    ("restored", {"failed": "x"}),
]


@pytest.fixture
def session(store: Store, tmp_path: Path) -> DataSession:
    session = store.data.session("s", cwd=tmp_path)
    session.persist_run("first", [ModelResponse(model_id="m", text="x")], None, ["grep"])
    session.histories.append(["a"], [ModelResponse(model_id="m", text="x")], "first")
    return session


def add(session: DataSession, fields: dict[str, Any], log: str = "session_content.jsonl") -> None:
    """Append a record as another program would."""
    with (Path(session.directory) / log).open("a") as file:
        file.write(json.dumps({"id": clock.new_id(), **fields}) + "\n")


def kinds(store: Store) -> list[str]:
    return [problem.kind for problem in store.check()]


@pytest.mark.damaged
@pytest.mark.parametrize("kind", GOOD)
def test_each_key_that_a_record_must_have_is_missed(session: DataSession, store: Store, kind: str):
    for name in GOOD[kind]:
        add(session, {"type": kind, **{key: value for key, value in GOOD[kind].items() if key != name}})
    assert kinds(store) == ["bad-record"] * len(GOOD[kind])
    add(session, {"type": kind, **GOOD[kind]})
    assert kinds(store) == ["bad-record"] * len(GOOD[kind]), "one that has them all is none"


@pytest.mark.damaged
@pytest.mark.parametrize(("kind", "wrong"), WRONG, ids=str)
def test_a_record_that_lacks_what_its_type_promises_changes_nothing_and_is_reported(
    session: DataSession, store: Store, kind: str, wrong: dict[str, Any]
):
    before = session.metadata().runs, session.histories.all(), session.runs.tools(), session.runs.content()
    add(session, {"type": kind, **GOOD[kind], **wrong})
    assert (session.metadata().runs, session.histories.all(), session.runs.tools(), session.runs.content()) == before
    assert kinds(store) == ["bad-record"]


@pytest.mark.damaged
def test_a_record_of_an_unknown_type_is_kept_and_reported(session: DataSession, store: Store):
    add(session, {"type": "dream", "of": "sheep"})
    add(session, {"type": 7})
    session.runs.note("a note")
    assert kinds(store) == ["unknown-type", "unknown-type"]
    assert "sheep" in Path(session.content_path).read_text()


@pytest.mark.damaged
@pytest.mark.parametrize(
    "fields",
    [
        {**GOOD["run"], "summary": {**RUN, "rating": "splendid"}},
        {**GOOD["run"], "content": {"prompt": "p", "models": [{"model_id": "m", "stop_reason": "tired"}]}},
        {**GOOD["run"], "content": {"prompt": "p", "models": [{"model_id": "m", "events": [{"type": "dream"}]}]}},
        {"type": "histories", "histories": {"a": [{"role": "oracle", "content": "c"}]}},
    ],
    ids=["rating", "stop_reason", "event", "role"],
)
def test_decision_18_an_unknown_word_is_kept_as_read_and_reported(session: DataSession, store: Store, fields: dict[str, Any]):
    add(session, {"type": "run", **fields})
    assert kinds(store) == ["unknown-value"]
    said = json.dumps([*map(repr, session.metadata().runs), repr(session.runs.content())])
    assert any(word in said for word in ("splendid", "tired", "dream", "oracle"))


@pytest.mark.damaged
def test_an_unknown_rating_of_a_choice_is_reported(session: DataSession, store: Store):
    run = session.metadata().runs[0].id
    add(session, {"type": "selection", "run_id": run, "selected": "m", "rating": "splendid"})
    assert kinds(store) == ["unknown-value"]
    assert session.metadata().runs[0].rating == "splendid"


@pytest.mark.damaged
@pytest.mark.parametrize(
    "fields",
    [
        {"type": "push", "prompt": 1},
        {"type": "push", "lengths": []},
        {"type": "push", "feed_index": "1"},
        {"type": "push", "run_id": 1},
        {"type": "push", "files": [{"content": ""}]},
        {"type": "push", "files": [{"path": "a", "mode": "x"}]},
        {"type": "push", "files": [{"path": "a", "after": 1}]},
        {"type": "snapshots", "files": []},
        {"type": "clear", "entry_ids": [1]},
    ],
    ids=str,
)
def test_a_record_of_the_rewind_stack_that_cannot_be_kept_is_reported(
    session: DataSession, store: Store, fields: dict[str, Any]
):
    session.rewinds.push(RewindEntry())
    push = {"prompt": "p", "lengths": {}, "feed_index": 1, "run_id": None, "files": []}
    add(session, {**(push if fields["type"] == "push" else {}), **fields}, "rewind.jsonl")
    assert len(session.rewinds) == 1
    assert kinds(store) == ["bad-record"]


@pytest.mark.damaged
def test_what_is_said_of_runs_and_entries_that_are_elsewhere_changes_nothing(session: DataSession, store: Store):
    session.rewinds.push(RewindEntry())
    add(session, {"type": "note", "run_id": "elsewhere", "note": "n"})
    add(session, {"type": "rewind", **GOOD["rewind"], "run_id": "elsewhere"})
    add(session, {"type": "snapshots", "entry_id": "elsewhere", "files": []}, "rewind.jsonl")
    add(session, {"type": "clear", "entry_ids": ["elsewhere"]}, "rewind.jsonl")
    assert [run.note for run in session.metadata().runs] == ["", ""]
    assert len(session.rewinds) == 1
    assert kinds(store) == []


def test_a_merge_that_left_the_lines_unsorted_says_the_same(session: DataSession, store: Store):
    session.runs.note("a note")
    session.histories.truncate({"a": 1})
    before = session.metadata(), session.histories.all(), session.runs.content()
    path = Path(session.content_path)
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    assert (session.metadata(), session.histories.all(), session.runs.content()) == before
    assert kinds(store) == ["unsorted"]
    session.runs.set_tools([])
    assert (session.metadata().runs, kinds(store)) == (before[0].runs, [])


def test_the_last_use_is_the_time_of_the_last_record(session: DataSession, store: Store):
    assert session.metadata().last_active_at == clock.seconds_of(clock.new_id()) or session.metadata().last_active_at > 0
    add(session, {"id": "1b000000-0000-7000-8000-000000000000", "type": "tools", "names": []})
    assert session.metadata().last_active_at == clock.seconds_of("1b000000-0000-7000-8000-000000000000")
    store.data.session("later", cwd="/").recipe.begin()
    assert store.data.latest_id() == "s"


# What it costs


class Meter:
    """Counts the calls of `fs` and the bytes that they read and write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = self.bytes = 0
        for name in PLAIN_CALLS:
            monkeypatch.setattr(fs, name, self._counted(name, getattr(fs, name)))

    def _counted(self, name: str, call: Any) -> Any:
        def counted(*args: Any, **more: Any) -> Any:
            found = call(*args, **more)
            self.calls += 1
            self.bytes += len(found) if name == "read_at" else found if name == "write" else 0
            return found

        return counted

    def of(self, call: Any) -> tuple[int, int]:
        before = self.calls, self.bytes
        call()
        return self.calls - before[0], self.bytes - before[1]


@pytest.mark.parametrize("durability", ["process", "full"])
def test_the_thousandth_run_costs_what_the_tenth_did(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
):
    session = Store.open(root, durability=durability).data.session("s", cwd=tmp_path)
    answers = [ModelResponse(model_id=model, text="x" * 500) for model in ("a", "b", "c")]
    events = {"a": [EventEntry(type="bash", data="ls")]}
    meter, costs = Meter(monkeypatch), []
    for number in range(1000 if durability == "process" else 100):
        prompt = f"prompt {number:04}"
        run = meter.of(partial(session.persist_run, prompt, answers, events, ["bash"]))
        turns = meter.of(partial(session.histories.append, ["a"], answers, prompt))
        costs.append((run, turns, meter.of(partial(session.runs.note, "n"))))
    for what in range(3):
        early, last = ([one[what] for one in some] for some in (costs[10:20], costs[-10:]))
        assert {size for _, size in early} == {size for _, size in last}, "as many bytes are read and written"
        assert min(last)[0] <= max(early)[0], "in no more calls; when a lock is looked at depends on the time"
    assert max(calls for calls, _ in costs[-1]) < 40
    assert max(size for _, size in costs[-1]) < 20_000


def test_an_unchanged_recipe_is_written_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = RecipeSnapshot(name="fast", system_prompt="x")
    session = Store.open(root).data.session("s", cwd=tmp_path, recipe=recipe)
    session.persist_run("one", [], None, [])
    renames: list[tuple[str, ...]] = []
    real = fs.rename
    monkeypatch.setattr(fs, "rename", lambda *names: (renames.append(names), real(*names)))
    session.persist_run("two", [], None, [])
    assert renames == []


def test_a_deletion_remembers_how_far_it_saw_the_logs_of_a_session(session: DataSession, store: Store):
    session.rewinds.push(RewindEntry())
    session.accrue_cost("m", 1.0)
    logs = {path.name: path.read_text().splitlines() for path in Path(session.directory).glob("*.jsonl")}
    assert store.threads.delete("s")
    (deletion,) = store.threads._index.deletions_of("s")
    assert deletion["greatest"] == {name: json.loads(lines[-1])["id"] for name, lines in logs.items()}
    assert set(logs) == {"session_content.jsonl", "rewind.jsonl", "usage.jsonl"}


def test_nothing_stays_open_after_a_rewind(session: DataSession, store: Store, tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_text("old")
    store.close()
    for write in ("new", None):
        session.rewinds.push(RewindEntry(file_snapshots=snapshot_files(["deep/a", "deep/b"], tmp_path)))
        if write:
            (tmp_path / "deep" / "a").write_text(write)
        else:
            (tmp_path / "deep" / "a").unlink()
            (tmp_path / "deep" / "a").mkdir()
        session.rewinds.rewind(force=True)
    store.close()
    assert descriptors(tmp_path) == []
    (tmp_path / "deep" / "a").rmdir()


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.histories.truncate({"a": 0}),
        lambda session: session.histories.clear(),
        lambda session: session.runs.note("n"),
        lambda session: session.rewinds.push_files([FileSnapshot(path="f", did_not_exist=True)]),
        lambda session: session.rewinds.clear(),
    ],
)
def test_a_session_that_is_deleted_meanwhile_is_not_begun_again_by_what_needs_one(
    store: Store, session: DataSession, monkeypatch: pytest.MonkeyPatch, write: Any
):
    session.rewinds.push(RewindEntry(prompt="p"))
    append, tried = ViewedLog.append, []

    def after_a_deletion(log: Any, describe: Any) -> Any:
        monkeypatch.undo()
        tried.append(Store.open(store.root).threads.delete("s"))
        return append(log, describe)

    monkeypatch.setattr(ViewedLog, "append", after_a_deletion)
    write(session)
    assert tried == [True]
    assert "s" not in store.threads
