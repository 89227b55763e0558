"""What a plan says about order, turned round: who waits for a step, what it reads, what a node leads to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, StepId

NodeSet = int
"""Nodes as the bits of an integer, in the plan's order: 5,000 of them are 625 bytes, and a union is one operation."""
StepSet = int
"""Steps, likewise."""


@dataclass(frozen=True)
class Wiring:
    """Lookups over one plan, each made when it is first needed."""

    plan: Plan

    @cached_property
    def waiting_for(self) -> Mapping[StepId, tuple[StepId, ...]]:
        """The steps that need each step."""
        waiting: dict[StepId, list[StepId]] = {step.id: [] for step in self.plan.steps}
        for step in self.plan.steps:
            for needed in dict.fromkeys(step.needs):
                waiting[needed].append(step.id)
        return {step: tuple(others) for step, others in waiting.items()}

    def beside(self, step: StepId) -> StepSet:
        """The steps that come neither before nor after a step: they may run while it does."""
        return self._all_steps & ~(self._steps_after[step] | self._steps_before[step])

    def steps_set_of(self, steps: Iterable[StepId]) -> StepSet:
        """These steps as a set."""
        bits = 0
        for step in steps:
            bits |= self._step_bit[step]
        return bits

    @cached_property
    def reads(self) -> Mapping[StepId, tuple[Edge, ...]]:
        """The edges by which each step reads another's values."""
        reads: dict[StepId, list[Edge]] = {}
        step_of = self.plan.step_of
        for edge in self.plan.edges:
            source, target = step_of.get(edge.source), step_of.get(edge.target)
            if target is not None and source not in (None, target) and not edge.feedback:
                reads.setdefault(target, []).append(edge)
        return {step: tuple(edges) for step, edges in reads.items()}

    @cached_property
    def inside(self) -> Mapping[StepId, tuple[Edge, ...]]:
        """The edges within each step, without those that close a loop."""
        inside: dict[StepId, list[Edge]] = {}
        step_of = self.plan.step_of
        for edge in self.plan.edges:
            source, target = step_of.get(edge.source), step_of.get(edge.target)
            if target is not None and source == target and not edge.feedback:
                inside.setdefault(target, []).append(edge)
        return {step: tuple(edges) for step, edges in inside.items()}

    @cached_property
    def loops_around(self) -> Mapping[NodeId, frozenset[NodeId]]:
        """The loops whose circle each node is part of, a loop being part of its own."""
        around: dict[NodeId, set[NodeId]] = {}
        for loop, ends in self._ends.items():
            after = self._reach[loop]
            for node, bit in self._bit.items():
                if after & bit and self._reach[node] & ends:
                    around.setdefault(node, set()).add(loop)
        return {node: frozenset(loops) for node, loops in around.items()}

    @cached_property
    def sleepers(self) -> NodeSet:
        """The nodes before which some time has to pass."""
        return self.set_of(node for node in self.plan.step_of if self.plan.terms_of(node).wait_s > 0)

    def downstream(self, nodes: Iterable[NodeId]) -> NodeSet:
        """These nodes and everything that hangs on them."""
        bits = 0
        for node in nodes:
            bits |= self._reach[node]
        return bits

    def behind(self, source: NodeId, outputs: Collection[str]) -> NodeSet:
        """The nodes that stop when `source` closes these outputs.

        As in lfx: everything downstream of them, except what another output of the same node also reaches
        (where branches merge again, the open one feeds the merge).
        """
        closed = still_open = 0
        for output, target in self._leads_to.get(source, ()):
            if output in outputs:
                closed |= self._reach[target]
            else:
                still_open |= self._reach[target]
        return closed & ~still_open

    def set_of(self, nodes: Iterable[NodeId]) -> NodeSet:
        """These nodes as a set."""
        bits = 0
        for node in nodes:
            bits |= self._bit[node]
        return bits

    def among(self, step: StepId, nodes: NodeSet) -> frozenset[NodeId]:
        """Those nodes of a step that are in the set."""
        return frozenset(node for node in self.plan.by_id[step].nodes if nodes & self._bit[node])

    @cached_property
    def _step_bit(self) -> dict[StepId, StepSet]:
        return {step.id: 1 << at for at, step in enumerate(self.plan.steps)}

    @cached_property
    def _all_steps(self) -> StepSet:
        return (1 << len(self.plan.steps)) - 1

    @cached_property
    def _steps_before(self) -> Mapping[StepId, StepSet]:
        """Each step with all that it needs; steps come in topological order."""
        before = dict(self._step_bit)
        for step in self.plan.steps:
            for needed in step.needs:
                before[step.id] |= before[needed]
        return before

    @cached_property
    def _steps_after(self) -> Mapping[StepId, StepSet]:
        after = dict(self._step_bit)
        for step in reversed(self.plan.steps):
            for needed in step.needs:
                after[needed] |= after[step.id]
        return after

    @cached_property
    def _bit(self) -> dict[NodeId, NodeSet]:
        return {node: 1 << at for at, node in enumerate(self.plan.step_of)}

    @cached_property
    def _ends(self) -> Mapping[NodeId, NodeSet]:
        """Each loop with the nodes whose feedback wires close its circle."""
        ends: dict[NodeId, NodeSet] = {}
        for edge in self.plan.edges:
            if edge.feedback and edge.source in self._bit and edge.target in self._bit:
                ends[edge.target] = ends.get(edge.target, 0) | self._bit[edge.source]
        return ends

    @cached_property
    def _leads_to(self) -> Mapping[NodeId, list[tuple[str, NodeId]]]:
        """Feedback wires lead nowhere: a loop runs its body as a flow of its own."""
        leads: dict[NodeId, list[tuple[str, NodeId]]] = {}
        for edge in self.plan.edges:
            if not edge.feedback and edge.source in self._bit and edge.target in self._bit:
                leads.setdefault(edge.source, []).append((edge.output, edge.target))
        return leads

    @cached_property
    def _reach(self) -> Mapping[NodeId, NodeSet]:
        """Each node with everything downstream of it; steps and their nodes come in topological order."""
        reach = dict(self._bit)
        for node in reversed(self._bit):
            for _, target in self._leads_to.get(node, ()):
                reach[node] |= reach[target]
        return reach
