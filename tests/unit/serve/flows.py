"""Flows and journals to speak about: only what the HTTP side looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowray.engine.events import Event, NodeFinished, Recorded, RunFinished, RunId
from flowray.engine.ports import RunRequest
from flowray.flow.types import Edge, Flow, Node, NodeId, Output
from flowray.plan.types import Plan, Step, StepId

RUN = RunId("11111111-1111-4111-8111-111111111111")


def node(node_id: str, *, gives: str = "Message", name: str = "") -> Node:
    component = node_id.partition("-")[0]
    return Node(
        id=NodeId(node_id),
        component=component,
        display_name=name or component,
        fields={},
        outputs=(Output(name="out", types=(gives,)),),
        is_input=component in ("ChatInput", "TextInput", "Webhook"),
        is_output=component in ("ChatOutput", "TextOutput", "DataOutput"),
        raw={"id": node_id, "data": {"type": component, "node": {"template": {}}}},
    )


def flow(*nodes: str | Node, wires: Iterable[tuple[str, str]] = ()) -> Flow:
    drawn = tuple(node(one) if isinstance(one, str) else one for one in nodes)
    edges = tuple(Edge(id=f"{a}-{b}", source=NodeId(a), output="out", target=NodeId(b), field="in") for a, b in wires)
    return Flow(name="Test", nodes=drawn, edges=edges, id="22222222-2222-4222-8222-222222222222")


def request(of: Flow, **facts: Any) -> RunRequest:
    step = Step(id=StepId("s1"), nodes=tuple(one.id for one in of.nodes))
    plan = Plan(flow_digest="d" * 64, fusion="auto", steps=(step,), edges=of.edges)
    defaults: dict[str, Any] = {"tenant": "default", "flow_id": of.id, "session": "chat-1"}
    return RunRequest(run=RUN, flow=of, plan=plan, **(defaults | facts))


def journal(*events: Event, began_at: float = 100.0) -> list[Recorded]:
    return [Recorded(seq=i, at=began_at + i, run=RUN, event=event) for i, event in enumerate(events, 1)]


def said(node_id: str, text: str) -> NodeFinished:
    """A node that answered with a chat message, as Langflow dumps it."""
    return NodeFinished(node=NodeId(node_id), outputs={}, result=message_result(node_id, text), took_s=0.01)


def message_result(node_id: str, text: str) -> Mapping[str, Any]:
    return {
        "results": {"message": {"text": text, "sender": "Machine"}},
        "outputs": {"message": {"message": text, "type": "text"}},
        "artifacts": {"message": text},
        "messages": [{"message": text}],
        "component_id": node_id,
    }


SUCCEEDED = RunFinished(status="succeeded")
