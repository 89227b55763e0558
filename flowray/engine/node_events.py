"""What happens to a node: the part of the closed set of journal events that comes from inside a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Literal

from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId

Decision = Literal["replay", "skip", "ask", "rebuild"]


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
