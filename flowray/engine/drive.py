"""One run from its first event to its last: what happens is recorded, `advance` says what follows, and that is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from flowray.engine.advance import advance
from flowray.engine.commands import Command, FinishRun, StartStep, StopStep
from flowray.engine.events import (
    CancelRequested,
    Event,
    Recorded,
    StepEvent,
    StepFailed,
    StepFinished,
    StepQueued,
    StepStarted,
)
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.ledger import Ledger
from flowray.engine.ports import RunRequest, Steps
from flowray.engine.state import State
from flowray.errors import FlowRayError
from flowray.plan.types import StepId

log = logging.getLogger(__name__)

Publish = Callable[[Sequence[Recorded]], Awaitable[None]]
# Long enough for a runner to come back from a restart, short enough for whoever waits for the answer.
RETRY_PAUSES_S = (0.1, 1.0)
_END_S = 10.0


class Drive:
    """Drives one run. `publish` gets the events once they are as safe as the ledger makes them."""

    def __init__(  # noqa: PLR0913 - what a run is made of; each is used on its own
        self,
        request: RunRequest,
        *,
        state: State,
        steps: Steps,
        ledger: Ledger,
        publish: Publish,
        hold: Hold | None = None,
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self._request = request
        self._hold = hold or Hold()
        self._state = state
        self._steps = steps
        self._ledger = ledger
        self._publish = publish
        self._retry_pauses_s = retry_pauses_s
        self._one_at_a_time = asyncio.Lock()
        self._running: dict[StepId, asyncio.Task[None]] = {}

    async def go(self, first: Sequence[Event]) -> None:
        """Go on from `first` to the run's end. Cancelling cancels the run, and records that, unless it was abandoned.

        `RunLeftError` when whoever holds the run asked to leave it before it was over.
        """
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._take(first)
        except asyncio.CancelledError as cancelled:
            if not self._hold.abandoned:
                await self._end_cancelled(str(cancelled))
            raise
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            await self._end_broken(error)
            raise error from None
        if self._hold.leaving and self._state.verdict is None:
            await self._ledger.close()
            raise RunLeftError
        last = await self._end(self._state.verdict or _halted(self._state))
        await self._publish([last])

    async def _take(self, events: Sequence[Event]) -> None:
        async with self._one_at_a_time:
            if self._state.verdict is not None:
                return
            recorded, commands = self._note(events)
            await self._ledger.settle()
            await self._publish(recorded)
            for command in commands:
                self._carry_out(command)

    def _note(self, events: Sequence[Event]) -> tuple[list[Recorded], list[Command]]:
        recorded: list[Recorded] = []
        commands: list[Command] = []
        for event in events:
            recorded.append(self._ledger.note(event))
            self._state, follows = advance(self._state, event)
            commands.extend(follows)
        starts = (command for command in commands if isinstance(command, StartStep))
        recorded.extend(self._ledger.note(StepQueued(step=start.step, attempt=start.attempt)) for start in starts)
        return recorded, commands

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartStep() if self._hold.leaving:
                return  # it stays asked for, and whoever takes the run asks again
            case StartStep(step=step):
                self._running[step] = self._group.create_task(self._run_step(command), name=f"step {step}")
            case StopStep(step=step):
                if (task := self._running.get(step)) is not None:
                    task.cancel()
            case FinishRun():
                return  # once all steps have let go, `go` ends the run

    async def _run_step(self, command: StartStep) -> None:
        if command.attempt > 1:
            await asyncio.sleep(self._retry_pauses_s[command.attempt - 2])
        async with aclosing(told(self._steps, self._request, command)) as batches:
            async for events in batches:
                await self._take(events)

    async def _end(self, verdict: FinishRun) -> Recorded:
        last = self._ledger.note(verdict.as_event())
        facts = {"tenant": self._request.tenant, "run": self._request.run}
        log.info("Run finished", extra={"action": "run_finished", **facts, "status": verdict.status})
        closing = asyncio.create_task(self._ledger.close(), name=f"end of run {self._request.run}")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            # Whoever cancels a run that is ending waits for its end, but not for ever.
            await asyncio.wait([closing], timeout=_END_S)
            raise
        return last

    async def _end_cancelled(self, reason: str) -> None:
        if self._state.verdict is None:
            self._note([CancelRequested(reason=reason)])
        await self._end(self._state.verdict or _halted(self._state))

    async def _end_broken(self, error: Exception) -> None:
        """Record the end of a run that the engine itself could not go on with, if the journal still takes it."""
        try:
            await self._end(FinishRun(status="failed", error=f"FlowRay could not go on with the run: {error}"))
        except FlowRayError as again:
            facts = {"tenant": self._request.tenant, "run": self._request.run, "reason": again.message}
            log.warning("Run not recorded", extra={"action": "run_not_recorded", **facts})


async def told(steps: Steps, request: RunRequest, command: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
    """What `steps` tells of one step, with exactly one end whatever happens to whoever tells it."""
    started = False
    why = "The runner went silent before the end of the step."
    try:
        async with aclosing(steps.run(request, command)) as batches:
            async for events in batches:
                if not events:
                    continue
                yield events
                if isinstance(events[-1], StepFinished | StepFailed):
                    return
                started = started or isinstance(events[0], StepStarted)
    except FlowRayError as error:
        why = error.message
    yield [StepFailed(step=command.step, kind="lost" if started else "unavailable", error=why, retryable=not started)]


def _halted(state: State) -> FinishRun:
    waiting = ", ".join(f"`{step.id}`" for step in state.wiring.plan.steps)
    return FinishRun(status="failed", error=f"The plan's steps wait for one another: {waiting[:200]}.")
