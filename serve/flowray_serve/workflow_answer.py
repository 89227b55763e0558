"""A run's outcome in the shape of Langflow's `POST /api/v2/workflows`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flowray.engine.events import RunPaused
from flowray.engine.failures import RunFailedError
from flowray.engine.outcome import Outcome
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow, Json, Node, NodeId
from flowray_serve.bodies.workflow import WorkflowBody

_TEXT_TYPES = frozenset({"message", "text"})
# Where the components of Langflow's releases have put what they show, most usual first.
_PLACES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "message": (
        ("message", "message"),
        ("text", "message"),
        ("message", "text"),
        ("message",),
        ("text", "text"),
        ("text",),
    ),
    "data": (("result", "message"), ("results", "message")),
    "dataframe": (("results", "message"), ("result", "message"), ("run_sql_query", "message")),
}


def terminal_nodes(flow: Flow) -> tuple[Node, ...]:
    """The nodes nothing hangs on: those that v2 reports."""
    sources = {edge.source for edge in flow.edges}
    return tuple(node for node in flow.nodes if node.id not in sources)


def succeeded(request: RunRequest, outcome: Outcome, body: WorkflowBody) -> dict[str, Any]:
    """The response of a run that came to its end."""
    outputs = {node.id: component_output(node, outcome.results.get(node.id)) for node in terminal_nodes(request.flow)}
    answer = _answer(outputs, body.output_ids)
    return _response(request, outcome, body, status="completed", output=answer, outputs=outputs)


def failed(request: RunRequest, outcome: Outcome, error: RunFailedError, body: WorkflowBody) -> dict[str, Any]:
    """The response of a run that a component failed: HTTP 200 with the error inside, which is v2's contract."""
    details = {"flow_id": request.flow_id, **error.facts, "code": error.code}
    errors = [{"error": error.message, "code": "EXECUTION_ERROR", "details": details}]
    answer = {"reason": "failed", "text": None, "source": None}
    return _response(request, outcome, body, status="failed", output=answer, errors=errors)


def suspended(request: RunRequest, outcome: Outcome, pause: RunPaused, body: WorkflowBody) -> dict[str, Any]:
    """The response of a run that waits for a decision or a time."""
    answer = {"reason": "none", "text": None, "source": None}
    return _response(request, outcome, body, status="suspended", output=answer) | {
        "session_id": request.session,
        "human_request": asked(pause),
    }


def created(at: float) -> str:
    """A run's `created_timestamp`, of the seconds since the epoch when it was accepted."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def asked(pause: RunPaused) -> Json:
    """What a paused run waits for."""
    return {"until": pause.until} if pause.request is None else pause.request


def component_output(node: Node, result: Json) -> dict[str, Any]:
    """One node's entry: content for outputs and tables, only metadata for other messages."""
    kind = _kind(node)
    shown = _shown(result)
    metadata: dict[str, Any] = {"component_type": node.component}
    content = None
    if node.is_output or kind in ("data", "dataframe"):
        content = _content(shown, kind)
    elif kind == "message" and isinstance(shown, dict):
        metadata.update(_provenance(node, shown))
    return {
        "type": kind,
        "status": "failed" if kind == "error" else "completed",
        "display_name": node.display_name or node.component,
        "content": content,
        "metadata": metadata,
    }


def _answer(outputs: Mapping[NodeId, Mapping[str, Any]], wanted: Sequence[str] | None) -> dict[str, Any]:
    considered = {node: output for node, output in outputs.items() if not wanted or node in wanted}
    channels = {node: output["content"] for node, output in considered.items() if output["type"] in _TEXT_TYPES}
    texts = [(node, content) for node, content in channels.items() if isinstance(content, str)]
    if len(texts) == 1:
        source, text = texts[0]
        return {"reason": "single", "text": text, "source": source}
    reason = "multiple" if texts else "non_string" if channels else "none"
    return {"reason": reason, "text": None, "source": None}


def _kind(node: Node) -> str:
    types = node.outputs[0].types if node.outputs else ()
    return (types[0] if types and types[0] else node.component or "unknown").lower()


def _shown(result: Json) -> Json:
    if not isinstance(result, dict):
        return result
    for name in ("outputs", "results", "messages"):
        if result.get(name) is not None:
            return result[name]
    return None


def _content(shown: Json, kind: str) -> Json:
    if not isinstance(shown, dict):
        return shown
    found = (_at(shown, place) for place in _PLACES.get("message" if kind in _TEXT_TYPES else kind, ()))
    if kind in _TEXT_TYPES:
        return next((value for value in found if isinstance(value, str)), shown)
    return next((value for value in found if value is not None), shown)


def _provenance(node: Node, shown: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    model = _at(shown, ("model_output", "message", "model_name"))
    if model:
        yield "source", {"id": node.id, "display_name": node.display_name or node.component, "source": model}
    saved = _at(shown, ("message", "message"))
    if node.component == "SaveToFile" and isinstance(saved, str) and saved:
        yield "file_path", saved


def _at(shown: Json, place: tuple[str, ...]) -> Json:
    for key in place:
        shown = shown.get(key) if isinstance(shown, dict) else None
    return shown


def _response(
    request: RunRequest, outcome: Outcome, body: WorkflowBody, *, status: str, **facts: Any
) -> dict[str, Any]:
    errors = facts.get("errors", [])
    return {
        "flow_id": request.flow_id,
        "session_id": request.session if status == "completed" else None,
        "job_id": request.run,
        "object": "response",
        "created_timestamp": created(outcome.accepted_at),
        "status": status,
        "output": facts["output"],
        "errors": errors,
        "warnings": [],
        "inputs": body.tweaks,
        "globals": body.globals,
        "outputs": facts.get("outputs", {}),
        "human_request": None,
        "has_errors": bool(errors),
    }
