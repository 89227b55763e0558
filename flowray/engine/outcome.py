"""What a run came to: its journal folded into results, and which of them answer the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowray.engine.events import NodeFinished, Recorded, RunFinished, RunPaused, RunResumed
from flowray.engine.failures import failure, paused
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow, Json, NodeId


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run answered. `results` are Langflow's ResultData dumps of the answering nodes."""

    run: str
    session: str
    results: Sequence[Mapping[str, Any]]

    @property
    def text(self) -> str | None:
        """The first text among the results."""
        texts = (_text(result) for result in self.results)
        return next((text for text in texts if text is not None), None)


@dataclass
class Outcome:
    """The results of a run so far, by node; of a node that ran several times (a loop's body), the last.

    `accepted_at` is when it was accepted, in seconds since the epoch.
    `paused` is what it waits for, as long as it does.
    """

    results: dict[NodeId, Json] = field(default_factory=dict)
    finished: RunFinished | None = None
    paused: RunPaused | None = None
    accepted_at: float = 0.0

    def add(self, recorded: Recorded) -> None:
        """Take one more event of the run."""
        event = recorded.event
        self.accepted_at = self.accepted_at or recorded.at
        if isinstance(event, NodeFinished):
            self.results[event.node] = event.result
        elif isinstance(event, RunFinished):
            self.finished = event
        if isinstance(event, RunPaused):
            self.paused = event
        elif isinstance(event, RunResumed | RunFinished):
            self.paused = None

    def require_success(self, request: RunRequest) -> None:
        """Raise the error of a run that failed, named as its user drew it."""
        if self.paused is not None:
            raise paused(request.run, self.paused)
        finished = self.finished or RunFinished(status="failed", kind="lost", error="The run's journal has no end.")
        if finished.status == "succeeded":
            return
        node = request.flow.by_id.get(finished.node) if finished.node else None
        raise failure(request.run, finished, node_name=node.display_name if node else "")


def fold(events: Iterable[Recorded]) -> Outcome:
    """The outcome of these events."""
    outcome = Outcome()
    for recorded in events:
        outcome.add(recorded)
    return outcome


def answering(flow: Flow, *, output_type: str, output_component: str = "") -> tuple[NodeId, ...]:
    """The nodes whose results answer, in the flow's order and by Langflow's rules.

    A named component wins; else the outputs whose id speaks of `output_type`; and when there are none, all outputs.
    """
    if output_component:
        return tuple(node.id for node in flow.nodes if output_component in (node.id, node.display_name))
    if output_type == "debug":
        return tuple(node.id for node in flow.nodes)
    outputs = tuple(node.id for node in flow.nodes if node.is_output)
    return tuple(node for node in outputs if output_type == "any" or output_type in node.lower()) or outputs


def _text(result: Mapping[str, Any]) -> str | None:
    values = (result.get("results") or {}).values()
    for value in values:
        text = value.get("text") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            return text
    return None
