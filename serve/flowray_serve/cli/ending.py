"""How a verb ends that did not end well: one line (or one JSON object) on stderr, and an exit code."""

from __future__ import annotations

import json
from http import HTTPStatus

from flowray.client import ServiceUnreachableError
from flowray.engine.failures import RunFailedError, RunPausedError
from flowray.errors import FlowRayError
from flowray_serve.cli.terminal import complain

FAILED = 1
USAGE = 2
UNREACHABLE = 3
PAUSED = 4
INTERRUPTED = 130


def exit_code(error: FlowRayError) -> int:
    """The exit code an error stands for."""
    if isinstance(error, ServiceUnreachableError):
        return UNREACHABLE
    if isinstance(error, RunPausedError):
        return PAUSED
    # What is too much now may be asked again as it is, and would be given up by who takes it for wrong usage.
    if isinstance(error, RunFailedError) or error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return FAILED
    return USAGE if error.fault in ("caller", "flow") else FAILED


def report(error: FlowRayError, *, as_json: bool) -> int:
    """Say the error on stderr; the exit code that goes with it."""
    facts = error.facts if isinstance(error, RunFailedError) else {}
    if as_json:
        problem = {"code": error.code, "fault": error.fault, "detail": error.message, **facts}
        complain(json.dumps(problem, default=str))
        return exit_code(error)
    complain(f"flowray: {error.message}")
    if facts.get("traceback"):
        complain(facts["traceback"])
    if facts.get("run"):
        complain(journal_of(facts["run"]))
    return exit_code(error)


def journal_of(run: str) -> str:
    """Where to read what happened in a run."""
    return f"What happened in it: flowray watch {run}"
