"""What every test shares: a store to use, a check of every store it left, the seed and the campaign flag."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

import processes
import pytest
from hypothesis import HealthCheck, settings

from fsstore import Store

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--campaign", action="store_true", help="run the campaigns long (minutes instead of seconds)")
    parser.addoption("--seed", type=int, default=None, help="the seed of every random campaign; printed when not given")


def pytest_configure(config: pytest.Config) -> None:
    os.umask(0o077)  # what tests, git and rsync put into a store has the rights that the store gives, or `check` would tell
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without, and so would children
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.getoption("--seed") is None:
        # Without --campaign the same seed each time: a push must not fail for what another push would have found.
        config.option.seed = random.randrange(1 << 32) if config.getoption("--campaign") else 1
    # For the same reason hypothesis draws the same examples each time; and no machine is too slow for a test.
    same = not config.getoption("--campaign")
    settings.register_profile("fsstore", deadline=None, derandomize=same, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("fsstore")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    node.workerinput["seed"] = node.config.option.seed  # xdist's hook: one seed for all workers


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed, and what the campaigns counted: their reports carry it here from any worker."""
    ends = [one for all in terminalreporter.stats.values() for one in all if getattr(one, "when", "") == "call"]
    terminalreporter.section(f"figures, seed {terminalreporter.config.getoption('--seed')} (give it back with --seed)")
    lines = sorted(value for one in ends for name, value in one.user_properties if name == "figures")
    for line in _added_up(lines):
        terminalreporter.line(line)


def _added_up(lines: list[str]) -> list[str]:
    """Give one line for all that differ only in their numbers, with the sums."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for line in lines:
        words = re.split(r"(\d[\d,]*(?<=\d))", line)
        numbers = [int(word.replace(",", "")) for word in words[1::2]]
        known = sums.setdefault(tuple(words[::2]), [0] * len(numbers))
        known[:] = map(sum, zip(known, numbers, strict=True))
    return ["".join(map("{}{:,}".format, words, numbers)) + words[-1] for words, numbers in sums.items()]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed"))


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--campaign"))


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Take one line of what a campaign counted, to be printed when all tests are over: `kill: 233 rounds, 3,728 kills`."""
    return lambda line: record_property("figures", line)


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("no real data beside this checkout")
    return DATA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Store:
    return Store.open(root)


@pytest.fixture(autouse=True)
def _no_child_is_left_running(_every_store_is_whole: None):  # before that: a child may write still
    yield
    processes.kill_all()


@pytest.fixture(autouse=True)
def _every_store_is_whole(request: pytest.FixtureRequest):
    tmp_path = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if tmp_path is None or request.node.get_closest_marker("damaged"):
        return
    for format_file in tmp_path.rglob("fsstore.json"):
        if format_file.is_file() and not {".fsstore", "threads"}.intersection(format_file.parts):
            with Store.open(format_file.parent, read_only=True) as left:
                assert [str(problem) for problem in left.check()] == []
