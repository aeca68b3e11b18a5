"""Random names for threads that are here, elsewhere or deleted, with damage in the index, against a plain model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine import GARBAGE, TWINS, StoreMachine, garbage, newlines, pick, play, who

from fsstore import StateStore, Store, ThreadMetadata, ThreadNotFoundError

IDS = ("a", "b", "c", "d")
ids = st.sampled_from(IDS)
NAMES = ("one", "ONE", "Straße", "strasse", "", '"é😀\n')
names = st.none() | st.sampled_from(NAMES)
times = st.sampled_from([0, 5, 5, 9, 1 << 33])
paths = st.none() | st.sampled_from(["/p", "/q", ""])


@dataclass(frozen=True)
class Named:
    """What a thread is called, since when, and where its conversation is."""

    name: str | None = None
    time: int = 0
    path: str | None = None


class NamesMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.here: dict[str, Named] = {}
        #: All that the index was told of a thread, the oldest first.
        self.noted: dict[str, list[Named]] = {}
        self.deleted: set[str] = set()
        self.other: dict[str, list[Named]] | None = None

    @property
    def index(self) -> Path:
        return self.root / "session_index.jsonl"

    def note(self, id: str, named: Named) -> None:
        self.noted.setdefault(id, []).append(named)

    # Operations

    @rule(who=who, id=ids, name=names, path=paths, time=times)
    def upsert(self, who, id, name, path, time):
        with StateStore.open(self.root, durability=("process", "full")[who]) as state:
            state.upsert_thread(ThreadMetadata(id=id, name=name, rollout_path=path, updated_at=time))
        named, old = Named(name, time, path), self.here.get(id)
        if name is not None if old is None else (old.name, old.path) != (name, path):
            self.note(id, named)
        self.here[id] = named

    @rule(who=who, id=ids, name=names)
    def rename(self, who, id, name):
        if id not in self.here:
            with pytest.raises(ThreadNotFoundError):
                self.stores[who].thread(id).rename(name)
            return
        assert self.stores[who].thread(id).rename(name).name == name
        old = self.here[id]
        self.here[id] = replace(old, name=name)
        if old.name != name:
            self.note(id, self.here[id])

    @rule(who=who, id=ids, name=names, time=times, path=paths)
    def append(self, who, id, name, time, path):
        if id in self.deleted and id not in self.here:
            with pytest.raises(ThreadNotFoundError):
                self.stores[who].names.append(id, name, time, path)
            return
        self.stores[who].names.append(id, name, time, path)
        self.note(id, Named(name, time, path))
        old = self.here.get(id)
        if old and time >= old.time:
            self.here[id] = Named(name, old.time, old.path if path is None else path)

    @rule(who=who, id=ids)
    def delete(self, who, id):
        assert self.stores[who].threads.delete(id) == (id in self.here)
        if self.here.pop(id, None):
            self.deleted.add(id)

    # Damage, a merge that knows nothing of this format, and the loss of the index

    @precondition(lambda self: self.index.exists())
    @rule(data=garbage, newline=newlines)
    def append_garbage(self, data, newline):
        self.spoil(self.index, data + newline, "bad-record", *GARBAGE)

    @precondition(lambda self: self.index.exists())
    @rule(pick=pick, twice=st.booleans())
    def move_a_line_to_the_end(self, pick, twice):
        lines = self.index.read_bytes().splitlines()
        at = pick % len(lines) if lines else 0
        moved = lines[at : at + 1]
        lines = [*lines, *moved] if twice else [*lines[:at], *lines[at + 1 :], *moved]
        self.index.write_bytes(b"".join(line + b"\n" for line in lines))
        self.allowed |= {*TWINS, *GARBAGE}

    @rule(who=who, id=ids, name=names)
    def lose_the_index(self, who, id, name):
        """It says of threads that are not here what nobody else knows; of those that are, nothing is lost."""
        for store in self.stores:
            store.close()
        self.index.unlink(missing_ok=True)
        self.deleted = set()
        self.noted = {}
        for id, named in sorted(self.here.items()):
            if named.name is not None:
                self.note(id, named)
        if id in self.here:
            self.rename(who, id, name)  # by one who had it open

    @rule(who=who)
    def carry_it_all_elsewhere(self, who):
        """A copy of the whole directory, without what is this root's own, says the same."""
        copy = self.root.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.root, copy, ignore=shutil.ignore_patterns(".fsstore"))
        with Store.open(copy) as store:
            self.it_says_what_the_model_says(store)
        shutil.rmtree(copy)

    # What must hold after each step

    @invariant()
    def all_is_well(self):
        before = self.index.read_bytes() if self.index.exists() else None
        with Store.open(self.root, read_only=True) as fresh:
            for store in (*self.stores, fresh):
                self.it_says_what_the_model_says(store)
        assert (self.index.read_bytes() if self.index.exists() else None) == before, "readers change nothing"
        self.check_finds_only_what_was_spoiled()

    def it_says_what_the_model_says(self, store: Store) -> None:
        called = {id: self.called(id) for id in IDS}
        assert store.names.get_all(IDS) == {id: named.name for id, named in called.items()}
        for name in NAMES:
            rows = [(one.time, id, one.path) for id, one in called.items() if one.name is not None and one.path is not None]
            rows = [row for row in rows if called[row[1]].name.casefold() == name.casefold()]
            assert store.names.path_of(name.upper()) == (max(rows)[-1] if rows else None)

    def called(self, id: str) -> Named:
        """A thread that is here says itself what it is called; of one that is not, the newest that was noted counts."""
        if id in self.here or id in self.deleted:
            return self.here.get(id, Named())
        rows = self.noted.get(id, [])
        return max(enumerate(rows), key=lambda row: (row[1].time, row[0]))[1] if rows else Named()


def test_names_are_what_a_plain_model_says(tmp_path: Path, seed: int, campaign: bool):
    play(NamesMachine, tmp_path, seed, campaign)
