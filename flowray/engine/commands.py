"""What to do next: the closed set of commands that `advance` answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field

from flowray.engine.events import Decision, FailureKind, RunFinished, RunStatus, StepFailed
from flowray.engine.traffic import Traffic
from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId


@dataclass(frozen=True, kw_only=True)
class StartStep:
    """Run a step.

    `upstream` holds the finished outputs it reads, by node and port, also those of its own nodes that are `done`
    already; `skip` are its nodes on closed branches, `later` those that wait for something. It starts `after_s` seconds
    from now. `answers` are decisions of people by the request they answer, `states` what paused nodes get back.
    `traffic` is what its connections may use, of what the run may; None: nothing was said of that.
    `cpu_weight` is what its processes weigh against other steps' on the same machine; 100 is a step that runs alone.
    A step in a `lent` turn runs in place of the one that waits for its run, also where all room is taken.
    """

    step: StepId
    attempt: int = 1
    after_s: float = 0.0
    done: frozenset[NodeId] = frozenset()
    later: frozenset[NodeId] = frozenset()
    answers: Mapping[str, Json] = _field(default_factory=dict)
    states: Mapping[NodeId, Ref] = _field(default_factory=dict)
    upstream: Mapping[NodeId, Mapping[str, Value]] = _field(default_factory=dict)
    skip: frozenset[NodeId] = frozenset()
    context: Mapping[str, Json] = _field(default_factory=dict)
    traffic: Traffic | None = None
    cpu_weight: int = 100
    lent: bool = False


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """Cancel a running step."""

    step: StepId


@dataclass(frozen=True, kw_only=True)
class NoteDecision:
    """Record what was decided about a node of a step that is run again."""

    node: NodeId
    decision: Decision
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class PauseNode:
    """Record that a node waits: for a decision, or for `wait_s` seconds from now."""

    node: NodeId
    request: Json = None
    wait_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class PauseRun:
    """Nothing goes on before somebody decides, or before a time: let the run go."""


@dataclass(frozen=True, kw_only=True)
class FinishRun:
    """The run is over: record it."""

    status: RunStatus
    error: str = ""
    kind: FailureKind | None = None
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""

    @classmethod
    def of(cls, event: RunFinished | StepFailed) -> FinishRun:
        """The verdict that a journal's last event records, or that a failed step leads to."""
        status = event.status if isinstance(event, RunFinished) else "failed"
        return cls(status=status, **{name: getattr(event, name) for name in _FAILURE})

    def as_event(self) -> RunFinished:
        """The event that records it."""
        return RunFinished(status=self.status, **{name: getattr(self, name) for name in _FAILURE})


_FAILURE = ("error", "kind", "node", "error_type", "traceback")
Command = StartStep | StopStep | NoteDecision | PauseNode | PauseRun | FinishRun
