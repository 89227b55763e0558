"""Rates as they are written."""

from __future__ import annotations

import pytest

from flowray.errors import InvalidRequestError
from flowray.quotas.rate import rate_of


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
