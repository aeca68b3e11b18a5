from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import children
import faults
import pytest
from processes import run, run_all, start

from fsstore import (
    CheckpointNotFoundError,
    CheckpointRecord,
    CorruptError,
    ReadOnlyError,
    Store,
    ThreadNotFoundError,
    clock,
)
from fsstore.disk import fs
from fsstore.resources.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(store: Store) -> Checkpoints:
    return store.threads.create("t").checkpoints


def names(checkpoints: Checkpoints) -> list[str]:
    return [found.checkpoint_id for found in checkpoints]


def fresh(checkpoints: Checkpoints) -> list[CheckpointRecord]:
    """Give the checkpoints as another process would list them."""
    with Store.open(checkpoints._place.root.path, read_only=True) as other:
        return list(other.thread("t").checkpoints)


# The front door


def test_what_was_saved_is_there(checkpoints: Checkpoints):
    saved = checkpoints.save("before-refactor", {"files": 3})
    assert saved == checkpoints["before-refactor"] == checkpoints.get("before-refactor") == checkpoints.newest()
    assert (saved.thread_id, saved.checkpoint_id, saved.state) == ("t", "before-refactor", {"files": 3})
    assert checkpoints.recent() == list(checkpoints) == fresh(checkpoints) == [saved]
    assert checkpoints.ids() == ["before-refactor"]
    assert json.loads(Path(checkpoints.path("before-refactor")).read_text())["state"] == {"files": 3}


def test_what_is_not_there_is_none_or_raises(store: Store, checkpoints: Checkpoints):
    for missing in (checkpoints, store.thread("missing").checkpoints):
        assert (missing.get("c"), missing.newest(), missing.recent(), missing.ids(), missing.damage()) == (
            None,
            None,
            [],
            [],
            [],
        )
        with pytest.raises(CheckpointNotFoundError) as raised:
            missing["c"]
        assert (raised.value.id, isinstance(raised.value, LookupError)) == ("c", True)
        assert missing.delete("c") is False
    with pytest.raises(ThreadNotFoundError):
        store.thread("missing").checkpoints.save("c", 1)
    assert os.listdir(Path(store.root, "threads")) == ["t"]


def test_ids_are_those_that_are_there_readable_or_not(checkpoints: Checkpoints):
    for name in ("b", "a", "gone", "torn"):
        checkpoints.save(name, 1)
    checkpoints.delete("gone")
    Path(checkpoints.path("torn")).write_bytes(b"{")
    assert checkpoints.ids() == ["a", "b", "torn"]
    assert [error.path for error in checkpoints.damage()] == [checkpoints.path("torn")]
    assert checkpoints.damage(but={"torn"}) == []
    assert checkpoints.delete("torn")
    assert checkpoints.ids() == ["a", "b"]


def test_an_inserted_checkpoint_keeps_its_time_and_its_place(checkpoints: Checkpoints):
    checkpoints.save("mine", 1)
    old = CheckpointRecord(thread_id="t", checkpoint_id="old", state=None, created_at=5)
    assert checkpoints.insert(old, clock.spell_id(5_000 << 12, clock.random_suffix())) is True
    assert checkpoints["old"] == old
    assert (names(checkpoints), checkpoints.newest().checkpoint_id) == (["mine", "old"], "mine")
    checkpoints.save("mine", 2)
    assert names(checkpoints) == ["mine", "old"]
    assert checkpoints.insert(old, clock.new_id()) is False
    checkpoints.delete("old")
    assert checkpoints.insert(old, clock.new_id()) is False  # it stays deleted
    assert names(checkpoints) == ["mine"]


def test_a_limit_stops_the_reading(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch):
    for number in range(10):
        checkpoints.save(f"c{number}", "x" * 100_000)
    whole = []
    real = fs.read_file
    monkeypatch.setattr(fs, "read_file", lambda path: (whole.append(path), real(path))[1])
    assert [found.checkpoint_id for found in checkpoints.recent(2)] == ["c9", "c8"]
    assert checkpoints.recent(0) == []
    assert whole == [checkpoints.path("c9"), checkpoints.path("c8")]


def test_a_read_only_store_saves_nothing(store: Store, checkpoints: Checkpoints):
    checkpoints.save("c", 1)
    with Store.open(store.root, read_only=True) as reader:
        theirs = reader.thread("t").checkpoints
        assert theirs["c"].state == 1
        for call in (lambda: theirs.save("c", 2), lambda: theirs.delete("c")):
            with pytest.raises(ReadOnlyError):
                call()


# Order


def test_the_order_is_that_of_the_saving_though_the_clock_goes_back_and_forth(checkpoints: Checkpoints, monkeypatch):
    for number, seconds in enumerate((0, -3_600, 7_200, -7_200, 3_600)):
        faults.set_clock(monkeypatch, seconds)
        checkpoints.save(f"c{number % 4}", number)
        assert (checkpoints.newest().state, checkpoints.recent(1)[0].state) == (number, number)
    assert [found.state for found in checkpoints] == [found.state for found in fresh(checkpoints)] == [4, 3, 2, 1]


