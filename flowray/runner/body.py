"""What of a step is the same in every run of a flow: written once as the JSON that its sandbox reads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as _field

import orjson

from flowray.engine.ports import RunRequest
from flowray.flow.types import Edge, Flow, NodeId
from flowray.plan.types import Step, StepId


@dataclass(frozen=True, kw_only=True)
class StepBody:
    """A step's nodes and wires, ready to be sent.

    `json` holds its raw nodes and wires, the upstream nodes it reads from and the wires beyond it, as two members of
    the sandbox's spec.
    `nodes` are those to build, `upstream` the others, with the ports that are read. `known` are all nodes of the flow.
    """

    json: bytes = _field(repr=False)
    nodes: tuple[NodeId, ...]
    upstream: Mapping[NodeId, frozenset[str]]
    known: frozenset[NodeId] = _field(repr=False)


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
    return StepBody(
        json=b'"nodes":[%b],"edges":[%b]' % (nodes, edges),
        nodes=step.nodes,
        upstream={node: frozenset(ports) for node, ports in upstream.items()},
        known=frozenset(flow.by_id),
    )


class Bodies:
    """Bodies of the steps that ran lately, up to a number of bytes."""

    def __init__(self, *, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._bodies: OrderedDict[tuple[int, StepId], tuple[Flow, StepBody]] = OrderedDict()

    def of(self, request: RunRequest, step: StepId) -> StepBody:
        """Return the body of a step of the request's flow."""
        # By identity: a flow is frozen, and comparing two of them costs more than writing a new body.
        key = (id(request.flow), step)
        found = self._bodies.get(key)
        if found is not None:
            self._bodies.move_to_end(key)
            return found[1]
        body = body_of(request.flow, request.plan.by_id[step])
        # The flow is kept with it, so that no other flow can get the same id.
        self._bodies[key] = request.flow, body
        self._bytes += len(body.json)
        while self._bytes > self._most_bytes and len(self._bodies) > 1:
            _, (_, gone) = self._bodies.popitem(last=False)
            self._bytes -= len(gone.json)
        return body


def _beyond(flow: Flow, own: frozenset[NodeId]) -> Iterator[Edge]:
    """Yield the wires that lead on from the step: a router in it has to say what its closed branch stops."""
    leaving: dict[NodeId, list[Edge]] = {}
    for edge in flow.edges:
        if edge.target not in own:
            leaving.setdefault(edge.source, []).append(edge)
    reached, waiting = set(own), [node for node in own if node in leaving]
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
