"""Numbers that follow from names: the same names always give the same number, on every machine."""

from __future__ import annotations

import hashlib

_ALL = 1 << 64


def number_of(*names: str, size: int = 8) -> int:
    """The number of so many bytes that goes with these names; never 0."""
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:size], "big") or 1


def is_drawn(share: float, *names: str) -> bool:
    """Whether these names are among the `share` (0 to 1) of all that is drawn; a larger share keeps whom it had."""
    return number_of(*names) < share * _ALL
