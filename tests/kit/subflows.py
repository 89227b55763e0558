"""Flows that run flows, with lfx's own Run Flow component as its index publishes it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import flowray
from tests.kit.shipped import shipped

_ECHO = """name: echo

nodes:
  In: ChatInput
  Out: ChatOutput

edges:
  In.message -> Out.input_value
"""


_AGENT = """name: agent

nodes:
  In: ChatInput
  Agent: Agent
  Tool: FlowTool
  Out: ChatOutput

edges:
  In.message -> Agent.input_value
  Tool.api_build_tool -> Agent.tools
  Agent.response -> Out.input_value
"""


def echo(name: str) -> dict[str, Any]:
    """A flow that says what it is told."""
    return copy.deepcopy(_drawn()["echo"]) | {"name": name}


def calling(child_id: str, child_name: str, *, name: str) -> dict[str, Any]:
    """A flow that gives its input to another one, and answers what that answers; as drawn in Langflow's editor."""
    flow = echo(name)
    nodes, edges = flow["data"]["nodes"], flow["data"]["edges"]
    given, said = "ChatInput-In~input_value", "ChatOutput-Out~message"
    node: dict[str, Any] = copy.deepcopy(shipped("RunFlow"))
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


def holding(child_name: str, *, name: str) -> dict[str, Any]:
    """A flow that has another one as a part: lfx's older Sub Flow, with all inputs of that as its own fields."""
    flow = echo(name)
    nodes, edges = flow["data"]["nodes"], flow["data"]["edges"]
    node = copy.deepcopy(shipped("SubFlow"))
    template, given = node["template"], "ChatInput-In|input_value"
    template["flow_name"]["value"] = child_name
    inputs = next(one for one in nodes if one["id"] == "ChatInput-In")["data"]["node"]["template"]
    for field in inputs.keys() - {"code", "_type"}:
        template[f"ChatInput-In|{field}"] = copy.deepcopy(inputs[field]) | {"name": f"ChatInput-In|{field}"}
    template[given] |= {"input_types": ["Message"], "value": ""}
    nodes.append(
        {"id": "SubFlow-S", "type": "genericNode", "data": {"id": "SubFlow-S", "type": "SubFlow", "node": node}}
    )
    wire = edges.pop()["data"]
    into = {**wire["targetHandle"], "id": "SubFlow-S", "fieldName": given, "inputTypes": ["Message"], "type": "str"}
    out = {"dataType": "SubFlow", "id": "SubFlow-S", "name": "flow_outputs", "output_types": ["JSON"]}
    edges.append({"source": "ChatInput-In", "target": "SubFlow-S", "data": {**wire, "targetHandle": into}})
    edges.append({"source": "SubFlow-S", "target": "ChatOutput-Out", "data": {**wire, "sourceHandle": out}})
    return flow


def wielding(child_name: str, *, name: str, tool: str) -> dict[str, Any]:
    """A flow whose agent has another flow as a tool: lfx's older Flow as Tool. It has no other tool."""
    flow = copy.deepcopy(_drawn()["agent"]) | {"name": name}
    node = next(one for one in flow["data"]["nodes"] if one["data"]["type"] == "FlowTool")["data"]["node"]
    values = {"flow_name": child_name, "tool_name": tool, "tool_description": "Says what it is told."}
    for field, value in values.items():
        node["template"][field]["value"] = value
    agent = next(one for one in flow["data"]["nodes"] if one["data"]["type"] == "Agent")["data"]["node"]
    for own in ("add_calculator_tool", "add_current_date_tool"):
        agent["template"][own]["value"] = False
    return flow


@cache
def _drawn() -> dict[str, dict[str, Any]]:
    """The two flows that all others are made of; drawing takes a sandbox, and so a while."""
    drawn = flowray.expand({"echo": _ECHO, "agent": _AGENT})
    return {name: dict(flow) for name, flow in drawn.items()}
