from __future__ import annotations

from tests.integration.inside.flows import Builder, Flow, component, edge, spec_of
from tests.integration.inside.host import Inside

ITEMS = 'return DataFrame([{"text": "a"}, {"text": "b"}, {"text": "c"}])'


def looped(build: Builder, body: str) -> Flow:
    """Three rows, a loop over them, and one node as the loop's body."""
    flow = build.expand("nodes:\n  L: LoopComponent\n  Out: ChatOutput\n\nedges:\n  L.done -> Out.input_value\n")
    rows = build.node("Rows-1", component(ITEMS, name="Rows", gives="DataFrame"))
    each = build.node("Each-1", component(body, name="Each", gives="Data"))
    loop = next(node for node in flow["data"]["nodes"] if node["id"] == "LoopComponent-L")
    back = edge(each, loop, field="data")
    item = next(output for output in loop["data"]["node"]["outputs"] if output["name"] == "item")
    back["data"]["targetHandle"] = {
        "dataType": "LoopComponent",
        "id": "LoopComponent-L",
        "name": "item",
        "output_types": [*item["types"], "Message"],
    }
    nodes = [*flow["data"]["nodes"], rows, each]
    edges = [*flow["data"]["edges"], edge(rows, loop, field="data"), edge(loop, each, output="item"), back]
    return {"name": "Loop", "data": {"nodes": nodes, "edges": edges}}


def test_a_loop_runs_its_body_once_for_each_item_and_tells_it(inside: Inside, build: Builder) -> None:
    flow = looped(build, 'return Data(data={"text": self.before.data["text"].upper()})')

    heard = inside.do(spec_of(flow, inputs={}))

    assert heard.error is None
    assert len(heard.of("node_started", "Each-1")) == 3
    texts = [event["outputs"]["out"]["json"]["data"]["text"] for event in heard.of("node_finished", "Each-1")]
    assert texts == ["A", "B", "C"]
    assert all(letter in heard.text("ChatOutput-Out") for letter in "ABC")


def test_a_loop_does_not_tell_that_it_stopped_its_own_body(inside: Inside, build: Builder) -> None:
    heard = inside.do(spec_of(looped(build, "return self.before"), inputs={}))

    assert heard.error is None
    assert heard.of("branch_stopped") == []


def test_what_fails_in_the_body_of_a_loop_is_to_blame(inside: Inside, build: Builder) -> None:
    heard = inside.do(spec_of(looped(build, 'raise ValueError("no such item")'), inputs={}))

    assert heard.error is not None
    assert (heard.error["node"], heard.error["error"]) == ("Each-1", "no such item")


def test_a_node_that_ran_elsewhere_is_not_run_again_for_each_item(inside: Inside, build: Builder) -> None:
    flow = looped(build, 'return Data(data={"text": self.word + self.before.data["text"]})')
    each = next(node for node in flow["data"]["nodes"] if node["id"] == "Each-1")
    replaced = build.node(
        "Each-1",
        component(
            'return Data(data={"text": self.word.text + self.before.data["text"]})',
            name="Each",
            gives="Data",
            inputs='HandleInput(name="word", input_types=["Message"])',
        ),
    )
    each["data"] = replaced["data"]
    word = build.node("Word-1", component('raise RuntimeError("ran again")', name="Word"))
    flow["data"]["nodes"].append(word)
    flow["data"]["edges"].append(edge(word, each, field="word"))
    there = {"Word-1": {"out": {"type": "message", "json": {"text": "item "}}}}
    here = ["Rows-1", "LoopComponent-L", "Each-1", "ChatOutput-Out"]

    heard = inside.do(spec_of(flow, inputs={}, build=here, upstream=there))

    assert heard.error is None, heard.error
    assert "item a" in heard.text("ChatOutput-Out")
