"""What a node is reported to have done: its outputs as values, lfx's result of it as JSON, its use of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from lfx.graph.schema import ResultData
from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.vertex_types import ComponentVertex
from lfx.serialization.serialization import serialize
from lfx.template.field.base import UNDEFINED
from pydantic import BaseModel

from flowray_sandbox import large, tags, values
from flowray_sandbox.failures import JobFailedError

# A result says its text several times over, and the channel carries 64 MiB at once; the outputs are never cut.
_LIMIT_BYTES = 44 << 20
CUT_NOTICE = (
    "The node's result is larger than 44 MiB: its texts and lists are cut where it is shown, and what is large without "
    "them is left out, but not in its outputs."
)
# What components made; the other fields are small.
_MADE = {"results", "outputs", "artifacts", "logs", "messages"}
# Dates are lfx's own matter: it writes them as UTC, whatever zone they have.
_AS_LFX = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encoded(vertex: Vertex, crossing: set[str], keep: Callable[[bytes], int]) -> dict[str, Any]:
    """The node's outputs by port; those in `crossing` are read outside this sandbox and have to travel."""
    outputs: dict[str, Any] = {}
    for port, value in put_out(vertex).items():
        try:
            outputs[port] = values.encode(value, keep)
        except tags.CannotTravelError as cause:
            if port in crossing:
                raise JobFailedError(
                    f"The output `{port}` of node `{vertex.id}` is {cause}, which cannot travel to another step.",
                    kind="value",
                    error_type=type(value).__name__,
                    node=vertex.id,
                ) from None
            outputs[port] = values.opaque(value)
    return outputs


def put_out(vertex: Vertex) -> dict[str, Any]:
    """What the node put out: the outputs themselves, since lfx's results are copies with secrets masked."""
    if not isinstance(vertex, ComponentVertex):
        return {vertex.outputs[0]["name"] if vertex.outputs else "output": vertex.built_object}
    outputs = {}
    component: Any = vertex.custom_component
    for name, output in component.get_outputs_map().items():
        if output.value is not UNDEFINED:
            outputs[name] = output.value
        elif name in vertex.results:
            outputs[name] = vertex.results[name]
    return outputs


def result_json(result: ResultData, on_cut: Callable[[], None], *, kept_bytes: int = 0) -> bytes:
    """lfx's result of a node as Langflow's API shows it; `on_cut` is called when it is too large to be told whole.

    `kept_bytes` is how much of the node's outputs was sent aside.
    """
    if kept_bytes > _LIMIT_BYTES:
        on_cut()
        return _cut(result, _LIMIT_BYTES // 16)
    try:
        rest = result.model_dump(mode="json", exclude={"results"})
        text = _dumped({"results": result.results, **rest}, sparing=kept_bytes > large.LARGE_CHARS)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - results hold what components made; anything may refuse to be dumped
        text = _cut(result, None)
    longest = _LIMIT_BYTES
    if len(text) > _LIMIT_BYTES:
        on_cut()
    while len(text) > _LIMIT_BYTES:
        longest //= 16
        text = _cut(result, longest) if longest else _facts(result)
    return text


def usage(result: ResultData) -> Mapping[str, int]:
    """The tokens the node used, where it used any."""
    used = result.token_usage
    return {name: count for name, count in used.model_dump().items() if count} if used else {}


def _cut(result: ResultData, longest: int | None) -> bytes:
    """The result with every text and every list cut to at most so many characters or items."""
    return tags.text_of(serialize(result.model_dump(), longest, longest, to_str=True))


def _facts(result: ResultData) -> bytes:
    """The result without all that a component made: dictionaries are not cut."""
    return _cut(ResultData(**result.model_dump(exclude=_MADE)), None)


def _dumped(shown: dict[str, Any], *, sparing: bool) -> bytes:
    if not sparing:
        return orjson.dumps(shown, default=_shown, option=_AS_LFX)
    known: dict[str, orjson.Fragment] = {}
    return orjson.dumps(
        large.written(shown, known), default=lambda value: large.written(_shown(value), known), option=_AS_LFX
    )


def _shown(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else serialize(value)
