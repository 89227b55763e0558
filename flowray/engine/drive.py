"""One run from its first event to its last: what happens is recorded, `advance` says what follows, and that is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from flowray.engine.advance import advance
from flowray.engine.caution import awaits_record
from flowray.engine.commands import Command, FinishRun, NoteDecision, PauseNode, PauseRun, StartStep, StopStep
from flowray.engine.events import (
    CancelRequested,
    Event,
    Recorded,
    RunFinished,
    RunPaused,
    RunTimedOut,
    StepEvent,
    StepFailed,
    StepFinished,
    StepPaused,
    StepStarted,
)
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.ledger import Ledger
from flowray.engine.ports import RunRequest, Steps
from flowray.engine.records import pause_of, said_by
from flowray.engine.state import State
from flowray.errors import FlowRayError
from flowray.plan.types import StepId

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[object]]
Publish = Callable[[Sequence[Recorded]], Awaitable[None]]
_END_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The time of one drive: how long the run may still take, and how time is passed between tries."""

    left_s: float | None = None
    sleep: Sleep = asyncio.sleep


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
        pace: Pace,
    ) -> None:
        self._request = request
        self._hold = hold or Hold()
        self._state = state
        self._steps = steps
        self._ledger = ledger
        self._publish = publish
        self._pace = pace
        self._paused = False
        self._untold: list[Recorded] = []
        self._one_at_a_time = asyncio.Lock()
        self._running: dict[StepId, asyncio.Task[None]] = {}
        self._beside: set[asyncio.Task[None]] = set()

    async def go(self, first: Sequence[Event]) -> None:
        """Go on from `first` to the run's end or pause.

        Cancelling cancels the run, and records that, unless it was abandoned. `RunLeftError` when whoever holds the
        run asked to leave it before it was over.
        """
        left_s = self._pace.left_s
        clock = None if left_s is None else asyncio.create_task(self._time_out(left_s), name="run limit")
        try:
            async with asyncio.TaskGroup() as self._group:
                self._hold.when_forgotten(self._write_again)
                await self._take(first)
        except asyncio.CancelledError as cancelled:
            if not self._hold.abandoned:
                await self._end_cancelled(str(cancelled))
            raise
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            if not self._hold.lease:  # what is leased is not over: whoever takes it next tries again
                await self._end_broken(error)
            raise error from None
        finally:
            if clock is not None:
                clock.cancel()
            for writing in self._beside:
                writing.cancel()
        if self._hold.leaving and self._state.verdict is None and not self._paused:
            await self._ledger.close()
            raise RunLeftError
        await self._publish([*self._untold, await self._end_of_drive()])

    def _write_again(self) -> None:
        """Whoever goes on with this run, should this engine die, needs what the store has lost of it."""
        if self._state.verdict is not None:
            return  # the end is written after all that was before it
        task = asyncio.create_task(self._ledger.write_again(), name=f"journal of run {self._request.run} again")
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _end_of_drive(self) -> Recorded:
        if self._state.verdict is None and self._paused:
            return await self._pause()
        return await self._end(self._state.verdict or _halted(self._state))

    async def _pause(self) -> Recorded:
        try:
            return await self._close(pause_of(self._state))
        except asyncio.CancelledError as cancelled:
            if not self._hold.lease:  # what is leased is let wait by who has the lease; this nobody would let go on
                await self._end_cancelled(str(cancelled))
            raise

    async def _time_out(self, after_s: float) -> None:
        """Stop all steps, in nobody's turn: who has it may wait for a reader that stands still, or for the journal."""
        await asyncio.sleep(after_s)
        if self._state.verdict is not None:
            return
        self._untold, commands = self._note([RunTimedOut(limit_s=self._request.plan.run_wall_s or after_s)])
        for command in commands:
            self._carry_out(command)

    async def _take(self, events: Sequence[Event]) -> None:
        async with self._one_at_a_time:
            if self._state.verdict is not None:
                return
            recorded, commands = self._note(events)
            try:
                await self._ledger.settle(written=awaits_record(self._request.plan, events))
                await self._publish(recorded)
            except asyncio.CancelledError:
                self._untold = [*recorded, *self._untold]  # they are on record, and come before how the time ran out
                raise
            for command in commands:
                self._carry_out(command)

    def _note(self, events: Sequence[Event]) -> tuple[list[Recorded], list[Command]]:
        recorded: list[Recorded] = []
        commands: list[Command] = []
        for event in events:
            recorded.append(self._ledger.note(event))
            self._state, follows = advance(self._state, event)
            commands.extend(follows)
        for said in said_by(commands, self._ledger.now()):
            recorded.append(self._ledger.note(said))
            self._state, _ = advance(self._state, said)
        return recorded, commands

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartStep() if self._state.verdict is not None:
                return  # it is decided, and asked for no more
            case StartStep() if self._hold.leaving:
                self._paused = False  # it stays asked for: whoever takes the run asks again, and waits for nobody
            case StartStep(step=step):
                self._paused = False
                self._running[step] = self._group.create_task(self._run_step(command), name=f"step {step}")
            case StopStep(step=step):
                if (task := self._running.get(step)) is not None:
                    task.cancel()
            case PauseRun():
                self._paused = True
            case FinishRun() | NoteDecision() | PauseNode():
                return  # noted; once all steps have let go, `go` ends the run

    async def _run_step(self, command: StartStep) -> None:
        if command.after_s:
            await self._pace.sleep(command.after_s)
        async with aclosing(told(self._steps, self._request, command)) as batches:
            async for events in batches:
                await self._take(events)

    async def _end(self, verdict: FinishRun) -> Recorded:
        facts = {"tenant": self._request.tenant, "run": self._request.run}
        log.info("Run finished", extra={"action": "run_finished", **facts, "status": verdict.status})
        return await self._close(verdict.as_event())

    async def _close(self, event: RunFinished | RunPaused) -> Recorded:
        """Record the last event of this drive, and wait until all is written."""
        last = self._ledger.note(event)
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
                if isinstance(events[-1], StepFinished | StepFailed | StepPaused):
                    return
                started = started or isinstance(events[0], StepStarted)
    except FlowRayError as error:
        why = error.message
    yield [
        StepFailed(
            step=command.step,
            kind="lost" if started else "unavailable",
            error=why,
            retryable=not started,
            attempt=command.attempt,
        )
    ]


def _halted(state: State) -> FinishRun:
    waiting = ", ".join(f"`{step.id}`" for step in state.wiring.plan.steps)
    return FinishRun(status="failed", error=f"The plan's steps wait for one another: {waiting[:200]}.")
