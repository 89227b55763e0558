"""Lists of calls: made by machine code, and by Python where that does not fit."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest

from flowray_sandbox import syscalls
from flowray_sandbox.batch import Batch, Place, buffer


@pytest.fixture(params=[syscalls.MACHINE, "another machine"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "MACHINE", request.param)


@pytest.mark.usefixtures("machine")
def test_calls_and_copies_are_made_in_their_order() -> None:
    reader, writer = os.pipe()
    source, middle = buffer(b"first"), buffer(5)
    batch = Batch()
    batch.copy(ctypes.addressof(middle), ctypes.addressof(source), 5)
    batch.add("write", writer, middle, 5)
    batch.copy(ctypes.addressof(source), ctypes.addressof(buffer(b"later")), 0)

    outcome = batch.sealed()()

    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert (outcome, told.read()) == (0, b"first")


@pytest.mark.usefixtures("machine")
def test_a_call_that_fails_ends_the_list_and_is_named() -> None:
    untouched = buffer(b"before")
    batch = Batch()
    batch.add("close", Place(buffer((1 << 30).to_bytes(4, "little"))))
    batch.copy(ctypes.addressof(untouched), ctypes.addressof(buffer(b"after!")), 6)

    outcome = batch.sealed()()

    assert "close" in str(batch.failure(outcome))
    assert untouched.raw == b"before"


def test_memory_is_replaced_by_its_own_copy() -> None:
    size = mmap.PAGESIZE
    with mmap.mmap(-1, 2 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.write(b"mine")
        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        batch = Batch()
        batch.copy(start + size, start, size)
        batch.add("mremap", start + size, size, size, 3, start)
        batch.add("mmap", start + size, size, 3, 0x32, -1, 0)

        outcome = batch.sealed()()

        assert (outcome, area[:4]) == (0, b"mine")
