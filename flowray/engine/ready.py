"""Which steps become ready once others are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from flowray.engine.state import Asked, Over, Phase, State, Waiting
from flowray.plan.types import StepId


def made_ready(state: State, over: Iterable[StepId]) -> tuple[State, list[StepId]]:
    """Return the run with these steps over, and what waited for the last of them.

    What is closed is skipped, and so on down.
    """
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
    paused = state.paused - changes.keys() if state.paused else state.paused
    if state.purse is not None:
        done = state.wiring.steps_set_of(step for step, phase in changes.items() if isinstance(phase, Over))
        state = replace(state, purse=state.purse.without(done))
    return replace(state, steps=state.steps.with_(changes), steps_left=left, paused=paused), ready
