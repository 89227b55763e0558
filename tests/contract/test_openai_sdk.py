"""OpenAI's own client against the service: flows are its models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai import OpenAI

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray.stores.chats import Wanted
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, KEY, Service, service

CHAT = NodeId("ChatOutput-1")
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


async def talking(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Answer as a chat output with a streaming model does: a partial message, tokens, the complete message."""
    if request.input_value == "fail":
        yield ev.StepFailed(step=step.step, kind="component", node=CHAT, error="no key", error_type="ValueError")
        return
    pieces = ["You ", "said: ", request.input_value or ""]
    whole = "".join(pieces)
    message = {"id": "m1", "sender": "Machine", "sender_name": "AI", "session_id": request.session}
    if request.stream:
        yield ev.MessageAdded(node=CHAT, message={**message, "text": pieces[0], "properties": {"state": "partial"}})
        for piece in pieces:
            yield ev.Token(node=CHAT, text=piece, message="m1")
        done = {"state": "complete", "usage": USAGE}
        yield ev.MessageAdded(node=CHAT, message={**message, "text": whole, "properties": done})
    result = message_result(CHAT, whole)
    result["results"]["message"]["properties"] = {"usage": USAGE}
    yield ev.NodeFinished(node=CHAT, outputs={}, result=result)


@pytest.fixture(scope="module")
def made() -> Service:
    made = service()
    made.steps.script = talking
    return made


@pytest.fixture
async def flow(made: Service) -> str:
    return await made.publish({**ECHO, "endpoint_name": "echo"})


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def responses(url: str) -> Iterator[OpenAI]:
    headers = {"x-api-key": KEY}
    with OpenAI(base_url=f"{url}/api/v1", api_key=KEY, default_headers=headers, max_retries=0) as client:
        yield client


def test_a_flow_answers_a_chat(client: OpenAI, flow: str) -> None:
    answer = client.chat.completions.create(model=flow, messages=[{"role": "user", "content": "hi"}])

    assert answer.choices[0].message.content == "You said: hi"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5


def test_a_chat_is_streamed_without_saying_anything_twice(client: OpenAI, flow: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=flow,
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert texts == ["You ", "said: ", "hi"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2


async def test_what_was_said_before_is_the_memory_of_the_run(client: OpenAI, flow: str, made: Service) -> None:
    client.chat.completions.create(
        model=flow,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": [{"type": "text", "text": "Who am I?"}]},
        ],
    )

    request = made.steps.requests[-1]
    kept = await made.services.chats.find("default", Wanted(flow=flow, session=request.session))
    assert request.input_value == "Who am I?"
    assert [(one.body["sender"], one.body["text"]) for one in kept] == [
        ("User", "My name is Ada."),
        ("Machine", "Hello Ada."),
    ]


def test_a_session_of_ones_own_is_used(client: OpenAI, flow: str, made: Service) -> None:
    said = [{"role": "user", "content": "hi"}]
    client.chat.completions.create(model=flow, messages=said, extra_body={"session_id": "s1"})  # type: ignore[arg-type]

    assert made.steps.requests[-1].session == "s1"


async def test_flows_are_models(client: OpenAI, made: Service) -> None:
    flow_id = await made.publish({**ECHO, "name": "Second", "endpoint_name": "second"})

    listed = [model.id for model in client.models.list()]

    assert "second" in listed
    assert client.models.retrieve(flow_id).id == "second"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("missing")


def test_errors_are_the_clients_own_kinds(client: OpenAI, flow: str, url: str) -> None:
    said = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.NotFoundError, match="no flow"):
        client.chat.completions.create(model="missing", messages=said)  # type: ignore[arg-type]
    with pytest.raises(openai.UnprocessableEntityError, match="tools"):
        client.chat.completions.create(model=flow, messages=said, tools=[{"type": "function"}])  # type: ignore[list-item,arg-type]
    with pytest.raises(openai.PermissionDeniedError, match="API key"):
        OpenAI(base_url=f"{url}/v1", api_key="wrong").models.list()
    with pytest.raises(openai.InternalServerError, match="no key"):
        client.chat.completions.create(model=flow, messages=[{"role": "user", "content": "fail"}])
    with pytest.raises(openai.APIError, match="no key"):
        list(client.chat.completions.create(model=flow, messages=[{"role": "user", "content": "fail"}], stream=True))


def test_a_flow_answers_a_response_and_goes_on_with_it(responses: OpenAI, flow: str, made: Service) -> None:
    first = responses.responses.create(model=flow, input="hi")
    second = responses.responses.create(model=flow, input="again", previous_response_id=first.id)

    assert (first.output_text, second.output_text) == ("You said: hi", "You said: again")
    assert second.previous_response_id == first.id
    assert made.steps.requests[-1].session == first.id


def test_a_response_is_streamed_as_langflow_streams_it(responses: OpenAI, flow: str) -> None:
    events = [
        event.model_dump(warnings=False) for event in responses.responses.create(model=flow, input="hi", stream=True)
    ]

    pieces = [event["delta"].get("content") for event in events if event.get("object") == "response.chunk"]
    assert [piece for piece in pieces if piece] == ["You ", "said: ", "hi"]
    completed = events[-1]
    assert completed["type"] == "response.completed"
    assert completed["response"]["usage"].items() >= USAGE.items()


async def test_what_cannot_be_a_response_is_an_error_in_the_body(made: Service, flow: str) -> None:
    no_chat = await made.publish(
        {**ECHO, "name": "No chat", "data": {**ECHO["data"], "nodes": ECHO["data"]["nodes"][1:], "edges": []}}
    )
    bodies = {
        "flow_not_found": {"model": "missing", "input": "hi"},
        "tools_not_supported": {"model": flow, "input": "hi", "tools": []},
        "invalid_flow_request": {"model": no_chat, "input": "hi"},
    }
    for code, body in bodies.items():
        response = await made.http.post("/api/v1/responses", json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (200, code)
    failed = await made.http.post("/api/v1/responses", json={"model": flow, "input": "fail"})
    assert failed.json()["error"]["type"] == "processing_error"
