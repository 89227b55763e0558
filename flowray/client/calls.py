"""What the client can ask, as plain requests: the one place that knows the service's paths."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from flowray.client.answers import PublishedFlow, answer, published_flow, published_flows
from flowray.client.sources import FlowSource, document_of
from flowray.engine.outcome import Answer
from flowray.errors import InvalidRequestError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how to read its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, tuple[str, bytes]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def segment(name: str) -> str:
    """A name as one segment of a path; `InvalidRequestError` for one that would make it another path.

    A slash would, too, however it is written: servers look for the route in what they have unquoted.
    """
    if name in ("", ".", "..") or "/" in name:
        raise InvalidRequestError(f"`{name[:80]}` is neither a name nor an id.")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{name[:80]!a} is neither a name nor an id: it is no text.") from None


def publish(source: FlowSource) -> Call[PublishedFlow]:
    """Create the flow, or bring it up to date when it is there already."""
    document = document_of(source)
    flow_id = document.get("id") or str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:flow:{document.get('name')}"))
    return Call(method="PUT", path=f"/api/v1/flows/{segment(str(flow_id))}", json=document, read=published_flow)


def expand(spec: str) -> Call[Mapping[str, Any]]:
    """The whole flow that a description in lfx's compact form stands for."""
    return Call(method="POST", path="/api/v1/flows/expand/", json={"spec": spec}, read=lambda response: response.json())


def flows() -> Call[tuple[PublishedFlow, ...]]:
    """All flows of the tenant, without their canvas."""
    params = {"get_all": True, "header_flows": True}
    return Call(method="GET", path="/api/v1/flows/", params=params, read=published_flows)


def flow(name: str) -> Call[PublishedFlow]:
    """One flow, by id or endpoint name."""
    return Call(method="GET", path=f"/api/v1/flows/{segment(name)}", read=published_flow)


def delete(flow_id: str) -> Call[None]:
    """Forget a flow."""
    return Call(method="DELETE", path=f"/api/v1/flows/{segment(flow_id)}", read=lambda _: None)


class RunOptions(TypedDict, total=False):
    """What a run may be given beside its flow.

    `variables` are secrets of this run only; `session` names its chat memory; `tweaks` are field values by node id.
    """

    input_value: str
    input_type: str
    output_type: str
    output_component: str
    tweaks: Mapping[str, Any]
    session: str
    variables: Mapping[str, str]


def run(flow_name: str, options: RunOptions) -> Call[Answer]:
    """Run a flow and wait for its answer."""
    return Call(method="POST", path=run_path(flow_name), json=run_body(options), read=answer)


def run_path(flow_name: str) -> str:
    """Where a flow runs."""
    return f"/api/v1/run/{segment(flow_name)}"


def run_body(options: RunOptions) -> dict[str, Any]:
    """The body that asks for a run."""
    body: dict[str, Any] = {**options}
    session, variables = body.pop("session", None), body.pop("variables", None)
    if session is not None:
        body["session_id"] = session
    if variables:
        body["context"] = {"request_variables": variables}
    return body


def runs(*, limit: int) -> Call[Sequence[Mapping[str, Any]]]:
    """The tenant's latest runs, newest first."""
    return Call(
        method="GET", path="/api/v1/runs", params={"limit": limit}, read=lambda response: response.json()["runs"]
    )


def run_status(run_id: str) -> Call[Mapping[str, Any]]:
    """One run, with the timeline of its nodes."""
    return Call(method="GET", path=f"/api/v1/runs/{segment(run_id)}", read=lambda response: response.json())


def cancel(run_id: str) -> Call[Mapping[str, Any]]:
    """Ask a run to stop."""
    return Call(method="POST", path=f"/api/v1/runs/{segment(run_id)}/cancel", read=lambda response: response.json())


def rerun(run_id: str, start: str, values: Mapping[str, Any]) -> Call[Mapping[str, Any]]:
    """Run again from a node."""
    body = {"from": start, "set": dict(values)}
    return Call(
        method="POST", path=f"/api/v1/runs/{segment(run_id)}/rerun", json=body, read=lambda response: response.json()
    )


def replay(run_id: str, flow_name: str | None) -> Call[Mapping[str, Any]]:
    """Run again with recorded answers."""
    body = {} if flow_name is None else {"flow": flow_name}
    return Call(
        method="POST", path=f"/api/v1/runs/{segment(run_id)}/replay", json=body, read=lambda response: response.json()
    )


def differences(run_id: str, other: str) -> Call[Sequence[Mapping[str, Any]]]:
    """What differs between two runs."""
    return Call(
        method="GET",
        path=f"/api/v1/runs/{segment(run_id)}/differences",
        params={"other": other},
        read=lambda response: response.json()["differences"],
    )


def upload(flow_name: str, path: Path) -> Call[str]:
    """Store a file for a flow's runs; the answer is the path to give to its file fields."""
    files = {"file": (path.name, path.read_bytes())}
    return Call(
        method="POST",
        path=f"/api/v1/files/upload/{segment(flow_name)}",
        files=files,
        read=lambda response: response.json()["file_path"],
    )


def health() -> Call[Mapping[str, Any]]:
    """Whether the service is up."""
    return Call(method="GET", path="/health", read=lambda response: response.json())


def events_path(run_id: str) -> str:
    """Where a run's journal streams from."""
    return f"/api/v1/runs/{segment(run_id)}/events"
