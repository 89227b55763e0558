"""Traces on their way to a collector."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from flowray.engine import events as ev
from flowray.engine.events import RunId
from flowray.errors import NotFoundError
from flowray.flow.types import NodeId
from flowray.observe.lean import size_bytes
from flowray.observe.spans import Span
from flowray.plan.types import StepId
from flowray_serve.tracing import exporting
from flowray_serve.tracing.exporting import Tracing
from tests.unit.serve.service import ECHO, service

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LATER = TRACEPARENT.replace("00-", "01-", 1)


class Collector:
    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.spans: list[Span] = []

    async def send(self, spans: Sequence[Span]) -> bool:
        self.spans += spans if self.takes else ()
        return self.takes


def over(run: str = "r1", *, flow: str = "f1") -> Sequence[ev.Recorded]:
    events: Sequence[ev.Event] = (
        ev.RunAccepted(tenant="acme", flow=flow, flow_name="Invoices", version="v", session="s"),
        ev.StepQueued(step=StepId("s1")),
        ev.NodeStarted(node=NodeId("Agent-1")),
        ev.NodeFinished(node=NodeId("Agent-1"), outputs={}),
        ev.RunFinished(status="succeeded"),
    )
    return [ev.Recorded(seq=seq, at=float(seq), run=RunId(run), event=event) for seq, event in enumerate(events, 1)]


async def steps_of(tenant: str, flow: str, version: str) -> Mapping[NodeId, StepId]:
    assert (tenant, version) == ("acme", "v")
    if flow == "gone":
        raise NotFoundError("There is no such flow.")
    return {NodeId("Agent-1"): StepId("s1")}


async def test_runs_are_handed_on_with_nodes_below_their_steps() -> None:
    collector, lost = Collector(), list[str]()
    tracing = Tracing(collector, share=1.0, lost=lost.append)
    tracing.open(steps_of)
    for number in range(100):
        tracing.saw(over(f"r{number}"))

    await tracing.hand_on()

    assert len(collector.spans) == 300
    by_id = {span.id: span for span in collector.spans}
    assert {by_id[span.parent].name for span in collector.spans if span.name == "Agent-1"} == {"step s1"}
    assert lost == []


async def test_a_run_of_a_flow_that_is_gone_is_handed_on_all_the_same() -> None:
    collector = Collector()
    tracing = Tracing(collector, share=1.0, lost=list[str]().append)
    tracing.open(steps_of)
    tracing.saw(over(flow="gone"))
    await tracing.hand_on()
    assert [span.name for span in collector.spans] == ["run Invoices", "step s1", "Agent-1"]


async def test_what_the_collector_does_not_take_is_lost_and_counted() -> None:
    lost: list[str] = []
    tracing = Tracing(Collector(takes=False), share=1.0, lost=lost.append)
    tracing.saw(over("r1"))
    tracing.saw(over("r2"))
    await tracing.hand_on()
    await tracing.hand_on()
    assert lost == ["acme", "acme"]


async def test_a_run_that_cannot_be_told_loses_itself_only() -> None:
    class Strict(Collector):
        async def send(self, spans: Sequence[Span]) -> bool:
            if any(span.facts.get("flowray.run") == "r1" for span in spans):
                raise OverflowError
            return await super().send(spans)

    collector, lost = Strict(), list[str]()
    tracing = Tracing(collector, share=1.0, lost=lost.append)
    for number in range(3):
        tracing.saw(over(f"r{number}"))

    await tracing.hand_on()

    assert [span.facts["flowray.run"] for span in collector.spans if not span.parent] == ["r0", "r2"]
    assert lost == ["acme"]


async def test_a_collector_that_does_not_answer_keeps_nobody_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Collector):
        async def send(self, spans: Sequence[Span]) -> bool:
            await asyncio.Event().wait()
            return True

    monkeypatch.setattr(exporting, "_AT_THE_END_S", 0.01)
    lost: list[str] = []
    tracing = Tracing(Silent(), share=1.0, lost=lost.append)
    for number in range(100):
        tracing.saw(over(f"r{number}"))
    await tracing.close()
    assert lost == ["acme"] * 100


async def test_what_was_being_sent_when_its_task_was_cancelled_is_sent_at_the_end() -> None:
    class SilentOnce(Collector):
        is_asked = asyncio.Event()

        async def send(self, spans: Sequence[Span]) -> bool:
            if not self.is_asked.is_set():
                self.is_asked.set()
                await asyncio.Event().wait()
            return await super().send(spans)

    collector, lost = SilentOnce(), list[str]()
    tracing = Tracing(collector, share=1.0, lost=lost.append)
    tracing.saw(over())
    handing_on = asyncio.create_task(tracing.hand_on())
    await collector.is_asked.wait()
    handing_on.cancel()
    await asyncio.wait([handing_on])

    await tracing.close()

    assert (len(collector.spans), lost) == (3, [])


async def test_at_the_end_what_is_held_is_sent() -> None:
    collector = Collector()
    tracing = Tracing(collector, share=1.0, lost=list[str]().append)
    tracing.saw(over())
    await tracing.close()
    assert len(collector.spans) == 3


async def test_of_too_many_the_oldest_make_room() -> None:
    collector, lost = Collector(), list[str]()
    tracing = Tracing(collector, share=1.0, lost=lost.append)
    for number in range(2_010):
        tracing.saw(over(f"r{number}"))
    await tracing.hand_on()
    assert len(lost) == 10
    assert len(collector.spans) == 6_000


async def test_what_nodes_gave_and_printed_is_not_held() -> None:
    printed = ev.Recorded(seq=9, at=9.0, run=RunId("r1"), event=ev.Log(node=NodeId("Agent-1"), text="a long line"))
    tracing = Tracing(Collector(), share=1.0, lost=list[str]().append)
    tracing.saw([*over(), printed])
    assert "a long line" not in repr(vars(tracing))


async def test_of_too_large_ones_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    collector, lost = Collector(), list[str]()
    tracing = Tracing(collector, share=1.0, lost=lost.append)
    monkeypatch.setattr(exporting, "_MOST_BYTES", 5 * size_bytes(over()))
    for number in range(20):
        tracing.saw(over(f"r{number}"))
        if number == 9:
            await tracing.hand_on()
    await tracing.hand_on()
    assert len(lost) == 10
    assert [span.facts["flowray.run"] for span in collector.spans if not span.parent] == [
        f"r{number}" for number in (*range(5, 10), *range(15, 20))
    ]


async def test_a_share_of_none_keeps_nothing() -> None:
    collector = Collector()
    tracing = Tracing(collector, share=0.0, lost=list[str]().append)
    tracing.saw(over())
    await tracing.hand_on()
    assert collector.spans == []


async def test_every_route_that_runs_a_flow_takes_the_callers_trace() -> None:
    made = service()
    flow = await made.publish(ECHO)
    chat = {"model": flow, "messages": [{"role": "user", "content": "hi"}]}
    asked: Sequence[tuple[str, Any]] = (
        (f"/api/v1/run/{flow}", {"input_value": "hi"}),
        (f"/api/v1/run/advanced/{flow}", {"inputs": [{"input_value": "hi"}]}),
        ("/api/v2/workflows", {"flow_id": flow, "input_value": "hi", "mode": "sync"}),
        ("/v1/chat/completions", chat),
        ("/api/v1/responses", {"model": flow, "input": "hi"}),
    )
    for path, body in asked:
        for said, kept in ((TRACEPARENT, TRACEPARENT), (LATER + "-more", LATER), ("garbage", "")):
            before = len(made.steps.requests)
            answer = await made.http.post(path, json=body, headers={"traceparent": said})
            assert answer.status_code == 200, answer.text
            assert [request.trace for request in made.steps.requests[before:]] == [kept]
            run = made.steps.requests[-1].run
            (first, *_) = [one async for one in made.journal.read("default", run)]
            assert isinstance(first.event, ev.RunAccepted)
            assert first.event.trace == kept


async def test_a_run_in_the_background_keeps_its_trace() -> None:
    made = service()
    flow = await made.publish(ECHO)
    headers = {"traceparent": TRACEPARENT, "prefer": "respond-async, wait=20"}
    async with made.engine():
        answer = await made.http.post(f"/api/v1/run/{flow}", json={"input_value": "hi"}, headers=headers)
        assert answer.status_code == 200, answer.text
    assert made.steps.requests[-1].trace == TRACEPARENT
