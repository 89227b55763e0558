"""What the client can ask about runs in the background; `client.ask` takes these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowray.client.answers import PublishedFlow
from flowray.client.calls import Call, RunOptions, segment

Rows = Sequence[Mapping[str, Any]]


def submit(
    flow_id: str, options: RunOptions, *, callback: str | None = None, idempotency_key: str | None = None
) -> Call[Mapping[str, Any]]:
    """Run a flow, by its id, in the background: where to ask for it."""
    body = {
        "flow_id": flow_id,
        "mode": "background",
        "input_value": options.get("input_value", ""),
        "tweaks": options.get("tweaks") or {},
        "session_id": options.get("session"),
        "globals": options.get("variables") or {},
        "callback_url": callback,
        "idempotency_key": idempotency_key,
    }
    return Call(method="POST", path="/api/v2/workflows", json=body, read=lambda response: response.json())


def runnable_id(flow: PublishedFlow, named: str) -> str:
    """What `submit` takes for a flow that was looked up as `named`: its id, with the version as it was named."""
    return flow.id + "".join(named.partition("@")[1:])


def job(run: str) -> Call[Mapping[str, Any]]:
    """How far a background run is, or its answer."""
    params = {"job_id": run}
    return Call(method="GET", path="/api/v2/workflows", params=params, read=lambda response: response.json())


def pending() -> Call[Rows]:
    """What paused runs ask people, oldest first."""
    return Call(method="GET", path="/api/v2/workflows/pending", read=lambda response: response.json())


def resume(run: str, *, request_id: str, decision: Mapping[str, Any]) -> Call[Mapping[str, Any]]:
    """Answer what a paused run asks: `action_id`, and the `values` that go with it."""
    body = {"request_id": request_id, "decision": dict(decision)}
    path = f"/api/v2/workflows/{segment(run)}/resume"
    return Call(method="POST", path=path, json=body, read=lambda response: response.json())


def dead_letters(*, what: str = "", kind: str = "", flow: str = "", limit: int = 100) -> Call[Rows]:
    """What was given up, with the reason."""
    params = {"what": what, "kind": kind, "flow": flow, "limit": limit}
    path = "/api/v1/dead-letters"
    return Call(method="GET", path=path, params=params, read=lambda response: response.json()["dead_letters"])


def redrive(wanted: Mapping[str, Any]) -> Call[Rows]:
    """Drive dead letters again: `ids`, a filter (`what`, `kind`, `flow`, `before`), or `all`."""
    path = "/api/v1/dead-letters/redrive"
    return Call(method="POST", path=path, json=dict(wanted), read=lambda response: response.json()["redriven"])


def reindex() -> Call[Mapping[str, int]]:
    """Bring Redis up to the record."""
    return Call(method="POST", path="/api/v1/admin/reindex", read=lambda response: response.json())
