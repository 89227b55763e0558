"""The engine's end of one lane."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from flowray.engine.caution import awaits_record
from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFailed
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow
from flowray.plan.types import Plan
from flowray.runner.asking import Answers
from flowray.stores.places import Place
from flowray_serve.lanes import address as addresses
from flowray_serve.lanes.frames import FRAME_LIMIT_BYTES, LaneError, Unframer, frame
from flowray_serve.lanes.messages import (
    Asked,
    Cancel,
    Drawing,
    Dropped,
    Happened,
    Leaving,
    Message,
    Recorded,
    Start,
    decode,
    encode,
)
from flowray_serve.lanes.privacy import require_runner
from flowray_serve.lanes.proof import HANDSHAKE_LIMIT_BYTES, Claim
from flowray_serve.lanes.questions import Replies
from flowray_serve.lanes.shelf import Shelf

_HANDSHAKE_S = 5.0
_NO_FLOW: Any = None  # the request travels without its flow and plan: they are on the shelf


class Lane(asyncio.Protocol):
    """A connection to one Runner.

    `busy` counts the steps that hold room on it, for those who share the room out. `answers` answers what steps ask
    and their Runner does not know. `on_leaving` is called when the Runner takes nothing more, which is `leaving` from
    then on; `on_end` when the connection is gone.
    """

    def __init__(
        self,
        place: Place,
        *,
        secret: bytes,
        answers: Answers,
        on_leaving: Callable[[Lane], None],
        on_end: Callable[[Lane], None],
    ) -> None:
        self.place = place
        self.busy = 0
        self.leaving = False
        self._secret = secret
        self._on_leaving = on_leaving
        self._on_end = on_end
        self._claim: Claim | None = None
        self._refused = False
        self._unframer = Unframer(HANDSHAKE_LIMIT_BYTES)
        self._calls: dict[int, asyncio.Queue[Happened]] = {}
        self._requests: dict[int, RunRequest] = {}
        # What was told of steps before their Runner has said that they began.
        self._unheard: dict[int, list[StepEvent]] = {}
        self._replies = Replies(answers, self._send)
        self._numbers = itertools.count(1)
        self._drawings: Shelf[tuple[int, int], tuple[int, Flow, Plan]] = Shelf()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        """Open the lane; `LaneError` or `OSError` when that cannot be."""
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await addresses.connect(self.place.address, lambda: self)
                await self._ready
        except BaseException:
            self.close()
            raise

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """Run a step there. Closing the generator cancels the step."""
        if self._transport is None or self._transport.is_closing():
            yield (_not_sent(step, self.place),)
            return
        number, happened = next(self._numbers), asyncio.Queue[Happened]()
        self._calls[number], self._requests[number], self._unheard[number] = happened, request, []
        self._send(Start(number, self._draw(request), replace(request, flow=_NO_FLOW, plan=_NO_FLOW), step))
        last = False
        try:
            while not last:
                _, events, last = await happened.get()
                yield (_lost(step, self.place),) if last and not events else events
                if awaits_record(request.plan, events):
                    self._send(Recorded(number))
        finally:
            del self._calls[number], self._requests[number]
            self._unheard.pop(number, None)
            self._replies.drop(number)
            if not last:
                self._send(Cancel(number))

    def close(self) -> None:
        """End the lane."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        addresses.notice_death(transport)
        if self.place.address.startswith("tls:"):
            self._require_runner(transport)

    def connection_lost(self, _: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if not self._ready.done():
            self._ready.set_exception(LaneError("The Runner closed the lane before it was open."))
        for number, happened in self._calls.items():
            happened.put_nowait(Happened(number, (), last=True))
        self._on_end(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._refused:
            return
        try:
            for payload in self._unframer.feed(data):
                self._take(payload)
        except LaneError as error:
            self._refuse(error)

    def _take(self, payload: bytes) -> None:
        if not self._ready.done():
            self._shake_hands(payload)
            return
        match decode(payload):
            case Happened(call=number) as happened if number in self._calls:
                self._hear(number, happened)
            case Asked(call=number) as asked if number in self._requests:
                self._replies.begin(self._requests[number], asked, partial(self._tell, number))
            case Dropped(call=call, number=number):
                self._replies.drop(call, number)
            case Leaving():
                self.leaving = True
                self._on_leaving(self)

    def _tell(self, number: int, event: StepEvent) -> None:
        """Put an event of what is done for a step among those that its Runner tells, after its start."""
        if number in self._unheard:
            self._unheard[number].append(event)
        elif number in self._calls:
            self._calls[number].put_nowait(Happened(number, (event,), last=False))

    def _hear(self, number: int, happened: Happened) -> None:
        if early := self._unheard.pop(number, None):
            first, *rest = happened.events
            happened = happened._replace(events=(first, *early, *rest))
        self._calls[number].put_nowait(happened)

    def _require_runner(self, transport: asyncio.BaseTransport) -> None:
        try:
            require_runner(transport, self._secret)
        except LaneError as error:
            self._refuse(error)

    def _refuse(self, error: LaneError) -> None:
        """Hear nothing more from the other end: what it says is unpickled."""
        self._refused = True
        if not self._ready.done():
            self._ready.set_exception(error)
        self.close()

    def _shake_hands(self, payload: bytes) -> None:
        if self._claim is None:
            self._claim = Claim(self._secret, payload)
            self._write(self._claim.payload)
            return
        self._claim.check(payload)
        self._unframer.limit = FRAME_LIMIT_BYTES
        self._ready.set_result(None)

    def _draw(self, request: RunRequest) -> int:
        """Return the key of the request's flow, after sending it if the Runner does not have it."""
        identity = (id(request.flow), id(request.plan))  # the shelf holds both, so no other object gets their ids
        drawn = self._drawings.get(identity)
        if drawn is not None:
            return drawn[0]
        key = next(self._numbers)
        payload = encode(Drawing(key, request.flow, request.plan))
        self._drawings.put(identity, (key, request.flow, request.plan), len(payload))
        self._write(payload)
        return key

    def _send(self, message: Message) -> None:
        self._write(encode(message))

    def _write(self, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(payload))


def _not_sent(step: StartStep, place: Place) -> StepFailed:
    error = f"Runner `{place.name}` was gone before it was given the step."
    return StepFailed(step=step.step, kind="unavailable", error=error, retryable=True)


def _lost(step: StartStep, place: Place) -> StepFailed:
    """Say that the step is lost, even if nothing was heard of it: a Runner reports in batches, so it may have run."""
    return StepFailed(step=step.step, kind="lost", error=f"Runner `{place.name}` died with the step.")
