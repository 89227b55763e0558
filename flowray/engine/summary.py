"""What a run was, in one line: for lists of runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from flowray.engine.events import (
    Recorded,
    RunAccepted,
    RunFinished,
    RunId,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run of a tenant. Times are seconds since the epoch.

    `status` is "running" until its last event, and "paused" while it waits for a person or a time.
    """

    run: RunId
    flow: str
    flow_name: str
    version: str
    session: str
    accepted_at: float
    status: RunStatus | Literal["running", "paused"] = "running"
    finished_at: float | None = None
    error: str = ""
    asked_by: str = ""


def summary(recorded: Iterable[Recorded]) -> RunSummary | None:
    """The run of these events; None when they do not begin at its beginning."""
    found: RunSummary | None = None
    for one in recorded:
        match one.event:
            case RunAccepted() as accepted:
                found = RunSummary(
                    run=one.run,
                    flow=accepted.flow,
                    flow_name=accepted.flow_name,
                    version=accepted.version,
                    session=accepted.session,
                    accepted_at=one.at,
                    asked_by=accepted.asked_by,
                )
            case RunPaused() if found is not None:
                found = replace(found, status="paused")
            case RunStarted() | RunResumed() if found is not None:
                found = replace(found, status="running")
            case RunFinished(status=status, error=error) if found is not None:
                found = replace(found, status=status, error=error, finished_at=one.at)
            case _:
                continue
    return found
