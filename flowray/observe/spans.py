"""A run as a trace: a span for the run, each step, each node and each connection, folded from its journal.

Ids come from the run's own id and from places in its journal, so that the same journal always gives the same trace. No
span has what a node was given or what it gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowray.engine import events as ev
from flowray.engine.drawing import number_of
from flowray.flow.types import NodeId
from flowray.observe.trace_context import above, trace_of
from flowray.plan.types import StepId

Fact = str | int | float | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something that happened at one moment of a span."""

    name: str
    at: float
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Span:
    """A stretch of a run; times are seconds since the epoch, `parent` is 0 where there is none.

    `error` is what went wrong: None when nothing did.
    """

    name: str
    trace: int
    id: int
    parent: int
    began_at: float
    ended_at: float = 0.0
    kind: Literal["internal", "server", "client"] = "internal"
    error: str | None = None
    facts: dict[str, Fact] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def spans(recorded: Iterable[ev.Recorded], step_of: Mapping[NodeId, StepId]) -> list[Span]:
    """The spans of a run that is over, the run's own first; none when its beginning is missing.

    `step_of` says which step runs a node; one that nobody knows the step of is told below the run.
    """
    events = iter(recorded)
    first = next(events, None)
    if first is None or not isinstance(first.event, ev.RunAccepted):
        return []
    folding = _Folding(first.run, first.event, first.at, step_of)
    for one in events:
        folding.saw(one)
    return folding.told


