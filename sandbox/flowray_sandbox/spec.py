"""A run's spec, as the trusted side sent it: parsed once, trusted from here on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5


@dataclass(kw_only=True, slots=True)
class RunSpec:
    """What to run: `build` are the nodes to run here, the others stand by as their neighbours.

    Those in `later` are of this step, too, and wait for something. `answers` are decisions of people by request;
    `states` what paused nodes get back; `timed` nodes have a limit that the host keeps, `cautious`
    ones begin when the host says so.
    """

    run_id: str
    flow_id: str
    flow_name: str
    session_id: str
    user_id: str | None
    nodes: Sequence[dict[str, Any]]
    edges: Sequence[dict[str, Any]]
    build: Sequence[str]
    later: frozenset[str]
    closed: frozenset[str]
    upstream: Mapping[str, Mapping[str, Mapping[str, Any]]]
    input_value: str | None
    input_type: str | None
    files: Sequence[str]
    variables: Mapping[str, str]
    context: Mapping[str, Any]
    answers: Mapping[str, Any]
    states: Mapping[str, bytes]
    timed: frozenset[str]
    cautious: frozenset[str]
    stream: bool
    blobs: list[bytes]


def run_spec(spec: Mapping[str, Any], blobs: list[bytes]) -> RunSpec:
    """The spec of job `run`."""
    run = spec["run"]
    inputs = spec.get("inputs") or {}
    closed = frozenset(spec.get("skip") or ())
    flow_id = as_uuid(str(run.get("flow_id") or run["id"]))
    return RunSpec(
        run_id=str(run["id"]),
        flow_id=flow_id,
        flow_name=str(run.get("flow_name") or ""),
        session_id=str(run.get("session_id") or flow_id),
        user_id=as_uuid(str(run["user_id"])) if run.get("user_id") else None,
        nodes=spec["nodes"],
        edges=spec["edges"],
        build=[node for node in spec["build"] if node not in closed],
        later=frozenset(spec.get("later") or ()),
        closed=closed,
        upstream=spec.get("upstream") or {},
        input_value=inputs.get("input_value"),
        input_type=inputs.get("input_type") or "chat",
        files=inputs.get("files") or (),
        variables=spec.get("variables") or {},
        context=spec.get("context") or {},
        answers=spec.get("answers") or {},
        states={node: blobs[number] for node, number in (spec.get("states") or {}).items()},
        timed=frozenset(spec.get("timed") or ()),
        cautious=frozenset(spec.get("cautious") or ()),
        stream=bool(spec.get("stream")),
        blobs=blobs,
    )


def as_uuid(name: str) -> str:
    """lfx parses flow and user ids as UUIDs; any other name gets one that is always the same."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, name))
