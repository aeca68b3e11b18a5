from __future__ import annotations

import os
import zlib
from pathlib import Path

import faults
import pytest

from fsstore import InvalidNameError, LockTimeoutError, ReadOnlyError, Store, ThreadNotFoundError
from fsstore.resources.place import Place


def place(store: Store, id: str = "t") -> Place:
    return Place(store._root, id)


@pytest.mark.parametrize(("id", "name"), [("t", "t"), ("A/b", "%41%2fb"), ("..", "%2e%2e"), ("x" * 300, None)])
def test_a_place_is_the_threads_directory_and_touches_no_disk(store: Store, id: str, name: str | None, monkeypatch):
    calls = faults.Calls(monkeypatch)
    here = place(store, id)
    assert (here.id, here.name) == (id, name or here.name)
    assert here.directory == f"{store.root}/threads/{here.name}"
    assert (here.meta, here.path("goal.json")) == (f"{here.directory}/meta.json", f"{here.directory}/goal.json")
    assert here.stripe == f"thread-{zlib.crc32(here.name.encode()) % 256:02x}"
    assert calls == []


@pytest.mark.parametrize("id", ["", "x" * 1001, "\ud800"])
def test_there_is_no_place_for_an_id_that_cannot_be_kept(store: Store, id: str):
    with pytest.raises(InvalidNameError):
        place(store, id)


def test_a_thread_is_there_where_its_meta_is(store: Store):
    assert not place(store).is_there()
    os.mkdir(place(store).directory)
    assert not place(store).is_there()
    store.threads.create("t")
    assert place(store).is_there()
    store.threads.delete("t")
    assert not place(store).is_there()


def test_a_place_that_may_not_be_looked_at_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fsstore.disk.fs.stat", faults.failing(13))
    with pytest.raises(PermissionError):
        place(store).is_there()


def test_the_lock_of_a_thread_that_is_there_is_held_in_the_block(store: Store):
    store.threads.create("t")
    with Store.open(store.root, lock_timeout=0) as other:
        with place(store).lock_existing():
            with pytest.raises(LockTimeoutError), place(other).lock_existing():
                pass
            store.thread("t").info()  # reading needs no lock
        with place(other).lock_existing():
            pass


def test_no_thread_is_an_error_that_names_it_and_frees_the_lock(store: Store):
    with pytest.raises(ThreadNotFoundError, match="thread t not found"), place(store).lock_existing():
        pytest.fail("the block was entered")
    with Store.open(store.root, lock_timeout=0) as other, place(other).lock():
        pass
    assert os.listdir(Path(store.root, "threads")) == []


def test_what_the_block_raises_frees_the_lock(store: Store):
    store.threads.create("t")
    with pytest.raises(RuntimeError, match="mine"), place(store).lock_existing():
        raise RuntimeError("mine")
    with Store.open(store.root, lock_timeout=0) as other, place(other).lock_existing():
        pass


def test_a_thread_that_went_while_its_lock_was_awaited_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.threads.create("t")
    lock = Place.lock

    def late(self: Place) -> object:
        with Store.open(store.root) as other:
            other.threads.delete("t")
        return lock(self)

    monkeypatch.setattr(Place, "lock", late)
    with pytest.raises(ThreadNotFoundError), place(store).lock_existing():
        pytest.fail("the block was entered")


def test_a_read_only_store_gives_no_lock(store: Store):
    store.threads.create("t")
    with Store.open(store.root, read_only=True) as reader:
        assert place(reader).is_there()
        for lock in (place(reader).lock, lambda: place(reader).lock_existing().__enter__()):
            with pytest.raises(ReadOnlyError):
                lock()
