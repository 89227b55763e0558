"""From frames to events: what a sandbox says of its own step, checked, and never believed beyond that step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Final

import orjson

from flowray.component.terms import PROVIDER_TROUBLES
from flowray.engine.events import (
    BranchStopped,
    ContextChanged,
    Log,
    MessageAdded,
    ModelUsed,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    Token,
)
from flowray.engine.values import INLINE_LIMIT_BYTES, Value
from flowray.errors import ChannelError
from flowray.flow.types import Json, NodeId
from flowray.runner.frames import Caps, parsed
from flowray.runner.masking import Mask

PRINTED_LIMIT_BYTES: Final = 1024 * 1024
# What people are shown of a node travels in the journal up to here.
SHOWN_LIMIT_BYTES: Final = 256 * 1024
_TYPES = frozenset(
    {"message", "data", "dataframe", "text", "number", "boolean", "list", "object", "bytes", "none"},
)
_STREAMS = frozenset({"log", "stdout", "stderr"})
# What people read; the rest are names, and outputs, which the journal never shows when they hold a secret.
_SHOWN = ("text", "message", "name", "result", "error", "error_type", "traceback", "values", "request")
_NAME_LENGTH = 500
_LARGEST_INT = 2**63
# A third of a year. Without an end, a few of them add up to what no sum and no clock can say.
_LONGEST_S = 1e7


@dataclass(frozen=True, kw_only=True, slots=True)
class Unstored:
    """An event that is too large or too secret for the journal: what is held waits for a store.

    `held` are outputs by port, and under no name what a paused node wants back; `shown` is the JSON text of a large
    result or message.
    """

    event: NodeFinished | MessageAdded | NodePaused
    held: Mapping[str, bytes] = _field(default_factory=dict)
    shown: bytes | None = None


Claim = NodeEvent | Unstored
_Said = dict[str, Json]


class Claims:
    """The ear at one sandbox. `nodes` are those of its step, `known` those of its flow."""

    def __init__(self, *, nodes: frozenset[NodeId], known: frozenset[NodeId], mask: Mask, caps: Caps) -> None:
        self._nodes = nodes
        self._known = known
        self._mask = mask
        self._caps = caps
        self._blobs: dict[int, bytes] = {}
        self._blobs_sent = 0
        self._printed = dict.fromkeys(_STREAMS, 0)

    def blob(self, content: bytes) -> None:
        """Keep a blob for the event that will speak of it."""
        self._blobs[self._blobs_sent] = content
        self._blobs_sent += 1

    def blob_of(self, number: Json) -> bytes:
        """The bytes of a blob that was sent, which may be spoken of once."""
        content = self._blobs.pop(number, None) if type(number) is int else None
        if content is None:
            raise ChannelError("the sandbox spoke of a blob that it did not send, or spoke of it before")
        return content

    def event(self, payload: bytes) -> Claim | None:
        """Return what an EVENT frame says; None when there is more printed than is kept."""
        said = parsed(payload, self._caps)
        self._check_node(said)
        secret = self._mask.found_in(payload)
        if secret:
            said |= {key: self._mask.json(said[key]) for key in _SHOWN if key in said}
        match said.get("kind"):
            case "log":
                return self._log(said)
            case "node_finished":
                return self._finished(said, secret=secret, size=len(payload))
            case "message" if len(payload) > SHOWN_LIMIT_BYTES:
                return Unstored(
                    event=MessageAdded(node=said["node"], message=None), shown=orjson.dumps(_object(said, "message"))
                )
            case "node_paused":
                return self._paused(said)
            case "branch_stopped":
                return self._branch(said)
            case str(kind) if kind in _PLAIN:
                return _PLAIN[kind](said)
            case kind:
                raise ChannelError(f"the sandbox sent an event of unknown kind {str(kind)[:40]!r}")

    def _check_node(self, said: _Said) -> None:
        node = said.get("node")
        if type(node) is str and node in self._nodes:
            return
        if node or said.get("kind") != "log":
            raise ChannelError("the sandbox spoke of a node that is not of its step")

    def _log(self, said: _Said) -> Log | None:
        stream, text = _text(said, "stream", "log"), _text(said, "text")
        if stream not in _STREAMS:
            raise ChannelError("the sandbox logged to an unknown stream")
        kept = self._kept(stream, len(text))
        if kept is None:
            return None
        return Log(
            node=NodeId(said.get("node") or ""),
            text=text if kept else _DROPPED,
            stream=stream,
            name=_text(said, "name", ""),
        )

    def _kept(self, stream: str, length: int) -> bool | None:
        """True while there is room, False for the one that is replaced by a notice, None from then on."""
        before = self._printed[stream]
        self._printed[stream] = before + max(length, 1)
        if self._printed[stream] <= PRINTED_LIMIT_BYTES:
            return True
        return False if before <= PRINTED_LIMIT_BYTES else None

    def _finished(self, said: _Said, *, secret: bool, size: int) -> Claim:
        judge = secret or size > INLINE_LIMIT_BYTES
        values: dict[str, Value] = {}
        held: dict[str, bytes] = {}
        for port, claimed in _object(said, "outputs").items():
            values[_name(port)], content = self._value(claimed, judge=judge)
            if content is not None:
                held[port] = content
        event = NodeFinished(
            node=said["node"],
            outputs=values,
            result=None if size > SHOWN_LIMIT_BYTES else said.get("result"),
            took_s=_seconds(said, "took_s"),
            usage=_counts(said.get("usage") or {}),
            cached=said.get("cached") is True,
        )
        shown = orjson.dumps(said.get("result")) if size > SHOWN_LIMIT_BYTES else None
        return Unstored(event=event, held=held, shown=shown) if held or shown else event

    def _value(self, claimed: Json, *, judge: bool) -> tuple[Value, bytes | None]:
        """Return a value, and its bytes when they have to be stored: outputs go on to other steps as they are."""
        kind = claimed.get("type") if type(claimed) is dict else None
        if type(kind) is not str or kind not in _TYPES:
            raise ChannelError("the sandbox sent an output that is no value")
        if "blob" in claimed:
            return Value(type=kind), self.blob_of(claimed["blob"])
        value = Value(type=kind, json=claimed.get("json"))
        return self._judged(value) if judge else (value, None)

    def _judged(self, value: Value) -> tuple[Value, bytes | None]:
        content = value.json.encode() if value.type == "text" and type(value.json) is str else orjson.dumps(value.json)
        if len(content) <= INLINE_LIMIT_BYTES and not self._mask.found_in(content):
            return value, None
        return Value(type=value.type), content

    def _paused(self, said: _Said) -> Claim:
        event = NodePaused(node=said["node"], request=_object(said, "request"))
        number = said.get("state")
        return event if number is None else Unstored(event=event, held={"": self.blob_of(number)})

    def _branch(self, said: _Said) -> BranchStopped:
        stopped = said.get("nodes")
        if type(stopped) is not list or not all(type(node) is str and node in self._known for node in stopped):
            raise ChannelError("the sandbox stopped a node that is not of its flow")
        return BranchStopped(
            node=said["node"],
            output=_name(said.get("output")),
            nodes=tuple(map(NodeId, stopped)),
            lasting=said.get("lasting") is True,
        )


_DROPPED = f"[more than {PRINTED_LIMIT_BYTES // 1024} KiB were printed; the rest is dropped]"


def _failed(said: _Said) -> NodeFailed:
    return NodeFailed(
        node=said["node"],
        error=_text(said, "error"),
        error_type=_text(said, "error_type", ""),
        traceback=_text(said, "traceback", ""),
        cause=cause_of(said),
    )


def cause_of(said: Mapping[str, Json]) -> str:
    """Return the provider's trouble that a failure is said to come from; only a retry hangs on it."""
    cause = said.get("cause")
    return cause if type(cause) is str and cause in PROVIDER_TROUBLES else ""


