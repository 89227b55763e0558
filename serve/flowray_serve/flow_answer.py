"""A kept flow in the shape of Langflow's FlowRead, so that its clients read it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flowray.flow.check import Finding
from flowray.stores.records import FlowRecord
from flowray.tenancy.langflow_ids import tenant_uuid

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
    "flow_type": "workflow",
    "a2a_enabled": False,
    "a2a_card_overrides": None,
    "workspace_id": None,
    "name_key": None,
}
_HEADER = (
    "id",
    "name",
    "folder_id",
    "is_component",
    "endpoint_name",
    "description",
    "data",
    "access_type",
    "tags",
    "mcp_enabled",
    "flow_type",
    "a2a_enabled",
    "a2a_card_overrides",
    "action_name",
    "action_description",
    "updated_at",
)
_FINDINGS_SHOWN = 100
NEVER_EXPORTED = frozenset({"name_key", "version_token", "findings", "images"})
_DIGITS_OF_A_UUID = 32


def project_of(tenant: str, record: FlowRecord) -> str:
    """The project a flow lies in: the tenant's first one, unless it says another."""
    return str(record.document.get("folder_id") or tenant_uuid(tenant, "project"))


def version_token(record: FlowRecord) -> str:
    """The token that changes with the canvas, as Langflow's clients take it: a UUID."""
    token = record.document.get("version_token")
    if isinstance(token, str):
        return token
    if len(record.revision) == _DIGITS_OF_A_UUID:
        return str(uuid.UUID(record.revision))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, record.revision))


def flow_read(tenant: str, record: FlowRecord, findings: Sequence[Finding] | None = None) -> dict[str, Any]:
    """The flow; with `findings` when it has just been examined."""
    kept = {name: value for name, value in record.document.items() if name in _DEFAULTS and value is not None}
    ids = {"id": record.id, "user_id": tenant_uuid(tenant, "user"), "folder_id": project_of(tenant, record)}
    flow = {**_DEFAULTS, **kept, **ids, "version_token": version_token(record), "version": record.version}
    if findings is not None:
        flow["findings"] = findings_read(findings)
    return flow


def findings_read(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings, errors first: a hundred at most, and then one that says how many more there are."""
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    shown, left = ordered[:_FINDINGS_SHOWN], ordered[_FINDINGS_SHOWN:]
    if left:
        errors = sum(finding.severity == "error" for finding in left)
        message = f"And {len(left):,} more, {errors:,} of them errors."
        shown.append(Finding(severity=left[0].severity, code="more_findings", message=message))
    return [asdict(finding) for finding in shown]


def flow_header(tenant: str, record: FlowRecord) -> dict[str, Any]:
    """The flow without its canvas."""
    flow = flow_read(tenant, record)
    return {**{name: flow[name] for name in _HEADER}, "data": None, "version": record.version}


def page(flows: Sequence[Any], *, number: int, size: int, total: int) -> dict[str, Any]:
    """One page of a list, in the shape of Langflow's page object."""
    return {"items": flows, "total": total, "page": number, "size": size, "pages": -(-total // size)}
