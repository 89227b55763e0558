"""Flows that talk to a chat model, run in the zygote: the first call to a model sets up ten times what others do.

The model is a listener in the zygote's own network, asked as if it were a child's gate. It says the same to everybody,
after a tool call when tools are offered. The code of these runs is not put together with that of small ones: there is
much of it, and flows without a model would copy it for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from flowray_sandbox import rehearsal, tls_contexts
from flowray_sandbox.environment import CERTIFICATES

# Of each way: Python specialises most code at its second call, some at its eighth.
_TIMES = 8
_NAME, _PROVIDER = "gpt-4o-mini", "OpenAI"
_VARIABLES = {
    "OPENAI_API_KEY": "rehearsal",
    "OPENAI_BASE_URL": "http://model.invalid/v1",
    **({"SSL_CERT_FILE": CERTIFICATES} if Path(CERTIFICATES).is_file() else {}),
}
_HEAD: dict[str, Any] = {"id": "c", "created": 1, "model": _NAME}
_FLOW = """name: Rehearsal

nodes:
  A: ChatInput
  B: {component}
  C: ChatOutput

edges:
  A.message -> B.input_value
  B.{output} -> C.input_value
"""
_OUTPUTS = {"LanguageModelComponent": "text_output", "Agent": "response"}


def rehearse() -> None:
    """Run a model's flow and an agent's, plain and streaming.

    An environment may have this provider's client in another version, or not at all: its flows run, only slower.
    """
    try:
        client = importlib.import_module("langchain_openai.chat_models._client_utils")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _converse(listener)
        # Clients that are kept by the address of their model.
        for name in ("_cached_sync_httpx_client", "_cached_async_httpx_client"):
            getattr(client, name).cache_clear()
    except ImportError:
        return
    except Exception:  # noqa: BLE001 - nobody's run
        print("A chat model's flow cannot be rehearsed, each first call to one will take longer:", file=sys.stderr)  # noqa: T201
        traceback.print_exc()


def _converse(listener: socket.socket) -> None:
    gate = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for spec in _specs({**_VARIABLES, "HTTP_PROXY": gate, "HTTPS_PROXY": gate}):
        for _ in range(_TIMES):
            with tls_contexts.restored():
                rehearsal.act(spec, partial(_model, listener))


def _specs(variables: dict[str, str]) -> Iterator[bytes]:
    for component, output in _OUTPUTS.items():
        flow = _flow(component, output)
        for stream in (True, False):
            yield rehearsal.spec_of(flow["nodes"], flow["edges"], stream=stream, variables=variables)


def _flow(component: str, output: str) -> dict[str, Any]:
    data = rehearsal.drawn(_FLOW.format(component=component, output=output))
    for node in data["nodes"]:
        if node["data"]["type"] == component:
            choice = {"name": _NAME, "provider": _PROVIDER, "metadata": {}}
            node["data"]["node"]["template"]["model"]["value"] = [choice]
    return data


async def _model(listener: socket.socket) -> asyncio.Server:
    return await asyncio.start_server(_serve, sock=listener.dup())


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        asked = orjson.loads(await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0])))
        kind = b"text/event-stream" if asked.get("stream") else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: " + kind + b"\r\n\r\n" + _answer(asked))
        await writer.drain()
    writer.close()


def _answer(asked: dict[str, Any]) -> bytes:
    said: dict[str, Any] = {"role": "assistant", "content": "hello"}
    reason = "stop"
    if asked.get("tools") and asked["messages"][-1]["role"] == "user":
        function = {"name": asked["tools"][0]["function"]["name"], "arguments": "{}"}
        said, reason = {"role": "assistant", "tool_calls": [_call(function)]}, "tool_calls"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"content": None, **said}, "finish_reason": reason}
        return orjson.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage})
    told: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": said, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"choices": [], "usage": usage},
    ]
    chunks = [orjson.dumps({**_HEAD, "object": "chat.completion.chunk", **one}) for one in told]
    return b"".join(b"data: " + chunk + b"\n\n" for chunk in [*chunks, b"[DONE]"])


def _call(function: dict[str, Any]) -> dict[str, Any]:
    return {"index": 0, "id": "call", "type": "function", "function": function}
