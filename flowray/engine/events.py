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
Decision = Literal["replay", "skip", "ask", "rebuild"]
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
    """The first event: who asked for what. `flow` is the flow's id, `version` its digest.

    A run that repeats another one names it as its `parent`, and the node that it begins at.
    A run that a step of another one asked for names that as `asked_by`.
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
    """A node's code raised; the step's end follows as StepFailed. `cause` is a provider's trouble, where it was one."""

    node: NodeId
    error: str
    error_type: str = ""
    traceback: str = ""
    cause: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUsed:
    """A node called a model once. The counts are what the provider told; 0 when it told nothing."""

    node: NodeId
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePaused:
    """A node waits: for a decision that its `request` asks for, or for the time `until` (seconds since the epoch).

    `state` is what it wants to be given back when it goes on; nobody else looks at it.
    """

    node: NodeId
    request: Json = None
    until: float | None = None
    state: Ref | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeDecided:
    """What the engine decided about a node of a step that is run again, and why.

    `replay`: it had started and not ended, and is run again. `skip`: it is taken as done. `ask`: a person is asked.
    `rebuild`: it had finished, and is run again because what it gave lives only inside a sandbox.
    """

    node: NodeId
    decision: Decision
    why: str = ""


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


NodeEvent = (
    NodeStarted
    | Token
    | MessageAdded
    | Log
    | ModelUsed
    | NodeFinished
    | NodeFailed
    | NodePaused
    | BranchStopped
    | ContextChanged
)
StepEnd = StepFinished | StepFailed | StepPaused
StepEvent = StepStarted | NodeEvent | ConnectionEnded | StepEnd
RunEvent = RunAccepted | RunStarted | RunPaused | RunResumed | RunTimedOut | CancelRequested | RunFinished
Event = RunEvent | StepQueued | NodeDecided | StepEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """An event with its place in the journal: `seq` counts from 1, `at` is seconds since the epoch."""

    seq: int
    at: float
    run: RunId
    event: Event
