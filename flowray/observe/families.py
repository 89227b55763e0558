"""What is measured: the closed list of metric families, each with its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_FLOW = ("tenant", "flow", "flow_id")
# Labels whose values come from callers and their flows: there may be any number of them.
OPEN_LABELS = frozenset({"flow", "flow_id", "version", "node", "model"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One metric: what it is called, what it says, and what tells its series apart.

    A `summary` has a count and a sum, a `histogram` counts by `buckets` as well; both are of seconds. The first label
    of what is counted is `tenant`, empty where nobody is known. A `gauge` is looked up whenever somebody asks.
    """

    name: str
    kind: Literal["counter", "gauge", "summary", "histogram"]
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


RUNS = Family(
    name="flowray_runs_total",
    kind="counter",
    help="Runs that are over, by how they ended: succeeded, failed or cancelled.",
    labels=(*_FLOW, "version", "status"),
)
RUN_FAILURES = Family(
    name="flowray_run_failures_total",
    kind="counter",
    help="Runs that failed, by the node to blame (empty: none is) and the kind of failure.",
    labels=(*_FLOW, "node", "kind"),
)
RUN_SECONDS = Family(
    name="flowray_run_seconds",
    kind="histogram",
    help="How long an engine had a run, without the time for which it was paused.",
    labels=_FLOW,
    buckets=_SECONDS,
)
RUN_WAIT_SECONDS = Family(
    name="flowray_run_wait_seconds",
    kind="histogram",
    help="How long an accepted run waited until an engine took it.",
    labels=("tenant",),
    buckets=_SECONDS,
)
NODES = Family(
    name="flowray_nodes_total",
    kind="counter",
    help="Nodes that ended, each item of a loop for itself: finished, cached or failed.",
    labels=(*_FLOW, "node", "outcome"),
)
NODE_SECONDS = Family(
    name="flowray_node_seconds",
    kind="summary",
    help="How long nodes took that ran to their end.",
    labels=(*_FLOW, "node"),
)
STEP_FAILURES = Family(
    name="flowray_step_failures_total",
    kind="counter",
    help="Steps that failed, those too that were tried again; `cause` is a provider's trouble, where it was one.",
    labels=(*_FLOW, "node", "kind", "cause"),
)
STEP_WAIT_SECONDS = Family(
    name="flowray_step_wait_seconds",
    kind="histogram",
    help="How long a step waited for its turn and a sandbox.",
    labels=("tenant",),
    buckets=_SECONDS,
)
CPU_SECONDS = Family(
    name="flowray_cpu_seconds_total",
    kind="counter",
    help="Processor time of steps.",
    labels=_FLOW,
)
MODEL_CALLS = Family(
    name="flowray_model_calls_total",
    kind="counter",
    help="Calls of models.",
    labels=(*_FLOW, "node", "model"),
)
MODEL_TOKENS = Family(
    name="flowray_model_tokens_total",
    kind="counter",
    help="Tokens that models read (input) and wrote (output), as their providers told.",
    labels=(*_FLOW, "node", "model", "direction"),
)
CONNECTIONS = Family(
    name="flowray_connections_total",
    kind="counter",
    help="Connections out of sandboxes by what became of them: allowed, refused, failed or cut.",
    labels=(*_FLOW, "verdict"),
)
DEAD_LETTERS = Family(
    name="flowray_dead_letters_total",
    kind="counter",
    help="Runs, callbacks and notices that were given up.",
    labels=(*_FLOW, "node", "what"),
)
TRACES_LOST = Family(
    name="flowray_traces_lost_total",
    kind="counter",
    help="Runs whose traces the collector did not take in time.",
    labels=("tenant",),
)
HTTP_REQUESTS = Family(
    name="flowray_http_requests_total",
    kind="counter",
    help="Requests by route, status, and the code of the problem that was answered.",
    labels=("tenant", "method", "route", "status", "code"),
)
HTTP_SECONDS = Family(
    name="flowray_http_seconds",
    kind="histogram",
    help="How long a request waited for the beginning of its answer.",
    labels=("tenant", "route"),
    buckets=_SECONDS,
)

INFO = Family(name="flowray_info", kind="gauge", help="1; which FlowRay answers.", labels=("version",))
USED = Family(
    name="flowray_quota_used",
    kind="gauge",
    help="What a tenant has of a resource now: runs, queued (runs), steps, cpu (cores), memory (bytes), gpu.",
    labels=("tenant", "resource"),
)
QUOTA = Family(
    name="flowray_quota",
    kind="gauge",
    help="The most that a tenant may have of a resource; absent where there is no limit.",
    labels=("tenant", "resource"),
)
STEPS_WAITING = Family(
    name="flowray_steps_waiting", kind="gauge", help="Steps that wait for their turn.", labels=("tenant",)
)
QUEUE_RUNS = Family(
    name="flowray_queue_runs", kind="gauge", help="Background runs that no engine has yet.", labels=("tenant",)
)
QUEUE_SECONDS = Family(
    name="flowray_queue_oldest_seconds",
    kind="gauge",
    help="How long the first of them has waited.",
    labels=("tenant",),
)
RUNNERS = Family(name="flowray_runners", kind="gauge", help="Runners that take steps.", labels=("pool",))
RUNNER_STEPS = Family(
    name="flowray_runner_steps", kind="gauge", help="How many steps they can run at a time.", labels=("pool",)
)

COUNTED = (
    RUNS,
    RUN_FAILURES,
    RUN_SECONDS,
    RUN_WAIT_SECONDS,
    NODES,
    NODE_SECONDS,
    STEP_FAILURES,
    STEP_WAIT_SECONDS,
    CPU_SECONDS,
    MODEL_CALLS,
    MODEL_TOKENS,
    CONNECTIONS,
    DEAD_LETTERS,
    TRACES_LOST,
    HTTP_REQUESTS,
    HTTP_SECONDS,
)
LOOKED_UP = (INFO, USED, QUOTA, STEPS_WAITING, QUEUE_RUNS, QUEUE_SECONDS, RUNNERS, RUNNER_STEPS)
