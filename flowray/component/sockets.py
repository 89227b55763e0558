"""Where wires are plugged into a component, and whether one holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowray.flow.match import fit
from flowray.flow.types import Edge, Json

_TOOL_OUTPUT = "component_as_tool"


@dataclass(frozen=True, kw_only=True)
class Sockets:
    """What the outputs of a component give, and what its fields take, by name; `loops` are outputs that take a wire."""

    gives: Mapping[str, frozenset[str]]
    takes: Mapping[str, frozenset[str]]
    loops: frozenset[str]


def sockets_of(body: Mapping[str, Json], *, saved: Mapping[str, Json] | None = None) -> Sockets:
    """The sockets of a node's or a component's description.

    What a node has made of its component stays, and `saved` says it: that it is a tool, and the fields of its prompt.
    """
    outputs = outputs_in(body)
    if is_tool(saved or {}):
        outputs = outputs_in(saved or {})
    template = {**own_fields(saved or {}, body), **(body.get("template") or {})}
    fields = {name: one for name, one in template.items() if isinstance(one, dict)}
    return Sockets(
        gives={str(one.get("name")): frozenset(one.get("types") or ()) for one in outputs},
        takes={name: frozenset(one.get("input_types") or ()) for name, one in fields.items()},
        loops=frozenset(str(one.get("name")) for one in outputs if one.get("allows_loop")),
    )


def outputs_in(body: Mapping[str, Json]) -> list[dict[str, Json]]:
    """The outputs of a node's or a component's description."""
    return [one for one in body.get("outputs") or [] if isinstance(one, dict)]


def is_tool(body: Mapping[str, Json]) -> bool:
    """Whether a node has been made a tool: it has that output and no other."""
    return [one.get("name") for one in outputs_in(body)] == [_TOOL_OUTPUT]


def own_fields(saved: Mapping[str, Json], body: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that a node made for itself, such as a prompt's variables; none where its component makes none."""
    made = saved.get("custom_fields")
    if not isinstance(made, dict) or "custom_fields" not in body:
        return {}
    names = {name for listed in made.values() if isinstance(listed, list) for name in listed if isinstance(name, str)}
    return {name: field for name, field in (saved.get("template") or {}).items() if name in names}


def holds(edge: Edge, source: Sockets | None, target: Sockets | None) -> bool:
    """Whether a wire holds between these ends."""
    if source is None or target is None or edge.output not in source.gives:
        return False
    if edge.feedback:
        return edge.field in target.loops
    return edge.field in target.takes and fit(source.gives[edge.output], target.takes[edge.field])
