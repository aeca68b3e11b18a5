"""Sessions: what each turn costs in a short session and in a long one, listing them, and looking for a word in all of them."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from functools import partial
from statistics import median

from benchmarks import sample
from benchmarks.measure import Row, at_most, check, for_information, fresh, interleave, middle, ratio
from benchmarks.ours import Ours
from benchmarks.sqlite import Sqlite
from fsstore import ChatMessage, SessionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.place import Place

#: Turns of a round.
_TURNS = 200
_NEWEST = 50
#: A word that no sample has, and how many sessions get it.
_WORD, _HOLDERS = "zygomorphic", 3
#: A word that every sample has.
_COMMON = "parser"


def turns(place: Place) -> list[Row]:
    """A turn of a session, short and long."""
    short, long = 1_000, 20_000 if place.quick else 200_000
    rounds = 7 if place.quick else 21
    stores = [_talk(place, count) for count in (short, long)]
    rows = []
    # The newest ones first: what is taken away stays in the log, and whoever reads its end passes over it.
    for what, step in (("newest 50", _newest), ("append and remove_last", _append_and_remove), ("update_last", _update)):
        brief, lengthy = interleave(rounds, *(partial(step, store) for store in stores))
        reach = at_most(1.5, ratio(lengthy, brief))
        rows.append(Row("session", f"{what}, of {long:,} / of {short:,}", middle(lengthy), middle(brief), *reach))
    for store, count in zip(stores, (short, long), strict=True):
        check("the length of the session", store.get_session_metadata("s").message_count, count)  # type: ignore[union-attr]
        store.__exit__(None, None, None)
    return rows


def _talk(place: Place, count: int) -> SessionStore:
    root = str(place.new() / "store")
    ours = Ours(root, thread="s")
    ours.create()
    for batch in sample.batches(0, count):
        ours.extend(ours.prepare(batch))
    ours.close()
    return SessionStore(root, durability="process")


def _append_and_remove(store: SessionStore) -> float:
    message = ChatMessage(*sample.message(7))
    start = time.perf_counter()
    for _ in range(_TURNS):
        store.append("s", message)
        store.remove_last("s")
    return (time.perf_counter() - start) / _TURNS


def _update(store: SessionStore) -> float:
    messages = [ChatMessage(*sample.message(number)) for number in range(_TURNS)]
    start = time.perf_counter()
    for message in messages:
        store.update_last("s", message)
    return (time.perf_counter() - start) / _TURNS


def _newest(store: SessionStore) -> float:
    """Read the newest messages as a process does that has read nothing yet."""
    with Ours(store._store.root, thread="s") as again:
        start = time.perf_counter()
        found = again.branch(_NEWEST)
        seconds = time.perf_counter() - start
    check("the newest messages", len(found), _NEWEST)
    return seconds


def listing(place: Place) -> list[Row]:
    """Listing all sessions with their metadata."""
    count, rounds = _count(place), 3 if place.quick else 7
    paths = place.threads(count)
    side = [partial(_listed, kind, path, count) for kind, path in zip(("ours", "sqlite"), paths, strict=True)]
    interleave(1, *side)
    mine, theirs = interleave(rounds, *side)
    each = f"{median(mine) / count * 1e6:.0f} µs"
    row = Row("sessions", f"SQLite / metadata of {count:,} (one: {each})", middle(mine), middle(theirs), "", "", None)
    value, reach, met = for_information(ratio(theirs, mine))
    return [replace(row, value=value, reach=reach, met=met)]


def _listed(kind: str, path: str, count: int) -> float:
    found = fresh("find", kind, path, "listed", "")
    total, messages = found["answer"]
    check("how many sessions are listed", total, count + 1)  # a side begins with one of its own
    check("the messages counted", messages >= count * sample.PER_THREAD, True)
    return float(found["seconds"])


def search(place: Place) -> list[Row]:
    """Looking for a word in all sessions."""
    count, rounds = _count(place), 5 if place.quick else 11
    store, database = place.threads(count)
    holders = sorted(_plant(store, database, count))
    legs = [
        partial(_asked, partial(fresh, "find", "ours", store, "holding", _WORD), holders),
        partial(_asked, partial(_grep, store, _WORD, "-rlF"), holders),
        partial(_asked, partial(_grep, store, _WORD, "-rliF"), holders),
        partial(_asked, partial(fresh, "find", "sqlite", database, "holding", _WORD), holders),
        partial(_asked, partial(fresh, "find", "sqlite", database, "indexed", _WORD), holders),
    ]
    interleave(1, *legs)  # warm: files in memory
    mine, grep, caseless, like, indexed = interleave(rounds, *legs)
    reach = at_most(2, ratio(mine, grep))
    megabytes = sum(entry.stat().st_size for entry in _logs(store)) / 1e6
    what = f"a rare word in {count:,} sessions, {megabytes:.0f} MB / LC_ALL=C grep -rlF"
    rare = Row("search", what, middle(mine), middle(grep), *reach)
    first = [float(fresh("find", "ours", store, "first_holding", _COMMON)["seconds"]) for _ in range(rounds)]
    return [
        replace(rare, met=None) if place.quick else rare,
        Row(
            "search",
            "a rare word / LC_ALL=C grep -rliF",
            middle(mine),
            middle(caseless),
            *for_information(ratio(mine, caseless)),
        ),
        Row("search", "SQLite LIKE / a rare word", middle(mine), middle(like), *for_information(ratio(like, mine))),
        Row("search", "SQLite FTS5 / a rare word", middle(mine), middle(indexed), *for_information(ratio(indexed, mine))),
        Row("search", "the 50 last used of all that hold a word", middle(first), "", "", "", None),
    ]


def _asked(ask: Callable[[], dict[str, object]], answer: list[str]) -> float:
    found = ask()
    check("who holds the word", found["answer"], answer)
    return float(found["seconds"])  # type: ignore[arg-type]


def _grep(store: str, word: str, options: str) -> dict[str, object]:
    command = ["grep", options, "--include=messages.jsonl", word, f"{store}/threads"]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env={**os.environ, "LC_ALL": "C"}, text=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "answer": sorted(line.split("/")[-2] for line in done.stdout.splitlines())}


def _plant(store: str, database: str, count: int) -> list[str]:
    """Have a few sessions say the word, once, on both sides."""
    holders = [f"thread-{count * at // _HOLDERS}" for at in range(_HOLDERS)]
    for side in (Ours(store), Sqlite(database)):
        if not side.holding(_WORD):
            for holder in holders:
                side.say(holder, ("user", f"A {_WORD} flower"))
        side.close()
    return holders


def _logs(store: str) -> list[os.DirEntry[str]]:
    threads = [entry.path for entry in os.scandir(f"{store}/threads")]
    return [entry for thread in threads for entry in os.scandir(thread) if entry.name == "messages.jsonl"]


def _count(place: Place) -> int:
    return 500 if place.quick else 10_000
