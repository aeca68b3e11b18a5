"""Whatever stands in a file: no crash, no hang, no good record lost, nothing changed by reading, and writing goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random

import examples
import hypothesis
import pytest
import spoiling
from bench import LONG_LOG, MESSAGES, Bench
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from whole_store import DOCUMENTS, LOGS, STAMP

from fsstore import layout
from fsstore.disk import fs

pytestmark = [pytest.mark.damaged, pytest.mark.campaign, pytest.mark.timeout(3600)]
#: Damage that knows nothing of JSON.
BYTES = (spoiling.flip, spoiling.delete, spoiling.insert, spoiling.truncate, spoiling.double, spoiling.nuls)

#: Damage that a stamp may have to notice: it says what order the lines have.
ORDER = (spoiling.swap, spoiling.shuffle, spoiling.odd_twin, spoiling.drop, spoiling.flip, spoiling.nuls)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for sync in ("sync", "sync_directory"):
        monkeypatch.setattr(fs, sync, lambda _: None)  # what is on the medium is no matter here
    return Bench(tmp_path)


def fuzz(data: bytes, spoil: Callable[[bytes, Random], bytes], hold: Callable[[bytes], None], count: int, seed: int) -> None:
    """Damage a file `count` times, each time in one to three ways, and hold what must hold."""

    def once(chances: list[Random]) -> None:
        damaged = data
        for chance in chances:
            damaged = spoil(damaged, chance)
        hold(damaged)

    ways = st.lists(st.randoms(use_true_random=True), min_size=1, max_size=3)
    phases = (Phase.generate, Phase.shrink)
    how = settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=phases)
    hypothesis.seed(seed)(how(hypothesis.given(ways)(once)))()


def spoil_by(ways: tuple[Callable[[bytes, Random], bytes], ...], data: bytes, chance: Random) -> bytes:
    return chance.choice(ways)(data, chance)


def test_documents_of_any_bytes(bench: Bench, seed: int, campaign: bool, figures: Callable[[str], None]) -> None:
    for name in DOCUMENTS:
        spoil, hold = partial(spoiling.spoil, log=False), partial(bench.document, name)
        fuzz(bench.data(examples.below(name)), spoil, hold, 600 if campaign else 8, seed)
    figures(f"fuzz of {len(DOCUMENTS)} kinds of documents: {dict(bench.figures)}")
    assert bench.figures["corrupt"] > len(DOCUMENTS)


def test_logs_of_any_bytes(bench: Bench, seed: int, campaign: bool, figures: Callable[[str], None]) -> None:
    names = [*LOGS, MESSAGES]
    for name in names:
        spoil, hold = partial(spoiling.spoil, log=True), partial(bench.log, name)
        fuzz(bench.data(examples.below(name)), spoil, hold, 2000 if campaign else 20, seed)
    figures(f"fuzz of {len(names)} kinds of logs: {dict(bench.figures)}")
    assert bench.figures["kept"] > bench.figures["files"]


def test_stamps_and_format_files_of_any_bytes(bench: Bench, seed: int, campaign: bool, figures: Callable[[str], None]) -> None:
    count = 600 if campaign else 10
    fuzz(bench.data(STAMP), partial(spoil_by, BYTES), bench.stamp, count, seed)
    fuzz(bench.data(LONG_LOG), partial(spoil_by, ORDER), bench.stamped_log, count, seed)
    fuzz(bench.data(layout.FORMAT_FILE), partial(spoiling.spoil, log=False), bench.format_file, count, seed)
    figures(f"fuzz of stamps and format files: {dict(bench.figures)}")
    assert bench.figures["refused"] > count // 2


def test_real_damaged_files_hide_no_good_record_beside_them(
    bench: Bench, data: Path, campaign: bool, figures: Callable[[str], None]
) -> None:
    files: Iterable[Path] = sorted(data.rglob("*.jsonl"))
    for file in files:
        if campaign or file.stat().st_size < 100_000:
            bench.real(file.read_bytes())
    figures(f"fuzz of real files: {dict(bench.figures)}")
    assert bench.figures["kept"] > 500
