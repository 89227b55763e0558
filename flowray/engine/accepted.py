"""A run that was accepted to be driven later, as the record keeps it: the drawing once, and what is the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as _field

from flowray.engine.codec import dumps, loads
from flowray.engine.events import RunAccepted
from flowray.engine.ports import RunRequest
from flowray.engine.typed import StoredFormatError, as_plain, typed
from flowray.flow.langflow import read_own, write
from flowray.flow.types import Flow, Json
from flowray.plan.types import Plan

_DRAWN = frozenset({"flow", "plan"})
# Their raw forms are in the flow; the engine follows wires only.
_EDGE_LEFT_OUT = frozenset({"raw"})


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A request, when it was accepted, and what its caller wants to know of it later (`facts`, opaque here)."""

    request: RunRequest
    at: float
    facts: Mapping[str, Json] = _field(default_factory=dict)


def accepted_event(request: RunRequest) -> RunAccepted:
    """The first event of the request's journal."""
    return RunAccepted(
        tenant=request.tenant,
        flow=request.flow_id,
        flow_name=request.flow.name,
        version=request.plan.flow_digest,
        session=request.session,
        asked_by=request.asked_by,
        trace=request.trace,
    )


def drawing_to_json(flow: Flow, plan: Plan) -> bytes:
    """A flow with its plan."""
    edges = [as_plain(edge, without=_EDGE_LEFT_OUT) for edge in plan.edges]
    said = as_plain(plan, without=frozenset({"edges"})) | {"edges": edges}
    return dumps({"flow": write(flow), "flow_id": flow.id, "plan": said})


def drawing_from_json(text: bytes) -> tuple[Flow, Plan]:
    """What `drawing_to_json` wrote."""
    plain = _object(text, "drawing")
    flow = read_own(plain["flow"])
    return replace(flow, id=plain.get("flow_id")), typed(Plan, plain["plan"])


def run_to_json(accepted: Accepted, drawing: str) -> bytes:
    """What is the run's own; `drawing` names the rest."""
    said = as_plain(accepted.request, without=_DRAWN)
    return dumps({"request": said, "drawing": drawing, "at": accepted.at, "facts": accepted.facts})


def drawing_of(text: bytes) -> str:
    """The name of a run's drawing."""
    return str(_object(text, "request")["drawing"])


def run_from_json(text: bytes, flow: Flow, plan: Plan) -> Accepted:
    """What `run_to_json` wrote, with its drawing."""
    plain = _object(text, "request")
    request = typed(RunRequest, plain["request"], flow=flow, plan=plan)
    return Accepted(request=request, at=plain["at"], facts=plain.get("facts", {}))


def _object(text: bytes, what: str) -> dict[str, Json]:
    plain = loads(text)
    if not isinstance(plain, dict):
        raise StoredFormatError(f"A stored {what} is no JSON object.")
    return plain
