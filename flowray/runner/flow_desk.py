"""A tenant's flows as steps look them up: for components that show them, or run another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flowray.engine.ports import RunRequest
from flowray.errors import NotFoundError
from flowray.flow.types import Json
from flowray.runner.asking import Answer, Ask
from flowray.stores.records import FlowRecord

_SHOWN = ("name", "description", "updated_at", "endpoint_name", "folder_id")
_AT = "@"


class Versions(Protocol):
    """What flows were before, and what that is called."""

    async def resolve(self, tenant: str, flow_id: str, name: str, *, whom: str | None = None) -> str | None:
        """The version that a name means for this one; None when it means none."""


class Flows(Protocol):
    """The flows of all tenants."""

    @property
    def versions(self) -> Versions:
        """Their versions."""

    async def list(self, tenant: str) -> Sequence[FlowRecord]:
        """All flows of a tenant, without their canvases."""

    async def read(self, tenant: str, flow_id: str, *, version: str | None = None) -> FlowRecord | None:
        """The flow with its canvas, in an older version when one is named."""


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
        """The flow with this id, or else this name, in the version behind its `@`; null when there is none."""
        meant = await named(self._flows, request.tenant, ask.details)
        if meant is None:
            return Answer(value=None)
        flow, version = meant
        digest = await self._digest(request, flow, version) if version else None
        found = await self._flows.read(request.tenant, flow.id, version=digest)
        if found is None:
            return Answer(value=None)
        # Who goes on to run it, by this id, runs what was looked at.
        return Answer(value={**_shown(found), "id": naming(flow, version), "data": found.document.get("data")})

    async def _digest(self, request: RunRequest, flow: FlowRecord, version: str) -> str:
        digest = await self._flows.versions.resolve(request.tenant, flow.id, version, whom=whom(request))
        if digest is None:
            raise NotFoundError(f"The flow `{flow.name}` has no version `{version[:80]}`.")
        return digest


async def named(flows: Flows, tenant: str, details: Mapping[str, Json]) -> tuple[FlowRecord, str] | None:
    """The flow that a question names, without its canvas, and what stands behind an `@`: the name of a version."""
    flow_id = details.get("flow_id")
    said = details.get("flow_name") if flow_id is None else flow_id
    by_name = {flow.name if flow_id is None else flow.id: flow for flow in await flows.list(tenant)}
    if not isinstance(said, str):
        return None
    if said in by_name:  # a flow's own name may have an `@`
        return by_name[said], ""
    name, _, version = said.rpartition(_AT)
    return (by_name[name], version) if version and name in by_name else None


def naming(flow: FlowRecord, version: str) -> str:
    """The name by which a flow is run in this version; in its current one when that is empty."""
    return f"{flow.id}{_AT}{version}" if version else flow.id


def whom(request: RunRequest) -> str:
    """For whom this run looks up and runs flows: its session, or itself where it belongs to none.

    It is asked twice, by who looks at a flow and by who then runs it, and both have to get the same version.
    """
    return request.session if request.session != request.flow_id else request.run


def _shown(flow: FlowRecord) -> dict[str, Json]:
    return {"id": flow.id, **{name: flow.document.get(name) for name in _SHOWN}}
