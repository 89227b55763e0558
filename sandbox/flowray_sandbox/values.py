"""Values on their way between sandboxes: what a node puts out, as the channel carries it, and the lfx object back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import pandas as pd  # type: ignore[import-untyped]  # has no stubs
from lfx.schema.data import Data
from lfx.schema.image import Image
from lfx.schema.message import Message
from pydantic import BaseModel

from flowray_sandbox import large, tags
from flowray_sandbox.tags import CannotTravelError

INLINE_LIMIT_BYTES = 64 * 1024
_NO_FIELDS = ("data", "text_key", "default_value", tags.OLD_STREAM)
_FIELDS = {*Message.model_fields, "text", "id", tags.OLD_STREAM}


def encode(value: Any, keep: Callable[[bytes], int]) -> dict[str, Any]:
    """The value as the channel carries it. `keep` sends large bytes aside and gives their number."""
    if isinstance(value, Message) and (text := _quick(value)) is not None and len(text) <= INLINE_LIMIT_BYTES:
        return {"type": "message", "json": orjson.Fragment(text)}
    kind, plain = _typed(value)
    if kind == "bytes":
        return {"type": kind, "blob": keep(plain)}
    if kind == "text" and len(plain) > INLINE_LIMIT_BYTES:
        return {"type": kind, "blob": keep(plain.encode(errors="replace"))}
    text = tags.text_of(plain)
    if len(text) <= INLINE_LIMIT_BYTES:
        return {"type": kind, "json": orjson.Fragment(text)}
    return {"type": kind, "blob": keep(tags.clean(plain).encode() if kind == "text" else text)}


def decode(value: Mapping[str, Any], blobs: list[bytes]) -> Any:
    """The value back from the channel's form."""
    kind = value["type"]
    read = _READ.get(kind, tags.restored)
    if "blob" not in value:
        return read(value.get("json"))
    raw = blobs[value["blob"]]
    if kind == "bytes":
        return raw
    return raw.decode() if kind == "text" else read(orjson.loads(raw))


def opaque(value: Any) -> dict[str, Any]:
    """Stands in the journal for an output that only this sandbox can use."""
    return {"type": "object", "json": tags.tagged(tags.OPAQUE, type(value).__name__)}


def _typed(value: Any) -> tuple[str, Any]:
    for kinds, kind, form in _TYPES:
        if isinstance(value, kinds):
            return kind, form(value)
    return "object", tags.plain(value)


def _quick(message: Message) -> bytes | None:
    """The JSON of a message that holds nothing but what lfx put into it; most do."""
    if message.text_stream is not None or not message.data.keys() <= _FIELDS:
        return None
    said = message.text
    if isinstance(said, str) and len(said) > large.LARGE_CHARS:
        return None
    fields = {**message.data, **message.__dict__, "text": said}
    for name in _NO_FIELDS:
        fields.pop(name, None)
    try:
        return orjson.dumps(fields, default=_part)
    except TypeError:
        return None


def _part(part: Any) -> Any:
    # Images travel as their paths, tagged.
    if isinstance(part, BaseModel) and not isinstance(part, Image) and type(part).__module__.startswith("lfx.schema."):
        return part.model_dump()
    raise CannotTravelError


_TYPES: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (type(None), "none", tags.plain),
    ((bool, np.bool_), "boolean", bool),
    ((int, float, np.integer, np.floating), "number", tags.plain),
    (str, "text", str),
    ((bytes, bytearray), "bytes", bytes),
    (Message, "message", tags.message_json),
    (Data, "data", tags.data_json),
    (pd.DataFrame, "dataframe", tags.table_json),
    ((list, tuple, set, frozenset), "list", tags.plain),
)
_READ: Mapping[str, Callable[[Any], Any]] = {
    "message": tags.message_of,
    "data": tags.data_of,
    "dataframe": tags.table_of,
}
