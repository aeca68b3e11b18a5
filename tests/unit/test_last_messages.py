"""The end of a branch, which writers know without reading: remove_last, replace_last, answer."""

from __future__ import annotations

import pytest

from fsstore import Store, ThreadNotFoundError
from fsstore.resources import stamp
from fsstore.resources.messages import Messages
from fsstore.resources.tip import TRAIL, Tip


@pytest.fixture(params=["short", "read from its end"])
def messages(store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Messages:
    if request.param != "short":
        monkeypatch.setattr(stamp, "SMALLEST", 1)
    messages = store.threads.create("t").messages
    messages.extend({"role": ("user", "assistant")[n % 2], "content": f"{n}", "given_id": f"m{n}"} for n in range(3 * TRAIL))
    store.close()
    return messages


def tip(messages: Messages) -> Tip:
    return messages._place.root.held[messages.path].fold  # type: ignore[attr-defined, return-value]


def contents(messages: Messages) -> list[str]:
    with Store.open(messages._place.root.path, read_only=True) as fresh:
        return [message.content for message in fresh.thread("t").messages.branch()]


def test_every_message_can_be_taken_away_one_by_one(messages: Messages):
    for left in reversed(range(3 * TRAIL)):
        assert messages.remove_last()
        if left % 17 == 0:
            assert contents(messages) == [f"{n}" for n in range(left)]
    assert messages.remove_last() is False
    assert messages.append("user", "anew").parent_id is None


def test_what_is_known_of_the_end_does_not_grow_with_what_is_appended(messages: Messages):
    messages.remove_last()
    for number in range(5 * TRAIL):
        messages.append("user", f"more {number}")
        assert len(tip(messages).trail) <= 2 * TRAIL
    messages.remove_last()
    assert contents(messages)[-1] == f"more {5 * TRAIL - 2}"


def test_the_log_is_read_once_for_many_turns_that_are_taken_back(messages: Messages, monkeypatch: pytest.MonkeyPatch):
    messages.remove_last()
    reads = []
    for name in ("newest_of", "branch_of"):
        monkeypatch.setattr(Messages, name, lambda *_, name=name: reads.append(name))
    for number in range(200):
        messages.append("user", f"turn {number}")
        assert messages.replace_last("user", f"turn {number}, better")
        assert messages.answer("user", "assistant", "an answer")
        assert messages.remove_last("assistant")
        assert not messages.remove_last("assistant")
        assert messages.remove_last("user")
    assert reads == []


def test_a_new_message_shows_its_parent_whatever_was_taken_away_before(messages: Messages):
    messages.remove_last()
    assert messages.append("user", "x").parent_id == f"m{3 * TRAIL - 2}"
    messages.replace_last("user", "y")
    messages.remove_last()
    assert messages.append("user", "z").parent_id == f"m{3 * TRAIL - 2}"


@pytest.mark.parametrize("between", ["append", "remove", "checkout", "fork", "clear", "compact"])
@pytest.mark.parametrize("by", ["this handle", "another store"])
def test_what_comes_between_is_heeded(store: Store, messages: Messages, between: str, by: str):
    messages.remove_last()
    other = messages if by == "this handle" else Store.open(store.root).thread("t").messages
    do = {
        "append": lambda: other.append("user", "between"),
        "remove": lambda: other.remove(f"m{3 * TRAIL - 3}"),
        "checkout": lambda: other.checkout("m5"),
        "fork": lambda: other.fork("m5", "user", "forked"),
        "clear": other.clear,
        "compact": other.compact,
    }
    do[between]()
    with Store.open(store.root, read_only=True) as fresh:
        before = [message.content for message in fresh.thread("t").messages.branch()]
    assert messages.remove_last() is bool(before)
    assert contents(messages) == before[:-1]
    assert messages.replace_last("user", "in its place") is (len(before) > 1)
    assert contents(messages) == [*before[:-2], *(["in its place"] if len(before) > 1 else [])]


def test_only_a_message_of_the_role_is_taken_away_or_answered(messages: Messages):
    assert messages.remove_last("user") is False
    assert messages.answer("user", "assistant", "no") is False
    assert messages.answer("assistant", "user", "yes", only_if=lambda: False) is False
    assert messages.answer("assistant", "user", "yes") is True
    assert messages.remove_last("user") is True
    assert contents(messages) == [f"{n}" for n in range(3 * TRAIL)]


def test_a_missing_thread_has_no_last_message(store: Store):
    missing = store.thread("nobody").messages
    assert not missing.remove_last()
    assert not missing.replace_last("user", "x")
    assert not missing.answer("user", "assistant", "x")
    with pytest.raises(ThreadNotFoundError):
        missing.append("user", "x")


def test_a_bad_message_replaces_nothing(messages: Messages):
    before = contents(messages)
    for bad in (float("nan"), {1: 2}, "half \ud800"):
        with pytest.raises(ValueError, match="JSON"):
            messages.replace_last("user", bad)
        with pytest.raises(ValueError, match="JSON"):
            messages.answer("assistant", "user", bad)
    assert contents(messages) == before


def test_the_length_of_the_branch_is_counted_without_an_index_that_stays(store: Store, messages: Messages):
    messages.fork("m5", "user", "forked")
    fresh = Store.open(store.root)
    assert fresh.thread("t").messages.length() == 7
    assert fresh.thread("t").messages.any_on_branch(lambda message: message.content == "forked")
    assert not fresh.thread("t").messages.any_on_branch(lambda message: message.content == "6")
    assert messages.path not in fresh.threads._indexes
    assert store.thread("nobody").messages.length() == 0
