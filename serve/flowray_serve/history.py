"""What was, in the shapes of Langflow's monitor: folds over the journals of a tenant's latest runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowray.engine import events as ev
from flowray.engine.ports import Journal
from flowray.engine.summary import RunSummary
from flowray.errors import NotFoundError
from flowray_serve.langflow_ids import event_uuid
from flowray_serve.langflow_times import iso
from flowray_serve.ports import RunIndex
from flowray_serve.vertex_build import error_of, params, response_of

_LISTED_AT_ONCE = 200
# How far back it looks. The whole past is in the archive; a page of a monitor is no place to read it.
_RUNS_LIMIT = 2_000
_READ_AT_ONCE = 8
_STATUS: Mapping[str, str] = {"succeeded": "ok", "failed": "error", "cancelled": "error"}


@dataclass
class NodeRun:
    """One run of one node. Times are seconds since the epoch; `seq` is the event's place in its run."""

    event: ev.NodeFinished | ev.NodeFailed
    at: float
    seq: int

    @property
    def took_s(self) -> float:
        """How long it ran."""
        return self.event.took_s if isinstance(self.event, ev.NodeFinished) else 0.0


@dataclass
class Story:
    """What a journal says of its nodes."""

    run: RunSummary
    nodes: list[NodeRun] = field(default_factory=list)

    def add(self, recorded: ev.Recorded) -> None:
        """Take one more event."""
        if isinstance(recorded.event, ev.NodeFinished | ev.NodeFailed):
            self.nodes.append(NodeRun(event=recorded.event, at=recorded.at, seq=recorded.seq))


class History:
    """Reads what a tenant's runs left."""

    def __init__(self, *, journal: Journal, index: RunIndex) -> None:
        self._journal = journal
        self._index = index

    async def runs(self, tenant: str, fits: Callable[[RunSummary], bool]) -> Sequence[RunSummary]:
        """The latest runs that fit, newest first."""
        return [run async for run in self._latest(tenant) if fits(run)]

    async def stories(self, tenant: str, runs: Sequence[RunSummary]) -> Sequence[Story]:
        """What these runs' journals say; a run whose journal is gone is passed over."""
        gate = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(run: RunSummary) -> Story | None:
            story = Story(run)
            async with gate:
                try:
                    async for recorded in self._journal.read(tenant, run.run):
                        story.add(recorded)
                except NotFoundError:
                    return None
            return story

        return [story for story in await asyncio.gather(*map(read, runs)) if story is not None]

    async def _latest(self, tenant: str) -> AsyncGenerator[RunSummary, None]:
        before: float | None = None
        for _ in range(_RUNS_LIMIT // _LISTED_AT_ONCE):
            runs = await self._index.runs(tenant, limit=_LISTED_AT_ONCE, before=before)
            for run in runs:
                yield run
            if len(runs) < _LISTED_AT_ONCE:
                return
            before = runs[-1].accepted_at


def vertex_builds(stories: Sequence[Story]) -> dict[str, list[dict[str, Any]]]:
    """The latest build of each node, of stories that begin with the newest."""
    found: dict[str, list[dict[str, Any]]] = {}
    for story in stories:
        for node in reversed(story.nodes):
            found.setdefault(node.event.node, [_vertex_build(story.run, node)])
    return found


def transactions(stories: Sequence[Story]) -> list[dict[str, Any]]:
    """What went through each node, newest first. What went in is not kept: it may hold what only a run may see."""
    return [_transaction(story.run, node) for story in stories for node in reversed(story.nodes)]


def trace(story: Story) -> dict[str, Any]:
    """A run as a list of traces shows it."""
    run = story.run
    return {
        "id": run.run,
        "name": f"{run.flow_name} - {run.flow}",
        "status": _STATUS.get(run.status, "unset"),
        "startTime": iso(run.accepted_at),
        "totalLatencyMs": round(1000 * ((run.finished_at or run.accepted_at) - run.accepted_at)),
        "totalTokens": sum(_tokens(node) for node in story.nodes),
        "flowId": run.flow,
        "sessionId": run.session,
        "input": _input(story),
        "output": _results(story.nodes[-1]) if story.nodes else None,
    }


def whole_trace(story: Story) -> dict[str, Any]:
    """A run with a span for each node."""
    ended = story.run.finished_at
    times = {"endTime": None if ended is None else iso(ended)}
    return {**trace(story), **times, "spans": [_span(story.run, node) for node in story.nodes]}


def _vertex_build(run: RunSummary, node: NodeRun) -> dict[str, Any]:
    event = node.event
    data = response_of(event) if isinstance(event, ev.NodeFinished) else error_of(event)
    return {
        "data": _result(event) or data,
        "valid": isinstance(event, ev.NodeFinished),
        "job_id": run.run,
        "artifacts": data["artifacts"],
        "params": params(event),
        "id": event.node,
        "timestamp": iso(node.at),
        "flow_id": run.flow,
        "build_id": event_uuid(run.run, node.seq, "build"),
    }


def _transaction(run: RunSummary, node: NodeRun) -> dict[str, Any]:
    event = node.event
    return {
        "id": event_uuid(run.run, node.seq, "transaction"),
        "timestamp": iso(node.at),
        "vertex_id": event.node,
        "target_id": None,
        "inputs": None,
        "outputs": _result(event).get("outputs"),
        "status": "success" if isinstance(event, ev.NodeFinished) else "error",
    }


def _span(run: RunSummary, node: NodeRun) -> dict[str, Any]:
    event = node.event
    return {
        "id": event_uuid(run.run, node.seq, "span"),
        "name": _display_name(event),
        "type": "chain",
        "status": "ok" if isinstance(event, ev.NodeFinished) else "error",
        "startTime": iso(node.at - node.took_s),
        "endTime": iso(node.at),
        "latencyMs": round(1000 * node.took_s),
        "inputs": None,
        "outputs": _results(node),
        "error": event.error if isinstance(event, ev.NodeFailed) else None,
        "modelName": None,
        "tokenUsage": _result(event).get("token_usage"),
        "children": [],
    }


def _display_name(event: ev.NodeFinished | ev.NodeFailed) -> str:
    return str(_result(event).get("component_display_name") or event.node)


def _results(node: NodeRun) -> Any:
    return _result(node.event).get("results")


def _result(event: ev.NodeFinished | ev.NodeFailed) -> Mapping[str, Any]:
    """Langflow's ResultData of a node; empty when it has none."""
    return event.result if isinstance(event, ev.NodeFinished) and isinstance(event.result, dict) else {}


def _tokens(node: NodeRun) -> int:
    usage = _result(node.event).get("token_usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) else 0


def _input(story: Story) -> dict[str, Any] | None:
    for node in story.nodes:
        results = _results(node)
        if node.event.node.startswith(("ChatInput", "TextInput")) and isinstance(results, dict):
            message = next((one for one in results.values() if isinstance(one, dict) and "text" in one), {})
            return {"input_value": message.get("text")}
    return None
