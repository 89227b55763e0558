"""The ids under which Langflow's clients know what FlowRay calls by name."""

from __future__ import annotations

import uuid
from functools import lru_cache


@lru_cache(maxsize=4_096)
def tenant_uuid(tenant: str, role: str) -> str:
    """A tenant's user, and its first project: they are there as long as the tenant is."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:{role}:{tenant}"))


def event_uuid(run: str, seq: int, what: str) -> str:
    """What happened in a run, where Langflow has a row of a table. A node of a loop has one for each of its runs."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:{what}:{run}:{seq}"))


def version_uuid(flow_id: str, number: int) -> str:
    """One version of a flow, where Langflow has a row of a table."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:version:{flow_id}:{number}"))
