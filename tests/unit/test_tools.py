from __future__ import annotations

import json
import threading
from pathlib import Path

import children
import pytest
from processes import start

from fsstore import CorruptError, DynamicToolRecord, ReadOnlyError, Store, ThreadNotFoundError, clock
from fsstore.resources.tools import Tools, checked, flaw


@pytest.fixture
def tools(store: Store) -> Tools:
    return store.threads.create("t").tools


def tool(position: int, name: str = "grep") -> DynamicToolRecord:
    return DynamicToolRecord(position=position, name=name)


def on_disk(tools: Tools) -> dict[str, object]:
    return json.loads(Path(tools._path).read_text())


def test_a_set_is_one_document(tools: Tools):
    tools.replace([tool(1, "b"), DynamicToolRecord(position=0, name="a", description="d", input_schema={"k": 1})])
    assert [one.name for one in tools.all()] == ["a", "b"]
    said = on_disk(tools)
    assert set(said) == {"id", "tools", "versions"}
    assert said["id"] == "t"
    assert said["tools"] == [
        {"position": 1, "name": "b", "input_schema": {}},
        {"position": 0, "name": "a", "description": "d", "input_schema": {"k": 1}},
    ]


def test_a_new_set_is_one_change_of_the_document(tools: Tools):
    tools.replace([tool(0)])
    first = on_disk(tools)["versions"]
    tools.replace([tool(1)])
    second = on_disk(tools)["versions"]
    assert second[""] == second["tools"] > first[""]
    assert second["id"] == first["id"]


def test_a_set_is_inserted_where_there_never_was_one(tools: Tools):
    version = clock.new_id()
    assert tools.insert([tool(0)], version) is True
    assert on_disk(tools)["versions"] == {"": version, "id": version}
    assert tools.insert([tool(5)], clock.new_id()) is False
    assert tools.all() == [tool(0)]
    tools.replace([])
    assert tools.insert([tool(5)], clock.new_id()) is False
    assert tools.all() == []


@pytest.mark.parametrize("positions", [(0, 0), (1, 0, 1), (3, 2, 1, 2, 3)])
def test_a_position_given_twice_is_named_and_nothing_is_begun(tools: Tools, positions: tuple[int, ...]):
    for call in (tools.replace, lambda given: tools.insert(given, clock.new_id())):
        with pytest.raises(ValueError, match=f"position {min(one for one in positions if positions.count(one) > 1)} .*twice"):
            call([tool(position) for position in positions])
    assert not Path(tools._path).exists()


def test_a_thousand_tools_are_a_set(tools: Tools):
    given = [DynamicToolRecord(position=at, name=f"tool {at}", input_schema={"n": at}) for at in range(1_000)]
    tools.replace(reversed(given))
    assert tools.all() == given


def test_a_tool_is_written_as_the_record_says(tools: Tools):
    whole = DynamicToolRecord(position=3, name="n", description="d", input_schema={"a": [None]}, extra={"strict": True})
    assert checked(whole) == whole.to_json()
    with pytest.raises(ValueError, match="versions"):
        checked(DynamicToolRecord(position=3, name="n", extra={"versions": 1}))


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ({"tools": []}, True),
        ({"tools": [{"position": 0, "name": ""}]}, True),
        *(({}, False), ({"tools": None}, False), ({"tools": {}}, False), ({"tools": [[]]}, False)),
        *(({"tools": [{"position": True, "name": "n"}]}, False), ({"tools": [{"position": 0, "name": None}]}, False)),
    ],
)
def test_a_document_that_holds_no_list_of_tools_is_flawed(fields: dict[str, object], good: bool):
    assert (flaw(fields) is None) == good


@pytest.mark.damaged
def test_a_flaw_is_an_error_that_names_the_file(tools: Tools):
    tools.replace([tool(0)])
    Path(tools._path).write_text(json.dumps({**on_disk(tools), "tools": "none"}))
    with pytest.raises(CorruptError) as raised:
        tools.all()
    assert raised.value.path == tools._path


def test_no_thread_and_a_read_only_store_take_no_tools(store: Store, tools: Tools):
    with pytest.raises(ThreadNotFoundError):
        store.thread("missing").tools.replace([])
    with pytest.raises(ThreadNotFoundError):
        store.thread("missing").tools.insert([], clock.new_id())
    assert not Path(store.thread("missing").directory).exists()
    with Store.open(store.root, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.thread("t").tools.replace([])


def test_a_reader_sees_a_whole_set_while_others_replace_it(root: Path, tools: Tools):
    tools = children.patient(str(root)).thread("t").tools
    tools.replace([tool(at, "first") for at in range(20)])
    with start(children.replace_tools_often, str(root), "t", "second", 40) as child:
        replacing = threading.Thread(target=child.result)
        replacing.start()
        sets = []
        while replacing.is_alive():
            sets.append([one.name for one in tools.all()])
            if len(sets) % 5 == 0:
                tools.replace([tool(at, "first") for at in range(20)])
        replacing.join()
    assert {tuple(set(names)) for names in sets} <= {("first",), ("second",)}
    assert {len(names) for names in sets} == {20}
