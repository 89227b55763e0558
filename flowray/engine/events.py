"""What happened: the closed set of journal events.

A run is the ordered list of them, and everything else is a fold over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Literal, NewType

from flowray.engine.node_events import (
    BranchStopped,
    ContextChanged,
    Decision,
    Log,
    MessageAdded,
    ModelUsed,
    NodeDecided,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    Token,
)
from flowray.engine.values import Ref
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId

__all__ = [
    "BranchStopped",
    "CancelRequested",
    "ConnectionEnded",
    "ConnectionVerdict",
    "ContextChanged",
    "Decision",
    "Event",
    "FailureKind",
    "Log",
    "MessageAdded",
    "ModelUsed",
    "NodeDecided",
    "NodeEvent",
    "NodeFailed",
    "NodeFinished",
    "NodePaused",
    "NodeStarted",
    "Recorded",
    "RunAccepted",
    "RunEvent",
    "RunFinished",
    "RunId",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "RunStatus",
    "RunTimedOut",
    "StepEnd",
    "StepEvent",
    "StepFailed",
    "StepFinished",
    "StepPaused",
    "StepQueued",
    "StepStarted",
    "Token",
]

RunId = NewType("RunId", str)
ConnectionVerdict = Literal["allowed", "refused", "failed", "cut"]
RunStatus = Literal["succeeded", "failed", "cancelled"]
FailureKind = Literal[
    "component",  # a node's own code raised
    "value",  # a value cannot travel
    "variable",  # a field names a variable that does not exist
    "crashed",  # the sandbox died: signal or exit code in the message
    "timeout",  # the wall limit
    "memory",  # the memory limit
    "protocol",  # the sandbox broke the frame protocol
    "lost",  # the runner died; the step may have run
    "unavailable",  # no runner took the step; it did not run
    "skipped",  # a node that may not run twice was passed over, and another one needs its value
    "cancelled",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAccepted:
    """The first event: who asked for what. `flow` is the flow's id, `version` its digest.

    A run that repeats another one names it as its `parent`, and the node that it begins at.
    A run that a step of another one asked for names that as `asked_by`. `trace` is the W3C `traceparent` that it is
    part of, if any.
    """

    tenant: str
    flow: str
    flow_name: str
    version: str
    session: str
    request: Ref | None = None
    parent: str = ""
    from_node: str = ""
    asked_by: str = ""
    trace: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """An engine took the run."""

    engine: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepQueued:
    """The engine asked for a runner, to be asked `after_s` seconds from now; until StepStarted nothing has run."""

    step: StepId
    attempt: int = 1
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStarted:
    """A runner handed the step to a sandbox.

    `queued_s` is the wait for its turn and for a spare. `degraded` names the walls that its operator has lowered
    around it.
    """

    step: StepId
    attempt: int
    runner: str
    queued_s: float = 0.0
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionEnded:
    """The gate led a connection out of a step's sandbox, or refused to; `took_ms` is from its start to its end.

    `verdict` is allowed, refused (by a rule), failed (the host could not be reached) or cut (by a cap, or the step's
    end); `reason` says which. `server_name` is the one in the client's TLS greeting.
    """

    step: StepId
    host: str
    port: int
    verdict: ConnectionVerdict
    reason: str = ""
    server_name: str = ""
    up_bytes: int = 0
    down_bytes: int = 0
    took_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildStarted:
    """A step asked for a run of another flow, which has begun: `child`, with a journal of its own."""

    step: StepId
    child: RunId
    flow: str
    flow_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFinished:
    """All nodes of the step that should run have run. `usage` holds cpu_s, max_rss_mib and the like.

    An end counts for its `attempt`, where it names one.
    """

    step: StepId
    took_s: float = 0.0
    usage: Mapping[str, float] = _field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFailed:
    """The step did not end well. `retryable` only when nothing of it has run. `node` is set when one is to blame.

    `cause` is the trouble that a provider had, where it was one. A step is `orphaned` when its engine is gone.
    """

    step: StepId
    kind: FailureKind
    error: str
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""
    retryable: bool = False
    cause: str = ""
    orphaned: bool = False
    attempt: int = 0
    took_s: float = 0.0
    usage: Mapping[str, float] = _field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPaused:
    """All that can run of the step has run; the rest waits for what its NodePaused ask for."""

    step: StepId
    took_s: float = 0.0
    usage: Mapping[str, float] = _field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPaused:
    """Nothing of the run goes on before a decision or a time; no process waits for it.

    `request` is what is asked, of several the first; `until` the first time it has to be woken.
    """

    request: Json = None
    until: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResumed:
    """The decision came, or the time: `node` may go on. `request_id` names the request that was answered."""

    decision: Json = None
    node: NodeId | None = None
    request_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTimedOut:
    """The run took longer than it may."""

    limit_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested:
    """Somebody asked the run to stop."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """The last event. The failure fields are those of the step that failed the run."""

    status: RunStatus
    error: str = ""
    kind: FailureKind | None = None
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""


StepEnd = StepFinished | StepFailed | StepPaused
StepEvent = StepStarted | NodeEvent | ConnectionEnded | ChildStarted | StepEnd
RunEvent = RunAccepted | RunStarted | RunPaused | RunResumed | RunTimedOut | CancelRequested | RunFinished
Event = RunEvent | StepQueued | NodeDecided | StepEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """An event with its place in the journal: `seq` counts from 1, `at` is seconds since the epoch."""

    seq: int
    at: float
    run: RunId
    event: Event
