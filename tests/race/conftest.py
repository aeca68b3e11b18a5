"""What the race tests share: processes that read meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import processes
import pytest
import resource_workers


@pytest.fixture
def readers(root: Path) -> Callable[..., AbstractContextManager[None]]:
    """Begin two processes that look again and again, by a function of `resource_workers`; they fail with what they saw."""

    @contextmanager
    def begin(look: str, *args: Any) -> Iterator[None]:
        stop = root.with_name("stop reading")
        running = [processes.start(resource_workers.reading, root, stop, look, *args) for _ in range(2)]
        try:
            yield
        finally:
            stop.touch()
        for reader in running:
            assert reader.result() >= 2

    return begin
