"""What happens in a run, in as few words as a test needs."""

from __future__ import annotations

from collections.abc import Iterable

from flowray.engine.advance import advance
from flowray.engine.commands import Command, StartStep
from flowray.engine.events import (
    BranchStopped,
    Event,
    NodeFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepStarted,
)
from flowray.engine.state import State
from flowray.engine.values import Value
from flowray.flow.types import NodeId
from flowray.plan.types import Plan, StepId

Commands = tuple[Command, ...]


def text(content: str) -> Value:
    return Value(type="text", json=content)


def started(step: str, attempt: int = 1) -> StepStarted:
    return StepStarted(step=StepId(step), attempt=attempt, runner="runner-1")


def finished(step: str) -> StepFinished:
    return StepFinished(step=StepId(step))


def gave(node: str, *, out: str) -> NodeFinished:
    return NodeFinished(node=NodeId(node), outputs={"out": text(out)})


def closed(node: str, output: str = "out", *, lasting: bool = False) -> BranchStopped:
    return BranchStopped(node=NodeId(node), output=output, nodes=(), lasting=lasting)


def failed(step: str, error: str = "boom", *, retryable: bool = False) -> StepFailed:
    return StepFailed(
        step=StepId(step), kind="unavailable" if retryable else "component", error=error, retryable=retryable
    )


def begun(plan: Plan, *events: Event, only: Iterable[str] | None = None) -> tuple[State, Commands]:
    """A run of `plan` to which these things happened, and what followed from the last of them."""
    state = State.start(plan, only_nodes=None if only is None else frozenset(map(NodeId, only)))
    return after(state, RunStarted(engine="engine-1"), *events)


def after(state: State, *events: Event) -> tuple[State, Commands]:
    """The run after these events, and what followed from the last of them."""
    commands: Commands = ()
    for event in events:
        state, commands = advance(state, event)
    return state, commands


def starts(commands: Commands) -> list[str]:
    """The steps to start, in order; anything else to do is a surprise."""
    assert all(isinstance(command, StartStep) for command in commands), commands
    return [command.step for command in commands if isinstance(command, StartStep)]
