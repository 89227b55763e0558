"""Where children write most: a huge page of their own, copied at once right after the fork.

A run writes into the bytecode that it executes and into memory that was free: some three hundred pages, each a fault of
its own, each on huge pages that the first fault breaks up. Laid side by side in the zygote, they are one huge page, and
a child copies that whole for less than half of the price.
"""

from __future__ import annotations

import ctypes
import mmap
import resource
from ctypes import c_int, c_long, c_size_t, c_void_p

from flowray_sandbox import syscalls
from flowray_sandbox.batch import Batch
from flowray_sandbox.memory import HUGE

_MADV_HUGEPAGE = 14
_PRIVATE, _FIXED, _NORESERVE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0x10, 0x4000
_READ_WRITE, _MOVE_TO = 3, 3
# An arena of Python's (see `arenas`), and what else a small run takes from malloc.
_LEAST_FREE = (1 << 20) + (128 << 10)
# What malloc puts before each piece of memory that it gives, and a piece that it has to take from the heap's end.
_HEAD, _PROBE = 16, 64 << 10
_FEW_FAULTS = 16

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.malloc.argtypes, _libc.malloc.restype = (c_size_t,), c_size_t
_libc.free.argtypes, _libc.free.restype = (c_void_p,), None
_libc.mmap.argtypes, _libc.mmap.restype = (c_void_p, c_size_t, c_int, c_int, c_int, c_long), c_size_t


class Room:
    """Made when the heap is filled: whatever is allocated until `reserve` lies in it, whatever comes after does not.

    Once it is opened, its rest is the only free memory.
    """

    def __init__(self) -> None:
        at = _heap_end()
        self.start = -(-(at + _HEAD) // HUGE) * HUGE
        _libc.malloc(self.start - at - _HEAD)
        self.size = self._rest = self._aside = 0

    def reserve(self) -> None:
        """Keep the rest free: as many huge pages as there have to be."""
        at = _heap_end()
        self.size = -(-(at + _LEAST_FREE - self.start) // HUGE) * HUGE
        self._rest = int(_libc.malloc(self.start + self.size - at - _HEAD))
        aside = int(_libc.mmap(None, self.size + HUGE, 0, _PRIVATE | _NORESERVE, -1, 0))
        self._aside = -(-aside // HUGE) * HUGE

    def open(self) -> None:
        """Let the rest be used."""
        _libc.free(self._rest)

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.start + self.size

    def copy_first(self, batch: Batch) -> None:
        """Append the calls by which a child takes a copy of its own. Nothing but the list may run meanwhile."""
        batch.add("prctl", syscalls.PR_SET_THP_DISABLE, 0)
        batch.add("mmap", self._aside, self.size, _READ_WRITE, _PRIVATE | _FIXED, -1, 0)
        batch.add("madvise", self._aside, self.size, _MADV_HUGEPAGE)
        batch.copy(self._aside, self.start, self.size)
        batch.add("mremap", self._aside, self.size, self.size, _MOVE_TO, self.start)
        batch.add("prctl", syscalls.PR_SET_THP_DISABLE, 1)


def _heap_end() -> int:
    """What malloc gives next, now that all free memory is taken."""
    return int(_libc.malloc(_PROBE)) + _PROBE + _HEAD


def pays() -> bool:
    """Whether huge pages are to be had, one at a fault, on a kind of machine where this was measured."""
    if syscalls.MACHINE != "x86_64":
        return False
    with mmap.mmap(-1, 2 * HUGE, flags=_PRIVATE) as area:
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        try:
            syscalls.madvise(address, 2 * HUGE, _MADV_HUGEPAGE)
        except OSError:
            return False
        start = -(-address // HUGE) * HUGE
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        ctypes.memset(start, 1, HUGE)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before <= _FEW_FAULTS
