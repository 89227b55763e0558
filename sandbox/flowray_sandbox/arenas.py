"""Python's arenas, taken from malloc: the first thing a zygote does, before there are many.

By itself Python maps each arena, a MiB of small objects, where there is room between shared libraries. Taken from
malloc, they lie side by side in one heap, which fits on huge pages.
"""

from __future__ import annotations

import ctypes
from ctypes import c_void_p

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
_RAW_DOMAIN = 0
_ANCHORS: list[bytes] = []


class _Arenas(ctypes.Structure):
    _fields_ = (("ctx", c_void_p), ("alloc", c_void_p), ("free", c_void_p))


class _Allocator(ctypes.Structure):
    _fields_ = tuple((name, c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free"))


def take_from_malloc() -> None:
    """Let new arenas come from malloc, and malloc's memory from the heap only."""
    # The arenas that exist already were mapped and must never be handed to free: an object in each size class keeps
    # them in use.
    _ANCHORS.extend(bytes(size) for size in range(1, 480, 16) for _ in range(4))
    libc, python = ctypes.PyDLL(None), ctypes.pythonapi
    libc.mallopt(M_MMAP_THRESHOLD, 64 << 20)
    libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
    libc.mallopt(M_TOP_PAD, 1 << 20)
    # Each further arena of malloc's own reserves 64 MiB of address space per thread, which the limit of a run counts.
    libc.mallopt(M_ARENA_MAX, 2)
    raw = _Allocator()
    python.PyMem_GetAllocator(_RAW_DOMAIN, ctypes.byref(raw))
    python.PyObject_SetArenaAllocator(ctypes.byref(_Arenas(raw.ctx, raw.malloc, raw.free)))
