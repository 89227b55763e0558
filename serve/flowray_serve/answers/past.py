"""What was: audit, messages, and runs in the shapes of Langflow's monitor."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from flowray_serve.answers.page import Page


class AuditPage(TypedDict):
    """Records of what was done, in order."""

    chain: str
    records: list[dict[str, Any]]


class AuditVerified(TypedDict):
    """Whether the chain of records is whole, and if not, where it was changed."""

    chain: str
    whole: bool
    faults: list[Any]


class TransactionRead(TypedDict):
    """What came out of a node, as Langflow's TransactionLogsResponse. What went in is not kept."""

    id: str
    timestamp: str
    vertex_id: str
    target_id: str | None
    inputs: Any
    outputs: Any
    status: str


class TransactionPage(Page):
    """One page of transactions, newest first."""

    items: list[TransactionRead]


class TraceRead(TypedDict):
    """A run, as a list of traces shows it."""

    id: str
    name: str
    status: str
    startTime: str
    totalLatencyMs: int
    totalTokens: int
    flowId: str
    sessionId: str
    input: Any
    output: Any


class TraceWhole(TraceRead):
    """A run with a span for each node."""

    endTime: str | None
    spans: list[dict[str, Any]]


class TraceList(TypedDict):
    """The latest runs, as traces."""

    traces: list[TraceRead]
    total: int
    pages: int


class BuildList(TypedDict):
    """The latest build of each node of a flow."""

    vertex_builds: dict[str, list[dict[str, Any]]]


class JobQueue(TypedDict):
    """How many of the tenant's runs are under way."""

    backend: str
    active_jobs: int


class BuildJob(TypedDict):
    """The run of a canvas that is built."""

    job_id: str


class BuildCancelled(TypedDict):
    """Whether a build was cancelled."""

    success: bool
    message: str
