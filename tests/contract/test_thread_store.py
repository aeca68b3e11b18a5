"""`ThreadStore` against its rows of the contract (2B, part 0 first), and every behaviour of 3B in the order they stand there.

3B names its behaviours of the worker only by their number, four: they are 1B's life cycle of a worker (39 to 42 here). What 3B
says of routes is tested as what the store must do beneath them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path

import onroot
import pytest
from contract_children import dying, reading_status

from fsstore import (
    AlreadyExistsError,
    CorruptError,
    InvalidNameError,
    MessageRole,
    NotFoundError,
    Run,
    RunError,
    RunInTerminalStateError,
    RunNotFoundError,
    RunStatus,
    RunStep,
    RunStepNotFoundError,
    RunStepStatus,
    RunStepType,
    Store,
    Thread,
    ThreadMessage,
    ThreadNotFoundError,
    ThreadStore,
)
from fsstore.disk import fs

TERMINAL = (RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.EXPIRED)
ERROR = RunError(code="server_error", message="it broke")


@pytest.fixture
def run(threads: ThreadStore, chat: str) -> str:
    """The id of a queued run of the thread `chat`."""
    threads.create_run(chat, Run(id="run_1", thread_id=chat, created_at=100, model="small"))
    return "run_1"


@pytest.fixture
def step(threads: ThreadStore, chat: str, run: str) -> str:
    """The id of a step in progress of the run `run`."""
    threads.append_step(chat, run, RunStep(id="step-1", run_id=run, thread_id=chat, created_at=100))
    return "step-1"


def say(threads: ThreadStore, thread_id: str, *texts: str) -> list[ThreadMessage]:
    return [threads.append_message(thread_id, ThreadMessage.new_user(thread_id, text)) for text in texts]


def texts(threads: ThreadStore, thread_id: str) -> list[str]:
    return [message.text_content() for message in threads.list_messages(thread_id)]


def work(threads: ThreadStore, thread_id: str, run_id: str) -> None:
    """Do a run as a worker does (contract 1B)."""
    threads.update_run_status(thread_id, run_id, RunStatus.IN_PROGRESS)
    step = RunStep(run_id=run_id, thread_id=thread_id)
    threads.append_step(thread_id, run_id, step)
    answer = threads.append_message(thread_id, ThreadMessage.new_assistant(thread_id, run_id, "Hello!"))
    threads.update_step_status(thread_id, run_id, step.id, RunStepStatus.COMPLETED)
    steps = Store.open(threads.thread_dir(thread_id).parents[1]).thread(thread_id).runs[run_id].steps
    steps.update(step.id, RunStepStatus.COMPLETED, step_details={"message_id": answer.id})
    threads.update_run_status(thread_id, run_id, RunStatus.COMPLETED)


# ThreadStore


def test_a_new_store_takes_its_settings_by_name_and_a_root_in_any_case(root: Path) -> None:
    with pytest.raises(TypeError):
        ThreadStore()
    with pytest.raises(TypeError):
        ThreadStore(root, "process")
    with pytest.raises(ValueError, match="durability"):
        ThreadStore(root, durability="some")
    assert not root.exists()
    with ThreadStore(root, durability="process", lock_timeout=None) as threads:
        threads.create_thread(Thread(id="t"))
    assert ThreadStore(str(root)).list_thread_ids() == ["t"]


# create_thread, get_thread


def test_create_thread_keeps_every_field(threads: ThreadStore, root: Path) -> None:
    thread = Thread(id="t", created_at=5, metadata={"user": {"id": 7}, "tags": ["a", None]}, extra={"mine": [1]})
    threads.create_thread(thread)
    assert threads.get_thread("t") == ThreadStore(root).get_thread("t") == thread


@pytest.mark.parametrize("metadata", [None, [], "text", 0, False, {"deep": {"er": [1.5]}}], ids=repr)
def test_metadata_is_any_json_value(threads: ThreadStore, metadata: object) -> None:
    threads.create_thread(Thread(id="t", metadata=metadata))
    found = threads.get_thread("t").metadata
    assert (found, type(found)) == (metadata, type(metadata))


def test_create_thread_refuses_an_id_that_is_taken_and_changes_nothing(threads: ThreadStore, root: Path, chat: str) -> None:
    say(threads, chat, "kept")
    before = onroot.snapshot(root)
    with pytest.raises(AlreadyExistsError, match=chat):
        threads.create_thread(Thread(id=chat, metadata={"other": 1}))
    assert onroot.snapshot(root) == before


def test_create_thread_begins_a_deleted_one_anew_and_empty(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    say(threads, chat, "old")
    Store.open(root).threads.delete(chat)
    with pytest.raises(ThreadNotFoundError):
        say(threads, chat, "late")
    threads.create_thread(Thread(id=chat))
    assert (texts(threads, chat), threads.list_run_ids(chat)) == ([], [])
    say(threads, chat, "new")
    assert texts(ThreadStore(root), chat) == ["new"]


@pytest.mark.parametrize("value", onroot.NOT_JSON.values(), ids=onroot.NOT_JSON)
def test_no_write_takes_what_json_cannot_hold(
    threads: ThreadStore, root: Path, chat: str, run: str, step: str, value: object
) -> None:
    say(threads, chat, "good")
    before = onroot.snapshot(root)
    calls = (
        lambda: threads.create_thread(Thread(id="new", metadata=value)),
        lambda: threads.create_thread(Thread(id="new", extra={"mine": value})),
        lambda: threads.append_message(chat, ThreadMessage(thread_id=chat, role="user", content=[value])),
        lambda: threads.append_message(chat, ThreadMessage(thread_id=chat, role="user", content=[], extra={"mine": value})),
        lambda: threads.create_run(chat, Run(id="new", thread_id=chat, extra={"mine": value})),
        lambda: threads.append_step(chat, run, RunStep(id="new", run_id=run, thread_id=chat, step_details=value)),
        lambda: threads.update_run_status(chat, run, RunStatus.FAILED, RunError(code="x", message="y", extra={"z": value})),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"JSON|surrogate"):
            call()
    assert onroot.snapshot(root) == before


@pytest.mark.parametrize("id", ["", "x" * 1001])
def test_an_id_that_cannot_be_kept_is_a_value_error_everywhere(
    threads: ThreadStore, root: Path, chat: str, run: str, id: str
) -> None:
    before = onroot.snapshot(root)
    calls = (
        lambda: threads.create_thread(Thread(id=id)),
        lambda: threads.get_thread(id),
        lambda: threads.create_run(chat, Run(id=id, thread_id=chat)),
        lambda: threads.get_run(chat, id),
        lambda: threads.append_step(chat, run, RunStep(id=id, run_id=run, thread_id=chat)),
        lambda: threads.get_step(chat, run, id),
        lambda: threads.thread_dir(id),
        lambda: threads.run_dir(chat, id),
    )
    for call in calls:
        with pytest.raises(InvalidNameError):
            call()
    assert onroot.snapshot(root) == before


@pytest.mark.damaged
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_a_corrupt_document_is_an_error_that_says_where_never_a_missing_one(
    threads: ThreadStore, chat: str, run: str, step: str, data: bytes
) -> None:
    reads = (
        (threads.thread_dir(chat) / "meta.json", lambda: threads.get_thread(chat)),
        (threads.run_dir(chat, run) / "status.json", lambda: threads.get_run(chat, run)),
        (threads.run_dir(chat, run) / "status.json", lambda: threads.update_run_status(chat, run, RunStatus.FAILED)),
        (threads.run_dir(chat, run) / "status.json", lambda: threads.force_update_run_status(chat, run, RunStatus.FAILED)),
        (threads.steps_dir(chat, run) / "step-1.json", lambda: threads.get_step(chat, run, step)),
        (threads.steps_dir(chat, run) / "step-1.json", lambda: threads.update_step_status(chat, run, step, "failed")),
    )
    for path, read in reads:
        path.write_bytes(data)
        with pytest.raises(CorruptError) as raised:
            read()
        assert (raised.value.path, bool(raised.value.reason), path.read_bytes()) == (str(path), True, data)


def test_a_refusal_of_the_system_is_never_taken_for_a_missing_thread_run_or_step(
    threads: ThreadStore, chat: str, run: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *args: object, **named: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(fs, "open_fd", refuse)
    calls = (
        lambda: threads.get_thread(chat),
        lambda: threads.list_messages(chat),
        lambda: threads.get_run(chat, run),
        lambda: threads.list_steps(chat, run),
        lambda: threads.get_step(chat, run, step),
    )
    for call in calls:
        with pytest.raises(PermissionError):
            call()


# list_thread_ids


def test_thread_ids_come_back_byte_for_byte_whatever_they_are(threads: ThreadStore, root: Path) -> None:
    for id in onroot.STRANGE_IDS:
        threads.create_thread(Thread(id=id, metadata=id))
    assert sorted(threads.list_thread_ids()) == sorted(onroot.STRANGE_IDS)
    assert [threads.get_thread(id).metadata for id in onroot.STRANGE_IDS] == list(onroot.STRANGE_IDS)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.damaged
def test_only_directories_with_a_thread_in_them_are_listed(threads: ThreadStore, root: Path, chat: str) -> None:
    (root / "threads" / "empty").mkdir()
    (root / "threads" / "note.txt").write_text("a stray file")
    (root / "threads" / "Not Ours").mkdir()
    assert threads.list_thread_ids() == [chat]


def test_thread_ids_of_an_empty_store_are_none(threads: ThreadStore) -> None:
    assert threads.list_thread_ids() == []


# append_message, list_messages


def test_append_gives_the_message_as_stored(threads: ThreadStore, root: Path, chat: str) -> None:
    message = ThreadMessage(
        id="msg_mine", created_at=7, thread_id=chat, role=MessageRole.USER, content=[{"type": "text", "n": 1}], extra={"k": [1]}
    )
    assert threads.append_message(chat, message) == message
    assert threads.list_messages(chat) == ThreadStore(root).list_messages(chat) == [message]


def test_append_refuses_a_message_of_another_thread(threads: ThreadStore, root: Path, chat: str) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(ValueError, match="another"):
        threads.append_message(chat, ThreadMessage.new_user("another", "hi"))
    assert onroot.snapshot(root) == before


def test_append_refuses_an_empty_message_id(threads: ThreadStore, chat: str) -> None:
    with pytest.raises(ValueError, match="id"):
        threads.append_message(chat, ThreadMessage(id="", thread_id=chat, role="user", content=[]))
    assert threads.list_messages(chat) == []


@pytest.mark.damaged
def test_an_id_given_twice_is_kept_twice_the_newer_is_found_and_check_reports_it(
    threads: ThreadStore, root: Path, chat: str
) -> None:
    for text in ("older", "newer"):
        threads.append_message(chat, dataclasses.replace(ThreadMessage.new_user(chat, text), id="msg_twice"))
    assert [(message.id, message.text_content()) for message in threads.list_messages(chat)] == [
        ("msg_twice", "older"),
        ("msg_twice", "newer"),
    ]
    store = Store.open(root)
    found = store.thread(chat).messages.get("msg_twice")
    assert found is not None
    assert [block["text"]["value"] for block in found.content] == ["newer"]
    assert ["msg_twice" in problem.detail for problem in store.check()] == [True]


def test_a_callers_keys_of_the_stores_own_names_are_kept_and_shown(threads: ThreadStore, root: Path, chat: str) -> None:
    names = ("id", "parent_id", "given_id", "type", "leaf_id", "leaf_ids", "message_id", "replaces", "versions", "extra")
    extra: dict[str, object] = {name: f"the caller's {name}" for name in names}
    message = dataclasses.replace(ThreadMessage.new_user(chat, "hi"), extra=extra)
    threads.append_message(chat, message)
    say(threads, chat, "next")
    (found, _) = ThreadStore(root).list_messages(chat)
    assert found == message


def test_messages_are_listed_in_the_logs_order_with_those_of_other_branches(
    threads: ThreadStore, root: Path, chat: str
) -> None:
    first, _ = say(threads, chat, "one", "two")
    Store.open(root).thread(chat).messages.fork(first.id, "assistant", "other two")
    say(threads, chat, "three")
    assert texts(threads, chat) == ["one", "two", "other two", "three"]


@pytest.mark.damaged
def test_bad_lines_and_bad_utf8_are_passed_over_wherever_they_stand(threads: ThreadStore, root: Path, chat: str) -> None:
    say(threads, chat, "one", "two", "three")
    path = onroot.log(root, chat)
    one, two, three = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xff\xfe\n" + one + b"\n{torn\n" + two + b'"text"\n\0\0\n' + three + b'{"id":"0')
    assert texts(threads, chat) == texts(ThreadStore(root), chat) == ["one", "two", "three"]
    assert len(Store.open(root).thread(chat).messages.damage()) >= 4


def test_list_messages_and_append_of_a_missing_thread_raise(threads: ThreadStore, root: Path) -> None:
    with pytest.raises(ThreadNotFoundError):
        threads.list_messages("missing")
    with pytest.raises(ThreadNotFoundError):
        say(threads, "missing", "hi")
    assert list((root / "threads").iterdir()) == []


# create_run, get_run, list_run_ids


def test_create_run_keeps_every_field(threads: ThreadStore, root: Path, chat: str) -> None:
    run = Run(id="r", thread_id=chat, created_at=5, status="in_progress", model="big", last_error=ERROR, extra={"mine": [1]})
    threads.create_run(chat, run)
    assert threads.get_run(chat, "r") == ThreadStore(root).get_run(chat, "r") == run


def test_create_run_refuses_an_id_that_is_taken_and_changes_nothing(
    threads: ThreadStore, root: Path, chat: str, run: str, step: str
) -> None:
    threads.update_run_status(chat, run, RunStatus.COMPLETED)
    before = onroot.snapshot(root)
    with pytest.raises(AlreadyExistsError, match=run):
        threads.create_run(chat, Run(id=run, thread_id=chat))
    assert onroot.snapshot(root) == before


def test_create_run_refuses_a_missing_or_another_thread(threads: ThreadStore, root: Path, chat: str) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(ThreadNotFoundError, match="missing"):
        threads.create_run("missing", Run(id="r", thread_id="missing"))
    with pytest.raises(ValueError, match="another"):
        threads.create_run(chat, Run(id="r", thread_id="another"))
    assert onroot.snapshot(root) == before


def test_runs_of_one_id_in_two_threads_are_two(threads: ThreadStore, chat: str, run: str) -> None:
    threads.create_thread(Thread(id="other"))
    threads.create_run("other", Run(id=run, thread_id="other"))
    threads.update_run_status("other", run, RunStatus.FAILED)
    assert threads.get_run(chat, run).status is RunStatus.QUEUED


def test_run_ids_are_listed_oldest_first_and_in_order_of_creation_on_a_tie(threads: ThreadStore, chat: str) -> None:
    for id, at in (("late", 9), ("b", 5), ("a", 5), ("early", 1)):
        threads.create_run(chat, Run(id=id, thread_id=chat, created_at=at))
    assert threads.list_run_ids(chat) == ["early", "b", "a", "late"]


# update_run_status, force_update_run_status


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("before", [RunStatus.QUEUED, RunStatus.IN_PROGRESS])
def test_a_run_that_has_not_ended_takes_any_status(
    threads: ThreadStore, chat: str, before: RunStatus, status: RunStatus
) -> None:
    threads.create_run(chat, Run(id="r", thread_id=chat, status=before))
    threads.update_run_status(chat, "r", status)
    assert threads.get_run(chat, "r").status is status


@pytest.mark.parametrize("before", TERMINAL)
def test_a_run_that_has_ended_takes_none_not_even_its_own(
    threads: ThreadStore, root: Path, chat: str, before: RunStatus
) -> None:
    threads.create_run(chat, Run(id="r", thread_id=chat, status=before, last_error=ERROR))
    unchanged = onroot.snapshot(root)
    for status in RunStatus:
        with pytest.raises(RunInTerminalStateError, match=f"r is already in terminal state {before}"):
            threads.update_run_status(chat, "r", status)
    assert onroot.snapshot(root) == unchanged


@pytest.mark.parametrize("before", RunStatus)
def test_force_takes_any_run_anywhere(threads: ThreadStore, chat: str, before: RunStatus) -> None:
    threads.create_run(chat, Run(id="r", thread_id=chat, status=before))
    for status in RunStatus:
        threads.force_update_run_status(chat, "r", status)
        assert threads.get_run(chat, "r").status is status


@pytest.mark.parametrize("update", ["update_run_status", "force_update_run_status"])
def test_an_update_sets_the_error_and_one_without_clears_it(threads: ThreadStore, chat: str, run: str, update: str) -> None:
    getattr(threads, update)(chat, run, RunStatus.QUEUED, ERROR)
    assert threads.get_run(chat, run).last_error == ERROR
    getattr(threads, update)(chat, run, RunStatus.QUEUED)
    assert threads.get_run(chat, run).last_error is None


@pytest.mark.parametrize("update", ["update_run_status", "force_update_run_status"])
def test_an_update_of_a_missing_run_or_thread_raises(threads: ThreadStore, root: Path, chat: str, update: str) -> None:
    before = onroot.snapshot(root)
    for thread in (chat, "missing"):
        with pytest.raises(RunNotFoundError, match="nothing"):
            getattr(threads, update)(thread, "nothing", RunStatus.FAILED)
    assert onroot.snapshot(root) == before


def test_an_update_keeps_everything_else_also_keys_that_others_wrote(threads: ThreadStore, chat: str) -> None:
    run = Run(id="r", thread_id=chat, created_at=5, model="big", extra={"mine": 1})
    threads.create_run(chat, run)
    onroot.edit(threads.run_dir(chat, "r") / "status.json", lambda fields: fields.update(theirs={"deep": None}))
    threads.update_run_status(chat, "r", RunStatus.FAILED, ERROR)
    expected = dataclasses.replace(run, status=RunStatus.FAILED, last_error=ERROR, extra={"mine": 1, "theirs": {"deep": None}})
    assert threads.get_run(chat, "r") == expected


@pytest.mark.damaged
def test_an_unknown_status_is_kept_as_text_and_reported(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    onroot.edit(threads.run_dir(chat, run) / "status.json", lambda fields: fields.update(status="dreaming"))
    assert threads.get_run(chat, run).status == "dreaming"
    assert [problem.kind for problem in Store.open(root).check()] == ["unknown-value"]
    threads.update_run_status(chat, run, RunStatus.COMPLETED)
    assert threads.get_run(chat, run).status is RunStatus.COMPLETED


# Paths


def test_paths_lie_below_the_root_and_are_only_arithmetic(threads: ThreadStore, root: Path) -> None:
    before = onroot.snapshot(root)
    assert threads.thread_dir("t") == root / "threads" / "t"
    assert threads.run_dir("t", "r") == root / "threads" / "t" / "runs" / "r"
    assert threads.steps_dir("t", "r") == root / "threads" / "t" / "runs" / "r" / "steps"
    for id in onroot.STRANGE_IDS:
        for path in (threads.thread_dir(id), threads.run_dir("t", id), threads.steps_dir(id, id)):
            assert isinstance(path, Path)
            assert path.resolve().is_relative_to(root.resolve() / "threads")
    assert onroot.snapshot(root) == before


def test_paths_are_where_the_documents_are(threads: ThreadStore, chat: str, run: str, step: str) -> None:
    assert (threads.thread_dir(chat) / "meta.json").is_file()
    assert (threads.run_dir(chat, run) / "status.json").is_file()
    assert [path.name for path in threads.steps_dir(chat, run).iterdir()] == ["step-1.json"]


# append_step, list_steps, get_step, update_step_status


def test_append_step_keeps_every_field(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    step = RunStep(
        id="s",
        run_id=run,
        thread_id=chat,
        step_type=RunStepType.TOOL_CALLS,
        status=RunStepStatus.FAILED,
        created_at=1,
        completed_at=2,
        failed_at=3,
        error="broke",
        step_details={"message_id": "m"},
        extra={"mine": [1]},
    )
    threads.append_step(chat, run, step)
    assert threads.get_step(chat, run, "s") == ThreadStore(root).get_step(chat, run, "s") == step


@pytest.mark.parametrize("status", TERMINAL)
def test_a_run_that_has_ended_takes_steps(threads: ThreadStore, chat: str, run: str, status: RunStatus) -> None:
    threads.update_run_status(chat, run, status)
    threads.append_step(chat, run, RunStep(id="s", run_id=run, thread_id=chat))
    assert [step.id for step in threads.list_steps(chat, run)] == ["s"]


def test_append_step_refuses_an_id_that_is_taken_and_changes_nothing(
    threads: ThreadStore, root: Path, chat: str, run: str, step: str
) -> None:
    before = onroot.snapshot(root)
    with pytest.raises(AlreadyExistsError, match=step):
        threads.append_step(chat, run, RunStep(id=step, run_id=run, thread_id=chat, status="failed"))
    assert onroot.snapshot(root) == before


def test_append_step_refuses_a_missing_run_and_another_runs_step(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    before = onroot.snapshot(root)
    for thread in (chat, "missing"):
        with pytest.raises(RunNotFoundError, match="nothing"):
            threads.append_step(thread, "nothing", RunStep(run_id="nothing", thread_id=thread))
    with pytest.raises(ValueError, match="other-run"):
        threads.append_step(chat, run, RunStep(run_id="other-run", thread_id=chat))
    with pytest.raises(ValueError, match="other-thread"):
        threads.append_step(chat, run, RunStep(run_id=run, thread_id="other-thread"))
    assert onroot.snapshot(root) == before


def test_steps_are_listed_oldest_first_and_in_order_of_creation_on_a_tie(threads: ThreadStore, chat: str, run: str) -> None:
    for id, at in (("late", 9), ("b", 5), ("a", 5), ("early", 1)):
        threads.append_step(chat, run, RunStep(id=id, run_id=run, thread_id=chat, created_at=at))
    threads.update_step_status(chat, run, "b", RunStepStatus.COMPLETED)
    assert [step.id for step in threads.list_steps(chat, run)] == ["early", "b", "a", "late"]


def test_list_steps_of_a_run_without_any_is_empty_and_of_a_missing_run_or_thread_raises(
    threads: ThreadStore, chat: str, run: str
) -> None:
    assert threads.list_steps(chat, run) == []
    for thread in (chat, "missing"):
        with pytest.raises(RunNotFoundError):
            threads.list_steps(thread, "nothing")


@pytest.mark.damaged
def test_list_steps_skips_what_cannot_be_read_and_what_is_no_step(
    threads: ThreadStore, root: Path, chat: str, run: str, step: str
) -> None:
    directory = threads.steps_dir(chat, run)
    (directory / "corrupt.json").write_text("{")
    (directory / "notes.txt").write_text("not a step")
    assert [found.id for found in threads.list_steps(chat, run)] == [step]
    found = [(problem.path, problem.kind) for problem in Store.open(root).check()]
    assert (f"threads/{chat}/runs/{run}/steps/corrupt.json", "corrupt") in found


def test_a_missing_step_run_or_thread_is_a_missing_step(threads: ThreadStore, chat: str, run: str) -> None:
    for thread, of_run in ((chat, run), (chat, "nothing"), ("missing", "nothing")):
        with pytest.raises(RunStepNotFoundError, match="no-step"):
            threads.get_step(thread, of_run, "no-step")
        with pytest.raises(RunStepNotFoundError, match="no-step"):
            threads.update_step_status(thread, of_run, "no-step", RunStepStatus.FAILED)


def test_step_status_sets_the_time_of_what_it_says_and_clears_none(
    threads: ThreadStore, chat: str, run: str, step: str
) -> None:
    before = int(time.time())
    threads.update_step_status(chat, run, step, RunStepStatus.CANCELLED)
    found = threads.get_step(chat, run, step)
    assert (found.status, found.completed_at, found.failed_at) == (RunStepStatus.CANCELLED, None, None)
    threads.update_step_status(chat, run, step, RunStepStatus.FAILED)
    found = threads.get_step(chat, run, step)
    assert (found.status, found.completed_at) == (RunStepStatus.FAILED, None)
    assert found.failed_at is not None
    assert before <= found.failed_at <= time.time()
    threads.update_step_status(chat, run, step, "completed")
    threads.update_step_status(chat, run, step, RunStepStatus.IN_PROGRESS)
    done = threads.get_step(chat, run, step)
    assert (done.status, done.failed_at) == (RunStepStatus.IN_PROGRESS, found.failed_at)
    assert done.completed_at is not None
    assert before <= done.completed_at <= time.time()


def test_step_status_may_set_an_error_and_one_without_keeps_it(threads: ThreadStore, chat: str, run: str, step: str) -> None:
    threads.update_step_status(chat, run, step, RunStepStatus.FAILED, "no such tool")
    assert threads.get_step(chat, run, step).error == "no such tool"
    threads.update_step_status(chat, run, step, RunStepStatus.CANCELLED)
    assert threads.get_step(chat, run, step).error == "no such tool"


def test_step_status_keeps_everything_else_also_keys_that_others_wrote(threads: ThreadStore, chat: str, run: str) -> None:
    step = RunStep(id="s", run_id=run, thread_id=chat, created_at=1, step_details=[1, None], extra={"mine": 1})
    threads.append_step(chat, run, step)
    onroot.edit(threads.steps_dir(chat, run) / "s.json", lambda fields: fields.update(theirs=2))
    threads.update_step_status(chat, run, "s", RunStepStatus.CANCELLED)
    expected = dataclasses.replace(step, status=RunStepStatus.CANCELLED, extra={"mine": 1, "theirs": 2})
    assert threads.get_step(chat, run, "s") == expected


def test_runs_and_steps_have_strange_ids_too(threads: ThreadStore, chat: str) -> None:
    for id in onroot.STRANGE_IDS[:12]:
        threads.create_run(chat, Run(id=id, thread_id=chat))
        threads.append_step(chat, id, RunStep(id=id, run_id=id, thread_id=chat))
    assert sorted(threads.list_run_ids(chat)) == sorted(onroot.STRANGE_IDS[:12])
    assert [threads.list_steps(chat, id)[0].id for id in onroot.STRANGE_IDS[:12]] == list(onroot.STRANGE_IDS[:12])


# Contract 3B, store


def test_3b_01_the_store_creates_its_root(tmp_path: Path) -> None:
    ThreadStore(tmp_path / "new" / "root")
    assert (tmp_path / "new" / "root").is_dir()


def test_3b_02_a_thread_is_created_and_read(threads: ThreadStore) -> None:
    thread = Thread(metadata={"topic": "sky"})
    threads.create_thread(thread)
    assert threads.get_thread(thread.id) == thread


def test_3b_03_a_missing_thread_is_not_found(threads: ThreadStore) -> None:
    with pytest.raises(ThreadNotFoundError, match="thread_missing"):
        threads.get_thread("thread_missing")


def test_3b_04_five_messages_are_listed_in_order(threads: ThreadStore, chat: str) -> None:
    say(threads, chat, "m0", "m1", "m2", "m3", "m4")
    assert texts(threads, chat) == ["m0", "m1", "m2", "m3", "m4"]


def test_3b_05_a_message_for_a_missing_thread_is_refused(threads: ThreadStore, root: Path) -> None:
    with pytest.raises(ThreadNotFoundError, match="thread_missing"):
        say(threads, "thread_missing", "hi")
    assert not (root / "threads" / "thread_missing").exists()


def test_3b_06_a_new_run_is_queued(threads: ThreadStore, chat: str) -> None:
    run = Run(thread_id=chat, model="small")
    threads.create_run(chat, run)
    assert threads.get_run(chat, run.id) == run
    assert run.status is RunStatus.QUEUED


def test_3b_07_a_run_goes_from_queued_over_in_progress_to_completed(threads: ThreadStore, chat: str, run: str) -> None:
    seen = [threads.get_run(chat, run).status]
    for status in (RunStatus.IN_PROGRESS, RunStatus.COMPLETED):
        threads.update_run_status(chat, run, status)
        seen.append(threads.get_run(chat, run).status)
    assert seen == [RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.COMPLETED]


def test_3b_08_an_update_after_the_end_is_refused(threads: ThreadStore, chat: str, run: str) -> None:
    threads.update_run_status(chat, run, RunStatus.COMPLETED)
    with pytest.raises(RunInTerminalStateError) as raised:
        threads.update_run_status(chat, run, RunStatus.FAILED, ERROR)
    assert (raised.value.id, raised.value.status) == (run, "completed")
    assert threads.get_run(chat, run).last_error is None


def test_3b_09_a_missing_run_is_not_found_also_in_a_missing_thread(threads: ThreadStore, chat: str) -> None:
    for thread in (chat, "thread_missing"):
        with pytest.raises(RunNotFoundError, match="run_missing"):
            threads.get_run(thread, "run_missing")


def test_3b_10_all_data_survives_reopening(threads: ThreadStore, root: Path, chat: str, run: str, step: str) -> None:
    say(threads, chat, "one", "two")
    threads.update_run_status(chat, run, RunStatus.FAILED, ERROR)

    def seen(opened: ThreadStore) -> tuple[object, ...]:
        return (
            opened.list_thread_ids(),
            opened.get_thread(chat),
            opened.list_messages(chat),
            opened.get_run(chat, run),
            opened.list_steps(chat, run),
        )

    before = seen(threads)
    with ThreadStore(root) as again:
        assert seen(again) == before


def test_3b_11_a_thread_without_messages_has_none(threads: ThreadStore, chat: str) -> None:
    assert threads.list_messages(chat) == []


def test_3b_12_a_run_is_readable_at_every_moment_of_twenty_rapid_transitions(
    threads: ThreadStore, root: Path, chat: str, run: str
) -> None:
    with reading_status(root, chat, run):
        for number in range(20):
            threads.force_update_run_status(chat, run, list(RunStatus)[number % len(RunStatus)])
            assert threads.get_run(chat, run).status is list(RunStatus)[number % len(RunStatus)]


def test_3b_13_three_steps_are_listed(threads: ThreadStore, chat: str, run: str) -> None:
    steps = [RunStep(run_id=run, thread_id=chat) for _ in range(3)]
    for step in steps:
        threads.append_step(chat, run, step)
    assert threads.list_steps(chat, run) == steps


def test_3b_14_a_step_is_read_with_its_type_and_status(threads: ThreadStore, chat: str, run: str) -> None:
    threads.append_step(chat, run, RunStep(id="s", run_id=run, thread_id=chat, step_type="tool_calls", status="cancelled"))
    found = threads.get_step(chat, run, "s")
    assert (found.step_type, found.status) == (RunStepType.TOOL_CALLS, RunStepStatus.CANCELLED)
    assert isinstance(found.step_type, RunStepType)


def test_3b_15_a_missing_step_is_not_found(threads: ThreadStore, chat: str, run: str) -> None:
    with pytest.raises(RunStepNotFoundError, match="step-missing"):
        threads.get_step(chat, run, "step-missing")


def test_3b_16_a_completed_step_has_the_time_of_its_completion(threads: ThreadStore, chat: str, run: str, step: str) -> None:
    assert threads.get_step(chat, run, step).completed_at is None
    threads.update_step_status(chat, run, step, RunStepStatus.COMPLETED)
    found = threads.get_step(chat, run, step)
    assert found.status is RunStepStatus.COMPLETED
    assert type(found.completed_at) is int


def test_3b_17_force_cancels_and_then_expires_with_an_error(threads: ThreadStore, chat: str, run: str) -> None:
    threads.force_update_run_status(chat, run, RunStatus.CANCELLED)
    assert threads.get_run(chat, run).status is RunStatus.CANCELLED
    threads.force_update_run_status(chat, run, RunStatus.EXPIRED, RunError(code="expired", message="too late"))
    found = threads.get_run(chat, run)
    assert (found.status, found.last_error) == (RunStatus.EXPIRED, RunError(code="expired", message="too late"))


# Contract 3B, types


def test_3b_18_four_statuses_end_a_run() -> None:
    assert {status for status in RunStatus if status.is_terminal} == set(TERMINAL)
    assert {status for status in RunStepStatus if status.is_terminal} == {"completed", "failed", "cancelled"}


def test_3b_19_a_users_message_has_no_run() -> None:
    message = ThreadMessage.new_user("t", "hi")
    assert (message.run_id, message.role, message.thread_id) == (None, MessageRole.USER, "t")
    assert message.content == [{"type": "text", "text": {"value": "hi", "annotations": []}}]
    assert message.text_content() == "hi"


def test_3b_20_an_assistants_message_has_its_run(threads: ThreadStore, chat: str) -> None:
    message = ThreadMessage.new_assistant(chat, "run_7", "hello")
    assert (message.run_id, message.role, message.text_content()) == ("run_7", MessageRole.ASSISTANT, "hello")
    assert threads.append_message(chat, message).run_id == "run_7"
    assert threads.list_messages(chat)[0].run_id == "run_7"


def test_3b_21_a_run_status_is_written_as_its_lower_case_word(threads: ThreadStore, chat: str, run: str) -> None:
    words = ["queued", "in_progress", "completed", "cancelled", "failed", "expired"]
    assert [str(status) for status in RunStatus] == [RunStatus(word).value for word in words] == words
    for status in RunStatus:
        threads.force_update_run_status(chat, run, status)
        assert json.loads((threads.run_dir(chat, run) / "status.json").read_text())["status"] == status.value


def test_3b_22_a_role_is_written_as_its_lower_case_word(threads: ThreadStore, root: Path, chat: str) -> None:
    assert ([str(role) for role in MessageRole], MessageRole("user")) == (["user", "assistant"], MessageRole.USER)
    say(threads, chat, "hi")
    assert onroot.rows(onroot.log(root, chat))[0]["role"] == "user"
    assert threads.list_messages(chat)[0].role is MessageRole.USER


# Contract 3B, routes: what the store does beneath them


def test_3b_23_create_makes_an_id_of_its_form_and_keeps_the_metadata(threads: ThreadStore) -> None:
    thread = Thread(metadata={"user": "u1"})
    threads.create_thread(thread)
    assert re.fullmatch(r"thread_[0-9a-f]{32}", thread.id)
    assert threads.list_thread_ids() == [thread.id]
    assert (threads.get_thread(thread.id).metadata, thread.object) == ({"user": "u1"}, "thread")
    made = (ThreadMessage.new_user("t", "hi").id, Run(thread_id="t").id, RunStep(run_id="r", thread_id="t").id)
    for id, form in zip(made, (r"msg_[0-9a-f]{32}", r"run_[0-9a-f]{32}", r"step-[0-9a-f]{32}"), strict=True):
        assert re.fullmatch(form, id)


def test_3b_24_the_metadata_is_on_disk(threads: ThreadStore, root: Path) -> None:
    threads.create_thread(Thread(id="t", metadata={"user": "u1"}))
    assert json.loads(onroot.meta(root, "t").read_text())["metadata"] == {"user": "u1"}


def test_3b_25_an_appended_message_is_on_disk(threads: ThreadStore, root: Path, chat: str) -> None:
    (message,) = say(threads, chat, "hi")
    (row,) = onroot.rows(onroot.log(root, chat))
    assert (row["given_id"], row["content"]) == (message.id, message.content)


def test_3b_26_five_messages_are_in_order_for_another_server(threads: ThreadStore, root: Path, chat: str) -> None:
    sent = say(threads, chat, "m0", "m1", "m2", "m3", "m4")
    assert ThreadStore(root).list_messages(chat) == sent


def test_3b_27_a_run_reaches_completed(threads: ThreadStore, chat: str, run: str) -> None:
    say(threads, chat, "Hi!")
    work(threads, chat, run)
    assert threads.get_run(chat, run).status is RunStatus.COMPLETED
    assert texts(threads, chat) == ["Hi!", "Hello!"]


def test_3b_28_the_status_is_read_while_another_store_changes_it(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    worker = ThreadStore(root)
    for status in (RunStatus.IN_PROGRESS, RunStatus.COMPLETED):
        worker.update_run_status(chat, run, status)
        assert threads.get_run(chat, run).status is status


def test_3b_29_cancel_ends_as_cancelled(threads: ThreadStore, chat: str, run: str) -> None:
    threads.update_run_status(chat, run, RunStatus.IN_PROGRESS)
    threads.update_run_status(chat, run, RunStatus.CANCELLED)
    assert threads.get_run(chat, run).status is RunStatus.CANCELLED


def test_3b_30_every_call_on_a_missing_thread_is_an_error_of_not_found(threads: ThreadStore) -> None:
    calls = (
        lambda: threads.get_thread("missing"),
        lambda: threads.list_messages("missing"),
        lambda: say(threads, "missing", "hi"),
        lambda: threads.create_run("missing", Run(thread_id="missing")),
    )
    for call in calls:
        with pytest.raises(ThreadNotFoundError) as raised:
            call()
        assert (raised.value.id, isinstance(raised.value, (NotFoundError, LookupError))) == ("missing", True)
        assert str(raised.value) == "thread missing not found"


def test_3b_31_every_call_on_a_missing_run_is_an_error_of_not_found(threads: ThreadStore, chat: str) -> None:
    calls = (
        lambda: threads.get_run(chat, "gone"),
        lambda: threads.update_run_status(chat, "gone", RunStatus.CANCELLED),
        lambda: threads.list_steps(chat, "gone"),
        lambda: threads.append_step(chat, "gone", RunStep(run_id="gone", thread_id=chat)),
    )
    for call in calls:
        with pytest.raises(RunNotFoundError) as raised:
            call()
        assert (raised.value.id, isinstance(raised.value, (NotFoundError, LookupError))) == ("gone", True)


def test_3b_32_a_restart_keeps_metadata_and_messages(root: Path) -> None:
    with ThreadStore(root) as before:
        before.create_thread(Thread(id="t", metadata={"user": "u1"}))
        sent = say(before, "t", "one", "two")
    with ThreadStore(root) as after:
        assert (after.get_thread("t").metadata, after.list_messages("t")) == ({"user": "u1"}, sent)
        say(after, "t", "three")
        assert texts(after, "t") == ["one", "two", "three"]


def test_3b_33_twenty_rapid_messages_are_all_there_in_order_at_every_moment(
    threads: ThreadStore, root: Path, chat: str
) -> None:
    reader = ThreadStore(root)
    for number in range(20):
        say(threads, chat, f"m{number}")
        assert texts(reader, chat) == [f"m{n}" for n in range(number + 1)]


def test_3b_34_the_run_of_a_worker_that_was_killed_can_be_failed_with_an_error(
    threads: ThreadStore, root: Path, chat: str
) -> None:
    dying("work_and_die", root, chat, "run_9")
    assert threads.get_run(chat, "run_9").status is RunStatus.IN_PROGRESS
    dead = RunError(code="worker_dead", message="the worker is gone")
    threads.update_run_status(chat, "run_9", RunStatus.FAILED, dead)
    found = threads.get_run(chat, "run_9")
    assert (found.status, found.last_error) == (RunStatus.FAILED, dead)


# Contract 3B, steps


def test_3b_35_a_completed_run_has_a_step_that_created_a_message(threads: ThreadStore, chat: str, run: str) -> None:
    work(threads, chat, run)
    (step,) = [step for step in threads.list_steps(chat, run) if step.step_type is RunStepType.MESSAGE_CREATION]
    (answer,) = threads.list_messages(chat)
    assert (step.status, step.step_details) == (RunStepStatus.COMPLETED, {"message_id": answer.id})
    assert answer.run_id == run


def test_3b_36_three_steps_are_listed_for_another_server(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    for kind in ("message_creation", "tool_calls", "message_creation"):
        threads.append_step(chat, run, RunStep(run_id=run, thread_id=chat, step_type=kind))
    found = [step.step_type for step in ThreadStore(root).list_steps(chat, run)]
    assert found == [RunStepType.MESSAGE_CREATION, RunStepType.TOOL_CALLS, RunStepType.MESSAGE_CREATION]


def test_3b_37_a_step_is_read_by_its_id(threads: ThreadStore, root: Path, chat: str, run: str, step: str) -> None:
    threads.append_step(chat, run, RunStep(id="step-2", run_id=run, thread_id=chat))
    found = ThreadStore(root).get_step(chat, run, step)
    assert (found.id, found.run_id, found.thread_id, found.object) == (step, run, chat, "thread.run.step")


def test_3b_38_every_call_on_a_missing_step_is_an_error_of_not_found(threads: ThreadStore, chat: str, run: str) -> None:
    for call in (
        lambda: threads.get_step(chat, run, "gone"),
        lambda: threads.update_step_status(chat, run, "gone", RunStepStatus.FAILED),
    ):
        with pytest.raises(RunStepNotFoundError) as raised:
            call()
        assert (raised.value.id, isinstance(raised.value, (NotFoundError, LookupError))) == ("gone", True)


# Contract 3B, worker


def test_3b_39_a_worker_leaves_the_trace_of_its_life_in_order(threads: ThreadStore, chat: str, run: str) -> None:
    versions = []
    say(threads, chat, "Hi!")
    work(threads, chat, run)
    for path in (threads.run_dir(chat, run) / "status.json", *threads.steps_dir(chat, run).iterdir()):
        versions.append(json.loads(path.read_text())["versions"][""])
    (step,) = threads.list_steps(chat, run)
    assert [message.role for message in threads.list_messages(chat)] == ["user", "assistant"]
    assert (step.status, step.completed_at is not None, step.failed_at) == (RunStepStatus.COMPLETED, True, None)
    assert versions[0] > versions[1]  # the run ended after its step


def test_3b_40_a_worker_that_meets_an_error_fails_its_run_by_force(
    threads: ThreadStore, chat: str, run: str, step: str
) -> None:
    threads.update_run_status(chat, run, RunStatus.IN_PROGRESS)
    threads.update_step_status(chat, run, step, RunStepStatus.FAILED, ERROR.message)
    threads.force_update_run_status(chat, run, RunStatus.FAILED, ERROR)
    found = threads.get_run(chat, run)
    assert (found.status, found.last_error) == (RunStatus.FAILED, ERROR)
    assert threads.get_step(chat, run, step).error == ERROR.message


def test_3b_41_a_cancel_that_comes_too_late_is_refused(threads: ThreadStore, root: Path, chat: str, run: str) -> None:
    work(threads, chat, run)
    with pytest.raises(RunInTerminalStateError):
        ThreadStore(root).update_run_status(chat, run, RunStatus.CANCELLED)
    assert threads.get_run(chat, run).status is RunStatus.COMPLETED


def test_3b_42_a_worker_cannot_complete_a_run_that_was_cancelled_meanwhile(
    threads: ThreadStore, root: Path, chat: str, run: str
) -> None:
    threads.update_run_status(chat, run, RunStatus.IN_PROGRESS)
    ThreadStore(root).update_run_status(chat, run, RunStatus.CANCELLED)
    with pytest.raises(RunInTerminalStateError):
        threads.update_run_status(chat, run, RunStatus.COMPLETED)
    assert threads.get_run(chat, run).status is RunStatus.CANCELLED
