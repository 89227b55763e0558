"""What the zygote holds lives as long as its children: told so, Python no longer counts references to it.

Each count is a write, and a child's first write to a page copies it: three quarters of the pages that a small run
copies are copied for nothing but a count. From 3.12 on, Python leaves the count of an immortal object alone.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Sequence
from functools import cache
from itertools import compress
from types import CodeType
from typing import Any

# All of the lower 32 bits: what Python 3.12 and 3.13 mark immortal objects by. Later ones mark them otherwise.
_KNOWN = ((3, 12), (3, 13))
_MARKED = (1 << 32) - 1
# A million objects refer to each other five million times: small batches meet most objects when they are marked.
_BATCH = 4096
# All that a process may have at its addresses, in counts. An object begins with its own.
_COUNTS = 1 << 46
# `struct _heaptypeobject`: three words behind a class's name is what its instances' attributes are named, or nothing.
_TO_NAMES, _WORD = 3, 8
# Classes with that struct, whose instances have dictionaries.
_NAMING = (1 << 9) | (1 << 4)
_flags = type.__dict__["__flags__"].__get__


def keep_for_ever() -> int:
    """Mark every object that can be reached; how many there were."""
    if sys.version_info[:2] not in _KNOWN:
        return 0
    marked = 0
    counts = (ctypes.c_uint32 * _COUNTS).from_address(0)
    gc.unfreeze()  # what is frozen is not among the collector's objects
    waiting: list[list[object]] = [gc.get_objects()]
    _keep_names(waiting[0])
    while waiting:
        mortal = _mortal(waiting.pop())
        for start in range(0, len(mortal), _BATCH):
            fresh = []
            for found in mortal[start : start + _BATCH]:
                place = id(found) >> 2
                if counts[place] != _MARKED:
                    counts[place] = _MARKED
                    fresh.append(found)
            marked += len(fresh)
            waiting.append(_within(fresh))
    gc.freeze()  # as it was
    return marked


def names_of_attributes(kind: type) -> int:
    """The address of what this class's instances share: the names of their attributes, which begin with a count.

    It is no object, so nobody refers to it but classes and the dictionaries of instances. 0: there is none.
    """
    at: int = ctypes.c_uint64.from_address(id(kind) + _place_of_name() + _TO_NAMES * _WORD).value
    return at


@cache
def _place_of_name() -> int:
    """Where a class has its name, in bytes from its start."""
    kind: Any = type("a name like no other", (), {"__qualname__": "another"})
    words = (ctypes.c_uint64 * (type(kind).__basicsize__ // _WORD)).from_address(id(kind))
    return list(words).index(id(kind.__name__)) * _WORD


def _keep_names(several: Sequence[Any]) -> None:
    for found in several:
        # Not `isinstance`: there are proxies that pass for classes.
        if issubclass(type(found), type) and _flags(found) & _NAMING == _NAMING and (at := names_of_attributes(found)):
            ctypes.c_uint64.from_address(at).value = _MARKED


def _mortal(several: Sequence[object]) -> list[object]:
    """Those whose references are still counted: looked at without a line of Python for each."""
    return list(compress(several, map(_MARKED.__gt__, map(sys.getrefcount, several))))


def _within(several: Sequence[object]) -> list[object]:
    """What objects refer to, also where the collector does not look.

    Compared by identity: `isinstance` looks an attribute up in each object's type, and so would drive from Python's
    cache of such look-ups all those that the rehearsal has left there for the children.
    """
    found: list[object] = []
    others = []
    for one in several:
        kind = type(one)
        if kind is CodeType:
            code: Any = one
            found += (code.co_consts, code.co_names, code.co_name, code.co_qualname, code.co_filename)
        elif kind is dict:
            pairs: Any = one
            found += pairs
            found += pairs.values()
        else:
            if kind is type:
                made: Any = one
                found += (made.__mro__, made.__bases__)
            others.append(one)
    found += gc.get_referents(*others)
    return found
