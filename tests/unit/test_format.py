"""FORMAT.md's examples are test data: what the page says is what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import examples
import pytest
from examples import EXAMPLES, PAGE

import fsstore
from fsstore import ConversationTurn, Store, ThreadStatus, codec, layout

SAYS_KINDS = (
    "upkeep/check.py",
    "upkeep/entries.py",
    "resources/index.py",
    "resources/session_index.py",
    "resources/usage.py",
    "resources/shapes.py",
    "resources/content_log.py",
    "disk/folding.py",
    "codec.py",
)


@pytest.fixture
def example(root: Path) -> Store:
    examples.make(root)
    return Store.open(root)


def test_the_page_has_an_example_of_each_file(example: Store):
    assert list(example.check()) == []
    rows = re.findall(r"^\| `([\w/<>]+\.json)` \| ", PAGE, re.MULTILINE)
    assert len(rows) == 16
    for row in rows:
        pattern = re.compile(re.sub(r"<\w+>", "[^/]+", row) + "$")
        assert any(map(pattern.search, EXAMPLES)), row
    logs = {
        "messages.jsonl",
        "usage.jsonl",
        "session_index.jsonl",
        "session_content.jsonl",
        "rewind.jsonl",
        "prompt_history.jsonl",
    }
    assert logs < set(EXAMPLES)


def test_the_examples_of_documents_are_spelled_as_the_store_spells_them(example: Store):
    for name, text in EXAMPLES.items():
        if name.endswith(".json"):
            assert codec.encode_document(codec.decode_object(text.encode())).decode() == text, name


def test_the_examples_of_this_thread_read_as_the_page_says(example: Store):
    thread = example.threads["thread_7f3a"]
    goal = thread.goal.get()
    assert (goal.objective, goal.tokens_used, goal.time_used_seconds, goal.continuation_count) == ("Ship 1.0", 1200, 8, 1)
    assert goal.updated_at == 1795222918
    assert [tool.name for tool in thread.tools.all()] == ["grep"]
    assert thread.checkpoints.newest().state == {"files": 3}
    assert thread.runs["run_9"].info().last_error.code == "server_error"
    assert [step.step_details for step in thread.runs["run_9"].steps] == [{"message_id": "msg_1"}]


def test_the_examples_of_a_data_session_read_as_the_page_says(example: Store, tmp_path: Path):
    session = example.data.session("thread_7f3a", cwd=tmp_path)
    assert session.histories.all() == {"left": [ConversationTurn(role="user", content="And at night?")]}
    run, mark = session.metadata().runs
    assert (run.selected, run.rating, run.applied_files, run.note) == (
        "claude",
        "good",
        ["sky.md"],
        "[rewound] Applied: sky.md",
    )
    assert (mark.type, mark.prompt_hash) == ("rewind", run.prompt_hash)
    assert session.runs.content().runs[0].models[0].events[0].data == "sky.md"
    assert (session.runs.tools(), len(session.rewinds)) == (["bash", "grep"], 0)
    assert session.recipe.own() == example.recipes[run.config_hash]
    assert session.checkpoint.load().responses[0].text == "Black, for"
    assert session.costs() == {"claude": 0.25}
    assert example.prompts.recent() == ["And at night?", "Why is the sky blue?"]
    assert example.data.statistics().rewound == 1


def test_the_files_of_an_example_are_restored_as_the_page_says(example: Store, tmp_path: Path):
    log = Path(example.root) / layout.THREADS / "thread_7f3a" / layout.CONTENT
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if "entry_id" not in line))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sky.md").write_text("Blue")
    (tmp_path / "work" / "locked.md").write_text("Blue")
    result = example.data.session("thread_7f3a", cwd=tmp_path / "work").rewinds.rewind()
    assert (result.restored, result.file_msg, result.feed_index) == (["sky.md", "locked.md"], "", 3)
    assert [(path.name, path.read_text()) for path in (tmp_path / "work").iterdir()] == [("sky.md", "Grey")]


def test_the_examples_of_the_store_read_as_the_page_says(example: Store):
    assert example.jobs["index-repo"].progress == 40
    run = example.workflows["wr_1"]
    assert run.leaves.replay("lint", "77ab").output == {"warnings": 0}
    assert [(one.control_node_run_id, one.branch_run_id) for one in run.candidates] == [("cn_1", "br_1")]
    run.branches.delete("br_1")
    assert [(one.control_node_run_id, one.branch_run_id) for one in run.candidates] == [("cn_1", None)]
    assert [leaf.branch_run_id for leaf in run.leaves] == [None]
    assert run.control_nodes["cn_1"].selected_children == ["br_1"]


def test_the_example_reads_as_the_page_says(example: Store):
    thread = example.threads["thread_7f3a"]
    assert [m.content for m in thread.messages.branch()] == [
        "Why is the sky blue?",
        "Rayleigh scattering.",
        "Thank you, [redacted].",
    ]
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
    text = "".join((source / name).read_text() for name in SAYS_KINDS)
    kinds = (
        set(re.findall(r'_problem\(.*?, "([a-z-]+)"', text))
        | set(re.findall(r'problem_at\(root, path, "([a-z-]+)"', text))
        | set(re.findall(r'Unfit\("([a-z-]+)"', text))
        | set(re.findall(r'Damage\(offset, "([a-z-]+)"', text))
    )
    assert {
        "symlink",
        "permissions",
        "conflict-copy",
        "missing-parent",
        "corrupt",
        "leftover-temp",
        "no-status",
        "no-run",
        "bad-record",
    } <= kinds
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in PAGE] == []
