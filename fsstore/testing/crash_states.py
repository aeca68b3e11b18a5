"""What a disk may hold after a crash, from what it held before and the system calls since.

A process that dies leaves what it did: every prefix of its calls, the last write torn (`kills`). A power cut leaves only
what was synced, and any part of the rest in any order (`power_cuts`). The rules are those of POSIX and no file system's
own kindness:

* sync of a file makes its bytes and its size durable, not its name;
* a sync of a file that failed leaves its bytes to chance for ever, and its size until it is written to again: no later sync
  of the same file makes them durable;
* sync of a directory makes the names in it durable, not its own name, and not the bytes of the files;
* a file or directory whose name is not durable is lost, whatever of it was synced;
* of a write that was not synced the size may come without the bytes (they read as NUL), the bytes without the size
  (nothing shows), a page of it without another;
* a rename may show under both names, or under the old one, never under neither (rename(2)); that of a directory, which
  cannot stand in two places, is under the old or the new one until the directory above the new one is synced.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from fsstore.testing.image import Image
from fsstore.testing.trace import Create, FailedSync, Mkdir, Rename, Sync, SyncDirectory, Truncate, Unlink, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import TypeAlias

    from fsstore.testing.trace import Call

PAGE = 4096
#: Up to so many effects every subset is a state; above, a choice of them.
EXHAUSTIVE = 5
#: Writes up to so many bytes are torn at every byte where nothing else is said; longer ones at some.
SHORT = 256


@dataclass(frozen=True, slots=True)
class State:
    """What a disk may hold after a crash.

    Attributes:
        position: How many calls had been made.
        image: What is there.
        what: The same for people: the last call, and what was lost.
    """

    position: int
    image: Image
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Bytes of a file."""

    file: int
    offset: int
    data: bytes

    def apply(self, image: Image) -> None:
        old = image.files[self.file].ljust(self.offset, b"\0")
        image.files[self.file] = old[: self.offset] + self.data + old[self.offset + len(self.data) :]

    def __str__(self) -> str:
        return f"bytes {self.offset}+{len(self.data)} of node {self.file}"


@dataclass(frozen=True, slots=True, eq=False)
class _Size:
    """The size of a file; the bytes beyond it are gone."""

    file: int
    size: int

    def apply(self, image: Image) -> None:
        image.files[self.file] = image.files[self.file][: self.size]
        image.sizes[self.file] = self.size

    def __str__(self) -> str:
        return f"size {self.size} of node {self.file}"


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """A name."""

    directory: int
    name: str
    node: int

    def apply(self, image: Image) -> None:
        image.directories[self.directory][self.name] = self.node

    def __str__(self) -> str:
        return f"entry {self.name} (node {self.node}) in node {self.directory}"


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """The end of a name; where it was by a rename, not without the new one."""

    directory: int
    name: str
    node: int
    new: _Link | None = None

    def apply(self, image: Image) -> None:
        entries = image.directories[self.directory]
        if entries.get(self.name) == self.node:
            del entries[self.name]

    def __str__(self) -> str:
        return f"removal of {self.name} (node {self.node}) from node {self.directory}"


@dataclass(slots=True, eq=False)
class _Move:
    """Another name for a directory."""

    cut: _Cut
    link: _Link

    def is_from(self, effect: _Effect) -> bool:
        """Say whether an effect is the name that went."""
        cut = self.cut
        name = (cut.directory, cut.name, cut.node)
        return isinstance(effect, _Link) and (effect.directory, effect.name, effect.node) == name

    def apply(self, image: Image) -> None:
        self.cut.apply(image)
        self.link.apply(image)

    def __str__(self) -> str:
        return f"move of {self.cut.name} to {self.link.name}"


if TYPE_CHECKING:
    _Effect: TypeAlias = _Data | _Size | _Link | _Cut | _Move


def power_cuts(before: Image, calls: Sequence[Call], *, start: int = 0, short: int = SHORT, seed: int = 0) -> Iterator[State]:
    """Give what the disk may hold when the power is cut between any two of the calls, or during one.

    Args:
        before: What was there, all of it durable.
        calls: What was done since (`Recorder.calls`).
        start: Only cuts after so many calls.
        short: Writes up to so many bytes are torn at every byte, longer ones at some.
        seed: Of the random choice where there are too many subsets.
    """
    disk = _Disk(before)
    chance = random.Random(seed)  # noqa: S311  # a choice of tests, no secret
    for position in range(len(calls) + 1):
        call = disk.make(calls[position - 1]) if position else None
        if position < start:
            continue
        for kept in _subsets(len(disk.pending), chance):
            yield State(position, disk.image(kept), _describe(position, call, disk.lost(kept)))
        if isinstance(call, Write):
            yield from _torn(disk, position, call, short, everything=False)


def kills(before: Image, calls: Sequence[Call], *, start: int = 0, short: int = SHORT) -> Iterator[State]:
    """Give what the disk holds when the process, but not the machine, dies between any two of the calls, or during one.

    Args:
        before: What was there.
        calls: What was done since.
        start: Only deaths after so many calls.
        short: Writes up to so many bytes are torn at every byte, longer ones at some.
    """
    disk = _Disk(before)
    for position in range(len(calls) + 1):
        call = disk.make(calls[position - 1]) if position else None
        if position < start:
            continue
        yield State(position, disk.image(range(len(disk.pending))), _describe(position, call, []))
        if isinstance(call, Write):
            yield from _torn(disk, position, call, short, everything=True)


def after_all(before: Image, calls: Sequence[Call]) -> Image:
    """Give what the disk holds when nothing is lost: what a reader sees now."""
    disk = _Disk(before)
    for call in calls:
        disk.make(call)
    return disk.image(range(len(disk.pending)))


