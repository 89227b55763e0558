"""Answers without what differs from one request to the next: ids, times, durations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?UTC|Z|\+00:00)?")
_STAMP = re.compile(r"\d{8}_\d{6}|\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(_[0-9a-f]{6})?")
_DURATION = re.compile(r"\d+(\.\d+)? (ms|s|seconds)")
_MEASURED = frozenset(
    {"timedelta", "duration", "build_duration", "totalLatencyMs", "latencyMs", "created", "created_at"}
)
# Langflow lists a flow's files in the order of its folder, which is none.
_UNORDERED = frozenset({"to_run", "files"})
_NAMING = frozenset({"username", "owner_username", "last_modified_by_username", "package"})
_COMMENT = ("id:", "event:", ":")
_FRAMES = ("text/event-stream", "application/x-ndjson")


def body_of(response: httpx.Response, names: Mapping[str, str]) -> Any:
    """The answer's body as JSON; a stream as the list of its events, bytes as their number."""
    kind = media_type(response)
    if response.status_code == HTTPStatus.NO_CONTENT:
        return None
    if kind in _FRAMES:
        return [normal(frame, names) for frame in frames(response.text)]
    if "json" in kind:
        return normal(response.json() if response.content else None, names)
    return f"<{len(response.content)} bytes>" if kind == "application/octet-stream" else f"<{kind}>"


def frames(text: str) -> list[Any]:
    """The events of a stream, in whichever framing."""
    lines = (line.removeprefix("data:").strip() for line in text.splitlines() if not line.startswith(_COMMENT))
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def media_type(response: httpx.Response) -> str:
    said: str = response.headers.get("content-type", "")
    return said.partition(";")[0]


def normal(value: Any, names: Mapping[str, str]) -> Any:
    """`value` with placeholders; `names` says which names mean the same thing on both sides."""
    match value:
        case dict():
            return {_text(key): _normal_field(key, inner, names) for key, inner in value.items()}
        case list():
            return [normal(one, names) for one in value]
        case str():
            return _text(value)
        case _:
            return value


def _normal_field(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if name in _MEASURED and value is not None:
        return "<measured>"
    if name in _UNORDERED and isinstance(value, list):
        return sorted(normal(value, names), key=str)
    if name in _NAMING:
        return names.get(value, value)
    return normal(value, names)


def _text(text: str) -> str:
    for pattern, placeholder in ((_ID, "<id>"), (_TIME, "<time>"), (_STAMP, "<stamp>"), (_DURATION, "<duration>")):
        text = pattern.sub(placeholder, text)
    return text
