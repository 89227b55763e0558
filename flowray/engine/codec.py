"""Events as JSON, for journals and streams: one object per event, `kind` beside its fields.

Fields that a later version added are passed over; an unknown kind and a missing field without a default are errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args

import orjson

from flowray.engine.events import (
    BranchStopped,
    Event,
    MessageAdded,
    NodeFinished,
    NodePaused,
    Recorded,
    RunAccepted,
    RunId,
    StepStarted,
)
from flowray.engine.values import Ref, Value
from flowray.errors import FlowRayError

# Marks JSON for the slow reader: orjson makes floats of integers that are too long for it.
_SLOWLY = b" "


class EventFormatError(FlowRayError):
    """A journal holds an event that this version does not know."""

    code = "event_format"


def kind_of(event: Event) -> str:
    """The event's name in JSON: `node_finished` for NodeFinished."""
    return _KIND_OF[type(event)]


def encode(recorded: Recorded) -> bytes:
    """One event as JSON text, without line breaks."""
    event = recorded.event
    plain = {"seq": recorded.seq, "at": recorded.at, "run": recorded.run, "kind": _KIND_OF[type(event)]}
    for name, said in _FIELDS[type(event)]:
        plain[said] = getattr(event, name)
    return dumps(plain)


def decode(text: bytes) -> Recorded:
    """The event that was encoded."""
    return from_json(loads(text))


def as_json(recorded: Recorded) -> dict[str, Any]:
    """One event as a JSON object."""
    plain: dict[str, Any] = loads(encode(recorded))
    return plain


def from_json(plain: Mapping[str, Any]) -> Recorded:
    """The event that a JSON object says."""
    try:
        return Recorded(seq=plain["seq"], at=plain["at"], run=RunId(plain["run"]), event=_event(plain))
    except (KeyError, TypeError, AttributeError) as cause:
        raise EventFormatError(f"A journal's event cannot be read: {cause!r}") from cause


def dumps(plain: Any) -> bytes:
    """JSON text; also of what orjson refuses: 254 levels, lone surrogates, integers of more than 64 bits."""
    try:
        return orjson.dumps(plain, default=_plain)
    except TypeError:
        return _SLOWLY + json.dumps(plain, default=_plain, separators=(",", ":")).encode()


def loads(text: bytes) -> Any:
    """What `dumps` wrote."""
    if text.startswith(_SLOWLY):
        return json.loads(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _event(plain: Mapping[str, Any]) -> Event:
    kind = plain["kind"]
    event_class = _CLASSES.get(kind)
    if event_class is None:
        raise EventFormatError(f"`{str(kind)[:80]}` is no kind of event that this version of FlowRay knows.")
    given = {name: plain[said] for name, said in _FIELDS[event_class] if said in plain}
    if missing := _REQUIRED[event_class] - given.keys():
        raise EventFormatError(f"An event `{kind}` lacks {', '.join(sorted(missing))}.")
    for name, read in _READERS.get(event_class, {}).items():
        if name in given:
            given[name] = read(given[name])
    return event_class(**given)


def _plain(value: Any) -> Any:
    """What JSON has no words for. orjson asks only about mappings that are no dicts."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _value(plain: Mapping[str, Any]) -> Value:
    return Value(type=plain["type"], json=plain.get("json"), ref=_ref(plain.get("ref")))


def _values(plain: Mapping[str, Any]) -> dict[str, Value]:
    return {port: _value(value) for port, value in plain.items()}


def _ref(plain: Mapping[str, Any] | None) -> Ref | None:
    return None if plain is None else Ref(key=plain["key"], size=plain["size"], sha256=plain["sha256"])


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


_CLASSES: Mapping[str, type[Event]] = {_snake(event.__name__): event for event in get_args(Event)}
_KIND_OF = {event: kind for kind, event in _CLASSES.items()}
# Each field's name in Python and in JSON, where `kind` is the event's own and a failure's kind gets another name.
_FIELDS = {
    event: tuple((field.name, "failure" if field.name == "kind" else field.name) for field in fields(event))
    for event in _KIND_OF
}
_REQUIRED = {
    event: {f.name for f in fields(event) if f.default is MISSING and f.default_factory is MISSING}
    for event in _KIND_OF
}
# How fields that are more than JSON are read back.
_READERS: Mapping[type[Event], Mapping[str, Callable[[Any], Any]]] = {
    RunAccepted: {"request": _ref},
    MessageAdded: {"message_ref": _ref},
    NodeFinished: {"outputs": _values, "result_ref": _ref},
    BranchStopped: {"nodes": tuple},
    StepStarted: {"degraded": tuple},
    NodePaused: {"state": _ref},
}
