from __future__ import annotations

import pickle

import orjson
import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import RunId
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray.plan.types import Plan, Step, StepId
from flowray.runner.call import Bodies, BodyUnknownError, KnownBodies, StepBody, body_of, call_of
from tests.unit.build import dag_of, plan_of


def step(*nodes: str) -> Step:
    return Step(id=StepId("s"), nodes=tuple(map(NodeId, nodes)))


def parts(body: StepBody) -> dict[str, list[dict[str, str]]]:
    return dict(orjson.loads(b"{%b}" % body.json))


def test_a_body_holds_the_step_what_it_reads_and_the_wires_beyond_it() -> None:
    body = body_of(dag_of(a="", b="a", c="b", d="c", e=""), step("b"))
    assert body.nodes == ("b",)
    assert body.upstream == {"a": {"out"}}
    assert body.known == {"a", "b", "c", "d", "e"}
    assert [node["id"] for node in parts(body)["nodes"]] == ["a", "b"]
    ends = [(edge["source"], edge["target"]) for edge in parts(body)["edges"]]
    assert ends == [("a", "b"), ("b", "c"), ("c", "d")]


def test_the_same_nodes_have_the_same_body_in_every_copy_of_the_flow() -> None:
    one, two = (body_of(dag_of(a="", b="a"), step("a", "b")) for _ in range(2))
    assert one == two


def test_the_caller_writes_a_body_once_per_flow() -> None:
    bodies = Bodies(most=2)
    request = RunRequest(
        run=RunId("r"), tenant="t", flow=dag_of(a="", b="a"), flow_id="f", plan=plan_of(a="", b="a"), session="s"
    )
    assert bodies.of(request, StepId("a")) is bodies.of(request, StepId("a"))


def test_a_call_is_small_and_survives_the_way() -> None:
    flow = dag_of(a="", b="a")
    plan = Plan(flow_digest="d", fusion="auto", steps=(step("a", "b"),), edges=flow.edges)
    request = RunRequest(run=RunId("r"), tenant="t", flow=flow, flow_id="f", plan=plan, session="s")
    body = body_of(flow, plan.steps[0])
    call = call_of(request, StartStep(step=StepId("s")), body)
    packed = pickle.dumps(call)
    assert len(packed) < 800
    assert pickle.loads(packed) == call  # noqa: S301 - our own bytes


def test_a_runner_without_the_body_says_so() -> None:
    with pytest.raises(BodyUnknownError) as raised:
        KnownBodies().get("d" * 64)
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own bytes
    assert (again.digest, again.message) == ("d" * 64, raised.value.message)


def test_a_runner_forgets_what_was_not_asked_for_longest() -> None:
    one, two, three = (body_of(dag_of(**{name: ""}), step(name)) for name in "abc")
    known = KnownBodies(most_bytes=len(one.json) + len(two.json) + 10)
    known.learn(one)
    known.learn(two)
    known.get(one.digest)
    known.learn(three)
    assert known.get(one.digest) is one
    with pytest.raises(BodyUnknownError):
        known.get(two.digest)
