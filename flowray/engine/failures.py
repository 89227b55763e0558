"""A failed run, said as an error: whose fault, at which node, and with which code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowray.engine.events import FailureKind, RunFinished, RunId, RunPaused
from flowray.errors import FlowRayError


class RunFailedError(FlowRayError):
    """A run that did not succeed. `facts` goes into the problem document beside the message."""

    code = "run_failed"

    def __init__(self, message: str, run: str = "", facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, run, facts)
        self.run = run
        self.facts = dict(facts or {})


class ComponentFailedError(RunFailedError):
    """A node's own code raised."""

    code = "component_failed"
    fault = "component"


class ValueCannotTravelError(RunFailedError):
    """A node gave a value that only lives inside its sandbox."""

    code = "value_cannot_travel"
    fault = "component"


class MissingVariableError(RunFailedError):
    """A node needs the value of a variable that does not exist."""

    code = "missing_variable"
    fault = "caller"
    status = 422


class SandboxCrashedError(RunFailedError):
    """The sandbox died: a signal, or the component ended its process."""

    code = "sandbox_crashed"
    fault = "component"


class StepTimeoutError(RunFailedError):
    """A step ran longer than its wall limit."""

    code = "step_timeout"
    fault = "component"
    status = 504


class OutOfMemoryError(RunFailedError):
    """A step took more memory than its limit."""

    code = "out_of_memory"
    fault = "component"


class ProtocolBrokenError(RunFailedError):
    """The sandbox broke the frame protocol."""

    code = "protocol_violation"
    fault = "component"


class RunnerLostError(RunFailedError):
    """The runner died; the step may have run."""

    code = "runner_lost"
    status = 503


class NodeSkippedError(RunFailedError):
    """A node that may not run twice was lost midway and passed over; another one needs its value."""

    code = "node_skipped"


class NoRunnerError(RunFailedError):
    """No runner took the step; it did not run."""

    code = "runner_unavailable"
    status = 503


class RunCancelledError(RunFailedError):
    """Somebody asked the run to stop."""

    code = "run_cancelled"
    fault = "caller"
    status = 409


class RunTimeoutError(RunFailedError):
    """A synchronous run outlasted the time that its caller waits; it was stopped."""

    code = "run_timeout"
    fault = "caller"
    status = 504


class RunPausedError(RunFailedError):
    """The run is not over: it waits for a decision, or for a time."""

    code = "run_paused"
    fault = "caller"
    status = 409


_ERRORS: Mapping[FailureKind, type[RunFailedError]] = {
    "component": ComponentFailedError,
    "value": ValueCannotTravelError,
    "variable": MissingVariableError,
    "crashed": SandboxCrashedError,
    "timeout": StepTimeoutError,
    "memory": OutOfMemoryError,
    "protocol": ProtocolBrokenError,
    "lost": RunnerLostError,
    "unavailable": NoRunnerError,
    "skipped": NodeSkippedError,
    "cancelled": RunCancelledError,
}


def failure(run: RunId, finished: RunFinished, *, node_name: str = "") -> RunFailedError:
    """The error that a caller of `run` gets. `node_name` is what the user calls the node that failed."""
    kind: FailureKind | None = "cancelled" if finished.status == "cancelled" else finished.kind
    error_class = _ERRORS[kind] if kind else RunFailedError
    facts = {"node": finished.node, "error_type": finished.error_type, "traceback": finished.traceback, "kind": kind}
    message = _message(finished, node_name)
    return error_class(message, run, {name: fact for name, fact in facts.items() if fact})


def paused(run: RunId, pause: RunPaused, *, how: str = "") -> RunPausedError:
    """What a caller gets who wanted the end of a run that waits. `how` it goes on, where that is not over HTTP."""
    facts = {"human_request": pause.request, "until": pause.until}
    prompt = pause.request.get("prompt") if isinstance(pause.request, dict) else None
    what = f"for a decision: {str(prompt)[:500]}" if pause.request is not None else "for a time"
    answer = f"Answer at /api/v2/workflows/{run}/resume; ask" if pause.request is not None else "Ask"
    how = how or f"{answer} at /api/v2/workflows?job_id={run}."
    told = f"The run waits {what}{'' if what.endswith(('.', '!', '?')) else '.'} {how}"
    return RunPausedError(told, run, {name: fact for name, fact in facts.items() if fact is not None})


def _message(finished: RunFinished, node_name: str) -> str:
    if finished.status == "cancelled":
        return finished.error or "The run was cancelled."
    error = finished.error or "The run failed without saying why."
    if finished.node is None:
        return error
    named = f"`{finished.node}` ({node_name})" if node_name else f"`{finished.node}`"
    return f"Node {named} failed: {error}"
