"""One sandbox's questions: each is answered once, in bounded number, and none outlives its sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from flowray.errors import ChannelError, FlowRayError
from flowray.flow.types import Json
from flowray.runner.asking import Answer, Ask, NotAnsweredError
from flowray.runner.frames import BLOB_DOWN, REPLY, frame, parted
from flowray.runner.masking import Mask

log = logging.getLogger(__name__)

_AT_ONCE = 32
_AT_MOST = 20_000
_BLOBS_AT_MOST_BYTES = 256 * 1024 * 1024
# Told and not written yet: soon enough for somebody who looks from outside, late enough to be written together.
_WRITE_AFTER_S = 0.2


async def _refuse(ask: Ask) -> Answer:
    raise NotAnsweredError(f"`{ask.what[:80]}` cannot be asked for here.")


async def _drop(_: Sequence[Ask]) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Ear:
    """Who hears a sandbox: `answer` its questions, `note` what it tells. Without anybody, all questions are refused."""

    answer: Callable[[Ask], Awaitable[Answer]] = _refuse
    note: Callable[[Sequence[Ask]], Awaitable[None]] = _drop


class Inquiry:
    """What one sandbox asks. A number of 0 means that it tells, and waits for nothing.

    What was told is written before the next question is answered, and before the step ends, in the order it was told.
    `blob_bytes` is how much it was answered in blobs.
    """

    def __init__(self, ear: Ear, *, mask: Mask, send: Callable[[bytes], None]) -> None:
        self._ear = ear
        self._mask = mask
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._told: list[Ask] = []
        self._count = 0
        self._asking: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._failure: FlowRayError | None = None
        self.blob_bytes = 0

    def take(self, said: dict[str, Json], raw: bytes, content: bytes | None) -> None:
        """Take one ASK frame, parsed; `ChannelError` when there are too many."""
        self._count += 1
        if self._count > _AT_MOST:
            raise ChannelError(f"the sandbox asked more than {_AT_MOST:,} times")
        number, what = said.pop("ask", 0), said.pop("what", "")
        if type(number) is not int or type(what) is not str:
            raise ChannelError("the sandbox asked without saying what")
        if number == 0:
            # What is kept can be read later, by others of the tenant too.
            details = self._mask.json(said) if self._mask.found_in(raw) else said
            self._tell(Ask(what=what, details=details, blob=content))
            return
        if len(self._asking) >= _AT_ONCE:
            self._reply(number, ok=False, error=f"More than {_AT_ONCE} questions at a time are not answered.")
            return
        task = self._loop.create_task(self._answer(number, Ask(what=what, details=said, blob=content)), name=what[:40])
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    @property
    def quiet(self) -> bool:
        """Whether nothing is being answered and nothing is left to write."""
        return not self._asking and not self._told and self._writing is None

    async def settle(self) -> None:
        """Wait until all that was told is written; raise what could not be."""
        while self._told or self._writing is not None:
            self._write()
            if self._writing is not None:
                await asyncio.shield(self._writing)
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Give up what is still being answered, and write what was told: it has happened."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking)
        with contextlib.suppress(FlowRayError):
            await self.settle()

    def _tell(self, ask: Ask) -> None:
        self._told.append(ask)
        if self._soon is None:
            self._soon = self._loop.call_later(_WRITE_AFTER_S, self._write)

    def _write(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._writing is None and self._told:
            self._writing = self._loop.create_task(self._note_all(), name="write what was told")

    async def _note_all(self) -> None:
        try:
            while self._told:
                told, self._told = self._told, []
                await self._ear.note(told)
        except FlowRayError as error:
            self._failure = self._failure or error
        except Exception as error:
            log.exception("What a sandbox told was not written", extra={"action": "note_broken"})
            self._failure = self._failure or FlowRayError(f"What the step told was not kept: {error}")
        finally:
            self._writing = None

    async def _answer(self, number: int, ask: Ask) -> None:
        try:
            await self.settle()
            answer = await self._ear.answer(ask)
        except FlowRayError as error:
            self._reply(number, ok=False, error=error.message, code=error.code)
        except Exception:
            log.exception("A question of a sandbox broke its answer", extra={"action": "answer_broken"})
            self._reply(number, ok=False, error="The service could not answer.", code=FlowRayError.code)
        else:
            self._give(number, answer)

    def _give(self, number: int, answer: Answer) -> None:
        self.blob_bytes += len(answer.blob or b"")
        if self.blob_bytes > _BLOBS_AT_MOST_BYTES:
            self._reply(number, ok=False, error="A step is given at most 256 MiB of files.", code="too_large")
            return
        for data in _frames(number, answer):
            self._send(data)

    def _reply(self, number: int, **facts: Json) -> None:
        self._send(frame(REPLY, orjson.dumps({"ask": number, **facts})))


def _frames(number: int, answer: Answer) -> Iterator[bytes]:
    payload = orjson.dumps({"ask": number, "ok": True, "value": answer.value, "blob": answer.blob is not None})
    if answer.blob is not None:
        yield from parted(BLOB_DOWN, answer.blob)
    yield from parted(REPLY, payload)
