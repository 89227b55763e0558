"""The story of a run, folded from its journal: its status, its steps, and when each node ran where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from flowray.engine import events as ev
from flowray.engine.summary import RunSummary
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray_serve.answers.run import RunInShort

_OfNode = ev.NodeStarted | ev.NodeFinished | ev.NodeFailed | ev.NodePaused | ev.NodeDecided


class Timeline:
    """Takes a run's events in order."""

    def __init__(self) -> None:
        self._run: dict[str, Any] = {"id": None, "status": "accepted", "error": None}
        self._steps: dict[StepId, dict[str, Any]] = {}
        self._nodes: dict[NodeId, dict[str, Any]] = {}
        self._connections: list[dict[str, Any]] = []
        self._children: list[dict[str, Any]] = []

    def add(self, recorded: ev.Recorded) -> None:
        """Take one more event."""
        event, at = recorded.event, recorded.at
        self._run["last_seq"] = recorded.seq
        match event:
            case ev.RunAccepted() | ev.RunStarted() | ev.RunPaused() | ev.RunResumed() | ev.RunFinished():
                self._add_to_run(recorded, event)
            case ev.StepQueued() | ev.StepStarted() | ev.StepFinished() | ev.StepFailed() | ev.StepPaused():
                self._add_to_step(event, at)
            case ev.NodeStarted() | ev.NodeFinished() | ev.NodeFailed() | ev.NodePaused() | ev.NodeDecided():
                self._add_to_node(event, at)
            case ev.ConnectionEnded():
                self._connections.append({**asdict(event), "at": at})
            case ev.ChildStarted():
                flow = {"id": event.flow, "name": event.flow_name}
                self._children.append({"run": event.child, "flow": flow, "step": event.step, "at": at})
            case ev.BranchStopped(nodes=nodes):
                for node in nodes:
                    self._nodes.setdefault(node, {"node": node})["status"] = "stopped"
            case _:
                return

    def as_json(self) -> dict[str, Any]:
        """The whole story."""
        parts = {"steps": list(self._steps.values()), "nodes": list(self._nodes.values())}
        return {**self._run, **parts, "connections": self._connections, "children": self._children}

    def _add_to_run(
        self,
        recorded: ev.Recorded,
        event: ev.RunAccepted | ev.RunStarted | ev.RunPaused | ev.RunResumed | ev.RunFinished,
    ) -> None:
        run, at = self._run, recorded.at
        match event:
            case ev.RunAccepted():
                flow = {"id": event.flow, "name": event.flow_name, "version": event.version}
                run |= {"id": recorded.run, "flow": flow, "session": event.session, "accepted_at": at}
                if event.parent:
                    run["parent"] = {"run": event.parent, "from_node": event.from_node}
                if event.asked_by:
                    run["asked_by"] = event.asked_by
            case ev.RunStarted():
                run |= {"status": "running", "engine": event.engine}
                run.setdefault("started_at", at)
            case ev.RunPaused():
                run |= {"status": "paused", "human_request": event.request, "until": event.until}
            case ev.RunResumed():
                run["status"] = "running"
                self._waits_no_more()
            case ev.RunFinished():
                self._waits_no_more()
                run |= {"status": event.status, "finished_at": at, "took_s": at - run.get("accepted_at", at)}
                run["error"] = _error(event)

    def _waits_no_more(self) -> None:
        self._run.pop("human_request", None)
        self._run.pop("until", None)

    def _add_to_step(self, event: ev.StepQueued | ev.StepStarted | ev.StepEnd, at: float) -> None:
        if isinstance(event, ev.StepQueued):
            self._queue(event, at)
            return
        step = self._steps.setdefault(event.step, {"step": event.step})
        match event:
            case ev.StepStarted():
                started = step.get("queued_at", at) + step.get("after_s", 0.0) + event.queued_s
                step |= {"status": "running", "runner": event.runner, "queued_s": event.queued_s, "started_at": started}
                if event.degraded:
                    step["degraded"] = list(event.degraded)
                    self._run["degraded"] = sorted({*self._run.get("degraded", ()), *event.degraded})
            case ev.StepFinished():
                step |= {"status": "finished", "took_s": event.took_s, "usage": event.usage, "finished_at": at}
            case ev.StepPaused():
                step |= {"status": "paused", "took_s": event.took_s, "usage": event.usage, "finished_at": at}
            case ev.StepFailed():
                step |= {"status": "failed", "error": event.error, "kind": event.kind, "finished_at": at}

    def _queue(self, event: ev.StepQueued, at: float) -> None:
        """Begin an attempt with nothing of the one before, which has what some of the step's nodes came to."""
        step = {"step": event.step, "status": "queued", "attempt": event.attempt, "queued_at": at}
        if event.after_s:
            step["after_s"] = event.after_s
        if before := self._steps.get(event.step):
            step["earlier"] = [*before.pop("earlier", ()), before]
        self._steps[event.step] = step

    def _add_to_node(self, event: _OfNode, at: float) -> None:
        node = self._nodes.setdefault(event.node, {"node": event.node, "runs": 0})
        match event:
            case ev.NodeStarted():
                begun = {"status": "running", "started_at": at, "after_s": event.after_s}
                kept: dict[str, Any] = {name: node[name] for name in ("decision", "decided_because") if name in node}
                self._nodes[event.node] = {"node": event.node, "runs": node.get("runs", 0) + 1, **kept, **begun}
            case ev.NodeFinished():
                node |= {"status": "finished", "took_s": event.took_s, "cached": event.cached, "finished_at": at}
                node["usage"] = event.usage
            case ev.NodeFailed():
                node |= {"status": "failed", "error": event.error, "error_type": event.error_type, "finished_at": at}
            case ev.NodePaused():
                node |= {"status": "paused", "until": event.until, "request": event.request}
            case ev.NodeDecided():
                node |= {"decision": event.decision, "decided_because": event.why}


