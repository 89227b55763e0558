"""Every answer that a test gets is held against the service's own description of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from fastapi import FastAPI
from jsonschema_rs import Validator, validator_for
from starlette.types import Message, Scope, Send

_JSON = "application/json"


def held_against_description(app: FastAPI, scope: Scope, send: Send) -> Send:
    """Send on what the application sends; `AssertionError` when it is not of the type and the shape that it says."""
    status, media_type, content = 0, "", bytearray()

    async def sending(message: Message) -> None:
        nonlocal status, media_type
        if message["type"] == "http.response.start":
            status = message["status"]
            named = {name.lower(): value for name, value in message["headers"]}
            media_type = named.get(b"content-type", b"").decode().partition(";")[0]
            # A route's own; whoever asks for the description itself asks none.
            if media_type and status < 300 and "route" in scope:
                assert _is_described(_content(app, scope, status), media_type), (
                    f"{scope['path']} {status}: {media_type}"
                )
        elif message["type"] == "http.response.body" and media_type == _JSON and status < 300 and "route" in scope:
            content.extend(message.get("body", b""))
            if not message.get("more_body"):
                _hold(app, scope, status, bytes(content))
        await send(message)

    return sending


def _hold(app: FastAPI, scope: Scope, status: int, content: bytes) -> None:
    validator = _validator(app, scope["route"].path_format, scope["method"].lower(), str(status))
    if validator is not None:
        fault = next(validator.iter_errors(orjson.loads(content)), None)
        assert fault is None, f"{scope['method']} {scope['path']} {status}: {fault}"


def _is_described(content: Mapping[str, Any], media_type: str) -> bool:
    return not content or media_type in content or f"{media_type.partition('/')[0]}/*" in content


def _content(app: FastAPI, scope: Scope, status: int) -> Mapping[str, Any]:
    return _described(app, scope["route"].path_format, scope["method"].lower(), str(status))


@cache
def _validator(app: FastAPI, path: str, method: str, status: str) -> Validator | None:
    schema = _described(app, path, method, status).get(_JSON, {}).get("schema")
    return validator_for({**schema, "components": app.openapi()["components"]}) if schema else None


@cache
def _described(app: FastAPI, path: str, method: str, status: str) -> Mapping[str, Any]:
    """What the description says that an answer holds, by media type."""
    answers: Mapping[str, Any] = app.openapi()["paths"].get(path, {}).get(method, {}).get("responses", {})
    content: Mapping[str, Any] = answers.get(status, {}).get("content", {})
    return content
