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

from soak_model import SHARED, Notes, replay, wrong_in
from soak_worker import LIVE, Worker

from fsstore import Store

#: Seconds between two deaths, and between two looks at the survivors.
PERIOD, LOOK = 1.0, 0.25


#: Of open files in each store: few, so that a survivor soon has as many as it may have.
OPEN_FILES = 16


class Soak:
    """The store, its workers, and what those that are not killed take of the system."""

    def __init__(self, place: Path, seed: int, processes: int) -> None:
        self.place, self.root, self.stop = place, place / "store", place / "stop"
        self.chance = random.Random(seed)
        self.pids: list[int] = []
        self.born = self.kills = 0
        self.samples: dict[int, list[tuple[int, int]]] = {}
        with Store.open(self.root) as store:
            store.threads.create(SHARED).goal.set("to be spent on")
        for _ in range(processes):
            self.spawn()
        self.survivors = self.pids[: processes // 2]

    def spawn(self) -> None:
        self.born += 1
        name, seed = f"w{self.born}", self.chance.randrange(1 << 30)
        pid = os.fork()
        if pid:
            self.pids.append(pid)
            return
        notes = Notes(self.place / f"{name}.notes")
        try:
            Worker(self.root, name, notes, seed).work(self.stop)
        except BaseException:
            notes.note("error", traceback.format_exc())
        os._exit(0)

    def kill_one(self) -> None:
        pid = self.chance.choice([pid for pid in self.pids if pid not in self.survivors])
        self.pids.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        self.spawn()

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
        models = [replay(path) for path in sorted(self.place.glob("*.notes"))]
        with Store.open(self.root) as store:  # it may finish what the dead left undone
            wrong = list(wrong_in(store, models))
            wrong += [f"check finds {problem}" for problem in store.check() if problem.kind not in LIVE]
        self.done = sum(model.done for model in models)
        self.doubts = sum(model.doubt is not None for model in models)
        return wrong

    def sample(self) -> None:
        """Note the open descriptors and the memory (KiB) of each survivor, where the system tells."""
        for pid in self.survivors if os.path.isdir("/proc/self/fd") else ():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                memory = int(status.split("VmRSS:")[1].split()[0])
                self.samples.setdefault(pid, []).append((len(os.listdir(f"/proc/{pid}/fd")), memory))
            except (OSError, IndexError):
                continue  # it ended by itself, which its notes explain


def main(place: str, seed: str, seconds: str, processes: str) -> None:
    Store.open.__func__.__kwdefaults__["max_open_files"] = OPEN_FILES  # type: ignore[attr-defined]
    soak = Soak(Path(place), int(seed), int(processes))
    wrong = soak.run(float(seconds))
    figures = {"processes": int(processes), "kills": soak.kills, "acknowledged": soak.done, "in_doubt": soak.doubts}
    print(json.dumps({**figures, "samples": list(soak.samples.values()), "wrong": wrong[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
