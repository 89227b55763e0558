"""What the client can ask about versions of a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from flowray.client.answers import PublishedFlow, published_flow
from flowray.client.calls import Call, segment

_PAGE = 100
Said = Mapping[str, Any]


def document(flow: str) -> Call[Said]:
    """A flow as the service keeps it, by id or endpoint name, with `@` and a version behind it."""
    return Call(method="GET", path=f"/api/v1/flows/{segment(flow)}", read=_json)


def put(flow_id: str, fields: Mapping[str, Any], *, token: str | None = None) -> Call[Said]:
    """Create a flow or bring it up to date; with a version token, only if it is still at that."""
    return Call(
        method="PUT", path=f"/api/v1/flows/{segment(flow_id)}", json=dict(fields), headers=_if_match(token), read=_json
    )


def change(flow_id: str, fields: Mapping[str, Any], *, token: str | None = None) -> Call[Said]:
    """Change some fields of a flow; with a version token, only if it is still at that."""
    return Call(
        method="PATCH",
        path=f"/api/v1/flows/{segment(flow_id)}",
        json=dict(fields),
        headers=_if_match(token),
        read=_json,
    )


def versions(flow: str, *, offset: int = 0) -> Call[Said]:
    """A page of a flow's versions, the newest first, and its tags."""
    return Call(method="GET", path=f"{_of(flow)}/versions/", params={"limit": _PAGE, "offset": offset}, read=_json)


def differences(flow: str, before: str, after: str) -> Call[Said]:
    """What is different between two versions of a flow."""
    return Call(
        method="GET", path=f"{_of(flow)}/versions/{segment(before)}/differences", params={"other": after}, read=_json
    )


def activate(flow: str, version: str) -> Call[PublishedFlow]:
    """Have a flow be what it was in a version."""
    return Call(method="POST", path=f"{_of(flow)}/versions/{segment(version)}/activate", read=published_flow)


def keep(flow: str, canvas: Mapping[str, Any], description: str) -> Call[Said]:
    """Keep a canvas as a version of a flow that stays what it is."""
    body = {"data": canvas, "description": description}
    return Call(method="POST", path=f"{_of(flow)}/versions/", json=body, read=_json)


def describe(flow: str, description: str) -> Call[Said]:
    """Say something about what the flow is now."""
    return Call(method="POST", path=f"{_of(flow)}/versions/", json={"description": description}, read=_json)


def forget(flow: str, version: str) -> Call[None]:
    """Forget a version that is neither current nor tagged."""
    return Call(method="DELETE", path=f"{_of(flow)}/versions/{segment(version)}", read=lambda _: None)


def tag(flow: str, name: str, version: str, *, canary: str = "", share: float = 0.0) -> Call[Said]:
    """Have a tag stand at a version, and send a share of its runs to a canary, if one is named."""
    body: dict[str, Any] = {"version": version}
    if canary:
        body["canary"] = {"version": canary, "share": share}
    return Call(method="PUT", path=f"{_of(flow)}/tags/{segment(name)}", json=body, read=_json)


def untag(flow: str, name: str) -> Call[None]:
    """Take a tag away."""
    return Call(method="DELETE", path=f"{_of(flow)}/tags/{segment(name)}", read=lambda _: None)


def _of(flow: str) -> str:
    return f"/api/v1/flows/{segment(flow)}"


def _if_match(token: str | None) -> Mapping[str, str]:
    return {} if token is None else {"if-match": token}


def _json(response: httpx.Response) -> Said:
    found: Said = response.json()
    return found
