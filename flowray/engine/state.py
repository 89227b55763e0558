"""Where a run stands: everything `advance` needs to know, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as _field

from flowray.engine.commands import FinishRun
from flowray.engine.growing import Growing
from flowray.engine.traffic import Purse, Traffic
from flowray.engine.values import Ref, Value
from flowray.engine.wiring import NodeSet, Wiring
from flowray.flow.types import Json, NodeId
from flowray.plan.types import Plan, StepId


@dataclass(frozen=True, slots=True)
class Waiting:
    """Some of the steps it needs are not over yet; `needs_left` counts them."""

    needs_left: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A runner was asked for; `unstarted` attempts found none. The nodes `later` are left out for now."""

    attempt: int
    unstarted: int = 0
    later: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Started:
    """In a sandbox."""

    attempt: int
    later: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Paused:
    """What is left of it waits for a decision or a time."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Over:
    """Finished, or skipped because all its nodes are closed."""


Phase = Waiting | Asked | Started | Paused | Over


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A run between two events.

    `closed` are nodes that will not run; `passed` those that count as done without a value. `stopped` are the outputs
    that nodes of a running step have closed so far: they take effect when the step is over, since a node in a loop
    decides anew each time it runs. `at_work` holds each node that has ever started, and whether it is running (None:
    it paused, or a person has said that it may run again, so that nothing speaks against it);
    `tries` counts failures by node, or by step when no node is to blame. `asked` are the requests of paused nodes (None
    once answered), `answers` the decisions by request, `woken` the nodes that have waited enough.
    `unfed` are the fields that have no value but what a wire brings.
    `purse` is what its connections may still use; None: it may have none.
    `verdict` is set once the run has been decided, and nothing changes after that. `seed` makes its jitter its own.
    """

    wiring: Wiring
    seed: str = ""
    begun: bool = False
    steps: Growing[StepId, Phase]
    steps_left: int
    closed: NodeSet = 0
    passed: NodeSet = 0
    outputs: Growing[NodeId, Mapping[str, Value]] = _field(default_factory=Growing)
    stopped: Growing[NodeId, frozenset[str]] = _field(default_factory=Growing)
    context: Growing[str, Json] = _field(default_factory=Growing)
    at_work: Growing[NodeId, bool | None] = _field(default_factory=Growing)
    tries: Growing[str, int] = _field(default_factory=Growing)
    asked: Growing[NodeId, Json] = _field(default_factory=Growing)
    answers: Growing[str, Json] = _field(default_factory=Growing)
    states: Growing[NodeId, Ref] = _field(default_factory=Growing)
    woken: frozenset[NodeId] = frozenset()
    paused: frozenset[StepId] = frozenset()
    unfed: frozenset[tuple[NodeId, str]] = frozenset()
    purse: Purse | None = None
    verdict: FinishRun | None = None

    @classmethod
    def start(
        cls,
        plan: Plan,
        *,
        only_nodes: frozenset[NodeId] | None = None,
        context: Mapping[str, Json] | None = None,
        seed: str = "",
        traffic: Traffic | None = None,
        unfed: frozenset[tuple[NodeId, str]] = frozenset(),
    ) -> State:
        """Nothing has happened yet. With `only_nodes`, the others never run."""
        steps: dict[StepId, Phase] = {step.id: Waiting(len(set(step.needs))) for step in plan.steps}
        wiring = Wiring(plan)
        kept_out = () if only_nodes is None else (node for node in plan.step_of if node not in only_nodes)
        return cls(
            wiring=wiring,
            seed=seed,
            steps=Growing((steps,)),
            steps_left=len(steps),
            closed=wiring.set_of(kept_out),
            context=Growing[str, Json]().with_(context or {}),
            unfed=unfed,
            purse=None if traffic is None else Purse(left=traffic),
        )

    @property
    def running(self) -> tuple[StepId, ...]:
        """Steps that were asked for or have started, in the plan's order."""
        return tuple(step.id for step in self.wiring.plan.steps if isinstance(self.steps[step.id], Asked | Started))

    @property
    def started(self) -> tuple[StepId, ...]:
        """Steps in a sandbox, in the plan's order."""
        return tuple(step for step in self.running if isinstance(self.steps[step], Started))

    @property
    def questions(self) -> Mapping[NodeId, Mapping[str, Json]]:
        """What people are asked and have not answered yet, by node."""
        return {node: asked for node, asked in self.asked.items() if asked is not None and asked.keys() != {"until"}}

    @property
    def alarms(self) -> Mapping[NodeId, float]:
        """When nodes that wait for a time are to be woken, in seconds since the epoch."""
        return {node: asked["until"] for node, asked in self.asked.items() if asked and asked.keys() == {"until"}}

    def is_closed(self, step: StepId) -> bool:
        """Whether none of the step's nodes will run."""
        nodes = self.wiring.plan.by_id[step].nodes
        out = self.closed | self.passed
        return out != 0 and len(self.wiring.among(step, out)) == len(nodes)

    def with_phase(self, step: StepId, phase: Phase) -> State:
        """The same run with one step further."""
        paused = self.paused
        if isinstance(phase, Paused):
            paused |= {step}
        elif step in paused:
            paused -= {step}
        return replace(self, steps=self.steps.with_({step: phase}), paused=paused)
