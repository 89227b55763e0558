"""The v2 outputs, held against lfx's own converter."""

from __future__ import annotations

from typing import Any

import pytest
from lfx.workflow.converters import build_component_output, resolve_output_type

from flowray.flow.types import Node
from flowray_serve.workflow_answer import component_output
from tests.unit.serve.flows import message_result, node

RESULTS: list[Any] = [
    None,
    {},
    message_result("x", "hi"),
    {"outputs": {}, "results": {"a": 1}},
    {"outputs": None, "results": {"message": "only results"}},
    {"outputs": {"text": {"message": "from text"}}},
    {"outputs": {"message": {"message": {"text": "nested"}}}},
    {"outputs": {"message": {"message": ["a list"], "type": "array"}}},
    {"outputs": {"result": {"message": {"k": 1}}, "results": {"message": {"k": 2}}}},
    {"outputs": {"run_sql_query": {"message": [{"row": 1}]}}},
    {"outputs": {"model_output": {"message": {"model_name": "gpt-4o"}}}},
    {"outputs": {"message": {"message": "File saved at /x/y.csv"}}},
]
NODES = [
    node("ChatOutput-1"),
    node("ChatOutput-1", name="Answer"),
    node("TextOutput-1", gives="Text"),
    node("DataOutput-1", gives="Data"),
    node("Agent-1"),
    node("Loader-1", gives="DataFrame"),
    node("Json-1", gives="Data"),
    node("SaveToFile-1"),
    node("Broken-1", gives="Error"),
    node("Tool-1", gives="Tool"),
]


@pytest.mark.parametrize("drawn", NODES, ids=lambda one: f"{one.component} gives {one.outputs[0].types[0]}")
def test_each_nodes_output_is_what_lfx_makes_of_it(drawn: Node) -> None:
    for result in RESULTS:
        theirs = build_component_output(
            component_id=drawn.id,
            is_output=drawn.is_output,
            vertex_type=drawn.component,
            output_type=resolve_output_type(list(drawn.outputs[0].types), drawn.component),
            display_name=drawn.display_name,
            result_data=result,
        ).model_dump(mode="json")
        assert component_output(drawn, result) == theirs, result
