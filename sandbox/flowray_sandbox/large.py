"""Large texts as JSON. orjson reserves up to sixteen bytes for each character, and dies where it is refused them.

A text that was written before it comes to orjson is copied, no more; and that there is room for the copies is tried
before, where a lack of memory is a `MemoryError`.
"""

from __future__ import annotations

import mmap
from json.encoder import encode_basestring
from typing import Any

import orjson

LARGE_CHARS = 1 << 20
# Of what people read: a log, an error, a traceback.
TOLD_CHARS = 64 << 10


def told(text: str) -> str:
    """The text as far as people are told it; that the rest is dropped is said."""
    if len(text) <= TOLD_CHARS:
        return text
    return f"{text[:TOLD_CHARS]}\n[{len(text)} characters; the rest is dropped]"


def room_for(size: int) -> None:
    """Raise `MemoryError` when there is no room for so many bytes more; none of them is touched."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        raise MemoryError from None


def quoted(text: str) -> orjson.Fragment:
    """A large text as JSON; lone surrogates are replaced."""
    written = encode_basestring(text).encode(errors="replace")
    # What orjson writes into doubles as it grows, and an event takes the whole once more.
    room_for(4 * len(written))
    return orjson.Fragment(written)


def written(value: Any, known: dict[str, orjson.Fragment]) -> Any:
    """The value with its large texts written, each once: `known` are those that are."""
    match value:
        case str() if len(value) > LARGE_CHARS:
            if value not in known:
                known[value] = quoted(value)
            return known[value]
        case list() | tuple():
            return [written(item, known) for item in value]
        case dict():
            return {name: written(item, known) for name, item in value.items()}
    return value
