"""Runs: what they answer, how they went, what they wait for."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class RunOutputs(TypedDict):
    """What came of one input: a ResultData, as Langflow has it, of each node that answers."""

    inputs: dict[str, Any]
    outputs: list[Any]


class RunAnswer(TypedDict):
    """A run's answer, as Langflow's RunResponse."""

    session_id: str
    outputs: list[RunOutputs]


class JobLinks(TypedDict):
    """Where to ask about a job."""

    status: str
    events: str
    stop: str


class RunParent(TypedDict):
    """The run that one repeats, and the node from which."""

    run: str
    from_node: NotRequired[str]


class Job(TypedDict):
    """A run in the background, as Langflow's WorkflowJobResponse."""

    job_id: str
    flow_id: str
    object: Literal["job"]
    status: str
    links: JobLinks
    errors: list[Any]
    globals: dict[str, Any]
    created_timestamp: NotRequired[str]
    session_id: NotRequired[str | None]
    human_request: NotRequired[Any]
    parent: NotRequired[RunParent]


class JobSaid(TypedDict):
    """What became of a request to stop a job."""

    job_id: str
    message: str


class WorkflowAnswer(TypedDict):
    """A run's answer, as Langflow's WorkflowExecutionResponse."""

    flow_id: str
    session_id: str | None
    job_id: str
    object: Literal["response"]
    created_timestamp: str
    status: str
    output: dict[str, Any]
    errors: list[dict[str, Any]]
    warnings: list[Any]
    inputs: Any
    globals: Any
    outputs: dict[str, Any]
    human_request: Any
    has_errors: bool


class PendingPause(TypedDict):
    """What a paused run asks people."""

    job_id: str
    flow_id: str
    session_id: str
    created_at: str
    request_id: str | None
    kind: str | None
    prompt: str | None
    options: list[Any]
    allowed_decisions: list[Any]
    node: str


class Resumed(TypedDict):
    """An answer to a paused run was taken."""

    job_id: str
    status: str
    message: str


class RunFlow(TypedDict):
    """Which version of which flow ran."""

    id: str
    name: str
    version: str


class RunInShort(TypedDict):
    """A run of a list. Times are seconds since the epoch."""

    id: str
    status: str
    flow: RunFlow
    session: str
    accepted_at: float
    error: dict[str, Any] | None
    asked_by: NotRequired[str]
    finished_at: NotRequired[float]
    took_s: NotRequired[float]


class RunList(TypedDict):
    """Runs, newest first."""

    runs: list[RunInShort]


class StepStory(TypedDict):
    """A step of a run: its latest attempt, with those before in `earlier`."""

    step: str
    status: str
    attempt: NotRequired[int]
    queued_at: NotRequired[float]
    after_s: NotRequired[float]
    runner: NotRequired[str]
    queued_s: NotRequired[float]
    started_at: NotRequired[float]
    finished_at: NotRequired[float]
    took_s: NotRequired[float]
    usage: NotRequired[dict[str, Any]]
    error: NotRequired[str]
    kind: NotRequired[str]
    degraded: NotRequired[list[str]]
    earlier: NotRequired[list[dict[str, Any]]]


class NodeStory(TypedDict):
    """A node of a run. With `step` and `runner` where the whole run is told."""

    node: str
    status: NotRequired[str]
    runs: NotRequired[int]
    step: NotRequired[str | None]
    runner: NotRequired[str | None]
    queued_s: NotRequired[float | None]
    started_at: NotRequired[float | None]
    finished_at: NotRequired[float]
    after_s: NotRequired[float]
    took_s: NotRequired[float]
    cached: NotRequired[bool]
    usage: NotRequired[dict[str, Any]]
    error: NotRequired[str]
    error_type: NotRequired[str]
    until: NotRequired[float | None]
    request: NotRequired[Any]
    decision: NotRequired[Any]
    decided_because: NotRequired[str]


class RunStory(RunInShort):
    """All that a run's journal says of it: its steps, and when each node ran where."""

    last_seq: int
    steps: list[StepStory]
    nodes: list[NodeStory]
    connections: list[dict[str, Any]]
    children: list[dict[str, Any]]
    engine: NotRequired[str]
    started_at: NotRequired[float]
    parent: NotRequired[RunParent]
    human_request: NotRequired[Any]
    until: NotRequired[float | None]
    degraded: NotRequired[list[str]]


class NodeDifference(TypedDict):
    """What a node came to in the other run, and in this one."""

    node: str
    before: Any
    now: Any


class RunDifferences(TypedDict):
    """The nodes that came to something else than in the other run."""

    run: str
    other: str
    differences: list[NodeDifference]


class DeadLetterRead(TypedDict):
    """A background run that failed for good, or a callback or notice that nobody took. `at` is since the epoch."""

    id: str
    run: str
    what: str
    flow: str
    flow_name: str
    kind: str
    reason: str
    at: float
    node: str


class DeadLetterList(TypedDict):
    """What was given up, newest first."""

    dead_letters: list[DeadLetterRead]


class RedrivenOne(TypedDict):
    """A dead letter with the run that it has become, or why it could not."""

    id: str
    run: NotRequired[str]
    error: NotRequired[str]


class Redriven(TypedDict):
    """What came of dead letters that were driven again."""

    redriven: list[RedrivenOne]


class AdvancedAnswer(TypedDict):
    """What came of several inputs, as Langflow's RunResponse."""

    session_id: str
    outputs: list[dict[str, Any]]


class Taken(TypedDict):
    """A webhook's run was taken."""

    message: str
    status: str


class CallbackKey(TypedDict):
    """The key that a tenant's callbacks are signed with."""

    key: str
