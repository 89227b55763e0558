"""What to do next: the closed set of commands that `advance` answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field

from flowray.engine.events import FailureKind, RunStatus
from flowray.engine.values import Value
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId


@dataclass(frozen=True, kw_only=True)
class StartStep:
    """Run a step.

    `upstream` holds the finished outputs it reads, by node and port; `skip` its nodes on closed branches.
    """

    step: StepId
    attempt: int = 1
    upstream: Mapping[NodeId, Mapping[str, Value]] = _field(default_factory=dict)
    skip: frozenset[NodeId] = frozenset()
    context: Mapping[str, Json] = _field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """Cancel a running step."""

    step: StepId


@dataclass(frozen=True, kw_only=True)
class FinishRun:
    """The run is over: record it."""

    status: RunStatus
    error: str = ""
    kind: FailureKind | None = None
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""


Command = StartStep | StopStep | FinishRun
