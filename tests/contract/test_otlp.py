"""Spans as a collector reads them: over HTTP, in OpenTelemetry's own messages."""

from __future__ import annotations

import math
import time

import pytest

from flowray.observe.spans import Note, Span
from flowray_serve.cluster.ports import free_port
from flowray_serve.tracing.otlp import Collector
from tests.kit.otlp import receiving

TRACE, RUN, NODE = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 7
SPANS = (
    Span(
        name="run Invoices",
        trace=TRACE,
        id=RUN,
        parent=0,
        began_at=1_700_000_000.25,
        ended_at=1_700_000_001.5,
        kind="server",
        error="Node `Agent-1` failed: \ud800",
        facts={"flowray.tenant": "acme", "flowray.attempt": 2, "flowray.cached": False, "flowray.queued_s": 0.5},
        notes=[Note(name="paused", at=1_700_000_001.0, facts={"why": "a person"})],
    ),
    Span(name="Agent-1", trace=TRACE, id=NODE, parent=RUN, began_at=1.0, ended_at=2.0),
)


def collector(url: str, *, within_s: float = 10.0) -> Collector:
    return Collector(url, headers={"authorization": "Bearer of-the-collector"}, version="0.1.0", within_s=within_s)


async def test_a_collector_reads_spans_with_their_facts_and_times() -> None:
    with receiving() as receiver:
        assert await collector(receiver.url).send(SPANS)

    (sent,) = receiver.messages
    assert receiver.headers[0]["authorization"] == "Bearer of-the-collector"
    (resource,) = sent.resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named | {"service.name": "flowray", "service.version": "0.1.0"} == named
    run, node = resource.scope_spans[0].spans
    assert (run.trace_id, run.span_id, run.parent_span_id) == (TRACE.to_bytes(16, "big"), RUN.to_bytes(8, "big"), b"")
    assert (node.parent_span_id, node.name, node.status.code) == (run.span_id, "Agent-1", 0)
    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (1_700_000_000_250_000_000, 1_700_000_001_500_000_000)
    assert (run.kind, run.status.code) == (2, 2)  # a server's; an error
    assert run.status.message.startswith("Node `Agent-1` failed")
    facts = {one.key: one.value for one in run.attributes}
    assert (facts["flowray.tenant"].string_value, facts["flowray.attempt"].int_value) == ("acme", 2)
    assert (facts["flowray.cached"].bool_value, facts["flowray.queued_s"].double_value) == (False, 0.5)
    assert [(event.name, event.time_unix_nano) for event in run.events] == [("paused", 1_700_000_001_000_000_000)]


@pytest.mark.parametrize(
    ("at", "ns"), [(-1.0, 0), (math.nan, 0), (1.7e308, 9_223_372_036 * 10**9), (math.inf, 9_223_372_036 * 10**9)]
)
async def test_a_time_that_cannot_be_said_is_the_nearest_one_that_can(at: float, ns: int) -> None:
    with receiving() as receiver:
        assert await collector(receiver.url).send([Span(name="n", trace=1, id=1, parent=0, began_at=at, ended_at=at)])
    (span,) = receiver.messages[0].resource_spans[0].scope_spans[0].spans
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (ns, ns)


async def test_spans_that_cannot_be_encoded_are_not_mistaken_for_a_collector_that_is_away() -> None:
    with receiving() as receiver, pytest.raises(OverflowError):
        await collector(receiver.url).send([*SPANS, Span(name="n", trace=1, id=1 << 64, parent=0, began_at=1.0)])
    assert receiver.messages == []


async def test_a_collector_that_is_busy_is_asked_again() -> None:
    with receiving(503) as receiver:
        assert await collector(receiver.url).send(SPANS)
    assert len(receiver.messages) == 2


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_collector_that_refuses_has_not_taken_them(status: int) -> None:
    with receiving(status) as receiver:
        assert not await collector(receiver.url).send(SPANS)
    assert len(receiver.messages) == 1


async def test_a_collector_that_is_away_is_waited_for_no_longer_than_was_said() -> None:
    began = time.monotonic()
    assert not await collector(f"http://127.0.0.1:{free_port()}/v1/traces", within_s=1.0).send(SPANS)
    assert time.monotonic() - began < 60
