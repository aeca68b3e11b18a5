"""Kill real writers at random moments, again and again, and hold the store to what it told them.

    python kill_campaign.py DIRECTORY SEED SECONDS

Prints one JSON object: the figures, and what was broken.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from acknowledged import Claims, Notes, broken_claims, content, state, stuck, torn_lines

from fsstore import ChatMessage, DynamicToolRecord, JobStateRecord, ModelResponse, RecipeSnapshot, RewindEntry, Store
from fsstore.resources.data_session import DataSession

WRITERS = 4
KILLS_PER_ROUND = 12
SHARED = ("shared-0", "shared-1")


class Writer:
    """Random operations, each noted once it has returned; a deletion before it, too."""

    def __init__(self, root: Path, durability: str, notes: Notes, name: str, chance: random.Random) -> None:
        self.store = Store.open(root, durability=durability)
        self.notes = notes
        self.name = name
        self.chance = chance
        self.count = 0
        self.spent_on_models = 0
        self.own: list[str] = []
        self.known: dict[str, list[str]] = {}

        operations = [self.append] * 8 + [self.append_long] * 2 + [self.fork] * 2 + [self.extend] * 2
        operations += [self.create, self.delete, self.run, self.leaf, self.count_by_name, self.change_goal]
        operations += [self.accrue] * 4 + [self.save] * 2 + [self.update_job] * 2 + [self.remove] * 2 + [self.talk] * 2
        operations += [self.answer] * 2 + [self.cost, self.ask, self.compact, self.take_turn, self.passing, self.put_tools]
        self.operations = [*operations, self.speak, self.keep_run]

    def work(self) -> None:
        while True:
            self.once()

    def once(self) -> None:
        """Do one thing."""
        self.chance.choice(self.operations)()

    def token(self) -> str:
        self.count += 1
        return f"{self.name}.{self.count}"

    def thread(self) -> str:
        return self.chance.choice([*SHARED, *self.own])

    def append(self, length: int = 40) -> None:
        thread, token = self.thread(), self.token()
        message = self.store.thread(thread).messages.append("user", content(token, length))
        self.notes.note("append", thread, token)
        self.known.setdefault(thread, []).append(message.id)

    def append_long(self) -> None:
        self.append(200_000)

    def fork(self) -> None:
        thread, token = self.thread(), self.token()
        if self.known.get(thread):
            self.store.thread(thread).messages.fork(self.chance.choice(self.known[thread]), "assistant", content(token))
            self.notes.note("append", thread, token)

    def extend(self) -> None:
        thread, tokens = self.thread(), [self.token() for _ in range(5)]
        self.store.thread(thread).messages.extend({"role": "user", "content": content(token, 3_000)} for token in tokens)
        for token in tokens:
            self.notes.note("append", thread, token)

    def remove(self) -> None:
        thread, token = self.chance.choice(SHARED), self.token()
        message = self.store.thread(thread).messages.append("user", content(token))
        self.notes.note("append", thread, token)
        self.notes.note("removing", thread, token)
        self.store.thread(thread).messages.remove(message.id)
        self.notes.note("removed", thread, token)

    def compact(self) -> None:
        self.store.thread(self.thread()).messages.compact()

    def talk(self) -> None:
        """In a session of its own; the last message but one is taken back."""
        session, token, other = f"session-{self.name}", self.token(), self.token()
        self.store.sessions.append(session, ChatMessage.user(content(token)))
        self.notes.note("append", session, token)
        self.notes.note("removing", session, other)
        self.store.sessions.append(session, ChatMessage.user(content(other)))
        self.store.thread(session).messages.remove_last()
        self.notes.note("removed", session, other)

    def take_turn(self) -> None:
        self.talk()
        self.store.thread(f"session-{self.name}").state.set("running", str(self.count))
        self.counted("turn", f"session-{self.name}")

    def answer(self) -> None:
        session, prompt = self.data(), self.token()
        session.persist_run(prompt, [ModelResponse(model_id="m", text="x" * 500)], None, ["bash"])
        self.notes.note("answered", session.id, prompt)
        session.histories.append(["a"], [ModelResponse(model_id="m", text="y")], prompt)
        session.rewinds.push(RewindEntry(prompt=prompt, history_lengths={"a": 0}))
        session.rewinds.rewind()

    def cost(self) -> None:
        self.count += 1
        session = self.data()
        session.accrue_cost(self.name, 1.0)
        self.spent_on_models += 1
        self.notes.note("count", "cost", session.id, self.name, str(self.spent_on_models))

    def data(self) -> DataSession:
        return self.store.data.session("data", cwd="/", recipe=RecipeSnapshot(name=self.name, version=self.count // 20))

    def ask(self) -> None:
        prompt = self.token()
        self.store.prompts.record(prompt)
        self.notes.note("prompt", prompt)

    def passing(self) -> None:
        """What comes and goes, and leaves nothing to hold the store to but that it goes on."""
        token = self.token()
        self.store.jobs.put(JobStateRecord(id=token))
        self.store.jobs.delete(token)
        self.store.thread(SHARED[0]).checkpoints.save(token, None)
        self.store.thread(SHARED[0]).checkpoints.delete(token)
        self.store.workflows.create("w", id=token).leaves.create("l", leaf_id="l")
        self.store.workflows.delete(token)

    def put_tools(self) -> None:
        self.store.thread(SHARED[0]).tools.replace([DynamicToolRecord(position=0, name=self.token())])

    def create(self) -> None:
        thread = f"of-{self.token()}"
        self.store.threads.create(thread, name=thread)
        self.notes.note("create", thread)
        self.own.append(thread)

    def delete(self) -> None:
        if self.own:
            thread = self.own.pop()
            self.notes.note("deleting", thread)
            self.store.thread(thread).delete()
            self.notes.note("deleted", thread)

    def run(self) -> None:
        thread, id = self.thread(), self.token()
        run = self.store.thread(thread).runs.create(id)
        self.notes.note("run", thread, id, "queued")
        run.update("in_progress")
        self.notes.note("run", thread, id, "in_progress")
        self.notes.note("step", thread, id, run.steps.create().id)
        run.finish()
        self.notes.note("run", thread, id, "completed")

    def accrue(self) -> None:
        thread = self.chance.choice(SHARED)
        self.notes.note("spending", thread)
        self.store.thread(thread).goal.accrue(tokens=1, seconds=self.count)
        self.notes.note("spent", thread)

    def change_goal(self) -> None:
        self.store.thread(self.chance.choice(SHARED)).goal.update(objective=self.token())

    def counted(self, kind: str, place: str) -> None:
        self.notes.note("count", kind, place, self.name, str(self.count))

    def save(self) -> None:
        thread, _ = self.chance.choice(SHARED), self.token()
        self.store.thread(thread).checkpoints.save(self.name, state(self.count))
        self.counted("checkpoint", thread)

    def update_job(self) -> None:
        self.token()
        self.store.jobs.update("shared", **{self.name: self.count})
        self.counted("job", "shared")

    def count_by_name(self) -> None:
        self.token()
        self.store.names.append(f"elsewhere-{self.name}", str(self.count), self.count)
        self.counted("name", f"elsewhere-{self.name}")

    def speak(self) -> None:
        token = self.token()
        self.store.sessions.append("session", ChatMessage.user(content(token)))
        self.notes.note("append", "session", token)

    def keep_run(self) -> None:
        token = self.token()
        self.store.data.session("data", cwd="/").persist_run(token, [ModelResponse(model_id="m", text=token)], None, ())
        self.notes.note("kept", "data", token)

    def leaf(self) -> None:
        token = self.token()
        self.store.workflows["shared"].leaves.create(token, leaf_id="x")
        self.notes.note("leaf", "shared", token)


def prepare(store: Store) -> None:
    """Make what all writers share."""
    for id in SHARED:
        store.threads.create(id).goal.set("to be spent on")
    store.jobs.put(JobStateRecord(id="shared"))
    store.workflows.create("w", id="shared")


class Round:
    """One store, its writers, and their deaths."""

    def __init__(self, place: Path, durability: str, chance: random.Random) -> None:
        self.place = place
        self.root = place / "store"
        self.durability = durability
        self.chance = chance
        self.pids: list[int] = []
        self.born = 0
        place.mkdir()
        with Store.open(self.root) as store:
            prepare(store)

    def notes(self) -> list[Path]:
        return list(self.place.glob("*.notes"))

    def spawn(self) -> None:
        self.born += 1
        name, seed = f"w{self.born}", self.chance.random()
        pid = os.fork()
        if pid:
            self.pids.append(pid)
            return
        notes = Notes(self.place / f"{name}.notes")
        try:
            Writer(self.root, self.durability, notes, name, random.Random(seed)).work()
        except BaseException:
            notes.note("error", traceback.format_exc())
        os._exit(1)

    def kill(self) -> None:
        pid = self.pids.pop(self.chance.randrange(len(self.pids)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            os.kill(pid, number)

    def run(self, figures: Counter[str]) -> list[str]:
        for _ in range(WRITERS):
            self.spawn()
        wrong: list[str] = []
        for _ in range(KILLS_PER_ROUND):
            time.sleep(self.chance.uniform(0.005, 0.06))
            self.kill()
            self.signal(signal.SIGSTOP)  # some hold locks now, which is nothing to a reader
            wrong += broken_claims(self.root, self.notes)
            self.signal(signal.SIGCONT)
            self.spawn()
        while self.pids:
            self.kill()
        wrong += [*broken_claims(self.root, self.notes), *stuck(self.root), *broken_claims(self.root, self.notes)]
        figures.update(rounds=1, kills=self.born, acknowledged=len(Claims(self.notes())), torn=torn_lines(self.root))
        return wrong


def main(place: str, seed: str, seconds: str) -> None:
    chance = random.Random(int(seed))
    figures: Counter[str] = Counter()
    wrong: list[str] = []
    begin = time.monotonic()
    while time.monotonic() - begin < float(seconds) and not wrong:
        durability = ("full", "process")[figures["rounds"] % 2]
        one = Round(Path(place) / f"round-{figures['rounds']}", durability, chance)
        wrong += one.run(figures)
        if not wrong:
            shutil.rmtree(one.place)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begin, 1), "wrong": wrong[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
