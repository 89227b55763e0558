"""Pages that runs write to, copied in a few calls right after the fork.

By itself the kernel copies each when it is first written to, with a fault of its own. Which ones a run changes is seen
in a rehearsal. Only these are copied: on a busy machine memory is what runs wait for.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
from collections.abc import Callable, Iterator, Sequence
from ctypes import c_size_t, c_void_p

from flowray_sandbox import syscalls
from flowray_sandbox.batch import Batch
from flowray_sandbox.trial import tried

_MADV_POPULATE_WRITE = 23
_PAGE = mmap.PAGESIZE
_libc = ctypes.PyDLL(None)
_libc.memcmp.argtypes = (c_void_p, c_void_p, c_size_t)

Area = tuple[int, int]


class Copies:
    """Those pages that a child takes copies of in advance: none before they are known."""

    def __init__(self) -> None:
        self._calls = Batch()
        self._call = self._calls.sealed()

    def learn(self, areas: Sequence[Area], act: Callable[[], None]) -> None:
        """Find those of these areas (address and size, whole pages) that `act` changes; `RuntimeError`: it failed."""
        changed = tried(lambda: _changed(areas, act))
        for start, size in areas:
            there, changed = changed[: size // _PAGE], changed[size // _PAGE :]
            for first, many in _runs(there):
                self._calls.add("madvise", start + first * _PAGE, many * _PAGE, _MADV_POPULATE_WRITE)
        self._call = self._calls.sealed()

    def take(self) -> None:
        """Copy them, in a child. What could not be copied is, as ever, when it is written to."""
        self._call()


def are_made() -> bool:
    """Whether the kernel copies pages in advance (Linux 5.14), on a kind of machine where this was measured."""
    if syscalls.MACHINE != "x86_64":
        return False
    with mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        try:
            syscalls.madvise(ctypes.addressof(ctypes.c_char.from_buffer(area)), _PAGE, _MADV_POPULATE_WRITE)
        except OSError:
            return False
    return True


def _changed(areas: Sequence[Area], act: Callable[[], None]) -> bytes:
    """For each page of each area one if `act` changes it, else zero."""
    # Next to nothing is allocated here before: what `act` takes shall lie where a run's will.
    with mmap.mmap(-1, sum(size for _, size in areas) + _PAGE) as before:
        first = at = ctypes.addressof(ctypes.c_char.from_buffer(before))
        for start, size in areas:
            ctypes.memmove(at, start, size)
            at += size
        act()
        now = (page for start, size in areas for page in range(start, start + size, _PAGE))
        was = itertools.count(first, _PAGE)
        return bytes(_libc.memcmp(*both, _PAGE) != 0 for both in zip(now, was, strict=False))


def _runs(changed: bytes) -> Iterator[tuple[int, int]]:
    """Where ones follow each other: the number of the first, and how many there are."""
    at = 0
    for is_changed, several in itertools.groupby(changed):
        many = len(list(several))
        if is_changed:
            yield at, many
        at += many
