"""One process of the soak: everything that a store can do, to things of its own and to what all share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from soak_model import SHARED, Notes

from fsstore import (
    BranchRun,
    ChatMessage,
    Checkpoint,
    DataStore,
    DataStoreOptions,
    DynamicToolRecord,
    JobStateRecord,
    LeafRun,
    ModelResponse,
    NotFoundError,
    RecipeSnapshot,
    RewindEntry,
    Run,
    RunStep,
    SessionQuery,
    SessionStore,
    StateStore,
    Store,
    Thread,
    ThreadGoalRecord,
    ThreadStore,
)

#: Threads that a worker has at the most.
THREADS = 3
#: What `check` may find where others write and die meanwhile.
LIVE = frozenset(("torn", "leftover-temp", "no-meta", "no-status", "no-run", "stale-cache"))


class Worker:
    def __init__(self, root: Path, name: str, notes: Notes, seed: int) -> None:
        durability = ("process", "full")[seed % 4 == 0]
        self.name, self.notes, self.chance, self.count = name, notes, random.Random(seed), 0
        self.store = Store.open(root, durability=durability, lock_timeout=60)
        self.state = StateStore(self.store)
        self.threads = ThreadStore(root, durability=durability, lock_timeout=60)
        self.sessions = SessionStore(root, durability=durability, lock_timeout=60)
        self.data_id, self.chat = f"{name}.data", f"{name}.chat"
        options = DataStoreOptions(root, self.data_id, cwd=root.parent, durability=durability, lock_timeout=60)
        self.data = DataStore(options)
        self.own: list[str] = []
        self.ids: dict[str, dict[str, str]] = {}  # by thread: the ids of its messages by what they say
        self.values: dict[tuple[str, ...], Any] = {}
        self.said: dict[str, Any] = {"runs": [], "histories": {}, "tools": [], "rewinds": 0}
        self.lengths: list[int] = []
        self.talk: list[str] = []

    def work(self, stop: Path) -> None:
        often = [self.grow, self.share_message, self.share_tokens, self.chat_on, self.keep_run]
        seldom = [
            *(self.make_thread, self.drop_thread, self.move_thread, self.change_meta, self.checkout, self.remove, self.clear),
            *(self.compact, self.save_checkpoint, self.drop_checkpoint, self.set_goal, self.spend, self.drop_goal, self.run),
            *(self.set_tools, self.set_state, self.put_job, self.drop_job, self.workflow, self.drop_workflow, self.push),
            *(self.go_back, self.truncate, self.clear_stack, self.interrupt, self.resume, self.recipe, self.cost, self.prompt),
            *(self.look, self.look, self.check, self.chat_back, self.foreign_name, self.bring_back, self.tidy),
        ]
        while not stop.exists():
            self.chance.choice(often * 3 + seldom)()

    def do(self, key: tuple[str, ...], value: Any, call: Callable[[], Any]) -> Any:
        """Note what will be, do it, and note that it is done."""
        self.notes.note("begin", key, value)
        answer = call()
        self.notes.note("end")
        if key[0] != "add":
            self.values[key] = value
        return answer

    def token(self) -> str:
        self.count += 1
        return f"{self.name}.{self.count}"

    def thread(self) -> str:
        if not self.own:
            self.make_thread()
        return self.chance.choice(self.own)

    def forget(self, id: str) -> None:
        self.own.remove(id)
        self.ids.pop(id)
        self.values = {key: value for key, value in self.values.items() if key[1] != id}

    # Threads

    def make_thread(self) -> None:
        if len(self.own) >= THREADS:
            self.drop_thread()
        id = self.token()
        self.do(("thread", id), True, lambda: self.threads.create_thread(Thread(id=id)))
        self.own.append(id)
        self.ids[id] = {}
        self.do(("meta", id), [id, False], lambda: self.store.threads.update(id, name=id))

    def drop_thread(self) -> None:
        if self.own:
            id = self.own[0]
            self.do(("thread", id), False, lambda: self.state.delete_thread(id))
            self.forget(id)

    def bring_back(self) -> None:
        id = self.thread()
        values = {key: value for key, value in self.values.items() if key[1] == id}
        self.do(("thread", id), False, lambda: self.state.delete_thread(id))
        try:
            self.do(("back", id), True, lambda: self.restore(id))
        except NotFoundError:
            self.forget(id)  # another process emptied the trash meanwhile
            return
        del self.values["back", id]
        self.values |= values

    def restore(self, id: str) -> None:
        found = [entry.id for entry in self.store.trash if (entry.kind, entry.item_id) == ("thread", id)]
        if not found:
            raise NotFoundError(id, "deletion")
        self.store.trash.restore(found[0])

    def tidy(self) -> None:
        self.store.trash.empty()
        self.store.gc()

    def move_thread(self) -> None:
        id, new = self.thread(), self.token()
        self.do(("move", id, new), True, lambda: self.sessions.rename_session(id, new))
        self.values = {(k[0], new, *k[2:]) if k[1] == id else k: v for k, v in self.values.items()}
        self.own[self.own.index(id)] = new
        self.ids[new] = self.ids.pop(id)

    def change_meta(self) -> None:
        id, name = self.thread(), self.token()
        old = self.values[("meta", id)]
        if self.chance.random() < 0.5:
            self.do(("meta", id), [name, old[1]], lambda: self.store.threads.update(id, name=name))
        elif old[1]:
            self.do(("meta", id), [old[0], False], lambda: self.state.mark_unarchived(id))
        else:
            self.do(("meta", id), [old[0], True], lambda: self.state.mark_archived(id))

    # The tree of a thread: what each message says below which other, and the branch

    def tree(self, id: str) -> tuple[dict[str, str | None], list[str]]:
        tree, branch = self.values.get(("tree", id), ({}, []))
        return dict(tree), list(branch)

    def grow(self) -> None:
        id, token = self.thread(), self.token()
        tree, branch = self.tree(id)
        if len(tree) > 20:
            self.clear()
            return
        if tree and self.chance.random() < 0.3:
            above = self.chance.choice(list(tree))
            value = [{**tree, token: above}, [*self.path(tree, above), token]]
            fork = self.state.fork_at_message
            self.ids[id][token] = self.do(("tree", id), value, lambda: fork(self.ids[id][above], "user", token, thread_id=id))
        else:
            value = [{**tree, token: branch[-1] if branch else None}, [*branch, token]]
            self.ids[id][token] = self.do(("tree", id), value, lambda: self.state.append_message(id, "user", token))

    @staticmethod
    def path(tree: dict[str, str | None], one: str | None) -> list[str]:
        found: list[str] = []
        while one is not None:
            found.append(one)
            one = tree[one]
        return found[::-1]

    def checkout(self) -> None:
        id = self.thread()
        tree, _ = self.tree(id)
        if tree:
            one = self.chance.choice(list(tree))
            value = [tree, self.path(tree, one)]
            self.do(("tree", id), value, lambda: self.state.set_current_leaf_id(id, self.ids[id][one]))

    def remove(self) -> None:
        id = self.thread()
        tree, branch = self.tree(id)
        if tree:
            one = self.chance.choice(list(tree))
            above = tree.pop(one)
            tree = {message: above if parent == one else parent for message, parent in tree.items()}
            value = [tree, [message for message in branch if message != one]]
            self.do(("tree", id), value, lambda: self.store.thread(id).messages.remove(self.ids[id][one]))

    def clear(self) -> None:
        id = self.thread()
        self.do(("tree", id), [{}, []], lambda: self.state.clear_messages(id))
        self.ids[id] = {}

    def compact(self) -> None:
        id = self.chance.choice([SHARED, *self.own])
        self.store.thread(id).messages.compact()

    # Documents

    def save_checkpoint(self) -> None:
        id, one = self.thread(), self.chance.choice("ab")
        self.do(("checkpoint", id, one), [self.count], lambda: self.state.save_checkpoint(id, one, self.count))

    def drop_checkpoint(self) -> None:
        id, one = self.thread(), self.chance.choice("ab")
        self.do(("checkpoint", id, one), None, lambda: self.state.delete_checkpoint(id, one))

    def set_goal(self) -> None:
        id, token = self.thread(), self.token()
        goal = ThreadGoalRecord(thread_id=id, goal_id=token, objective=token)
        self.do(("goal", id), [token, 0, 0], lambda: self.state.upsert_thread_goal(goal))

    def spend(self) -> None:
        id = self.thread()
        goal = self.values.get(("goal", id))
        if goal and self.chance.random() < 0.7:
            value = [goal[0], goal[1] + 3, goal[2]]
            self.do(("goal", id), value, lambda: self.state.record_thread_goal_usage(id, 3, 1, 1))
        elif goal:
            value = [goal[0], goal[1], goal[2] + 1]
            self.do(("goal", id), value, lambda: self.state.record_thread_goal_continuation(id, 1))

    def drop_goal(self) -> None:
        id = self.thread()
        self.do(("goal", id), None, lambda: self.state.delete_thread_goal(id))

    def run(self) -> None:
        id, run, step = self.thread(), self.token(), self.token()
        self.do(("run", id, run), ["queued"], lambda: self.threads.create_run(id, Run(id=run, thread_id=id)))
        made = RunStep(id=step, thread_id=id, run_id=run)
        self.do(("step", id, run, step), ["in_progress"], lambda: self.threads.append_step(id, run, made))
        update = self.threads.update_step_status
        self.do(("step", id, run, step), ["failed"], lambda: update(id, run, step, "failed", "x"))
        self.do(("run", id, run), ["completed"], lambda: self.threads.update_run_status(id, run, "completed"))

    def set_tools(self) -> None:
        id, name = self.thread(), self.token()
        tools = [DynamicToolRecord(position=0, name=name)]
        self.do(("tools", id), [name], lambda: self.state.persist_dynamic_tools(id, tools))

    def set_state(self) -> None:
        id, turn = self.thread(), self.token()
        word = self.chance.choice(("running", "idle", "error"))
        self.do(("state", id), [word, turn], lambda: self.sessions.set_session_state(id, word, turn))

    def put_job(self) -> None:
        id, progress = f"{self.name}.j{self.chance.randrange(3)}", self.count % 101
        job = JobStateRecord(id=id, progress=progress)
        self.do(("job", id), [progress], lambda: self.state.upsert_job(job))

    def drop_job(self) -> None:
        id = f"{self.name}.j{self.chance.randrange(3)}"
        self.do(("job", id), None, lambda: self.state.delete_job(id))

    def workflow(self) -> None:
        id, leaf = f"{self.name}.w{self.chance.randrange(2)}", self.token()
        if self.values.get(("workflow", id)) is None:
            self.do(("workflow", id), ["running"], lambda: self.store.workflows.create("w", id=id))
        run = self.store.workflows[id]
        run.branches.put(BranchRun(id="b", workflow_run_id=id, branch_id="b"))
        made = LeafRun(id=leaf, workflow_run_id=id, leaf_id="x", branch_run_id="b")
        self.do(("leaf", id, leaf), [made.status], lambda: run.leaves.put(made))
        self.do(("leaf", id, leaf), ["completed"], lambda: run.leaves.finish(leaf))

    def drop_workflow(self) -> None:
        id = f"{self.name}.w{self.chance.randrange(2)}"
        leaves = [key for key, value in self.values.items() if key[:2] == ("leaf", id) and value is not None]
        if self.values.get(("workflow", id)) and len(leaves) > 5:
            self.do(("thread", id), False, lambda: self.store.workflows.delete(id))
            self.values = {key: value for key, value in self.values.items() if key[1] != id}

    def foreign_name(self) -> None:
        id, name = f"{self.name}.elsewhere", self.token()
        self.do(("name", id), name, lambda: self.state.append_thread_name(id, name, self.count))

    # Sessions

    def chat_on(self) -> None:
        token = self.token()
        self.talk.append(token)
        self.do(("chat", self.chat), self.talk, lambda: self.sessions.append(self.chat, ChatMessage.user(token)))
        if len(self.talk) > 20:
            self.talk = []
            self.do(("chat", self.chat), [], lambda: self.sessions.clear_messages(self.chat))

    def chat_back(self) -> None:
        if self.talk:
            self.talk = self.talk[:-1]
            self.do(("chat", self.chat), self.talk, lambda: self.sessions.remove_last(self.chat))

    def say(self, call: Callable[[], Any], **changes: Any) -> None:
        self.said = {**self.said, **changes}
        self.do(("data", self.data_id), self.said, call)

    def keep_run(self) -> None:
        token, tools = self.token(), [f"tool {self.count % 50}"]  # each set of tools makes a recipe, which stays
        if len(self.said["runs"]) > 20:
            self.do(("thread", self.data_id), False, lambda: self.state.delete_thread(self.data_id))
            self.said, self.lengths = {"runs": [], "histories": {}, "tools": [], "rewinds": 0}, []
            self.values = {key: value for key, value in self.values.items() if key[1] != self.data_id}
        answers = [ModelResponse(model_id="m", text=token)]
        histories = {"p": [*self.said["histories"].get("p", []), token, token]}
        self.say(lambda: self.data.append_histories(["p"], answers, token), histories=histories)
        runs = [*self.said["runs"], token]
        self.say(lambda: self.data.persist_run_state(token, answers, tool_names=tools), runs=runs, tools=tools)
        self.data.update_last_run_note(token)

    def push(self) -> None:
        length = len(self.said["histories"].get("p", []))
        entry = RewindEntry(prompt="p", history_lengths={"p": length})
        self.lengths.append(length)
        self.say(lambda: self.data.push_rewind_entry(entry), rewinds=len(self.lengths))

    def go_back(self) -> None:
        if self.lengths:
            turns = self.said["histories"].get("p", [])[: self.lengths.pop()]
            self.say(self.data.rewind, rewinds=len(self.lengths), histories={"p": turns} if turns else {})

    def truncate(self) -> None:
        turns = self.said["histories"].get("p", [])[:2]
        self.say(lambda: self.data.truncate_histories({"p": 2}), histories={"p": turns} if turns else {})

    def clear_stack(self) -> None:
        self.lengths = []
        self.say(self.data.clear_rewind_stack, rewinds=0)

    def interrupt(self) -> None:
        token = self.token()
        made = Checkpoint.from_json({"prompt": token, "responses": [{"model_id": "m", "interrupted": True}]})
        self.do(("interrupted", self.data_id), [token], lambda: self.data.save_checkpoint(made))

    def resume(self) -> None:
        self.do(("interrupted", self.data_id), None, self.data.clear_checkpoint)

    def recipe(self) -> None:
        name = self.token()
        self.do(("recipe", self.data_id), [name], lambda: self.data.set_session_recipe(RecipeSnapshot(name=name)))

    def cost(self) -> None:
        before = self.values.get(("cost", self.data_id)) or 0
        self.do(("cost", self.data_id), before + 0.5, lambda: self.data.accumulate_cost("m", 0.5))

    # What all share

    def share_message(self) -> None:
        token = self.token()
        self.do(("add", "message", token), 1, lambda: self.state.append_message(SHARED, "user", token))

    def share_tokens(self) -> None:
        self.do(("add", "tokens"), 2, lambda: self.state.record_thread_goal_usage(SHARED, 2, 0, 1))

    def prompt(self) -> None:
        token = self.token()
        self.do(("add", "prompt", token), 1, lambda: self.data.record_prompt(token))

    # Readers

    def look(self) -> None:
        with Store.open(self.store.root, read_only=True) as store:
            asked: list[Callable[[], Any]] = [
                *(store.threads.recent, store.sessions.recent, store.jobs.recent, store.data.statistics),
                *(lambda: store.sessions.search(SessionQuery(keyword=self.name)), store.recipes.all, store.data.damage),
                *(lambda: store.thread(SHARED).messages.branch(5), store.workflows.recent, store.prompts.recent),
                *(store.trash.recent, store.sizes),
            ]
            self.chance.choice(asked)()
        self.sessions.search(SessionQuery(keyword=self.name, limit=3))
        self.state.list_threads()
        self.store.names.path_of(self.name)

    def check(self) -> None:
        with Store.open(self.store.root, read_only=True) as store:
            found = [str(problem) for problem in store.check() if problem.kind not in LIVE]
        if found:
            raise AssertionError(f"check finds, while others write: {found[:3]}")
