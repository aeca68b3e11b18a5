"""A coverage-guided fuzzer's target: the bytes of one file of a store, read by all that read it.

    python fuzz_target.py PLACE [libFuzzer's flags]

PLACE gets a store of everything, and a corpus of its files. The first byte of an input says which file it is of.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["fsstore"]):
    import examples
    import whole_store
    from bench import MESSAGES, Bench, outcome, taken_by, twice
    from spoiling import spoil
    from whole_store import DOCUMENTS, LOGS

    from fsstore import FormatError, Store, layout

NAMES = [*DOCUMENTS, *LOGS, MESSAGES]
LONGEST = 1 << 16


class Target:
    def __init__(self, place: Path) -> None:
        self.bench = Bench(place)
        shutil.rmtree(self.bench.root / layout.THREADS / whole_store.LONG)  # much to read each time, and nothing to find
        (self.bench.root / whole_store.STAMP).unlink()
        self.corpus = place / "corpus"
        self.corpus.mkdir()
        for number, name in enumerate(NAMES):
            (self.corpus / str(number)).write_bytes(bytes([number]) + self.bench.data(examples.below(name)))

    def once(self, data: bytes) -> None:
        name, data = NAMES[data[0] % len(NAMES)] if data else NAMES[0], data[1:]
        path = self.bench.root / examples.below(name)
        path.write_bytes(data)
        with Store.open(self.bench.root, read_only=True) as store:
            if name in DOCUMENTS:
                outcome(DOCUMENTS[name].read, store)
            elif name in LOGS:
                outcome(LOGS[name].shows, store)
                self._kept(name, path, data)
            else:
                for ask in (list, len, lambda m: m.branch(), lambda m: m.branch(2), lambda m: m.leaves(), lambda m: m.damage()):
                    outcome(lambda s, ask=ask: ask(whole_store.thread(s).messages), store)
            # What the session index lost is told at the thread whose name it was.
            elsewhere = [problem for problem in store.check() if problem.path != examples.below(name)]
            assert {problem.kind for problem in elsewhere} <= {"index-differs"}, elsewhere
        path.write_bytes(self.bench.data(examples.below(name)))

    def _kept(self, name: str, path: Path, data: bytes) -> None:
        try:
            taken = taken_by(LOGS[name].view, path)
        except FormatError:
            return
        for id, record in self.bench.intact(name, data).items():
            assert taken.get(id) == record or (id in taken and twice(data, id)), f"lost: {record}"

    @staticmethod
    def mutate(data: bytes, limit: int, seed: int) -> bytes:
        """Change what the fuzzer would not think of as often as what it would."""
        chance = Random(seed)
        if not data or chance.random() < 0.5:
            return atheris.Mutate(data, limit)
        log = data[0] % len(NAMES) >= len(DOCUMENTS)
        return (data[:1] + spoil(data[1:], chance, log=log))[:limit]


def main(place: str, *flags: str) -> None:
    target = Target(Path(place))
    arguments = [sys.argv[0], str(target.corpus), f"-max_len={LONGEST}", "-timeout=30", *flags]
    atheris.Setup(arguments, target.once, custom_mutator=target.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
