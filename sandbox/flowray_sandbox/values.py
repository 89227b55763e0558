"""Values on their way between sandboxes: what a node puts out, as typed JSON, and the lfx object back from it.

Plain JSON stays as it is. What JSON has no word for (a date inside a record, a table inside a list) is tagged:
`{"$flowray": kind, "value": ...}`. Nothing is ever pickled; what has no such form cannot travel.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pandas as pd
from lfx.schema.data import Data
from lfx.schema.image import Image
from lfx.schema.message import Message
from pydantic import BaseModel

from flowray_sandbox import tables

TAG = "$flowray"
OPAQUE = "opaque"
INLINE_LIMIT_BYTES = 64 * 1024
_LARGEST_INT = 2**63
_DEEPEST = 100
_MESSAGE_OWN = ("data", "text_key", "default_value")


class CannotTravelError(Exception):
    """The value has no form outside this sandbox; the message names its type."""


def encode(value: Any, keep: Callable[[bytes], int]) -> dict[str, Any]:
    """The value as the channel carries it. `keep` sends large bytes aside and gives their number."""
    kind, plain = _typed(value)
    if kind == "bytes":
        return {"type": kind, "blob": keep(plain)}
    text = _dump(plain)
    if len(text) <= INLINE_LIMIT_BYTES:
        return {"type": kind, "json": orjson.Fragment(text)}
    return {"type": kind, "blob": keep(_clean(plain).encode() if kind == "text" else text)}


def decode(value: Mapping[str, Any], blobs: list[bytes]) -> Any:
    """The value back from the channel's form."""
    kind = value["type"]
    if "blob" not in value:
        return _typed_back(kind, value.get("json"))
    raw = blobs[value["blob"]]
    if kind == "bytes":
        return raw
    return raw.decode() if kind == "text" else _typed_back(kind, orjson.loads(raw))


def opaque(value: Any) -> dict[str, Any]:
    """Stands in the journal for an output that only this sandbox can use."""
    return {"type": "object", "json": {TAG: OPAQUE, "value": type(value).__name__}}


def to_json(value: Any) -> bytes:
    """JSON text of anything that is JSON but for characters that are no text."""
    return _dump(value)


def _typed(value: Any) -> tuple[str, Any]:
    match value:
        case None:
            return "none", None
        case bool() | np.bool_():
            return "boolean", bool(value)
        case int() | float() | np.integer() | np.floating():
            return "number", plain(value)
        case str():
            return "text", str(value)
        case bytes() | bytearray():
            return "bytes", bytes(value)
        case Message():
            return "message", _message(value)
        case Data():
            return "data", _data(value)
        case pd.DataFrame():
            return "dataframe", _table(value)
        case list() | tuple() | set() | frozenset():
            return "list", [plain(item, 1) for item in value]
        case _:
            return "object", plain(value)


def _typed_back(kind: str, plain: Any) -> Any:
    match kind:
        case "message":
            return _message_of(plain)
        case "data":
            return _data_of(plain)
        case "dataframe":
            return tables.from_json(plain, restored)
        case _:
            return restored(plain)


def _message(message: Message) -> dict[str, Any]:
    if message.text_stream is not None:
        raise CannotTravelError("a Message whose text is still streaming")
    fields = {name: getattr(message, name) for name in type(message).model_fields if name not in _MESSAGE_OWN}
    # The fields win over `data`, their mirror: setting a message's text leaves the mirror of its blocks behind.
    return {name: plain(item, 1) for name, item in {**message.data, **fields, "text": message.text}.items()}


def _message_of(plain: Mapping[str, Any]) -> Message:
    return Message(**{name: restored(item) for name, item in plain.items()})


def _data(data: Data) -> dict[str, Any]:
    return {
        "data": plain(data.data, 1),
        "text_key": data.text_key,
        "default_value": data.default_value,
    }


def _data_of(plain: Mapping[str, Any]) -> Data:
    return Data(
        data=restored(plain["data"]),
        text_key=plain.get("text_key", "text"),
        default_value=plain.get("default_value"),
    )