def in_short(run: RunSummary) -> RunInShort:
    """A run of a list, in the words of a whole story."""
    told: RunInShort = {
        "id": run.run,
        "status": run.status,
        "flow": {"id": run.flow, "name": run.flow_name, "version": run.version},
        "session": run.session,
        "accepted_at": run.accepted_at,
        "error": {"message": run.error} if run.error else None,
    }
    if run.asked_by:
        told["asked_by"] = run.asked_by
    if run.finished_at is None:
        return told
    return {**told, "finished_at": run.finished_at, "took_s": run.finished_at - run.accepted_at}


def placed(
    node: Mapping[str, Any], steps: Iterable[Mapping[str, Any]], step_of: Mapping[NodeId, StepId]
) -> dict[str, Any]:
    """A node of a story with the step that ran it: where, and how long it waited for a sandbox."""
    named = step_of.get(node["node"])
    step = _attempt(node, next((step for step in steps if step["step"] == named), {}))
    where = {"step": named, "runner": step.get("runner"), "queued_s": step.get("queued_s")}
    return {**node, **where, **_times(node, step)}


def _attempt(node: Mapping[str, Any], step: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attempt at the step in which the node ran last: the latest that was asked for before the node began."""
    attempts = [*step.get("earlier", ()), step]
    began = node.get("started_at", math.inf)
    return next((each for each in reversed(attempts) if each.get("queued_at", began) <= began), step)


def _times(node: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, float]:
    """When the node ran, by its step's own clock: its events may have come in one batch."""
    if "started_at" not in step or "after_s" not in node:
        return {}
    started = step["started_at"] + node["after_s"]
    return (
        {"started_at": started, "finished_at": started + node["took_s"]}
        if "took_s" in node
        else {"started_at": started}
    )


def _error(finished: ev.RunFinished) -> dict[str, Any] | None:
    if finished.status != "failed":
        return None
    return {
        "message": finished.error,
        "kind": finished.kind,
        "node": finished.node,
        "error_type": finished.error_type,
        "traceback": finished.traceback,
    }
