"""Runs that wait for people or for a time, as their callers see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.stores.requests import BrokenRequestError
from flowray_serve.queueing.answering import in_time
from flowray_serve.queueing.recall import read_all
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, OTHER_KEY, Service, canvas, drawn, service
from tests.unit.serve.test_http_background import ended, submitted, told


async def asking(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """The first node asks; once it is answered, all say what the answer was."""
    first, *_ = request.plan.by_id[step.step].nodes
    request_id = f"{first}:{request.run}"
    yield ev.NodeStarted(node=first)
    if request_id not in step.answers:
        options = [{"action_id": "approve", "label": "Approve"}, {"action_id": "reject", "label": "Reject"}]
        asked = {"request_id": request_id, "kind": "node_input", "prompt": "Send it?", "options": options}
        yield ev.NodePaused(node=first, request={**asked, "allowed_decisions": ["approve", "reject"]})
        yield ev.StepPaused(step=step.step)
        return
    said = step.answers[request_id]["action_id"]
    for node in request.plan.by_id[step.step].nodes:
        yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, said))


async def paused(made: Service) -> dict[str, Any]:
    """A background run that waits for an answer, and that its engine has let go."""
    job = await submitted(made, await made.publish(ECHO), session_id="s")
    async for one in made.journal.read("default", job["job_id"], follow=True):
        if isinstance(one.event, ev.RunPaused):
            await parked(made)
            return job
    raise AssertionError("it does not pause")


async def answer(made: Service, job: Mapping[str, Any], request_id: str, action: str, **headers: str) -> httpx.Response:
    body = {"request_id": request_id, "decision": {"action_id": action}}
    return await made.http.post(f"/api/v2/workflows/{job['job_id']}/resume", json=body, headers=headers)


async def pending(made: Service, **query: str) -> list[dict[str, Any]]:
    response = await made.http.get("/api/v2/workflows/pending", params=query)
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


async def test_an_answered_run_whose_engine_and_journal_were_lost_goes_on_from_the_record() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    [asked] = await pending(made)
    assert (await answer(made, job, asked["request_id"], "reject")).status_code == 200
    await made.queue.take("dies", limit=1, for_s=0.0)
    made.journal.empty()

    async with made.engine(), asyncio.timeout(5):
        while not await read_all(made.journal, "default", job["job_id"]):
            await made.queue.bell(within_s=0.01)
        body = (await ended(made, job)).json()

    assert (body["status"], body["output"]["text"]) == ("completed", "reject")


async def test_a_run_that_asks_waits_without_an_engine_and_goes_on_once_answered() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    assert (await told(made, job)).json()["status"] == "suspended"
    [asked] = await pending(made)
    assert (asked["job_id"], asked["session_id"], asked["prompt"]) == (job["job_id"], "s", "Send it?")

    resumed = await answer(made, job, asked["request_id"], "approve")

    assert (resumed.status_code, resumed.json()) == (
        200,
        {"job_id": job["job_id"], "status": "resuming", "message": "Resume accepted"},
    )
    async with made.engine():
        body = (await ended(made, job)).json()
    assert (body["status"], body["output"]["text"]) == ("completed", "approve")
    assert await pending(made) == []


async def test_what_is_asked_can_be_narrowed_to_a_flow() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    assert len(await pending(made, flow_id=job["flow_id"])) == 1
    assert await pending(made, flow_id="00000000-0000-0000-0000-000000000000") == []


@pytest.mark.parametrize(
    ("request_id", "action", "status", "code"),
    [
        ("another", "approve", 409, "not_resumable"),
        (None, "burn", 422, "invalid_decision"),
        ("another", "burn", 422, "invalid_decision"),
    ],
)
async def test_what_is_no_answer_is_refused(request_id: str | None, action: str, status: int, code: str) -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    [asked] = await pending(made)
    refused = await answer(made, job, request_id or asked["request_id"], action)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert len(await pending(made)) == 1


async def test_only_one_answer_counts() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    [asked] = await pending(made)
    first = await answer(made, job, asked["request_id"], "approve")
    second = await answer(made, job, asked["request_id"], "reject")
    assert (first.status_code, second.status_code) == (200, 409)


async def second_asks(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """The first node finishes; the second one asks, and says the answer."""
    first, second = request.plan.by_id[step.step].nodes
    if first not in step.done:
        yield ev.NodeStarted(node=first)
        yield ev.NodeFinished(node=first, outputs={}, result=message_result(first, "done"))
    if not step.answers:
        yield ev.NodePaused(node=second, request={"request_id": f"{second}:{request.run}", "prompt": "Send it?"})
        yield ev.StepPaused(step=step.step)
        return
    [answered] = step.answers.values()
    yield ev.NodeFinished(node=second, outputs={}, result=message_result(second, answered["action_id"]))


async def lose_redis(made: Service) -> None:
    """Forget all that is hot, and find again what the record has."""
    made.queue.empty()
    await made.services.jobs.recovery.recover()


@pytest.mark.parametrize("lost", ["before the answer", "after the answer"])
async def test_a_paused_run_outlives_the_loss_of_redis_with_what_it_had_finished_and_its_answer(lost: str) -> None:
    made = service()
    made.steps.script = second_asks
    async with made.engine():
        job = await paused(made)
    request_id = (await pending(made))[0]["request_id"]
    if lost == "before the answer":
        await lose_redis(made)
        async with made.engine():
            await parked(made)
    assert (await answer(made, job, request_id, "approve")).status_code == 200
    if lost == "after the answer":
        await lose_redis(made)

    async with made.engine():
        body = (await ended(made, job)).json()

    assert (body["status"], body["output"]["text"]) == ("completed", "approve")
    happened = [one.event async for one in made.journal.read("default", job["job_id"])]
    assert [one.node for one in happened if isinstance(one, ev.NodeStarted)] == ["ChatInput-1"]


async def parked(made: Service) -> None:
    """Wait until an engine has looked at the run and lets it wait."""
    async with asyncio.timeout(20):
        while not await made.queue.parked("default"):  # noqa: ASYNC110 - the queue tells nobody of this
            await asyncio.sleep(0.001)


async def test_a_run_that_sleeps_outlives_the_loss_of_redis_and_wakes_when_it_is_due() -> None:
    made = service()
    made.steps.script = all_but_later
    sleeper = drawn("ChatOutput-1")
    sleeper["data"]["node"]["metadata"] = {"flowray": {"wait_s": 86_400}}
    flow = canvas(drawn("ChatInput-1"), sleeper, wires=[("ChatInput-1", "ChatOutput-1")])
    async with made.engine():
        job = await submitted(made, await made.publish(flow))
        await parked(made)
        due = await due_times(made, job)
    await lose_redis(made)

    async with made.engine():
        await parked(made)

    again = await due_times(made, job)
    assert again == [due[0], due[0]]
    assert (await made.queue.stats()).parked == 1


async def all_but_later(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Whatever waits for a time does not run yet."""
    for node in request.plan.by_id[step.step].nodes:
        if node not in step.later | step.done:
            yield ev.NodeStarted(node=node)
            yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, "done"))
    if step.later:
        yield ev.StepPaused(step=step.step)


