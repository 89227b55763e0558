"""The body of an MCP request: one JSON-RPC message, held to what every body is."""

from __future__ import annotations

from typing import Any

import orjson

from flowray.errors import InvalidRequestError, MalformedJsonError
from flowray_serve.bodies.reading import parse_json

_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600
_NOBODYS_ID = "server-error"  # what the protocol's own server answers when it knows of no id


def message(body: bytes) -> bytes:
    """The message, written anew: a second parser that reads more than the first would read past the checks."""
    parsed = parse_json(body)
    if not isinstance(parsed, dict):
        raise InvalidRequestError("The body must be one JSON-RPC message, a JSON object.")
    if "method" in parsed and not _is_id(parsed.get("id", 0)):
        raise InvalidRequestError("`id`: a request's id is a text or a whole number; a notification has none.")
    return orjson.dumps(parsed)


def refusal(error: InvalidRequestError) -> dict[str, Any]:
    """What JSON-RPC says of a message that was refused."""
    code = _PARSE_ERROR if isinstance(error, MalformedJsonError) else _INVALID_REQUEST
    return {"jsonrpc": "2.0", "id": _NOBODYS_ID, "error": {"code": code, "message": error.message}}


def _is_id(sent: object) -> bool:
    return isinstance(sent, str | int) and not isinstance(sent, bool)
