"""The bytecode that runs execute, side by side in memory.

Python writes into bytecode while it runs it: how often it was not worth specialising, which way each branch went. Each
page of it that a run passes is a page to copy, and by itself the code of one run lies strewn over half of the heap.
Copied together, the same functions are on a third of the pages, and few huge pages are broken up for them.
"""

from __future__ import annotations

import gc
import opcode
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any

from flowray_sandbox.trial import tried

_ID = struct.Struct("=Q")
# Objects of up to 512 bytes come from Python's pools, larger ones from malloc, side by side. Of some code it counts a
# little that the copy has not.
_POOLED, _NOTHING = 512 + 32, bytes((opcode.opmap["NOP"], 0))


class HotCode:
    """The functions that `act` calls and all functions of the modules in `also`, and their code."""

    def __init__(self, act: Callable[[], None], also: Collection[str] = ()) -> None:
        functions = [found for found in gc.get_objects() if type(found) is FunctionType]
        known = {id(code): code for function in functions for code in _all_within(function.__code__)}
        unwatched = {id(one.__code__): one.__code__ for one in functions if one.__module__ in also}
        # Kept for ever: what the originals would leave free, children would write to.
        self._hot = unwatched | {number: known[number] for number in _executed(act) if number in known}
        self._functions = [function for function in functions if id(function.__code__) in self._hot]

    def gather(self) -> None:
        """Give the functions copies of their code, one beside the other in the order of their calls."""
        copied = _copier(self._hot)
        for code in self._hot.values():
            copied(code)
        for function in self._functions:
            if id(function.__code__) in self._hot:
                function.__code__ = copied(function.__code__)


def _executed(act: Callable[[], None]) -> Sequence[int]:
    """The ids of the code that is executed, in order.

    Watched in a fork, where all has the same address: who was watched is rewritten, function by function, once nobody
    watches any more, and children would do that on copies of its pages.
    """
    return [number for (number,) in _ID.iter_unpack(tried(lambda: _watched(act)))]


def _watched(act: Callable[[], None]) -> bytes:
    seen: dict[int, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.setdefault(id(frame.f_code))

    sys.setprofile(note)
    act()
    sys.setprofile(None)
    return b"".join(map(_ID.pack, seen))


def _all_within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _all_within(one)


def _copier(hot: Mapping[int, CodeType]) -> Callable[[CodeType], CodeType]:
    copies: dict[int, CodeType] = {}

    def copied(code: CodeType) -> CodeType:
        if id(code) not in copies:
            # Functions within functions are made anew at each call, from the code that the outer one holds.
            within = tuple(copied(one) if id(one) in hot else one for one in code.co_consts)
            copies[id(code)] = code.replace(co_consts=within, co_code=_padded(code))
        return copies[id(code)]

    return copied


def _padded(code: CodeType) -> bytes:
    """The code with as much behind it as takes it out of Python's pools, each of which would be pages of its own."""
    missing = _POOLED - sys.getsizeof(code)
    return code.co_code + _NOTHING * (missing // len(_NOTHING) + 1) if missing >= 0 else code.co_code