async def due_times(made: Service, job: Mapping[str, Any]) -> list[float | None]:
    told = [one.event async for one in made.journal.read("default", job["job_id"])]
    return [event.until for event in told if isinstance(event, ev.RunPaused)]


async def test_another_tenant_neither_sees_nor_answers() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
    [asked] = await pending(made)
    theirs = await made.http.get("/api/v2/workflows/pending", headers={"x-api-key": OTHER_KEY})
    refused = await answer(made, job, asked["request_id"], "approve", **{"x-api-key": OTHER_KEY})
    assert (theirs.json(), refused.status_code) == ([], 404)


async def test_a_synchronous_caller_hears_that_the_run_waits_and_what_it_asks() -> None:
    made = service()
    made.steps.script = asking
    flow_id = await made.publish(ECHO)
    body = (await made.http.post("/api/v2/workflows", json={"flow_id": flow_id})).json()
    assert (body["status"], body["human_request"]["prompt"]) == ("suspended", "Send it?")

    await answer(made, body, body["human_request"]["request_id"], "reject")

    async with made.engine():
        links = {"status": f"/api/v2/workflows?job_id={body['job_id']}"}
        over = (await ended(made, {**body, "links": links})).json()
    assert (over["status"], over["output"]["text"]) == ("completed", "reject")


