from __future__ import annotations

import datetime
import enum
import json
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsstore import FormatError, MessageRole, clock, codec

A, B, C = (f"01990000-0000-7000-8000-00000000000{digit}" for digit in "abc")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def message(id: str, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"id": id, "parent_id": None, "role": "user", "content": content, **more}


def spelled(id: str, content: Any = "x", **more: Any) -> bytes:
    return json.dumps(message(id, content, **more), separators=(",", ":"), ensure_ascii=False).encode()


def exactly(value: Any) -> Any:
    """Give a value with the type of every number beside it, so that 1, 1.0, True and 0.0, -0.0 differ."""
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value).__name__, repr(value)


def ids_in(raw: bytes) -> list[str]:
    return [piece.record["id"] for piece in codec.read_line(raw).records]


def kinds_in(raw: bytes) -> list[str]:
    return [kind for kind, _ in codec.read_line(raw).damage]


# Values, both ways


@given(JSON)
def test_what_check_json_lets_pass_comes_back_exactly(value: Any) -> None:
    codec.check_json(value, "content")
    line = codec.encode_line({"id": A, "content": value})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert exactly(codec.decode_object(line)) == exactly({"id": A, "content": value})
    document = codec.encode_document({"content": value})
    assert exactly(codec.decode_object(document)) == exactly({"content": value})


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


Pair = namedtuple("Pair", "a b")
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


INEXACT = [
    *(float("nan"), float("inf"), float("-inf"), 2**64, -(2**63) - 1, 10**400, "\ud800", "a\udfff"),
    *((1, 2), {1, 2}, frozenset(), b"bytes", bytearray(b"x"), 1j, object(), range(3), Point(1), Colour.RED, Number.ONE),
    *(datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), datetime.time(1), uuid.UUID(int=0), Text("x"), Pair(1, 2)),
    *({1: "int key"}, {None: 1}, {True: 1}, {("a",): 1}, {"\ud800": 1}, OrderedDict(a=1), orjson.Fragment(b"1"), codec.ABSENT),
    *(nested(2000), ENDLESS),
]


@pytest.mark.parametrize("value", INEXACT, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"k": [0, {"deep": value}]}])
def test_what_json_cannot_hold_exactly_is_a_value_error(value: Any, wrap: Any) -> None:
    def store() -> None:
        codec.check_json(wrap(value), "the thing")
        codec.encode_line({"id": A, "content": wrap(value)})

    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        store()


