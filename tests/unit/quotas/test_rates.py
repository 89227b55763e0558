"""Rates as they are written."""

from __future__ import annotations

import pytest

from flowray.errors import InvalidRequestError
from flowray.quotas.rate import Bucket, Rate, rate_of


@pytest.mark.parametrize(
    "text", ["100/s", "600/min", "10/min+50", "0.5/s", "1/h", "2.5/min+1", "1000000/h", "0.0001/h+1000000"]
)
def test_a_rate_is_shown_as_it_is_settled(text: str) -> None:
    rate = rate_of(text)
    assert rate_of(rate.text) == rate


@pytest.mark.parametrize(
    "text",
    ["9" * 400 + "/s", "1/s+" + "9" * 5000, "0." + "0" * 309 + "1/h", "0.00001/s", "1000001/s", "1/s+1000001", "1/s+0"],
)
def test_numbers_that_are_too_large_or_too_small_are_no_rate(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no rate") as caught:
        rate_of(text)

    assert len(caught.value.message) < 250


def test_what_may_come_at_once_is_shown_only_where_it_is_another_number() -> None:
    assert [rate_of(text).text for text in ("100/s+100", "10/min+50", "0.5/s+1")] == ["100/s", "10/min+50", "0.5/s"]


def let_through(rate: Rate, now: float) -> list[int]:
    """How many are left after each that a full bucket lets through at one moment."""
    bucket, left = Bucket(), list[int]()
    while len(left) <= rate.burst:
        bucket, taken = bucket.take(rate, now)
        if not taken.allowed:
            break
        left.append(taken.left)
    return left


@pytest.mark.parametrize("unit", ["s", "min"])
def test_at_one_moment_of_today_exactly_the_burst_is_let_through(unit: str) -> None:
    for amount in (*range(1, 100), *range(100, 1_001, 9)):
        assert let_through(rate_of(f"{amount}/{unit}"), 1_791_234_567.891234) == [*reversed(range(amount))]


def test_a_slow_rate_lets_nothing_through_before_its_time() -> None:
    bucket, now = Bucket(), 1_791_234_567.891234
    bucket, _ = bucket.take(rate_of("1/h"), now)

    assert [bucket.take(rate_of("1/h"), now + later)[1].allowed for later in (3599.9, 3600.0)] == [False, True]
