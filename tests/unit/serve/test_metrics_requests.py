"""Requests are counted, whatever is answered."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from flowray.observe.families import HTTP_REQUESTS
from flowray.observe.meter import Meter
from flowray.observe.totals import MemoryTotals
from flowray_serve.metrics.requests import Counted

START = {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/problem+json")]}


def body(content: bytes, **facts: Any) -> Message:
    return {"type": "http.response.body", "body": content, **facts}


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([body(b'{"code": "not_found"}')], "not_found"),
        ([body(b"")], ""),
        ([body(b'{"code": "not', more_body=True), body(b'_found"}')], ""),
        ([body(b'["not_found"]')], ""),
        ([body(b'{"code": 7}')], ""),
        ([body(b"[" * 100_000)], ""),
        ([body(b"\xff")], ""),
        ([{"type": "http.response.body"}], ""),
    ],
)
async def test_an_odd_problem_is_counted_without_a_code_and_goes_on_as_it_is(pieces: list[Message], code: str) -> None:
    sent: list[Message] = []
    meter = Meter(MemoryTotals())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (START, *pieces):
            await send(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Counted(app, meter=meter)({"type": "http", "method": "GET", "headers": []}, receive, send)

    assert sent == [START, *pieces]
    counted = {series.labels: amount for series, amount in meter.tally.amounts.items() if not series.part}
    assert counted == {("", "GET", "", "500", code): 1}
    assert {series.family for series in meter.tally.amounts if not series.part} == {HTTP_REQUESTS.name}
