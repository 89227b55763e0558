from __future__ import annotations

from typing import Any

import pytest

from flowray.engine.events import Event, MessageAdded, Token
from flowray.engine.outcome import Outcome
from flowray.flow.types import NodeId
from flowray_serve.spoken import Spoken, said, tool_calls
from tests.unit.serve.flows import flow, request

N = NodeId("n")


def message(text: str, *, name: str = "m", state: str = "complete", **facts: Any) -> MessageAdded:
    body = {"id": name, "text": text, "sender": "Machine", "sender_name": "AI", "properties": {"state": state}}
    return MessageAdded(node=N, message={**body, **facts})


def token(text: str, name: str = "m") -> Token:
    return Token(node=N, text=text, message=name)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        pytest.param([message("whole")], ["whole"], id="an answer that was not streamed"),
        pytest.param([token("a"), token("b"), message("ab")], ["a", "b"], id="a streamed one that comes again"),
        pytest.param(
            [message("a", state="partial"), token("a"), token("b"), message("ab")],
            ["a", "b"],
            id="its first piece twice",
        ),
        pytest.param([token("ab", "agent"), message("ab", name="other")], ["ab"], id="the same under another id"),
        pytest.param([token("ab", "x"), message("new", name="y")], ["ab", "new"], id="a second answer"),
        pytest.param([message("q")], [], id="the question itself"),
        pytest.param([message("hi", sender="User", sender_name="User")], [], id="what the user said"),
        pytest.param([message("a", state="partial"), message("ab", state="partial")], ["a", "b"], id="a growing text"),
        pytest.param([message("x"), message("x")], ["x"], id="a message again once its usage is known"),
    ],
)
def test_each_piece_is_said_once(events: list[Event], told: list[str]) -> None:
    spoken = Spoken("q")
    assert [text for text in map(spoken.add, events) if text] == told


def test_calls_are_found_among_blocks_and_in_groups() -> None:
    call = {"type": "tool_use", "name": "search", "tool_input": {"q": 1}, "output": None, "error": "down"}
    found = list(
        tool_calls({"content_blocks": [call, {"title": "Agent Steps", "contents": [call, {"type": "text"}]}, 7]})
    )
    assert [(one.name, one.failed) for one in found] == [("search", True), ("search", True)]


@pytest.mark.parametrize(
    "facts",
    [
        {"properties": ["name", "age"]},
        {"properties": {"usage": {"input_tokens": "a number"}}},
        {"content_blocks": 3},
        {"content_blocks": [{"contents": 3}]},
    ],
)
def test_data_with_the_names_of_a_messages_parts_is_told_by_its_text(facts: dict[str, Any]) -> None:
    result = {"results": {"data": {"text": "hi", **facts}}}
    outcome = Outcome(results={NodeId("ChatOutput-1"): result})

    answer = said(request(flow("ChatOutput-1")), outcome)
    streamed = Spoken("q").add(message("hi", **facts))

    assert (answer.text, answer.calls, streamed) == ("hi", (), "hi")
