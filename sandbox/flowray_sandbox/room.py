"""Where children write most: side by side in the zygote.

A run writes into the bytecode that it executes and into memory that was free: some two hundred pages, each on huge
pages that the first fault breaks up. Laid side by side, they are on one, and can be copied together (see `copies`).
"""

from __future__ import annotations

import ctypes
from ctypes import c_size_t, c_void_p

from flowray_sandbox.memory import HUGE

# An arena of Python's (see `arenas`), and what else a small run takes from malloc.
_LEAST_FREE = (1 << 20) + (128 << 10)
# What malloc puts before each piece of memory that it gives, and a piece that it has to take from the heap's end.
_HEAD, _PROBE = 16, 64 << 10

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.malloc.argtypes, _libc.malloc.restype = (c_size_t,), c_size_t
_libc.free.argtypes, _libc.free.restype = (c_void_p,), None


class Room:
    """Made when the heap is filled: whatever is allocated until `reserve` lies in it, whatever comes after does not.

    Once it is opened, its rest is the only free memory.
    """

    def __init__(self) -> None:
        at = _heap_end()
        self.start = -(-(at + _HEAD) // HUGE) * HUGE
        _libc.malloc(self.start - at - _HEAD)
        self.size = self._rest = 0

    def reserve(self) -> None:
        """Keep the rest free: as many huge pages as there have to be."""
        at = _heap_end()
        self.size = -(-(at + _LEAST_FREE - self.start) // HUGE) * HUGE
        self._rest = int(_libc.malloc(self.start + self.size - at - _HEAD))

    def open(self) -> None:
        """Let the rest be used."""
        _libc.free(self._rest)

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.start + self.size


def _heap_end() -> int:
    """What malloc gives next, now that all free memory is taken."""
    return int(_libc.malloc(_PROBE)) + _PROBE + _HEAD
