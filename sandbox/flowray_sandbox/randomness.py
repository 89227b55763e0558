"""Where random number generators keep their state: each child fills it anew, since all are copies of one parent.

OpenSSL needs no help: it notices a fork by the change of pid, which is why the zygote must not be pid 1. What draws
from the kernel each time, like `secrets` and `uuid4`, needs none either.
"""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Iterator
from typing import Any

_WORDS = 624
_SIZE = _WORDS * 4
# struct RandomObject: object header (count, type), int index, then the words.
_OFFSET = 2 * ctypes.sizeof(ctypes.c_void_p) + ctypes.sizeof(ctypes.c_int)


def states() -> Iterator[tuple[int, int]]:
    """Address and size of each state: any random words are a good one."""
    yield _of_python(), _SIZE
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        yield _of_numpy(numpy_random.mtrand), _SIZE


def reseed() -> None:
    """Reseed what hides its state, in a child. Other libraries in Rust notice the fork themselves, if they care."""
    uuid_utils = sys.modules.get("uuid_utils")
    if uuid_utils is not None:
        uuid_utils.reseed_rng()


def _of_python() -> int:
    shared: Any = random._inst  # noqa: SLF001 - the generator behind the functions of the module
    shared.gauss_next = None
    return _checked(id(shared) + _OFFSET, shared.getstate()[1][:_WORDS], "random")


def _of_numpy(mtrand: Any) -> int:
    generator = mtrand._rand._bit_generator  # noqa: SLF001 - behind `numpy.random.seed`
    return _checked(generator.ctypes.state_address, generator.state["state"]["key"], "numpy.random")


def _checked(address: int, expected: object, name: str) -> int:
    """The address, if the words are there. Anything else must not go unnoticed: children would share their numbers."""
    found = (ctypes.c_uint32 * _WORDS).from_address(address)
    if list(found) != [int(word) for word in expected]:  # type: ignore[attr-defined]
        raise RuntimeError(f"the state of {name} is not where it should be")
    return address
