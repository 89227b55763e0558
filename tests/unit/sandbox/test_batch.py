"""Lists of calls: made by machine code, and by Python where that does not fit."""

from __future__ import annotations

import os

import pytest

from flowray_sandbox import syscalls
from flowray_sandbox.batch import Batch, Place, buffer


@pytest.fixture(params=[syscalls.MACHINE, "another machine"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "MACHINE", request.param)


@pytest.mark.usefixtures("machine")
def test_calls_are_made_in_their_order_and_use_each_others_results() -> None:
    reader, writer = os.pipe()
    copied = Place(buffer(4))
    batch = Batch()
    batch.add("write", writer, buffer(b"first"), 5)
    batch.add("dup", writer, store=copied)
    batch.add("write", copied, buffer(b"later"), 5)
    batch.add("close", copied)

    outcome = batch.sealed()()

    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert (outcome, told.read()) == (0, b"firstlater")


@pytest.mark.usefixtures("machine")
def test_a_call_that_fails_ends_the_list_and_is_named() -> None:
    reader, writer = os.pipe()
    batch = Batch()
    batch.add("close", Place(buffer((1 << 30).to_bytes(4, "little"))))
    batch.add("write", writer, buffer(b"after"), 5)

    outcome = batch.sealed()()

    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert ("close" in str(batch.failure(outcome)), told.read()) == (True, b"")


@pytest.mark.usefixtures("machine")
def test_nothing_to_do_is_done() -> None:
    assert Batch().sealed()() == 0
