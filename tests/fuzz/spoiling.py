"""Damage that knows what a log and a document look like: bytes, lines, records and keys, changed at random."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from fsstore import clock

#: Bytes that stand between lines, or in their place, in stores that somebody or something damaged.
JUNK = (
    *(b"\n", b"\r\n", b" \t\n", b"~\n", b"~", b"\0" * 9, b"\0" * 4096 + b"\n", b"words\n"),
    *(b"{}\n", b"[1,2]\n", b"17\n", b"null\n", b"}\n", b'{"id":"', b'{"id":"01990000-', b'"\\', b"\\u0000"),
    *(b"\xef\xbb\xbf", b"\xff\xfe\n", b"\xc3", b"\xed\xa0\x80", b"\x1a"),
    *(b"<<<<<<< HEAD\n", b"||||||| base\n", b"=======\n", b">>>>>>> theirs\n"),
    *(b"[" * 3000 + b"\n", b'{"a":' * 3000 + b"\n", b'{"id":"01990000-' * 200 + b"\n", b'"' + b"x" * 20_000 + b'"\n'),
)
#: Values where others belong, as JSON text: some are none that this store would write.
ODD = (
    *("null", "true", "false", "0", "-1", "1.5", "1e400", "NaN", "Infinity", "253402300800", "18446744073709551615"),
    *("9" * 30, "-" + "9" * 30, '""', '"x"', '"\\ud800"', '"\\u0000"', '"' + "y" * 2000 + '"', '"\\u00e9"', '"../x"'),
    *("[]", "{}", "[null]", '["x"]', '{"":0}', '{"a":{"":[{}]}}', *("[" * depth + "]" * depth for depth in (300, 990, 5000))),
    *(f'"{clock.FIRST_ID}"', f'"{clock.LAST_ID}"'),
    *('"1d8fda4c-e000-7000-8000-000000000001"', '"ffffffff-ffff-7fff-bfff-ffffffffffff"'),
)
TYPES = (
    *("later", "!later", "!", "leaf", "removed", "clear", "gone", "goal", "cost", "run", "turns"),
    *("deleted", "push", "prompt"),
)


def spoil(data: bytes, chance: Random, *, log: bool) -> bytes:
    """Give a file's bytes with one thing wrong with them, sometimes nothing."""
    ways = [flip, delete, insert, truncate, double, nuls, odd_value, odd_value, without_key, twin_key]
    if log:
        ways += [glue, swap, drop, copy, junk_line, junk_line, carriage_returns, odd_type, odd_twin, shuffle, tear]
    return chance.choice(ways)(data, chance)


def at(data: bytes, chance: Random) -> int:
    return chance.randint(0, len(data))


def flip(data: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(data) or 1)
    return data[:place] + bytes([byte ^ 1 << chance.randrange(8) for byte in data[place : place + 1]]) + data[place + 1 :]


def delete(data: bytes, chance: Random) -> bytes:
    place = at(data, chance)
    return data[:place] + data[place + chance.choice((1, 2, 40, 500)) :]


def insert(data: bytes, chance: Random) -> bytes:
    place = chance.choice((0, at(data, chance), len(data)))
    return data[:place] + chance.choice(JUNK) + data[place:]


def truncate(data: bytes, chance: Random) -> bytes:
    return data[: at(data, chance)]


def double(data: bytes, chance: Random) -> bytes:
    one, two = sorted((at(data, chance), at(data, chance)))
    return data[:two] + data[one:two] + data[two:]


def nuls(data: bytes, chance: Random) -> bytes:
    """Put a hole where a page was lost."""
    place = at(data, chance)
    length = len(data[place : place + chance.choice((1, 60, 4096))])
    return data[:place] + bytes(length) + data[place + length :]


# Lines


def changed_line(data: bytes, chance: Random, change: Any) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        place = chance.randrange(len(lines))
        lines[place] = change(lines[place])
    return b"".join(lines)


def glue(data: bytes, chance: Random) -> bytes:
    keep = chance.choice((None, chance.randint(0, 200), -1))
    return changed_line(data, chance, lambda line: line.rstrip(b"\n")[:keep])


