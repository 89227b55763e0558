"""Flows and specs for tests: from a few lines of text and a few lines of code."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from textwrap import dedent, indent
from typing import Any

from tests.integration.inside.host import Inside

Flow = dict[str, Any]
FLOW_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
_HEAD = """
from lfx.custom import Component
from lfx.io import BoolInput, DataInput, HandleInput, MessageTextInput, Output, SecretStrInput, StrInput
from lfx.schema import Data, DataFrame, Message


class {name}(Component):
    display_name = "{name}"
    inputs = [
        HandleInput(name="before", input_types=["Message", "Data", "DataFrame", "Tool"], is_list={many}),
        {inputs}
    ]
    outputs = [Output(name="out", method="build_out", types=["{gives}"])]

    {kind} build_out(self) -> {gives}:
{body}
"""


def component(
    body: str, *, name: str = "Custom", gives: str = "Message", inputs: str = "", kind: str = "def", many: bool = False
) -> str:
    """The source of a component with one output `out` and one input `before`."""
    filled = indent(dedent(body).strip(), " " * 8)
    return _HEAD.format(name=name, gives=gives, inputs=inputs, body=filled, kind=kind, many=many)


class Builder:
    """Makes nodes and flows with the inside's own jobs."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self.expand = cache(self._expand)
        self._frontend = cache(self._extract)

    def node(self, node_id: str, code: str, **fields: Any) -> dict[str, Any]:
        """A node that runs this source."""
        frontend = copy.deepcopy(self._frontend(code))
        for name, value in fields.items():
            field = value if isinstance(value, dict) else {"value": value}
            frontend["template"][name].update(field)
        data = {"id": node_id, "type": frontend["display_name"], "node": frontend}
        return {"id": node_id, "type": "genericNode", "data": data}

    def _extract(self, code: str) -> dict[str, Any]:
        heard = self._inside.do({"job": "extract", "code": code})
        assert heard.result, heard.error
        frontend: dict[str, Any] = heard.result["frontend"]
        return frontend

    def _expand(self, text: str) -> Flow:
        heard = self._inside.do({"job": "expand", "spec": "name: Test\n\n" + dedent(text).strip()})
        assert heard.result, heard.error
        flow: Flow = heard.result["flow"]
        return flow


def edge(
    source: dict[str, Any], target: dict[str, Any], *, output: str = "out", field: str = "before"
) -> dict[str, Any]:
    """An edge between two nodes."""
    outputs = {one["name"]: one for one in source["data"]["node"]["outputs"]}
    wanted = target["data"]["node"]["template"][field]
    handles = {
        "sourceHandle": {
            "dataType": source["data"]["type"],
            "id": source["id"],
            "name": output,
            "output_types": outputs[output]["types"],
        },
        "targetHandle": {
            "fieldName": field,
            "id": target["id"],
            "inputTypes": wanted["input_types"],
            "type": wanted["type"],
        },
    }
    return {"source": source["id"], "target": target["id"], "data": handles}


def flow_of(*nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None) -> Flow:
    """A flow of these nodes; each is wired to the one before, unless edges are given."""
    chain = [edge(one, other) for one, other in pairwise(nodes)]
    return {"name": "Test", "data": {"nodes": list(nodes), "edges": chain if edges is None else edges}}


def spec_of(flow: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The spec that runs the whole flow in one step."""
    nodes = [node for node in flow["data"]["nodes"] if node.get("type") != "noteNode"]
    return {
        "job": "run",
        "run": {"id": "run-1", "flow_id": FLOW_ID, "flow_name": flow["name"], "session_id": "session-1"},
        "nodes": nodes,
        "edges": flow["data"]["edges"],
        "build": [node["id"] for node in nodes],
        "inputs": {"input_value": "hello", "input_type": "chat"},
        **changes,
    }
