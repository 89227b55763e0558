"""A small assembler for seccomp programs: a decision tree over call numbers with checks of arguments at its leaves.

A tree rather than a list, since the kernel evaluates the program for every number when it is installed.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from flowray_sandbox.batch import Batch, Buffer

_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_BITS, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_INSTRUCTION = struct.Struct("<HBBI")
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AUDIT_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LONGEST_JUMP = 255

Code = list[tuple[int, int, int, int]]


@dataclass(frozen=True)
class Verdict:
    """What a system call gets: let through, or an error number; 0 pretends that it worked."""

    error: int | None

    def code(self) -> Code:
        """One return instruction."""
        return [(_RETURN, 0, 0, _ALLOW if self.error is None else _ERRNO | self.error)]


ALLOW = Verdict(None)


@dataclass(frozen=True)
class Argument:
    """A verdict that depends on the low half of one argument: its value, masked, is looked up; else `otherwise`."""

    index: int
    values: tuple[int, ...]
    then: Rule
    otherwise: Rule
    mask: int | None = None

    def code(self) -> Code:
        """Load, mask, compare with each value, and go on with the one rule or the other."""
        then, otherwise = self.then.code(), self.otherwise.code()
        code: Code = [(_LOAD, 0, 0, _ARGUMENTS + 8 * self.index)]
        if self.mask is not None:
            code.append((0x54, 0, 0, self.mask))
        for position, value in enumerate(self.values):
            left = len(self.values) - position - 1
            code.append((_JUMP_EQUAL, left + len(otherwise), 0, value))
        return code + otherwise + then


@dataclass(frozen=True)
class Bits:
    """A verdict that depends on whether any of these bits is set in the low half of one argument."""

    index: int
    bits: int
    then: Rule
    otherwise: Rule

    def code(self) -> Code:
        """Load, test, and go on with the one rule or the other."""
        otherwise = self.otherwise.code()
        load = (_LOAD, 0, 0, _ARGUMENTS + 8 * self.index)
        return [load, (_JUMP_BITS, len(otherwise), 0, self.bits), *otherwise, *self.then.code()]


Rule = Verdict | Argument | Bits


def assemble(machine: str, rules: dict[int, Rule], default: Rule) -> bytes:
    """The program for one machine. A call of another machine's kind ends the process: no library makes any."""
    head: Code = [
        (_LOAD, 0, 0, _MACHINE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_MACHINE[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    return b"".join(_INSTRUCTION.pack(*line) for line in head + _tree(_ranges(rules, default)))


class Program:
    """A program in memory, ready to be installed by its header."""

    def __init__(self, instructions: bytes) -> None:
        self._instructions = ctypes.create_string_buffer(instructions, len(instructions))
        count = len(instructions) // _INSTRUCTION.size
        self.header = ctypes.create_string_buffer(struct.pack("=H6xQ", count, ctypes.addressof(self._instructions)))

    def kept_by(self, batch: Batch) -> Buffer:
        """The header, for a call in this list, which holds the program from now on."""
        batch.keep(self)
        return self.header


def _ranges(rules: dict[int, Rule], default: Rule) -> list[tuple[int, Rule]]:
    """Where each stretch of numbers with the same rule starts."""
    ranges: list[tuple[int, Rule]] = [(0, default)]
    for number in sorted({*rules, *(known + 1 for known in rules)}):
        rule = rules.get(number, default)
        if rule != ranges[-1][1]:
            ranges.append((number, rule))
    return ranges[1:] if len(ranges) > 1 and ranges[1][0] == 0 else ranges


def _tree(ranges: Sequence[tuple[int, Rule]]) -> Code:
    if len(ranges) == 1:
        return ranges[0][1].code()
    middle = len(ranges) // 2
    lower, upper = _tree(ranges[:middle]), _tree(ranges[middle:])
    start = ranges[middle][0]
    if len(lower) <= _LONGEST_JUMP:
        return [(_JUMP_GREATER_EQUAL, len(lower), 0, start), *lower, *upper]
    return [(_JUMP_GREATER_EQUAL, 0, 1, start), (_JUMP, 0, 0, len(lower)), *lower, *upper]
