from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.inside.flows import Builder, Flow, component, flow_of, spec_of
from tests.integration.inside.host import Heard, Inside
from tests.kit.llm import Llm
from tests.kit.starters import model_tweaks, nodes_of, starters, with_values


def order_of(flow: Flow) -> list[str]:
    """The flow's nodes, each after those it reads from."""
    nodes = [node["id"] for node in flow["data"]["nodes"] if node.get("type") != "noteNode"]
    reads = {node: {edge["source"] for edge in flow["data"]["edges"] if edge["target"] == node} for node in nodes}
    done: list[str] = []
    while len(done) < len(nodes):
        done += [node for node in nodes if node not in done and reads[node] <= set(done)]
    return done


def each_on_its_own(inside: Inside, flow: Flow, **changes: Any) -> Heard:
    """Run each node in a sandbox of its own, with what the nodes before it put out."""
    all_heard, put_out = Heard(), dict[str, Mapping[str, Any]]()
    for node in order_of(flow):
        heard = inside.do(spec_of(flow, build=[node], upstream=put_out, **changes), all_heard.blobs)
        assert heard.error is None, heard.error
        put_out[node] = heard.of("node_finished", node)[0]["outputs"]
        all_heard.events += heard.events
    return all_heard


@pytest.mark.parametrize(
    "name", ["Basic Prompting", "Image Sentiment Analysis", "Multi Agent Flow", "Twitter Thread Generator"]
)
def test_a_starter_says_the_same_whether_it_runs_in_one_step_or_in_many(inside: Inside, llm: Llm, name: str) -> None:
    starter = starters()[name]
    flow = with_values(starter, model_tweaks(starter))

    whole = inside.do(spec_of(flow, variables=llm.variables))
    split = each_on_its_own(inside, flow, variables=llm.variables)

    for node in nodes_of(flow, "ChatOutput"):
        assert split.text(node) == whole.text(node)


def test_a_chat_output_names_a_source_that_ran_elsewhere(inside: Inside, build: Builder) -> None:
    flow = build.expand("nodes:\n  In: ChatInput\n  Out: ChatOutput\n\nedges:\n  In.message -> Out.input_value\n")

    whole = inside.do(spec_of(flow))
    split = each_on_its_own(inside, flow)

    shown = [heard.output("ChatOutput-Out", "message")["json"]["properties"]["source"] for heard in (whole, split)]
    assert shown[0] == shown[1]
    assert shown[0]["id"] == "ChatInput-In"


@pytest.mark.parametrize(
    ("gives", "value"),
    [
        ("Message", 'Message(text="hi", extra={"a": [1]})'),
        ("Data", 'Data(data={"a": None, "b": [1.5]})'),
        ("DataFrame", 'DataFrame([{"a": 1, "b": "x"}, {"a": 2, "b": None}])'),
    ],
)
def test_a_value_is_the_same_in_another_sandbox(inside: Inside, build: Builder, gives: str, value: str) -> None:
    makes = build.node("Makes-1", component(f"return {value}", gives=gives))
    shows = build.node("Shows-1", component("return Message(text=type(self.before).__name__ + repr(self.before))"))
    flow = flow_of(makes, shows)

    whole = inside.do(spec_of(flow))
    split = each_on_its_own(inside, flow)

    texts = [heard.output("Shows-1", "out")["json"]["text"] for heard in (whole, split)]
    first, second = (re.sub(r"'timestamp': '[^']*'", "", text) for text in texts)
    assert first == second


def test_secrets_of_nodes_that_ran_elsewhere_are_masked_in_results(inside: Inside, build: Builder) -> None:
    knows = component("return Message(text='the key is ' + self.key)", inputs='SecretStrInput(name="key")')
    first = build.node("Knows-1", knows, key={"value": "xyzzy", "load_from_db": False})
    second = build.node("Tells-1", component("return Message(text=self.before.text)"))

    split = each_on_its_own(inside, flow_of(first, second))

    assert split.output("Tells-1", "out")["json"]["text"] == "the key is xyzzy"
    assert "xyzzy" not in str(split.of("node_finished", "Tells-1")[0]["result"]["results"])


def test_an_opaque_stand_in_cannot_be_used_in_another_step(inside: Inside, build: Builder) -> None:
    reads = build.node("Reads-1", component('return Message(text="")'))
    gone = build.node("Gone-1", component("return None"))
    stand_in = {"type": "object", "json": {"$flowray": "opaque", "value": "Lock"}}

    heard = inside.do(
        spec_of(flow_of(gone, reads), build=["Reads-1"], upstream={"Gone-1": {"out": stand_in}}),
    )

    assert heard.error is not None
    assert (heard.error["kind"], "Lock" in heard.error["error"]) == ("value", True)
