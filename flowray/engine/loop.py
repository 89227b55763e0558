"""The engine: takes requests, drives their runs, and tells what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from flowray.engine.accepted import accepted_event
from flowray.engine.advance import replay
from flowray.engine.commands import FinishRun
from flowray.engine.drive import Drive, Pace, Publish, Sleep
from flowray.engine.events import (
    CancelRequested,
    Event,
    Recorded,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    StepFailed,
)
from flowray.engine.hold import Hold
from flowray.engine.journals import LeasedJournal
from flowray.engine.ledger import LINGER_S, Durability, Ledger
from flowray.engine.ports import Journal, RunRequest, Steps
from flowray.engine.state import State
from flowray.flow.check import unfed

# How many batches of events a slow reader may lag behind before its run waits for it.
_LAG = 64


class Engine:
    """Runs requests. `name` is this engine's in the journals; `durability` and `linger_s` say how far those may lag."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        journal: Journal,
        steps: Steps,
        *,
        name: str,
        clock: Callable[[], float] = time.time,
        durability: Durability = "pipelined",
        linger_s: float = LINGER_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._steps = steps
        self._name = name
        self._clock = clock
        self._durability: Durability = durability
        self._linger_s = linger_s
        self._sleep = sleep

    def writing_to(self, journal: Journal) -> Engine:
        """The same engine, with another journal."""
        return Engine(
            journal,
            self._steps,
            name=self._name,
            clock=self._clock,
            durability=self._durability,
            linger_s=self._linger_s,
            sleep=self._sleep,
        )

    def run(self, request: RunRequest) -> AsyncGenerator[Recorded, None]:
        """The run's events as they come. Closing the generator, or cancelling who waits for it, cancels the run."""
        return self.resume(request, ())

    async def execute(self, request: RunRequest) -> tuple[Recorded, ...]:
        """Run to the end; all events."""
        told: list[Recorded] = []

        async def keep(events: Sequence[Recorded]) -> None:
            told.extend(events)

        await self._drive(request, (), keep)
        return tuple(told)

    async def resume(self, request: RunRequest, recorded: Sequence[Recorded]) -> AsyncGenerator[Recorded, None]:
        """Go on with a run whose engine is gone, from its journal; only the new events are told.

        What was finished stays finished, also inside a step that had started; what was asked for and did not start is
        asked for again. Nodes that had started and not ended go on as their terms say (see `retry`). A paused run goes
        on when its journal holds what it waits for (a RunResumed); otherwise it pauses again.
        """
        told: asyncio.Queue[Sequence[Recorded]] = asyncio.Queue(_LAG)
        driving = asyncio.create_task(
            self._drive(request, recorded, told.put, announced=True), name=f"run {request.run}"
        )
        # Wakes the reader when the run is over; a full queue wakes it anyway.
        driving.add_done_callback(lambda _: None if told.full() else told.put_nowait(()))
        try:
            while not (driving.done() and told.empty()):
                for one in await told.get():
                    yield one
            driving.result()
        finally:
            driving.cancel("The caller went away.")
            await asyncio.wait([driving])
            if not driving.cancelled():
                driving.exception()  # raised above, unless the reader had gone before

    async def drive(self, request: RunRequest, recorded: Sequence[Recorded], *, hold: Hold) -> Event | None:
        """Go on with a leased run, from its journal, to its end or pause: its last event. Only the journal is told."""
        last: list[Event] = []

        async def note(events: Sequence[Recorded]) -> None:
            last[:] = [events[-1].event]

        await self._drive(request, recorded, note, hold)
        return last[0] if last else None

    async def end(self, request: RunRequest, recorded: Sequence[Recorded], verdict: FinishRun, *, hold: Hold) -> None:
        """End a leased run without driving it: it was cancelled before its turn, or nobody can go on with it."""
        ledger = self._ledger(request, recorded, hold)
        if not recorded:
            ledger.note(accepted_event(request))
        if verdict.status == "cancelled":
            ledger.note(CancelRequested(reason=verdict.error))
        ledger.note(verdict.as_event())
        await ledger.close()

    async def _drive(
        self,
        request: RunRequest,
        past: Sequence[Recorded],
        publish: Publish,
        hold: Hold | None = None,
        *,
        announced: bool = False,
    ) -> None:
        if past and isinstance(past[-1].event, RunFinished):
            return
        state = standing(request, past)
        drive = Drive(
            request,
            state=state,
            steps=self._steps,
            ledger=self._ledger(request, past, hold, announced=announced),
            publish=publish,
            hold=hold,
            pace=Pace(left_s=self._left_s(request, past), sleep=self._sleep),
        )
        await drive.go(self._first(state) if past else [accepted_event(request), RunStarted(engine=self._name)])

    def _ledger(
        self, request: RunRequest, past: Sequence[Recorded], hold: Hold | None, *, announced: bool = False
    ) -> Ledger:
        return Ledger(
            LeasedJournal(self._journal, hold.lease) if hold else self._journal,
            tenant=request.tenant,
            run=request.run,
            durability=self._durability,
            clock=self._clock,
            past=past,
            linger_s=self._linger_s,
            announced=announced,
        )

    def _first(self, state: State) -> Sequence[Event]:
        """How this engine goes on with another's run."""
        why = "The engine that ran this step is gone."
        lost = [StepFailed(step=step, kind="lost", error=why, orphaned=True) for step in state.started]
        now = self._clock()
        due = [RunResumed(node=node) for node, until in state.alarms.items() if until <= now]
        return [RunStarted(engine=self._name), *due, *lost]

    def _left_s(self, request: RunRequest, past: Sequence[Recorded]) -> float | None:
        """How long the run may still take; while it is paused, its time does not pass."""
        limit_s = request.plan.run_wall_s
        return None if limit_s is None else max(limit_s - _ran_s(past, self._clock()), 0.0)


def standing(request: RunRequest, recorded: Sequence[Recorded]) -> State:
    """Where a run stands by its journal."""
    start = State.start(
        request.plan,
        only_nodes=request.only_nodes,
        context=request.context,
        seed=request.run,
        traffic=request.traffic if request.egress else None,
        unfed=unfed(request.flow) if request.plan.cautious else frozenset(),
    )
    return replay(start, recorded)


def _ran_s(past: Sequence[Recorded], now: float) -> float:
    """How long a run has been driven, up to now. It begins, and goes on after a pause, when an engine has it."""
    ran_s = 0.0
    since: float | None = None
    for one in past:
        if since is None and isinstance(one.event, RunStarted):
            since = one.at
        elif since is not None and isinstance(one.event, RunPaused):
            ran_s, since = ran_s + one.at - since, None
    return ran_s if since is None else ran_s + now - since
