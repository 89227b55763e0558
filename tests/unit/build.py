"""Builders: a test says what it is about, the rest of a Langflow document comes from here."""

from __future__ import annotations

import json
from typing import Any

from flowray.flow.langflow import read
from flowray.flow.types import Edge, Flow, NodeId
from flowray.plan.types import Plan, Step, StepId

Raw = dict[str, Any]


def field(name: str, *types: str, **raw: Any) -> Raw:
    """One entry of a template; `types` are what a wire may bring."""
    return {"name": name, "type": "str", "input_types": list(types), "value": "", "show": True, **raw}


def output(name: str, *types: str, **raw: Any) -> Raw:
    return {"name": name, "types": list(types), "method": f"make_{name}", "allows_loop": False, **raw}


def node(
    node_id: str,
    component: str = "Plain",
    *,
    fields: tuple[Raw, ...] = (),
    outputs: tuple[Raw, ...] = (),
    code: str | None = "x = 1",
    **body: Any,
) -> Raw:
    """A node as Langflow exports it: a field `in` and an output `out`, both of Messages, unless it says otherwise."""
    template: Raw = {"_type": "Component"}
    if code is not None:
        template["code"] = {"type": "code", "name": "code", "value": code, "show": True}
    for entry in fields or (field("in", "Message", list=True),):
        template[entry["name"]] = entry
    inner = {"display_name": node_id, "template": template, "outputs": list(outputs or (output("out", "Message"),))}
    data = {"id": node_id, "type": component, "node": {**inner, **body}}
    return {"id": node_id, "type": "genericNode", "position": {"x": 1, "y": 2}, "data": data}


def note(node_id: str = "note-1", text: str = "hello") -> Raw:
    return {"id": node_id, "type": "noteNode", "data": {"id": node_id, "type": "note", "node": {"description": text}}}


def wire(text: str, *nodes: Raw) -> Raw:
    """A wire written "a.out > b.in", or "b.out >> a.item" when it closes a loop; types are those of its ends."""
    left, sign, right = text.split()
    source, port = left.rsplit(".", 1)
    target, end = right.rsplit(".", 1)
    given = _types(nodes, source, port)
    plug = {"dataType": "Plain", "id": source, "name": port, "output_types": given}
    if sign == ">>":
        socket: Raw = {"dataType": "Plain", "id": target, "name": end, "output_types": _types(nodes, target, end)}
    else:
        taken = _template(nodes, target).get(end, {"input_types": given, "type": "str"})
        socket = {"fieldName": end, "id": target, "inputTypes": taken["input_types"], "type": taken["type"]}
    data = {"sourceHandle": plug, "targetHandle": socket}
    return {"id": f"edge {text}", "source": source, "target": target, "data": data, "animated": False}


def _template(nodes: tuple[Raw, ...], node_id: str) -> Raw:
    return next((raw["data"]["node"]["template"] for raw in nodes if raw["id"] == node_id), {})


def _types(nodes: tuple[Raw, ...], node_id: str, port: str) -> list[str]:
    outputs = [entry for raw in nodes if raw["id"] == node_id for entry in raw["data"]["node"]["outputs"]]
    return next((entry["types"] for entry in outputs if entry["name"] == port), ["Message"])


def escaped(handle: Raw) -> str:
    """A handle as Langflow's canvas spells it."""
    return json.dumps(handle).replace('"', "œ")


def document(*nodes: Raw, wires: tuple[str, ...] = (), **top: Any) -> Raw:
    """A whole Langflow export."""
    edges = [wire(text, *nodes) for text in wires]
    view = {"x": 0, "y": 0, "zoom": 1}
    return {"name": "Test flow", "data": {"nodes": list(nodes), "edges": edges, "viewport": view}, **top}


def flow_of(*nodes: Raw, wires: tuple[str, ...] = (), **top: Any) -> Flow:
    """A flow, read from the export of these nodes and wires."""
    return read(document(*nodes, wires=wires, **top))


def dag_of(**needs: str) -> Flow:
    """A flow of plain nodes: `dag_of(a="", b="a", c="a b")` wires a to b and c, and b to c."""
    wires = tuple(f"{source}.out > {name}.in" for name, sources in needs.items() for source in sources.split())
    return flow_of(*(node(name) for name in needs), wires=wires)


def plan_of(**needs: str) -> Plan:
    """A plan with one step per node, both of the same name: `plan_of(a="", b="a")`."""
    steps = tuple(
        Step(id=StepId(name), nodes=(NodeId(name),), needs=tuple(map(StepId, sources.split())))
        for name, sources in needs.items()
    )
    edges = tuple(
        Edge(id=f"{source}-{name}", source=NodeId(source), output="out", target=NodeId(name), field="in")
        for name, sources in needs.items()
        for source in sources.split()
    )
    sources_of = {edge.source for edge in edges}
    outputs = tuple(NodeId(name) for name in needs if name not in sources_of)
    return Plan(flow_digest="test", fusion="none", steps=steps, edges=edges, outputs=outputs)
