from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fsstore
from fsstore import (
    ABSENT,
    Message,
    MessageRecord,
    MessageRole,
    Run,
    RunError,
    RunInfo,
    RunStatus,
    RunStep,
    RunStepStatus,
    RunStepType,
    SessionSource,
    StepInfo,
    Thread,
    ThreadInfo,
    ThreadMessage,
    ThreadMetadata,
    ThreadStatus,
    clock,
    codec,
)
from fsstore.records.message_views import blocks_of, text_of
from fsstore.records.messages import OWN_KEYS, draft_of, make_message, new_draft

RECORD_ID = "01990000-0000-7000-8000-00000000000a"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
EVERY_THREAD_FIELD = {
    "id": "t",
    "name": "n",
    "preview": "p",
    "status": "archived",
    "source": "fork",
    "created_at": 1,
    "updated_at": 2,
    "archived": True,
    "archived_at": 3,
    "ephemeral": True,
    "cwd": "/c",
    "path": "/p",
    "rollout_path": "/r",
    "model_provider": "m",
    "cli_version": "1",
    "sandbox_policy": "s",
    "approval_mode": "a",
    "git_sha": "g",
    "git_branch": "b",
    "git_origin_url": "u",
    "memory_mode": "mm",
    "metadata": {"k": [1]},
    "kind": "session",
    "moved_from": {"id": "old", "seen": "0f"},
}
EVERY_RUN_FIELD = {
    "id": "r",
    "thread_id": "t",
    "status": "failed",
    "model": "m",
    "last_error": {"code": "c", "message": "m", "more": 1},
    "created_at": 5,
    "process": {"host": "h", "pid": 7},
}
EVERY_STEP_FIELD = {
    "id": "s",
    "run_id": "r",
    "thread_id": "t",
    "step_type": "tool_calls",
    "status": "completed",
    "created_at": 1,
    "completed_at": 2,
    "failed_at": 3,
    "error": "e",
    "step_details": {"a": 1},
}
EVERY_GOAL_FIELD = {
    "thread_id": "t",
    "goal_id": "g",
    "objective": "o",
    "status": "complete",
    "token_budget": 1,
    "tokens_used": 2,
    "time_used_seconds": 3,
    "continuation_count": 4,
    "created_at": 5,
    "updated_at": 6,
}
EVERY_TOOL_FIELD = {"position": 0, "name": "n", "description": "d", "input_schema": {"k": [1]}}
EVERY_CHECKPOINT_FIELD = {"thread_id": "t", "checkpoint_id": "c", "state": [1], "created_at": 5}
EVERY_JOB_FIELD = {
    "id": "j",
    "name": "n",
    "status": "paused",
    "progress": 5,
    "detail": "d",
    "created_at": 5,
    "updated_at": 6,
}
_TIMES = {"status": "done", "started_at": 1, "completed_at": 2}
EVERY_WORKFLOW_FIELD = {"id": "w", "workflow_id": "f", "goal": "g", "input_hash": "h", "metadata": {"k": 1}, **_TIMES}
_PART = {"id": "p", "workflow_run_id": "w"}
EVERY_BRANCH_FIELD = {**_PART, "branch_id": "b", "node_id": "n", "result": [1], **_TIMES}
EVERY_LEAF_FIELD = {
    **_PART,
    "branch_run_id": "b",
    "leaf_id": "l",
    "task_id": "t",
    "input_hash": "h",
    "output": 1,
    "artifacts": ["a"],
    **_TIMES,
}
EVERY_NODE_FIELD = {**_PART, "node_id": "n", "kind": "k", "selected_children": ["b"], "result": 1, **_TIMES}
EVERY_CANDIDATE_FIELD = {
    **_PART,
    "control_node_run_id": "n",
    "candidate_id": "c",
    "branch_run_id": "b",
    "score": 0.5,
    "passed": False,
    "rationale": "r",
    "created_at": 5,
}
TRACES = [
    (fsstore.WorkflowRun, EVERY_WORKFLOW_FIELD),
    (fsstore.BranchRun, EVERY_BRANCH_FIELD),
    (fsstore.LeafRun, EVERY_LEAF_FIELD),
    (fsstore.ControlNodeRun, EVERY_NODE_FIELD),
    (fsstore.TeacherCandidate, EVERY_CANDIDATE_FIELD),
]
FULL = [
    (ThreadInfo, EVERY_THREAD_FIELD),
    (RunInfo, EVERY_RUN_FIELD),
    (StepInfo, EVERY_STEP_FIELD),
    (fsstore.ThreadGoalRecord, EVERY_GOAL_FIELD),
    (fsstore.DynamicToolRecord, EVERY_TOOL_FIELD),
    (fsstore.CheckpointRecord, EVERY_CHECKPOINT_FIELD),
    (fsstore.JobStateRecord, EVERY_JOB_FIELD),
    *TRACES,
]
PUBLIC = [getattr(fsstore, name) for name in fsstore.__all__ if dataclasses.is_dataclass(getattr(fsstore, name))]


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_public_record_is_frozen_slotted_and_keyword_only(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)
    assert "__dict__" not in dir(kind)
    if kind is fsstore.ChatMessage:
        assert [field.name for field in dataclasses.fields(kind) if not field.kw_only] == ["role", "content"]
    elif kind not in (fsstore.Damage, fsstore.DataStoreOptions):  # neither is read from a document
        assert all(field.kw_only for field in dataclasses.fields(kind))


