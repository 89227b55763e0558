"""Runs in the background, as their callers see them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from flowray.engine.accepted import Accepted
from flowray.engine.events import Recorded, RunStarted
from flowray.errors import StoreUnavailableError
from tests.kit.frames import frames
from tests.unit.serve.service import ECHO, OTHER_KEY, Held, Service, canvas, drawn, service
from tests.unit.serve.test_http_run import failing

WEBHOOK = canvas(
    drawn("Webhook-1", data={"type": "str", "value": "", "name": "data"}),
    drawn("ChatOutput-1"),
    wires=[("Webhook-1", "ChatOutput-1")],
)


async def submitted(made: Service, flow_id: str, **more: Any) -> dict[str, Any]:
    response = await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "mode": "background", **more})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["x-flowray-run"] == job["job_id"]
    return job


async def told(made: Service, job: dict[str, Any]) -> httpx.Response:
    return await made.http.get(job["links"]["status"])


async def ended(made: Service, job: dict[str, Any]) -> httpx.Response:
    async with asyncio.timeout(5):
        async for _ in made.journal.read("default", job["job_id"], follow=True):
            pass
    return await told(made, job)


def is_start(recorded: Recorded) -> bool:
    return isinstance(recorded.event, RunStarted)


async def numbered(made: Service, job: dict[str, Any], **headers: str) -> list[tuple[str, dict[str, Any]]]:
    response = await made.http.get(job["links"]["events"], headers=headers)
    lines = response.text.splitlines()
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    return list(zip(ids, frames(lines), strict=True))


async def test_a_background_run_is_queued_then_runs_and_answers() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO), input_value="hi", session_id="s")
    assert (job["object"], job["status"], job["errors"]) == ("job", "queued", [])
    assert (await told(made, job)).json()["status"] == "queued"
    async with made.engine():
        body = (await ended(made, job)).json()
    assert (body["object"], body["status"], body["output"]["text"]) == ("response", "completed", "hi")
    assert (body["job_id"], body["session_id"]) == (job["job_id"], "s")


async def test_a_background_run_is_in_the_record_before_it_is_accepted() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    async def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError("away")

    made.queue.offer = away  # type: ignore[method-assign]
    refused = await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "mode": "background"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert [one async for one in made.services.jobs.requests.open()] == []


async def test_a_failed_background_run_says_why() -> None:
    made = service()
    made.steps.script = failing
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine():
        response = await ended(made, job)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["job_id"]) == (500, "job_failed", job["job_id"])
    assert problem["error_detail"]["code"] == "component_failed"


async def test_events_are_followed_in_the_protocol_that_was_asked_for() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO), stream_protocol="agui", input_value="hi")
    async with made.engine():
        said = await numbered(made, job)
    kinds = [data["type"] for _, data in said]
    assert (kinds[0], kinds[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert [number for number, _ in said] == [str(at) for at in range(len(said))]


async def test_events_continue_after_the_last_one_that_was_seen() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine():
        everything = await numbered(made, job)
        rest = await numbered(made, job, **{"last-event-id": "2"})
    assert [number for number, _ in rest] == [number for number, _ in everything[3:]]


async def test_another_tenants_job_is_not_found() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    for method, path, body in (
        ("GET", job["links"]["status"], None),
        ("GET", job["links"]["events"], None),
        ("POST", job["links"]["stop"], {"job_id": job["job_id"]}),
    ):
        response = await made.http.request(method, path, json=body, headers={"x-api-key": OTHER_KEY})
        assert response.status_code == 404, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 422),
        ("?job_id=6f1d9c1e-0000-4000-8000-00000000dead", 404),
        ("?job_id=../x", 404),
        ("?job_id=" + "x" * 300, 422),
    ],
)
async def test_a_job_that_is_none_is_a_clear_error(path: str, status: int) -> None:
    response = await service().http.get(f"/api/v2/workflows{path}")
    assert response.status_code == status


async def test_a_waiting_run_is_stopped_though_no_engine_is_there() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    stopped = await made.http.post(job["links"]["stop"], json={"job_id": job["job_id"]})
    assert stopped.json()["message"].endswith("cancelled successfully.")
    assert (await told(made, job)).json()["status"] == "cancelled"
    again = await made.http.post(job["links"]["stop"], json={"job_id": job["job_id"]})
    assert "already finished" in again.json()["message"]


@pytest.mark.parametrize("by", ["stop", "cancel"])
async def test_a_running_run_is_stopped_wherever_it_is_driven(by: str) -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine(), asyncio.timeout(5):
        await held.began.wait()
        if by == "stop":
            await made.http.post(job["links"]["stop"], json={"job_id": job["job_id"]})
        else:
            await made.http.post(f"/api/v1/runs/{job['job_id']}/cancel")
        await held.ended.wait()
    assert (await told(made, job)).json()["status"] == "cancelled"


@pytest.mark.parametrize("mode", ["sync", "stream"])
async def test_outside_of_the_background_a_callback_is_refused_and_a_key_passed_over(mode: str) -> None:
    made = service()
    body = {"flow_id": await made.publish(ECHO), "mode": mode, "idempotency_key": "order/1"}

    refused = await made.http.post("/api/v2/workflows", json={**body, "callback_url": "https://x.org"})
    taken = [await made.http.post("/api/v2/workflows", json={**body, "callback_url": None}) for _ in range(2)]

    assert (refused.status_code, *(one.status_code for one in taken)) == (422, 200, 200)
    assert '`callback_url` is for a run in the background: send `"mode": "background"`' in refused.json()["detail"]
    assert len(made.steps.requests) == 2


async def test_the_same_idempotency_key_is_the_same_run() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    first = await submitted(made, flow_id, idempotency_key="order/1")
    second = await submitted(made, flow_id, idempotency_key="order/1")
    other = await made.http.post(
        "/api/v2/workflows",
        json={"flow_id": flow_id, "mode": "background", "idempotency_key": "order/1", "input_value": "else"},
    )
    assert first["job_id"] == second["job_id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert (await made.queue.stats()).waiting == 1


@pytest.mark.parametrize("path", ["/api/v1/run/{}", "/api/v2/workflows"])
async def test_a_call_that_is_repeated_is_told_how_far_its_run_is(path: str) -> None:
    made, held = service(), Held()
    made.steps.script = held
    flow_id = await made.publish(ECHO)
    body = {"flow_id": flow_id, "mode": "background"} if "workflows" in path else {}

    async def status() -> str:
        asked = {"idempotency-key": "k", "prefer": "respond-async, wait=0"}
        answer = await made.http.post(path.format(flow_id), json=body, headers=asked)
        assert answer.status_code == 202
        return str(answer.json()["status"])

    told = [await status(), await status()]
    async with made.engine(), asyncio.timeout(5):
        await held.began.wait()
        run = made.steps.requests[0].run
        await anext(one async for one in made.journal.read("default", run, follow=True) if is_start(one))
        told.append(await status())
        await made.http.post(f"/api/v1/runs/{run}/cancel")
        told.append(await status())
    assert told == ["queued", "queued", "in_progress", "cancelled"]


async def test_a_run_that_is_not_over_in_time_is_told_as_running() -> None:
    made = service(sync_s=0.2)
    made.steps.script = Held()
    flow_id = await made.publish(ECHO)
    async with made.engine():
        answer = await made.http.post(f"/api/v1/run/{flow_id}", json={}, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (202, "in_progress")


async def test_a_run_was_created_when_it_was_accepted_whenever_it_is_asked_after() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    first = await submitted(made, flow_id, idempotency_key="k")
    second = await submitted(made, flow_id, idempotency_key="k")
    async with made.engine():
        answer = (await ended(made, first)).json()
    assert second["created_timestamp"] == first["created_timestamp"] == answer["created_timestamp"]


@pytest.mark.parametrize("path", ["/api/v2/workflows/stop", "/api/v1/runs/{}/cancel"])
async def test_an_accepted_run_that_the_store_has_lost_is_stopped_once_it_is_back(path: str) -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    made.queue.empty()

    early = await made.http.post(path.format(job["job_id"]), json={"job_id": job["job_id"]})
    await made.services.jobs.recovery.recover()
    later = await made.http.post(path.format(job["job_id"]), json={"job_id": job["job_id"]})

    assert (early.status_code, early.json()["code"]) == (503, "store_forgot")
    assert later.status_code == 200
    assert (await told(made, job)).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/workflows/{0}/events",
        "/api/v1/runs/{0}/events",
        "/api/v1/runs/{0}",
        "/api/v1/runs/{0}/differences?other={0}",
        "/api/v1/build/{0}/events",
    ],
)
async def test_an_accepted_run_that_the_store_has_lost_is_followed_once_it_is_back(path: str) -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    made.queue.empty()

    early = await made.http.get(path.format(job["job_id"]))
    await made.services.jobs.recovery.recover()
    async with made.engine():
        await ended(made, job)
        later = await made.http.get(path.format(job["job_id"]))

    assert (early.status_code, early.json()["code"]) == (503, "store_forgot")
    assert later.status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/run/{}", "/api/v2/workflows"])
async def test_a_call_that_is_repeated_hears_the_same_though_the_flow_was_changed_meanwhile(path: str) -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    asked: dict[str, Any] = {"json": {"flow_id": flow_id, "input_value": "hi"}}
    asked["headers"] = {"idempotency-key": "k", "prefer": "respond-async, wait=5"}
    async with made.engine():
        first = await made.http.post(path.format(flow_id), **asked)
        other = canvas(drawn("ChatInput-1"), drawn("ChatOutput-2"), wires=[("ChatInput-1", "ChatOutput-2")])
        await made.http.patch(f"/api/v1/flows/{flow_id}", json={"data": other["data"]})
        second = await made.http.post(path.format(flow_id), **asked)
    assert first.headers["x-flowray-run"] == second.headers["x-flowray-run"]
    assert second.json() == first.json()


async def test_a_webhook_s_idempotency_key_does_not_stand_for_a_run_with_the_same_body() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    asked: dict[str, Any] = {"content": b'{"input_value":"hi"}', "headers": {"idempotency-key": "k"}}
    taken = await made.http.post(f"/api/v1/webhook/{flow_id}", **asked)
    asked["headers"]["prefer"] = "respond-async"
    refused = await made.http.post(f"/api/v1/run/{flow_id}", **asked)
    assert (taken.status_code, refused.status_code) == (202, 409)
    assert refused.json()["code"] == "idempotency_conflict"


async def test_calls_at_once_with_one_idempotency_key_lose_nothing_of_their_run() -> None:
    made, at_once = service(), asyncio.Barrier(3)
    flow_id = await made.publish(ECHO)
    requests = made.services.jobs.requests
    keep = requests.keep

    async def keep_together(one: Accepted) -> None:
        await at_once.wait()  # none of them has found a request under the key
        await keep(one)

    requests.keep = keep_together  # type: ignore[method-assign, assignment]
    jobs = await asyncio.gather(*(submitted(made, flow_id, idempotency_key="k", input_value="hi") for _ in range(3)))
    assert len({job["job_id"] for job in jobs}) == 1
    async with made.engine():
        body = (await ended(made, jobs[0])).json()
    assert (body["status"], body["output"]["text"]) == ("completed", "hi")


async def test_a_call_that_was_refused_is_made_again_under_its_idempotency_key() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    asked = {"flow_id": flow_id, "mode": "background", "idempotency_key": "k"}
    offer = made.queue.offer

    async def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError("away")

    made.queue.offer = away  # type: ignore[method-assign]
    for _ in range(2):
        assert (await made.http.post("/api/v2/workflows", json=asked)).status_code == 503
        assert [one async for one in made.services.jobs.requests.open()] == []
    made.queue.offer = offer  # type: ignore[method-assign]
    await submitted(made, flow_id, idempotency_key="k")
    assert (await made.queue.stats()).waiting == 1


async def test_who_comes_second_with_an_idempotency_key_takes_nothing_back_when_nobody_can_tell() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    first = await submitted(made, flow_id, idempotency_key="k")
    requests = made.services.jobs.requests
    find = requests.find

    async def too_early(*_: Any) -> None:
        requests.find = find  # type: ignore[method-assign]

    async def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError("away")

    requests.find = too_early  # type: ignore[method-assign, assignment]
    made.queue.offer = made.queue.knows = away  # type: ignore[method-assign]
    asked = {"flow_id": flow_id, "mode": "background", "idempotency_key": "k"}
    assert (await made.http.post("/api/v2/workflows", json=asked)).status_code == 503
    assert await requests.find("default", first["job_id"]) is not None


async def test_a_webhook_goes_to_the_webhook_nodes() -> None:
    made = service()
    flow_id = await made.publish(WEBHOOK)
    response = await made.http.post(f"/api/v1/webhook/{flow_id}", content=b'{"order": 7}')
    assert response.status_code == 202
    assert response.json() == {"message": "Task started in the background", "status": "in progress"}
    async with made.engine():
        await ended(made, {"job_id": response.headers["x-flowray-run"], "links": {"status": "/health"}})
    (request,) = made.steps.requests
    assert request.flow.by_id["Webhook-1"].fields["data"].value == '{"order": 7}'  # type: ignore[index]


async def test_an_empty_webhook_is_refused() -> None:
    made = service()
    response = await made.http.post(f"/api/v1/webhook/{await made.publish(WEBHOOK)}")
    assert (response.status_code, response.json()["code"]) == (400, "empty_webhook")


@pytest.mark.parametrize("path", ["/api/v1/run/{}", "/api/v2/workflows"])
async def test_a_caller_that_asks_for_it_gets_the_answer_while_it_waits(path: str) -> None:
    made = service()
    async with made.engine():
        at_once = await _asked_to_respond_async(made, path)
    assert at_once.status_code == 200
    assert "hi" in at_once.text


@pytest.mark.parametrize("path", ["/api/v1/run/{}", "/api/v2/workflows"])
async def test_a_caller_that_asks_for_it_is_told_where_to_ask_once_it_waited_long(path: str) -> None:
    made = service(sync_s=0.05)
    made.steps.script = Held()
    async with made.engine():
        later = await _asked_to_respond_async(made, path)
    assert later.status_code == 202
    assert later.json()["links"]["status"].endswith(later.headers["x-flowray-run"])


async def _asked_to_respond_async(made: Service, path: str) -> httpx.Response:
    flow_id = await made.publish(ECHO)
    body = {"flow_id": flow_id, "input_value": "hi"} if path.endswith("workflows") else {"input_value": "hi"}
    return await made.http.post(path.format(flow_id), json=body, headers={"prefer": "respond-async"})
