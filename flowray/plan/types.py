"""What will run: a Plan of Steps, each step one or more nodes that share one sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from functools import cached_property
from typing import Literal, NewType

from flowray.component.spec import Needs
from flowray.component.stock import Stock
from flowray.component.terms import USUAL, Terms
from flowray.flow.types import Edge, NodeId

StepId = NewType("StepId", str)
Fusion = Literal["auto", "none"]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A kind of Runner, and what one of them has: `memory_mib` in MiB, `gpu` in devices, `stock` in its image.

    None means nobody said.
    `tenants` are whom it is for; empty is all.
    """

    name: str
    cpu: float | None = None
    memory_mib: int | None = None
    gpu: float = 0.0
    stock: Stock | None = None
    tenants: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A border between two steps: the edge that crosses it, and why it is there."""

    source: StepId
    target: StepId
    edge: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """Nodes that run together, in topological order.

    `needs` are the steps whose values this one reads. `joined_because` says why its nodes may not be parted, or were
    fused.
    """

    id: StepId
    nodes: tuple[NodeId, ...]
    needs: tuple[StepId, ...] = ()
    pool: str = "default"
    resources: Needs = _field(default_factory=Needs)
    joined_because: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A DAG of steps in topological order, with the flow's edges and the reasons for every cut.

    `flow_digest` names the flow version it was made from. `outputs` are the nodes whose results answer the caller.
    `terms` are those of nodes that differ from `usual`, which hold for all others; a run may take `run_wall_s` seconds.
    `packages` are the distributions that its nodes may import beside those of the default image; None: all there are.
    """

    flow_digest: str
    fusion: Fusion
    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    cuts: tuple[Cut, ...] = ()
    outputs: tuple[NodeId, ...] = ()
    usual: Terms = USUAL
    terms: Mapping[NodeId, Terms] = _field(default_factory=dict)
    run_wall_s: float | None = None
    packages: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The table that `flowray plan` prints."""
        from flowray.plan.show import as_table

        return as_table(self)

    def terms_of(self, node: NodeId) -> Terms:
        """The terms that a node runs on."""
        return self.terms.get(node, self.usual)

    @cached_property
    def cautious(self) -> frozenset[NodeId]:
        """The nodes that must not run twice unasked: their start is on record before they begin."""
        return frozenset(node for node in self.step_of if self.terms_of(node).effect != "replay")

    @cached_property
    def by_id(self) -> Mapping[StepId, Step]:
        """The steps by their id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def step_of(self) -> Mapping[NodeId, StepId]:
        """The step that runs each node."""
        return {node: step.id for step in self.steps for node in step.nodes}