@pytest.mark.parametrize("value", INEXACT, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("place", ["alone", "first", "last", "deep", "beside"])
def test_check_json_alone_finds_it_wherever_it_stands(value: Any, place: str) -> None:
    whole = {
        "alone": value,
        "first": [value, *range(100)],
        "last": {"many": list(range(100)), "value": value},
        "deep": {"a": [[{"b": [{"c": value}]}]]},
        "beside": [0.5, 1e300, {"x": -1e300}, value],
    }
    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        codec.check_json(whole[place], "the thing")


@pytest.mark.parametrize(
    "number", [2.0**63, -(2.0**63), 2.0**63 - 1024, 2.0**64, 1e19, -1e19, 1.7976931348623157e308, 5e-324, -0.0, 0.0, 1.0]
)
def test_a_float_of_any_size_is_stored_and_comes_back_as_a_float(number: float) -> None:
    for value in (number, [number], {"n": {"n": [1, number]}}):
        codec.check_json(value, "content")
        assert exactly(codec.decode_object(codec.encode_line({"content": value}))) == exactly({"content": value})


def test_a_broad_value_is_checked_whole() -> None:
    broad: list[Any] = [{"n": number, "f": number / 7, "s": str(number)} for number in range(20_000)]
    codec.check_json(broad, "content")
    broad[-1]["f"] = float("nan")
    with pytest.raises(ValueError, match="nan is no JSON number"):
        codec.check_json(broad, "content")


def test_the_refusal_names_what_was_refused() -> None:
    with pytest.raises(ValueError, match="item cannot be stored as JSON: tuple would come back as another type"):
        codec.check_json([(1,)], "item")


def test_the_deepest_values_that_are_stored_come_back() -> None:
    value = nested(240)
    codec.check_json(value, "content")
    assert codec.decode_object(codec.encode_line({"content": value})) == {"content": value}


@pytest.mark.parametrize(
    "number",
    ["18446744073709551616", "-9223372036854775809", "1" + "0" * 300, "123456789012345678901234567890", "-" + "9" * 40],
)
@pytest.mark.parametrize("frame", ['{"n":%s}', '{"a":[{"n":%s}]}', '{"a":1e300,"b":[[%s]]}'])
def test_integers_over_64_bits_written_elsewhere_are_never_rounded(number: str, frame: str) -> None:
    text = frame % number
    assert exactly(codec.decode_object(text.encode())) == exactly(json.loads(text))


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_of_any_size_written_elsewhere_are_read_exactly(whole: int, broken: float) -> None:
    text = json.dumps({"whole": [whole], "broken": broken, "both": {"a": whole, "b": broken}})
    assert exactly(codec.decode_object(text.encode())) == exactly(json.loads(text))


def test_a_document_is_indented_sorted_and_ends_in_a_newline() -> None:
    assert codec.encode_document({"b": {"d": 1, "c": []}, "a": "é"}).decode() == (
        '{\n  "a": "é",\n  "b": {\n    "c": [],\n    "d": 1\n  }\n}\n'
    )


def test_a_line_keeps_the_order_of_its_keys() -> None:
    assert codec.encode_line({"id": A, "b": 1, "a": 2}) == f'{{"id":"{A}","b":1,"a":2}}\n'.encode()


HOSTILE = st.text(max_size=8) | st.sampled_from(['},{"id":"', '"},{"id":"', '\\"},{"id":"', '}\n{"id":"', "]", "["])
FLAT = st.builds(
    lambda *values: dict(zip(("id", "role", "content"), values, strict=True)), HOSTILE, HOSTILE, HOSTILE | st.none()
)


@given(st.lists(FLAT, min_size=1))
def test_flat_records_encoded_together_are_the_same_bytes(records: list[dict[str, Any]]) -> None:
    assert codec.encode_lines(records, flat=True) == codec.encode_lines(records)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"null", b'"x"', b"{", b"{}x", b"{'a':1}", b'{"a":NaN}', b'{"a":1,}', b"\xff"]
)
def test_what_is_no_object_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.decode_object(data)


def test_absent_is_one_thing_that_says_its_name() -> None:
    assert repr(codec.ABSENT) == "ABSENT"
    assert codec.Absent("absent") is codec.ABSENT


def test_only_a_type_with_an_exclamation_mark_must_be_understood() -> None:
    for kind in (None, "leaf", "later", "x!", 7, ["!"], {}):
        codec.check_type({"id": A, "type": kind})
    with pytest.raises(FormatError, match="'!later' must be understood"):
        codec.check_type({"id": A, "type": "!later"})


def test_a_role_of_an_enum_is_no_plain_text() -> None:
    with pytest.raises(ValueError, match="MessageRole"):
        codec.check_json([MessageRole.USER], "content")


# Lines, whatever is in them


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b" \n", b"\t\r\n"])
def test_a_good_line_holds_one_record_and_no_damage(end: bytes) -> None:
    raw = spelled(A) + end
    line = codec.read_line(raw)
    assert [piece.record for piece in line.records] == [message(A)]
    assert line.damage == []
    assert line.end == len(raw)
    piece = line.records[0]
    assert json.loads(raw[piece.start : piece.end]) == message(A)


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n", b"   \n", b"\t\n"])
def test_a_blank_line_is_neither_record_nor_damage(raw: bytes) -> None:
    line = codec.read_line(raw)
    assert (line.records, line.damage) == ([], [])


