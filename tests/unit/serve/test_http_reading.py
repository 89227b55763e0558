"""Bodies: read with a limit, parsed with the place of every mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request

from flowray.errors import InvalidRequestError, MalformedJsonError, RequestTooLargeError
from flowray_serve.bodies.openai import ChatCompletionBody
from flowray_serve.bodies.reading import fit, parse_json, parse_object, read_body
from flowray_serve.bodies.run import RunBody, run_body
from flowray_serve.bodies.workflow import WorkflowBody


def sent(*parts: bytes, **headers: str) -> Request:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def test_a_body_comes_together_from_its_parts() -> None:
    assert await read_body(sent(b'{"a"', b":1}"), limit_bytes=100) == b'{"a":1}'


async def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    with pytest.raises(RequestTooLargeError, match="larger than 10 bytes"):
        await read_body(sent(content_length="11"), limit_bytes=10)


async def test_a_length_of_a_thousand_digits_is_refused_as_too_large() -> None:
    with pytest.raises(RequestTooLargeError):
        await read_body(sent(content_length="9" * 5000), limit_bytes=10)


async def test_reading_stops_at_the_limit_when_the_client_announced_nothing() -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * 8

    source = endless()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": await anext(source), "more_body": True}

    with pytest.raises(RequestTooLargeError):
        await read_body(Request({"type": "http", "method": "POST", "headers": []}, receive), limit_bytes=20)
    assert asked == 3


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"hello", "line 1, column 1"),
        (b'{"a":\n 1,}', "line 2"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": -Infinity}', "NaN and Infinity are not JSON"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 5000, "depth"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(body: bytes, says: str) -> None:
    with pytest.raises(MalformedJsonError, match=says):
        parse_json(body)


def test_a_body_nested_deeper_than_journals_can_write_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="nested deeper"):
        parse_json(b"[" * 300 + b"]" * 300)


def test_a_body_of_millions_of_empty_objects_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(RequestTooLargeError, match="objects and lists"):
        parse_json(b"[" + b"{}," * 1_000_001 + b"{}]")


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_an_empty_body_is_an_empty_object() -> None:
    assert parse_object(b" \n") == {}


@pytest.mark.parametrize(
    ("body", "found"), [(b"[]", "a list"), (b"null", "null"), (b'"a"', "a string"), (b"1", "a number")]
)
def test_a_body_that_is_no_object_is_told_what_it_is(body: bytes, found: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"not {found}"):
        parse_object(body)


@pytest.mark.parametrize(
    ("model", "sent", "places"),
    [
        (WorkflowBody, {"flow_id": 5}, ["`flow_id`"]),
        (WorkflowBody, {"files": [1]}, ["`flow_id`", "`files.0`"]),
        (ChatCompletionBody, {"model": "m", "messages": [{"role": "user", "content": 5}]}, ["`messages.0.content`"]),
        (ChatCompletionBody, {"model": "m", "messages": [{}]}, ["`messages.0.role`"]),
        (RunBody, [], ["the body"]),
    ],
)
def test_the_place_of_a_mistake_is_told_in_fields_and_indices(
    model: type[BaseModel], sent: Any, places: list[str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        fit(model, sent)

    mistakes = caught.value.message.split("; ")
    assert list(dict.fromkeys(mistake.partition(": ")[0] for mistake in mistakes)) == places


def test_a_run_body_may_be_flat() -> None:
    body = run_body(b'{"input_value": "hi", "session_id": "s", "unknown": 1}')
    assert (body.input_value, body.session_id) == ("hi", "s")


def test_a_run_body_may_be_embedded() -> None:
    body = run_body(b'{"input_request": {"input_value": "hi"}, "context": {"request_variables": {"K": "v"}, "k": 1}}')
    assert body.input_value == "hi"
    assert body.context.request_variables == {"K": "v"}
    assert body.context.model_extra == {"k": 1}


def test_a_run_body_without_input_keeps_the_flows_own() -> None:
    assert run_body(b"").input_value is None


def test_a_run_body_with_a_wrong_type_is_refused_where_langflow_would_drop_it() -> None:
    with pytest.raises(InvalidRequestError, match="`input_value`"):
        run_body(b'{"input_value": {"text": "hi"}}')
