"""The Runner's end of its lanes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, cast

from flowray.engine.caution import awaits_record
from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFailed, StepFinished, StepPaused
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow
from flowray.plan.types import Plan
from flowray.runner.asking import Answers
from flowray_serve.lanes import address as addresses
from flowray_serve.lanes.frames import FRAME_LIMIT_BYTES, LaneError, Unframer, frame
from flowray_serve.lanes.messages import (
    Answered,
    Cancel,
    Drawing,
    Happened,
    Leaving,
    Message,
    Recorded,
    Start,
    decode,
    encode,
)
from flowray_serve.lanes.proof import HANDSHAKE_LIMIT_BYTES, Challenge
from flowray_serve.lanes.questions import Questions
from flowray_serve.lanes.shelf import Shelf

log = logging.getLogger(__name__)


class AskingSteps(Protocol):
    """Steps that may ask something."""

    def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        """See `flowray.engine.ports.Steps`; `otherwise` answers what cannot be answered here."""


class LaneServer:
    """Offers `steps` to every engine that knows the secret."""

    def __init__(self, steps: AskingSteps, *, secret: bytes) -> None:
        self.steps = steps
        self.secret = secret
        self.lanes: set[_EngineLane] = set()
        self.leaving = False
        self._server: asyncio.Server | None = None

    async def listen(self, address: str) -> str:
        """Open for engines; return the address to announce."""
        self._server, announced = await addresses.listen(address, lambda: _EngineLane(self), secret=self.secret)
        return announced

    @property
    def running(self) -> int:
        """How many steps are running."""
        return sum(len(lane.calls) for lane in self.lanes)

    async def drain(self, *, within_s: float) -> None:
        """Take nothing new; wait for what runs."""
        self.leaving = True
        for lane in self.lanes:
            lane.send(Leaving())
        calls = [call for lane in self.lanes for call in lane.calls.values()]
        if calls:
            await asyncio.wait(calls, timeout=within_s)

    async def close(self) -> None:
        """End all lanes and cancel what runs."""
        if self._server is not None:
            self._server.close()
        calls = [call for lane in self.lanes for call in lane.calls.values()]
        for lane in tuple(self.lanes):
            lane.close()
        if calls:
            await asyncio.wait(calls)


class _EngineLane(asyncio.Protocol):
    """The lane of one engine. What the engine asked for dies with it: its journal is what outlives it."""

    def __init__(self, server: LaneServer) -> None:
        self.calls: dict[int, asyncio.Task[None]] = {}
        self._server = server
        self._challenge = Challenge(server.secret)
        self._proven = False
        self._unframer = Unframer(HANDSHAKE_LIMIT_BYTES)
        self._drawings: Shelf[int, tuple[Flow, Plan]] = Shelf()
        self._questions = Questions(self.send)
        self._records: dict[int, asyncio.Event] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        addresses.notice_death(transport)
        self._transport = cast("asyncio.Transport", transport)
        self._write(self._challenge.nonce)

    def connection_lost(self, _: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._server.lanes.discard(self)
        self._writable.set()
        self._questions.close()
        for call in self.calls.values():
            call.cancel()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            for payload in self._unframer.feed(data):
                self._take(payload)
        except LaneError as error:
            log.warning("Lane refused", extra={"action": "lane_refused", "reason": str(error)})
            self.close()

    def send(self, message: Message) -> None:
        """Tell the engine; a lane that is gone takes the message with it."""
        self._write(encode(message))

    def close(self) -> None:
        """End the lane once what was said is out."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, payload: bytes) -> None:
        if not self._proven:
            self._welcome(payload)
            return
        match decode(payload):
            case Drawing(key=key, flow=flow, plan=plan):
                self._drawings.put(key, (flow, plan), len(payload))
            case Start(drawing=key) as start:
                # Looked up in the order of the messages, as the engine did; in the step's task, that is later or never.
                self._begin(start, self._drawings.get(key))
            case Cancel(call=call) if call in self.calls:
                self.calls[call].cancel()
            case Recorded(call=call) if call in self._records:
                self._records[call].set()
            case Answered() as answered:
                self._questions.hear(answered)

    def _begin(self, start: Start, drawing: tuple[Flow, Plan] | None) -> None:
        if self._server.leaving:
            self.send(Happened(start.call, (_too_late(start),), last=True))
            return
        name = f"step {start.step.step} of {start.request.run}"
        self.calls[start.call] = task = asyncio.create_task(self._carry_out(start, drawing), name=name)
        task.add_done_callback(lambda _: self.calls.pop(start.call, None))

    def _welcome(self, payload: bytes) -> None:
        self._write(self._challenge.answer(payload))
        self._proven = True
        self._unframer.limit = FRAME_LIMIT_BYTES
        self._server.lanes.add(self)
        if self._server.leaving:
            self.send(Leaving())

    def _write(self, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(payload))

    async def _carry_out(self, start: Start, drawing: tuple[Flow, Plan] | None) -> None:
        try:
            otherwise = self._questions.of(start.call)
            request = _whole(start, drawing)
            happening = self._server.steps.run(request, start.step, otherwise=otherwise)
            async with aclosing(happening):
                async for events in happening:
                    happened = Happened(start.call, tuple(events), _is_end(events))
                    if awaits_record(request.plan, events):
                        await self._tell_for_record(happened)
                    else:
                        await self._tell(happened)
        except Exception as error:
            log.exception("Step broke its Runner", extra={"action": "step_broke_runner", "run": start.request.run})
            failure = StepFailed(step=start.step.step, kind="lost", error=f"The Runner failed: {error}")
            self.send(Happened(start.call, (failure,), last=True))

    async def _tell(self, happened: Happened) -> None:
        """Tell the engine; wait until the lane has room for more."""
        self.send(happened)
        await self._writable.wait()

    async def _tell_for_record(self, happened: Happened) -> None:
        """Tell the engine; wait until it says that this is on record. A lane that ends ends the call."""
        # Registered before it is told: the engine may say so while the lane is still full of what others told.
        self._records[happened.call] = recorded = asyncio.Event()
        try:
            await self._tell(happened)
            await recorded.wait()
        finally:
            del self._records[happened.call]


def _whole(start: Start, drawing: tuple[Flow, Plan] | None) -> RunRequest:
    if drawing is None:
        raise LaneError("The engine started a step of a flow that it never sent.")
    flow, plan = drawing
    return replace(start.request, flow=flow, plan=plan)


def _too_late(start: Start) -> StepFailed:
    return StepFailed(step=start.step.step, kind="unavailable", error="The Runner is going away.", retryable=True)


def _is_end(events: Sequence[StepEvent]) -> bool:
    return bool(events) and isinstance(events[-1], StepFinished | StepFailed | StepPaused)
