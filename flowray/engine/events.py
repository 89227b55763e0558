"""What happened: the closed set of journal events.

A run is the ordered list of them, and everything else is a fold over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Literal, NewType

from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId

RunId = NewType("RunId", str)
ConnectionVerdict = Literal["allowed", "refused", "failed", "cut"]
RunStatus = Literal["succeeded", "failed", "cancelled"]
FailureKind = Literal[
    "component",  # a node's own code raised
    "value",  # a value cannot travel
    "crashed",  # the sandbox died: signal or exit code in the message
    "timeout",  # the wall limit
    "memory",  # the memory limit
    "protocol",  # the sandbox broke the frame protocol
    "lost",  # the runner died; the step may have run
    "unavailable",  # no runner took the step; it did not run
    "cancelled",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAccepted:
    """The first event: who asked for what. `flow` is the flow's id, `version` its digest."""

    tenant: str
    flow: str
    flow_name: str
    version: str
    session: str
    request: Ref | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """An engine took the run."""

    engine: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepQueued:
    """The engine asked for a runner; from here until StepStarted nothing of the step has run."""

    step: StepId
    attempt: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStarted:
    """A runner handed the step to a sandbox; from here on it is at-most-once.

    `queued_s` is the wait for a spare. `degraded` names the walls that its operator has lowered around it.
    """

    step: StepId
    attempt: int
    runner: str
    queued_s: float = 0.0
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeStarted:
    """A node began to run, `after_s` seconds after its step did.

    Events travel in batches, and their own time is the batch's.
    """

    node: NodeId
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A piece of streamed text; `message` is the id of the message it belongs to."""

    node: NodeId
    text: str
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageAdded:
    """A chat message came to be or changed (Langflow's `add_message`).

    `message` is its JSON dump; of a large one it is None, and `message_ref` says where the JSON text is.
    """

    node: NodeId
    message: Json
    message_ref: Ref | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A line a node logged or printed. `stream` is log, stdout or stderr; `node` is empty when no node is known."""

    node: NodeId
    text: str
    stream: str = "log"
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFinished:
    """A node is done: its outputs by port name, Langflow's ResultData dump as `result`, and what it used.

    Of a large result `result` is None, and `result_ref` says where the JSON text is.
    """

    node: NodeId
    outputs: Mapping[str, Value]
    result: Json = None
    result_ref: Ref | None = None
    took_s: float = 0.0
    usage: Mapping[str, int] = _field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFailed:
    """A node's code raised; the step's end follows as StepFailed."""

    node: NodeId
    error: str
    error_type: str = ""
    traceback: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BranchStopped:
    """A node closed what hangs on one of its outputs.

    `nodes` are the nodes it stopped. `lasting` branches stay closed for the whole run (a router's exclusion),
    others reopen once their source has completed.
    """

    node: NodeId
    output: str
    nodes: tuple[NodeId, ...]
    lasting: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextChanged:
    """A node wrote to the flow's shared context; only typed JSON travels."""

    node: NodeId
    values: Mapping[str, Json]


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
class StepFinished:
    """All nodes of the step that should run have run. `usage` holds cpu_s, max_rss_mib and the like."""

    step: StepId
    took_s: float = 0.0
    usage: Mapping[str, float] = _field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFailed:
    """The step did not end well. `retryable` only when nothing of it has run. `node` is set when one is to blame."""

    step: StepId
    kind: FailureKind
    error: str
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""
    retryable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPaused:
    """A node asked for a decision from outside."""

    request: Json


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResumed:
    """The decision came."""

    decision: Json


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


NodeEvent = NodeStarted | Token | MessageAdded | Log | NodeFinished | NodeFailed | BranchStopped | ContextChanged
StepEvent = StepStarted | NodeEvent | ConnectionEnded | StepFinished | StepFailed
Event = RunAccepted | RunStarted | StepQueued | StepEvent | RunPaused | RunResumed | CancelRequested | RunFinished


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """An event with its place in the journal: `seq` counts from 1, `at` is seconds since the epoch."""

    seq: int
    at: float
    run: RunId
    event: Event