DAMAGED = {
    "torn": spelled(A)[:50] + b"\n",
    "torn and sealed": spelled(A)[:50] + codec.SEAL,
    "torn in the last byte": spelled(A)[:-1] + b"\n",
    "nul line": b"\0" * 40 + b"\n",
    "nul inside": spelled(A).replace(b"x", b"\0\0") + b"\n",
    "utf8": spelled(A).replace(b"x", b"\xff\xfe") + b"\n",
    "half a character": spelled(A, "é")[:-3] + b'"}\n',
    "control character": spelled(A).replace(b"x", b"\x01") + b"\n",
    "array": b"[1,2]\n",
    "number": b"17\n",
    "text": b'"text"\n',
    "null": b"null\n",
    "words": b"hello world\n",
    "no id": b'{"role":"user","content":"x"}\n',
    "id of another kind": b'{"id":7,"role":"user","content":"x"}\n',
    "two ids": spelled(A)[:-1] + b',"id":"' + B.encode() + b'"}\n',
    "id later than the year 3000": spelled("ffff0000-0000-7000-8000-000000000000") + b"\n",
    "conflict": b"<<<<<<< HEAD\n",
    "conflict middle": b"=======\n",
    "conflict end": b">>>>>>> other\n",
    "lone surrogate": spelled(A).replace(b"x", b"\\ud800") + b"\n",
    "too large": spelled(A).replace(b'"x"', b"1e999") + b"\n",
    "too many digits": spelled(A).replace(b'"x"', b"9" * 6000) + b"\n",
    "too deep": spelled(A).replace(b'"x"', b"[" * 1000 + b"18446744073709551616" + b"]" * 1000) + b"\n",
    "much too deep": spelled(A).replace(b'"x"', b"[" * 100_000) + b"\n",
    "many openings": b'{"id":' * 2000 + b"\n",
    "many torn records": (spelled(A)[:-1] + b",") * 200 + b"\n",
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_line_is_described_never_raised(raw: bytes) -> None:
    line = codec.read_line(raw)
    assert line.records == []
    ((kind, reason),) = line.damage
    assert kind
    assert reason


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("torn", "torn"), ("torn and sealed", "torn"), ("nul line", "nul"), ("utf8", "utf8"), ("array", "no-object")),
        *(
            ("words", "not-json"),
            ("no id", "bad-id"),
            ("two ids", "bad-id"),
            ("id later than the year 3000", "bad-id"),
            ("conflict", "conflict-marker"),
        ),
        *(("conflict middle", "conflict-marker"), ("conflict end", "conflict-marker"), ("number", "no-object")),
    ],
)
def test_each_damage_has_its_word(name: str, kind: str) -> None:
    assert kinds_in(DAMAGED[name]) == [kind]


BESIDE = {
    "two": (spelled(A) + spelled(B), [A, B]),
    "three": (spelled(A) + spelled(B) + spelled(C), [A, B, C]),
    "a fragment before": (spelled(A)[:60] + spelled(B), [B]),
    "a fragment torn in its text": (spelled(A, "long text")[:-6] + spelled(B), [B]),
    "fragments before and between": (spelled(A)[:60] + spelled(B) + spelled(A)[:20] + spelled(C), [B, C]),
    "a fragment behind": (spelled(A) + spelled(B)[:40], [A]),
    "a sealed fragment behind": (spelled(A) + spelled(B)[:40] + b"~", [A]),
    "nul before": (b"\0\0\0" + spelled(A), [A]),
    "nul behind": (spelled(A) + b"\0\0\0", [A]),
    "nul between": (spelled(A) + b"\0\0\0" + spelled(B), [A, B]),
    "nul behind and sealed": (spelled(A) + b"\0\0\0~", [A]),
    "a blank between": (spelled(A) + b" " + spelled(B), [A, B]),
    "a carriage return between": (spelled(A) + b"\r" + spelled(B), [A, B]),
    "a carriage return behind and sealed": (spelled(A) + b"\r~", [A]),
    "a byte order mark": (b"\xef\xbb\xbf" + spelled(A), [A]),
    "bad bytes before": (b"\xff\xfe" + spelled(A), [A]),
    "bad bytes behind": (spelled(A) + b"\xff\xfe", [A]),
    "words behind": (spelled(A) + b"words", [A]),
    "blanks in the braces": (spelled(A) + b'{ "id" : ' + spelled(B)[6:], [A, B]),
    "nested objects in both": (spelled(A, [{"id": "t1"}]) + spelled(B, [{"id": "t2"}]), [A, B]),
    "text that looks like a record": (spelled(A, '}{"id":"x"}') + spelled(B, '{"id":"' + C + '"}'), [A, B]),
    "large numbers": (spelled(A, 2**70) + spelled(B, [10**30]), [A, B]),
}


