"""One event of a run's journal in words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from flowray.engine import events as ev
from flowray.engine.failures import RunPausedError, paused
from flowray_serve.cli.terminal import moment

_OfRun = ev.RunAccepted | ev.RunStarted | ev.RunResumed | ev.RunTimedOut | ev.CancelRequested | ev.RunFinished
_OfStep = ev.StepQueued | ev.StepStarted | ev.StepEnd
_OfNode = ev.NodeStarted | ev.NodeFinished | ev.NodeFailed | ev.NodePaused | ev.NodeDecided | ev.BranchStopped
_Did = ev.Token | ev.Log | ev.MessageAdded | ev.ModelUsed | ev.ContextChanged | ev.ConnectionEnded | ev.ChildStarted
_DECIDED: Mapping[ev.Decision, str] = {
    "replay": "is run again",
    "skip": "is taken as done",
    "ask": "waits for a person to decide",
    "rebuild": "is run again for what it gives",
}


def line(recorded: ev.Recorded) -> str:
    """What happened."""
    event = recorded.event
    if isinstance(event, ev.RunPaused):
        return waiting(recorded.run, event).message
    if isinstance(event, _OfRun):
        return _of_run(event)
    if isinstance(event, _OfStep):
        return _of_step(event)
    return _of_node(event) if isinstance(event, _OfNode) else _did(event)


def waiting(run: ev.RunId, pause: ev.RunPaused) -> RunPausedError:
    """What a run waits for, and which verb answers it."""
    error = paused(run, pause, how=_how_it_goes_on(run, pause))
    error.facts["run"] = run
    return error


def _how_it_goes_on(run: ev.RunId, pause: ev.RunPaused) -> str:
    if pause.request is None:
        return "It goes on by itself."
    return f"Answer: flowray resume {run} ANSWER (flowray pending shows which there are)."


def _of_run(event: _OfRun) -> str:
    match event:
        case ev.RunAccepted():
            return f"run of {event.flow_name or event.flow} accepted{_origin(event)}"
        case ev.RunStarted(engine=engine):
            return f"run taken by {engine}"
        case ev.RunResumed(node=node):
            return f"run goes on{f' at {node}' if node else ''}"
        case ev.RunTimedOut(limit_s=limit_s):
            return f"run took longer than the {limit_s:g} s that it may"
        case ev.CancelRequested(reason=reason):
            return f"run asked to stop{_after(reason)}"
        case ev.RunFinished(status=status, error=error):
            return f"run {status}{_after(error)}"
    assert_never(event)


def _origin(accepted: ev.RunAccepted) -> str:
    asked_by = f", asked for by {accepted.asked_by}" if accepted.asked_by else ""
    begins = f" from {accepted.from_node}" if accepted.from_node else ""
    return f"{asked_by}, again after {accepted.parent}{begins}" if accepted.parent else asked_by


def _of_step(event: _OfStep) -> str:
    match event:
        case ev.StepQueued():
            return _queued(event)
        case ev.StepStarted(step=step, runner=runner, queued_s=queued_s, degraded=degraded):
            walls = f", without {', '.join(degraded)}" if degraded else ""
            return f"{step} started on {runner} after {_ms(queued_s)}{walls}"
        case ev.StepFinished(step=step, took_s=took_s):
            return f"{step} finished in {_ms(took_s)}"
        case ev.StepFailed(step=step, error=error):
            return f"{step} failed{_after(error)}"
        case ev.StepPaused(step=step, took_s=took_s):
            return f"{step} paused after {_ms(took_s)}"
    assert_never(event)


def _queued(queued: ev.StepQueued) -> str:
    begins = f" in {queued.after_s:.1f} s" if queued.after_s else ""
    attempt = f", attempt {queued.attempt}" if queued.attempt > 1 else ""
    return f"{queued.step} queued{begins}{attempt}"


def _did(event: _Did) -> str:
    match event:
        case ev.Token(node=node, text=text) | ev.Log(node=node, text=text):
            return f"{node or 'run'}: {text.rstrip()}"
        case ev.MessageAdded(node=node):
            return f"{node} wrote a message"
        case ev.ModelUsed():
            tokens = f"{event.input_tokens} tokens in, {event.output_tokens} out"
            return f"{event.node} called {event.model or 'a model'} ({tokens})"
        case ev.ContextChanged(node=node, values=values):
            return f"{node} changed the flow's context{_after(', '.join(values))}"
        case ev.ConnectionEnded():
            return _connection(event)
        case ev.ChildStarted():
            return f"{event.step} runs {event.flow_name or event.flow} as {event.child}"
    assert_never(event)


def _of_node(event: _OfNode) -> str:
    match event:
        case ev.NodeStarted(node=node):
            return f"{node} started"
        case ev.NodeFinished(node=node, took_s=took_s, cached=cached):
            return f"{node} finished in {_ms(took_s)}{', from what it gave before' if cached else ''}"
        case ev.NodeFailed(node=node, error=error):
            return f"{node} failed{_after(error)}"
        case ev.NodePaused(node=node, until=until, request=request):
            return f"{node} waits {'for a decision' if request is not None or until is None else _until(until)}"
        case ev.NodeDecided(node=node, decision=decision, why=why):
            return f"{node} {_DECIDED[decision]}{_after(why)}"
        case ev.BranchStopped(node=node, output=output, nodes=nodes):
            return f"{node} closed its output {output}{_after(', '.join(nodes))}"
    assert_never(event)


def _connection(ended: ev.ConnectionEnded) -> str:
    amounts = f"{ended.up_bytes} bytes up, {ended.down_bytes} down, {ended.took_ms:.0f} ms"
    return f"{ended.step} {ended.verdict} {ended.host or '?'}:{ended.port}{_after(ended.reason)} ({amounts})"


def _until(at: float) -> str:
    return f"until {moment(at)}"


def _after(text: str) -> str:
    return f": {text}" if text else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