@pytest.mark.parametrize(("kind", "fields"), FULL)
def test_a_record_of_every_field_comes_back_from_json_unchanged(kind: Any, fields: dict[str, Any]) -> None:
    assert set(fields) == {field.name for field in dataclasses.fields(kind)} - {"extra"}
    written = kind.from_json(fields).to_json()
    assert written == fields
    assert kind.from_json(json.loads(json.dumps(written))) == kind.from_json(fields)


@pytest.mark.parametrize(("kind", "fields"), FULL)
@given(extra=st.dictionaries(TEXT.map("x-".__add__), JSON, max_size=4))
def test_unknown_keys_are_kept_through_a_rewrite(kind: Any, fields: dict[str, Any], extra: dict[str, Any]) -> None:
    record = kind.from_json({**fields, **extra})
    assert record.extra == extra
    assert record.to_json() == {**fields, **extra}


@pytest.mark.parametrize(
    ("kind", "field", "fields"),
    [
        *((ThreadInfo, "status", {"id": "t"}), (ThreadInfo, "source", {"id": "t"})),
        *((RunInfo, "status", {"id": "r", "thread_id": "t"}), (StepInfo, "status", EVERY_STEP_FIELD)),
        *((StepInfo, "step_type", EVERY_STEP_FIELD), (fsstore.JobStateRecord, "status", EVERY_JOB_FIELD)),
    ],
)
@pytest.mark.parametrize("value", ["a later word", "", "COMPLETED", None, 7, ["completed"], {"a": 1}])
def test_an_unknown_enum_value_is_kept_as_read(kind: Any, field: str, fields: dict[str, Any], value: Any) -> None:
    record = kind.from_json({**fields, field: value})
    assert getattr(record, field) == value
    assert record.to_json().get(field) == value


@pytest.mark.parametrize("value", ["a later word", "", "ACTIVE", None, 7, ["active"], {"a": 1}])
def test_a_goal_of_unknown_status_must_not_drive_work(value: Any) -> None:
    assert fsstore.ThreadGoalRecord.from_json({**EVERY_GOAL_FIELD, "status": value}).status is fsstore.ThreadGoalStatus.PAUSED
    assert fsstore.ThreadGoalRecord.from_json({"thread_id": "t"}).status is fsstore.ThreadGoalStatus.ACTIVE


@pytest.mark.parametrize(("kind", "fields"), TRACES)
def test_a_trace_that_lacks_what_it_is_of_is_read_all_the_same_and_cannot_be_made(kind: Any, fields: dict[str, Any]) -> None:
    least = {name: fields[name] for name in ("id", "workflow_run_id") if name in fields}
    assert getattr(kind.from_json(least), kind.OF) == ""
    assert getattr(kind.from_json({**least, kind.OF: "x"}), kind.OF) == "x"
    with pytest.raises(TypeError, match=kind.OF):
        kind(**least)


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [
        *((ThreadInfo, EVERY_THREAD_FIELD, "created_at"), (fsstore.JobStateRecord, EVERY_JOB_FIELD, "created_at")),
        *((fsstore.ThreadGoalRecord, EVERY_GOAL_FIELD, "created_at"), (*TRACES[0], "started_at"), (*TRACES[4], "created_at")),
    ],
)
def test_a_time_of_creation_that_nobody_gave_does_not_replace_the_old_one(kind: Any, fields: dict[str, Any], name: str) -> None:
    old = {**fields, "theirs": 1, "versions": {}}
    given = {key: value for key, value in fields.items() if key != name}
    assert kind(**given).over(old) == {**kind(**given).to_json(), name: fields[name], "theirs": 1}
    assert kind(**{**given, name: 3}).over(old)[name] == 3
    assert kind(**given).over(None)[name] >= 1_700_000_000