@pytest.mark.parametrize(("raw", "ids"), BESIDE.values(), ids=BESIDE.keys())
def test_good_records_beside_damage_are_all_read(raw: bytes, ids: list[str]) -> None:
    line = codec.read_line(raw + b"\n")
    assert [piece.record["id"] for piece in line.records] == ids
    for piece in line.records:
        assert json.loads(raw[piece.start : piece.end]) == piece.record
    assert len(line.damage) == 1


def test_a_nested_record_of_a_sealed_fragment_is_no_record() -> None:
    nested_last = spelled(A, "x", item=message(B))[:-1]
    assert nested_last.endswith(spelled(B))
    assert ids_in(nested_last + codec.SEAL) == []
    assert ids_in(nested_last) == []


@pytest.mark.parametrize("size", range(1, len(spelled(A, "é", item=message(B), more=[message(C)]))))
def test_no_prefix_of_a_record_is_taken_for_a_record(size: int) -> None:
    whole = spelled(A, "é", item=message(B), more=[message(C)])
    for raw in (whole[:size], whole[:size] + codec.SEAL):
        assert ids_in(raw) == []
        assert codec.read_line(raw).end < len(raw)


@settings(max_examples=300)
@given(st.lists(st.sampled_from([spelled(A), spelled(B), spelled(C)[:50], b"\0", b" ", b"\xff", b"~", b"}", b'{"id":', b"{"])))
def test_any_mixture_is_read_without_an_error_and_every_piece_is_what_stands_there(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    for line in (codec.read_line(raw), codec.read_line(raw + b"\n")):
        end = 0
        for piece in line.records:
            assert end <= piece.start < piece.end <= len(raw)
            assert json.loads(raw[piece.start : piece.end]) == piece.record
            assert clock.is_id(piece.record["id"])
            end = piece.end
    assert codec.read_line(raw).end <= len(raw)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_without_an_error(noise: bytes, terminated: bool) -> None:
    for raw in (noise, spelled(A) + noise, noise + spelled(A), spelled(A)[:60] + noise):
        codec.read_line(raw.replace(b"\n", b"") + b"\n" * terminated)


@given(st.binary(max_size=60).map(lambda noise: noise.replace(b"\n", b"")))
def test_a_whole_record_at_the_start_of_a_line_is_never_lost_whatever_follows(noise: bytes) -> None:
    assert ids_in(spelled(A) + noise + b"\n")[:1] == [A]


@given(TEXT, JSON)
def test_a_line_with_one_record_never_looks_glued_unless_it_says_id_again(text: str, value: Any) -> None:
    raw = codec.encode_line(message(A, text, item=value))
    assert codec.may_be_glued(raw) == ('"id"' in raw.decode()[5:])
    assert codec.may_be_glued(spelled(A, text) + spelled(B))
    assert codec.may_be_glued(spelled(A, text)[:-3] + spelled(B))


@pytest.mark.parametrize(
    ("raw", "kind"), [(b"foo\n", "not-json"), (b"nothing\n", "not-json"), (b"-\n", "not-json"), (b"null\n", "no-object")]
)
def test_only_json_is_no_object(raw: bytes, kind: str) -> None:
    assert [found for found, _ in codec.read_line(raw).damage] == [kind]
