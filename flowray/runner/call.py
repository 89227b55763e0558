"""A step on its way to a Runner: a small message per call, and the step's nodes apart, sent once and known by digest.

The same flow runs again and again; its nodes are most of a step's bytes. So whoever calls sends the `StepCall`, and the
`StepBody` only until the Runner knows it: a Runner without it raises `BodyUnknownError`, and nothing has run.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as _field

import orjson

from flowray.engine.commands import StartStep
from flowray.engine.events import RunId
from flowray.engine.ports import RunRequest
from flowray.engine.values import Ref, Value
from flowray.errors import FlowRayError
from flowray.flow.types import Edge, Flow, Json, NodeId
from flowray.plan.types import Step, StepId


class BodyUnknownError(FlowRayError):
    """The Runner does not hold the step's nodes (yet, or any more): call again and send them."""

    code = "body_unknown"
    status = 503

    def __init__(self, digest: str) -> None:
        super().__init__(f"The runner does not know the step {digest[:12]}; send its body with the call.", digest)
        self.digest = digest

    def __reduce__(self) -> tuple[type[BodyUnknownError], tuple[str]]:
        return type(self), (self.digest,)


@dataclass(frozen=True, kw_only=True)
class StepBody:
    """What of a step is the same in every run of a flow version.

    `json` holds its raw nodes and wires, the upstream nodes it reads from and the wires beyond it, as two members of
    the sandbox's spec.
    `nodes` are those to build, `upstream` the others, with the ports that are read. `known` are all nodes of the flow.
    """

    digest: str
    json: bytes = _field(repr=False)
    nodes: tuple[NodeId, ...]
    upstream: Mapping[NodeId, frozenset[str]]
    known: frozenset[NodeId] = _field(repr=False)


@dataclass(frozen=True, kw_only=True)
class StepCall:
    """What of a step is new in each run; `body` is the digest of the rest."""

    run: RunId
    tenant: str
    flow_id: str
    flow_name: str
    session: str
    step: StepId
    attempt: int
    body: str
    memory_mib: int = 0
    skip: frozenset[NodeId] = frozenset()
    upstream: Mapping[NodeId, Mapping[str, Value]] = _field(default_factory=dict, repr=False)
    input_value: str | None = None
    input_type: str = "chat"
    stream: bool = False
    variables: Mapping[str, str] = _field(default_factory=dict, repr=False)
    files: Mapping[str, Ref] = _field(default_factory=dict)
    egress: tuple[str, ...] = ()
    context: Mapping[str, Json] = _field(default_factory=dict, repr=False)


def call_of(request: RunRequest, start: StartStep, body: StepBody) -> StepCall:
    """Return the message that asks for this step."""
    return StepCall(
        run=request.run,
        tenant=request.tenant,
        flow_id=request.flow_id,
        flow_name=request.flow.name,
        session=request.session,
        step=start.step,
        attempt=start.attempt,
        body=body.digest,
        memory_mib=request.plan.by_id[start.step].resources.memory_mib,
        skip=start.skip,
        upstream=start.upstream,
        input_value=request.input_value,
        input_type=request.input_type,
        stream=request.stream,
        variables=request.variables,
        files=request.files,
        egress=request.egress,
        context=start.context,
    )


def body_of(flow: Flow, step: Step) -> StepBody:
    """Return the step's nodes and wires, with the nodes that its wires come from."""
    own = frozenset(step.nodes)
    into = [edge for edge in flow.edges if edge.target in own and edge.source in flow.by_id]
    upstream: dict[NodeId, set[str]] = {}
    for edge in into:
        if edge.source not in own:
            upstream.setdefault(edge.source, set()).add(edge.output)
    nodes = b",".join(orjson.dumps(flow.by_id[node].raw) for node in (*upstream, *step.nodes))
    edges = b",".join((*(orjson.dumps(edge.raw) for edge in into), *map(_short, _beyond(flow, own))))
    content = b'"nodes":[%b],"edges":[%b]' % (nodes, edges)
    return StepBody(
        digest=hashlib.sha256(content).hexdigest(),
        json=content,
        nodes=step.nodes,
        upstream={node: frozenset(ports) for node, ports in upstream.items()},
        known=frozenset(flow.by_id),
    )


def _beyond(flow: Flow, own: frozenset[NodeId]) -> Iterator[Edge]:
    """Yield the wires that lead on from the step: a router in it has to say what its closed branch stops."""
    leaving: dict[NodeId, list[Edge]] = {}
    for edge in flow.edges:
        if edge.target not in own:
            leaving.setdefault(edge.source, []).append(edge)
    reached, waiting = set(own), list(own & leaving.keys())
    while waiting:
        for edge in leaving.get(waiting.pop(), ()):
            yield edge
            if edge.target not in reached:
                reached.add(edge.target)
                waiting.append(edge.target)


def _short(edge: Edge) -> bytes:
    """Return a wire without its types: it is only followed."""
    ends = {"sourceHandle": {"name": edge.output}, "targetHandle": {"fieldName": edge.field}}
    return orjson.dumps({"source": edge.source, "target": edge.target, "data": ends})


class Bodies:
    """The caller's memory of bodies, so that a flow's nodes are not serialised for each run of it."""

    def __init__(self, *, most: int = 256) -> None:
        self._most = most
        self._bodies: OrderedDict[tuple[int, StepId], tuple[Flow, StepBody]] = OrderedDict()

    def of(self, request: RunRequest, step: StepId) -> StepBody:
        """Return the body of a step of the request's flow."""
        # By identity: a flow is frozen, and comparing two of them costs more than writing a new body.
        key = (id(request.flow), step)
        found = self._bodies.get(key)
        if found is not None and found[0] is request.flow:
            self._bodies.move_to_end(key)
            return found[1]
        body = body_of(request.flow, request.plan.by_id[step])
        self._bodies[key] = request.flow, body
        if len(self._bodies) > self._most:
            self._bodies.popitem(last=False)
        return body


class KnownBodies:
    """The Runner's memory of bodies, by digest, up to a number of bytes."""

    def __init__(self, *, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._bodies: OrderedDict[str, StepBody] = OrderedDict()

    def learn(self, body: StepBody) -> None:
        """Keep a body; what was not asked for longest makes room."""
        if body.digest in self._bodies:
            return
        self._bodies[body.digest] = body
        self._bytes += len(body.json)
        while self._bytes > self._most_bytes and len(self._bodies) > 1:
            _, forgotten = self._bodies.popitem(last=False)
            self._bytes -= len(forgotten.json)

    def get(self, digest: str) -> StepBody:
        """Return the body; `BodyUnknownError` when it is not held."""
        body = self._bodies.get(digest)
        if body is None:
            raise BodyUnknownError(digest)
        self._bodies.move_to_end(digest)
        return body
