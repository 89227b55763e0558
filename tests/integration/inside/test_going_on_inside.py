"""Parts of a step: what has finished is given, and what waits for a person is left out until it is answered."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.integration.inside.flows import Builder, Flow, component, flow_of, spec_of
from tests.integration.inside.host import Heard, Inside
from tests.integration.inside.test_loops import looped
from tests.integration.inside.test_starters_inside import ready
from tests.kit.llm import Llm
from tests.kit.starters import nodes_of


def outputs_of(heard: Heard, *nodes: str) -> dict[str, Any]:
    """What these nodes put out, as the host gives it back."""
    return {node: heard.of("node_finished", node)[-1]["outputs"] for node in nodes}


def started(heard: Heard) -> list[str]:
    return [event["node"] for event in heard.of("node_started")]


def test_the_rest_of_a_step_runs_with_what_has_finished(inside: Inside, build: Builder) -> None:
    says = component('return Message(text=f"{self.before.text if self.before else 0}+")')
    flow = flow_of(*(build.node(f"N-{number}", says) for number in range(3)))
    whole = inside.do(spec_of(flow))

    rest = inside.do(spec_of(flow, build=["N-1", "N-2"], upstream=outputs_of(whole, "N-0")))

    assert started(rest) == ["N-1", "N-2"]
    assert rest.output("N-2", "out")["json"]["text"] == whole.output("N-2", "out")["json"]["text"] == "0+++"


def test_what_lives_inside_only_may_be_left_for_a_node_that_runs_later(inside: Inside, build: Builder) -> None:
    makes = build.node("Makes-1", component("import threading\nreturn threading.Lock()", gives="Data"))
    uses = build.node("Uses-1", component("return Message(text=type(self.before).__name__)"))

    now = inside.do(spec_of(flow_of(makes, uses), build=["Makes-1"], later=["Uses-1"]))

    assert now.error is None
    assert now.output("Makes-1", "out")["json"]["$flowray"] == "opaque"


ASKING = """
nodes:
  In: ChatInput
  Ask: HumanInput
  Out: ChatOutput

edges:
  In.message -> Ask.prompt
  Ask.branch_approve -> Out.input_value
