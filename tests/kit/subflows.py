"""Flows that run flows, with lfx's own Run Flow component as its index publishes it."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

import flowray

_ECHO = """name: {name}

nodes:
  In: ChatInput
  Out: ChatOutput

edges:
  In.message -> Out.input_value
"""


@cache
def echo(name: str) -> dict[str, Any]:
    """A flow that says what it is told."""
    return dict(flowray.expand({name: _ECHO.format(name=name)})[name])


def calling(child_id: str, child_name: str, *, name: str) -> dict[str, Any]:
    """A flow that gives its input to another one, and answers what that answers; as drawn in Langflow's editor."""
    flow = copy.deepcopy(echo(name))
    nodes, edges = flow["data"]["nodes"], flow["data"]["edges"]
    given, said = "ChatInput-In~input_value", "ChatOutput-Out~message"
    node: dict[str, Any] = copy.deepcopy(_run_flow())
    template = node["template"]
    template["flow_name_selected"]["value"], template["flow_id_selected"]["value"] = child_name, child_id
    field = next(one for one in nodes if one["id"] == "ChatInput-In")["data"]["node"]["template"]["input_value"]
    template[given] = {**copy.deepcopy(field), "name": given, "input_types": ["Message"], "value": ""}
    node["outputs"] = [
        {"name": said, "types": ["Message"], "selected": "Message", "method": "x", "value": "__UNDEFINED__"}
    ]
    nodes.append(
        {"id": "RunFlow-R", "type": "genericNode", "data": {"id": "RunFlow-R", "type": "RunFlow", "node": node}}
    )
    wire = edges.pop()["data"]
    runner = {"sourceHandle": {**wire["sourceHandle"], "id": "RunFlow-R", "name": said, "dataType": "RunFlow"}}
    into = {**wire["targetHandle"], "id": "RunFlow-R", "fieldName": given, "inputTypes": ["Message"], "type": "str"}
    edges.append({"source": "ChatInput-In", "target": "RunFlow-R", "data": {**wire, "targetHandle": into}})
    edges.append({"source": "RunFlow-R", "target": "ChatOutput-Out", "data": {**wire, **runner}})
    return flow


@cache
def _run_flow() -> dict[str, Any]:
    index = json.loads(files("lfx").joinpath("_assets", "component_index.json").read_bytes())
    return next(dict(found["RunFlow"]) for _, found in index["entries"] if "RunFlow" in found)
