"""What the nodes of a step tell the world while they run, as events on the channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import orjson
from lfx.events.event_manager import EventManager
from lfx.serialization.serialization import serialize

from flowray_sandbox import large, tags
from flowray_sandbox.channel import FLUSH_S, SPOKEN_S, Channel
from flowray_sandbox.failures import JobFailedError

# Whose code is running: set around each node, inherited by the threads and tasks that its code starts.
running_node: ContextVar[str] = ContextVar("running_node", default="")


class Report:
    """Says what happens to nodes; the fields are those of the engine's events."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._begun = time.monotonic()
        self.kept_bytes = 0

    def started(self, node: str) -> None:
        """The node begins to run."""
        after_s = time.monotonic() - self._begun
        self._channel.event({"kind": "node_started", "node": node, "after_s": after_s})

    def finished(
        self, node: str, outputs: Mapping[str, Any], *, result: bytes, took_s: float, usage: Mapping[str, int]
    ) -> None:
        """The node is done; `result` is JSON text."""
        if len(result) > large.LARGE_CHARS:
            large.room_for(2 * len(result))
        self._channel.event(
            {
                "kind": "node_finished",
                "node": node,
                "outputs": outputs,
                "result": orjson.Fragment(result),
                "took_s": took_s,
                "usage": usage,
                "cached": False,
            }
        )

    def paused(self, node: str, request: Mapping[str, Any], state: bytes | None) -> None:
        """The node waits for a decision, and wants `state` back with it."""
        number = None if state is None else self.keep(state)
        self._event({"kind": "node_paused", "node": node, "request": request, "state": number})

    def model_used(self, node: str, model: str, *, input_tokens: int, output_tokens: int) -> None:
        """A node has called a model."""
        counts = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        self._channel.event({"kind": "model_used", "node": node, "model": model, **counts})

    def failed(self, node: str, failure: JobFailedError) -> None:
        """The node's code raised."""
        told = {"kind": "node_failed", **failure.answer(), "node": node}
        self._channel.event({**told, "kind": "node_failed"})

    def token(self, node: str, text: str, message: str) -> None:
        """A piece of streamed text."""
        self._event({"kind": "token", "node": node, "text": text, "message": message}, within_s=SPOKEN_S)

    def message(self, node: str, message: Any) -> None:
        """A chat message came to be or changed."""
        self._event({"kind": "message", "node": node, "message": message}, within_s=SPOKEN_S)

    def log(self, node: str, text: str, *, stream: str = "log", name: str = "", within_s: float = FLUSH_S) -> None:
        """Something a node logged or printed; past the limit it is dropped, and that is said."""
        told = {"kind": "log", "node": node, "text": large.told(text), "stream": stream, "name": name}
        self._event(told, within_s=within_s)

    def later(self, after_s: float, call: Callable[[], object]) -> None:
        """Have this called on the event loop after a while, to report something then. May be asked from any thread."""
        self._channel.later(after_s, call)

    def branch_stopped(self, node: str, output: str, nodes: Sequence[str], *, lasting: bool) -> None:
        """The node closed what hangs on one of its outputs."""
        event = {"kind": "branch_stopped", "node": node, "output": output, "nodes": list(nodes), "lasting": lasting}
        self._channel.event(event)

    def context(self, node: str, changed: Mapping[str, Any]) -> None:
        """The node wrote to the flow's shared context."""
        self._event({"kind": "context", "node": node, "values": changed})

    def keep(self, content: bytes) -> int:
        """Send large bytes aside."""
        self.kept_bytes += len(content)
        return self._channel.blob(content)

    def _event(self, event: Mapping[str, Any], *, within_s: float = FLUSH_S) -> None:
        self._channel.event({name: json_of(item) for name, item in event.items()}, within_s=within_s)


class Voice(EventManager):
    """What lfx takes for its event queue: components speak through it, wherever they run."""

    def __init__(self, report: Report) -> None:
        self.queue = None
        self.events = {}
        self._loop = None
        self._report = report

    def on_token(self, *, data: Any) -> None:
        """A component streams text."""
        self._report.token(running_node.get(), str(data.get("chunk", "")), str(data.get("id", "")))

    def on_message(self, *, data: Any) -> None:
        """A component sends or updates a chat message."""
        self._report.message(running_node.get(), _without_stream(data))

    def on_log(self, *, data: Any) -> None:
        """A component logs."""
        self._report.log(running_node.get(), text_of(data.get("message")), name=str(data.get("name") or ""))

    def send_event(self, *, event_type: str, data: Any) -> None:
        """Other events of lfx tell what our own events already say."""


def _without_stream(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    kept = {name: item for name, item in message.items() if name != tags.OLD_STREAM}
    if isinstance(kept.get("data"), dict):
        kept["data"] = {name: item for name, item in kept["data"].items() if name != tags.OLD_STREAM}
    return kept


def text_of(logged: Any) -> str:
    """A log's message as text: components log records and lists, too."""
    return logged if isinstance(logged, str) else _text(logged).decode()


def json_of(item: Any) -> Any:
    """Anything as JSON, one way or another: what has no form of its own is told as text."""
    if isinstance(item, str):
        if len(item) > large.LARGE_CHARS:
            return large.quoted(item)
        return item if item.isascii() else item.encode(errors="replace").decode()
    return orjson.Fragment(_text(item))


def _text(item: Any) -> bytes:
    try:
        return orjson.dumps(item, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError, RecursionError):
        return tags.text_of(serialize(item, to_str=True))