def tear(data: bytes, chance: Random) -> bytes:
    mark = chance.choice((b"\n", b"~\n"))
    return changed_line(data, chance, lambda line: line[: chance.randint(0, 200)].rstrip(b"\n") + mark)


def drop(data: bytes, chance: Random) -> bytes:
    return changed_line(data, chance, lambda _: b"")


def copy(data: bytes, chance: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    return junk_line(data, chance, chance.choice(lines)) if lines else data


def junk_line(data: bytes, chance: Random, junk: bytes | None = None) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(chance.randint(0, len(lines)), chance.choice(JUNK) if junk is None else junk)
    return b"".join(lines)


def swap(data: bytes, chance: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def shuffle(data: bytes, chance: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    chance.shuffle(lines)
    return b"".join(lines)


def carriage_returns(data: bytes, chance: Random) -> bytes:
    return changed_line(data, chance, lambda line: line.replace(b"\n", b"\r\n"))


# Records and keys


def odd_value(data: bytes, chance: Random) -> bytes:
    """Give one key, at any depth, another value, and sometimes one of another key."""

    def change(record: Any) -> Any:
        holder, key = chance.choice(list(places(record)))
        holder[key] = _Raw(chance.choice(ODD))
        return record

    return changed_record(data, chance, change)


def without_key(data: bytes, chance: Random) -> bytes:
    def change(record: Any) -> Any:
        holder, key = chance.choice(list(places(record)))
        del holder[key]
        return record

    return changed_record(data, chance, change)


def twin_key(data: bytes, chance: Random) -> bytes:
    """Have one key of an object twice."""

    def change(line: bytes) -> bytes:
        key = chance.choice((b"id", b"type", b"parent_id", b"content", b"versions", b"state", b"status", b"name"))
        value = chance.choice(ODD).encode()
        end = line.rstrip(b"\n").removesuffix(b"}")
        return end + b',"' + key + b'":' + value + b"}" + line[len(line.rstrip(b"\n")) :]

    return change(data) if data.startswith(b"{\n") else changed_line(data, chance, change)


def odd_type(data: bytes, chance: Random) -> bytes:
    return changed_record(data, chance, lambda record: {**record, "type": chance.choice(TYPES)})


def odd_twin(data: bytes, chance: Random) -> bytes:
    """Add another record of an id, or one of an id beside it, that says something else; a cycle where it names itself."""
    lines = data.splitlines(keepends=True)
    record = decoded(chance.choice(lines)) if lines else None
    if not isinstance(record, dict) or not clock.is_id(record.get("id")):
        return data
    id = chance.choice((record["id"], clock.id_after(record["id"]), clock.LAST_ID))
    other = chance.choice(lines)[7:43].decode("latin-1")
    twin = {"id": id, "parent_id": other, "role": "user", "content": "twin"}
    if chance.random() < 0.4:
        twin = {"id": id, "type": chance.choice(TYPES), "leaf_id": other, "message_id": other, "leaf_ids": [other]}
    return junk_line(data, chance, encoded(twin, line=True))


def changed_record(data: bytes, chance: Random, change: Any) -> bytes:
    """Decode a document, or a line of a log, and give it back changed; what is no object stays."""

    def changed(raw: bytes, line: bool = True) -> bytes:
        record = decoded(raw)
        return encoded(change(record), line=line) if isinstance(record, dict) and record else raw

    return changed(data, line=False) if data.startswith(b"{\n") else changed_line(data, chance, changed)


def places(value: Any) -> Any:
    """Give each object, at any depth, with each of its keys; and each list with each of its places."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


class _Raw(str):
    """JSON text that stands where a value belongs."""


def decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def encoded(record: Any, *, line: bool) -> bytes:
    raws: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, _Raw):
            raws.append(value)
            return f"\x7fraw{len(raws) - 1}\x7f"
        if isinstance(value, dict):
            return {key: marked(one) for key, one in value.items()}
        return [marked(one) for one in value] if isinstance(value, list) else value

    text = json.dumps(marked(record), ensure_ascii=False, separators=(",", ":") if line else None, indent=None if line else 2)
    for number, raw in enumerate(raws):
        text = text.replace(f'"\x7fraw{number}\x7f"', raw)
    return text.encode("utf-8", "surrogatepass") + b"\n"
