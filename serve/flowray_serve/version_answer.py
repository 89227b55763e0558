"""Versions of a flow in the shape of Langflow's FlowVersionRead, with what Langflow's versions do not have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flowray.flow.changes import Changes
from flowray.stores.records import FlowRecord, VersionRecord
from flowray.stores.tags import Tag
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray_serve.answers.flow import VersionRead
from flowray_serve.langflow_ids import version_uuid


def version_read(tenant: str, flow: FlowRecord, record: VersionRecord, tags: Mapping[str, Tag]) -> VersionRead:
    """A version. What is current or tagged is `retained`, as Langflow calls what is not removed."""
    at = datetime.fromtimestamp(int(record.at), UTC).isoformat()
    is_current = record.version == flow.version
    mine = [name for name, tag in tags.items() if tag.version == record.version]
    canaries = {name: tag.canary for name, tag in tags.items() if tag.canary}
    tried = {name: canary.share for name, canary in canaries.items() if canary.version == record.version}
    reason = "current" if is_current else _why(mine, tried)
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
        "canary_of": tried,
        "images": list(record.images),
    }


def _why(tagged: Collection[str], tried: Collection[str]) -> str | None:
    if tagged:
        return f"tagged {', '.join(tagged)}"
    return f"canary of {', '.join(tried)}" if tried else None


def tags_read(tags: Mapping[str, Tag]) -> dict[str, Any]:
    """The version that each tag stands at, and the canaries of those that have one."""
    return {
        "tags": {name: tag.version for name, tag in tags.items()},
        "canaries": {name: asdict(tag.canary) for name, tag in tags.items() if tag.canary},
    }


def differences_read(before: str, after: str, found: Changes) -> dict[str, Any]:
    """What is different between two versions."""
    return {"before": before, "after": after, "same": not found, **asdict(found)}
