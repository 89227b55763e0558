"""Random plans: fused and split steps, routers, loops, live objects, and nodes on terms of their own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowray.component.terms import Terms
from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, Step, StepId

_MANY_ATTEMPTS = 20


@dataclass
class Drawing:
    """A plan in the making; nodes come in topological order. `asks` are nodes that pause for a person."""

    nodes: list[NodeId] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    routers: set[NodeId] = field(default_factory=set)
    live: set[NodeId] = field(default_factory=set)
    loops: dict[NodeId, NodeId] = field(default_factory=dict)
    asks: set[NodeId] = field(default_factory=set)
    terms: dict[NodeId, Terms] = field(default_factory=dict)
    glued: set[int] = field(default_factory=set)

    def wire(self, source: NodeId, target: NodeId, output: str = "out", *, feedback: bool = False) -> None:
        """Add a wire; one that carries a live object, or belongs to a loop, keeps what lies between in one step."""
        name = f"{source}.{output}>{target}"
        self.edges.append(Edge(id=name, source=source, output=output, target=target, field="in", feedback=feedback))
        if source in self.live:
            self._glue(source, target)

    def loop(self, rng: random.Random) -> None:
        """Add a loop with a body of one node."""
        loop, body = self._add(), self._add()
        self.loops[loop] = body
        self.wire(loop, body, "item")
        self.wire(body, loop, "out", feedback=True)
        self._glue(loop, body)
        self._feed(loop, rng, but=(loop, body))

    def node(self, rng: random.Random) -> None:
        """Add a node of some kind."""
        node = self._add()
        kind = rng.random()
        if kind < 0.15:
            self.routers.add(node)
        elif kind < 0.3:
            self.live.add(node)
        elif kind < 0.4:
            self.asks.add(node)
        self.terms[node] = _terms(rng, plain=node in self.live)
        self._feed(node, rng, but=(node,))

    def plan(self, rng: random.Random) -> Plan:
        """The plan, cut where the dice say and nothing forbids it."""
        groups: list[list[NodeId]] = []
        for at, node in enumerate(self.nodes):
            if groups and (at in self.glued or rng.random() < 0.6):
                groups[-1].append(node)
            else:
                groups.append([node])
        step_of = {node: StepId(f"s{at}") for at, group in enumerate(groups) for node in group}
        needs: dict[StepId, dict[StepId, None]] = {}
        for edge in self.edges:
            source, target = step_of[edge.source], step_of[edge.target]
            if source != target:
                needs.setdefault(target, {})[source] = None
        steps = tuple(
            Step(id=StepId(f"s{at}"), nodes=tuple(group), needs=tuple(needs.get(StepId(f"s{at}"), ())))
            for at, group in enumerate(groups)
        )
        usual = Terms(attempts=_MANY_ATTEMPTS)
        return Plan(
            flow_digest="drawn", fusion="auto", steps=steps, edges=tuple(self.edges), usual=usual, terms=self.terms
        )

    def _add(self) -> NodeId:
        node = NodeId(f"n{len(self.nodes)}")
        self.nodes.append(node)
        return node

    def _feed(self, node: NodeId, rng: random.Random, *, but: tuple[NodeId, ...]) -> None:
        bodies = set(self.loops.values())
        sources = [other for other in self.nodes if other not in but and other not in bodies]
        for source in rng.sample(sources, min(len(sources), rng.choice((0, 1, 1, 2, 3)))):
            self.wire(source, node, _port(self, source, rng))

    def _glue(self, first: NodeId, last: NodeId) -> None:
        self.glued.update(range(self.nodes.index(first) + 1, self.nodes.index(last) + 1))


def drawn(seed: int, *, most_nodes: int = 14) -> tuple[Drawing, Plan]:
    """A random plan, with what its nodes do."""
    rng = random.Random(seed)  # noqa: S311 - a world from a seed
    drawing = Drawing()
    for _ in range(rng.randint(1, most_nodes)):
        (drawing.loop if rng.random() < 0.12 else drawing.node)(rng)
    return drawing, drawing.plan(rng)


def inputs_of(plan: Plan) -> Mapping[NodeId, tuple[Edge, ...]]:
    """The wires that feed each node, without those that close a loop."""
    feeds: dict[NodeId, list[Edge]] = {}
    for edge in plan.edges:
        if not edge.feedback:
            feeds.setdefault(edge.target, []).append(edge)
    return {node: tuple(edges) for node, edges in feeds.items()}


def _port(drawing: Drawing, source: NodeId, rng: random.Random) -> str:
    if source in drawing.routers:
        return rng.choice(("yes", "no"))
    return "done" if source in drawing.loops else "out"


def _terms(rng: random.Random, *, plain: bool) -> Terms:
    effect = "replay" if plain else rng.choice(("replay", "replay", "replay", "replay", "skip", "ask"))
    wait_s = 60.0 if not plain and rng.random() < 0.08 else 0.0
    return Terms(attempts=_MANY_ATTEMPTS, effect=effect, wait_s=wait_s)  # type: ignore[arg-type] # one of the three
