"""FlowRay runs Langflow flows, unchanged, each step in a sandbox of its own.

    flow = flowray.load("flow.json")
    flowray.check(flow)                             # what is wrong with it, by node and field
    flowray.plan(flow)                              # the steps it would run in, and why
    flowray.run(flow, input_value="Hello").text     # here, without a service
    flowray.connect("http://127.0.0.1:8000", key)   # a client of a service

Importing this is cheap and works everywhere; running sandboxes takes Linux.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

# Imported before the function of the same name is made: the import system binds a package to its parent's attribute
# once, on its first import, and would replace the function later.
import flowray.plan  # noqa: F401
from flowray import errors

if TYPE_CHECKING:
    from flowray.client import Client
    from flowray.engine.outcome import Answer
    from flowray.flow.check import Finding
    from flowray.flow.types import Flow
    from flowray.plan.types import Plan

_SHOWN_CHARS = 300

__all__ = ["arun", "check", "connect", "errors", "expand", "load", "plan", "run"]


def load(source: str | os.PathLike[str] | bytes | Mapping[str, Any]) -> Flow:
    """Return the flow of a Langflow export: a file's path, its text or bytes, or the parsed document.

    A file `NAME.flow`, in lfx's compact form, is expanded in a sandbox of this machine first, which takes seconds.
    """
    from flowray.flow.langflow import read

    if isinstance(source, bytes | Mapping) or (isinstance(source, str) and _is_document(source)):
        return read(source)
    if not isinstance(source, str | os.PathLike):
        raise errors.InvalidRequestError(
            f"A flow is loaded from a path, text, bytes or a parsed document, not from {type(source).__name__}."
        )
    path = Path(source)
    if path.suffix == ".flow":
        return read(_expanded(path))
    try:
        return read(path.read_bytes())
    except OSError as cause:
        raise errors.InvalidRequestError(f"Cannot read {str(path)[:_SHOWN_CHARS]}: {cause.strerror}.") from cause


def _is_document(text: str) -> bool:
    """Tell a document from a path: by its brace, also behind a byte-order mark, or by what no path has."""
    return text.lstrip("\ufeff \t\r\n").startswith("{") or not {"\n", "\0"}.isdisjoint(text)


def _expanded(path: Path) -> Mapping[str, Any]:
    from flowray.client.sources import errors_of, read_description

    spec = read_description(path)
    with errors_of(path):
        return expand({path.name: spec})[path.name]


def check(flow: Flow) -> tuple[Finding, ...]:
    """Return what is wrong with a flow, errors first."""
    from flowray.component.check import check as found
    from flowray.component.known import known_components
    from flowray.flow.check import check_attributes

    _require_flow(flow)
    return (*check_attributes(flow), *found(flow, known_components() or None))


def plan(flow: Flow, *, fusion: Literal["auto", "none"] = "auto") -> Plan:
    """Return the steps a flow would run in. With `fusion` none, every node that can be parted is a step of its own."""
    if fusion not in ("auto", "none"):
        raise errors.InvalidRequestError(f"`fusion` is auto or none, not `{fusion}`.")
    _require_flow(flow)
    from flowray.component.known import known_components
    from flowray.plan.planner import plan as planned

    return planned(flow, specs=known_components(), fusion=fusion)


async def arun(
    flow: Flow, *, variables: Mapping[str, str] | None = None, egress: Sequence[str] = (), **values: Any
) -> Answer:
    """Run a flow in a sandbox on this machine and return its answer; raises the error of a run that failed.

    `variables` are secrets by name, `egress` the hosts that may be reached ("api.openai.com", "host:port"). Other
    values are `input_value`, `session`, `output_type`, `tweaks`, or a field's: `**{"Prompt-1.template": "Hi"}`.
    For several runs keep a `flowray.local.Local`: most of the time goes into starting it.
    """
    from flowray.local import Local, image_for

    _require_flow(flow)
    # Who names a host here also owns the network that it is on.
    local = Local(image_for(flow), private=egress, lasting=False)
    request = await local.prepare(flow, variables=variables, egress=egress, **values)
    async with local:
        return await local.answer(request)


def run(flow: Flow, *, variables: Mapping[str, str] | None = None, egress: Sequence[str] = (), **values: Any) -> Answer:
    """Do what `arun` does, for programs that wait."""
    _require_no_loop("await flowray.arun(...)")
    return asyncio.run(arun(flow, variables=variables, egress=egress, **values))


def expand(specs: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """Return the Langflow documents of compact flow descriptions, by the same names."""
    if not isinstance(specs, Mapping) or not all(isinstance(spec, str) for spec in specs.values()):
        raise errors.InvalidRequestError("Descriptions come by name, each a text: flowray.expand({'my-flow': TEXT}).")
    _require_no_loop("await asyncio.to_thread(flowray.expand, ...)")
    from flowray.local import Local

    async def documents() -> Mapping[str, Mapping[str, Any]]:
        async with Local(lasting=False) as local:
            return {name: await local.expand(spec) for name, spec in specs.items()}

    return asyncio.run(documents())


def _require_flow(flow: Flow) -> None:
    from flowray.flow.types import Flow

    if not isinstance(flow, Flow):
        raise errors.InvalidRequestError(
            f"This takes a flow, not {type(flow).__name__}; flowray.load reads one: a file, its text or its document."
        )


def _require_no_loop(instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise errors.InvalidRequestError(f"An event loop runs here, which this would block. Write: {instead}")


def connect(url: str, key: str = "") -> Client:
    """Return a client of the service at `url`, with an API key."""
    from flowray.client import Client

    return Client(url, key)
