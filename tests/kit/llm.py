"""A local OpenAI-compatible server whose answers depend on the request alone.

`python -m tests.kit.llm --port 9999` serves until interrupted; tests use `running_llm()`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.kit.answers import Reply, digest_of, embedding_of, reply_to
from tests.kit.server import HOST, serving

KEY = "sk-test"
MODEL = "gpt-4o-mini"
_PIECE_CHARS = 12
_Route = Callable[[Request], Awaitable[Response]]


@dataclass
class Llm:
    """The server as a test sees it: where it is, and what it was asked."""

    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    @property
    def base_url(self) -> str:
        """What goes into `OPENAI_BASE_URL`."""
        return f"{self.url}/v1"

    @property
    def host(self) -> str:
        """`host:port`, as an egress allow-list names it."""
        return self.url.removeprefix("http://")

    @property
    def variables(self) -> dict[str, str]:
        """The global variables that lead a flow's OpenAI models here."""
        return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.base_url}

    def called(self) -> list[str]:
        """The tools whose results came back, in order."""
        return [
            call["function"]["name"]
            for request in self.requests
            if request.get("messages", [{}])[-1].get("role") == "tool"
            for message in request["messages"][-2:-1]
            for call in message.get("tool_calls") or []
        ]


@contextmanager
def running_llm(
    *, host: str = HOST, port: int = 0, arguments: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Llm]:
    """The server on a thread of its own. `arguments`: what the model calls tools with, by name, best liked first."""
    llm = Llm(arguments=arguments or {})
    with serving(_application(llm), host=host, port=port) as url:
        llm.url = url
        yield llm


def _application(llm: Llm) -> Starlette:
    async def chat(request: Request) -> Response:
        asked = await request.json()
        llm.requests.append(asked)
        reply = reply_to(asked, arguments=llm.arguments)
        if asked.get("stream"):
            return StreamingResponse(_chunks(asked, reply), media_type="text/event-stream")
        return JSONResponse(_completion(asked, reply))

    async def embeddings(request: Request) -> Response:
        asked = await request.json()
        llm.requests.append(asked)
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        vectors = [
            {"object": "embedding", "index": index, "embedding": embedding_of(str(text))}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return JSONResponse({"object": "list", "data": vectors, "model": asked.get("model"), "usage": usage})

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "tests"}]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", _with_key(chat), methods=["POST"]),
            Route("/v1/embeddings", _with_key(embeddings), methods=["POST"]),
            Route("/v1/models", _with_key(models)),
        ]
    )


def _with_key(route: _Route) -> _Route:
    """Refuse whoever does not bring the key: a run's secrets have to reach its model, and nothing else may."""

    async def checked(request: Request) -> Response:
        if request.headers.get("authorization") == f"Bearer {KEY}":
            return await route(request)
        error = {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"}
        return JSONResponse({"error": error}, status_code=401)

    return checked


def _completion(asked: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _tool_calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": _ending(reply)}
    return _head(asked, "chat.completion") | {"choices": [choice], "usage": _usage(asked, reply)}


def _chunks(asked: Mapping[str, Any], reply: Reply) -> Iterator[str]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": reply.text[at : at + _PIECE_CHARS]} for at in range(0, len(reply.text), _PIECE_CHARS)]
    if reply.calls:
        deltas.append({"tool_calls": _tool_calls(reply)})
    head = _head(asked, "chat.completion.chunk")
    for delta in deltas:
        yield _frame(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _frame(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": _ending(reply)}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield _frame(head | {"choices": [], "usage": _usage(asked, reply)})
    yield "data: [DONE]\n\n"


def _head(asked: Mapping[str, Any], kind: str) -> dict[str, Any]:
    identity = f"chatcmpl-{digest_of(asked)}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": asked.get("model", MODEL)}


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
        }
        for index, call in enumerate(reply.calls)
    ]


def _ending(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _usage(asked: Mapping[str, Any], reply: Reply) -> dict[str, int]:
    prompt = sum(len(str(message.get("content")).split()) for message in asked["messages"])
    completion = len(reply.text.split()) + 5 * len(reply.calls)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _frame(chunk: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--arguments", type=json.loads, default={}, help="JSON: arguments by tool name")
    chosen = parser.parse_args()
    with running_llm(host=chosen.host, port=chosen.port, arguments=chosen.arguments) as llm:
        print(json.dumps({"base_url": llm.base_url, "key": KEY}), flush=True)  # noqa: T201  # the caller reads it
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
