"""The ids under which Langflow's clients know what FlowRay calls by name."""

from __future__ import annotations

import uuid


def event_uuid(run: str, seq: int, what: str) -> str:
    """What happened in a run, where Langflow has a row of a table. A node of a loop has one for each of its runs."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:{what}:{run}:{seq}"))


def version_uuid(flow_id: str, number: int) -> str:
    """One version of a flow, where Langflow has a row of a table."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:version:{flow_id}:{number}"))
