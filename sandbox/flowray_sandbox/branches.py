"""What hangs on a node's outputs: the wires of the whole flow, also beyond the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """An edge from a port of one node to a field of another; a loop's feedback edge has an output's name as `field`."""

    source: str
    target: str
    port: str
    field: str

    @classmethod
    def of(cls, edge: Mapping[str, Any]) -> Wire:
        """The wire of a raw edge."""
        data = edge.get("data") or {}
        target = data.get("targetHandle") or {}
        return cls(
            source=edge["source"],
            target=edge["target"],
            port=str((data.get("sourceHandle") or {}).get("name") or ""),
            field=str(target.get("fieldName") or target.get("name") or ""),
        )


def downstream(wires: Iterable[Wire], source: str, outputs: set[str], *, spare_shared: bool = True) -> set[str]:
    """The nodes that these outputs of `source` lead to.

    As in lfx, a node that another output of the same source leads to as well stays open, unless all are meant.
    """
    wires = list(wires)
    others = {wire.port for wire in wires if wire.source == source} - outputs
    shared = _reach(wires, source, others) if spare_shared and others else set()
    return _reach(wires, source, outputs) - shared


def has_cycle(wires: Iterable[Wire]) -> bool:
    """Whether some node is downstream of itself."""
    left = list(wires)
    while left:
        targets = {wire.target for wire in left}
        further = [wire for wire in left if wire.source in targets]
        if len(further) == len(left):
            return True
        left = further
    return False


def _reach(wires: list[Wire], source: str, outputs: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = [wire.target for wire in wires if wire.source == source and wire.port in outputs]
    while waiting:
        node = waiting.pop()
        if node in reached or node == source:
            continue
        reached.add(node)
        waiting.extend(wire.target for wire in wires if wire.source == node)
    return reached
