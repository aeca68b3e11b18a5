from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsstore import clock

YEAR_3000 = 32_503_680_000
STAMPS = st.integers(min_value=0, max_value=clock.stamp_of(clock.LAST_ID) - 1)
BITS = st.integers(min_value=1 << 63, max_value=(1 << 63) + (1 << 62) - 1)


def test_an_id_is_a_uuid_of_version_7_that_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    id = clock.new_id()
    after = time.time_ns() // 1_000_000
    parsed = uuid.UUID(id)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, id)
    assert before <= parsed.int >> 80 <= after
    assert clock.is_id(id)
    assert len(id) == clock.ID_LENGTH


@given(STAMPS, BITS)
def test_spelling_and_reading_an_id_are_inverse(stamp: int, bits: int) -> None:
    id = clock.spell_id(stamp, clock.suffix_of(bits))
    assert clock.is_id(id)
    assert clock.stamp_of(id) == stamp
    assert clock.seconds_of(id) == (stamp >> 12) // 1000
    assert uuid.UUID(id).int & ((1 << 64) - 1) == bits


@given(STAMPS, STAMPS, BITS, BITS)
def test_ids_order_as_their_times_do_as_text_and_as_bytes(one: int, other: int, bits: int, more: int) -> None:
    first, second = clock.spell_id(one, clock.suffix_of(bits)), clock.spell_id(other, clock.suffix_of(more))
    if one != other:
        assert (first < second) == (one < other)
        assert (first.encode() < second.encode()) == (one < other)


@given(STAMPS, st.integers(1, 5000))
def test_the_next_ids_always_ascend_even_when_the_clock_stands_or_goes_back(last: int, count: int) -> None:
    if last + count >= clock.stamp_of(clock.LAST_ID):
        return
    stamp, ids = clock.next_ids(last, clock.random_suffix(), count)
    stamps = [clock.stamp_of(id) for id in ids]
    assert stamps == list(range(stamps[0], stamps[0] + count))
    assert (stamps[0] > last, stamps[-1]) == (True, stamp)
    assert ids == sorted(ids)
    assert all(map(clock.is_id, ids))


@given(STAMPS, BITS)
def test_the_id_just_after_another_lies_before_every_later_one(stamp: int, bits: int) -> None:
    id = clock.spell_id(stamp, clock.suffix_of(bits))
    after = clock.id_after(id)
    assert id < after < clock.spell_id(stamp + 1, clock.suffix_of(1 << 63))


def test_ids_ascend_while_the_clock_stands_still_and_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5_000_000_000] * 5000 + [1_000_000_000] * 5000 + [6_000_000_000] * 10)
    monkeypatch.setattr(clock.time, "time_ns", lambda: next(times))
    id, seen = clock.FIRST_ID, []
    for _ in range(10_010):
        id = clock.new_id(id)
        seen.append(id)
    assert seen == sorted(set(seen))
    assert all(map(clock.is_id, seen))
    assert clock.seconds_of(seen[-1]) == 6


def test_no_id_is_made_past_the_year_3000(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OverflowError, match="year 3000"):
        clock.next_ids(clock.stamp_of(clock.LAST_ID), clock.random_suffix(), 1)
    monkeypatch.setattr(clock.time, "time_ns", lambda: YEAR_3000 * 1_000_000_000)
    with pytest.raises(OverflowError, match="set the clock right"):
        clock.new_id()


def test_the_last_id_is_the_year_3000() -> None:
    assert clock.seconds_of(clock.LAST_ID) == YEAR_3000
    assert time.gmtime(YEAR_3000)[:3] == (3000, 1, 1)
    assert clock.is_id(clock.FIRST_ID)
    assert clock.is_id(clock.LAST_ID)
    assert not clock.is_id(clock.LAST_ID[:-1] + "1")


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, b"0199", "", "0199", ["01990000-0000-7000-8000-000000000000"]),
        *("01990000-0000-7000-8000-00000000000", "01990000-0000-7000-8000-0000000000000"),
        *("01990000-0000-7000-8000-00000000000A", "01990000-0000-7000-8000-000000000000\n"),
        *(" 1990000-0000-7000-8000-000000000000", "01990000_0000-7000-8000-000000000000"),
        *("01990000-0000-4000-8000-000000000000", "01990000-0000-7000-c000-000000000000"),
        *("01990000-0000-7000-7000-000000000000", "0199000000007000800000000000000000000"),
        *("ffff0000-0000-7000-8000-000000000000", "\u06601990000-0000-7000-8000-00000000000"),
    ],
)
def test_what_is_no_id_is_told(value: object) -> None:
    assert not clock.is_id(value)


def test_suffixes_of_two_writers_differ() -> None:
    drawn = {clock.random_suffix() for _ in range(2000)}
    assert len(drawn) == 2000
    assert all(clock.is_id(clock.spell_id(0, suffix)) for suffix in drawn)


def test_a_time_nobody_gave_is_now_and_knows_it() -> None:
    before = int(time.time())
    moment = clock.default_now()
    assert isinstance(moment, clock.Moment)
    assert before <= moment <= clock.now() <= int(time.time())
    assert not isinstance(clock.now(), clock.Moment)
