"""What an engine's commands, and its letting go of a run, say in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from flowray.engine.commands import Command, FinishRun, NoteDecision, PauseNode, PauseRun, StartStep, StopStep
from flowray.engine.events import Event, NodeDecided, NodePaused, RunPaused, StepQueued
from flowray.engine.state import State


def said_by(commands: Iterable[Command], now: float) -> list[Event]:
    """What commands say in the journal."""
    said: list[Event] = []
    for command in commands:
        match command:
            case StartStep():
                said.append(StepQueued(step=command.step, attempt=command.attempt, after_s=command.after_s))
            case NoteDecision():
                said.append(NodeDecided(node=command.node, decision=command.decision, why=command.why))
            case PauseNode():
                until = None if command.wait_s is None else now + command.wait_s
                said.append(NodePaused(node=command.node, request=command.request, until=until))
            case StopStep() | PauseRun() | FinishRun():
                continue
            case _:
                assert_never(command)
    return said


def pause_of(state: State) -> RunPaused:
    """What a run waits for, once all of it waits."""
    return RunPaused(request=next(iter(state.questions.values()), None), until=min(state.alarms.values(), default=None))