def _text(said: _Said, key: str, default: str | None = None) -> str:
    text = said.get(key, default)
    if type(text) is not str:
        raise ChannelError(f"the sandbox sent an event whose `{key}` is no text")
    return text


def _name(value: Json) -> str:
    if type(value) is not str or not value or len(value) > _NAME_LENGTH:
        raise ChannelError("the sandbox sent an output without a usable name")
    return value


def _object(said: _Said, key: str) -> _Said:
    value = said.get(key)
    if type(value) is not dict:
        raise ChannelError(f"the sandbox sent an event whose `{key}` is no object")
    return value


def _seconds(said: _Said, key: str) -> float:
    value = said.get(key, 0.0)
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_S:
        raise ChannelError(f"the sandbox sent an event whose `{key}` is no number of seconds")
    return float(value)


def _counts(usage: Json) -> Mapping[str, int]:
    if type(usage) is not dict:
        raise ChannelError("the sandbox sent usage that is no object")
    for name, count in usage.items():
        if type(count) is not int or not 0 <= count < _LARGEST_INT:
            raise ChannelError(f"the sandbox sent usage whose `{_name(name)[:40]}` is no count")
    return usage


def _count(said: _Said, key: str) -> int:
    return _counts({key: said.get(key, 0)})[key]


_PLAIN: Mapping[str, Callable[[_Said], NodeEvent]] = {
    "node_started": lambda said: NodeStarted(node=said["node"], after_s=_seconds(said, "after_s")),
    "token": lambda said: Token(node=said["node"], text=_text(said, "text"), message=_text(said, "message", "")),
    "message": lambda said: MessageAdded(node=said["node"], message=_object(said, "message")),
    "context": lambda said: ContextChanged(node=said["node"], values=_object(said, "values")),
    "node_failed": _failed,
    "model_used": lambda said: ModelUsed(
        node=said["node"],
        model=_text(said, "model", "")[:_NAME_LENGTH],
        input_tokens=_count(said, "input_tokens"),
        output_tokens=_count(said, "output_tokens"),
    ),
}
