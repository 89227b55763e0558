"""Any plain Python value as JSON: what JSON has no word for is tagged, and comes back as what it was.

`{"$flowray": kind, "value": ...}` stands for a date, a table inside a list, a dictionary whose keys are no text, and
so on. Nothing is ever pickled; what has no such form cannot travel.
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
import pandas as pd  # type: ignore[import-untyped]  # has no stubs
from lfx.schema.data import Data
from lfx.schema.image import Image
from lfx.schema.message import Message
from pydantic import BaseModel

from flowray_sandbox import large, tables

TAG = "$flowray"
OPAQUE = "opaque"
# lfx leaves the stream that a message's text came from in its data.
OLD_STREAM = "_text_stream"
_LARGEST_INT = 2**63
_DEEPEST = 100
_MESSAGE_OWN = ("data", "text_key", "default_value")


class CannotTravelError(Exception):
    """The value has no form outside this sandbox; the message names its type."""


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON with tags."""
    if depth > _DEEPEST:
        raise CannotTravelError(f"a value nested more than {_DEEPEST} levels deep")
    for kinds, form in _PLAIN:
        if isinstance(value, kinds):
            return form(value, depth)
    for kind, (class_, write, _) in _TAGGED.items():
        if isinstance(value, class_):
            return tagged(kind, write(value))
    raise CannotTravelError(f"a {type(value).__module__}.{type(value).__qualname__}")


