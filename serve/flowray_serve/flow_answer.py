"""A kept flow in the shape of Langflow's FlowRead, so that its clients read it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flowray.flow.check import Finding
from flowray.stores.records import FlowRecord

_DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "description": None,
    "icon": None,
    "icon_bg_color": None,
    "gradient": None,
    "data": None,
    "is_component": False,
    "updated_at": None,
    "webhook": False,
    "endpoint_name": None,
    "tags": None,
    "locked": False,
    "mcp_enabled": False,
    "action_name": None,
    "action_description": None,
    "access_type": "PRIVATE",
}


def tenant_uuid(tenant: str, role: str) -> str:
    """The id under which Langflow's clients know a tenant's user and its one project."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:{role}:{tenant}"))


def flow_read(tenant: str, record: FlowRecord, findings: Sequence[Finding] | None = None) -> dict[str, Any]:
    """The flow; with `findings` when it has just been examined."""
    kept = {name: value for name, value in record.document.items() if name in _DEFAULTS and value is not None}
    ids = {"id": record.id, "user_id": tenant_uuid(tenant, "user"), "folder_id": tenant_uuid(tenant, "project")}
    flow = {**_DEFAULTS, **kept, **ids, "version": record.version}
    if findings is not None:
        flow["findings"] = [asdict(finding) for finding in findings]
    return flow


def flow_header(tenant: str, record: FlowRecord) -> dict[str, Any]:
    """The flow without its canvas."""
    return {**flow_read(tenant, record), "data": None}


def page(flows: Sequence[Any], *, number: int, size: int, total: int) -> dict[str, Any]:
    """One page of a list, in the shape of Langflow's page object."""
    return {"items": flows, "total": total, "page": number, "size": size, "pages": max(1, -(-total // size))}
