"""Soak one store: processes that do everything to it, one of them killed again and again.

    python soak.py DIRECTORY SEED SECONDS PROCESSES

Prints one JSON object: the figures, and what was broken.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from soak_model import SHARED, Model, Notes, clear_away, replay, wrong_in, wrong_in_own
from soak_worker import LIVE, Worker

from fsstore import Store
from fsstore.resources import finding, index, threads
from fsstore.resources.indexes import Indexes
from fsstore.resources.views import Views

#: Seconds between two deaths, and between two looks at the survivors.
PERIOD, LOOK = 1.0, 0.25


#: Of open files, handles, views and the like in each store: few, so that a survivor soon has as many as it may have.
FEW = 16


def keep_few() -> None:
    Store.open.__func__.__kwdefaults__["max_open_files"] = FEW  # type: ignore[attr-defined]
    Views.__init__.__defaults__ = (FEW, 1 << 28)
    Indexes.__init__.__defaults__ = (FEW, 4_000_000)
    threads._HANDLES = finding._ANSWERS = index._RECENT = FEW


#: What grows for as long as somebody writes: each store that is open keeps a little of each record of these logs.
KNOWN = ("session_index.jsonl", "prompt_history.jsonl", f"threads/{SHARED}/messages.jsonl")


class Soak:
    """The store, its workers, and what those that are not killed take of the system."""

    def __init__(self, place: Path, seed: int, processes: int) -> None:
        self.place, self.root, self.stop = place, place / "store", place / "stop"
        self.chance = random.Random(seed)
        self.pids: dict[int, Path] = {}  # with the notes of each
        self.dead: list[Model] = []
        self.wrong: list[str] = []
        self.born = self.kills = 0
        self.samples: dict[int, list[tuple[int, int, int]]] = {}
        with Store.open(self.root) as store:
            store.threads.create(SHARED).goal.set("to be spent on")
        for _ in range(processes):
            self.spawn()
        self.survivors = list(self.pids)[: processes // 2]

    def spawn(self) -> None:
        self.born += 1
        name, seed = f"w{self.born}", self.chance.randrange(1 << 30)
        path = self.place / f"{name}.notes"
        path.touch()  # it may die before it begins
        pid = os.fork()
        if pid:
            self.pids[pid] = path
            return
        notes = Notes(path)
        try:
            Worker(self.root, name, notes, seed).work(self.stop)
        except BaseException:
            notes.note("error", traceback.format_exc())
        os._exit(0)

    def kill_one(self) -> None:
        pid = self.chance.choice([pid for pid in self.pids if pid not in self.survivors])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        self.bury(replay(self.pids.pop(pid)))
        self.spawn()

    def bury(self, model: Model) -> None:
        """See whether all is there that a dead worker was told, and take it away: the living are to be as many as ever."""
        self.dead.append(model)
        with Store.open(self.root, durability="process", lock_timeout=60) as store:  # it may finish what was left undone
            self.wrong += wrong_in_own(store, model)
            clear_away(store, model)

    def run(self, seconds: float) -> list[str]:
        begin = killed = time.monotonic()
        while time.monotonic() - begin < seconds:
            time.sleep(LOOK)
            self.sample()
            if time.monotonic() - killed > PERIOD:
                killed = time.monotonic()
                self.kill_one()
        self.stop.touch()
        for pid in self.pids:
            os.waitpid(pid, 0)
        models = [*self.dead, *map(replay, self.pids.values())]
        with Store.open(self.root) as store:
            self.wrong += wrong_in(store, models)
            self.wrong += [f"check finds {problem}" for problem in store.check() if problem.kind not in LIVE]
        self.done = sum(model.done for model in models)
        self.doubts = sum(model.doubt is not None for model in models)
        return self.wrong

    def sample(self) -> None:
        """Note of each survivor the open descriptors and the memory (KiB), where the system tells, and the bytes of `KNOWN`."""
        known = sum(path.stat().st_size for name in KNOWN if (path := self.root / name).exists())
        for pid in self.survivors if os.path.isdir("/proc/self/fd") else ():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                memory = int(status.split("VmRSS:")[1].split()[0])
                self.samples.setdefault(pid, []).append((len(os.listdir(f"/proc/{pid}/fd")), memory, known))
            except (OSError, IndexError):
                continue  # it ended by itself, which its notes explain


def main(place: str, seed: str, seconds: str, processes: str) -> None:
    keep_few()
    soak = Soak(Path(place), int(seed), int(processes))
    wrong = soak.run(float(seconds))
    figures = {"processes": int(processes), "kills": soak.kills, "acknowledged": soak.done, "in_doubt": soak.doubts}
    print(json.dumps({**figures, "samples": list(soak.samples.values()), "wrong": wrong[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
