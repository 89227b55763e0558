"""Two runs held against each other, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowray.engine.events import NodeFailed, NodeFinished, Recorded
from flowray.engine.values import Value
from flowray.flow.types import Json, NodeId

# What is new each time, whatever a node does.
_FRESH = frozenset({"timestamp", "id", "session_id", "duration", "usage", "run_id", "flow_id"})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A node that came to something else. None: it did not finish there."""

    node: NodeId
    before: Json
    now: Json


def differences(before: Iterable[Recorded], now: Iterable[Recorded]) -> tuple[Difference, ...]:
    """Return the nodes whose outputs differ, in the order in which the second run came to them."""
    old, new = _made(before), _made(now)
    nodes = [*new, *(node for node in old if node not in new)]
    return tuple(
        Difference(node=node, before=old.get(node), now=new.get(node))
        for node in nodes
        if old.get(node) != new.get(node)
    )


def _made(recorded: Iterable[Recorded]) -> dict[NodeId, Json]:
    made: dict[NodeId, Json] = {}
    for one in recorded:
        match one.event:
            case NodeFinished(node=node, outputs=outputs):
                made[node] = {port: _said(value) for port, value in outputs.items()}
            case NodeFailed(node=node, error=error):
                made[node] = {"error": error}
            case _:
                continue
    return made


def _said(value: Value) -> Json:
    return {"sha256": value.ref.sha256, "size": value.ref.size} if value.ref else _lasting(value.json)


def _lasting(json: Any) -> Json:
    if isinstance(json, Mapping):
        return {key: _lasting(item) for key, item in json.items() if key not in _FRESH}
    return [_lasting(item) for item in json] if isinstance(json, list) else json
