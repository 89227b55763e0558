"""What follows from an event: the engine as one pure function, `State + Event -> State + Commands`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from flowray.engine.bereft import bereft
from flowray.engine.commands import Command, FinishRun, PauseNode, PauseRun, StartStep, StopStep
from flowray.engine.events import (
    BranchStopped,
    CancelRequested,
    ChildStarted,
    ConnectionEnded,
    ContextChanged,
    Event,
    Log,
    MessageAdded,
    ModelUsed,
    NodeDecided,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    Recorded,
    RunAccepted,
    RunEvent,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
    StepEnd,
    StepFailed,
    StepFinished,
    StepPaused,
    StepQueued,
    StepStarted,
    Token,
)
from flowray.engine.ready import made_ready
from flowray.engine.remains import closed_now, is_done, remains, start_of
from flowray.engine.retry import EFFECT, MOST_UNSTARTED, again, decided_by_person, pause_s
from flowray.engine.state import Asked, Over, Paused, Started, State
from flowray.flow.types import NodeId
from flowray.plan.types import StepId

_Telling = NodeStarted | NodeFinished | NodeFailed | NodePaused | BranchStopped | ContextChanged
Next = tuple[State, tuple[Command, ...]]
_UNSTARTED_PAUSE_S = 0.1


def advance(state: State, event: Event) -> Next:
    """The state after `event`, and what to do about it. Once a run is decided, nothing follows from anything."""
    if state.verdict is not None:
        return state, ()
    match event:
        case StepStarted() | StepFinished() | StepFailed() | StepPaused():
            return _after_step_event(state, event)
        case StepQueued() | NodeDecided() | Token() | MessageAdded() | Log() | ModelUsed() | ChildStarted():
            return state, ()
        case (
            RunAccepted()
            | RunStarted()
            | RunPaused()
            | RunResumed()
            | RunTimedOut()
            | CancelRequested()
            | RunFinished()
        ):
            return _after_run_event(state, event)
        case ConnectionEnded():
            return (state if state.purse is None else replace(state, purse=state.purse.used(event))), ()
        case _:
            return _after_node_event(state, event), ()


def replay(state: State, recorded: Iterable[Recorded]) -> State:
    """The state after all these events. The commands are dropped: what they asked for was done, or is asked anew."""
    for one in recorded:
        state, _ = advance(state, one.event)
    return state


def _after_run_event(state: State, event: RunEvent) -> Next:
    match event:
        case RunStarted():
            return _taken_over(state) if state.begun else _begun(replace(state, begun=True))
        case CancelRequested(reason=reason):
            return _decided(state, FinishRun(status="cancelled", kind="cancelled", error=reason))
        case RunTimedOut(limit_s=limit_s):
            error = f"The run took longer than its limit of {limit_s:g} s."
            return _decided(state, FinishRun(status="failed", kind="timeout", error=error))
        case RunFinished():
            return replace(state, verdict=FinishRun.of(event)), ()
        case RunResumed():
            return _resumed(state, event)
        case RunAccepted() | RunPaused():
            return state, ()
        case _:
            assert_never(event)


def _after_step_event(state: State, event: StepStarted | StepEnd) -> Next:
    phase = state.steps.get(event.step)
    if not isinstance(phase, Asked | Started) or event.attempt not in (0, phase.attempt):
        return state, ()
    match event:
        case StepStarted(step=step):
            return state.with_phase(step, Started(phase.attempt, phase.later)), ()
        case StepFinished() | StepPaused():
            return _after_part(_returned(state, event.step), event.step, phase)
        case StepFailed():
            return _after_failure(_returned(state, event.step), event, phase)
        case _:
            assert_never(event)


def _returned(state: State, step: StepId) -> State:
    return state if state.purse is None else replace(state, purse=state.purse.returned(step))


def _after_node_event(state: State, event: _Telling) -> State:
    match event:
        case NodeStarted(node=node):
            state = replace(state, at_work=state.at_work.with_({node: True}))
            # A node that runs again decides again: lfx drops its former exclusions and releases what it stopped.
            return _stopped(state, node, frozenset()) if node in state.stopped else state
        case NodeFinished(node=node, outputs=outputs):
            ended = state.at_work.with_({node: False})
            return replace(state, outputs=state.outputs.with_({node: outputs}), at_work=ended)
        case NodeFailed(node=node):
            return replace(state, at_work=state.at_work.with_({node: False}))
        case NodePaused():
            return _asking(state, event)
        case BranchStopped(node=node, output=output):
            return _stopped(state, node, state.stopped.get(node, frozenset()) | {output})
        case ContextChanged(values=values):
            return replace(state, context=state.context.with_(values))
        case _:
            assert_never(event)


def _stopped(state: State, node: NodeId, outputs: frozenset[str]) -> State:
    return replace(state, stopped=state.stopped.with_({node: outputs}))


def _asking(state: State, event: NodePaused) -> State:
    request = event.request if event.request is not None else {"until": event.until}
    state = replace(state, asked=state.asked.with_({event.node: request}))
    if state.at_work.get(event.node):
        state = replace(state, at_work=state.at_work.with_({event.node: None}))
    if event.state is None:
        return state
    return replace(state, states=state.states.with_({event.node: event.state}))


def _begun(state: State) -> Next:
    first = [step.id for step in state.wiring.plan.steps if not step.needs]
    state, starts = _launched(state, [(step, 1) for step in first if not state.is_closed(step)])
    if state.verdict is not None:
        return state, starts  # all that is to run had finished in the run that this one repeats
    state, commands = _past(state, [step for step in first if state.is_closed(step)])
    return _settled(state, (*starts, *commands))


def _taken_over(state: State) -> Next:
    """Another engine goes on: what was asked for and never started is asked for again, and what to ask people, too."""
    asked = [(step, phase) for step in state.running if isinstance(phase := state.steps[step], Asked)]
    waiting = [(step, phase.attempt) for step in state.paused if isinstance(phase := state.steps[step], Paused)]
    starts: list[Command] = []
    for step, phase in asked:
        state, start = start_of(state, step, phase.attempt, remains(state, step))
        starts.append(start)
    state, commands = _launched(state, waiting)
    return _settled(state, (*starts, *commands))


def _launched(state: State, steps: Iterable[tuple[StepId, int]], *, after_s: float = 0.0) -> Next:
    """Run what can run of these steps, and what comes after those of which nothing is left."""
    state, commands, over = _tried(state, steps, after_s=after_s)
    if not over:
        return state, commands
    state, more = _past(state, over)
    return state, (*commands, *more)


def _tried(
    state: State, steps: Iterable[tuple[StepId, int]], *, after_s: float = 0.0
) -> tuple[State, tuple[Command, ...], list[StepId]]:
    """Run what can run of these steps; a step of which nothing can run for now waits, without a sandbox.

    The last of the three are the steps of which nothing is left: they are over, which the state does not say yet.
    """
    commands: list[Command] = []
    over: list[StepId] = []
    for step, attempt in steps:
        left = remains(state, step)
        if left.run:
            state = state.with_phase(step, Asked(attempt, later=left.later))
            state, start = start_of(state, step, attempt, left, after_s=after_s)
            commands.append(start)
        elif left.later:
            state = state.with_phase(step, Paused(attempt))
            unasked = sorted(node for node in left.waiting if state.asked.get(node) is None)
            terms = state.wiring.plan.terms_of
            commands += [PauseNode(node=node, wait_s=terms(node).wait_s) for node in unasked]
        else:
            state = _with_branches_closed(state, step)
            over.append(step)
    return state, tuple(commands), over


def _past(state: State, over: Iterable[StepId]) -> Next:
    """These steps are over: start what waited for them, and go on past what of that is over as well."""
    commands: list[Command] = []
    while True:
        state, ready = made_ready(state, over)
        if not state.steps_left:
            state, end = _decided(state, FinishRun(status="succeeded"))
            return state, (*commands, *end)
        state, starts, over = _tried(state, [(step, 1) for step in ready])
        commands += starts
        if not over:
            return state, tuple(commands)


def _after_part(state: State, step: StepId, phase: Asked | Started) -> Next:
    """A sandbox did what it was given. What was left out of it may be able to run now, or has to wait on."""
    if not phase.later and not state.asked:
        return _settled(*_past(_with_branches_closed(state, step), [step]))
    left = remains(state, step)
    held = phase.later | left.later
    rest = [node for node in left.run - held if not is_done(state, node)]
    state = _with_branches_closed(replace(state, passed=state.passed | state.wiring.set_of(rest)), step)
    return _settled(*_launched(state, [(step, phase.attempt + 1)]))


def _with_branches_closed(state: State, step: StepId) -> State:
    return replace(state, closed=state.closed | closed_now(state, state.wiring.plan.by_id[step].nodes) & ~state.passed)


def _after_failure(state: State, failed: StepFailed, phase: Asked | Started) -> Next:
    step, attempt = failed.step, phase.attempt + 1
    if failed.retryable:
        unstarted = phase.unstarted + 1 if isinstance(phase, Asked) else 1
        if unstarted >= MOST_UNSTARTED:
            return _decided(state.with_phase(step, Over()), FinishRun.of(failed))
        after_s = pause_s(_UNSTARTED_PAUSE_S, unstarted, f"{state.seed}/{step}/{attempt}")
        state = state.with_phase(step, Asked(attempt, unstarted, phase.later))
        state, start = start_of(state, step, attempt, remains(state, step), after_s=after_s)
        return state, (start,)
    going_on = again(state, failed, phase.attempt)
    if going_on is None:
        return _decided(state.with_phase(step, Over()), FinishRun.of(failed))
    state = going_on.state
    end = bereft(state, [one.node for one in going_on.decisions if one.decision == "skip"])
    if end is not None:
        state, commands = _decided(state.with_phase(step, Over()), end)
        return state, (*going_on.decisions, *commands)
    for ask in going_on.asks:
        state = replace(state, asked=state.asked.with_({ask.node: ask.request}))
    state, commands = _launched(state, [(step, attempt)], after_s=going_on.after_s)
    return _settled(state, (*going_on.decisions, *going_on.asks, *commands))


def _resumed(state: State, event: RunResumed) -> Next:
    """Somebody answered, or the time has come."""
    node = event.node
    request = None if node is None else state.asked.get(node)
    if node is None or request is None:
        return state, ()
    state = replace(state, asked=state.asked.with_({node: None}), woken=state.woken | {node})
    if node in state.at_work:
        state = replace(state, at_work=state.at_work.with_({node: None}))
    if event.request_id and request.get("kind") == EFFECT:
        state, end = decided_by_person(state, node, event.decision)
        if end is not None:
            return _decided(state, end)
    elif event.request_id:
        state = replace(state, answers=state.answers.with_({event.request_id: event.decision}))
    step = state.wiring.plan.step_of[node]
    phase = state.steps[step]
    if not isinstance(phase, Paused):
        return state, ()
    return _settled(*_launched(state, [(step, phase.attempt)]))


def _settled(state: State, commands: tuple[Command, ...]) -> Next:
    """When all that is left waits for decisions or times, the run is let go."""
    if not state.paused or state.verdict is not None or any(isinstance(one, StartStep) for one in commands):
        return state, commands
    return (state, commands) if state.running else (state, (*commands, PauseRun()))


def _decided(state: State, verdict: FinishRun) -> Next:
    stops = tuple(StopStep(step=step) for step in state.running)
    return replace(state, verdict=verdict), (*stops, verdict)
