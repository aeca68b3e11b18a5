"""What the state machines share: a store behind several handles, a clock that can be set wrong, and how a machine is played."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from fsstore import Store, clock

DAY = 86_400 * 10**9
#: What damage of a line may make `check` say.
GARBAGE = {"torn", "glued", "nul", "utf8", "not-json", "no-object", "bad-id", "no-message", "conflict-marker"}
#: What stands there twice, or is out of order, after a merge.
TWINS = {"duplicate-id", "conflicting-id", "unsorted"}

who = st.integers(0, 1)
pick = st.integers(0, 1 << 16)
newlines = st.sampled_from([b"\n", b"\n", b"", b"\r\n"])
garbage = st.sampled_from(
    [
        b"garbage",
        b'{"id":"',
        b'{"id": "018f0000-0000-7000-8000-000000000001"',
        b'{"role":"user","content":"no id"}',
        b"\0\0\0",
        b'{"id":"\xff\xfe"}',
        b"\xc3",
        b"[1,2]",
        b"<<<<<<< ours",
        b"",
        b"   ",
        b"}",
    ]
)


class Clock:
    """A clock that can be set wrong."""

    def __init__(self) -> None:
        self.offset = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.offset

    def time(self) -> float:
        return self.time_ns() / 1e9


class StoreMachine(RuleBasedStateMachine):
    """Two handles of one store, the first at durability `process`, the second at `full`."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=self.base)) / "store"
        self.clock = Clock()
        self.patches = contextlib.ExitStack()
        self.patches.callback(setattr, clock, "time", clock.time)
        clock.time = SimpleNamespace(time=self.clock.time, time_ns=self.clock.time_ns)
        self.stores = [self.open(who) for who in range(2)]
        #: The kinds of problem that `check` may find by now.
        self.allowed: set[str] = set()

    def open(self, who: int) -> Store:
        return Store.open(self.root, durability=("process", "full")[who])

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.patches.close()
        shutil.rmtree(self.root.parent)

    @rule(who=who)
    def reopen(self, who):
        self.stores[who].close()
        self.stores[who] = self.open(who)

    @rule(who=who)
    def close(self, who):
        self.stores[who].close()

    @rule(days=st.integers(-5000, 5000))
    def set_the_clock(self, days):
        self.clock.offset = days * DAY

    def spoil(self, log: Path, data: bytes, *kinds: str, whole: bool = False) -> None:
        """Write behind the end of a log. `whole`: what has no newline must not become part of a fragment before it."""
        if whole and log.read_bytes()[-1:] not in (b"", b"\n"):
            data += b"\n"
        with log.open("ab") as file:
            file.write(data)
        self.allowed |= {*kinds, "stale-cache"}

    def check_finds_only_what_was_spoiled(self, *more: str) -> None:
        assert [str(one) for one in self.stores[0].check() if one.kind not in {*self.allowed, *more}] == []


def play(
    machine: type[StoreMachine], tmp_path: Path, seed: int, campaign: bool, *, examples: int = 25, steps: int = 30
) -> None:
    bound: Any = hypothesis.seed(seed)(type(machine.__name__, (machine,), {"base": tmp_path}))
    run_state_machine_as_test(
        bound,
        settings=settings(
            deadline=None,
            database=None,
            max_examples=2000 if campaign else examples,
            stateful_step_count=60 if campaign else steps,
            suppress_health_check=list(HealthCheck),
            phases=list(Phase) if campaign else [Phase.generate],  # to shrink a failure takes longer than CI has
        ),
    )
