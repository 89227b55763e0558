"""Runs that are accepted while their callers do something else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from flowray.engine.accepted import Accepted
from flowray.engine.events import Recorded
from tests.unit.serve.service import ECHO, service
from tests.unit.serve.test_http_background import ended, submitted


async def test_a_run_whose_caller_leaves_meanwhile_is_queued_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = service()
    body = {"flow_id": await made.publish(ECHO), "mode": "background", "input_value": "hi", "idempotency_key": "k"}
    on_record, go_on = asyncio.Event(), asyncio.Event()
    append = made.journal.append

    async def slow(tenant: str, events: Sequence[Recorded], **lease: Any) -> None:
        on_record.set()
        await go_on.wait()
        await append(tenant, events, **lease)

    monkeypatch.setattr(made.journal, "append", slow)
    asking = asyncio.create_task(made.http.post("/api/v2/workflows", json=body))
    await on_record.wait()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    go_on.set()

    run = (await made.http.post("/api/v2/workflows", json=body)).json()["job_id"]

    async with made.engine(), asyncio.timeout(5):
        told = await made.http.get(f"/api/v1/runs/{run}/events")  # to the run's end
    assert "run_finished" in told.text


async def test_a_call_that_is_late_beside_another_one_with_its_key_opens_no_run_that_is_over_by_then() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    requests = made.services.jobs.requests
    keep, has_run, late = requests.keep, asyncio.Event(), asyncio.Event()

    async def keep_late(one: Accepted) -> None:
        requests.keep = keep  # type: ignore[method-assign]
        late.set()
        await has_run.wait()
        await keep(one)

    requests.keep = keep_late  # type: ignore[method-assign, assignment]
    async with made.engine(), asyncio.timeout(5):
        second = asyncio.create_task(submitted(made, flow_id, idempotency_key="k"))
        await late.wait()
        first = await submitted(made, flow_id, idempotency_key="k")
        await ended(made, first)
        await requests.close("default", first["job_id"])
        has_run.set()
        assert (await second)["job_id"] == first["job_id"]
    assert [run async for _, run, _ in requests.open()] == []
