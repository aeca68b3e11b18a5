"""No public method that writes is missing among the operations whose crashes are looked at."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
from crash_harness import Desk, no_sync
from crash_operations import OPERATIONS
from format_rows import ROWS
from readers import READERS

import fsstore.store
from fsstore.testing.trace import Recorder


def modules() -> Iterator[object]:
    yield fsstore.store
    for package in map(importlib.import_module, ("fsstore.resources", "fsstore.stores", "fsstore.upkeep")):
        for module in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"{package.__name__}.{module.name}")


def public(owner: object, module: object) -> Iterator[tuple[str, object]]:
    for name, value in vars(owner).items():
        inner = inspect.unwrap(getattr(value, "__func__", value))
        if not name.startswith("_") and getattr(inner, "__module__", None) == module.__name__:
            yield name, inner


def methods() -> dict[CodeType, str]:
    """Every public method of a public class, and every public function that says what a crash leaves."""
    found: dict[CodeType, str] = {}
    for module in modules():
        for name, value in public(module, module):
            if inspect.isclass(value):
                found.update({it.__code__: f"{name}.{at}" for at, it in public(value, module) if inspect.isfunction(it)})
            elif inspect.isfunction(value) and "Crash:" in (value.__doc__ or ""):
                found[value.__code__] = name
    return found


class Watcher(Recorder):
    """A recorder that notes who is at work while something changes on the disk."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.at_work: set[CodeType] = set()

    def _live(self) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            self.at_work.add(frame.f_code)
            frame = frame.f_back
        super()._live()


@pytest.fixture
def writers(tmp_path: Path) -> set[CodeType]:
    """Who writes when every operation is done once."""
    found: set[CodeType] = set()
    for number, operation in enumerate(OPERATIONS):
        world = tmp_path / f"{number}" / "world"
        world.mkdir(parents=True)
        operation.prepare(Desk(world / operation.place))
        desk = Desk(world / operation.place)
        with no_sync(), Watcher(world) as watcher:
            for step in operation.steps:
                step(desk)
        found |= watcher.at_work
    return found


@pytest.mark.damaged
def test_every_public_method_is_looked_at_or_writes_nothing(writers: set[CodeType]):
    known = methods()
    seen = {name for code, name in known.items() if code in writers}
    readers = {name for name in known.values() if _reads(*name.partition(".")[::2])}
    assert len(seen) > 150
    assert sorted(set(known.values()) - seen - readers) == [], "add an operation, or a reader"
    assert sorted(seen & readers) == [], "these write"
    named = {f"{owner}.{name}" for owner, names in READERS.items() for name in names.split() if name != "*"}
    assert sorted(named - set(known.values())) == [], "these are no more"


def _reads(owner: str, name: str) -> bool:
    names = READERS.get(owner, "").split()
    return names == ["*"] or name in names


def test_every_operation_stands_for_a_row_of_the_crash_table():
    page = (Path(fsstore.__file__).parent / "FORMAT.md").read_text()
    table = page.split("## Operations")[1].split("**Compaction**")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert {len(row) for row in rows} == {4}
    assert [start for row, start in zip(rows, ROWS, strict=True) if not row[0].startswith(f"| {start}")] == []
    assert all("**" in row[1] for row in rows)
    assert sorted(name for names in ROWS.values() for name in names) == sorted(one.name for one in OPERATIONS)
