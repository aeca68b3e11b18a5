"""Random operations on the checkpoints of one thread by several handles and a clock that jumps, against a plain model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine import StoreMachine, play, who

from fsstore import CheckpointNotFoundError, CorruptError, Store, ThreadNotFoundError, clock, layout
from fsstore.disk import fs

THREAD = "t"
names = st.sampled_from(["a", "b", "B", "é/\0", "latest", "x" * 300])
VERSIONS = '"versions": {\n    "": "018f0000-0000-7000-8000-000000000001"\n  }'
states = st.one_of(
    st.sampled_from([None, {}, [], "x" * 5000, VERSIONS, {"versions": {"": "1"}, "deleted": True, "id": "x"}, {"": [1.5]}]),
    st.text(max_size=10),
)


class CheckpointsMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stores[0].threads.create(THREAD)
        #: The states by name, in the order in which they were saved.
        self.saved: dict[str, Any] = {}
        #: What cannot be read: by name, whether it still can be told when that was saved.
        self.corrupt: dict[str, bool] = {}

    def checkpoints(self, who: int) -> Any:
        return self.stores[who].thread(THREAD).checkpoints

    def path(self, name: str) -> Path:
        return Path(self.root / "threads" / THREAD / "checkpoints" / f"{layout.encode_name(name)}.json")

    @rule(who=who, name=names, state=states)
    def save(self, who, name, state):
        if name in self.corrupt:
            before = self.path(name).read_bytes()
            with pytest.raises(CorruptError):
                self.checkpoints(who).save(name, state)
            assert self.path(name).read_bytes() == before
            return
        saved = self.checkpoints(who).save(name, state)
        assert (saved.thread_id, saved.checkpoint_id, saved.state) == (THREAD, name, state)
        assert 0 <= clock.now() - saved.created_at <= 1
        self.saved.pop(name, None)  # the last one now
        self.saved[name] = state

    @rule(turns=st.lists(st.tuples(who, names), min_size=3, max_size=5))
    def save_several(self, turns):
        for number, (one, name) in enumerate(turns):
            self.save(one, name, number)

    @rule(who=who, name=names)
    def delete(self, who, name):
        assert self.checkpoints(who).delete(name) == (name in self.saved)
        self.saved.pop(name, None)
        self.corrupt.pop(name, None)

    @rule(who=who, other=who)
    def delete_and_recreate_the_thread(self, who, other):
        assert self.stores[who].threads.delete(THREAD)
        for one in range(2):
            assert self.checkpoints(one).newest() is None
            assert not self.checkpoints(one).delete("a")
            with pytest.raises(ThreadNotFoundError):
                self.checkpoints(one).save("a", "late")
        self.stores[other].threads.create(THREAD)
        self.saved, self.corrupt = {}, {}

    @precondition(lambda self: self.saved)
    @rule(name=names, kind=st.sampled_from(["empty", "cut off", "state"]))
    def damage(self, name, kind):
        if name in self.saved and name not in self.corrupt and len(name) < 100:
            data = self.path(name).read_bytes()
            broken = {"empty": b"", "cut off": data[:50], "state": re.sub(rb'"created_at": ', b'"created_at" ', data)}[kind]
            self.path(name).write_bytes(broken)
            self.corrupt[name] = kind == "state"
            self.allowed |= {"corrupt"}

    @invariant()
    def all_is_well(self):
        newest_first = [name for name in reversed(self.saved) if name not in self.corrupt]
        with Store.open(self.root, read_only=True) as fresh:
            for store in (*self.stores, fresh):
                checkpoints = store.thread(THREAD).checkpoints
                assert [(one.checkpoint_id, one.state) for one in checkpoints] == [
                    (name, self.saved[name]) for name in newest_first
                ]
                assert [one.checkpoint_id for one in checkpoints.recent(2)] == newest_first[:2]
                assert sorted(checkpoints.ids()) == sorted(self.saved)
                assert sorted(error.path for error in checkpoints.damage()) == sorted(map(str, map(self.path, self.corrupt)))
                self.newest_is_the_one_saved_last(checkpoints)
                for name in ("a", "B", "x" * 300):
                    self.each_is_there_or_not(checkpoints, name)
        self.check_finds_only_what_was_spoiled()

    def newest_is_the_one_saved_last(self, checkpoints: Any) -> None:
        last = next(reversed(self.saved), None)
        if last in self.corrupt or not all(self.corrupt.values()):
            with pytest.raises(CorruptError):
                checkpoints.newest()
        else:
            newest = checkpoints.newest()
            assert (newest and newest.checkpoint_id) == last

    def each_is_there_or_not(self, checkpoints: Any, name: str) -> None:
        if name in self.corrupt:
            with pytest.raises(CorruptError):
                checkpoints.get(name)
        elif name in self.saved:
            assert checkpoints[name].state == self.saved[name]
        else:
            assert checkpoints.get(name) is None
            with pytest.raises(CheckpointNotFoundError):
                checkpoints[name]


class Coarse:
    """What `stat` says on a file system, or a kernel, that keeps whole seconds."""

    def __init__(self, status: os.stat_result) -> None:
        self._status = status
        self.st_ctime_ns = status.st_ctime_ns // 10**9 * 10**9

    def __getattr__(self, name: str) -> Any:
        return getattr(self._status, name)


class CoarseTimes(CheckpointsMachine):
    """The same where a directory that changed twice in one second shows it once."""

    def __init__(self) -> None:
        super().__init__()
        self.patches.callback(setattr, fs, "stat", fs.stat)
        fs.stat = lambda path: Coarse(os.stat(path))


@pytest.mark.parametrize("machine", [CheckpointsMachine, CoarseTimes])
def test_checkpoints_are_what_a_plain_model_says(machine, tmp_path: Path, seed: int, campaign: bool):
    play(machine, tmp_path, seed, campaign, examples=15)
