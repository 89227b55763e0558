"""What a node did, as Langflow tells of a built vertex: in streams, in the editor's build, and in its monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from flowray.engine import events as ev
from flowray.flow.types import Edge, Flow, Json
from flowray_serve.langflow_times import iso

_INTERFACES = ("ChatInput", "ChatOutput", "TextInput", "TextOutput", "DataOutput", "Webhook")
_MINUTE_S = 60
_SECOND_MS = 1000


def build_data(
    event: ev.NodeFinished | ev.NodeFailed, flow: Flow | None, *, at: float, stopped: Sequence[str] = ()
) -> dict[str, Any]:
    """The `build_data` of an `end_vertex` event."""
    valid = isinstance(event, ev.NodeFinished)
    following = _after(event.node, flow.edges) if valid and flow is not None else []
    return {
        "id": event.node,
        "inactivated_vertices": list(dict.fromkeys(stopped)),
        "next_vertices_ids": following,
        "top_level_vertices": following,
        "valid": valid,
        "params": params(event),
        "data": response_of(event) if isinstance(event, ev.NodeFinished) else error_of(event, flow),
        "timestamp": iso(at),
    }


def params(event: ev.NodeFinished | ev.NodeFailed) -> str:
    """What the editor shows in a node's status: the artifacts of an input or output, an error, or that it is built."""
    if isinstance(event, ev.NodeFailed):
        return event.error
    artifacts = _part(event.result, "artifacts")
    if not event.node.startswith(_INTERFACES) or not isinstance(artifacts, dict):
        return "Built successfully ✨"
    named = {str(name).replace("_", " ").title(): value for name, value in artifacts.items() if value is not None}
    text: str = yaml.safe_dump([named], default_flow_style=False, allow_unicode=True)
    return text


def response_of(event: ev.NodeFinished) -> dict[str, Any]:
    """A node's result in the shape of Langflow's ResultDataResponse."""
    artifacts = _part(event.result, "artifacts") or {}
    return {
        "results": _part(event.result, "results") or {},
        "outputs": _part(event.result, "outputs") or {},
        "logs": _part(event.result, "logs") or {},
        "message": artifacts,
        "artifacts": artifacts,
        "timedelta": event.took_s,
        "duration": lasting(event.took_s),
        "used_frozen_result": event.cached,
        "token_usage": _part(event.result, "token_usage"),
    }


def error_of(event: ev.NodeFailed, flow: Flow | None = None) -> dict[str, Any]:
    """A node's failure in the same shape, in place of each of its outputs."""
    message = {"errorMessage": event.error, "stackTrace": event.traceback}
    node = flow.by_id.get(event.node) if flow is not None else None
    names = [output.name for output in node.outputs] if node is not None else ["error"]
    return {
        "results": {},
        "outputs": {name: {"message": message, "type": "error"} for name in names},
        "logs": {},
        "message": {},
        "artifacts": {},
        "timedelta": None,
        "duration": None,
        "used_frozen_result": False,
        "token_usage": None,
    }


def lasting(took_s: float) -> str:
    """A duration as people read it."""
    if (took_ms := round(took_s * 1000)) < _SECOND_MS:
        return f"{took_ms} ms"
    if round(took_s, 1) < _MINUTE_S:
        return f"{took_s:.1f} s"
    minutes, seconds = divmod(round(took_s), _MINUTE_S)
    return f"{minutes} min {seconds} s"


def first_layer(flow: Flow) -> list[str]:
    """The nodes that can run at once, in the flow's order."""
    targets = {edge.target for edge in flow.edges if not edge.feedback}
    return [node.id for node in flow.nodes if node.id not in targets]


def _after(node: str, edges: Sequence[Edge]) -> list[str]:
    return list(dict.fromkeys(edge.target for edge in edges if edge.source == node))


def _part(result: Json, name: str) -> Any:
    return result.get(name) if isinstance(result, Mapping) else None