@pytest.mark.parametrize("member", [*ThreadStatus, *SessionSource, *RunStatus, *RunStepStatus, *RunStepType, *MessageRole])
def test_enum_members_are_their_text_and_named_in_upper_case(member: Any) -> None:
    assert member == str(member) == member.value
    assert member.name == member.value.upper()


def test_only_queued_and_in_progress_runs_go_on() -> None:
    assert [status for status in RunStatus if not status.is_terminal] == ["queued", "in_progress"]
    assert [status for status in RunStepStatus if not status.is_terminal] == ["in_progress"]
    assert RunInfo(id="r", thread_id="t", status="expired").is_terminal is False  # text that nobody read as a status


def test_an_optional_field_is_left_out_while_it_is_none() -> None:
    written = ThreadInfo(id="t").to_json()
    assert not {"name", "path", "git_sha", "archived_at"} & set(written)
    assert written["status"] == "idle"
    assert type(written["status"]) is str
    assert type(written["created_at"]) is int


def test_a_run_error_of_an_older_writer_gets_what_it_lacks() -> None:
    run = RunInfo.from_json({**EVERY_RUN_FIELD, "last_error": {"message": "m"}})
    assert run.last_error == RunError(code="", message="m")
    assert RunInfo.from_json({**EVERY_RUN_FIELD, "last_error": "a text"}).last_error == "a text"


@pytest.mark.parametrize(
    "make",
    [
        *(lambda: ThreadMetadata(id="t"), Thread, lambda: Run(thread_id="t"), lambda: ThreadInfo(id="t")),
        *(lambda: ThreadMessage.new_user("t", "hi"), lambda: RunStep(run_id="r", thread_id="t")),
    ],
)
def test_records_are_made_with_defaults_and_a_time_that_nobody_gave(make: Any) -> None:
    before = clock.now()
    record = make()
    assert before <= record.created_at <= clock.now()
    assert isinstance(record.created_at, clock.Moment)
    assert record.extra == {}
    assert make().extra is not record.extra


def test_ids_made_for_records_are_prefixed_and_unique() -> None:
    made = [[Thread().id, Run(thread_id="t").id, RunStep(run_id="r", thread_id="t").id] for _ in range(50)]
    made = [[*ids, ThreadMessage.new_user("t", "x").id] for ids in made]
    assert all([id.rstrip("0123456789abcdef") for id in ids] == ["thread_", "run_", "step-", "msg_"] for ids in made)
    assert len({id for ids in made for id in ids}) == 200


def test_the_views_of_a_thread_lose_nothing() -> None:
    info = ThreadInfo.from_json({**EVERY_THREAD_FIELD, "later": 1})
    state = ThreadMetadata.of(info, "leaf")
    assert state.current_leaf_id == "leaf"
    kept = {name: getattr(info, name) for name in ("metadata", "kind", "moved_from")}
    assert dataclasses.replace(state.to_info(), **kept) == info
    assert Thread.of(info).metadata == {"k": [1]}
    assert Thread.of(info).to_info().extra == {"later": 1}
    assert len(dataclasses.fields(ThreadMetadata)) - 1 == 22  # the contract's fields, and `extra`


def test_the_views_of_runs_and_steps_lose_nothing() -> None:
    run = RunInfo.from_json({**EVERY_RUN_FIELD, "later": 1})
    step = StepInfo.from_json({**EVERY_STEP_FIELD, "later": 1})
    assert Run.of(run).to_info() == run
    assert RunStep.of(step).to_info() == step
    assert (Run.of(run).object, RunStep.of(step).object) == ("thread.run", "thread.run.step")


# Messages

MESSAGE = {"id": RECORD_ID, "parent_id": None, "role": "user", "content": "x", "created_at": 7}


def stored(**fields: Any) -> Message:
    return make_message({**MESSAGE, **fields}, None)


@given(
    content=JSON,
    item=JSON | st.just(ABSENT),
    created_at=st.integers(-(2**63), 2**63),
    extra=st.dictionaries(TEXT | st.sampled_from(sorted(OWN_KEYS)), JSON, max_size=5),
)
def test_a_message_says_before_and_after_the_disk_the_same(
    content: Any, item: Any, created_at: int, extra: dict[str, Any]
) -> None:
    extra = {name: value for name, value in extra.items() if name not in ("role", "content", "item", "created_at", "run_id")}
    draft = new_draft("user", content, item, None, created_at, "run", extra)
    line = codec.encode_line(draft.record(RECORD_ID, None))
    draft.id = draft.record_id = RECORD_ID
    assert make_message(json.loads(line), None) == draft.done()