def test_a_save_after_those_of_a_process_whose_clock_is_ahead_is_the_newest(checkpoints: Checkpoints):
    for number in range(4):
        checkpoints.save("mine", number)
        run(children.save_ahead, str(checkpoints._place.root.path), "t", f"theirs-{number}", number)
        assert checkpoints.newest().checkpoint_id == f"theirs-{number}"
        checkpoints.save("mine", -number)
        assert (checkpoints.newest().state, names(checkpoints)[0]) == (-number, "mine")


def test_a_deletion_and_a_new_saving_are_in_order_too(checkpoints: Checkpoints, root: Path):
    for name in "abc":
        checkpoints.save(name, 1)
    for life in range(3):
        assert checkpoints.delete("a")
        assert names(checkpoints) == ["c", "b"] if not life else ["b", "c"]
        checkpoints.save("b" if life % 2 else "c", life)
        checkpoints.save("a", life)
        assert checkpoints.newest() == checkpoints["a"]
    assert len(list(root.glob(".fsstore/trash/*/threads/t/checkpoints/a.json"))) == 3


# Size


def text_of(megabytes: int) -> dict[str, Any]:
    line = 'a line of "text", caf\u00e9 \\ \N{PILE OF POO}\n' * 30_000
    return {"turns": [{"text": line, "number": number} for number in range(megabytes)], "last": 1.5}


@pytest.mark.campaign
def test_a_state_of_hundreds_of_megabytes_comes_back_and_is_found_without_being_read(
    checkpoints: Checkpoints, campaign: bool, monkeypatch: pytest.MonkeyPatch
):
    state = text_of(200 if campaign else 20)
    checkpoints.save("large", state)
    assert os.path.getsize(checkpoints.path("large")) > (200_000_000 if campaign else 20_000_000)
    assert checkpoints["large"].state == checkpoints.newest().state == state
    checkpoints.save("small", 1)
    count = faults.Bytes(monkeypatch)
    assert checkpoints.newest().state == 1
    assert checkpoints.recent(1)[0].state == 1
    assert checkpoints.ids() == ["large", "small"]
    checkpoints.save("small", 2)
    assert count.take() < 50_000
    monkeypatch.undo()
    assert checkpoints.delete("large")
    assert names(checkpoints) == ["small"]


# Damage


@pytest.mark.damaged
@pytest.mark.parametrize("name", ["c", "C" * 300])
@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"\0" * 99, b'{"state": 1}', b'{"versions": {"": "%s"}, "state": 1}'),
        *(b'{"id": 5, "versions": {"": "%s"}}', b'{"id": "other", "versions": {"": "%s"}, "state": 1}'),
    ],
)
def test_a_corrupt_checkpoint_is_never_shown_and_never_written_over(checkpoints: Checkpoints, name: str, data: bytes):
    checkpoints.save("older", "good")
    checkpoints.save(name, "good")
    path = Path(checkpoints.path(name))
    path.write_bytes(data.replace(b"%s", clock.new_id().encode()))
    before = path.read_bytes()
    for call in (
        lambda: checkpoints.get(name),
        lambda: checkpoints[name],
        checkpoints.newest,
        lambda: checkpoints.save(name, 1),
    ):
        with pytest.raises(CorruptError) as raised:
            call()
        assert raised.value.path == str(path)
    assert (names(checkpoints), checkpoints.recent(), path.read_bytes()) == (["older"], [checkpoints["older"]], before)
    assert [error.path for error in checkpoints.damage()] == [str(path)]
    assert checkpoints.delete(name) is True
    assert checkpoints.newest() == checkpoints["older"]
    checkpoints.save(name, "again")
    assert checkpoints.newest().state == "again"


@pytest.mark.damaged
def test_what_lacks_a_state_or_a_time_is_shown_as_far_as_it_goes(checkpoints: Checkpoints):
    checkpoints.save("c", 1)
    path = Path(checkpoints.path("c"))
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({"id": "c", "versions": fields["versions"], "note": 5}))
    found = checkpoints["c"]
    assert (found.state, found.extra) == (None, {"note": 5})


# Beside others


@pytest.mark.parametrize("names_", [["one"], ["one", "two", "three"]], ids=["one-name", "several-names"])
def test_savings_of_several_processes_are_whole_and_none_is_lost(root: Path, checkpoints: Checkpoints, names_: list[str]):
    work = [(str(root), "t", name, writer, 15) for writer, name in enumerate(names_ * (3 // len(names_)))]
    last = run_all(children.save_often, work)
    found = {one.checkpoint_id: one.state for one in fresh(checkpoints)}
    assert set(found) == set(names_)
    for name, state in found.items():
        assert state["text"] == state["text"][:1] * 50_000
        assert state in [state for (_, _, saved, _, _), state in zip(work, last, strict=True) if saved == name]
    assert checkpoints.newest().state in last


def test_a_reader_sees_whole_states_while_others_save_and_delete(root: Path, checkpoints: Checkpoints):
    checkpoints.save("c", {"text": "x" * 50_000, "number": -1, "writer": -1})
    seen, numbers = 0, []
    with start(children.save_often, str(root), "t", "c", 7, 40) as child:
        saving = threading.Thread(target=child.result)
        saving.start()
        while saving.is_alive() or not seen:
            for found in (checkpoints.get("c"), checkpoints.newest(), *checkpoints):
                assert len(found.state["text"]) == 50_000
                numbers.append(found.state["number"])
            seen += 1
        saving.join()
    assert numbers == sorted(numbers)
    assert checkpoints["c"].state["number"] == 39
