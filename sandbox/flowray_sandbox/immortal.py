"""What the zygote holds lives as long as its children: told so, Python no longer counts references to it.

Each count is a write, and a child's first write to a page copies it: three quarters of the pages that a small run
copies are copied for nothing but a count. From 3.12 on, Python leaves the count of an immortal object alone.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable
from types import CodeType
from typing import Any

# All of the lower 32 bits: what Python 3.12 and 3.13 mark immortal objects by. Later ones mark them otherwise.
_KNOWN = ((3, 12), (3, 13))
_BITS = 4
_MARKED = (1 << 32) - 1


def keep_for_ever() -> int:
    """Mark every object that can be reached; how many there were."""
    if sys.version_info[:2] not in _KNOWN:
        return 0
    marked = 0
    gc.unfreeze()  # what is frozen is not among the collector's objects
    rest: list[object] = gc.get_objects()
    while rest:
        found = rest.pop()
        if sys.getrefcount(found) >= _MARKED:
            continue
        ctypes.memset(id(found), 0xFF, _BITS)
        marked += 1
        rest.extend(_within(found))
    return marked


def _within(found: object) -> Iterable[object]:
    """What an object refers to, also where the collector does not look.

    Compared by identity: `isinstance` looks an attribute up in each object's type, and so would drive from Python's
    cache of such look-ups all those that the rehearsal has left there for the children.
    """
    kind = type(found)
    if kind is CodeType:
        code: Any = found
        return (code.co_consts, code.co_names, code.co_name, code.co_qualname, code.co_filename)
    if kind is dict:
        pairs: Any = found
        return (*pairs, *pairs.values())
    if kind is type:
        made: Any = found
        return (made.__mro__, made.__bases__, *gc.get_referents(found))
    return gc.get_referents(found)
