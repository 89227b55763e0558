"""Strangers' bytes, a few thousand of them each time; `benchmarks/fuzz.py` tries millions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.sandbox.proxy_request import Target
from tests.fuzz import targets
from tests.fuzz.targets import FRAMES, HELLOS, REQUESTS, TARGETS, Reader, mutated


@pytest.mark.parametrize("reader", TARGETS, ids=lambda reader: reader.name)
def test_honest_inputs_are_read(reader: Reader) -> None:
    said = {reader.check(seed, random.Random(1)) for seed in reader.seeds}  # noqa: S311 - repeatable

    assert not all(one.startswith(("refused", "a violation")) for one in said)


@settings(max_examples=300)
@given(st.sampled_from(TARGETS), st.randoms(use_true_random=False))
def test_inputs_with_something_wrong_break_no_promise(reader: Reader, chance: random.Random) -> None:
    reader.check(mutated(reader.seeds, chance), chance)


@given(st.binary(max_size=300))
def test_any_bytes_break_no_promise(data: bytes) -> None:
    for reader in (FRAMES, REQUESTS, HELLOS):
        reader.check(data, random.Random(1))  # noqa: S311 - repeatable


def test_a_reader_that_lets_in_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "parse", lambda _: Target(host="two words", port=443))

    with pytest.raises(AssertionError, match="a host 'two words'"):
        REQUESTS.check(b"CONNECT two words:443 HTTP/1.1", random.Random(1))  # noqa: S311 - repeatable
