"""Shared libraries as plain memory, so that a fork has less to copy.

Two hundred libraries are a thousand mapped areas, which every fork copies and every exit frees. Copied into anonymous
memory, neighbours become one area on huge pages, and children take no faults for code.

A copy becomes executable only when it is complete: then the kernel brings the caches for instructions into line, where
these do not follow what is written. From then on it is writable and executable at once. That gives nothing away: the
code inside can map such memory itself, and what it may do is decided by the walls, not by its own page tables.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass

from flowray_sandbox.memory import HUGE, collapse

_PT_LOAD, _READABLE, _WRITABLE = 1, 4, 2
_RW, _RWX, _ANONYMOUS = 3, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_FIXED, _FIXED_NOREPLACE, _MOVE_FIXED = 0x10, 0x100000, 3
_LARGEST, _WIDEST_GAP = 64 << 20, 4 << 20
_FAILED = (1 << 64) - 1
# What runs while the copies are made.
_AT_WORK = ("libc.so", "libm.so", "ld-linux", "libffi", "_ctypes.", "libpython", "linux-vdso", "libpthread", "libdl")
# Since glibc 2.34 these are empty, there for old programs only.
_EMPTY, _EMPTY_MOST = ("libpthread", "libdl"), 8 * mmap.PAGESIZE

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mmap.argtypes, _libc.mmap.restype = (c_void_p, c_size_t, c_int, c_int, c_int, c_long), c_uint64
_libc.mremap.argtypes, _libc.mremap.restype = (c_void_p, c_size_t, c_size_t, c_int, c_void_p), c_uint64
_libc.mprotect.argtypes = (c_void_p, c_size_t, c_int)
_libc.munmap.argtypes = (c_void_p, c_size_t)


class _Header(ctypes.Structure):
    _fields_ = (
        ("kind", c_uint32),
        ("flags", c_uint32),
        *((name, c_uint64) for name in ("offset", "address", "physical", "in_file", "size", "alignment")),
    )


class _Loaded(ctypes.Structure):
    _fields_ = (
        ("base", c_uint64),
        ("name", c_char_p),
        ("headers", ctypes.POINTER(_Header)),
        ("count", c_uint16),
    )


@dataclass(frozen=True)
class Library:
    """A loaded library: its name and the page ranges of its segments, in order, with their flags."""

    name: str
    segments: tuple[tuple[int, int, int], ...]

    @property
    def start(self) -> int:
        """Where its first page is."""
        return self.segments[0][0]

    @property
    def end(self) -> int:
        """Where its last page ends."""
        return max(end for _, end, _ in self.segments)


def make_anonymous() -> None:
    """Copy what can be copied, neighbours together. Where the kernel forbids it, all stays as it was."""
    libraries = _loaded()
    movable = [one for one in libraries if _is_movable(one)]
    for cluster in _clusters(sorted(movable, key=lambda one: one.start)):
        _copy(cluster)
    for one in libraries:
        if _is_python(one):
            _copy_code(one)


def variables_of_python() -> list[tuple[int, int]]:
    """Where the interpreter itself has its variables, and how much that is."""
    return [
        (low, high - low)
        for one in _loaded()
        if _is_python(one)
        for low, high, flags in one.segments
        if flags & _WRITABLE
    ]


def _is_python(one: Library) -> bool:
    """Whether it is the interpreter, be it a library or the program itself."""
    return one.name == "" or "libpython" in one.name


def _loaded() -> list[Library]:
    found: list[Library] = []

    def note(loaded: ctypes._Pointer[_Loaded], _size: int, _data: object) -> int:
        one = loaded.contents
        headers = [one.headers[index] for index in range(one.count)]
        segments = tuple(
            (_page(one.base + header.address), _page(one.base + header.address + header.size, up=True), header.flags)
            for header in headers
            if header.kind == _PT_LOAD
        )
        found.append(Library((one.name or b"").decode(), segments))
        return 0

    callback = ctypes.PYFUNCTYPE(c_int, ctypes.POINTER(_Loaded), c_size_t, c_void_p)(note)
    _libc.dl_iterate_phdr(callback, None)
    return [one for one in found if one.segments]


def _page(address: int, *, up: bool = False) -> int:
    return (address + (mmap.PAGESIZE - 1 if up else 0)) // mmap.PAGESIZE * mmap.PAGESIZE


def _is_movable(one: Library) -> bool:
    file = one.name.rpartition("/")[2]
    is_empty = file.startswith(_EMPTY) and one.end - one.start <= _EMPTY_MOST
    if not file or (any(part in file for part in _AT_WORK) and not is_empty):
        return False
    return one.end - one.start <= _LARGEST and all(flags & _READABLE for _, _, flags in one.segments)


def _clusters(libraries: list[Library]) -> Iterator[list[Library]]:
    """Neighbours with nothing between them. The gaps are filled on the way, so that one area can cover all."""
    cluster: list[Library] = []
    for one in libraries:
        if cluster and not _fill(cluster[-1].end, one.start):
            yield cluster
            cluster = []
        cluster.append(one)
    if cluster:
        yield cluster


def _fill(start: int, end: int) -> bool:
    """Map the gap, if it is small and empty."""
    if start == end:
        return True
    if not 0 < end - start <= _WIDEST_GAP:
        return False
    return int(_libc.mmap(start, end - start, _RWX, _ANONYMOUS | _FIXED_NOREPLACE, -1, 0)) == start


def _copy(cluster: list[Library]) -> None:
    start, end = cluster[0].start, max(one.end for one in cluster)
    for edge_start, edge_end in ((start // HUGE * HUGE, start), (end, -(-end // HUGE) * HUGE)):
        if _fill(edge_start, edge_end):
            start, end = min(start, edge_start), max(end, edge_end)
    aside = int(_libc.mmap(None, end - start, _RWX, _ANONYMOUS, -1, 0))
    if aside == _FAILED:  # where it is forbidden, it is so here
        return
    segments = [(low, high) for one in cluster for low, high, _ in one.segments]
    for low, high in segments:
        ctypes.memmove(aside + low - start, low, high - low)
    # From here on none of these libraries can run until its bytes are back.
    if int(_libc.mmap(start, end - start, _RW, _ANONYMOUS | _FIXED, -1, 0)) == start:
        for low, high in segments:
            ctypes.memmove(low, aside + low - start, high - low)
        _libc.mprotect(start, end - start, _RWX)
        collapse(start, end)
    _libc.munmap(aside, end - start)


def _copy_code(one: Library) -> None:
    """Replace the code and constants of what is running: by one move, since it cannot be away for a moment."""
    fixed = [(low, high) for low, high, flags in one.segments if not flags & _WRITABLE]
    if not fixed or fixed[-1][1] - fixed[0][0] < HUGE:
        return
    start, size = fixed[0][0], fixed[-1][1] - fixed[0][0]
    aside = int(_libc.mmap(None, size, _RW, _ANONYMOUS, -1, 0))
    if aside == _FAILED:
        return
    for low, high in fixed:
        ctypes.memmove(aside + low - start, low, high - low)
    if int(_libc.mprotect(aside, size, _RWX)) == 0:
        _libc.mremap(aside, size, size, _MOVE_FIXED, start)
        collapse(start, start + size)
