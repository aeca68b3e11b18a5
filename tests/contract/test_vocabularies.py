"""One store, several vocabularies: what one class writes the others read (contract part 0, decisions 1 to 3, 8, 19, 37, 38)."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
import time
from enum import StrEnum
from pathlib import Path

import onroot
import pytest

import fsstore
from fsstore import (
    ABSENT,
    MessageNotFoundError,
    MessageRole,
    Run,
    RunStatus,
    RunStep,
    RunStepStatus,
    RunStepType,
    StateStore,
    Store,
    Thread,
    ThreadListFilters,
    ThreadMessage,
    ThreadMetadata,
    ThreadStatus,
    ThreadStore,
)

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
BLOCK = {"type": "text", "text": {"value": "hi", "annotations": []}}

#: Each record with the fewest arguments that it takes.
RECORDS = (
    fsstore.Message(id="m", record_id="m", parent_id=None, role="user", content="hi"),
    fsstore.MessageRecord(id="m", thread_id="t", role="user", content="hi"),
    Run(thread_id="t"),
    fsstore.RunError(code="c", message="m"),
    fsstore.RunInfo(id="r", thread_id="t"),
    RunStep(run_id="r", thread_id="t"),
    fsstore.StepInfo(id="s", run_id="r", thread_id="t"),
    Thread(),
    fsstore.ThreadInfo(id="t"),
    ThreadListFilters(),
    ThreadMessage(thread_id="t", role="user", content=[]),
    ThreadMetadata(id="t"),
    fsstore.CheckpointRecord(thread_id="t", checkpoint_id="c"),
    fsstore.DynamicToolRecord(position=0, name="n"),
    fsstore.JobStateRecord(id="j"),
    fsstore.ThreadGoalRecord(thread_id="t", goal_id="g"),
    fsstore.WorkflowRun(id="w", workflow_id="f"),
    fsstore.BranchRun(id="b", workflow_run_id="w", branch_id="b"),
    fsstore.LeafRun(id="l", workflow_run_id="w", leaf_id="l"),
    fsstore.ControlNodeRun(id="n", workflow_run_id="w", node_id="n"),
    fsstore.TeacherCandidate(id="c", workflow_run_id="w", candidate_id="c"),
    fsstore.ChatMessage("user", "hi"),
    fsstore.SessionMetadata(key="k"),
    fsstore.SessionState(),
    fsstore.SessionQuery(),
    fsstore.Compacted(),
    fsstore.Checkpoint(prompt="p"),
    fsstore.ConversationTurn(role="user", content="hi"),
    fsstore.DataSessionMetadata(id="s"),
    fsstore.EventEntry(type="text"),
    fsstore.FileSnapshot(path="f"),
    fsstore.FileWrite(path="f"),
    fsstore.ModelProfile(),
    fsstore.ModelResponse(model_id="m"),
    fsstore.ModelRunContent(model_id="m"),
    fsstore.OutputRule(),
    fsstore.RecipeConstraints(),
    fsstore.RecipeContext(),
    fsstore.RecipeModelParams(),
    fsstore.RecipeSnapshot(),
    fsstore.ResponseSnapshot(model_id="m"),
    fsstore.RewindEntry(),
    fsstore.RewindResult(),
    fsstore.RunContent(prompt="p"),
    fsstore.RunSummary(),
    fsstore.SelectionParams(selected_model_id="m"),
    fsstore.SessionContent(),
    fsstore.Statistics(),
    fsstore.SystemReminder(name="r"),
    fsstore.Tally(),
    fsstore.WriteEntry(path="f"),
)
#: What is asked or answered, and never stored.
WITHOUT_EXTRA = (
    ThreadListFilters,
    fsstore.SessionQuery,
    fsstore.Compacted,
    fsstore.FileSnapshot,
    fsstore.RewindEntry,
    fsstore.RewindResult,
    fsstore.SelectionParams,
    fsstore.Statistics,
    fsstore.Tally,
)
#: What the member without a word is called.
EMPTY = {fsstore.RunRating: "NONE", fsstore.RunType: "NORMAL"}
ENUMS = {
    MessageRole: ["user", "assistant"],
    RunStatus: ["queued", "in_progress", "completed", "cancelled", "failed", "expired"],
    RunStepStatus: ["in_progress", "completed", "failed", "cancelled"],
    RunStepType: ["message_creation", "tool_calls"],
    fsstore.SessionSource: ["interactive", "resume", "fork", "api", "unknown"],
    ThreadStatus: ["running", "idle", "completed", "failed", "paused", "archived"],
    fsstore.JobStateStatus: ["queued", "running", "completed", "failed", "cancelled", "paused"],
    fsstore.StopReason: ["complete", "timeout", "max_steps", "context_overflow", "cancelled", "error"],
    fsstore.EventType: ["text", "reading", "writing", "error", "bash", "snapshot", "request"],
    fsstore.RunRating: ["", "good", "bad"],
    fsstore.RunType: ["", "rewind"],
    fsstore.ThreadGoalStatus: ["active", "paused", "blocked", "usage_limited", "budget_limited", "complete"],
}


def by_type(value: object) -> str:
    return type(value).__name__


# Decision 1: ids of messages


def test_ids_of_messages_are_uuids_that_ascend_over_threads_and_stores(state: StateStore, root: Path) -> None:
    made = []
    for opened in (state, StateStore.open(root)):
        for thread in ("a", "b"):
            state.upsert_thread(ThreadMetadata(id=thread))
            made += [opened.append_message(thread, "user", f"{n}") for n in range(50)]
    assert all(UUID7.fullmatch(id) for id in made)
    assert len(set(made)) == len(made)
    for thread in ("a", "b"):
        listed = [message.id for message in state.list_messages(thread)]
        assert listed == sorted(listed)
        assert len(listed) == 100


def test_a_given_id_is_the_one_shown_and_either_id_is_found(
    state: StateStore, threads: ThreadStore, root: Path, chat: str
) -> None:
    stored = threads.append_message(chat, dataclasses.replace(ThreadMessage.new_user(chat, "hi"), id="msg_1"))
    record_id = onroot.rows(onroot.log(root, chat))[0]["id"]
    assert stored.id == "msg_1"
    assert isinstance(record_id, str)
    assert UUID7.fullmatch(record_id)
    messages = Store.open(root).thread(chat).messages
    assert messages.get("msg_1") == messages.get(record_id)
    below = state.append_message(chat, "assistant", "hello")
    assert [(m.id, m.parent_entry_id) for m in state.list_messages(chat)] == [("msg_1", None), (below, "msg_1")]
    for id in ("msg_1", record_id):
        state.set_current_leaf_id(chat, id)
        found = state.get_thread(chat)
        assert found is not None
        assert found.current_leaf_id == "msg_1"
        for thread in (chat, None):
            fork = state.fork_at_message(id, "assistant", f"below {id}", thread_id=thread)
            assert state.list_messages(chat)[1].id == fork
            assert state.list_messages(chat)[1].parent_entry_id == "msg_1"


@pytest.mark.parametrize("id", ["msg_caf\u00e9 \N{PILE OF POO}", 'quo"te \\ and / and \x01', "x" * 5000, " "])
def test_a_given_id_of_any_text_is_found_over_the_whole_store(
    state: StateStore, threads: ThreadStore, root: Path, chat: str, id: str
) -> None:
    threads.create_thread(Thread(id="other"))
    state.append_message("other", "user", f"it only quotes {id}")
    threads.append_message(chat, dataclasses.replace(ThreadMessage.new_user(chat, "hi"), id=id))
    StateStore.open(root).fork_at_message(id, "user", "found")
    assert [message.content for message in state.list_messages(chat)] == [[BLOCK], "found"]
    with pytest.raises(MessageNotFoundError):
        state.fork_at_message(f"{id}!", "user", "not found")


# Decision 2: content


def test_each_class_reads_the_others_content_in_its_own_form(state: StateStore, threads: ThreadStore, chat: str) -> None:
    state.append_message(chat, "user", "hi")
    threads.append_message(chat, ThreadMessage.new_assistant(chat, "run_1", "hello"))
    blocks = [{"type": "text", "text": "plain"}, {"type": "image", "url": "x"}, "bare", BLOCK]
    state.append_message(chat, "user", blocks)
    state.append_message(chat, "user", {"type": "text", "text": "one block"})
    stored = [message.content for message in state.list_messages(chat)]
    assert stored == [
        "hi",
        [{"type": "text", "text": {"value": "hello", "annotations": []}}],
        blocks,
        {"type": "text", "text": "one block"},
    ]
    shown = [message.content for message in threads.list_messages(chat)]
    assert shown == [[BLOCK], stored[1], blocks, [{"type": "text", "text": "one block"}]]
    texts = ["hi", "hello", "plain\nbare\nhi"]
    assert [message.text_content() for message in state.list_messages(chat)][:3] == texts
    assert [message.text_content() for message in threads.list_messages(chat)] == [*texts, "one block"]


@pytest.mark.parametrize("content", [None, 7, True, {}, []], ids=repr)
def test_content_that_is_no_text_is_blocks_without_text(
    state: StateStore, threads: ThreadStore, chat: str, content: object
) -> None:
    state.append_message(chat, "tool", content)
    (record,), (message,) = state.list_messages(chat), threads.list_messages(chat)
    assert (record.content, record.text_content()) == (content, "")
    assert (message.content, message.text_content()) == (content if isinstance(content, list) else [content], "")


def test_one_class_lists_the_branch_and_the_other_the_log(state: StateStore, threads: ThreadStore, chat: str) -> None:
    first = state.append_message(chat, "user", "one")
    state.append_message(chat, "user", "two")
    state.fork_at_message(first, "user", "other two")
    assert [message.content for message in state.list_messages(chat)] == ["one", "other two"]
    assert [message.text_content() for message in threads.list_messages(chat)] == ["one", "two", "other two"]
    state.clear_messages(chat)
    assert threads.list_messages(chat) == []


def test_a_role_that_one_class_does_not_know_is_text_to_it(state: StateStore, threads: ThreadStore, chat: str) -> None:
    for role in ("user", "assistant", "system", "tool"):
        state.append_message(chat, role, "hi")
    roles = [message.role for message in threads.list_messages(chat)]
    assert roles == ["user", "assistant", "system", "tool"]
    assert [isinstance(role, MessageRole) for role in roles] == [True, True, False, False]


# Decision 3: an item


def test_an_item_of_one_class_survives_what_the_other_does(state: StateStore, threads: ThreadStore, root: Path) -> None:
    threads.create_thread(Thread(id="t"))
    for item in (ABSENT, None, {"call": 1}):
        state.append_message("t", "assistant", "hi", item)
    threads.append_message("t", ThreadMessage.new_user("t", "hi"))
    found = [(message.has_item, message.item) for message in state.list_messages("t")]
    assert found == [(False, None), (True, None), (True, {"call": 1}), (False, None)]
    assert ["item" in row for row in onroot.rows(onroot.log(root, "t"))] == [False, True, True, False]
    stored = Store.open(root).thread("t").messages.branch()
    assert [message.item for message in stored] == [ABSENT, None, {"call": 1}, ABSENT]


# One thread in two vocabularies


def test_a_thread_of_one_class_is_a_thread_of_the_other(state: StateStore, threads: ThreadStore) -> None:
    threads.create_thread(Thread(id="theirs", created_at=5, metadata={"user": 1}))
    state.upsert_thread(ThreadMetadata(id="mine", created_at=6, name="parser"))
    found = state.get_thread("theirs")
    assert found is not None
    assert (found.created_at, found.name, found.archived) == (5, None, False)
    mine = threads.get_thread("mine")
    assert (mine.created_at, mine.metadata) == (6, {})
    assert sorted(threads.list_thread_ids()) == sorted(one.id for one in state.list_threads()) == ["mine", "theirs"]
    with pytest.raises(fsstore.AlreadyExistsError):
        threads.create_thread(Thread(id="mine"))
    assert state.delete_thread("theirs")
    assert threads.list_thread_ids() == ["mine"]


def test_an_upsert_keeps_what_the_other_vocabulary_wrote(state: StateStore, threads: ThreadStore) -> None:
    threads.create_thread(Thread(id="t", created_at=5, metadata={"user": 1}, extra={"theirs": [1]}))
    state.upsert_thread(ThreadMetadata(id="t", name="parser", extra={"mine": 2}))
    state.mark_archived("t")
    found = threads.get_thread("t")
    assert (found.created_at, found.metadata, found.extra) == (5, {"user": 1}, {"theirs": [1], "mine": 2})
    metadata = state.get_thread("t")
    assert metadata is not None
    assert (metadata.name, metadata.archived, metadata.extra) == ("parser", True, {"theirs": [1], "mine": 2})


def test_keys_of_a_message_that_no_class_knows_are_shown_by_each(
    state: StateStore, threads: ThreadStore, root: Path, chat: str
) -> None:
    extra = {"tokens": {"in": 7}, "none": None}
    Store.open(root).thread(chat).messages.append("user", "hi", extra=extra, created_at=9)
    (record,), (message,) = state.list_messages(chat), threads.list_messages(chat)
    assert (record.extra, message.extra) == (extra, extra)
    assert (record.created_at, message.created_at) == (9, 9)


# Decision 8: last activity


def test_last_activity_is_the_newest_message_or_the_upsert_whichever_is_later(
    state: StateStore, root: Path, thread: str
) -> None:
    handle = Store.open(root).threads[thread]
    assert handle.last_activity() == 100
    older = handle.messages.append("user", "early", created_at=50)
    assert handle.last_activity() == 100
    handle.messages.append("user", "late", created_at=200)
    assert handle.last_activity() == 200
    state.set_current_leaf_id(thread, older.id)
    assert handle.last_activity() == 200
    state.upsert_thread(ThreadMetadata(id=thread, updated_at=300))
    assert handle.last_activity() == 300


# Decision 37: the records


@pytest.mark.parametrize("record", RECORDS, ids=by_type)
def test_records_are_frozen_slotted_and_take_names_only(record: object) -> None:
    fields = dataclasses.fields(record)  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, fields[0].name, "other")
    assert not hasattr(record, "__dict__")
    by_position = ["role", "content"] if isinstance(record, fsstore.ChatMessage) else []
    assert [field.name for field in fields if not field.kw_only] == by_position
    with pytest.raises(TypeError):
        type(record)("positional")
    with pytest.raises((AttributeError, TypeError, dataclasses.FrozenInstanceError)):
        record.no_such_field = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("record", RECORDS, ids=by_type)
def test_records_can_be_copied_pickled_and_replaced(record: object) -> None:
    assert copy.copy(record) == copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record
    assert dataclasses.replace(record) == record  # type: ignore[type-var]


@pytest.mark.parametrize("record", [one for one in RECORDS if not isinstance(one, WITHOUT_EXTRA)], ids=by_type)
def test_records_keep_unknown_keys_in_extra(record: object) -> None:
    assert record.extra == {}  # type: ignore[attr-defined]
    assert dataclasses.replace(record, extra={"k": 1}) != record  # type: ignore[type-var, call-arg]


def test_records_do_not_share_their_defaults() -> None:
    first, second = Thread(), Thread()
    assert first.metadata is not second.metadata
    assert first.extra is not second.extra
    assert first.id != second.id


def test_every_record_of_the_package_is_tested_here() -> None:
    public = [getattr(fsstore, name) for name in fsstore.__all__]
    records = {kind for kind in public if inspect.isclass(kind) and dataclasses.is_dataclass(kind)}
    assert {kind.__name__ for kind in records} - {type(record).__name__ for record in RECORDS} == {
        "DataStoreOptions",
        "Damage",
        "Freed",
        "Problem",
        "Secret",
        "Size",
        "Trashed",
    }
    assert {kind for kind in public if inspect.isclass(kind) and issubclass(kind, StrEnum)} == set(ENUMS)


def test_times_that_nobody_gave_are_those_of_construction() -> None:
    before = int(time.time())
    for record in RECORDS:
        fresh = type(record)(**_required(record))
        for name in ("created_at", "updated_at"):
            if name in type(record).__slots__ and not isinstance(record, fsstore.Message):
                assert before <= getattr(fresh, name) <= time.time()


def _required(record: object) -> dict[str, object]:
    missing = dataclasses.MISSING
    return {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)  # type: ignore[arg-type]
        if field.default is missing and field.default_factory is missing
    }


def test_records_of_the_contract_are_built_from_what_cannot_be_absent() -> None:
    assert [set(_required(record)) for record in RECORDS if isinstance(record, (ThreadMetadata, Thread))] == [set(), {"id"}]
    assert (ThreadListFilters().include_archived, ThreadListFilters().limit) == (False, 50)
    assert (Run(thread_id="t").status, Run(thread_id="t").last_error) == (RunStatus.QUEUED, None)
    step = RunStep(run_id="r", thread_id="t")
    assert (step.step_type, step.status) == (RunStepType.MESSAGE_CREATION, RunStepStatus.IN_PROGRESS)


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_enums_are_str_enums_with_upper_case_members(kind: type[StrEnum]) -> None:
    assert issubclass(kind, StrEnum)
    assert [member.value for member in kind] == ENUMS[kind]
    assert all(
        member.name == (member.value.upper() or {"RunRating": "NONE", "RunType": "NORMAL"}[kind.__name__]) for member in kind
    )
    assert [f"{member}" for member in kind] == ENUMS[kind]


def test_the_names_of_the_contract_come_from_the_package() -> None:
    names = (
        "StateStore ThreadStore Store ThreadMetadata ThreadListFilters MessageRecord Thread ThreadMessage Run RunStep RunError"
        " ThreadStatus SessionSource MessageRole RunStatus RunStepType RunStepStatus ABSENT StoreError NotFoundError"
        " ThreadNotFoundError MessageNotFoundError RunNotFoundError RunStepNotFoundError AlreadyExistsError InvalidNameError"
        " RunInTerminalStateError LockTimeoutError SyncFailedError CorruptError FormatError ReadOnlyError"
        " ThreadHandle RunHandle Message ThreadInfo RunInfo StepInfo"
        " ThreadGoalRecord ThreadGoalStatus CheckpointRecord CheckpointNotFoundError DynamicToolRecord JobStateRecord"
        " JobStateStatus WorkflowRun BranchRun LeafRun ControlNodeRun TeacherCandidate WorkflowHandle"
    )
    assert set(names.split()) <= set(fsstore.__all__)
    assert all(getattr(fsstore, name) is not None for name in names.split())


# Decision 38: constructors


def test_all_views_of_one_root_are_one_store(root: Path) -> None:
    with StateStore.open(root) as state, ThreadStore(root) as threads, Store.open(root) as store:
        created = store.threads.create(name="parser")
        threads.append_message(created.id, ThreadMessage.new_user(created.id, "hi"))
        state.append_message(created.id, "assistant", "hello")
        created.messages.append("user", "thanks")
        seen = [message.role for message in created.messages.branch()]
        assert seen == [message.role for message in state.list_messages(created.id)] == ["user", "assistant", "user"]
        assert [message.role for message in threads.list_messages(created.id)] == seen
        run = created.runs.create(model="small")
        run.steps.create(step_type="tool_calls")
        assert threads.get_run(created.id, run.id).model == "small"
        assert [step.step_type for step in threads.list_steps(created.id, run.id)] == [RunStepType.TOOL_CALLS]


def data_store(root: Path, **options: object) -> fsstore.DataStore:
    return fsstore.DataStore(fsstore.DataStoreOptions(root, "s", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [StateStore.open, ThreadStore, fsstore.SessionStore, data_store, Store.open],
    ids=["state", "thread", "session", "data", "store"],
)
def test_every_constructor_takes_durability_and_lock_timeout(root: Path, make: type[ThreadStore]) -> None:
    for durability in ("full", "process"):
        with make(root, durability=durability, lock_timeout=0.5):
            pass
    for wrong in ({"durability": "never"}, {"lock_timeout": -0.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(root, **wrong)  # type: ignore[arg-type]


def test_a_read_only_store_is_never_made(root: Path) -> None:
    with pytest.raises(fsstore.FormatError):
        Store.open(root, read_only=True)
    assert not root.exists()
