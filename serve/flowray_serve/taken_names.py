"""What a new flow can still be called. As in Langflow, a name in use gets a number."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from flowray.stores.records import FlowRecord
from flowray_serve.bodies.flow import FlowBody

_NAMES_TRIED = 1_000


class TakenNames:
    """The names, endpoint names and ids that a tenant's flows have."""

    def __init__(self, flows: Sequence[FlowRecord]) -> None:
        self._names: set[str] = set()
        self._endpoint_names: set[str] = set()
        self._ids: set[str] = set()
        self._add(flows)

    def refused(self, flow_id: str, now: Sequence[FlowRecord]) -> None:
        """What was given could not be had: its names stay taken, its id if a flow has it by now."""
        self._ids.discard(flow_id)
        self._add(now)

    def give(self, body: FlowBody) -> tuple[str, dict[str, Any]]:
        """The id and the fields of a new flow, taken from now on."""
        fields = body.model_dump(exclude_unset=True)
        fields["name"] = self.free_name(body.name)
        self._names.add(fields["name"])
        if body.endpoint_name:
            fields["endpoint_name"] = _free(body.endpoint_name, self._endpoint_names, "{}-{}")
            self._endpoint_names.add(fields["endpoint_name"])
        wanted = str(body.id or uuid.uuid4())
        flow_id = wanted if wanted not in self._ids else str(uuid.uuid4())
        self._ids.add(flow_id)
        return flow_id, fields

    def free_name(self, name: str) -> str:
        """The name, with a number if a flow has it."""
        return _free(name, self._names, "{} ({})")

    def _add(self, flows: Sequence[FlowRecord]) -> None:
        self._names |= {str(flow.name) for flow in flows}
        self._endpoint_names |= {flow.endpoint_name for flow in flows if flow.endpoint_name}
        self._ids |= {flow.id for flow in flows}


def _free(name: str, taken: set[str], pattern: str) -> str:
    if name not in taken:
        return name
    numbered = (pattern.format(name, number) for number in range(1, _NAMES_TRIED))
    return next((one for one in numbered if one not in taken), f"{name}-{uuid.uuid4().hex[:8]}")
