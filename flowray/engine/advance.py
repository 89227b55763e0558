"""What follows from an event: the engine as one pure function, `State + Event -> State + Commands`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from flowray.engine.commands import Command, FinishRun, StopStep
from flowray.engine.events import (
    BranchStopped,
    CancelRequested,
    ConnectionEnded,
    ContextChanged,
    Event,
    Log,
    MessageAdded,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    Recorded,
    RunAccepted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    StepFailed,
    StepFinished,
    StepQueued,
    StepStarted,
    Token,
)
from flowray.engine.state import Asked, Over, Phase, Started, State, Waiting
from flowray.plan.types import StepId

MOST_ATTEMPTS = 3
Next = tuple[State, tuple[Command, ...]]


def advance(state: State, event: Event) -> Next:
    """The state after `event`, and what to do about it. Once a run is decided, nothing follows from anything."""
    if state.verdict is not None:
        return state, ()
    match event:
        case StepQueued() | StepStarted() | StepFinished() | StepFailed():
            return _after_step_event(state, event)
        case RunAccepted() | RunStarted() | RunPaused() | RunResumed() | CancelRequested() | RunFinished():
            return _after_run_event(state, event)
        case ConnectionEnded():
            return state, ()
        case _:
            return _after_node_event(state, event), ()


def replay(state: State, recorded: Iterable[Recorded]) -> State:
    """The state after all these events. The commands are dropped: what they asked for was done, or is asked anew."""
    for one in recorded:
        state, _ = advance(state, one.event)
    return state


def _after_run_event(
    state: State, event: RunAccepted | RunStarted | RunPaused | RunResumed | CancelRequested | RunFinished
) -> Next:
    match event:
        case RunStarted():
            return _taken_over(state) if state.begun else _begun(replace(state, begun=True))
        case CancelRequested(reason=reason):
            return _decided(state, FinishRun(status="cancelled", kind="cancelled", error=reason))
        case RunFinished():
            return replace(state, verdict=FinishRun.of(event)), ()
        case RunAccepted() | RunPaused() | RunResumed():
            return state, ()
        case _:
            assert_never(event)


def _after_step_event(state: State, event: StepQueued | StepStarted | StepFinished | StepFailed) -> Next:
    phase = state.steps.get(event.step)
    match event:
        case StepStarted(step=step):
            return (state.with_phase(step, Started(phase.attempt)) if isinstance(phase, Asked) else state), ()
        case StepFinished(step=step):
            return (
                _past(_with_branches_closed(state, step), [step]) if isinstance(phase, Asked | Started) else (state, ())
            )
        case StepFailed():
            return _after_failure(state, event, phase) if isinstance(phase, Asked | Started) else (state, ())
        case StepQueued():
            return state, ()
        case _:
            assert_never(event)


def _after_node_event(state: State, event: NodeEvent) -> State:
    match event:
        case NodeFinished(node=node, outputs=outputs):
            return replace(state, outputs=state.outputs.with_({node: outputs}))
        case NodeStarted(node=node):
            # A node that runs again decides again: lfx drops its former exclusions and releases what it stopped.
            return replace(state, stopped=state.stopped.with_({node: frozenset()})) if node in state.stopped else state
        case BranchStopped(node=node, output=output):
            stopped = state.stopped.get(node, frozenset()) | {output}
            return replace(state, stopped=state.stopped.with_({node: stopped}))
        case ContextChanged(values=values):
            return replace(state, context=state.context.with_(values))
        case Token() | MessageAdded() | Log() | NodeFailed():
            return state
        case _:
            assert_never(event)


def _begun(state: State) -> Next:
    first = [step.id for step in state.wiring.plan.steps if not step.needs]
    asked = [step for step in first if not state.is_closed(step)]
    starts = tuple(state.start_of(step, 1) for step in asked)
    state = replace(state, steps=state.steps.with_({step: Asked(1) for step in asked}))
    state, commands = _past(state, [step for step in first if state.is_closed(step)])
    return state, (*starts, *commands)


def _taken_over(state: State) -> Next:
    """Another engine goes on: what was asked for and never started is asked for again."""
    phases = [(step, state.steps[step]) for step in state.running]
    return state, tuple(state.start_of(step, phase.attempt) for step, phase in phases if isinstance(phase, Asked))


def _past(state: State, over: Iterable[StepId]) -> Next:
    """These steps are over: start what waited for the last of them, and skip what is closed, and so on down."""
    changes: dict[StepId, Phase] = {}
    ready: list[StepId] = []
    passed = deque(over)
    left = state.steps_left
    while passed:
        step = passed.popleft()
        changes[step] = Over()
        left -= 1
        for waiting in state.wiring.waiting_for[step]:
            phase = changes.get(waiting) or state.steps[waiting]
            needs_left = phase.needs_left - 1 if isinstance(phase, Waiting) else 0
            if needs_left:
                changes[waiting] = Waiting(needs_left)
            elif state.is_closed(waiting):
                passed.append(waiting)
            else:
                changes[waiting] = Asked(1)
                ready.append(waiting)
    state = replace(state, steps=state.steps.with_(changes), steps_left=left)
    if not left:
        return _decided(state, FinishRun(status="succeeded"))
    return state, tuple(state.start_of(step, 1) for step in ready)


def _with_branches_closed(state: State, step: StepId) -> State:
    wiring, closed = state.wiring, state.closed
    for node in wiring.plan.by_id[step].nodes if state.stopped else ():
        if outputs := state.stopped.get(node):
            closed |= wiring.behind(node, outputs)
    return replace(state, closed=closed)


def _after_failure(state: State, failed: StepFailed, phase: Asked | Started) -> Next:
    if failed.retryable and phase.attempt < MOST_ATTEMPTS:
        again = phase.attempt + 1
        return state.with_phase(failed.step, Asked(again)), (state.start_of(failed.step, again),)
    return _decided(state.with_phase(failed.step, Over()), FinishRun.of(failed))


def _decided(state: State, verdict: FinishRun) -> Next:
    stops = tuple(StopStep(step=step) for step in state.running)
    return replace(state, verdict=verdict), (*stops, verdict)
