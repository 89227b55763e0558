"""Steps whose results are used again: what a node made of the same inputs is told from memory, without a sandbox.

Opt-in: a node says for how long (`cache_s`), or is frozen, as Langflow calls one that keeps its last result whatever it
is fed. The planner gives such nodes steps of their own, where they can be parted from others.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from flowray.engine.codec import decode, dumps, encode, loads
from flowray.engine.commands import StartStep
from flowray.engine.events import (
    BranchStopped,
    ContextChanged,
    MessageAdded,
    NodeFinished,
    NodeStarted,
    Recorded,
    RunId,
    StepEvent,
    StepFinished,
    StepStarted,
)
from flowray.engine.ports import RunRequest, Steps
from flowray.engine.values import Ref, Value
from flowray.errors import FlowRayError
from flowray.flow.types import Node, NodeId
from flowray.plan.types import Plan

log = logging.getLogger(__name__)

RUNNER = "cache"
_MOST_BYTES = 4 * 1024 * 1024
# What lfx's Message says of the moment and the run that made it, not of its content.
_OF_THE_MOMENT = frozenset({"timestamp", "id", "run_id", "duration"})
_TOLD = NodeStarted | NodeFinished | MessageAdded | BranchStopped | ContextChanged


class Results(Protocol):
    """Results by key, each for so many seconds. `key` says nothing to those who do not know the service's secret."""

    async def find(self, tenant: str, key: str) -> bytes | None:
        """What was kept, if it still is."""

    async def keep(self, tenant: str, key: str, content: bytes, *, for_s: float) -> None:
        """Keep it."""

    async def has(self, ref_key: str) -> bool:
        """Whether a stored value is still there."""


class CachedSteps:
    """See `flowray.engine.ports.Steps`; around other steps."""

    def __init__(
        self, steps: Steps, results: Results, *, secret: bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps = steps
        self._results = results
        self._secret = secret
        self._clock = clock

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """Tell what is remembered, or run the step and remember it. What cannot be remembered is run, no more."""
        for_s = _kept_for_s(request, step)
        if not for_s:
            async with aclosing(self._steps.run(request, step)) as told:
                async for events in told:
                    yield events
            return
        key = key_of(request, step, secret=self._secret)
        begun = self._clock()
        known = await self._find(request, key)
        if known is not None:
            started = StepStarted(step=step.step, attempt=step.attempt, runner=RUNNER)
            took_s = self._clock() - begun
            yield [started, *known, StepFinished(step=step.step, took_s=took_s, attempt=step.attempt)]
            return
        heard: list[StepEvent] = []
        async with aclosing(self._steps.run(request, step)) as told:
            async for events in told:
                heard.extend(events)
                if heard and isinstance(heard[-1], StepFinished):
                    # Before it is told: who hears the end of a step asks for nothing more.
                    await self._keep(request, key, heard, for_s)
                yield events

    async def _find(self, request: RunRequest, key: str) -> list[StepEvent] | None:
        try:
            content = await self._results.find(request.tenant, key)
            if content is None:
                return None
            events = [decode(dumps(one)).event for one in loads(content)]
            if not all([await self._results.has(ref.key) for event in events for ref in _refs(event)]):
                return None
        except FlowRayError as error:
            log.warning("Cache not read", extra={"action": "cache_failed", "reason": error.message})
            return None
        return [replace(event, cached=True) if isinstance(event, NodeFinished) else event for event in events]  # type: ignore[misc] # step events are what was kept

    async def _keep(self, request: RunRequest, key: str, heard: Sequence[StepEvent], for_s: float) -> None:
        kept = [event for event in heard if isinstance(event, _TOLD)]
        if any(value.is_live for event in kept for value in _values(event)):
            return
        content = b"[" + b",".join(encode(Recorded(seq=0, at=0.0, run=RunId(""), event=event)) for event in kept) + b"]"
        if len(content) > _MOST_BYTES:
            return
        try:
            await self._results.keep(request.tenant, key, content, for_s=for_s)
        except FlowRayError as error:
            log.warning("Cache not written", extra={"action": "cache_failed", "reason": error.message})


def key_of(request: RunRequest, step: StartStep, *, secret: bytes) -> str:
    """Name what a step makes: its nodes' sources, parameters and wires, what they are fed, the secrets they may read.

    A frozen node's inputs do not count, nor does when and in which run a message was made. Keyed with the service's
    secret, so that nobody can guess a secret by its key.
    """
    nodes = [request.flow.by_id[node] for node in request.plan.by_id[step.step].nodes]
    said: dict[str, Any] = {"nodes": [_node(node) for node in nodes], "skip": sorted(step.skip)}
    if all(node.frozen for node in nodes):
        said["flow"] = request.flow_id
    else:
        said |= {
            "wires": _wires(request.plan, {node.id for node in nodes}),
            "fed": {node: {port: _digest(one) for port, one in ports.items()} for node, ports in step.upstream.items()},
            "context": dict(step.context),
            "files": {name: ref.sha256 for name, ref in request.files.items()},
            "input": [request.input_value, request.input_type] if any(node.is_input for node in nodes) else None,
            "session": request.session if any("session_id" in node.fields for node in nodes) else None,
        }
    said["variables"] = dict(request.variables)
    return hmac.new(secret, dumps(_sorted(said)), hashlib.sha256).hexdigest()


def _kept_for_s(request: RunRequest, step: StartStep) -> float:
    """How long a step's results may be used again; 0 when one of its nodes does not say so, or it runs in parts.

    A run that is recorded or replayed is about what its nodes hear and make of it, then and now.
    """
    if step.done or step.later or step.answers or request.record or request.tape:
        return 0.0
    nodes = request.plan.by_id[step.step].nodes
    return min(request.plan.terms_of(node).cache_s for node in nodes)


def _wires(plan: Plan, nodes: Collection[NodeId]) -> list[tuple[str, ...]]:
    """What is plugged in where, in the order in which a field that takes several has them."""
    return [(one.source, one.output, one.target, one.field) for one in plan.edges if one.target in nodes]


def _node(node: Node) -> dict[str, Any]:
    body = node.raw["data"]["node"] if node.raw else {}
    return {"id": node.id, "source": node.code_digest, "template": body.get("template"), "outputs": body.get("outputs")}


def _digest(value: Value) -> Any:
    if value.ref:
        return {"type": value.type, "sha256": value.ref.sha256}
    if value.type == "message" and isinstance(value.json, Mapping):
        return {"type": value.type, "json": {k: v for k, v in value.json.items() if k not in _OF_THE_MOMENT}}
    return {"type": value.type, "json": value.json}


def _values(event: object) -> Iterator[Value]:
    if isinstance(event, NodeFinished):
        yield from event.outputs.values()


def _refs(event: object) -> Iterator[Ref]:
    held = [value.ref for value in _values(event)]
    held += [getattr(event, name, None) for name in ("result_ref", "message_ref")]
    yield from (ref for ref in held if ref is not None)


def _sorted(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {str(key): _sorted(said[key]) for key in sorted(said, key=str)}
    if isinstance(said, list | tuple):
        return [_sorted(one) for one in said]
    return said
