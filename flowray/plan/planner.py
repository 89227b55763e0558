"""From a flow and what is known of its components to a Plan: what runs with what, where, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowray.component.imports import Imports
from flowray.component.spec import ComponentSpec
from flowray.component.terms import Terms, said_of_flow
from flowray.errors import PlanError
from flowray.flow.cycles import endless, is_loop
from flowray.flow.digest import digest
from flowray.flow.shape import clipped
from flowray.flow.types import Edge, Flow, Node, NodeId
from flowray.plan import graph
from flowray.plan.bonds import bonds_of
from flowray.plan.fuse import Placed, fused
from flowray.plan.packages import declared, imports_of_nodes
from flowray.plan.pieces import Piece, pieces_of
from flowray.plan.place import needs_of_node, pool_for, terms_of_node, together
from flowray.plan.steps import cuts_of, steps_of
from flowray.plan.types import Fusion, Plan, Pool


def plan(
    flow: Flow,
    *,
    specs: Mapping[str, ComponentSpec] | None = None,
    fusion: Fusion = "auto",
    pools: Sequence[Pool] = (),
) -> Plan:
    """Return the plan of a flow.

    `specs` are known components by the digest of their source; what they do not say, the nodes say themselves. With
    `fusion` none, every node that can be parted from the others is a step of its own. Without `pools` each node gets
    the pool it asks for. `PlanError` when there is no plan; what `check` calls an error may be one.
    """
    nodes = _planned(flow)
    edges = tuple(edge for edge in flow.edges if edge.source in nodes and edge.target in nodes)
    order = _order(flow, nodes, edges)
    known = specs or {}
    pieces = pieces_of(order, edges, list(bonds_of(nodes, edges, known)))
    usual, run_wall_s = said_of_flow(flow)
    terms = {node: terms_of_node(nodes[node], known, usual) for node in nodes}
    imports = imports_of_nodes(nodes.values(), known)
    placed = [_placed(piece, nodes, known, pools, terms, imports) for piece in pieces]
    groups = fused(placed, fusion)
    return Plan(
        flow_digest=digest(flow),
        fusion=fusion,
        steps=steps_of(groups, placed, order, edges),
        edges=edges,
        cuts=cuts_of(groups, placed, edges, fusion),
        outputs=_outputs(nodes, edges),
        usual=(of_all := Terms(**usual)),
        terms={node: own for node, own in terms.items() if own != of_all},
        run_wall_s=run_wall_s,
        packages=_declared(placed, imports, pools),
    )


def _planned(flow: Flow) -> dict[NodeId, Node]:
    """Return the nodes that will run; a tool that nobody uses is left out, as Langflow does."""
    twice = [node for node, count in Counter(node.id for node in flow.nodes).items() if count > 1]
    if twice:
        raise PlanError(f"Several nodes have the id `{clipped(twice[0])}`.")
    if not flow.nodes:
        raise PlanError("The flow has no nodes to run.")
    used = {edge.source for edge in flow.edges if edge.target in flow.by_id}
    return {node.id: node for node in flow.nodes if node.id in used or not node.tool_mode}


def _order(flow: Flow, nodes: Mapping[NodeId, Node], edges: Sequence[Edge]) -> list[NodeId]:
    """Return the nodes in topological order; a loop comes before its body."""
    stuck = endless(flow)
    if stuck:
        names = ", ".join(f"`{clipped(node)}`" for node in stuck[:5])
        raise PlanError(f"{names} wait for each other. Only a Loop component may close a circle.")
    arcs = [(edge.source, edge.target) for edge in edges]
    circle_of = {node: index for index, circle in enumerate(graph.circles(nodes, arcs)) for node in circle}
    loops = {node for node in nodes if is_loop(nodes[node])}
    forward = [
        (source, target)
        for source, target in arcs
        if target not in loops or circle_of.get(source, -1) != circle_of.get(target, -2)
    ]
    return graph.ordered(list(nodes), forward)


def _placed(
    piece: Piece,
    nodes: Mapping[NodeId, Node],
    specs: Mapping[str, ComponentSpec],
    pools: Sequence[Pool],
    terms: Mapping[NodeId, Terms],
    imports: Mapping[NodeId, Imports],
) -> Placed:
    needs = together({node: needs_of_node(nodes[node], specs) for node in piece.nodes})
    if any(terms[node].cache_s for node in piece.nodes):
        # Its results are told from memory, without a sandbox: others would have to run for it.
        needs = replace(needs, alone=True)
    own = {node: imports[node] for node in piece.nodes}
    return Placed(piece=piece, pool=pool_for(needs, pools, own), needs=needs)


def _declared(
    placed: Sequence[Placed], imports: Mapping[NodeId, Imports], pools: Sequence[Pool]
) -> tuple[str, ...] | None:
    used: dict[str, list[Imports]] = {}
    for one in placed:
        used.setdefault(one.pool, []).extend(imports[node] for node in one.piece.nodes)
    return declared(pools, used)


def _outputs(nodes: Mapping[NodeId, Node], edges: Sequence[Edge]) -> tuple[NodeId, ...]:
    """Return the nodes made to answer, or, when there are none, the ones at the end."""
    sources = {edge.source for edge in edges}
    answering = tuple(node for node in nodes if nodes[node].is_output)
    return answering or tuple(node for node in nodes if node not in sources)
