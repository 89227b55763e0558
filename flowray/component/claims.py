"""What a node says of its own component: good enough to plan with, vouched for by nobody."""

from __future__ import annotations

from dataclasses import replace

from flowray.component.frontend import imports_of
from flowray.component.needs import needs_of
from flowray.component.spec import ComponentSpec
from flowray.component.terms import said_of_node
from flowray.flow.shape import clipped
from flowray.flow.types import Node


def claimed(node: Node) -> ComponentSpec:
    """Return the spec that a node carries with it.

    Its fields are without values: those belong to the flow, and may be secrets.
    """
    metadata = node.raw["data"]["node"].get("metadata") if node.raw else None
    return ComponentSpec(
        digest=node.code_digest or "",
        name=node.component,
        display_name=node.display_name,
        fields={name: replace(field, value=None) for name, field in node.fields.items()},
        outputs=node.outputs,
        base_classes=node.base_classes,
        needs=needs_of(metadata, f"Node `{clipped(node.id)}`"),
        terms=said_of_node(metadata, f"Node `{clipped(node.id)}`"),
        imports=imports_of(metadata),
        origin="flow",
    )
