"""Random operations on one thread by several handles, with damage between them, held against `TreeModel` after each step."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine import GARBAGE, TWINS, StoreMachine, garbage, newlines, pick, play, who
from tree_model import Cleared, Moved, Redacted, Removed, Said, TreeModel

from fsstore import ABSENT, Message, MessageNotFoundError, Store, ThreadNotFoundError, clock
from fsstore.resources import stamp

THREAD = "t"

roles = st.sampled_from(["user", "assistant", "", "tool\n"])
given_ids = st.none() | st.sampled_from(["g1", "g2", "é/\0", 'q"\\'])
SECRETS = ("s3cret-1", "s3cret-2")
NESTED = {"id": "018f0000-0000-7000-8000-0000000000aa", "parent_id": None, "role": "user", "content": "not a message"}
contents = st.one_of(
    st.sampled_from(
        ["", "hi", '"}\n{"id":"', "~", "\0\r\x85\u2028", "é😀", "x" * 5000, [NESTED], {"deep": [NESTED, {"id": 1}]}, None, 7]
    ),
    st.sampled_from(["s3cret-1 and s3cret-2, s3cret-1", {"k": [{"s3cret-2": "s3cret-1"}, 1]}, ["s3cret-2"]]),
    st.text(max_size=20),
)
items = st.sampled_from([ABSENT, ABSENT, None, {"id": "x"}, [NESTED]])
extras = st.sampled_from(
    [
        *({}, {}, {"k": [1, None]}, {"id": "mine", "type": "leaf", "k": 1}, {"extra": {"a": 1}, "parent_id": None}),
        {"message_id": "s3cret-1", "k": ["s3cret-2"]},
    ]
)


def without(value: Any, texts: set[str]) -> tuple[Any, int]:
    """Give a value without some texts, none of which holds another, and in how many places they stood."""
    if isinstance(value, str):
        places = sum(value.count(text) for text in texts)
        for text in texts:
            value = value.replace(text, "[redacted]")
        return value, places
    if isinstance(value, dict):
        pairs, places = without(list(value.items()), texts)
        return dict(pairs), places
    if isinstance(value, (list, tuple)):
        done = [without(one, texts) for one in value]
        return type(value)(one for one, _ in done), sum(places for _, places in done)
    return value, 0


class MessagesMachine(StoreMachine):
    #: Below this length a log gets no stamp and is never read from its end.
    smallest_stamp = stamp.SMALLEST

    def __init__(self) -> None:
        super().__init__()
        self.patches.callback(setattr, stamp, "SMALLEST", stamp.SMALLEST)
        stamp.SMALLEST = self.smallest_stamp
        self.stores[0].threads.create(THREAD)
        self.model = TreeModel()
        self.lines = 0
        self.deleted: list[str] = []

    # What the rules are made of

    @property
    def log(self) -> Path:
        return Path(self.stores[0].thread(THREAD).messages.path)

    def messages(self, who: int) -> Any:
        return self.stores[who].thread(THREAD).messages

    def written(self) -> str:
        """The id of the record written last."""
        self.lines += 1
        return str(json.loads(self.log.read_bytes().splitlines()[-1])["id"])

    def name(self, pick: int) -> str:
        """Some message's record id, or what it answers to; gone ones too."""
        nodes = list(self.model.nodes)
        id = nodes[(pick >> 1) % len(nodes)]
        return str(self.model.shown(id)) if pick & 1 else id

    def said(self, message: Message, **more: Any) -> None:
        """A message was acknowledged: it is what was said, and the model knows it from now on."""
        self.lines += 1
        self.model.add(message.record_id, Said(created_at=message.created_at, **more))
        assert message == self.model.message(message.record_id)
        assert self.model.leaf() == message.record_id

    def wrote(self, **more: Any) -> None:
        """A message was acknowledged of which only its record tells the id and the time."""
        id = self.written()
        self.model.add(id, Said(created_at=json.loads(self.log.read_bytes().splitlines()[-1])["created_at"], **more))
        assert self.model.leaf() == id

    def damage(self, data: bytes, *kinds: str, whole: bool = False) -> None:
        self.spoil(self.log, data, *kinds, whole=whole)

    def or_missing(self, name: str, call: Callable[[str], Any]) -> str | None:
        """Call with the message that a name stands for, and give its id; or see the store refuse."""
        id = self.model.find(name)
        if id is None:
            with pytest.raises(MessageNotFoundError):
                call(name)
        return id

    # Operations

    @rule(who=who, role=roles, content=contents, given=given_ids, item=items, extra=extras, run_id=st.none() | st.just("r"))
    def append(self, who, role, content, given, item, extra, run_id):
        parent = self.model.leaf()
        message = self.messages(who).append(role, content, item=item, given_id=given, run_id=run_id, extra=extra)
        self.said(message, parent=parent, role=role, content=content, given=given, item=item, extra=extra, run_id=run_id)

    @rule(who=who, contents=st.lists(contents, max_size=4))
    def extend(self, who, contents):
        parent = self.model.leaf()
        for message, content in zip(
            self.messages(who).extend([{"role": "user", "content": content} for content in contents]), contents, strict=True
        ):
            self.said(message, parent=parent, role="user", content=content)
            parent = message.record_id

    @rule(content=contents)
    def append_in_a_forked_child(self, content):
        parent = self.model.leaf()
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            os.write(writing, pickle.dumps(self.messages(0).append("user", content)))
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as file:
            message = pickle.load(file)
        assert os.waitpid(pid, 0)[1] == 0
        self.said(message, parent=parent, role="user", content=content)

    @precondition(lambda self: self.model.nodes)
    @rule(who=who, pick=pick, content=contents, given=given_ids)
    def fork(self, who, pick, content, given):
        name = self.name(pick)
        parent = self.or_missing(name, lambda name: self.messages(who).fork(name, "user", content))
        if parent is not None:
            message = self.messages(who).fork(name, "user", content, given_id=given)
            self.said(message, parent=parent, role="user", content=content, given=given)

    @precondition(lambda self: self.model.nodes)
    @rule(who=who, pick=pick, content=contents)
    def replace(self, who, pick, content):
        name = self.name(pick)
        id = self.or_missing(name, lambda name: self.messages(who).replace(name, "user", content))
        if id is not None:
            parent = self.model.parent(id)
            self.said(
                self.messages(who).replace(name, "user", content), parent=parent, role="user", content=content, replaces=id
            )

    @precondition(lambda self: self.model.nodes)
    @rule(who=who, pick=pick)
    def checkout(self, who, pick):
        name = self.name(pick)
        id = self.or_missing(name, lambda name: self.messages(who).checkout(name))
        if id is not None:
            self.messages(who).checkout(name)
            self.model.add(self.written(), Moved(id))

    @rule(who=who)
    def checkout_none(self, who):
        self.messages(who).checkout(None)
        self.model.add(self.written(), Moved(None))

    @precondition(lambda self: self.model.nodes)
    @rule(who=who, pick=pick)
    def remove(self, who, pick):
        name = self.name(pick)
        id = self.model.find(name)
        assert self.messages(who).remove(name) == (id is not None)
        if id is not None:
            self.model.add(self.written(), Removed(id))

    @rule(who=who, role=st.none() | roles)
    def remove_last(self, who, role):
        leaf = self.model.leaf()
        is_last = leaf is not None and role in (None, self.model.nodes[leaf].role)
        assert self.messages(who).remove_last(role) == is_last
        if is_last:
            self.model.add(self.written(), Removed(leaf))

    @rule(who=who, times=st.integers(1, 5))
    def append_and_remove_last(self, who, times):
        for _ in range(times):
            self.append(who, "user", "taken back", None, ABSENT, {}, None)
            self.remove_last(who, None)

    @rule(who=who, role=roles, content=contents, extra=extras)
    def replace_last(self, who, role, content, extra):
        leaf = self.model.leaf()
        assert self.messages(who).replace_last(role, content, extra=extra) == (leaf is not None)
        if leaf is not None:
            self.wrote(parent=self.model.parent(leaf), role=role, content=content, extra=extra, replaces=leaf)

    @rule(who=who, role=roles, content=contents, wanted=st.booleans())
    def answer(self, who, role, content, wanted):
        leaf = self.model.leaf()
        is_last = wanted and leaf is not None and self.model.nodes[leaf].role == role
        assert self.messages(who).answer(role, "assistant", content, only_if=lambda: wanted) == is_last
        if is_last:
            self.wrote(parent=leaf, role="assistant", content=content)

    @precondition(lambda self: self.model.nodes)
    @rule(who=who, pick=pick, values=st.lists(st.sampled_from((*SECRETS, "hi")), min_size=1, max_size=2))
    def redact(self, who, pick, values):
        name = self.name(pick)
        id = self.or_missing(name, lambda name: self.messages(who).redact(name, *values))
        if id is None:
            return
        said = self.model.nodes[id]
        left, places = without((said.content, said.item, said.extra), set(values))
        assert self.messages(who).redact(name, *values) == places
        if places:
            self.model.add(self.written(), Redacted(id, *left))
        assert self.messages(who).redact(name, *values) == 0

    def shows(self, secret: str) -> bool:
        """Whether any message that is not gone still holds a text."""
        nodes = [self.model.nodes[id] for id in self.model.alive]
        return any(without((one.content, one.item, one.extra), {secret})[1] for one in nodes)

    @rule(who=who)
    def compact(self, who):
        self.messages(who).compact()
        again = self.messages(who).compact()
        assert (again.messages, again.redacted, again.duplicates, again.damaged) == (0, 0, 0, 0)
        if self.log.exists():
            kept = self.log.read_bytes().rpartition(b"\n")[0]
            assert [secret for secret in SECRETS if secret.encode() in kept and not self.shows(secret)] == []
            lines = self.log.read_bytes().split(b"\n")[:-1]  # what has no newline yet is left to its writer
            assert [json.loads(line)["id"] for line in lines] == sorted(json.loads(line)["id"] for line in lines)

    @rule(who=who)
    def clear(self, who):
        leaves = self.model.leaves()
        assert self.messages(who).clear() == len(self.model.alive)
        if leaves:
            self.model.add(self.written(), Cleared(tuple(leaves)))

    @rule(who=who, other=who)
    def delete_and_recreate(self, who, other):
        self.deleted += self.model.leaves()
        assert self.stores[who].threads.delete(THREAD)
        for store in self.stores:
            with pytest.raises(ThreadNotFoundError):
                store.thread(THREAD).messages.append("user", "late")
            assert store.thread(THREAD).messages.branch() == []
        assert not self.log.parent.exists()
        self.stores[other].threads.create(THREAD)
        self.model = TreeModel()
        self.lines = 0
        if self.deleted:
            self.model.add(self.written(), Cleared(tuple(self.deleted)))

    # Damage, and what other programs write

    @precondition(lambda self: self.log.exists())
    @rule(data=garbage, newline=newlines)
    def append_garbage(self, data, newline):
        self.damage(data + newline, *GARBAGE)

    @rule(content=contents, cut=st.floats(0, 1), newline=newlines)
    @precondition(lambda self: self.log.exists())
    def append_torn_fragment(self, content, cut, newline):
        line = self.foreign_line(self.new_id(), None, content, usual=True)
        fragment = line[: int(cut * (len(line) - 1))].rstrip(b"}")  # a whole object at its end is read as one glued to it
        self.damage(fragment + newline, *GARBAGE)

    @precondition(lambda self: self.log.exists())
    @rule(pick=pick, newline=newlines)
    def append_line_again(self, pick, newline):
        lines = [line for line in self.log.read_bytes().split(b"\n") if line.endswith(b"}")]
        if lines:
            self.damage(lines[pick % len(lines)] + newline, *TWINS, *GARBAGE, whole=True)

    @precondition(lambda self: self.log.exists())
    @rule(pick=pick)
    def swap_two_lines(self, pick):
        *lines, rest = self.log.read_bytes().split(b"\n")
        if len(lines) > 1:
            at = pick % (len(lines) - 1)
            lines[at : at + 2] = lines[at + 1], lines[at]
            changed = self.log.with_name("changed")
            changed.write_bytes(b"\n".join([*lines, rest]))
            changed.replace(self.log)
            self.allowed |= {"unsorted", "stale-cache"}

    @precondition(lambda self: self.log.exists())
    @rule(pick=pick, content=contents, old=st.booleans(), orphan=st.booleans(), usual=st.booleans(), newline=newlines)
    def append_without_the_lock(self, pick, content, old, orphan, usual, newline):
        id = self.old_id(pick) if old and self.model.records else self.new_id()
        if not clock.is_id(id):
            return
        older = [node for node in self.model.nodes if node < id]
        parent = older[pick % len(older)] if older else None
        if orphan:  # an id just below one of the log's, or below all
            near = clock.stamp_of(parent) - 1 if parent and pick % 3 else 1
            parent = clock.spell_id(near, "8000-000000000000")
        self.damage(self.foreign_line(id, parent, content, usual=usual) + newline, "unsorted", *GARBAGE, whole=True)
        self.allowed |= {"missing-parent"} if orphan else set()
        self.model.add(id, Said(parent=parent, role="user", content=content, created_at=5, extra={"by": "hand"}))

    def new_id(self) -> str:
        newest = max(map(clock.stamp_of, self.model.records), default=clock.stamp_of(clock.new_id()))
        return clock.spell_id(newest + 7, clock.random_suffix())

    def old_id(self, pick: int) -> str:
        ids = list(self.model.records)
        return clock.spell_id(clock.stamp_of(ids[pick % len(ids)]) - 1, clock.random_suffix())

    @staticmethod
    def foreign_line(id: str, parent: str | None, content: Any, *, usual: bool) -> bytes:
        record = {"id": id, "parent_id": parent, "role": "user", "content": content, "created_at": 5, "by": "hand"}
        if usual:
            return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        return json.dumps(record).encode()

    # What must hold after each step

    @invariant()
    def all_is_well(self):
        self.every_handle_gives_what_the_model_says()
        self.check_reports_only_what_was_damaged()
        self.an_undamaged_log_ascends_with_a_line_for_each_record()

    def every_handle_gives_what_the_model_says(self):
        before = self.log.read_bytes() if self.log.exists() else None
        with Store.open(self.root, read_only=True) as fresh:
            leaf = self.model.leaf()
            branch = self.model.messages(self.model.branch(leaf))
            self.newest_of_branch(fresh, branch)
            assert fresh.thread(THREAD).messages.leaf() == (branch[-1] if branch else None)
            for store in (*self.stores, fresh):
                self.everything_agrees(store, branch)
        assert (self.log.read_bytes() if self.log.exists() else None) == before, "readers change nothing"

    def newest_of_branch(self, store: Store, branch: list[Message]) -> None:
        for limit in (0, 1, 2, 5, 1000):
            assert store.thread(THREAD).messages.branch(limit) == branch[len(branch) - min(limit, len(branch)) :]

    def everything_agrees(self, store: Store, branch: list[Message]) -> None:
        messages, model = store.thread(THREAD).messages, self.model
        assert len(messages) == len(model.alive)
        assert self.comparable(messages.children()) == self.comparable(model.children())
        assert messages.branch() == branch
        self.newest_of_branch(store, branch)
        assert messages.leaves() == model.messages(model.leaves())
        assert list(messages) == model.messages(model.alive)
        for id in model.nodes:
            for name in (id, str(model.shown(id))):
                found = model.find(name)
                assert messages.get(name) == (None if found is None else model.message(found))
        for leaf in model.leaves():
            assert messages.branch(leaf=leaf) == model.messages(model.branch(leaf))

    def comparable(self, children: dict[str | None, list[str]]) -> dict[str | None, list[str]]:
        """Where two messages answer to one name, the order in which their children stand together is nobody's business."""
        return {name: sorted(ids) for name, ids in children.items()} if self.given_twice(self.model.alive) else children

    def check_reports_only_what_was_damaged(self):
        problems = list(self.stores[0].check())
        allowed = self.allowed | {"duplicate-given-id"} if self.given_twice(self.model.nodes) else self.allowed
        assert [str(problem) for problem in problems if problem.kind not in allowed] == []
        assert not self.given_twice(self.model.alive) or "duplicate-given-id" in {problem.kind for problem in problems}

    def given_twice(self, ids: Iterable[str]) -> bool:
        given = [self.model.nodes[id].given for id in ids if self.model.nodes[id].given is not None]
        return len(given) > len(set(given))

    def an_undamaged_log_ascends_with_a_line_for_each_record(self):
        if not self.allowed and self.log.exists():
            ids = [json.loads(line)["id"] for line in self.log.read_bytes().splitlines()]
            assert ids == sorted(self.model.records)
            assert len(ids) == self.lines


class FromTheEnd(MessagesMachine):
    """The same with every log stamped, so that short ones are read from their end too."""

    smallest_stamp = 1


@pytest.mark.parametrize("machine", [MessagesMachine, FromTheEnd])
def test_message_tree_is_what_a_plain_model_says(machine, tmp_path: Path, seed: int, campaign: bool):
    play(machine, tmp_path, seed, campaign)
