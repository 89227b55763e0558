"""Flows to send to both servers, of components as lfx ships them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from tests.kit.shipped import shipped

NOBODYS = "00000000-0000-4000-8000-00000000dead"
FAILING = """
from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class Failing(Component):
    display_name = "Failing"
    inputs = [MessageTextInput(name="input_value", display_name="In")]
    outputs = [Output(name="message", display_name="Out", method="fail")]

    def fail(self) -> Message:
        raise ValueError("no such river")
"""


def node(node_id: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A node on the canvas; its id begins with its component's name."""
    name = node_id.partition("-")[0]
    place = {"x": 0, "y": 0}
    data = {"id": node_id, "type": name, "node": body or shipped(name), "showNode": True}
    return {"id": node_id, "type": "genericNode", "position": place, "data": data}


def wire(source_id: str, target_id: str, *, output: str = "message", field: str = "input_value") -> dict[str, Any]:
    """From one node's message to another's input."""
    ends = {
        "sourceHandle": {
            "dataType": source_id.partition("-")[0],
            "id": source_id,
            "name": output,
            "output_types": ["Message"],
        },
        "targetHandle": {
            "fieldName": field,
            "id": target_id,
            "inputTypes": ["Data", "JSON", "DataFrame", "Table", "Message"],
            "type": "other",
        },
    }
    written = {name: json.dumps(end, separators=(",", ":")).replace('"', "œ") for name, end in ends.items()}
    return {"id": f"wire-{source_id}-{target_id}", "source": source_id, "target": target_id, **written, "data": ends}


def flow(name: str, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A flow of these nodes, one after another."""
    wires = [wire(one["id"], other["id"]) for one, other in pairwise(nodes)]
    view = {"x": 0, "y": 0, "zoom": 1}
    return {"name": name, "data": {"nodes": [*nodes], "edges": wires, "viewport": view}, **fields}


def echo(name: str, **fields: Any) -> dict[str, Any]:
    """A flow that says what it is told."""
    return flow(name, node("ChatInput-1"), node("ChatOutput-1"), **fields)


def waiting(name: str) -> dict[str, Any]:
    """A flow that asks a person whether it may go on."""
    made = flow(name, node("ChatInput-1"), node("HumanInput-1"), node("ChatOutput-1"))
    made["data"]["edges"] = [
        wire("ChatInput-1", "HumanInput-1", field="prompt"),
        wire("HumanInput-1", "ChatOutput-1", output="branch_approve"),
    ]
    return made


def failing(name: str) -> dict[str, Any]:
    """A flow whose middle node raises."""
    body = json.loads(json.dumps(shipped("ChatInput")))
    fields = body["template"]
    kept = {field: fields[field] for field in ("_type", "code", "input_value")}
    code = {**fields["code"], "value": FAILING}
    entry = {**fields["input_value"], "input_types": ["Message"], "_input_type": "MessageTextInput", "type": "str"}
    output = {**body["outputs"][0], "method": "fail"}
    body |= {
        "display_name": "Failing",
        "template": {**kept, "code": code, "input_value": entry},
        "outputs": [output],
        "field_order": ["input_value"],
        "metadata": {},
        "edited": True,
    }
    return flow(name, node("ChatInput-1"), node("Failing-1", body), node("ChatOutput-1"))
