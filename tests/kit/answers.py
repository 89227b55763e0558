"""What the test model says: a pure function of the request, so that two systems that ask the same get the same text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kit.samples import sample

ECHO_CHARS = 160
TOOL_CHARS = 2_000
# Its result is the time of day, so that no answer that quotes it could be compared.
_NEVER_CALLED = frozenset({"get_current_date"})


@dataclass(frozen=True)
class Call:
    """A tool call the model makes."""

    id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """Text, or calls of tools."""

    text: str = ""
    calls: Sequence[Call] = field(default=())


def reply_to(request: Mapping[str, Any], *, arguments: Mapping[str, Mapping[str, Any]]) -> Reply:
    """Answer a chat completion request. `arguments` are given to tools of these names in place of made-up ones."""
    digest = digest_of(request)
    result = _tool_result(request["messages"])
    if (tool := _wanted(request, has_result=result is not None, known=arguments)) is not None:
        return Reply(calls=(_call(tool, digest, arguments),))
    if (schema := _answer_schema(request)) is not None:
        return Reply(text=json.dumps(sample(schema, seed=digest)))
    if result is not None:
        return Reply(text=f"[{digest}] The tool said: {result[:TOOL_CHARS]}")
    return Reply(text=f"[{digest}] You said: {last_words(request['messages'])[:ECHO_CHARS]}")


def digest_of(request: Mapping[str, Any]) -> str:
    """Names everything that could change a real model's answer."""
    asked = {
        "messages": [[message["role"], _text(message.get("content"))] for message in request["messages"]],
        "model": request.get("model"),
        "temperature": request.get("temperature"),
        "tools": _functions(request),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:10]


def last_words(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last thing the user said."""
    said = [_text(message.get("content")) for message in messages if message["role"] == "user"]
    return said[-1] if said else ""


def embedding_of(text: str, *, length: int = 16) -> list[float]:
    """A vector that is the same for the same text."""
    block = hashlib.sha256(text.encode()).digest()
    return [block[at % len(block)] / 255 - 0.5 for at in range(length)]


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return " ".join(_part(part) for part in content) if isinstance(content, list) else str(content)


def _part(part: Mapping[str, Any] | str) -> str:
    if isinstance(part, str):
        return part
    if "text" in part:
        return str(part["text"])
    return f"<{part.get('type')} {hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:8]}>"


def _tool_result(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """What the tools said since the user spoke last."""
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] == "user":
            break
        if message["role"] in {"tool", "function"}:
            results.insert(0, _text(message.get("content")))
    return "\n".join(results) if results else None


def _functions(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tools by name: lfx offers them in the order of a set, another one in each process."""
    return sorted((tool["function"] for tool in request.get("tools") or []), key=lambda function: str(function["name"]))


def _wanted(
    request: Mapping[str, Any], *, has_result: bool, known: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The tool to call: the one the request forces, else the first suitable one, once."""
    functions = _functions(request)
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return next(one for one in functions if one["name"] == choice["function"]["name"])
    if choice in {"required", "any"} and functions:
        return functions[0]
    suitable = [one for one in functions if one["name"] not in _NEVER_CALLED]
    if has_result or choice == "none" or not suitable:
        return None
    by_name = {one["name"]: one for one in suitable}
    return next((by_name[name] for name in known if name in by_name), suitable[0])


def _call(tool: Mapping[str, Any], digest: str, arguments: Mapping[str, Mapping[str, Any]]) -> Call:
    name = tool["name"]
    made_up = sample(tool.get("parameters") or {"type": "object"}, seed=digest, name=name)
    return Call(id=f"call_{digest}", tool=name, arguments=arguments.get(name, made_up))


def _answer_schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema that the answer's text has to fit."""
    wanted = request.get("response_format") or {}
    match wanted.get("type"):
        case "json_schema":
            schema: Mapping[str, Any] = wanted["json_schema"]["schema"]
            return schema
        case "json_object":
            return {"type": "object", "properties": {"answer": {"type": "string"}}}
        case _:
            return None
