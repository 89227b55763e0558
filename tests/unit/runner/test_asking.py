from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import StepFailed, StepFinished
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError, NotFoundError, StoreUnavailableError
from flowray.runner import frames
from flowray.runner.asking import Answer, Ask, Desk
from flowray.runner.frames import Caps, frame
from flowray.runner.runner import Runner
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import Peer
from tests.unit.runner.steps import STEP, A, events_of, last_of, request_of


def ask(number: int, what: str, **details: Any) -> bytes:
    return frame(frames.ASK, orjson.dumps({"ask": number, "what": what, **details}))


async def reply(peer: Peer) -> dict[str, Any]:
    _, payload = await peer.frame()
    return dict(orjson.loads(payload))


class Notebook:
    """Keeps what is told, and reads it out."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.tenants: list[str] = []
        self.refuses: FlowRayError | None = None

    async def read(self, request: RunRequest, asked: Ask) -> Answer:
        self.tenants.append(request.tenant)
        return Answer(value={"lines": list(self.lines), "asked": dict(asked.details)})

    async def write(self, _: RunRequest, told: Sequence[Ask]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.lines.extend(one.details["line"] for one in told)

    @property
    def desk(self) -> Desk:
        return Desk({"read": self.read}, {"write": self.write})


async def test_an_answer_is_given_for_the_tenant_of_the_run_whatever_the_frame_says(runner_with: Started) -> None:
    notebook, replies = Notebook(), []

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(1, "read", tenant="other"))
        replies.append(await reply(peer))
        await peer.result()

    await events_of(await runner_with(script, desk=notebook.desk))

    assert replies == [{"ask": 1, "ok": True, "value": {"lines": [], "asked": {"tenant": "other"}}, "blob": False}]
    assert notebook.tenants == ["acme"]


async def test_what_was_told_before_a_question_is_known_to_its_answer(runner_with: Started) -> None:
    notebook, replies = Notebook(), []

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(0, "write", line=1) + ask(0, "write", line=2) + ask(7, "read"))
        replies.append(await reply(peer))
        await peer.result()

    await events_of(await runner_with(script, desk=notebook.desk))

    assert replies[0]["value"]["lines"] == [1, 2]


async def test_what_was_told_is_kept_before_the_step_ends(runner_with: Started) -> None:
    notebook = Notebook()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(0, "write", line="last words"))
        await peer.result()

    events = await events_of(await runner_with(script, desk=notebook.desk))

    assert isinstance(events[-1], StepFinished)
    assert notebook.lines == ["last words"]


async def cancelled_after_telling(runner: Runner) -> None:
    """Run a step as far as it has told something, and no further."""
    async with aclosing(runner.run(request_of(), StartStep(step=STEP))) as batches:
        async for _ in batches:
            return


async def telling(peer: Peer) -> None:
    await peer.spec()
    await peer.send(ask(0, "write", line="it has happened"))
    await peer.event("node_started")
    await peer.frame()
    await peer.error(kind="cancelled", error="stopped")


async def test_what_a_cancelled_step_told_is_kept_before_its_runner_is_closed(runner_with: Started) -> None:
    notebook = Notebook()

    async def slow(request: RunRequest, told: Sequence[Ask]) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        await notebook.write(request, told)

    runner = await runner_with(telling, desk=Desk({}, {"write": slow}))
    await cancelled_after_telling(runner)

    await runner.close()

    assert notebook.lines == ["it has happened"]


async def test_a_runner_closes_also_when_what_was_told_cannot_be_written(
    runner_with: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = asyncio.Event()

    async def stuck(_: RunRequest, __: Sequence[Ask]) -> None:
        await store.wait()

    monkeypatch.setattr("flowray.runner.runner._WRITE_S", 0.01)
    runner = await runner_with(telling, desk=Desk({}, {"write": stuck}))
    await cancelled_after_telling(runner)

    await asyncio.wait_for(runner.close(), 5)

    assert "told was cut off" in caplog.text
    store.set()


async def test_a_step_whose_words_cannot_be_kept_fails(runner_with: Started) -> None:
    notebook = Notebook()
    notebook.refuses = StoreUnavailableError("The store did not answer.")

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(0, "write", line=1))
        await peer.result()

    failed = await last_of(await runner_with(script, desk=notebook.desk))

    assert failed.kind == "lost"
    assert "The store did not answer." in failed.error


async def test_a_step_that_tells_what_nobody_would_keep_fails_for_good(runner_with: Started) -> None:
    notebook = Notebook()
    notebook.refuses = InvalidRequestError("A chat message has more than a megabyte.")

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(0, "write", line=1))
        await peer.result()

    failed = await last_of(await runner_with(script, desk=notebook.desk))

    assert (failed.kind, failed.node) == ("component", A)
    assert "more than a megabyte" in failed.error


async def test_what_is_kept_holds_no_secret(runner_with: Started) -> None:
    notebook = Notebook()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(0, "write", line="the key is sk-12345"))
        await peer.result()

    await events_of(await runner_with(script, desk=notebook.desk), request_of(variables={"KEY": "sk-12345"}))

    assert notebook.lines == ["the key is *****"]


async def test_an_error_is_told_to_who_asked_and_the_step_goes_on(runner_with: Started) -> None:
    replies = []

    async def missing(request: RunRequest, asked: Ask) -> Answer:
        raise NotFoundError("There is no such flow.")

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(1, "flow"))
        replies.append(await reply(peer))
        await peer.result()

    events = await events_of(await runner_with(script, desk=Desk({"flow": missing})))

    assert replies == [{"ask": 1, "ok": False, "error": "There is no such flow.", "code": "not_found"}]
    assert isinstance(events[-1], StepFinished)


async def test_bytes_go_both_ways_beside_the_question_and_the_answer(runner_with: Started) -> None:
    heard = []

    async def echo(request: RunRequest, asked: Ask) -> Answer:
        return Answer(value={"size": len(asked.blob or b"")}, blob=(asked.blob or b"")[::-1])

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(frame(frames.BLOB, b"abc") + ask(1, "echo", blob=0))
        heard.append(await peer.frame())
        heard.append((0, orjson.dumps(await reply(peer))))
        await peer.result()

    await events_of(await runner_with(script, desk=Desk({"echo": echo})))

    assert heard[0] == (frames.BLOB_DOWN, b"cba")
    assert orjson.loads(heard[1][1]) == {"ask": 1, "ok": True, "value": {"size": 3}, "blob": True}


async def test_more_questions_at_a_time_than_are_answered_are_refused(runner_with: Started) -> None:
    replies: list[dict[str, Any]] = []

    async def never(request: RunRequest, asked: Ask) -> Answer:
        await asyncio.Event().wait()
        return Answer()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(b"".join(ask(number, "wait") for number in range(1, 34)))
        replies.append(await reply(peer))
        await peer.result()

    await events_of(await runner_with(script, desk=Desk({"wait": never})))

    assert replies[0]["ask"] == 33
    assert "at a time" in replies[0]["error"]


@pytest.mark.parametrize(
    "payload", [b'{"ask":"1","what":"x"}', b'{"ask":1,"what":2}', b'{"ask":1,"what":"x","blob":4}']
)
async def test_a_question_without_sense_breaks_the_rules(runner_with: Started, payload: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(frame(frames.ASK, payload))
        await peer.forever()

    assert (await last_of(await runner_with(script))).kind == "protocol"


async def test_the_answer_to_a_step_that_is_gone_is_given_up(runner_with: Started) -> None:
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def slow(request: RunRequest, asked: Ask) -> Answer:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return Answer()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(1, "slow"))
        await peer.forever()

    runner = await runner_with(script, desk=Desk({"slow": slow}), caps=Caps(grace_s=0.05))
    batches = runner.run(request_of(), StartStep(step=STEP))
    await anext(batches)
    await begun.wait()
    await batches.aclose()

    await asyncio.wait_for(given_up.wait(), 5)


async def test_what_this_runner_does_not_know_is_asked_elsewhere(runner_with: Started) -> None:
    notebook, replies = Notebook(), []

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(ask(1, "read"))
        replies.append(await reply(peer))
        await peer.result()

    runner = await runner_with(script)
    batches = runner.run(request_of(), StartStep(step=STEP), otherwise=notebook.desk)
    events = [event async for batch in batches for event in batch]

    assert not isinstance(events[-1], StepFailed)
    assert replies[0]["ok"]
