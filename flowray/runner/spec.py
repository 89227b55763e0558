"""What a sandbox is told: one SPEC frame, put together from the step's prepared body and the facts of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import orjson

from flowray.component.spec import Needs
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.flow.types import Json, NodeId
from flowray.runner.body import StepBody
from flowray.runner.frames import BLOB_DOWN, SPEC, parted
from flowray.sandbox.doors import Doors
from flowray.sandbox.limits import Limits
from flowray.tenancy.langflow_ids import tenant_uuid

SPEC_LIMIT_BYTES = 64 * 1024 * 1024


class SpecTooLargeError(Exception):
    """The step's nodes and values are more than a sandbox is told."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A step's values, files and states of paused nodes with their bytes fetched: `blobs` are numbered in order."""

    upstream: Mapping[NodeId, Mapping[str, Json]]
    files: Mapping[str, int]
    states: Mapping[NodeId, int]
    blobs: Sequence[bytes]


def run_frames(
    request: RunRequest,
    start: StartStep,
    body: StepBody,
    inputs: Inputs,
    limits: Limits,
    doors: Doors | None = None,
) -> Iterable[bytes]:
    """Yield the frames that start a step: its blobs, then its spec."""
    fresh = {
        "job": "run",
        "run": {
            "id": request.run,
            "flow_id": request.flow_id,
            "flow_name": request.flow.name,
            "session_id": request.session,
            "user_id": tenant_uuid(request.tenant, "user"),
        },
        "build": [node for node in body.nodes if node not in start.skip | start.done | start.later],
        "later": list(start.later),
        "skip": _closed(start, body),
        "upstream": inputs.upstream,
        "inputs": {"input_value": request.input_value, "input_type": request.input_type},
        "variables": request.variables,
        "files": inputs.files,
        "context": start.context,
        "answers": start.answers,
        "tape": "play" if request.tape else "record" if request.record else "",
        "states": inputs.states,
        "cautious": [node for node in body.nodes if node in request.plan.cautious],
        "timed": [node for node in body.nodes if request.plan.terms_of(node).wall_s is not None],
        "egress": request.egress,
        "packages": request.packages,
        "doors": doors.said if doors else {},
        "stream": request.stream,
        "preload_report": True,
        "limits": _said(limits),
    }
    for content in inputs.blobs:
        yield from parted(BLOB_DOWN, content)
    yield from _spec_frames(b"%b,%b}" % (orjson.dumps(fresh)[:-1], body.json))


def job_frames(job: str, facts: Mapping[str, Json], limits: Limits) -> Iterable[bytes]:
    """Yield the frames of a job that is no step."""
    yield from _spec_frames(orjson.dumps({"job": job, **facts, "limits": _said(limits)}))


def fitting(limits: Limits, needs: Needs, *, cpu_weight: int = 100) -> Limits:
    """Return the limits of a step: what its components declared, and where they said nothing, what its pool has."""
    memory_mib = max(limits.memory_mib, needs.memory_mib)
    cores = needs.cpu or limits.cores
    if (memory_mib, cores, cpu_weight) == (limits.memory_mib, limits.cores, limits.cpu_weight):
        return limits
    return replace(limits, memory_mib=memory_mib, cores=cores, cpu_weight=cpu_weight)


def _closed(start: StartStep, body: StepBody) -> list[NodeId]:
    """Nodes without a value: the step's own on closed branches, and upstream ones that never ran."""
    return [*start.skip, *(node for node in body.upstream if node not in start.upstream)]


@lru_cache(maxsize=64)
def _said(limits: Limits) -> Mapping[str, Json]:
    return asdict(limits)


def _spec_frames(payload: bytes) -> Iterable[bytes]:
    if len(payload) > SPEC_LIMIT_BYTES:
        raise SpecTooLargeError(f"The step's nodes and values have {len(payload):,} bytes; at most 64 MiB can be sent.")
    return parted(SPEC, payload)
