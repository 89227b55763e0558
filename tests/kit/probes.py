"""Flows made for tests: one component with the source that the test is about, and flows of any size."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent, indent
from typing import Any

from tests.kit.reference import Reference
from tests.kit.starters import nodes_of, with_values

_SPEC = """\
name: Probe

nodes:
  Question: ChatInput
  Probe: CustomComponent
  Answer: ChatOutput

edges:
  Question.message -> Probe.input_value
  Probe.output -> Answer.input_value
"""
_SOURCE = """\
{head}
from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema import Data


class CustomComponent(Component):
    display_name = "Probe"
    name = "CustomComponent"
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    def build_output(self) -> Data:
{body}
        return Data(value=self.input_value)
"""


def source(*, head: str = "", body: str = "") -> str:
    """A component's source: `head` runs at import, `body` when it is asked for its output."""
    return _SOURCE.format(head=dedent(head), body=indent(dedent(body), " " * 8))


def probe(reference: Reference, code: str) -> dict[str, Any]:
    """ChatInput -> a component with this source -> ChatOutput."""
    flow = reference.expand(_SPEC)
    return with_values(flow, {probe_node(flow): {"code": code}})


def probe_node(flow: Mapping[str, Any]) -> str:
    """The id of the component that the test is about."""
    (node,) = nodes_of(flow, "CustomComponent")
    return node


def many_nodes(count: int) -> dict[str, Any]:
    """A flow of `count` small nodes without wires."""
    template = {"_type": "Component", "code": {"name": "code", "type": "code", "value": "class Small: pass"}}
    nodes = [
        {
            "id": f"Small-{number}",
            "type": "genericNode",
            "position": {"x": 0, "y": 0},
            "data": {"id": f"Small-{number}", "type": "Small", "node": {"template": template, "outputs": []}},
        }
        for number in range(count)
    ]
    return {"name": "Many", "data": {"nodes": nodes, "edges": []}}
