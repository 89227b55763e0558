"""What steps ask of their engine, and its answers, over the lane that the steps came on."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flowray.engine.events import StepEvent
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.runner.asking import Answer, Answers, Ask
from flowray_serve.lanes.messages import Answered, Asked, Dropped, Message

log = logging.getLogger(__name__)

Send = Callable[[Message], None]


class Questions:
    """The Runner's end: questions under way on one lane."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    def of(self, call: int) -> Answers:
        """Who answers the questions of this call."""
        return _Caller(self, call)

    async def put(self, call: int, ask: Ask) -> Answer:
        """Ask the engine, and wait."""
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._send(Asked(call, number, ask))
        try:
            return await answer
        except asyncio.CancelledError:
            self._send(Dropped(call, number))
            raise
        finally:
            del self._waiting[number]

    def hear(self, answered: Answered) -> None:
        """Take an answer; nobody may be waiting for it any more."""
        waiting = self._waiting.get(answered.number)
        if waiting is None or waiting.done():
            return
        if answered.error is not None:
            waiting.set_exception(answered.error)
        else:
            waiting.set_result(answered.answer or Answer())

    def close(self) -> None:
        """The lane is gone, and all who could answer with it."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(RunnerUnavailableError("The engine of this step is gone."))


@dataclass(frozen=True)
class _Caller:
    """One call's way to ask. The engine knows whose call it is: nothing of the request goes back to it."""

    questions: Questions
    call: int

    async def answer(self, _: RunRequest, ask: Ask) -> Answer:
        """See `flowray.runner.asking.Answers`."""
        return await self.questions.put(self.call, ask)

    async def note(self, _: RunRequest, told: Sequence[Ask]) -> None:
        """See `flowray.runner.asking.Answers`: what is told is kept by Runners."""


class Replies:
    """The engine's end: answers under way for the calls of one lane."""

    def __init__(self, answers: Answers, send: Send) -> None:
        self._answers = answers
        self._send = send
        self._under_way: dict[tuple[int, int], asyncio.Task[None]] = {}

    def begin(self, request: RunRequest, asked: Asked, tell: Callable[[StepEvent], None]) -> None:
        """Answer a question in the name of the request that its call is about."""
        asked = asked._replace(ask=replace(asked.ask, tell=tell))
        task = asyncio.create_task(self._answer(request, asked), name=f"answer `{asked.ask.what[:40]}`")
        key = (asked.call, asked.number)
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))

    def drop(self, call: int, number: int | None = None) -> None:
        """Give up an answer, or all of a call."""
        for (of_call, of_number), task in tuple(self._under_way.items()):
            if of_call == call and number in (None, of_number):
                task.cancel()

    async def _answer(self, request: RunRequest, asked: Asked) -> None:
        try:
            answer = await self._answers.answer(request, asked.ask)
        except FlowRayError as error:
            self._send(Answered(asked.call, asked.number, None, error))
        except Exception:
            log.exception("A question broke its answer", extra={"action": "answer_broken", "run": request.run})
            broken = FlowRayError("The service could not answer.")
            self._send(Answered(asked.call, asked.number, None, broken))
        else:
            self._send(Answered(asked.call, asked.number, answer, None))
