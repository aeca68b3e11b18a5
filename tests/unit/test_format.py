"""FORMAT.md's examples are test data: what the page says is what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fsstore
from fsstore import Store, ThreadStatus, layout

PAGE = (Path(fsstore.__file__).parent / "FORMAT.md").read_text()
EXAMPLES = dict(re.findall(r"^```jsonl? (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def example(root: Path) -> Store:
    Store.open(root).close()
    directory = root / layout.THREADS / "thread_7f3a"
    directory.mkdir(mode=0o700)
    (directory / layout.META).write_text(EXAMPLES["meta.json"])
    (directory / layout.MESSAGES).write_text(EXAMPLES["messages.jsonl"])
    (root / layout.INDEX).write_text(EXAMPLES["session_index.jsonl"])
    return Store.open(root)


def test_the_page_has_an_example_of_each_file():
    assert set(EXAMPLES) == {"meta.json", "messages.jsonl", "session_index.jsonl"}


def test_the_example_reads_as_the_page_says(example: Store):
    thread = example.threads["thread_7f3a"]
    assert [m.content for m in thread.messages.branch()] == ["Why is the sky blue?", "Rayleigh scattering.", "Thank you."]
    assert len(thread.messages) == 3
    assert thread.messages.damage() == []
    info = thread.info()
    assert (info.name, info.status, info.cwd) == ("Fix the parser", ThreadStatus.IDLE, "/repo")


def test_the_example_document_is_spelled_as_the_store_spells_it(example: Store):
    path = Path(example.root) / layout.THREADS / "thread_7f3a" / layout.META
    example.threads.update("thread_7f3a", name="Another")
    example.threads.update("thread_7f3a", name="Fix the parser")
    lines = path.read_text().splitlines()
    before = EXAMPLES["meta.json"].splitlines()
    assert [line for line in lines if line not in before and "01" not in line and '"name": "' not in line] == []


def test_the_deletion_of_the_example_is_remembered(example: Store):
    thread = example.threads.create("thread_0001")
    assert thread.messages.branch() == []
    first = Path(thread.messages.path).read_text()
    assert '"type":"clear","leaf_ids":["01a1fb9f-b7ee-7047-9601-c7b722d7b782"]' in first


def test_every_name_of_the_page_is_the_name_the_store_makes():
    rows = re.findall(r"^\| (`.*`) \| (`.*`) \|$", PAGE.split("## Names")[1].split("## Ids")[0], re.MULTILINE)
    assert len(rows) == 6
    for ids, names in rows:
        pairs = zip(re.findall("`([^`]*)`", ids), re.findall("`([^`]*)`", names), strict=True)
        assert [layout.encode_name(id) for id, _ in list(pairs)] == re.findall("`([^`]*)`", names)


def test_every_kind_of_problem_that_check_can_report_stands_on_the_page():
    source = Path(fsstore.__file__).parent
    text = "".join((source / name).read_text() for name in ("upkeep/check.py", "resources/index.py", "codec.py"))
    kinds = set(re.findall(r'_problem\(.*?, "([a-z-]+)"', text)) | set(re.findall(r'Damage\(offset, "([a-z-]+)"', text))
    assert {"missing-parent", "corrupt", "leftover-temp", "no-status"} <= kinds
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in PAGE] == []
