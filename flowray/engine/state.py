"""Where a run stands: everything `advance` needs to know, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as _field

from flowray.engine.commands import FinishRun, StartStep
from flowray.engine.growing import Growing
from flowray.engine.values import Value
from flowray.engine.wiring import NodeSet, Wiring
from flowray.flow.types import Json, NodeId
from flowray.plan.types import Plan, StepId


@dataclass(frozen=True, slots=True)
class Waiting:
    """Some of the steps it needs are not over yet; `needs_left` counts them."""

    needs_left: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A runner was asked for; nothing of the step has run."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Started:
    """In a sandbox: from here on the step is at-most-once."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Over:
    """Finished, or skipped because all its nodes are closed."""


Phase = Waiting | Asked | Started | Over


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A run between two events.

    `closed` are nodes that will not run. `stopped` are the outputs that nodes of a running step have closed so far:
    they take effect when the step is over, since a node in a loop decides anew each time it runs.
    `verdict` is set once the run has been decided, and nothing changes after that.
    """

    wiring: Wiring
    begun: bool = False
    steps: Growing[StepId, Phase]
    steps_left: int
    closed: NodeSet = 0
    outputs: Growing[NodeId, Mapping[str, Value]] = _field(default_factory=Growing)
    stopped: Growing[NodeId, frozenset[str]] = _field(default_factory=Growing)
    context: Growing[str, Json] = _field(default_factory=Growing)
    verdict: FinishRun | None = None

    @classmethod
    def start(
        cls, plan: Plan, *, only_nodes: frozenset[NodeId] | None = None, context: Mapping[str, Json] | None = None
    ) -> State:
        """Nothing has happened yet. With `only_nodes`, the others never run."""
        steps: dict[StepId, Phase] = {step.id: Waiting(len(set(step.needs))) for step in plan.steps}
        wiring = Wiring(plan)
        kept_out = () if only_nodes is None else (node for node in plan.step_of if node not in only_nodes)
        return cls(
            wiring=wiring,
            steps=Growing((steps,)),
            steps_left=len(steps),
            closed=wiring.set_of(kept_out),
            context=Growing[str, Json]().with_(context or {}),
        )

    @property
    def running(self) -> tuple[StepId, ...]:
        """Steps that were asked for or have started, in the plan's order."""
        return tuple(step.id for step in self.wiring.plan.steps if isinstance(self.steps[step.id], Asked | Started))

    @property
    def started(self) -> tuple[StepId, ...]:
        """Steps in a sandbox, in the plan's order."""
        return tuple(step for step in self.running if isinstance(self.steps[step], Started))

    def is_closed(self, step: StepId) -> bool:
        """Whether none of the step's nodes will run."""
        nodes = self.wiring.plan.by_id[step].nodes
        return self.closed != 0 and len(self.wiring.among(step, self.closed)) == len(nodes)

    def with_phase(self, step: StepId, phase: Phase) -> State:
        """The same run with one step further."""
        return replace(self, steps=self.steps.with_({step: phase}))

    def start_of(self, step: StepId, attempt: int) -> StartStep:
        """The command that runs a step with what is known now."""
        skip = self.wiring.among(step, self.closed) if self.closed else frozenset()
        upstream: dict[NodeId, dict[str, Value]] = {}
        for edge in self.wiring.reads.get(step, ()):
            value = self.outputs.get(edge.source, {}).get(edge.output)
            if value is not None and edge.target not in skip:
                upstream.setdefault(edge.source, {})[edge.output] = value
        return StartStep(step=step, attempt=attempt, upstream=upstream, skip=skip, context=dict(self.context))