async def test_langflows_older_run_route_says_where_to_answer() -> None:
    made = service()
    made.steps.script = asking
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={"input_value": "hi"})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["human_request"]["prompt"]) == (
        409,
        "run_paused",
        "Send it?",
    )
    assert f"/api/v2/workflows/{problem['run']}/resume" in problem["detail"]


async def test_a_stream_says_what_is_asked() -> None:
    made = service()
    made.steps.script = asking
    flow_id = await made.publish(ECHO)
    response = await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "mode": "stream"})
    assert "human_input_required" in response.text
    assert len(await pending(made)) == 1


@pytest.mark.parametrize(
    ("request_", "now", "action"),
    [
        ({"timeout_seconds": 60, "paused_at": "1970-01-01T00:00:00+00:00", "fallback_action": "no"}, 59.0, "yes"),
        ({"timeout_seconds": 60, "paused_at": "1970-01-01T00:00:00+00:00", "fallback_action": "no"}, 61.0, "no"),
        ({"timeout_seconds": 60, "paused_at": "1970-01-01T00:00:00", "fallback_action": None}, 61.0, "__expired__"),
        ({"timeout_seconds": 0, "paused_at": "1970-01-01T00:00:00"}, 61.0, "yes"),
        ({"timeout_seconds": 60, "paused_at": "yesterday"}, 61.0, "yes"),
    ],
)
def test_a_late_answer_takes_the_fallback(request_: dict[str, Any], now: float, action: str) -> None:
    assert in_time(request_, {"action_id": "yes"}, now)["action_id"] == action


def forget_the_answer(made: Service, job: Mapping[str, Any]) -> None:
    """Bring the stores back to where they were before somebody answered, as a crash without its last second does."""
    key = ("default", job["job_id"])
    events = made.journal._runs[key]
    [answered] = [at for at, one in enumerate(events) if isinstance(one.event, ev.RunResumed)]
    del events[answered:]
    made.queue._runs[key].where = "parked"
    made.queue._runs[key].until = float("inf")


@pytest.mark.parametrize("found_by", ["a second answer", "recovery", "an engine"])
async def test_a_confirmed_answer_counts_though_redis_has_lost_it(found_by: str) -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
        await parked(made)
    request_id = (await pending(made))[0]["request_id"]
    assert (await answer(made, job, request_id, "approve")).status_code == 200
    forget_the_answer(made, job)

    if found_by == "a second answer":
        refused = await answer(made, job, request_id, "reject")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_resumable")
    elif found_by == "recovery":
        assert (await made.services.jobs.recovery.recover(restarted=True)).queued == 1
    else:
        made.queue._runs["default", job["job_id"]].where = "leased"
        made.queue._runs["default", job["job_id"]].until = 0.0
    async with made.engine():
        body = (await ended(made, job)).json()

    assert (body["status"], body["output"]["text"]) == ("completed", "approve")
    happened = [one async for one in made.journal.read("default", job["job_id"])]
    assert [one.seq for one in happened] == list(range(1, len(happened) + 1))


async def test_a_run_that_waits_for_an_answer_is_left_alone_after_a_restart() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        await paused(made)
        await parked(made)
    assert (await made.services.jobs.recovery.recover(restarted=True)).queued == 0
    assert (await made.queue.stats()).parked == 1


async def test_a_paused_run_that_cannot_be_read_keeps_no_other_from_being_listed() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        broken, job = await paused(made), await paused(made)
        while (await made.queue.stats()).parked < 2:  # noqa: ASYNC110 - the queue tells nobody of this
            await asyncio.sleep(0.001)
    find = made.services.jobs.requests.find

    async def broken_find(tenant: str, run: ev.RunId) -> Any:
        if run == broken["job_id"]:
            raise BrokenRequestError("It cannot be read.")
        return await find(tenant, run)

    made.services.jobs.requests.find = broken_find  # type: ignore[method-assign]

    assert [asked["job_id"] for asked in await pending(made)] == [job["job_id"]]
