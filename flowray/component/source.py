"""Give a node without source the source of its component, so that it can run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flowray.component.spec import ComponentSpec
from flowray.flow.nodes import with_template
from flowray.flow.types import Flow, Node


def with_sources(flow: Flow, specs: Iterable[ComponentSpec]) -> Flow:
    """Return the flow with the missing sources of known components filled in; exports always carry theirs."""
    if all(node.code is not None for node in flow.nodes):
        return flow
    known = {spec.name: spec for spec in specs if "template" in spec.frontend}
    return replace(flow, nodes=tuple(_with_source(node, known.get(node.component)) for node in flow.nodes))


def _with_source(node: Node, spec: ComponentSpec | None) -> Node:
    if node.code is not None or spec is None:
        return node
    source = spec.frontend["template"]["code"]
    template = {**node.raw["data"]["node"]["template"], "code": source}
    return replace(node, code=source["value"], raw=with_template(node.raw, template))