@pytest.mark.parametrize("name", sorted(OWN_KEYS))
def test_a_callers_key_of_the_stores_own_name_is_kept_under_extra(name: str) -> None:
    record = new_draft("user", "x", extra={name: {"mine": 1}, "other": 2}).record(RECORD_ID, None)
    assert record["extra"] == {name: {"mine": 1}}
    assert record.get(name) != {"mine": 1}
    assert stored(**record).extra == {name: {"mine": 1}, "other": 2}


@pytest.mark.parametrize("hidden", [None, 5, "text", [1], {"a": 1}, {}])
def test_an_extra_written_elsewhere_is_never_lost(hidden: Any) -> None:
    extra = stored(extra=hidden, more=1).extra
    assert extra["more"] == 1
    assert extra == {"more": 1, **hidden} if isinstance(hidden, dict) else extra == {"more": 1, "extra": hidden}


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"role": 5},
            {"role": None},
            {"given_id": ""},
            {"given_id": 7},
            {"run_id": 7},
            {"created_at": "1"},
            {"created_at": 1.0},
        ),
        *({"created_at": True}, {"extra": {"role": "x"}}, {"extra": {"content": 1}}, {"extra": {"item": 1}}),
        *({"extra": {"created_at": 1}}, {"extra": {"run_id": "r"}}),
    ],
)
def test_wrong_values_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        new_draft(**{"role": "user", "content": "x", **fields})


@pytest.mark.parametrize("fields", [{}, {"role": "user"}, {"content": "x"}, {"Role": "user", "Content": "x"}])
def test_a_mapping_without_role_or_content_is_no_message(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a message needs"):
        draft_of(fields)


def test_a_mappings_own_keys_are_arguments_and_the_others_extra() -> None:
    draft = draft_of({"role": "user", "content": "x", "given_id": "g", "item": None, "created_at": 5, "run_id": "r", "mood": 1})
    assert (draft.id, draft.item, draft.created_at, draft.run_id, draft.extra) == ("g", None, 5, "r", {"mood": 1})


def test_a_role_of_an_enum_is_kept_as_its_text() -> None:
    assert type(new_draft(MessageRole.USER, "x").role) is str


@pytest.mark.parametrize("created_at", [None, "yesterday", 1.5, True, []])
def test_a_message_without_a_good_time_takes_that_of_its_id(created_at: Any) -> None:
    assert stored(created_at=created_at).created_at == clock.seconds_of(RECORD_ID)


@pytest.mark.parametrize("given_id", [None, "", 7, ["g"], {}])
def test_a_given_id_that_is_no_text_is_none(given_id: Any) -> None:
    assert stored(given_id=given_id).id == RECORD_ID


def test_item_null_and_no_item_are_told_apart() -> None:
    assert (stored().item, stored().has_item) == (ABSENT, False)
    assert (stored(item=None).item, stored(item=None).has_item) == (None, True)
    views = [MessageRecord.of("t", message) for message in (stored(), stored(item=None), stored(item=[1]))]
    assert [(view.item, view.has_item) for view in views] == [(None, False), (None, True), ([1], True)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        *(("plain", "plain"), ("", ""), ([], ""), (["a", "b"], "a\nb"), (None, ""), (7, ""), ({"text": "x"}, "")),
        (
            [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": {"value": "b", "annotations": []}}],
            "a\nb",
        ),
        ([{"text": 5}, {"text": {"value": None}}, {"text": {}}, None, 7, [], {"text": ""}], ""),
    ],
)
def test_text_is_joined_from_the_text_blocks(content: Any, text: str) -> None:
    assert text_of(content) == text
    assert MessageRecord.of("t", stored(content=content)).text_content() == text
    assert ThreadMessage.of("t", stored(content=content)).text_content() == (text if content != {"text": "x"} else "x")


@given(JSON)
def test_any_content_is_a_list_of_blocks(content: Any) -> None:
    blocks = blocks_of(content)
    assert isinstance(blocks, list)
    if isinstance(content, list):
        assert blocks == content
    elif isinstance(content, str):
        assert text_of(blocks) == content
    else:
        assert blocks == [content]


def test_a_thread_message_of_another_thread_is_refused() -> None:
    message = ThreadMessage.new_assistant("t", "run", "hi")
    with pytest.raises(ValueError, match=f"message {message.id} names thread t, not u"):
        message.to_append("u")
    assert message.to_append("t")["given_id"] == message.id


def test_a_message_is_a_value() -> None:
    message = stored(more=1)
    assert message == stored(more=1)
    assert message != stored(more=2)
    assert dataclasses.replace(message, role="other").role == "other"
    assert repr(message).startswith("Message(id=")
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.role = "other"  # type: ignore[misc]
