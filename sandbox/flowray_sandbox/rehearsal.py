"""A small trusted flow, run in the zygote: what lfx sets up at its first run is set up before the first fork."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from lfx.graph.flow_builder import builder

from flowray_sandbox import expand, work
from flowray_sandbox.channel import SPEC, Channel, frame
from flowray_sandbox.loop import LateLoop

# Python specialises code that has run a few times; runs in children would each do it again, on copies of its pages.
_TIMES = 20
_ENOUGH_BYTES = 1 << 20
_numbers = itertools.count()
_held: dict[tuple[str, ...], object] = {}
# All that a Runner says to a run. With a user, what is said in chats is told to be kept.
_LIKE_A_RUN: dict[str, Any] = {
    "run": {
        "id": "rehearsal",
        "flow_id": str(UUID(int=1)),
        "flow_name": "rehearsal",
        "session_id": "rehearsal",
        "user_id": str(UUID(int=1)),
    },
    **dict.fromkeys(("later", "skip", "cautious", "timed"), ()),
    **{name: {} for name in ("upstream", "variables", "files", "context", "answers", "states", "doors")},
    "tape": "",
    "egress": (),
    "packages": None,
    "preload_report": True,
    "limits": dict.fromkeys(
        ("wall_s", "memory_mib", "cpu_s", "open_files", "processes", "cores", "cpu_weight", "file_mib"), 0
    ),
}
Beside = Callable[[], Coroutine[Any, Any, asyncio.Server]]
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
# A component that lfx does not ship: its source is compiled and executed in each run, and here as a new one each time.
_OWN = """# Number <number>
from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class Own(Component):
    display_name = "Own"
    inputs = [MessageTextInput(name="text", display_name="Text")]
    outputs = [Output(name="said", display_name="Said", method="say")]

    async def say(self) -> Message:
        return Message(text=self.text)
"""


def rehearse(times: int = _TIMES) -> None:
    """Run the flow, plain and streaming, and leave nothing behind but what lfx keeps for the next run."""
    for spec in _specs():
        for _ in range(times):
            act(spec.replace(b"<number>", b"%d" % next(_numbers)))


def rehearse_usual() -> None:
    """Run the flow once as most runs are: plain, and with components that lfx ships."""
    act(_specs()[-1])


def act(spec: bytes, beside: Beside | None = None) -> None:
    """Run once what this spec asks for, with a server `beside` it on its loop. `RuntimeError`: it failed."""
    streams = sys.stdout, sys.stderr
    environment = dict(os.environ)
    try:
        contextvars.Context().run(_once, spec, beside)
    finally:
        sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(environment)


def drawn(text: str) -> dict[str, Any]:
    """The nodes and edges of this flow."""
    data: dict[str, Any] = expand.expanded(text)["data"]
    builder._registry_cache = None  # noqa: SLF001 - a copy of the whole index, which only the job `expand` needs
    return data


def spec_of(nodes: Sequence[Any], edges: Sequence[Any], **more: Any) -> bytes:
    """The spec of a run of these nodes."""
    return orjson.dumps(
        {
            "job": "run",
            "run": {"id": "rehearsal", "flow_name": "rehearsal", "session_id": "rehearsal"},
            "nodes": nodes,
            "edges": edges,
            "build": [node["id"] for node in nodes],
            "inputs": {"input_value": "hello", "input_type": "chat"},
            **more,
        }
    )


@cache
def _specs() -> tuple[bytes, ...]:
    data = drawn(_FLOW)
    shipped = data["nodes"]
    # The common case last: children find Python's cache of look-ups as it was left.
    several = ([*shipped, _own_node()], True), ([*shipped, _own_node()], False), (shipped, False)
    return tuple(spec_of(nodes, data["edges"], stream=stream, **_LIKE_A_RUN) for nodes, stream in several)


def _own_node() -> dict[str, Any]:
    template = {
        "_type": "Component",
        "code": {"type": "code", "name": "code", "value": _OWN, "show": True},
        "text": {"type": "str", "name": "text", "value": "hello", "_input_type": "MessageTextInput"},
    }
    output = {"name": "said", "display_name": "Said", "method": "say", "types": ["Message"], "selected": "Message"}
    body = {"display_name": "Own", "template": template, "base_classes": ["Message"], "outputs": [output]}
    return {"id": "Own-D", "type": "genericNode", "data": {"id": "Own-D", "type": "Own", "node": body}}


class _Holding(Channel):
    """Holds the last spec of each kind.

    The names in it live on in the JSON reader and in Python's cache of look-ups, where `immortal` would not find them.
    """

    def read_spec(self) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for the spec, as any channel does."""
        spec, blobs = super().read_spec()
        _held[tuple(spec["build"])] = spec
        return spec, blobs


def _once(spec: bytes, beside: Beside | None) -> None:
    """One run as a child does it, but for the walls and the end of the process."""
    ours, theirs = socket.socketpair()
    loop = LateLoop()
    try:
        ours.sendall(frame(SPEC, spec))
        server = None if beside is None else loop.run_until_complete(beside())
        work.answer(_Holding(theirs), loop)
        if server is not None:
            server.close()
            loop.run_until_complete(server.wait_closed())
        loop.run_until_complete(loop.shutdown_default_executor())
        said = ours.recv(_ENOUGH_BYTES)
    finally:
        loop.close()
        ours.close()
        theirs.close()
    if b'"took_s"' not in said.rpartition(b"}")[0][-100:]:
        raise RuntimeError(f"The rehearsal failed: {said[-2000:]!r}")
