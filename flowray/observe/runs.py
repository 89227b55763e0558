"""A run in numbers: a fold over the journal of a run that is over."""

from __future__ import annotations

from collections.abc import Iterable

from flowray.engine.events import (
    ConnectionEnded,
    Event,
    ModelUsed,
    NodeFailed,
    NodeFinished,
    Recorded,
    RunAccepted,
    RunFinished,
    RunPaused,
    RunStarted,
    StepFailed,
    StepFinished,
    StepPaused,
    StepStarted,
)
from flowray.observe import families as of
from flowray.observe.tally import Tally

# As many of a digest's as are shown everywhere else.
_SHOWN_CHARS = 12


def count(recorded: Iterable[Recorded], tally: Tally) -> None:
    """Add what the run of these events was; nothing when they do not begin at its beginning."""
    events = iter(recorded)
    first = next(events, None)
    if first is None or not isinstance(first.event, RunAccepted):
        return
    counted = _Counted(first.event, first.at, tally)
    for one in events:
        counted.saw(one.event, one.at)


class _Counted:
    """One run while its journal is read."""

    def __init__(self, accepted: RunAccepted, at: float, tally: Tally) -> None:
        self._flow = (accepted.tenant, accepted.flow_name or accepted.flow, accepted.flow)
        self._tenant = accepted.tenant
        self._version = accepted.version[:_SHOWN_CHARS]
        self._tally = tally
        self._accepted_at = at
        self._was_taken = False
        self._driven_since: float | None = None
        self._driven_s = 0.0

    def saw(self, event: Event, at: float) -> None:
        """Count what happened to the run as a whole, or pass it on."""
        match event:
            case RunStarted():
                self._taken(at)
            case RunPaused():
                self._let_go(at)
            case RunFinished():
                self._ended(event, at)
            case _:
                self._saw_step(event)

    def _taken(self, at: float) -> None:
        if not self._was_taken:
            self._was_taken = True
            self._tally.note(of.RUN_WAIT_SECONDS, self._tenant, seconds=at - self._accepted_at)
        if self._driven_since is None:
            self._driven_since = at

    def _let_go(self, at: float) -> None:
        if self._driven_since is not None:
            self._driven_s += at - self._driven_since
            self._driven_since = None

    def _ended(self, end: RunFinished, at: float) -> None:
        self._let_go(at)
        self._tally.add(of.RUNS, *self._flow, self._version, end.status)
        if self._was_taken:
            self._tally.note(of.RUN_SECONDS, *self._flow, seconds=self._driven_s)
        if end.status == "failed":
            self._tally.add(of.RUN_FAILURES, *self._flow, end.node or "", end.kind or "")

    def _saw_step(self, event: Event) -> None:
        match event:
            case StepStarted(queued_s=queued_s):
                self._tally.note(of.STEP_WAIT_SECONDS, self._tenant, seconds=queued_s)
            case StepFinished(usage=usage) | StepPaused(usage=usage):
                self._used(usage.get("cpu_s", 0.0))
            case StepFailed():
                self._used(event.usage.get("cpu_s", 0.0))
                self._tally.add(of.STEP_FAILURES, *self._flow, event.node or "", event.kind, event.cause)
            case _:
                self._saw_node(event)

    def _saw_node(self, event: Event) -> None:
        match event:
            case NodeFinished(node=node, cached=True):
                self._tally.add(of.NODES, *self._flow, node, "cached")
            case NodeFinished(node=node, took_s=took_s):
                self._tally.add(of.NODES, *self._flow, node, "finished")
                self._tally.note(of.NODE_SECONDS, *self._flow, node, seconds=took_s)
            case NodeFailed(node=node):
                self._tally.add(of.NODES, *self._flow, node, "failed")
            case ModelUsed():
                self._called(event)
            case ConnectionEnded(verdict=verdict):
                self._tally.add(of.CONNECTIONS, *self._flow, verdict)
            case _:
                return

    def _called(self, call: ModelUsed) -> None:
        self._tally.add(of.MODEL_CALLS, *self._flow, call.node, call.model)
        for direction, tokens in (("input", call.input_tokens), ("output", call.output_tokens)):
            if tokens:
                self._tally.add(of.MODEL_TOKENS, *self._flow, call.node, call.model, direction, amount=tokens)

    def _used(self, cpu_s: float) -> None:
        if cpu_s:
            self._tally.add(of.CPU_SECONDS, *self._flow, amount=cpu_s)
