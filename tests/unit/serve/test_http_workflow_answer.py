"""The v2 response: what its answer is and why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from flowray.engine.failures import ComponentFailedError
from flowray.engine.outcome import fold
from flowray.flow.types import Flow
from flowray_serve.bodies.workflow import WorkflowBody
from flowray_serve.workflow_answer import component_output, failed, succeeded
from tests.unit.serve.flows import SUCCEEDED, flow, journal, message_result, node, request, said


def body(**fields: Any) -> WorkflowBody:
    return WorkflowBody(flow_id=UUID(int=1), **fields)


def output_of(drawn: Flow, *events: Any, **fields: Any) -> dict[str, Any]:
    response = succeeded(request(drawn), fold(journal(*events, SUCCEEDED)), body(**fields))
    answer: dict[str, Any] = response["output"]
    return answer


def test_one_text_output_is_the_answer() -> None:
    answer = output_of(
        flow("ChatInput-1", "ChatOutput-1", wires=[("ChatInput-1", "ChatOutput-1")]), said("ChatOutput-1", "hi")
    )
    assert answer == {"reason": "single", "text": "hi", "source": "ChatOutput-1"}


def test_two_text_outputs_leave_the_choice_to_the_caller() -> None:
    answer = output_of(flow("ChatOutput-1", "ChatOutput-2"), said("ChatOutput-1", "a"), said("ChatOutput-2", "b"))
    assert answer["reason"] == "multiple"


def test_output_ids_make_the_choice() -> None:
    drawn = flow("ChatOutput-1", "ChatOutput-2")
    answer = output_of(drawn, said("ChatOutput-1", "a"), said("ChatOutput-2", "b"), output_ids=["ChatOutput-2"])
    assert answer["text"] == "b"


def test_a_flow_of_tables_has_no_text_answer() -> None:
    assert output_of(flow(node("Loader-1", gives="DataFrame")))["reason"] == "none"


def test_a_text_channel_without_text_says_so() -> None:
    assert output_of(flow("ChatOutput-1"))["reason"] == "non_string"


def test_only_nodes_nothing_hangs_on_are_reported() -> None:
    drawn = flow("ChatInput-1", "ChatOutput-1", wires=[("ChatInput-1", "ChatOutput-1")])
    response = succeeded(request(drawn), fold(journal(said("ChatInput-1", "x"), SUCCEEDED)), body())
    assert list(response["outputs"]) == ["ChatOutput-1"]


def test_a_message_of_a_node_that_is_no_output_keeps_its_content() -> None:
    output = component_output(node("Agent-1"), message_result("Agent-1", "secret"))
    assert output["content"] is None
    assert output["metadata"] == {"component_type": "Agent"}


def test_the_model_that_spoke_is_metadata() -> None:
    result = {"outputs": {"model_output": {"message": {"model_name": "gpt-4o"}, "type": "object"}}}
    output = component_output(node("Llm-1", name="Model"), result)
    assert output["metadata"]["source"] == {"id": "Llm-1", "display_name": "Model", "source": "gpt-4o"}


@pytest.mark.parametrize(
    "outputs",
    [
        {"message": {"message": "hi", "type": "text"}},
        {"text": {"message": "hi"}},
        {"message": {"text": "hi"}},
        {"message": "hi"},
        {"text": {"text": "hi"}},
        {"text": "hi"},
    ],
)
def test_text_is_found_wherever_components_put_it(outputs: dict[str, Any]) -> None:
    assert component_output(node("ChatOutput-1"), {"outputs": outputs})["content"] == "hi"


def test_a_table_is_shown_even_by_a_node_that_is_no_output() -> None:
    rows = [{"a": 1}]
    output = component_output(node("Loader-1", gives="DataFrame"), {"outputs": {"results": {"message": rows}}})
    assert output["content"] == rows


def test_a_failed_component_is_inside_the_answer() -> None:
    error = ComponentFailedError("Node `a` failed: no key", "run-1", {"node": "a", "error_type": "ValueError"})
    response = failed(request(flow("a")), fold(journal()), error, body(tweaks={"a": {"x": 1}}))
    assert (response["status"], response["has_errors"], response["inputs"]) == ("failed", True, {"a": {"x": 1}})
    (said_error,) = response["errors"]
    assert said_error["code"] == "EXECUTION_ERROR"
    assert said_error["details"]["node"] == "a"
    assert response["output"] == {"reason": "failed", "text": None, "source": None}
