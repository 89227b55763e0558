"""From bytes, text or parsed JSON to one JSON object: what a hostile document may cost is decided here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from flowray.errors import FlowFormatError, FlowTooLargeError
from flowray.flow.shape import an_object
from flowray.flow.types import Json

_BOM = b"\xef\xbb\xbf"
_INTEGERS = range(-(2**63), 2**64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How large a document may be.

    `depth` stays below what orjson writes (254), `values` holds a document of empty lists to a known share of memory.
    """

    size_bytes: int = 16 * 1024 * 1024
    nodes: int = 2_000
    depth: int = 200
    values: int = 1_000_000


def refuse_too_many(nodes: int, most: int) -> None:
    """Raise `FlowTooLargeError` when there are more nodes than a flow may have."""
    if nodes > most:
        raise FlowTooLargeError(f"The flow has {nodes:,} nodes; at most {most:,} are allowed.")


def parse(source: str | bytes | bytearray | memoryview | Mapping[str, Json], bounds: Bounds) -> dict[str, Json]:
    """Return the document's object; what is beyond the bounds or no JSON object is refused."""
    if isinstance(source, Mapping):
        document = dict(source)
        check_values(document, bounds)
        return document
    if not isinstance(source, str | bytes | bytearray | memoryview):
        raise FlowFormatError(f"A flow is text, bytes or an object, not {type(source).__name__}.")
    parsed = _parse_text(source if isinstance(source, str) else bytes(source), bounds)
    if is_deeper(parsed, bounds.depth):
        raise FlowTooLargeError(f"The document is nested deeper than {bounds.depth} levels.")
    return an_object(parsed, "The document")


def _parse_text(text: str | bytes, bounds: Bounds) -> Json:
    if len(text) > bounds.size_bytes:
        raise FlowTooLargeError(f"The document has {len(text):,} bytes; at most {bounds.size_bytes:,} are allowed.")
    if _separators(text) > bounds.values:
        raise FlowTooLargeError(f"The document has more than {bounds.values:,} values.")
    plain = text.removeprefix("\ufeff") if isinstance(text, str) else text.removeprefix(_BOM)
    try:
        return orjson.loads(plain)
    except orjson.JSONDecodeError as cause:
        # The cause holds the whole document; only its words go on.
        said = f"The document is not JSON: {_hint(cause)}."
    raise FlowFormatError(said)


def _separators(text: str | bytes) -> int:
    """No document has more values than these: counted without parsing, at the speed of memchr."""
    if isinstance(text, str):
        return text.count(",") + text.count("[") + text.count("{")
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _hint(cause: orjson.JSONDecodeError) -> str:
    at = cause.doc[cause.pos : cause.pos + 9]
    if at.startswith(("NaN", "Infinity", "-Infinity")):
        return f"{cause.msg}; NaN and Infinity are no JSON numbers (line {cause.lineno}, column {cause.colno})"
    return f"{cause.msg} (line {cause.lineno}, column {cause.colno})"


def is_deeper(value: Json, most: int) -> bool:
    """Whether a JSON value is nested deeper than so many levels."""
    level = [value]
    for _ in range(most):
        level = [
            value
            for parent in level
            for value in (parent.values() if type(parent) is dict else parent if type(parent) is list else ())
            if type(value) is dict or type(value) is list
        ]
        if not level:
            return False
    return True


def check_values(document: dict[str, Json], bounds: Bounds) -> None:
    """Refuse what a parser would have refused, in an object that never was text."""
    level: list[Json] = [document]
    seen = 0
    for _ in range(bounds.depth):
        inner: list[Json] = []
        for parent in level:
            seen += len(parent)
            if seen > bounds.values:
                raise FlowTooLargeError(f"The document has more than {bounds.values:,} values.")
            if type(parent) is dict:
                _check_keys(parent)
            for value in parent.values() if type(parent) is dict else parent:
                if type(value) is dict or type(value) is list:
                    inner.append(value)
                else:
                    _check_leaf(value)
        if not inner:
            return
        level = inner
    raise FlowTooLargeError(f"The document is nested deeper than {bounds.depth} levels.")


def _check_keys(parent: dict[Json, Json]) -> None:
    for key in parent:
        if type(key) is not str:
            raise FlowFormatError(f"An object has a key that is no text but {type(key).__name__}.")
        _check_text(key)


def _check_leaf(value: Json) -> None:
    match value:
        case None | bool():
            return
        case str():
            _check_text(value)
        case int() if value in _INTEGERS:
            return
        case float() if math.isfinite(value):
            return
        case int() | float():
            raise FlowFormatError(f"JSON cannot carry the number {str(value)[:40]}.")
        case _:
            raise FlowFormatError(f"JSON cannot carry a {type(value).__name__}.")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        code = ord(cause.object[cause.start])
        raise FlowFormatError(f"A text has a lone surrogate (U+{code:04X}).") from None
