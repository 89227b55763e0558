"""What the user drew: a Flow of Nodes and Edges, frozen, with every unknown field kept in `raw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from functools import cached_property
from typing import Any, NewType

from flowray.flow.match import current

NodeId = NewType("NodeId", str)
Json = Any
JsonObject = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One input of a node (an entry of Langflow's `template`).

    `input_types` are the value types an edge may bring; empty when the field takes no edge. `value` of a file field is
    its path. `show` is false for a field that the component has switched off: it takes no part in the run.
    """

    name: str
    type: str = "str"
    input_types: tuple[str, ...] = ()
    value: Json = None
    required: bool = False
    is_list: bool = False
    load_from_db: bool = False
    password: bool = False
    tool_mode: bool = False
    show: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One output port of a node."""

    name: str
    types: tuple[str, ...] = ()
    method: str | None = None
    allows_loop: bool = False


@dataclass(frozen=True, kw_only=True)
class Node:
    """One component on the canvas.

    `component` is the component's type name ("ChatInput"); `code` its Python source when the export carries it;
    `raw` the node in the form Langflow 1.13 reads. `is_output` marks a node whose result answers the caller, as a
    ChatOutput's does.
    """

    id: NodeId
    component: str
    display_name: str
    fields: Mapping[str, Field]
    outputs: tuple[Output, ...]
    base_classes: tuple[str, ...] = ()
    code: str | None = None
    frozen: bool = False
    tool_mode: bool = False
    is_input: bool = False
    is_output: bool = False
    raw: JsonObject = _field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def by_output(self) -> Mapping[str, Output]:
        """The outputs by their name; the first of one name counts."""
        return {output.name: output for output in reversed(self.outputs)}

    @cached_property
    def taken_types(self) -> frozenset[str]:
        """All types that any of its fields has or takes, by their names of today."""
        return frozenset(current(name) for one in self.fields.values() for name in (one.type, *one.input_types))

    @cached_property
    def code_digest(self) -> str | None:
        """Full SHA-256 (hex) of the component's source, its identity in the registry; None without source."""
        import hashlib

        return hashlib.sha256(self.code.encode("utf-8", "surrogatepass")).hexdigest() if self.code is not None else None


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A wire from `source`'s output port to `target`'s field.

    `feedback` marks the wire that closes a loop: it ends at an output port of the loop node, and `field` is that port's
    name.
    """

    id: str
    source: NodeId
    output: str
    target: NodeId
    field: str
    source_types: tuple[str, ...] = ()
    target_types: tuple[str, ...] = ()
    feedback: bool = False
    raw: JsonObject = _field(default_factory=dict, repr=False, compare=False)

    @property
    def ends(self) -> tuple[NodeId, str, NodeId, str]:
        """Where it is plugged in: no two wires of a flow have the same."""
        return (self.source, self.output, self.target, self.field)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A box the user drew around nodes: gone from the flow, kept because callers tweak its fields by its id or name.

    `fields` maps each of the group's own fields to the node and field it stands for.
    """

    id: NodeId
    display_name: str
    fields: Mapping[str, tuple[NodeId, str]]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A whole flow, groups flattened and notes set aside; `raw` is the document as it was read."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    id: str | None = None
    description: str = ""
    endpoint_name: str | None = None
    notes: int = 0
    groups: tuple[Group, ...] = ()
    raw: JsonObject = _field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def by_id(self) -> Mapping[NodeId, Node]:
        """The nodes by their id."""
        return {node.id: node for node in self.nodes}
