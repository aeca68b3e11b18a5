"""The stores that the contract's tests speak to, all over one root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsstore import SessionStore, StateStore, Thread, ThreadMetadata, ThreadStore


@pytest.fixture
def state(root: Path) -> Iterator[StateStore]:
    with StateStore.open(root) as opened:
        yield opened


@pytest.fixture
def threads(root: Path) -> Iterator[ThreadStore]:
    with ThreadStore(root) as opened:
        yield opened


@pytest.fixture
def sessions(root: Path) -> Iterator[SessionStore]:
    with SessionStore(root) as opened:
        yield opened


@pytest.fixture
def thread(state: StateStore) -> str:
    """The id of a thread that `StateStore` made; its `updated_at` is long past."""
    state.upsert_thread(ThreadMetadata(id="t", created_at=100, updated_at=100))
    return "t"


@pytest.fixture
def chat(threads: ThreadStore) -> str:
    """The id of a thread that `ThreadStore` made."""
    threads.create_thread(Thread(id="thread_1", created_at=100))
    return "thread_1"
