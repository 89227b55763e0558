"""What the engine needs from outside: a place to write the journal, a place for values, and somebody to run steps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Protocol

from flowray.engine.commands import StartStep
from flowray.engine.events import Recorded, RunId, StepEvent
from flowray.engine.traffic import Traffic
from flowray.engine.values import Ref
from flowray.flow.types import Flow, Json, NodeId
from flowray.plan.types import Plan


class Journal(Protocol):
    """The ordered events of runs, each run with its tenant. The engine that drives a run numbers its events."""

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """Add the next events of one run, all or none; the very same events again do no harm.

        `ConflictError` when the journal already has events with these numbers (another engine drives the run), or its
        RunFinished. A run that is leased takes events only with its lease's number (see `fencing` for the errors).
        """

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """Events with seq > after; with `follow`, go on until RunFinished.

        `NotFoundError` when this tenant has no such run.
        """


class Objects(Protocol):
    """Bytes that stay where they are."""

    async def put(self, key: str, data: bytes) -> Ref:
        """Write once; the key is below the store's root."""

    async def get(self, key: str) -> bytes:
        """The bytes; `NotFoundError` when there are none."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Everything a run is about, fixed before it starts.

    `flow` has the caller's tweaks already applied. Without an `input_value` the inputs keep what the flow has saved.
    `variables` are the run's own secrets by name.
    `files` maps the path a component reads to the Ref of its bytes.
    `egress` are allowed hosts ("api.openai.com", "*.x.org", "host:port").
    `traffic` is what the connections of all its steps may use together.
    `packages` are the distributions that its code may import beside what its zygote has preloaded, closed over their
    dependencies and named as Python's packaging tools normalise them (`my-package`); None: all of its image.
    With `record`, what its HTTP clients hear is kept; `tape` is the run whose recordings answer instead of the network.
    `outputs` narrows the nodes that answer; empty means the plan's.
    `priority` counts among the runs of the same tenant only; the higher comes first.
    `asked_by` is the run one of whose steps, `asking_step`, asked for this one; `depth` how many runs are above it.
    `trace` is the W3C `traceparent` of what it is part of, if anybody said so.
    """

    run: RunId
    tenant: str
    flow: Flow
    flow_id: str
    plan: Plan
    session: str
    input_value: str | None = None
    input_type: str = "chat"
    output_type: str = "chat"
    output_component: str = ""
    stream: bool = False
    variables: Mapping[str, str] = _field(default_factory=dict, repr=False)
    files: Mapping[str, Ref] = _field(default_factory=dict)
    egress: tuple[str, ...] = ()
    traffic: Traffic = _field(default_factory=Traffic)
    packages: tuple[str, ...] | None = None
    context: Mapping[str, Json] = _field(default_factory=dict)
    only_nodes: frozenset[NodeId] | None = None
    record: bool = False
    tape: str = ""
    priority: int = 0
    asked_by: str = ""
    asking_step: str = ""
    depth: int = 0
    trace: str = ""


class Steps(Protocol):
    """Runs steps; a failed step is an event, never an exception."""

    def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """Start a step; its events come in batches, StepStarted first, exactly one StepFinished or StepFailed last.

        No batch is empty. Closing the generator cancels the step.
        """
