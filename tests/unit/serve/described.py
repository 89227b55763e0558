"""Every answer that a test gets is held against the service's own description of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI
from jsonschema_rs import Validator, validator_for
from starlette.types import Message, Scope, Send

_JSON = b"application/json"


def held_against_description(app: FastAPI, scope: Scope, send: Send) -> Send:
    """Send on what the application sends; `AssertionError` when it is JSON and not of the shape that it says."""
    status, is_json, content = 0, False, bytearray()

    async def sending(message: Message) -> None:
        nonlocal status, is_json
        if message["type"] == "http.response.start":
            status = message["status"]
            is_json = (b"content-type", _JSON) in [(name.lower(), value) for name, value in message["headers"]]
        elif message["type"] == "http.response.body" and is_json and status < 300:
            content.extend(message.get("body", b""))
            if not message.get("more_body") and "route" in scope:  # which the description's own is not
                _hold(app, scope, status, bytes(content))
        await send(message)

    return sending


def _hold(app: FastAPI, scope: Scope, status: int, content: bytes) -> None:
    validator = _validator(app, scope["route"].path_format, scope["method"].lower(), str(status))
    if validator is not None:
        fault = next(validator.iter_errors(orjson.loads(content)), None)
        assert fault is None, f"{scope['method']} {scope['path']} {status}: {fault}"


@cache
def _validator(app: FastAPI, path: str, method: str, status: str) -> Validator | None:
    document = app.openapi()
    answers: Mapping[str, Any] = document["paths"].get(path, {}).get(method, {}).get("responses", {})
    schema = answers.get(status, {}).get("content", {}).get("application/json", {}).get("schema")
    return validator_for({**schema, "components": document["components"]}) if schema else None
