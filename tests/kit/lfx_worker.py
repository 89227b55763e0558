"""Runs flows in lfx itself, one JSON line each; a script for the environment image's Python, which has no `tests`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
import uuid
from typing import Any

import lfx.memory
from lfx.graph.flow_builder.builder import build_flow_from_spec
from lfx.graph.graph.base import Graph
from lfx.processing.process import process_tweaks

WALL_S = 240
USER = "5f0d3bd2-6a54-4b7e-9c55-1d7f0a4f2f10"


class Memory:
    """Stands in for Langflow's table of messages: agents read what was said in their session before they speak."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def astore_message(self, message: Any, flow_id: Any = None, **_: Any) -> list[Any]:
        message.id = message.get_id() or str(uuid.uuid4())
        message.flow_id = str(flow_id)
        self.kept[str(message.id)] = message
        return [message]

    async def aupdate_messages(self, messages: Any) -> list[Any]:
        several = messages if isinstance(messages, list) else [messages]
        self.kept |= {str(message.id): message for message in several}
        return several

    async def aget_messages(self, session_id: Any = None, order: str = "DESC", **wanted: Any) -> list[Any]:
        flow = str(wanted.get("flow_id"))
        found = [one for one in self.kept.values() if (str(one.session_id), one.flow_id) == (str(session_id), flow)]
        found.sort(key=lambda one: one.timestamp, reverse=order == "DESC")
        return found[: wanted.get("limit")]

    async def delete_message(self, id_: Any) -> None:
        self.kept.pop(str(id_), None)


MEMORY = Memory()
FORGETFUL = lfx.memory._impl


def remembering() -> Memory:
    return MEMORY


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run one flow the way Langflow's `/run` does; the texts of its outputs, or what went wrong."""
    payload = process_tweaks(json.loads(json.dumps(job["flow"]["data"])), job["tweaks"])
    graph = Graph.from_payload(payload, flow_id=job["flow"].get("id"), flow_name=job["flow"].get("name"), user_id=USER)
    graph.session_id = job["session_id"]
    graph.set_run_id()
    answers = [vertex.id for vertex in graph.vertices if vertex.is_output]
    inputs = [{"input_value": job["input_value"]}] if job["input_value"] is not None else [{}]
    async with asyncio.timeout(WALL_S):
        runs = await graph.arun(
            inputs=inputs,
            types=["chat"],
            outputs=answers,
            session_id=job["session_id"],
            fallback_to_env_vars=True,
        )
    results = [result for result in runs[0].outputs if result is not None]
    return {
        "texts": {result.component_id: text_of(result.results) for result in results},
        "built": sorted(vertex.id for vertex in graph.vertices if vertex.built),
    }


def text_of(results: Any) -> str:
    """The text of an output node's results."""
    message = results.get("message") if isinstance(results, dict) else results
    return str(getattr(message, "text", message))


def answer(line: str) -> dict[str, Any]:
    """The reply to one line."""
    job = json.loads(line)
    if "spec" in job:
        return build_flow_from_spec(job["spec"])
    before = dict(os.environ)
    os.environ.update(job["variables"])
    lfx.memory._impl = remembering if job["remembers"] else FORGETFUL
    try:
        return asyncio.run(run(job))
    except BaseException as error:  # noqa: BLE001  # components raise anything, SystemExit too
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Answer lines until they end. Components print, so the real stdout is kept for replies alone."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=replies, flush=True)


if __name__ == "__main__":
    main()