class _Disk:
    """What is durable, and the effects that are not yet, oldest first."""

    def __init__(self, before: Image) -> None:
        self._durable = before.copy()
        self._doubtful: list[_Effect] = []
        self.pending: list[_Effect] = []

    def make(self, call: Call) -> Call:
        if isinstance(call, Create):
            self._durable.files[call.file], self._durable.sizes[call.file] = b"", 0
        elif isinstance(call, Mkdir):
            self._durable.directories[call.child] = {}
        if isinstance(call, Sync):
            self._sync_file(call.file)
        elif isinstance(call, FailedSync):
            self._doubtful += self._of_file(call.file)
        elif isinstance(call, SyncDirectory):
            self._sync_directory(call.directory)
        else:
            self.pending += _effects(call, self._durable)
        return call

    def image(self, kept: Collection[int], instead: Sequence[_Effect] = ()) -> Image:
        """Give what is there when of the pending effects only those of the given numbers came through."""
        image = self._durable.copy()
        for effect in (*self._chosen(kept), *instead):
            effect.apply(image)
        return image

    def lost(self, kept: Collection[int]) -> list[str]:
        chosen = self._chosen(kept)
        return [str(effect) for effect in self.pending if effect not in chosen]

    def _chosen(self, kept: Collection[int]) -> list[_Effect]:
        chosen: list[_Effect] = []
        for number, effect in enumerate(self.pending):
            new = effect.new if isinstance(effect, _Cut) else None
            if number in kept and (new is None or new in chosen or new not in self.pending):
                chosen.append(effect)
        return chosen

    def _of_file(self, file: int) -> list[_Effect]:
        return [effect for effect in self.pending if isinstance(effect, _Data | _Size) and effect.file == file]

    def _sync_file(self, file: int) -> None:
        effects = self._of_file(file)
        believed = [effect for effect in effects if effect not in self._doubtful]
        if any(isinstance(effect, _Size) for effect in believed):  # it says how long the file is, whatever was said before
            believed = [effect for effect in effects if effect in believed or isinstance(effect, _Size)]
        self._commit(believed)

    def _sync_directory(self, directory: int) -> None:
        done: list[_Effect] = []
        for effect in self.pending:
            if isinstance(effect, _Move):
                if effect.link.directory == directory:
                    done += [*filter(effect.is_from, self.pending), effect]
            elif isinstance(effect, _Link | _Cut) and effect.directory == directory:
                done.append(effect)
                if isinstance(effect, _Cut) and effect.new in self.pending:
                    done.append(effect.new)
        self._commit([effect for effect in self.pending if effect in done])

    def _commit(self, effects: list[_Effect]) -> None:
        for effect in effects:
            effect.apply(self._durable)
        self.pending = [effect for effect in self.pending if effect not in effects]


def _effects(call: Call, image: Image) -> list[_Effect]:
    if isinstance(call, Create):
        return [_Link(call.directory, call.name, call.file)]
    if isinstance(call, Mkdir):
        return [_Link(call.directory, call.name, call.child)]
    if isinstance(call, Truncate):
        return [_Size(call.file, call.size)]
    if isinstance(call, Unlink):
        return [_Cut(call.directory, call.name, call.node)]
    if isinstance(call, Rename):
        link = _Link(*call.target, call.node)
        cut = _Cut(*call.source, call.node, link)
        if call.node in image.directories:
            return [_Move(cut, link)]
        return [link, cut]
    if isinstance(call, Write):
        pages = [_Data(call.file, call.offset + start, call.data[start:end]) for start, end in _pages(call)]
        return [*pages] if call.grown is None else [*pages, _Size(call.file, call.grown)]
    return []


def _pages(call: Write) -> list[tuple[int, int]]:
    """Give a write's first page, its last one, and all between: they come to the medium apart from each other."""
    end = len(call.data)
    first = min(end, PAGE - call.offset % PAGE)
    last = max(first, end - (call.offset + end) % PAGE)
    return [(a, b) for a, b in ((0, first), (first, last), (last, end)) if a < b]


def _subsets(count: int, chance: random.Random) -> Iterator[Collection[int]]:
    every = range(count)
    if count <= EXHAUSTIVE:
        for size in range(count + 1):
            yield from itertools.combinations(every, size)
        return
    yield from (every, ())
    for one in every:
        yield [number for number in every if number != one]
        yield (one,)
        yield range(one)  # all up to here
    for _ in range(2 * EXHAUSTIVE):
        yield [number for number in every if chance.random() < 0.5]


def _torn(disk: _Disk, position: int, call: Write, short: int, *, everything: bool) -> Iterator[State]:
    """Give the states in which only the first bytes of the write just made came through."""
    mine = len(_effects(call, Image()))
    others = range(len(disk.pending) - mine)
    for length in _lengths(len(call.data), short):
        part = Write(call.path, call.file, call.offset, call.data[:length], call.grown and call.offset + length)
        effects = _effects(part, Image())
        what = _describe(position, call, [f"all but its first {length} bytes"])
        yield State(position - 1, disk.image(others, effects), what)
        if others and not everything:
            yield State(position - 1, disk.image((), effects), f"{what}, and all else that was not synced")


def _lengths(length: int, short: int) -> Iterator[int]:
    if length <= short:
        yield from range(1, length)
        return
    ends = {1, 2, 7, 43, 94, length // 3, length // 2, length - 2, length - 1}
    ends.update(range(PAGE, length, max(PAGE, length // 4 // PAGE * PAGE)))
    yield from sorted(end for end in ends if 0 < end < length)


def _describe(position: int, call: Call | None, lost: list[str]) -> str:
    last = "before the first call" if call is None else f"after call {position}, {type(call).__name__.lower()} {call.path}"
    return f"{last}; lost: {', '.join(lost) or 'nothing'}"
