"""Large values on their way: out of a sandbox into the object store, and from there into the next sandbox."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowray.engine.commands import StartStep
from flowray.engine.events import ConnectionEnded, MessageAdded, NodeEvent, NodePaused
from flowray.engine.ports import Objects, RunRequest
from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId
from flowray.runner.body import StepBody
from flowray.runner.claims import Claim, Unstored
from flowray.runner.spec import Inputs
from flowray.stores.paths import path

INPUTS_LIMIT_BYTES = 128 * 1024 * 1024


class InputsTooLargeError(Exception):
    """A step's values and files are more than a sandbox is given."""


async def store(
    claims: Sequence[Claim | ConnectionEnded], objects: Objects, request: RunRequest
) -> list[NodeEvent | ConnectionEnded]:
    """Return the events, with Refs for what was held back for the store."""
    return [await _stored(claim, objects, request) if isinstance(claim, Unstored) else claim for claim in claims]


async def _stored(claim: Unstored, objects: Objects, request: RunRequest) -> NodeEvent:
    shown = None if claim.shown is None else await _put(claim.shown, objects, request)
    refs = {port: await _put(content, objects, request) for port, content in claim.held.items()}
    if isinstance(claim.event, MessageAdded):
        return replace(claim.event, message_ref=shown)
    if isinstance(claim.event, NodePaused):
        return replace(claim.event, state=refs[""])
    kept = {port: replace(claim.event.outputs[port], ref=ref) for port, ref in refs.items()}
    return replace(claim.event, outputs={**claim.event.outputs, **kept}, result_ref=shown)


async def _put(content: bytes, objects: Objects, request: RunRequest) -> Ref:
    return await objects.put(path(request.tenant, "values", request.run, hashlib.sha256(content).hexdigest()), content)


async def fetch(request: RunRequest, start: StartStep, body: StepBody, objects: Objects) -> Inputs:
    """Return what the step reads from outside: of upstream values only the ports that a wire reads."""
    read = {
        node: {
            port: value for port, value in values.items() if node in start.done or port in body.upstream.get(node, ())
        }
        for node, values in start.upstream.items()
    }
    refs = [value.ref for values in read.values() for value in values.values() if value.ref]
    refs += request.files.values()
    refs += start.states.values()
    if not refs:
        return Inputs(upstream=_said(read, {}), files={}, states={}, blobs=())
    numbers = {ref.key: number for number, ref in enumerate({ref.key: ref for ref in refs}.values())}
    blobs = await _contents({ref.key: ref for ref in refs}, objects)
    files = {name: numbers[ref.key] for name, ref in request.files.items()}
    states = {node: numbers[ref.key] for node, ref in start.states.items()}
    return Inputs(upstream=_said(read, numbers), files=files, states=states, blobs=blobs)


async def _contents(refs: Mapping[str, Ref], objects: Objects) -> list[bytes]:
    size = sum(ref.size for ref in refs.values())
    if size > INPUTS_LIMIT_BYTES:
        raise InputsTooLargeError(f"The step's values and files have {size:,} bytes; at most 128 MiB can be given.")
    try:
        async with asyncio.TaskGroup() as tasks:
            reads = [tasks.create_task(objects.get(key)) for key in refs]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [read.result() for read in reads]


def _said(
    read: Mapping[NodeId, Mapping[str, Value]], numbers: Mapping[str, int]
) -> Mapping[NodeId, Mapping[str, Json]]:
    """Return the values as the spec says them."""
    return {
        node: {
            port: {"type": value.type, "blob": numbers[value.ref.key]}
            if value.ref
            else {"type": value.type, "json": value.json}
            for port, value in values.items()
        }
        for node, values in read.items()
    }