def restored(plain: Any) -> Any:
    """The Python value of JSON with tags."""
    if isinstance(plain, list):
        return [restored(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if TAG not in plain:
        return {key: restored(item) for key, item in plain.items()}
    if plain[TAG] not in _TAGGED:
        raise CannotTravelError(f"a {plain.get('value')}")
    return _TAGGED[plain[TAG]][2](plain["value"])


def tagged(kind: str, value: Any) -> dict[str, Any]:
    """The stand-in for something that JSON has no word for."""
    return {TAG: kind, "value": value}


def message_json(message: Message) -> dict[str, Any]:
    """What is needed to make the message again."""
    if message.text_stream is not None:
        raise CannotTravelError("a Message whose text is still streaming")
    fields = {name: getattr(message, name) for name in type(message).model_fields if name not in _MESSAGE_OWN}
    # The fields win over `data`, their mirror: setting a message's text leaves the mirror of its blocks behind.
    told = {**message.data, **fields, "text": message.text}
    return {name: plain(item, 1) for name, item in told.items() if name != OLD_STREAM}


def message_of(plain: Mapping[str, Any]) -> Message:
    """The message again."""
    message = Message(**{name: restored(item) for name, item in plain.items()})
    # lfx keeps the models of these in a message's data, not what they were made from.
    for name in ("properties", "content_blocks"):
        if name in message.data:
            message.data[name] = getattr(message, name)
    return message


def data_json(data: Data) -> dict[str, Any]:
    """A record with what lfx knows of it."""
    return {"data": plain(data.data, 1), "text_key": data.text_key, "default_value": data.default_value}


def data_of(plain: Mapping[str, Any]) -> Data:
    """The record again."""
    text_key, default = plain.get("text_key", "text"), plain.get("default_value")
    return Data(data=restored(plain["data"]), text_key=text_key, default_value=default)


def table_json(table: pd.DataFrame) -> dict[str, Any]:
    """A table with the types of its columns."""
    return tables.to_json(table, lambda cell: plain(cell, 2))


def table_of(plain: Mapping[str, Any]) -> Any:
    """The table again."""
    return tables.from_json(plain, restored)


def text_of(plain: Any) -> bytes:
    """JSON text of JSON, but for characters that are no text, and numbers of more than 64 bits, which become one."""
    try:
        return orjson.dumps(plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # A lone surrogate is no character, and a number may be too long: no JSON reader outside would take either.
        return orjson.dumps(_cleaned(plain), option=orjson.OPT_NON_STR_KEYS)


def clean(text: str) -> str:
    """The text without lone surrogates."""
    return text.encode(errors="replace").decode()


def _cleaned(plain: Any) -> Any:
    match plain:
        case str():
            return clean(plain)
        case int() if not -_LARGEST_INT <= plain < _LARGEST_INT:
            return str(plain)
        case list():
            return [_cleaned(item) for item in plain]
        case dict():
            return {clean(key) if isinstance(key, str) else key: _cleaned(item) for key, item in plain.items()}
        case _:
            return plain


def _int(value: int, _: int) -> Any:
    return int(value) if -_LARGEST_INT <= value < _LARGEST_INT else tagged("int", str(value))


def _float(value: float, _: int) -> Any:
    return float(value) if math.isfinite(value) else tagged("float", repr(float(value)))


def _mapping(value: Mapping[Any, Any], depth: int) -> Any:
    items = {key: plain(item, depth + 1) for key, item in value.items()}
    if TAG not in items and all(type(key) is str for key in items):
        return items
    return tagged("dict", [[plain(key, depth + 1), item] for key, item in items.items()])


def _part_of_message(value: BaseModel, depth: int) -> Any:
    """Parts of messages: the message's own fields read them back from their dumps."""
    if not type(value).__module__.startswith("lfx.schema."):
        raise CannotTravelError(f"a {type(value).__module__}.{type(value).__qualname__}")
    return plain(value.model_dump(), depth + 1)


def _dict_of(pairs: list[list[Any]]) -> dict[Any, Any]:
    return {restored(key): restored(item) for key, item in pairs}


_Plain = Callable[[Any, int], Any]
# In this order: a bool is an int, an enum of texts a text, a message a record and a model.
_PLAIN: tuple[tuple[Any, _Plain], ...] = (
    ((type(None), bool), lambda value, _: value),
    (Enum, lambda value, depth: plain(value.value, depth)),
    (str, lambda value, _: str(value) if len(value) <= large.LARGE_CHARS else large.quoted(value)),
    (int, _int),
    (float, _float),
    (dict, _mapping),
    ((list, tuple, set, frozenset), lambda value, depth: [plain(item, depth + 1) for item in value]),
    # Their items are whole numbers where they count nanoseconds.
    (np.datetime64, lambda value, depth: plain(pd.Timestamp(value), depth)),
    (np.timedelta64, lambda value, depth: plain(pd.Timedelta(value), depth)),
    (np.generic, lambda value, depth: plain(value.item(), depth)),
    (Message, lambda value, _: tagged("message", message_json(value))),
    (Data, lambda value, _: tagged("data", data_json(value))),
    (pd.DataFrame, lambda value, _: tagged("dataframe", table_json(value))),
    (Image, lambda value, _: tagged("image", value.path)),
    (BaseModel, _part_of_message),
    # Here and not below: a missing date is a datetime, of the year 1.
    ((type(pd.NA), type(pd.NaT)), lambda *_: None),
)
# How each tag is written, where no rule above does it, and read. A datetime is also a date, so it comes first.
_TAGGED: Mapping[str, tuple[type | tuple[()], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "int": ((), str, int),
    "float": ((), repr, float),
    "dict": ((), list, _dict_of),
    "message": ((), message_json, message_of),
    "data": ((), data_json, data_of),
    "dataframe": ((), table_json, table_of),
    "image": ((), str, lambda path: Image(path=path)),
    "timestamp": (pd.Timestamp, pd.Timestamp.isoformat, pd.Timestamp),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "duration": (timedelta, timedelta.total_seconds, lambda seconds: timedelta(seconds=seconds)),
    "uuid": (UUID, str, UUID),
    "decimal": (Decimal, str, Decimal),
    "path": (PurePath, str, str),
    "bytes": (bytes, lambda raw: base64.b64encode(raw).decode(), base64.b64decode),
}
