"""A tenant's flows as steps look them up: for components that show them, or run another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flowray.engine.ports import RunRequest
from flowray.flow.types import Json
from flowray.runner.asking import Answer, Ask
from flowray.stores.records import FlowRecord

_SHOWN = ("name", "description", "updated_at", "endpoint_name", "folder_id")


class Flows(Protocol):
    """The flows of all tenants."""

    async def list(self, tenant: str) -> Sequence[FlowRecord]:
        """All flows of a tenant, without their canvases."""

    async def read(self, tenant: str, flow_id: str) -> FlowRecord | None:
        """The flow with its canvas."""


class FlowDesk:
    """Finds flows of the run's own tenant."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    async def list(self, request: RunRequest, ask: Ask) -> Answer:
        """The flows: all, those of a project, or those that lie `beside` the run's own."""
        flows = [flow for flow in await self._flows.list(request.tenant) if not flow.document.get("is_component")]
        project = ask.details.get("project")
        if ask.details.get("beside"):
            own = next((flow for flow in flows if flow.id == request.flow_id), None)
            project = own.document.get("folder_id") if own is not None else None
            flows = [flow for flow in flows if flow.document.get("folder_id") == project]
        elif project is not None:
            flows = [flow for flow in flows if flow.document.get("folder_id") == project]
        return Answer(value=[_shown(flow) for flow in flows])

    async def find(self, request: RunRequest, ask: Ask) -> Answer:
        """The flow with this id, or else this name; null when there is none."""
        flow = await named(self._flows, request.tenant, ask.details)
        found = await self._flows.read(request.tenant, flow.id) if flow is not None else None
        return Answer(value=None if found is None else {**_shown(found), "data": found.document.get("data")})


async def named(flows: Flows, tenant: str, details: Mapping[str, Json]) -> FlowRecord | None:
    """The flow that a question names, without its canvas."""
    flow_id, name = details.get("flow_id"), details.get("flow_name")
    for flow in await flows.list(tenant):
        if flow.id == flow_id or (flow_id is None and flow.name == name):
            return flow
    return None


def _shown(flow: FlowRecord) -> dict[str, Json]:
    return {"id": flow.id, **{name: flow.document.get(name) for name in _SHOWN}}
