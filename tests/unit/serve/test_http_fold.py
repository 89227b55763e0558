"""What a run answers, by Langflow's rules."""

from __future__ import annotations

import pytest

from flowray.engine.events import NodeStarted, RunFinished
from flowray.engine.failures import ComponentFailedError, RunCancelledError, RunnerLostError, StepTimeoutError
from flowray.engine.outcome import answering, fold
from flowray.flow.types import NodeId
from flowray_serve.fold import run_response
from tests.unit.serve.flows import RUN, SUCCEEDED, flow, journal, node, request, said

CHAT = flow("ChatInput-1", "Agent-1", "ChatOutput-1", "TextOutput-1")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"output_type": "chat"}, ["ChatOutput-1"]),
        ({"output_type": "text"}, ["TextOutput-1"]),
        ({"output_type": "any"}, ["ChatOutput-1", "TextOutput-1"]),
        ({"output_type": "debug"}, ["ChatInput-1", "Agent-1", "ChatOutput-1", "TextOutput-1"]),
        ({"output_type": "chat", "output_component": "Agent-1"}, ["Agent-1"]),
        ({"output_type": "chat", "output_component": "Agent"}, ["Agent-1"]),
        ({"output_type": "chat", "output_component": "Nobody"}, []),
    ],
)
def test_output_type_and_component_choose_who_answers(asked: dict[str, str], answer: list[str]) -> None:
    assert list(answering(CHAT, **asked)) == answer


def test_all_outputs_answer_when_none_speaks_of_the_type() -> None:
    assert answering(flow("DataOutput-1"), output_type="chat") == ("DataOutput-1",)


def test_the_response_has_langflows_shape() -> None:
    outcome = fold(journal(said("ChatInput-1", "hi"), said("ChatOutput-1", "hello"), SUCCEEDED))
    response = run_response(request(CHAT, input_value="hi"), outcome)
    assert response["session_id"] == "chat-1"
    (block,) = response["outputs"]
    assert block["inputs"] == {"input_value": "hi"}
    assert [result["results"]["message"]["text"] for result in block["outputs"]] == ["hello"]


def test_results_come_in_the_flows_order_whoever_finished_first() -> None:
    outcome = fold(journal(said("ChatOutput-2", "b"), said("ChatOutput-1", "a"), SUCCEEDED))
    drawn = flow("ChatOutput-1", "ChatOutput-2")
    response = run_response(request(drawn), outcome)
    assert [result["component_id"] for result in response["outputs"][0]["outputs"]] == ["ChatOutput-1", "ChatOutput-2"]
    assert response["outputs"][0]["inputs"] == {}


def test_a_node_on_a_branch_not_taken_does_not_answer() -> None:
    outcome = fold(journal(said("ChatOutput-1", "a"), SUCCEEDED))
    response = run_response(request(flow("ChatOutput-1", "ChatOutput-2")), outcome)
    assert len(response["outputs"][0]["outputs"]) == 1


def test_of_a_node_that_ran_twice_the_last_result_counts() -> None:
    outcome = fold(journal(said("ChatOutput-1", "first"), said("ChatOutput-1", "second"), SUCCEEDED))
    response = run_response(request(flow("ChatOutput-1")), outcome)
    assert response["outputs"][0]["outputs"][0]["results"]["message"]["text"] == "second"


def test_a_failed_component_is_named_as_the_user_drew_it() -> None:
    finished = RunFinished(
        status="failed",
        kind="component",
        node=NodeId("Agent-1"),
        error="no key",
        error_type="ValueError",
        traceback="tb",
    )
    drawn = flow(node("Agent-1", name="My agent"))
    with pytest.raises(ComponentFailedError, match=r"Node `Agent-1` \(My agent\) failed: no key") as caught:
        fold(journal(finished)).require_success(request(drawn))
    assert caught.value.run == RUN
    assert caught.value.facts == {"node": "Agent-1", "error_type": "ValueError", "traceback": "tb", "kind": "component"}


def test_a_timeout_is_no_fault_of_the_component_alone() -> None:
    finished = RunFinished(status="failed", kind="timeout", error="ran longer than 300 s")
    with pytest.raises(StepTimeoutError) as caught:
        fold(journal(finished)).require_success(request(CHAT))
    assert caught.value.status == 504


def test_a_cancelled_run_is_told_so() -> None:
    with pytest.raises(RunCancelledError):
        fold(journal(RunFinished(status="cancelled"))).require_success(request(CHAT))


def test_a_journal_without_an_end_is_a_lost_run() -> None:
    with pytest.raises(RunnerLostError):
        fold(journal(NodeStarted(node=NodeId("Agent-1")))).require_success(request(CHAT))
