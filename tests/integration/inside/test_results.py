"""The results that are shown are lfx's own: the same flow in lfx, in this process, is the measure."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from lfx.graph.graph.base import Graph
from lfx.graph.schema import ResultData

from flowray_sandbox import results
from tests.integration.inside.flows import FLOW_ID, Builder, Flow, component, flow_of, spec_of
from tests.integration.inside.host import Inside

CHAT = """
    nodes:
      In: ChatInput
      Split: SplitText
      Out: ChatOutput

    edges:
      In.message -> Out.input_value
      In.message -> Split.data_inputs

    config:
      Split.separator: l
      Split.chunk_size: 2
      Split.chunk_overlap: 0
"""


async def in_lfx(flow: Flow) -> dict[str, Any]:
    """Each node's result as Langflow's API would show it."""
    graph = Graph.from_payload(copy.deepcopy(flow["data"]), flow_id=FLOW_ID, flow_name=flow["name"])
    graph.set_run_id("run-1")
    await graph.arun([{"input_value": "hello"}], types=["chat"], outputs=[], session_id="session-1")
    return {vertex.id: jsonable_encoder(vertex.result) for vertex in graph.vertices}


def masked(result: Any) -> Any:
    """The result without what no two runs share: times and the ids of messages."""
    if isinstance(result, dict):
        return {name: "*" if name in {"timestamp", "id"} else masked(item) for name, item in result.items()}
    if isinstance(result, list):
        return [masked(item) for item in result]
    if isinstance(result, str):
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ UTC|(?<=\"id\": \")[^\"]+", "*", result)
    return result


@pytest.mark.filterwarnings("ignore")
async def test_results_are_those_of_lfx_itself(inside: Inside, build: Builder) -> None:
    flow = build.expand(CHAT)

    expected = await in_lfx(flow)
    heard = inside.do(spec_of(flow))

    assert heard.error is None, heard.error
    for node, result in expected.items():
        assert masked(heard.of("node_finished", node)[0]["result"]) == masked(result), node


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("gives", "value"),
    [
        ("Message", 'Message(text="hi", extra={"a": [1, None]})'),
        ("Data", 'Data(data={"a": float("nan"), "b": [1.5], "c": {"d": True}})'),
        ("DataFrame", 'DataFrame([{"a": 1, "b": "x"}, {"a": 2, "b": None}])'),
        ("str", '"text"'),
        ("dict", '{"a": [1, {"b": None}]}'),
    ],
)
async def test_results_of_components_of_any_type_are_those_of_lfx(
    inside: Inside, build: Builder, gives: str, value: str
) -> None:
    flow = flow_of(build.node("Custom-1", component(f'self.log("logged")\nreturn {value}', gives=gives)), edges=[])

    expected = await in_lfx(flow)
    heard = inside.do(spec_of(flow))

    assert heard.error is None, heard.error
    assert masked(heard.of("node_finished")[0]["result"]) == masked(expected["Custom-1"])


@pytest.mark.timeout(20)
def test_a_result_of_dictionaries_that_is_too_large_is_told_by_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_LIMIT_BYTES", 1000)
    large = {"out": {str(number): {"n": number} for number in range(1000)}}
    cuts: list[str] = []

    text = results.result_json(
        ResultData(results=large, artifacts=large, component_id="Custom-1", duration="2 ms"), lambda: cuts.append("cut")
    )

    told = json.loads(text)
    assert (told["component_id"], told["duration"], told["results"], told["outputs"]) == ("Custom-1", "2 ms", {}, {})
    assert cuts == ["cut"]


def test_a_number_of_more_than_64_bits_is_shown_as_text(inside: Inside, build: Builder) -> None:
    counts = component("return Data(value=2**70)", gives="Data")

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", counts))))

    assert heard.error is None, heard.error
    (finished,) = heard.of("node_finished")
    assert str(2**70) in json.dumps(finished["result"]), finished["result"]
