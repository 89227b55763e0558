"""What the service answers, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from flowray.engine.outcome import Answer


@dataclass(frozen=True, kw_only=True)
class PublishedFlow:
    """A flow as the service keeps it. `version` is its content digest; `findings` what was noticed on publishing."""

    id: str
    name: str
    endpoint_name: str | None
    version: str
    updated_at: str
    created: bool = False
    findings: Sequence[Mapping[str, Any]] = ()


def published_flow(response: httpx.Response) -> PublishedFlow:
    """The flow that a create, read or change answered with."""
    return _flow(response.json(), created=response.status_code == httpx.codes.CREATED)


def published_flows(response: httpx.Response) -> tuple[PublishedFlow, ...]:
    """The flows of a list."""
    return tuple(_flow(one) for one in response.json())


def answer(response: httpx.Response) -> Answer:
    """What a synchronous run answered."""
    body = response.json()
    results = [result for block in body["outputs"] for result in block["outputs"] if result is not None]
    return Answer(run=response.headers.get("x-flowray-run", ""), session=body["session_id"], results=results)


def _flow(body: Mapping[str, Any], *, created: bool = False) -> PublishedFlow:
    return PublishedFlow(
        id=body["id"],
        name=body["name"],
        endpoint_name=body.get("endpoint_name"),
        version=body.get("version", ""),
        updated_at=body.get("updated_at", ""),
        created=created,
        findings=tuple(body.get("findings", ())),
    )
