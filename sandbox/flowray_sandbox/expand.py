"""The job `expand`: from a compact description of a flow to the flow's full JSON, the same each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfx.graph.flow_builder import component
from lfx.graph.flow_builder.builder import build_flow_from_spec, load_local_registry
from lfx.graph.flow_builder.spec import parse_flow_spec

from flowray_sandbox.adapters.shapes import frontends
from flowray_sandbox.channel import Channel
from flowray_sandbox.failures import JobFailedError


async def expand(spec: Mapping[str, Any], _: list[bytes], __: Channel) -> dict[str, Any]:
    """Answer with the flow that the text describes."""
    return {"flow": expanded(str(spec["spec"]))}


def expanded(text: str) -> dict[str, Any]:
    """The flow; a node named `A` of type `ChatInput` gets the id `ChatInput-A`."""
    try:
        nodes = parse_flow_spec(text)["nodes"]
    except ValueError as cause:
        raise _refused(str(cause)) from None
    names = [node["id"] for node in nodes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _refused(f"These nodes are named twice: {', '.join(twice)}")
    _name_after(names)
    built = build_flow_from_spec(text, {**load_local_registry(), **frontends()})
    if "error" in built:
        raise _refused(". ".join(dict.fromkeys((built["error"], built["details"]))))
    flow: dict[str, Any] = built["flow"]
    return flow


def _name_after(names: list[str]) -> None:
    """lfx makes up a random id for each node, in the order of the text."""
    left = iter(names)
    lfx: Any = component
    lfx._generate_id = lambda kind: f"{kind}-{next(left)}"  # noqa: SLF001 - there is no other way to choose ids


def _refused(why: str) -> JobFailedError:
    return JobFailedError(f"The flow cannot be built: {why}", kind="component", error_type="FlowSpecError")
