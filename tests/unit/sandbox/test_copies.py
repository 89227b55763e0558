"""Pages that are copied before they are written to."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowray_sandbox import copies
from flowray_sandbox.copies import Copies
from flowray_sandbox.trial import tried

PAGES = 8
pytestmark = pytest.mark.skipif(not copies.are_made(), reason="this kernel copies no pages in advance")


def test_a_child_takes_copies_of_what_was_changed_in_a_trial_and_of_nothing_else() -> None:
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        # No huge page: one fault would copy all of it.
        area.madvise(mmap.MADV_NOHUGEPAGE)
        area.write(b"x" * len(area))
        start, half = ctypes.addressof(ctypes.c_char.from_buffer(area)), len(area) // 2
        copied = Copies()

        copied.learn([(start + half, half), (start, half)], lambda: _write(area, (1, 2, 5)))
        assert area[:] == b"x" * len(area), "it was tried elsewhere"

        def taken_by_a_child() -> bytes:
            copied.take()
            return bytes(_are_its_own(area))

        assert tried(taken_by_a_child) == bytes((0, 1, 1, 0, 0, 1, 0, 0))


def test_a_trial_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        Copies().learn([], lambda: _write(mmap.mmap(-1, 1), (1,)))


def _write(area: mmap.mmap, pages: tuple[int, ...]) -> None:
    for page in pages:
        area[page * mmap.PAGESIZE] = ord("y")


def _are_its_own(area: mmap.mmap) -> Iterator[bool]:
    """For each page, whether no other process has it: bit 56 of what proc_pid_pagemap(5) describes."""
    first = ctypes.addressof(ctypes.c_char.from_buffer(area)) // mmap.PAGESIZE
    with Path("/proc/self/pagemap").open("rb") as pages:
        pages.seek(first * 8)
        for (one,) in struct.iter_unpack("=Q", pages.read(PAGES * 8)):
            yield bool(one >> 56 & 1)
