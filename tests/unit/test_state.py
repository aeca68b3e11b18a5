from __future__ import annotations

from pathlib import Path

import pytest

from fsstore import CorruptError, ReadOnlyError, SessionState, Store
from fsstore.resources.state import State


@pytest.fixture
def state(store: Store) -> State:
    return store.threads.create("t").state


def test_a_thread_is_idle_until_somebody_says_otherwise(store: Store, state: State):
    assert state.get() == SessionState()
    assert not Path(state._path).exists()
    assert store.thread("nobody").state.get() is None


def test_only_a_running_state_has_a_start(state: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fsstore.clock.now", lambda: 1234)
    assert state.set("running", "turn")
    assert state.get() == SessionState(state="running", turn_id="turn", turn_started_at=1234)
    assert state.set("Running", "turn")
    assert state.get() == SessionState(state="Running", turn_id="turn")


def test_a_state_is_set_instead_of_the_one_that_was_expected_and_of_no_other(state: State):
    assert state.set("running", "1", instead_of=SessionState())
    seen = state.get()
    assert not state.set("idle", instead_of=SessionState())
    assert state.get() == seen
    assert state.set("idle", instead_of=seen)
    assert state.get() == SessionState()


def test_a_missing_thread_gets_no_state(store: Store):
    assert store.thread("nobody").state.set("idle") is False
    assert store.thread("nobody").state.set("idle", instead_of=SessionState()) is False
    assert list(Path(store.root, "threads").iterdir()) == []


def test_a_read_only_store_sets_no_state(store: Store, state: State):
    with Store.open(store.root, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.thread("t").state.set("running")


@pytest.mark.damaged
@pytest.mark.parametrize(
    "fields", ['"state": 5', '"state": "idle", "turn_id": 5', '"state": "running", "turn_started_at": "soon"', '"mood": "glad"']
)
def test_a_state_without_what_it_must_say_is_corrupt(store: Store, state: State, fields: str):
    state.set("running")
    path = Path(state._path)
    versions = '"versions": {"": "01a1fb9f-b7ec-787d-9601-c7b722d7b782"}'
    path.write_text(f'{{"id": "t", {fields}, {versions}}}')
    with pytest.raises(CorruptError, match="no "):
        state.get()
    assert [(problem.path, problem.kind) for problem in store.check()] == [("threads/t/state.json", "corrupt")]


def test_the_state_of_another_thread_is_out_of_its_place(store: Store, state: State):
    state.set("running")
    store.threads.create("other").state.set("idle")
    Path(store.thread("other").state._path).replace(state._path)
    assert [problem.kind for problem in store.check()] == ["misplaced"]
    state.set("idle")
    assert list(store.check()) == []
