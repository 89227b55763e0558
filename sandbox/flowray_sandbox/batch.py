"""System calls as a list: written down in the zygote, made by each child in one go.

A child that builds its walls in Python copies some two hundred pages of interpreter state on the way. Carried out by a
loop of machine code, the same calls copy a handful. Where that code does not fit the machine, Python makes the calls.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable

from flowray_sandbox import syscalls
from flowray_sandbox.syscall_table import numbers

_NUMBERS = numbers(syscalls.MACHINE)
_ENTRY = struct.Struct("=8Q")
_WORD = 8
_MASK = (1 << 64) - 1
_ERROR_BITS = 16

# For each entry of eight words: load the number and six arguments, call; on an error leave with index << 16 | errno,
# else store the result where the eighth word points.
#   endbr64; push rbx, r12, r13; mov rbx, rdi; mov r12, rsi; xor r13, r13
#   next: cmp r13, r12; jae done; mov rax, [rbx]; mov rdi, [rbx+8]; mov rsi, [rbx+16]; mov rdx, [rbx+24]
#         mov r10, [rbx+32]; mov r8, [rbx+40]; mov r9, [rbx+48]; syscall; cmp rax, -4095; jae failed
#         mov rcx, [rbx+56]; mov [rcx], eax; add rbx, 64; inc r13; jmp next
#   done: xor eax, eax; jmp out;  failed: neg rax; shl r13, 16; or rax, r13;  out: pop r13, r12, rbx; ret
_X86_64 = bytes.fromhex(
    "f30f1efa53415441554889fb4989f44531ed4d39e57334488b03488b7b08488b7310488b53184c8b"
    "53204c8b43284c8b4b300f05483d01f0ffff7313488b4b3889014883c34049ffc5ebc731c0eb0a48"
    "f7d849c1e5104c09e8415d415c5bc3"
)


class Batch:
    """The list. Arguments are numbers or buffers; a result can be stored into a buffer that a later call reads."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, list[int], int]] = []
        self._kept: list[object] = []
        self._flows: list[tuple[int, int, int]] = []
        self._ignored = buffer(4)
        self._entries = buffer(0)
        self._run: Callable[[int, int], int] = self._run_in_python

    def add(self, name: str, *arguments: int | ctypes.Array[ctypes.c_char], store: int = 0) -> int:
        """Append a call by its name; `store` is the address for its result. The call's place in the list."""
        self._kept.extend(arguments)
        values = [value if isinstance(value, int) else ctypes.addressof(value) for value in arguments]
        self._calls.append((name, [value & _MASK for value in values] + [0] * (6 - len(values)), store))
        return len(self._calls) - 1

    def store(self, call: int, later: int, argument: int) -> None:
        """Let the result of one call be an argument of a later one. The address is known once the list is sealed."""
        self._flows.append((call, later, argument))

    def keep(self, *memory: object) -> None:
        """Hold memory that a buffer points to."""
        self._kept.extend(memory)

    def seal(self) -> None:
        """Write the list down, once it is complete."""
        store = ctypes.addressof(self._ignored)
        entries = [_ENTRY.pack(_NUMBERS[name], *values, into or store) for name, values, into in self._calls]
        self._entries = buffer(len(entries) * _ENTRY.size)
        self._entries.raw = b"".join(entries)
        for call, later, argument in self._flows:
            self.change(later, argument, 0)  # a result has 32 bits; the upper half stays empty
            into = ctypes.addressof(self._entries) + later * _ENTRY.size + (1 + argument) * _WORD
            struct.pack_into("=Q", self._entries, call * _ENTRY.size + 7 * _WORD, into)
        if syscalls.MACHINE == "x86_64":
            self._run = _load(_X86_64)

    def change(self, call: int, argument: int, value: int) -> None:
        """Change one argument of a sealed list."""
        struct.pack_into("=Q", self._entries, call * _ENTRY.size + (1 + argument) * _WORD, value)

    def run(self) -> None:
        """Make the calls, in order; raise at the first that fails."""
        outcome = self._run(ctypes.addressof(self._entries), len(self._calls))
        if outcome:
            number = outcome & ((1 << _ERROR_BITS) - 1)
            raise OSError(number, f"{self._calls[outcome >> _ERROR_BITS][0]}: {os.strerror(number)}")

    def _run_in_python(self, _entries: int, _count: int) -> int:
        for index in range(len(self._calls)):
            *call, store = _ENTRY.unpack_from(self._entries, index * _ENTRY.size)
            try:
                result = syscalls.raw(*call)
            except OSError as failure:
                return index << _ERROR_BITS | (failure.errno or 0)
            ctypes.c_int32.from_address(store).value = result
        return 0


def buffer(content: bytes | int) -> ctypes.Array[ctypes.c_char]:
    """Memory at an address that stays, of this size or with this content."""
    return ctypes.create_string_buffer(content, content if isinstance(content, int) else len(content))


def _load(code: bytes) -> Callable[[int, int], int]:
    area = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=3)
    area.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    syscalls.protect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
    _LOADED.append(area)
    return ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long)(address)


_LOADED: list[mmap.mmap] = []
