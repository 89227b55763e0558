from __future__ import annotations

from typing import Any

import orjson

from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow, NodeId
from flowray.plan.types import Step, StepId
from flowray.runner.body import Bodies, StepBody, body_of
from tests.unit.build import dag_of, plan_of


def step(*nodes: str) -> Step:
    return Step(id=StepId("s"), nodes=tuple(map(NodeId, nodes)))


def parts(body: StepBody) -> dict[str, Any]:
    return dict(orjson.loads(b"{%b}" % body.json))


def request_of(flow: Flow, **facts: Any) -> RunRequest:
    return RunRequest(
        flow=flow, plan=plan_of(a="", b="a"), tenant="t", flow_id="f", session="s", **{"run": "r", **facts}
    )


def test_a_body_holds_the_step_what_it_reads_and_the_wires_beyond_it() -> None:
    body = body_of(dag_of(a="", b="a", c="b", d="c", e=""), step("b"))
    assert body.nodes == ("b",)
    assert body.upstream == {"a": {"out"}}
    assert body.known == {"a", "b", "c", "d", "e"}
    assert [node["id"] for node in parts(body)["nodes"]] == ["a", "b"]
    ends = [(edge["source"], edge["target"]) for edge in parts(body)["edges"]]
    assert ends == [("a", "b"), ("b", "c"), ("c", "d")]


def test_wires_within_the_step_are_whole() -> None:
    flow = dag_of(a="", b="a")
    assert parts(body_of(flow, step("a", "b")))["edges"] == [dict(flow.edges[0].raw)]


def test_a_body_is_written_once_per_flow() -> None:
    bodies, flow = Bodies(), dag_of(a="", b="a")
    assert bodies.of(request_of(flow, run="r1"), StepId("a")) is bodies.of(request_of(flow, run="r2"), StepId("a"))


def test_over_the_limit_the_body_asked_for_longest_ago_goes() -> None:
    flow = dag_of(a="", b="a")
    request = request_of(flow)
    one = body_of(flow, step("a"))
    bodies = Bodies(most_bytes=2 * len(one.json))
    first = bodies.of(request, StepId("a"))
    bodies.of(request, StepId("b"))
    assert bodies.of(request, StepId("a")) is not first
