"""What MCP's routes refuse before the protocol's own server reads it."""

from __future__ import annotations

import pytest

from tests.unit.serve.service import ECHO, service

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
CALL = b'{"jsonrpc": "2.0", "id": %s, "method": "tools/call", "params": {"name": %s, "arguments": {"input_value": %s}}}'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"[" * 100_000, -32700),
        (b"\xff\xfe{", -32700),
        (CALL % (b"NaN", b'"echo"', b'"hi"'), -32700),
        (CALL % (b'"\\ud800"', b'"echo"', b'"hi"'), -32700),
        (CALL % (b"1", b'"\\ud800"', b'"hi"'), -32700),
        (CALL % (b"1", b'"echo"', b'"\\ud800"'), -32700),
        (CALL % (b"1", b'"echo"', b"[" * 250 + b"]" * 250), -32600),
        (CALL % (b"1.5", b'"echo"', b'"hi"'), -32600),
        (CALL % (b"null", b'"echo"', b'"hi"'), -32600),
        (b"[]", -32600),
    ],
)
async def test_a_message_that_is_none_is_one_error_of_the_protocol(body: bytes, code: int) -> None:
    made = service()
    await made.publish(ECHO)

    response = await made.http.post("/api/v1/mcp/streamable", content=body, headers=HEADERS)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == code
    assert made.steps.requests == []
