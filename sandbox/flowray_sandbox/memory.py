"""The zygote's memory, laid out so that a fork copies little: one heap on huge pages, not hundreds of small areas.

A fork copies one table entry per page and one record per mapped area, and the child's end frees them again. Huge pages
have one entry for 512 small ones. With the heap in one place (see `arenas`) and on huge pages, fork and exit of a
230 MB parent became seven times cheaper.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import resource
import sys
from ctypes import c_int, c_size_t, c_ssize_t, c_void_p
from typing import TYPE_CHECKING

from flowray_sandbox import arenas, syscalls

if TYPE_CHECKING:
    from flowray_sandbox.room import Room

HUGE = 2 << 20
_MADV_COLLAPSE = 25
# Halves for what is large, then each size that malloc keeps a list of its own for.
_FILLINGS = (*(1 << power for power in range(16, 10, -1)), *range(1032, 8, -16))

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.sbrk.argtypes, _libc.sbrk.restype = (c_ssize_t,), c_ssize_t
_libc.mincore.argtypes = (c_void_p, c_size_t, ctypes.c_char_p)
_libc.mallopt.argtypes = (c_int, c_int)
_libc.malloc.argtypes, _libc.malloc.restype = (c_size_t,), c_size_t
ctypes.pythonapi.PyObject_Malloc.argtypes, ctypes.pythonapi.PyObject_Malloc.restype = (c_size_t,), c_size_t


class Heap:
    """The one heap: made before anything is imported, frozen after everything is."""

    def __init__(self) -> None:
        self._start = _start_of_heap()

    def fill(self, room: Room | None = None) -> None:
        """Take what is free between the imported objects, so that all that comes later lies together, behind them.

        A write after a fork copies its page and breaks up the huge page that it is part of: the zygote's own loop would
        otherwise break up a third of the heap, and each child as much again. With a room, that is where it lies.
        """
        gc.collect()  # also gives up what the interpreter keeps for reuse
        _libc.mallopt(arenas.M_TOP_PAD, 0)
        end = int(_libc.sbrk(0))
        left = end - self._start  # no more than this can be free
        left = _fill_holes(end, left)
        if room is not None:
            room.open()
        for size in range(16, 513, 16):
            while left > 0 and not _is_new(int(ctypes.pythonapi.PyObject_Malloc(size)), end, room):
                left -= size
        if room is None:
            # Python's own tables grew meanwhile, and left holes again.
            left = _fill_holes(end, left)
        if left <= 0:
            print("The heap has no place behind its objects: forks copy more than they need", file=sys.stderr)  # noqa: T201

    def extend(self) -> None:
        """Have some free memory behind all objects: what large runs take first."""
        _libc.mallopt(arenas.M_TOP_PAD, 2 * HUGE)
        end = int(_libc.sbrk(0))
        while int(_libc.sbrk(0)) == end:
            _libc.malloc(_FILLINGS[0])

    def freeze(self) -> None:
        """Put all that was imported out of the collector's sight, and all of the heap onto huge pages."""
        gc.freeze()
        collapse(self._start, int(_libc.sbrk(0)))
        _libc.mallopt(arenas.M_TOP_PAD, 256 << 10)
        _libc.mallopt(arenas.M_MMAP_THRESHOLD, 4 << 20)
        # What children allocate is short-lived and small: a zeroed huge page for each would cost more than it saves.
        syscalls.prctl(syscalls.PR_SET_THP_DISABLE, 1, 0, 0, 0)

    def rest(self, start: int) -> tuple[int, int]:
        """What lies from this address on, and how much that is."""
        return start, int(_libc.sbrk(0)) - start


def _fill_holes(end: int, left: int) -> int:
    """Take what malloc has free before `end`; how much of `left` can still be. What one pass takes can free more."""
    before = left + 1
    while 0 < left < before:
        before = left
        for size in _FILLINGS:
            while left > 0 and int(_libc.malloc(size)) < end:
                left -= size
    return left


def _is_new(address: int, end: int, room: Room | None) -> bool:
    return address in room if room is not None else address >= end


def collapse(start: int, end: int) -> None:
    """Merge these pages into huge ones, as far as the kernel can. Before Linux 6.1 it cannot: forks are slower then."""
    first, last = -(-start // HUGE) * HUGE, end // HUGE * HUGE
    if first < last:
        with contextlib.suppress(OSError):
            syscalls.madvise(first, last - first, _MADV_COLLAPSE)


def _start_of_heap() -> int:
    """Where the heap begins: walk down from its end until a page is not mapped."""
    page = mmap.PAGESIZE
    address = int(_libc.sbrk(0)) // page * page
    seen = ctypes.create_string_buffer(1)
    while _libc.mincore(address - page, page, seen) == 0:
        address -= page
    return address


def in_use(limit: int) -> int:
    """How much of this rlimit (data or address space) the process uses now: what a child has before it does anything.

    Found by trying, to the page, since there is no /proc inside.
    """
    low, high = 0, 1 << 40
    before = resource.getrlimit(limit)
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    while high - low > mmap.PAGESIZE:
        middle = (low + high) // 2
        resource.setrlimit(limit, (middle, before[1]))
        try:
            mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=writable).close()
            high = middle
        except (OSError, MemoryError):
            low = middle
    resource.setrlimit(limit, before)
    return high
