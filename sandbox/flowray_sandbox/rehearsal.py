"""A small trusted flow, run in the zygote: what lfx sets up at its first run is set up before the first fork."""

from __future__ import annotations

import contextvars
import os
import socket
import sys
from functools import cache
from typing import Any

import orjson
from lfx.graph.flow_builder import builder

from flowray_sandbox import expand, work
from flowray_sandbox.channel import SPEC, Channel, frame
from flowray_sandbox.loop import LateLoop

# Python specialises code that has run a few times; runs in children would each do it again, on copies of its pages.
_TIMES = 20
_ENOUGH_BYTES = 1 << 20
_FLOW = """name: Rehearsal

nodes:
  A: ChatInput
  B: Prompt Template
  C: ChatOutput

edges:
  A.message -> C.input_value

config:
  B.template: Say hello
"""


def rehearse(times: int = _TIMES) -> None:
    """Run the flow, plain and streaming, and leave nothing behind but what lfx keeps for the next run."""
    streams = sys.stdout, sys.stderr
    environment = dict(os.environ)
    try:
        for spec in _specs():
            for _ in range(times):
                contextvars.Context().run(_once, spec)
    finally:
        sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(environment)


@cache
def _specs() -> tuple[bytes, ...]:
    flow = expand.expanded(_FLOW)
    builder._registry_cache = None  # noqa: SLF001 - a copy of the whole index, which only the job `expand` needs
    return tuple(_spec(flow, stream=stream) for stream in (True, False))


def _spec(flow: dict[str, Any], *, stream: bool) -> bytes:
    data = flow["data"]
    return orjson.dumps(
        {
            "job": "run",
            "run": {"id": "rehearsal", "flow_name": "rehearsal", "session_id": "rehearsal"},
            "nodes": data["nodes"],
            "edges": data["edges"],
            "build": [node["id"] for node in data["nodes"]],
            "inputs": {"input_value": "hello", "input_type": "chat"},
            "stream": stream,
        }
    )


def _once(spec: bytes) -> None:
    """One run as a child does it, but for the walls and the end of the process."""
    ours, theirs = socket.socketpair()
    loop = LateLoop()
    try:
        ours.sendall(frame(SPEC, spec))
        work.answer(Channel(theirs), loop)
        loop.run_until_complete(loop.shutdown_default_executor())
        said = ours.recv(_ENOUGH_BYTES)
    finally:
        loop.close()
        ours.close()
        theirs.close()
    if b'"took_s"' not in said.rpartition(b"}")[0][-100:]:
        raise RuntimeError(f"The rehearsal failed: {said[-2000:]!r}")