"""


def test_a_node_that_asks_a_person_pauses_and_what_hangs_on_it_does_not_run(inside: Inside, build: Builder) -> None:
    heard = inside.do(spec_of(build.expand(ASKING)))

    assert heard.error is None
    assert started(heard) == ["ChatInput-In", "HumanInput-Ask"]
    [paused] = heard.of("node_paused")
    assert paused["request"] | {"paused_at": ""} == {
        "reason": "human_input_required",
        "request_id": "HumanInput-Ask:run-1",
        "kind": "node_input",
        "prompt": "hello",
        "options": [{"action_id": "approve", "label": "Approve"}, {"action_id": "reject", "label": "Reject"}],
        "allowed_decisions": ["approve", "reject"],
        "timeout_seconds": 259200,
        "fallback_action": None,
        "paused_at": "",
    }
    assert not heard.of("node_finished", "HumanInput-Ask")


@pytest.mark.parametrize(
    ("action", "ran"), [("approve", ["HumanInput-Ask", "ChatOutput-Out"]), ("reject", ["HumanInput-Ask"])]
)
def test_the_answer_chooses_the_branch(inside: Inside, build: Builder, action: str, ran: list[str]) -> None:
    flow = build.expand(ASKING)
    asked = inside.do(spec_of(flow))

    answered = inside.do(
        spec_of(
            flow,
            build=["HumanInput-Ask", "ChatOutput-Out"],
            upstream=outputs_of(asked, "ChatInput-In"),
            answers={"HumanInput-Ask:run-1": {"action_id": action}},
        )
    )

    assert answered.error is None
    assert started(answered) == ran


def test_a_node_asks_also_when_what_hangs_on_it_is_elsewhere(inside: Inside, build: Builder) -> None:
    flow = build.expand(ASKING)
    nodes = [node for node in flow["data"]["nodes"] if node["id"] != "ChatOutput-Out"]

    heard = inside.do(spec_of({**flow, "data": {"nodes": nodes, "edges": flow["data"]["edges"]}}))

    assert len(heard.of("node_paused")) == 1


def test_a_loop_cannot_wait_for_a_person(inside: Inside, build: Builder) -> None:
    asks = 'self.graph.request_pause("human_input_required", {"request_id": "x"})\nreturn self.before'

    heard = inside.do(spec_of(looped(build, asks), inputs={}))

    assert heard.error is not None
    assert "inside a loop cannot wait" in heard.error["error"]


def approved(flow: Flow) -> Flow:
    """The flow with every action of its tools up for approval."""
    flow = copy.deepcopy(flow)
    for node in flow["data"]["nodes"]:
        rows = ((node["data"].get("node") or {}).get("template") or {}).get("tools_metadata") or {}
        for row in rows.get("value") or []:
            row["approval_actions"] = ["approve", "reject"]
    return flow


@pytest.mark.parametrize(("action", "said"), [("approve", "The tool said"), ("reject", "You said")])
def test_an_agent_waits_with_its_thread_until_its_tool_is_approved(
    inside: Inside, llm: Llm, action: str, said: str
) -> None:
    flow = approved(ready("Simple Agent"))
    inputs = {"input_value": "What is 6 * 7?", "input_type": "chat"}
    (agent,) = nodes_of(flow, "Agent")
    (out,) = nodes_of(flow, "ChatOutput")

    asked = inside.do(spec_of(flow, variables=llm.variables, inputs=inputs))

    assert asked.error is None, asked.error
    [paused] = asked.of("node_paused")
    assert (paused["node"], paused["request"]["kind"]) == (agent, "tool_approval")
    assert not asked.of("node_started", out)
    calls = len(llm.requests)

    done = set(nodes_of(flow, "ChatInput"))
    left = [node["id"] for node in flow["data"]["nodes"] if node.get("type") != "noteNode" and node["id"] not in done]
    state = asked.blobs[paused["state"]]
    answered = inside.do(
        spec_of(
            flow,
            build=left,
            upstream=outputs_of(asked, *done),
            variables=llm.variables,
            inputs=inputs,
            answers={paused["request"]["request_id"]: {"action_id": action}},
            states={agent: 0},
        ),
        [state],
    )

    assert answered.error is None, answered.error
    assert not answered.of("node_paused")
    assert len(llm.requests) == calls + 1, "the thread goes on where it was, and asks the model once more"
    if action == "approve":
        assert said in answered.text(out)


@pytest.mark.parametrize(
    ("raises", "cause"),
    [
        ("class Busy(Exception):\n    status_code = 429\nraise Busy('slow down')", "rate_limit"),
        ("class Down(Exception):\n    status_code = 503\nraise Down('oops')", "server_error"),
        ("class Bad(Exception):\n    status_code = 401\nraise Bad('who are you')", ""),
        ("raise TimeoutError('nobody is there')", ""),
        ("raise ValueError('my own mistake')", ""),
    ],
)
def test_a_providers_trouble_is_named(inside: Inside, build: Builder, raises: str, cause: str) -> None:
    heard = inside.do(spec_of(flow_of(build.node("N-1", component(raises)))))

    assert heard.error is not None
    assert heard.error["cause"] == heard.of("node_failed")[0]["cause"] == cause


def test_a_call_that_runs_out_of_time_is_a_providers_trouble_where_there_is_a_way_out(
    inside: Inside, build: Builder
) -> None:
    flow = flow_of(
        build.node(
            "N-1",
            component(
                "try:\n    raise TimeoutError('late')\nexcept TimeoutError as e:\n    raise ValueError('x') from e"
            ),
        )
    )

    heard = inside.do(spec_of(flow, egress=["api.example.org"]))

    assert heard.error is not None
    assert heard.error["cause"] == "timeout"