class _Folding:
    """One run while its journal is read."""

    def __init__(self, run: str, accepted: ev.RunAccepted, at: float, step_of: Mapping[NodeId, StepId]) -> None:
        over = above(accepted.trace)
        self._step_of = step_of
        self._run = Span(
            name=f"run {accepted.flow_name or accepted.flow}",
            trace=over.trace if over else trace_of(run),
            id=number_of(run),
            parent=over.span if over else 0,
            began_at=at,
            kind="internal" if accepted.asked_by else "server",
            facts={
                "flowray.tenant": accepted.tenant,
                "flowray.flow": accepted.flow_name,
                "flowray.flow_id": accepted.flow,
                "flowray.version": accepted.version,
                "flowray.session": accepted.session,
                "flowray.run": run,
            },
        )
        self.told: list[Span] = [self._run]
        self._steps: dict[StepId, Span] = {}
        self._nodes: dict[NodeId, Span] = {}

    def saw(self, one: ev.Recorded) -> None:
        """Take one more event."""
        match one.event:
            case ev.RunStarted() | ev.RunPaused() | ev.RunResumed() | ev.CancelRequested() | ev.RunTimedOut():
                self._run.notes.append(Note(name=_WORDS[type(one.event)], at=one.at))
            case ev.RunFinished():
                self._end_run(one.event, one.at)
            case ev.StepQueued() | ev.StepStarted() | ev.StepFinished() | ev.StepFailed() | ev.StepPaused():
                self._saw_step(one.event, one.at)
            case ev.ConnectionEnded():
                self._connected(one.event, one)
            case _:
                self._saw_node(one)

    def _end_run(self, end: ev.RunFinished, at: float) -> None:
        for node in list(self._nodes):
            self._end_node(node, at, error=_LEFT)
        for step in self._steps.values():
            step.ended_at = step.ended_at or at
        self._run.ended_at = at
        self._run.facts["flowray.status"] = end.status
        if end.status == "failed":
            self._run.error = end.error or "The run failed without saying why."
            self._run.facts |= _failure(end.kind, end.node, end.error_type)

    def _saw_step(self, event: ev.StepQueued | ev.StepStarted | ev.StepEnd, at: float) -> None:
        step = self._step(event.step, at)
        match event:
            case ev.StepQueued(after_s=after_s):
                step.notes.append(Note(name="asked for", at=at + after_s, facts={"flowray.attempt": event.attempt}))
            case ev.StepStarted(runner=runner, queued_s=queued_s):
                step.notes.append(Note(name="in a sandbox", at=step.notes[-1].at + queued_s if step.notes else at))
                step.facts |= {"flowray.runner": runner, "flowray.attempt": event.attempt}
            case ev.StepFailed():
                step.error = event.error
                step.facts |= _failure(event.kind, event.node, event.error_type)
                self._end_step(event, at)
            case ev.StepFinished() | ev.StepPaused():
                step.error = None
                self._end_step(event, at)

    def _step(self, step: StepId, at: float) -> Span:
        """The one span of all attempts at a step."""
        if step not in self._steps:
            number = number_of(self._run_id, step)
            self._steps[step] = self._under(self._run, f"step {step}", at, number=number)
            self._steps[step].facts["flowray.step"] = step
        return self._steps[step]

    def _end_step(self, end: ev.StepEnd, at: float) -> None:
        step = self._steps[end.step]
        for node in [node for node, span in self._nodes.items() if span.parent == step.id]:
            self._end_node(node, at, error=_LEFT if isinstance(end, ev.StepFailed) else None)
        step.ended_at = at
        step.facts |= {f"flowray.{name}": amount for name, amount in end.usage.items()}

    def _saw_node(self, one: ev.Recorded) -> None:
        match one.event:
            case ev.NodeStarted(node=node, after_s=after_s):
                self._begin_node(node, one, after_s)
            case ev.NodeFinished(node=node, took_s=took_s, cached=cached):
                span = self._nodes.get(node) or self._begin_node(node, one, 0.0)
                span.facts["flowray.cached"] = cached
                self._end_node(node, one.at if cached else span.began_at + took_s)
            case ev.NodeFailed(node=node, error=error, error_type=error_type):
                span = self._nodes.get(node) or self._begin_node(node, one, 0.0)
                span.facts |= {"error.type": error_type} if error_type else {}
                self._end_node(node, one.at, error=error)
            case ev.NodePaused(node=node):
                self._end_node(node, one.at)
            case ev.ModelUsed(node=node):
                span = self._nodes.get(node) or self._run
                span.notes.append(Note(name="model", at=one.at, facts=_call(one.event)))
            case _:
                return

    def _begin_node(self, node: NodeId, one: ev.Recorded, after_s: float) -> Span:
        step = self._steps.get(self._step_of.get(node, StepId("")))
        began_at = step.notes[-1].at + after_s if step and step.notes else one.at
        span = self._under(step or self._run, node, began_at, number=number_of(self._run_id, str(one.seq)))
        span.facts["flowray.node"] = node
        self._nodes[node] = span
        return span

    def _end_node(self, node: NodeId, at: float, *, error: str | None = None) -> None:
        span = self._nodes.pop(node, None)
        if span is not None:
            span.ended_at, span.error = max(at, span.began_at), error

    def _connected(self, ended: ev.ConnectionEnded, one: ev.Recorded) -> None:
        began_at = one.at - ended.took_ms / 1000
        over = self._steps.get(ended.step, self._run)
        span = self._under(over, f"connect {ended.host}", began_at, number=number_of(self._run_id, str(one.seq)))
        span.kind, span.ended_at = "client", one.at
        span.error = None if ended.verdict == "allowed" else f"{ended.verdict}: {ended.reason}"
        span.facts |= {
            "server.address": ended.host,
            "server.port": ended.port,
            "flowray.verdict": ended.verdict,
            "flowray.up_bytes": ended.up_bytes,
            "flowray.down_bytes": ended.down_bytes,
        }

    def _under(self, over: Span, name: str, at: float, *, number: int) -> Span:
        span = Span(name=name, trace=over.trace, id=number, parent=over.id, began_at=at)
        self.told.append(span)
        return span

    @property
    def _run_id(self) -> str:
        return str(self._run.facts["flowray.run"])


_LEFT = "Its step ended before it."
_WORDS: Mapping[type[ev.Event], str] = {
    ev.RunStarted: "taken by an engine",
    ev.RunPaused: "paused",
    ev.RunResumed: "resumed",
    ev.CancelRequested: "asked to stop",
    ev.RunTimedOut: "timed out",
}


def _failure(kind: str | None, node: NodeId | None, error_type: str) -> dict[str, Fact]:
    said = {"flowray.failure": kind or "", "flowray.failed_node": node or "", "error.type": error_type or kind or ""}
    return {name: value for name, value in said.items() if value}


def _call(call: ev.ModelUsed) -> dict[str, Fact]:
    """In the words of OpenTelemetry's conventions for generative AI."""
    return {
        "gen_ai.request.model": call.model,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
    }
