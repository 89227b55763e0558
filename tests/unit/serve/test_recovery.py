"""What was accepted and is queued again from the record, after Redis has lost it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowray.engine.events import Recorded, RunId
from flowray.engine.leasing import Lease
from flowray.errors import StoreUnavailableError
from flowray.stores.due import MemoryDueList
from flowray_serve.queueing.owing import Owing
from tests.unit.serve.ends import FAILED, URL, Ends, accepted
from tests.unit.serve.service import ECHO, KEYS_BY_ROLE, service
from tests.unit.serve.test_http_background import ended, submitted


async def test_accepted_runs_are_queued_again_after_the_store_was_emptied() -> None:
    made = service()
    ends, run = await accepted(made, input_value="still here", callback_url=URL)
    await ends.owing.add("default", RunId("told"))
    ends.due = MemoryDueList()
    ends.owing = Owing(ends.owed, ends.due)
    made.queue.empty()
    found = await ends.recovery().reindex()
    assert (found.queued, found.closed, found.callbacks, found.listed) == (1, 0, 1, 3)
    async with made.engine():
        answer = await ended(made, {"job_id": run, "links": {"status": _status(run)}})
    assert answer.json()["output"]["text"] == "still here"


async def test_what_the_queue_knows_and_what_is_archived_is_not_queued_again() -> None:
    made = service()
    ends, run = await accepted(made)
    assert (await ends.recovery().recover()).queued == 0
    end = Recorded(seq=1, at=1.0, run=run, event=FAILED)
    from flowray.engine.codec import encode

    await ends.archive.keep("default", run, [b"[" + encode(end) + b"]"])
    made.queue.empty()
    found = await ends.recovery().recover()
    assert (found.queued, found.closed) == (0, 1)
    assert [one.run for one in await ends.letters.list("default")] == [run]


async def test_a_run_whose_record_is_damaged_keeps_no_other_from_being_queued_again() -> None:
    made = service()
    flow = await made.publish(ECHO)
    damaged, *_ = [(await submitted(made, flow))["job_id"] for _ in range(3)]
    ends = Ends(made)
    await made.objects.put(f"tenants/default/accepted/{damaged}", b"no request at all")
    await made.objects.put(f"tenants/default/journals/{damaged}.jsonl.gz", b"no journal at all")
    made.queue.empty()

    found = await ends.recovery().recover()

    assert (found.queued, found.closed) == (2, 0)


async def test_a_store_that_is_away_ends_a_recovery() -> None:
    made = service()
    ends, _ = await accepted(made)

    async def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError("away")

    made.queue.knows = away  # type: ignore[method-assign]

    with pytest.raises(StoreUnavailableError):
        await ends.recovery().recover()


async def test_a_fresh_store_is_marked_once_it_is_filled() -> None:
    made = service()
    ends, _ = await accepted(made)
    made.queue.empty()
    await ends.recovery().recover()
    assert ends.filled
    assert (await made.queue.stats()).waiting == 1


async def test_a_store_that_is_emptied_while_it_is_filled_is_filled_once_more() -> None:
    made = service()
    ends, run = await accepted(made)
    made.queue.empty()
    refill = ends.owing.refill

    async def refill_and_lose() -> int:
        if ends.redis == "one":  # the runs are queued by now
            made.queue.empty()
            ends.redis = "another"
        return await refill()

    ends.owing.refill = refill_and_lose  # type: ignore[method-assign]
    watching = asyncio.create_task(ends.recovery().work())
    async with asyncio.timeout(5):
        while not ends.filled:  # noqa: ASYNC110 - the mark tells nobody
            await asyncio.sleep(0.001)
    watching.cancel()
    assert await made.queue.claim("default", run, holder="me", for_s=9) is not None


async def test_what_redis_lost_when_it_was_started_again_is_queued_again() -> None:
    made = service()
    ends, _ = await accepted(made)
    ends.filled = True
    watching = asyncio.create_task(ends.recovery().work())
    async with asyncio.timeout(5):
        while ends.looks < 2:  # noqa: ASYNC110 - nobody tells that the look at the start is over
            await asyncio.sleep(0.001)
        made.queue.empty()
        ends.redis = "another"
        while not (await made.queue.stats()).waiting:  # noqa: ASYNC110 - the queue tells nobody of this
            await asyncio.sleep(0.001)
    watching.cancel()


async def test_an_operator_fills_the_store_from_the_record() -> None:
    made = service()
    await accepted(made)
    made.queue.empty()
    made.http.headers["x-api-key"] = KEYS_BY_ROLE["operator"]
    found = await made.http.post("/api/v1/admin/reindex")
    assert found.json() == {"queued": 1, "closed": 0, "callbacks": 0, "listed": 0}
    told = (await made.http.get("/api/v1/admin/queue")).json()
    assert (told["waiting"], told["tenants"][0]["tenant"]) == (1, "default")


async def test_a_run_that_the_queue_cannot_take_is_not_accepted() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    async def away(*_: Any, **__: Any) -> Lease | None:
        raise StoreUnavailableError("away")

    made.queue.offer = away  # type: ignore[method-assign, assignment]
    response = await made.http.post(f"/api/v1/webhook/{flow_id}", content=b"x")
    assert response.status_code == 503
    assert [one async for one in made.services.jobs.requests.open()] == []


def _status(run: str) -> str:
    return f"/api/v2/workflows?job_id={run}"
