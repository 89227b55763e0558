"""The test model is only worth something when it answers the same question with the same words, and no other."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.answers import reply_to


def asked(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_the_same_request_gets_the_same_answer_and_another_one_another() -> None:
    first, again, other = (reply_to(asked(text), arguments={}).text for text in ("hello", "hello", "goodbye"))

    assert first == again
    assert first.endswith("You said: hello")
    assert first != other


def test_a_tool_is_called_once_with_arguments_that_fit_its_schema() -> None:
    offered = asked(tools=[tool("count", times={"type": "integer"}, words={"type": "array"})])

    (call,) = reply_to(offered, arguments={}).calls

    assert call.tool == "count"
    assert isinstance(call.arguments["times"], int)
    assert isinstance(call.arguments["words"], list)


def test_a_tool_result_ends_up_in_the_answer() -> None:
    offered = asked(tools=[tool("count")])
    offered["messages"] += [{"role": "assistant", "content": None}, {"role": "tool", "content": "42"}]

    reply = reply_to(offered, arguments={})

    assert reply.calls == ()
    assert reply.text.endswith("The tool said: 42")


def test_the_best_liked_tool_wins_whatever_the_order_they_are_offered_in() -> None:
    tools = [tool("clock"), tool("search"), tool("count")]
    liked = {"search": {"query": "x"}, "count": {}}

    calls = [reply_to(asked(tools=order), arguments=liked).calls[0] for order in (tools, tools[::-1])]

    assert calls[0] == calls[1]
    assert (calls[0].tool, calls[0].arguments) == ("search", {"query": "x"})


def test_structured_output_follows_references_and_choices() -> None:
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/Who"}, "mood": {"enum": ["calm", "wild"]}},
        "$defs": {"Who": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"age": {"type": "integer"}}}]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}

    said = json.loads(reply_to(asked(response_format=wanted), arguments={}).text)

    assert said["mood"] == "calm"
    assert isinstance(said["who"]["age"], int)
