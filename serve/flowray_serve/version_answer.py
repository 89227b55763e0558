"""Versions of a flow in the shape of Langflow's FlowVersionRead, with what Langflow's versions do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flowray.flow.changes import Changes
from flowray.stores.records import FlowRecord, VersionRecord
from flowray_serve.langflow_ids import tenant_uuid, version_uuid


def version_read(tenant: str, flow: FlowRecord, record: VersionRecord, tags: Mapping[str, str]) -> dict[str, Any]:
    """A version. What is current or tagged is `retained`, as Langflow calls what is not removed."""
    at = datetime.fromtimestamp(int(record.at), UTC).isoformat()
    is_current = record.version == flow.version
    mine = [tag for tag, version in tags.items() if version == record.version]
    reason = "current" if is_current else f"tagged {', '.join(mine)}" if mine else None
    return {
        "id": version_uuid(flow.id, record.number),
        "flow_id": flow.id,
        "user_id": tenant_uuid(tenant, "user"),
        "username": tenant,
        "version_number": record.number,
        "version_tag": f"v{record.number}",
        "description": record.description,
        "created_at": at,
        "retained": reason is not None,
        "retained_reason": reason,
        "version": record.version,
        "current": is_current,
        "published": record.current,
        "tags": mine,
        "images": list(record.images),
    }


def differences_read(before: str, after: str, found: Changes) -> dict[str, Any]:
    """What is different between two versions."""
    return {"before": before, "after": after, "same": not found, **asdict(found)}
