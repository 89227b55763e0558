"""What a flow says, in the shapes of OpenAI's API: responses as Langflow answers them, and chat completions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from flowray.engine.codec import dumps
from flowray_serve.spoken import Said, ToolCall

DONE = b"data: [DONE]\n\n"
TOOL_RESULTS = "tool_call.results"


def framed(body: Mapping[str, Any], event: str = "") -> bytes:
    """One server-sent event without an id, which OpenAI's streams do not have."""
    named = f"event: {event}\n".encode() if event else b""
    return named + b"data: " + dumps(body) + b"\n\n"


class Response:
    """One response. Its id is the session: who goes on with it names it as `previous_response_id`."""

    def __init__(self, *, session: str, model: str, previous: str | None, with_results: bool) -> None:
        self._id = session
        self._model = model
        self._previous = previous
        self._with_results = with_results
        self._created = int(time.time())

    def whole(self, said: Said) -> dict[str, Any]:
        """The response of a run that is over."""
        text = {"type": "output_text", "text": said.text, "annotations": []}
        message = {
            "type": "message",
            "id": f"msg_{self._id}",
            "status": "completed",
            "role": "assistant",
            "content": [text],
        }
        calls = [self._call(call, number) for number, call in enumerate(said.calls, 1)]
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "model": self._model,
            "output": [*calls, message],
            "parallel_tool_calls": True,
            "previous_response_id": self._previous,
            "reasoning": {"effort": None, "summary": None},
            "store": True,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": said.usage,
            "user": None,
            "metadata": {},
        }

    def chunk(self, delta: Mapping[str, str], *, status: str | None = None, finish: str | None = None) -> bytes:
        """A piece of the stream."""
        return framed(
            {
                "id": self._id,
                "object": "response.chunk",
                "created": self._created,
                "model": self._model,
                "delta": delta,
                "status": status,
                "finish_reason": finish,
            }
        )

    def call(self, call: ToolCall, number: int) -> Iterator[bytes]:
        """The stream's events of a tool call that is over."""
        arguments = dumps(call.input).decode()
        item_id, place = f"fc_{number}", {"item_id": f"fc_{number}", "output_index": 0}
        item = {"id": item_id, "type": "function_call", "name": call.name, "call_id": f"call_{number}"}
        yield _event("response.output_item.added", item={**item, "status": "in_progress", "arguments": ""})
        yield _event("response.function_call_arguments.delta", delta=arguments, **place)
        yield _event("response.function_call_arguments.done", arguments=arguments, **place)
        status = "failed" if call.failed else "completed"
        ended: dict[str, Any] = {**item, "status": status, "arguments": arguments}
        if self._with_results:
            results = [] if call.output is None else call.output
            facts = {"inputs": call.input, "status": status, "type": "tool_call", "tool_name": call.name}
            ended = {"id": f"{call.name}_{item_id}", **facts, "results": results}
        if call.failed:
            ended["error"] = _text(call.error)
        yield _event("response.output_item.done", item=ended)

    def end(self, usage: Mapping[str, int] | None) -> Iterator[bytes]:
        """The stream's end."""
        yield self.chunk({}, status="completed", finish="stop")
        facts = {"id": self._id, "object": "response", "created_at": self._created, "status": "completed"}
        yield _event("response.completed", response={**facts, "model": self._model, "usage": usage})
        yield DONE

    def failure(self, message: str) -> Iterator[bytes]:
        """The end of a stream whose run failed."""
        yield self.chunk({"content": message}, status="failed", finish="error")
        yield DONE

    def _call(self, call: ToolCall, number: int) -> dict[str, Any]:
        status = "failed" if call.failed else "completed"
        item: dict[str, Any]
        if self._with_results:
            queries = list(call.input.values()) if isinstance(call.input, Mapping) else [str(call.input)]
            item = {"id": f"{call.name}_{number}", "queries": queries, "status": status, "tool_name": call.name}
            item |= {"type": "tool_call", "results": [] if call.output is None else call.output}
        else:
            arguments = "{}" if call.input is None else dumps(call.input).decode()
            item = {"id": f"fc_{number}", "type": "function_call", "status": status, "name": call.name}
            item["arguments"] = arguments
        return item | ({"error": _text(call.error)} if call.failed else {})


class Completion:
    """One chat completion."""

    def __init__(self, *, run: str, model: str) -> None:
        self._head = {"id": f"chatcmpl-{run}", "created": int(time.time()), "model": model}

    def whole(self, said: Said) -> dict[str, Any]:
        """The completion of a run that is over."""
        message = {"role": "assistant", "content": said.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": _counted(said.usage)}

    def opening(self) -> bytes:
        """The stream's first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """A piece of text."""
        return self._chunk({"content": text})

    def end(self, usage: Mapping[str, int] | None, *, tell_usage: bool) -> Iterator[bytes]:
        """The stream's end."""
        yield self._chunk({}, finish="stop")
        if tell_usage:
            body = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _counted(usage)}
            yield framed(body)
        yield DONE

    def _chunk(self, delta: Mapping[str, str], *, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return framed({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def _counted(usage: Mapping[str, int] | None) -> dict[str, int]:
    found = usage or {}
    return {
        "prompt_tokens": found.get("input_tokens", 0),
        "completion_tokens": found.get("output_tokens", 0),
        "total_tokens": found.get("total_tokens", 0),
    }


def _event(kind: str, **facts: Any) -> bytes:
    return framed({"type": kind, **facts}, kind)


def _text(error: Any) -> str:
    return error if isinstance(error, str) else dumps(error).decode()
