"""System calls as a list: written down in the zygote, made by each child in one go.

A child that builds its walls in Python copies some two hundred pages of interpreter state on the way. Carried out by a
loop of machine code, the same calls copy a handful. For a machine that it is not written for, Python makes the calls.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flowray_sandbox import syscalls
from flowray_sandbox.syscall_table import numbers

Buffer = ctypes.Array[ctypes.c_char]

_NUMBERS = numbers(syscalls.MACHINE)
_ENTRY = struct.Struct("=8Q")
_MASK = (1 << 64) - 1
_INDIRECT = 1 << 31
_ERROR_BITS = 16

# For each entry of eight words: load the number and six arguments, call; on an error leave with index << 16 | errno,
# else store the result where the eighth word points. With bit 31 set in the number, the first argument is in memory.
#   endbr64; push rbx, r12, r13; mov rbx, rdi; mov r12, rsi; xor r13, r13
#   next: cmp r13, r12; jae done; mov rax, [rbx]; mov rdi, [rbx+8]; btr rax, 31; jnc direct; mov edi, [rdi]
#   direct: mov rsi, [rbx+16]; mov rdx, [rbx+24]; mov r10, [rbx+32]; mov r8, [rbx+40]; mov r9, [rbx+48]; syscall
#         cmp rax, -4095; jae failed; mov rcx, [rbx+56]; mov [rcx], eax; add rbx, 64; inc r13; jmp next
#   done: xor eax, eax; jmp out;  failed: neg rax; shl r13, 16; or rax, r13;  out: pop r13, r12, rbx; ret
_X86_64 = bytes.fromhex(
    "f30f1efa53415441554889fb4989f44531ed4d39e5733d488b03488b7b08480fbaf01f73028b3f48"
    "8b7310488b53184c8b53204c8b43284c8b4b300f05483d01f0ffff7313488b4b3889014883c34049"
    "ffc5ebbe31c0eb0a48f7d849c1e5104c09e8415d415c5bc3"
)
# The same: the kernel keeps every register but that of the result.
#   bti c; mov x9, x0; mov x10, xzr; mov x11, x1
#   next: cmp x10, x11; b.hs done; ldr x8, [x9]; ldr x0, [x9, 8]
#         tbz x8, 31, direct; and x8, x8, ~(1 << 31); ldr w0, [x0]
#   direct: ldp x1, x2, [x9, 16]; ldp x3, x4, [x9, 32]; ldr x5, [x9, 48]; svc 0
#         cmn x0, 4095; b.hs failed; ldr x1, [x9, 56]; str w0, [x1]; add x9, x9, 64; add x10, x10, 1; b next
#   done: mov x0, xzr; ret;  failed: neg x0, x0; orr x0, x0, x10, lsl 16; ret
_AARCH64 = bytes.fromhex(
    "5f2403d5e90300aaea031faaeb0301aa5f010beb22020054280140f9200540f96800f83608f96092000040b9210941a9231142a9251940f9"
    "010000d41ffc3fb102010054211d40f9200000b9290101914a050091efffff17e0031faac0035fd6e00300cb00400aaac0035fd6"
)
_CODE = {"x86_64": _X86_64, "aarch64": _AARCH64}


def buffer(content: bytes | int) -> Buffer:
    """Memory at an address that stays, of this size or with this content."""
    return ctypes.create_string_buffer(content, content if isinstance(content, int) else len(content))


@dataclass(frozen=True)
class Place:
    """A 32-bit number within a buffer: a result to store, or a first argument that is not known yet."""

    memory: Buffer
    offset: int = 0

    @property
    def address(self) -> int:
        """Where it is."""
        return ctypes.addressof(self.memory) + self.offset


class Batch:
    """The list. Arguments are numbers or buffers; the first can be a place that an earlier call stored a result in."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, bytes]] = []
        self._kept: list[object] = []
        self._ignored = Place(buffer(4))

    def add(self, name: str, *arguments: int | Buffer | Place, store: Place | None = None) -> None:
        """Append a call by its name; its result goes to `store`."""
        self._kept += [*arguments, store]
        number = _NUMBERS[name] | (_INDIRECT if arguments and isinstance(arguments[0], Place) else 0)
        values = [_word(argument) for argument in arguments] + [0] * (6 - len(arguments))
        self._calls.append((name, _ENTRY.pack(number, *values, (store or self._ignored).address)))

    def keep(self, *memory: object) -> None:
        """Hold memory that a buffer points to."""
        self._kept += memory

    def sealed(self) -> Callable[[], int]:
        """The calls as one function: 0 when all were made, else what `failure` explains."""
        entries = buffer(b"".join(entry for _, entry in self._calls))
        self._kept.append(entries)
        if code := _CODE.get(syscalls.MACHINE):
            return partial(_machine_code(code), ctypes.addressof(entries), len(self._calls))
        return partial(_in_python, entries)

    def failure(self, outcome: int) -> OSError:
        """The call that failed, and how."""
        number = outcome & ((1 << _ERROR_BITS) - 1)
        return OSError(number, f"{self._calls[outcome >> _ERROR_BITS][0]}: {os.strerror(number)}")


def _word(argument: int | Buffer | Place) -> int:
    if isinstance(argument, Place):
        return argument.address
    return argument & _MASK if isinstance(argument, int) else ctypes.addressof(argument)


def _in_python(entries: Buffer) -> int:
    for index, (number, first, *rest, store) in enumerate(_ENTRY.iter_unpack(entries)):
        if number & _INDIRECT:
            first = ctypes.c_uint32.from_address(first).value  # noqa: PLW2901 - as the machine code does
        try:
            result = syscalls.raw(number & ~_INDIRECT, first, *rest)
        except OSError as failure:
            return index << _ERROR_BITS | (failure.errno or 0)
        ctypes.c_int32.from_address(store).value = result
    return 0


def _machine_code(code: bytes) -> Callable[[int, int], int]:
    if not _LOADED:
        area = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=3)
        area.write(code)
        # With this, the kernel brings the caches for instructions into line as well.
        syscalls.protect(ctypes.addressof(ctypes.c_char.from_buffer(area)), mmap.PAGESIZE, 5)
        _LOADED.append(area)
    address = ctypes.addressof(ctypes.c_char.from_buffer(_LOADED[0]))
    return ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long)(address)


_LOADED: list[mmap.mmap] = []
