"""What is held of a run that is over until its trace is sent: what `spans` reads of its journal, and no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from sys import getsizeof

from flowray.engine import events as ev

_LONGEST_CHARS = 4_000
# Of an event without the texts that a sandbox says.
_EVENT_BYTES = 500
_TEXTS = ("error", "error_type", "model")


def lean(recorded: Iterable[ev.Recorded]) -> list[ev.Recorded]:
    """These events without what nodes were given, gave or printed; of errors, as much as people read."""
    return [replace(one, event=event) for one in recorded if (event := _lean(one.event)) is not None]


def size_bytes(recorded: Iterable[ev.Recorded]) -> int:
    """About how much memory these events take."""
    return sum(_EVENT_BYTES + sum(getsizeof(getattr(one.event, name, "")) for name in _TEXTS) for one in recorded)


def _lean(event: ev.Event) -> ev.Event | None:
    match event:
        case ev.NodeFinished():
            return replace(event, outputs={}, result=None, result_ref=None, usage={})
        case ev.NodeFailed() | ev.StepFailed() | ev.RunFinished():
            error, error_type = event.error[:_LONGEST_CHARS], event.error_type[:_LONGEST_CHARS]
            return replace(event, error=error, error_type=error_type, traceback="")
        case ev.NodePaused(node=node):
            return ev.NodePaused(node=node)
        case ev.RunPaused() | ev.RunResumed() | ev.CancelRequested():
            return type(event)()
        case _:
            return event if isinstance(event, _SMALL) else None


_SMALL = (
    ev.RunAccepted,
    ev.RunStarted,
    ev.RunTimedOut,
    ev.StepQueued,
    ev.StepStarted,
    ev.StepFinished,
    ev.StepPaused,
    ev.NodeStarted,
    ev.ModelUsed,
    ev.ConnectionEnded,
)