def _table(table: pd.DataFrame) -> dict[str, Any]:
    return tables.to_json(table, lambda cell: plain(cell, 2))


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON with tags."""
    if depth > _DEEPEST:
        raise CannotTravelError(f"a value nested more than {_DEEPEST} levels deep")
    match value:
        case None | bool():
            return value
        case Enum():
            return plain(value.value, depth)
        case str():
            return str(value)
        case int():
            return int(value) if -_LARGEST_INT <= value < _LARGEST_INT else _tagged("int", str(value))
        case float():
            return float(value) if math.isfinite(value) else _tagged("float", repr(float(value)))
        case dict():
            return _plain_mapping(value, depth)
        case list() | tuple() | set() | frozenset():
            return [plain(item, depth + 1) for item in value]
        case _:
            return _plain_object(value, depth)


def _plain_mapping(value: Mapping[Any, Any], depth: int) -> Any:
    items = {key: plain(item, depth + 1) for key, item in value.items()}
    if TAG not in items and all(type(key) is str for key in items):
        return items
    return _tagged("dict", [[plain(key, depth + 1), item] for key, item in items.items()])


def _plain_object(value: Any, depth: int) -> Any:
    """Things JSON has no word for."""
    if isinstance(value, np.generic):
        return plain(value.item(), depth)
    for kind, (class_, form, _) in _SCALARS.items():
        if isinstance(value, class_):
            return _tagged(kind, form(value))
    match value:
        case Message():
            return _tagged("message", _message(value))
        case Data():
            return _tagged("data", _data(value))
        case pd.DataFrame():
            return _tagged("dataframe", _table(value))
        case BaseModel() if type(value).__module__.startswith("lfx.schema."):
            # Parts of messages: their own fields read them back from their dumps.
            return plain(value.model_dump(), depth + 1)
    if value is pd.NA or value is pd.NaT:
        return None
    raise CannotTravelError(f"a {type(value).__module__}.{type(value).__qualname__}")


def restored(plain: Any) -> Any:
    """The Python value of JSON with tags."""
    if isinstance(plain, list):
        return [restored(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if TAG not in plain:
        return {key: restored(item) for key, item in plain.items()}
    kind, value = plain[TAG], plain.get("value")
    if kind in _SCALARS:
        return _SCALARS[kind][2](value)
    return _compound(kind, value)


def _compound(kind: str, value: Any) -> Any:
    match kind:
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "dict":
            return {restored(key): restored(item) for key, item in value}
        case "message" | "data" | "dataframe":
            return _typed_back(kind, value)
        case _:
            raise CannotTravelError(f"a {value}")


def _tagged(kind: str, value: Any) -> dict[str, Any]:
    return {TAG: kind, "value": value}


# A datetime is also a date, so it comes first. Images of messages travel as their paths.
_SCALARS: Mapping[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "timestamp": (pd.Timestamp, pd.Timestamp.isoformat, pd.Timestamp),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "duration": (timedelta, timedelta.total_seconds, lambda seconds: timedelta(seconds=seconds)),
    "uuid": (UUID, str, UUID),
    "decimal": (Decimal, str, Decimal),
    "path": (PurePath, str, str),
    "image": (Image, lambda image: image.path, lambda path: Image(path=path)),
    "bytes": ((bytes), lambda raw: base64.b64encode(raw).decode(), base64.b64decode),
}


def _dump(plain: Any) -> bytes:
    try:
        return orjson.dumps(plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # A lone surrogate is no character; no JSON reader outside would take it.
        return orjson.dumps(_cleaned(plain), option=orjson.OPT_NON_STR_KEYS)


def _cleaned(plain: Any) -> Any:
    match plain:
        case str():
            return _clean(plain)
        case list():
            return [_cleaned(item) for item in plain]
        case dict():
            return {_clean(key) if isinstance(key, str) else key: _cleaned(item) for key, item in plain.items()}
        case _:
            return plain


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
