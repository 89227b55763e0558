"""Write down what was fused: the steps, what each reads, and the reason for every border between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowray.component.spec import Needs
from flowray.flow.types import Edge, NodeId
from flowray.plan.fuse import Fused, Placed
from flowray.plan.place import said, together
from flowray.plan.types import Cut, Fusion, Step, StepId

_FUSED = "cheap neighbours: a hop would cost more than it buys"


def steps_of(
    groups: Sequence[Fused], placed: Sequence[Placed], order: Sequence[NodeId], edges: Sequence[Edge]
) -> tuple[Step, ...]:
    """Return the steps, their nodes in topological order (`order`)."""
    step_of = _step_of(groups, placed)
    nodes: list[list[NodeId]] = [[] for _ in groups]
    for node in order:
        nodes[step_of[node]].append(node)
    needs: list[set[int]] = [set() for _ in groups]
    for edge in edges:
        needs[step_of[edge.target]].add(step_of[edge.source])
    return tuple(
        Step(
            id=_name(index),
            nodes=tuple(nodes[index]),
            needs=tuple(_name(source) for source in sorted(needs[index] - {index})),
            pool=placed[group.pieces[0]].pool,
            resources=_resources([placed[piece] for piece in group.pieces]),
            joined_because=_why([placed[piece] for piece in group.pieces]),
        )
        for index, group in enumerate(groups)
    )


def cuts_of(
    groups: Sequence[Fused], placed: Sequence[Placed], edges: Sequence[Edge], fusion: Fusion
) -> tuple[Cut, ...]:
    """Return the borders that the flow's edges cross."""
    step_of = _step_of(groups, placed)
    return tuple(
        Cut(
            source=_name(source),
            target=_name(target),
            edge=edge.id,
            reason=_reason(edge, groups[source], groups[target], placed, fusion),
        )
        for edge in edges
        if (source := step_of[edge.source]) != (target := step_of[edge.target])
    )


def _reason(edge: Edge, source: Fused, target: Fused, placed: Sequence[Placed], fusion: Fusion) -> str:
    if fusion == "none":
        return "without fusion, every node that can be parted is a step of its own"
    here, there = placed[source.pieces[0]], placed[target.pieces[0]]
    if here.pool != there.pool:
        return f"`{edge.target}` runs in pool `{there.pool}`, `{edge.source}` in pool `{here.pool}`"
    if here.place != there.place:
        return f"`{edge.target}` needs {said(there.needs)}, `{edge.source}` {said(here.needs)}"
    return _asked(edge, source, target) or _beside(source, target, placed) or _waiting(edge, source, target)


def _asked(edge: Edge, source: Fused, target: Fused) -> str | None:
    for step, node in ((target, edge.target), (source, edge.source)):
        if step.alone:
            return f"`{node}` runs alone: it asks for that, or its results may be used again"
    return None


def _beside(source: Fused, target: Fused, placed: Sequence[Placed]) -> str | None:
    for step in (target, source):
        if step.beside is not None:
            heavy, other = placed[step.pieces[0]].piece.nodes[0], placed[step.beside].piece.nodes[0]
            return f"`{heavy}` is heavy and runs beside `{other}`"
    return None


def _waiting(edge: Edge, source: Fused, target: Fused) -> str:
    if source.leads != target.leads:
        return f"what waits for `{edge.source}` need not wait for `{edge.target}`"
    return f"`{edge.target}` waits for steps that run side by side"


def _why(parts: Sequence[Placed]) -> tuple[str, ...]:
    reasons = [reason for part in parts for reason in part.piece.reasons]
    return tuple(dict.fromkeys([*reasons, _FUSED] if len(parts) > 1 else reasons))


def _resources(parts: Sequence[Placed]) -> Needs:
    return together({part.piece.nodes[0]: part.needs for part in parts})


def _step_of(groups: Sequence[Fused], placed: Sequence[Placed]) -> Mapping[NodeId, int]:
    return {
        node: index
        for index, group in enumerate(groups)
        for piece in group.pieces
        for node in placed[piece].piece.nodes
    }


def _name(index: int) -> StepId:
    return StepId(f"s{index + 1}")
