"""Circles in a flow: one that passes through a loop is its body, any other could never start."""

from __future__ import annotations

from collections import defaultdict

from flowray.flow.types import Flow, Node, NodeId


def is_loop(node: Node) -> bool:
    """Tell whether the node may close a circle."""
    return any(output.allows_loop for output in node.outputs)


def endless(flow: Flow) -> tuple[NodeId, ...]:
    """Return the nodes of a circle that no loop closes, in order; empty when there is none."""
    before: dict[NodeId, set[NodeId]] = defaultdict(set)
    after: dict[NodeId, set[NodeId]] = defaultdict(set)
    loops = {node.id for node in flow.nodes if is_loop(node)}
    for edge in flow.edges:
        # A loop may wait for its own body; so what leads into a loop never holds anything up for good.
        if edge.target not in loops and edge.source in flow.by_id and edge.target in flow.by_id:
            before[edge.target].add(edge.source)
            after[edge.source].add(edge.target)
    ready = [node for node in flow.by_id if not before[node]]
    while ready:
        done = ready.pop()
        for node in after[done]:
            before[node].discard(done)
            if not before[node]:
                ready.append(node)
    return _walked(before)


def _walked(before: dict[NodeId, set[NodeId]]) -> tuple[NodeId, ...]:
    """Walk backwards from a node that never became ready until one comes again."""
    node = next((node for node, waits in before.items() if waits), None)
    path: dict[NodeId, None] = {}
    while node is not None and node not in path:
        path[node] = None
        node = min(before[node])
    if node is None:
        return ()
    walked = list(path)
    return tuple(reversed(walked[walked.index(node) :]))
