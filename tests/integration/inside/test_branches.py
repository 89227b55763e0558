from __future__ import annotations

import pytest

from tests.integration.inside.flows import Builder, component, edge, flow_of, spec_of
from tests.integration.inside.host import Heard, Inside

ROUTER = """
    nodes:
      In: ChatInput
      If: ConditionalRouter
      Yes: ChatOutput
      No: ChatOutput

    edges:
      In.message -> If.input_text
      If.true_result -> Yes.input_value
      If.false_result -> No.input_value

    config:
      If.match_text: hello
      If.operator: equals
"""
STOPS = """
self.stop("out")
return Message(text="stopped what follows")
"""


def ran(heard: Heard) -> set[str]:
    assert heard.error is None, heard.error
    return {event["node"] for event in heard.of("node_finished")}


@pytest.mark.parametrize(("said", "taken", "left"), [("hello", "Yes", "No"), ("goodbye", "No", "Yes")])
def test_a_router_runs_one_branch_and_tells_that_it_closed_the_other(
    inside: Inside, build: Builder, said: str, taken: str, left: str
) -> None:
    heard = inside.do(spec_of(build.expand(ROUTER), inputs={"input_value": said, "input_type": "chat"}))

    assert ran(heard) == {"ChatInput-In", "ConditionalRouter-If", f"ChatOutput-{taken}"}
    closed = [event for event in heard.of("branch_stopped") if event["lasting"]]
    output = "false_result" if taken == "Yes" else "true_result"
    assert [(event["node"], event["output"], event["nodes"]) for event in closed] == [
        ("ConditionalRouter-If", output, [f"ChatOutput-{left}"])
    ]


def test_a_stop_reaches_nodes_beyond_the_step(inside: Inside, build: Builder) -> None:
    stops, next_, last = (
        build.node(f"Custom-{letter}", component(STOPS if letter == "a" else "return self.before")) for letter in "abc"
    )

    heard = inside.do(spec_of(flow_of(stops, next_, last), build=["Custom-a"]))

    (stopped,) = heard.of("branch_stopped")
    assert (stopped["output"], stopped["nodes"]) == ("out", ["Custom-b", "Custom-c"])


def test_a_stopped_node_of_the_same_step_does_not_run(inside: Inside, build: Builder) -> None:
    stops, next_ = build.node("Custom-a", component(STOPS)), build.node("Custom-b", component("return self.before"))

    heard = inside.do(spec_of(flow_of(stops, next_)))

    assert ran(heard) == {"Custom-a"}


def test_a_node_that_another_branch_leads_to_as_well_stays_open(inside: Inside, build: Builder) -> None:
    flow = build.expand(
        """
        nodes:
          In: ChatInput
          If: ConditionalRouter
          Yes: TypeConverterComponent
          Both: ChatOutput

        edges:
          In.message -> If.input_text
          If.true_result -> Yes.input_data
          Yes.message_output -> Both.input_value
          If.false_result -> Both.input_value

        config:
          If.match_text: hello
        """
    )

    heard = inside.do(spec_of(flow, inputs={"input_value": "goodbye", "input_type": "chat"}))

    closed = [event["nodes"] for event in heard.of("branch_stopped") if event["lasting"]]
    assert closed == [["TypeConverterComponent-Yes"]]


def test_a_closed_node_is_not_run_and_who_reads_it_gets_its_fields_default(inside: Inside, build: Builder) -> None:
    closed = build.node("Custom-a", component('return Message(text="never")'))
    reads = build.node("Custom-b", component("return Message(text=repr(self.before or None))"))
    other = build.node("Custom-c", component('return Message(text="here")'))
    flow = flow_of(closed, reads, other, edges=[edge(closed, reads)])

    heard = inside.do(spec_of(flow, skip=["Custom-a"]))

    assert ran(heard) == {"Custom-b", "Custom-c"}
    assert heard.output("Custom-b", "out")["json"]["text"] == "None"


def test_an_unused_tool_is_left_out_as_in_langflow(inside: Inside, build: Builder) -> None:
    flow = build.expand("nodes:\n  In: ChatInput\n  Out: ChatOutput\n\nedges:\n  In.message -> Out.input_value\n")
    tool = build.node("Custom-a", component("return Message(text='used')"))
    tool["data"]["node"]["tool_mode"] = True
    flow["data"]["nodes"] = [*flow["data"]["nodes"], tool]

    heard = inside.do(spec_of(flow))

    assert ran(heard) == {"ChatInput-In", "ChatOutput-Out"}
