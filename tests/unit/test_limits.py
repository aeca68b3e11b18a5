from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import pytest

from fsstore import clock
from fsstore.resources.limits import checked_limit, first, whole


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize("limit", [None, 0, 1, 10**9])
def test_a_limit_of_0_or_more_or_none_is_one(limit: int | None):
    assert checked_limit(limit) is limit


@pytest.mark.parametrize("limit", [-1, -(10**9)])
def test_a_negative_limit_is_refused_by_its_number(limit: int):
    with pytest.raises(ValueError, match=f"0 or more, or None for all, not {limit}"):
        checked_limit(limit)


@pytest.mark.parametrize(("limit", "expected"), [(None, [0, 1, 2]), (0, []), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2])])
def test_the_first_items_are_given_and_none_after_them_is_made(limit: int | None, expected: list[int]):
    made = []

    def items() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    assert first(limit, items()) == expected
    assert made == expected


@pytest.mark.parametrize("value", [0, -5, 2**80, Level.HIGH, clock.Moment(7)])
def test_a_whole_number_of_any_make_is_given_back_as_a_plain_one(value: int):
    assert whole("tokens", value) == value
    assert type(whole("tokens", value)) is int


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [1], 1j])
def test_what_is_no_whole_number_is_refused_by_its_name(value: object):
    with pytest.raises(ValueError, match="tokens must be an integer"):
        whole("tokens", value)
