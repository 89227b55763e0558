"""Which nodes may not be parted, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowray.component.spec import ComponentSpec
from flowray.component.travel import stays
from flowray.errors import PlanError
from flowray.flow.cycles import is_loop
from flowray.flow.types import Edge, Node, NodeId
from flowray.plan import graph
from flowray.plan.reach import after, before, reached

# Each loop is walked on its own; a flow of thousands would take minutes to plan, and no end to run.
_MOST_LOOPS = 200
_WAKES, _WOKEN = "Notify", "Listen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bond:
    """Nodes that run in one sandbox, and the reason."""

    nodes: tuple[NodeId, ...]
    reason: str


def bonds_of(
    nodes: Mapping[NodeId, Node], edges: tuple[Edge, ...], specs: Mapping[str, ComponentSpec]
) -> Iterator[Bond]:
    """Yield the bonds of a flow's live objects, loops and listeners."""
    yield from _live_objects(nodes, edges, specs)
    yield from _loops(nodes, edges)
    yield from _listeners(nodes, edges)


def _live_objects(
    nodes: Mapping[NodeId, Node], edges: tuple[Edge, ...], specs: Mapping[str, ComponentSpec]
) -> Iterator[Bond]:
    for edge in edges:
        types = edge.source_types or _port_types(nodes[edge.source], edge.output, specs)
        live = stays(types)
        if types and not live:
            continue
        what = f"a {' or '.join(live)}" if live else "a value of unknown type"
        reason = f"`{edge.source}` hands `{edge.target}` {what}, which cannot leave its sandbox"
        yield Bond(nodes=(edge.source, edge.target), reason=reason)


def _port_types(node: Node, port: str, specs: Mapping[str, ComponentSpec]) -> tuple[str, ...]:
    spec = specs.get(node.code_digest or "")
    for output in (*node.outputs, *(spec.outputs if spec else ())):
        if output.name == port and output.types:
            return output.types
    return ()


def _loops(nodes: Mapping[NodeId, Node], edges: tuple[Edge, ...]) -> Iterator[Bond]:
    """A loop runs its body itself, in its own process, once per item, and each time with all that feeds the body."""
    loops = [node for node in nodes.values() if is_loop(node)]
    if len(loops) > _MOST_LOOPS:
        raise PlanError(f"The flow has {len(loops):,} loops; at most {_MOST_LOOPS} can be planned.")
    if not loops:
        return
    circle_of = {
        node: circle
        for circle in graph.circles(nodes, ((edge.source, edge.target) for edge in edges))
        for node in circle
    }
    sources, targets = before(edges), after(edges)
    for loop in loops:
        circle = circle_of.get(loop.id)
        if circle is None:
            continue
        items = {output.name for output in loop.outputs if output.allows_loop}
        starts = [edge.target for edge in edges if edge.source == loop.id and edge.output in items]
        # Also what hangs on the body without leading back: the loop stops that branch for the rest of the flow.
        body = reached(targets, starts, not_into={loop.id}) if starts else frozenset()
        fed = reached(sources, body, not_into={loop.id})
        members = tuple(node for node in nodes if node in circle or node in fed)
        yield Bond(nodes=members, reason=f"`{loop.id}` runs its body, and what feeds it, once per item")


def _listeners(nodes: Mapping[NodeId, Node], edges: tuple[Edge, ...]) -> Iterator[Bond]:
    """A Notify wakes each Listen and runs again what hangs on it: neither may wait in another process."""
    waking = [node for node in nodes if _is(nodes[node], _WAKES)]
    woken = [node for node in nodes if _is(nodes[node], _WOKEN)]
    if not waking or not woken:
        return
    again = reached(after(edges), woken)
    members = reached(before(edges), again | set(waking))
    yield Bond(
        nodes=tuple(node for node in nodes if node in members),
        reason=f"`{waking[0]}` wakes `{woken[0]}`, which runs again with all that hangs on it",
    )


def _is(node: Node, component: str) -> bool:
    return component in (node.component, node.id.split("-", 1)[0])
