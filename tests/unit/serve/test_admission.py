"""What stands before a run and its steps: turns, quotas, rates, and other tenants' pools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from flowray.engine.commands import FinishRun, StartStep
from flowray.engine.events import RunId, StepFailed, StepFinished, StepStarted
from flowray.engine.fake import FakeSteps
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.leasing import Waiting
from flowray.engine.loop import Engine
from flowray.engine.ports import RunRequest
from flowray.plan.types import StepId
from flowray.quotas.amounts import Amounts
from flowray.quotas.buckets import MemoryBuckets
from flowray.quotas.memory_ledger import MemoryLedgers
from flowray.quotas.needs import StepSize
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.rate import rate_of
from flowray.quotas.refusals import QuotaExceededError
from flowray.quotas.ticket import Ticket
from flowray.quotas.turnstile import Turnstile
from flowray.stores.memory_journal import MemoryJournal
from flowray_serve.admission.lending import Lending
from flowray_serve.admission.queued import AdmittedLeasedEngine, FairTurns
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.admission.runs import AdmittedEngine, RunAdmission, RunOvertimeError
from flowray_serve.admission.steps import AdmittedSteps
from flowray_serve.services import Services
from tests.unit.build import plan_of
from tests.unit.engine.whole_runs import request as request_of
from tests.unit.serve.one_app import app_of
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, service


class Cluster:
    """A ledger, one process that asks it, and steps that are held until they are released."""

    def __init__(self, **quota: float) -> None:
        self.ledgers = MemoryLedgers()
        self.ledger = self.ledgers.holder("here")
        self.settled = Terms(quota=Quota(**quota), version=1)  # type: ignore[arg-type]
        self.turnstile = Turnstile(self.ledger, self.terms)
        self.inner = FakeSteps()
        self.lending = Lending()
        self.admission = RunAdmission(self.turnstile, self.terms, running=self.running)

    async def terms(self, _: str) -> Terms:
        return self.settled

    async def running(self, tenant: str) -> int:
        return (await self.ledger.standing(tenant)).runs

    def steps(self, *, owners: dict[str, frozenset[str]] | None = None, wait_s: float = 0.05) -> AdmittedSteps:
        sizes = {"default": StepSize(cpu=1.0, memory_mib=100)}
        return AdmittedSteps(
            self.inner, self.turnstile, sizes=sizes, owners=owners or {}, wait_s=wait_s, lending=self.lending
        )


@pytest.fixture
async def opened() -> AsyncIterator[list[Cluster]]:
    made: list[Cluster] = []
    yield made
    for one in made:
        await one.turnstile.close()


async def cluster(opened: list[Cluster], **quota: float) -> Cluster:
    made = Cluster(**quota)
    await made.ledger.inaugurate()
    await made.ledger.set_pools({"default": Amounts(10, 0, 0, 0)})
    made.turnstile.start()
    opened.append(made)
    return made


async def told(steps: AdmittedSteps, request: RunRequest, *, step: str = "s1") -> list[object]:
    return [event async for batch in steps.run(request, StartStep(step=StepId(step))) for event in batch]


async def test_a_step_holds_what_it_takes_while_it_runs_and_nothing_afterwards(opened: list[Cluster]) -> None:
    made = await cluster(opened)
    made.inner = FakeSteps(held=["s1"])
    request = request_of(plan_of(s1=""))

    running = asyncio.create_task(told(made.steps(), request))
    await made.inner.running("s1")
    held = (await made.ledger.standing(request.tenant)).held
    made.inner.release("s1")
    await running

    assert held == Amounts(1, 1000, 100, 0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert (await made.ledger.standing(request.tenant)).held == Amounts()


async def test_a_step_whose_turn_does_not_come_fails_without_having_run(opened: list[Cluster]) -> None:
    made = await cluster(opened, steps=0)
    made.settled = Terms(quota=Quota(steps=1), version=2)
    await made.ledger.set_pools({"default": Amounts(0, 0, 0, 0)})

    (failed,) = await told(made.steps(), request_of(plan_of(s1="")))

    assert isinstance(failed, StepFailed)
    assert (failed.kind, failed.retryable, made.inner.commands) == ("unavailable", False, [])


async def test_a_steps_start_says_how_long_it_waited_for_its_turn_too(opened: list[Cluster]) -> None:
    made = await cluster(opened, steps=1)
    made.inner = FakeSteps(held=["s1"])
    request = request_of(plan_of(s1="", s2=""))
    steps = made.steps(wait_s=30.0)
    first = asyncio.create_task(told(steps, request))
    await made.inner.running("s1")
    second = asyncio.create_task(told(steps, request, step="s2"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert (await made.ledger.standing(request.tenant)).waiting == 1
    waiting_at = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)

    released_at = time.monotonic()
    made.inner.release("s1")
    started = (await second)[0]

    assert isinstance(started, StepStarted)
    assert started.queued_s >= released_at - waiting_at
    await first


async def test_a_step_larger_than_its_tenants_quota_says_so(opened: list[Cluster]) -> None:
    made = await cluster(opened, memory_mib=99)

    (failed,) = await told(made.steps(), request_of(plan_of(s1="")))

    assert isinstance(failed, StepFailed)
    assert "more than the quota" in failed.error


async def test_a_run_that_a_step_waits_for_runs_in_that_steps_turn_when_there_is_no_other(
    opened: list[Cluster],
) -> None:
    made = await cluster(opened, runs=1, steps=1)
    made.inner = FakeSteps(held=["s1"])
    parent = request_of(plan_of(s1=""))
    child = replace(request_of(plan_of(s2="")), run=RunId("child"), asked_by=parent.run, asking_step="s1", depth=1)
    waiting = asyncio.create_task(told(made.steps(), parent))
    await made.inner.running("s1")

    async with made.admission.held("t", parent.run), made.admission.held("t", child.run, below=parent.run):
        ran = await told(made.steps(), child, step="s2")

    assert isinstance(ran[-1], StepFinished)
    assert [(one.step, one.lent) for one in made.inner.commands] == [("s1", False), ("s2", True)]
    assert (await made.ledger.standing(parent.tenant)).held.steps == 1
    made.inner.release("s1")
    await waiting


async def test_a_run_that_a_step_waits_for_has_turns_of_its_own_where_there_are_any(opened: list[Cluster]) -> None:
    made = await cluster(opened, steps=2)
    made.inner = FakeSteps(held=["s1"])
    parent = request_of(plan_of(s1=""))
    child = replace(request_of(plan_of(s2="")), run=RunId("child"), asked_by=parent.run, asking_step="s1", depth=1)
    waiting = asyncio.create_task(told(made.steps(), parent))
    await made.inner.running("s1")

    await told(made.steps(), child, step="s2")

    assert [one.lent for one in made.inner.commands] == [False, False]
    made.inner.release("s1")
    await waiting


async def test_a_turn_is_lent_to_one_step_at_a_time_and_to_no_stranger(opened: list[Cluster]) -> None:
    made = await cluster(opened, steps=1)
    made.inner = FakeSteps(held=["s1", "s2"])
    parent = request_of(plan_of(s1=""))
    child = replace(
        request_of(plan_of(s2="", s3="")), run=RunId("child"), asked_by=parent.run, asking_step="s1", depth=1
    )
    running = [asyncio.create_task(told(made.steps(), parent))]
    await made.inner.running("s1")
    running.append(asyncio.create_task(told(made.steps(), child, step="s2")))
    await made.inner.running("s2")

    sibling = await told(made.steps(), child, step="s3")
    stranger = await told(made.steps(), replace(child, asked_by="other"), step="s3")

    assert [type(one) for one in (*sibling, *stranger)] == [StepFailed, StepFailed]
    for step in ("s2", "s1"):
        made.inner.release(step)
    await asyncio.gather(*running)


async def test_nobody_gets_into_another_tenants_pool_whatever_the_plan_says(opened: list[Cluster]) -> None:
    made = await cluster(opened)
    steps = made.steps(owners={"default": frozenset({"somebody-else"})})

    (failed,) = await told(steps, request_of(plan_of(s1="")))

    assert isinstance(failed, StepFailed)
    assert "not open to tenant" in failed.error


async def test_a_run_too_many_is_refused_and_one_that_is_over_makes_room(opened: list[Cluster]) -> None:
    made = await cluster(opened, runs=1)
    async with made.admission.held("t", "r1"):
        with pytest.raises(QuotaExceededError) as refused:
            await made.admission.check("t")
        with pytest.raises(QuotaExceededError):
            async with made.admission.held("t", "r2"):
                pass

    assert refused.value.headers["retry-after"] == "1"
    for _ in range(100):
        await asyncio.sleep(0)
    await made.admission.check("t")


async def test_a_run_that_outlasts_its_quota_is_stopped_and_its_journal_says_why(opened: list[Cluster]) -> None:
    made = await cluster(opened, wall_s=0.05)
    made.inner = FakeSteps(held=["s1"])
    journal = MemoryJournal()
    engine = AdmittedEngine(Engine(journal, made.steps(), name="e", durability="strict"), made.admission)
    request = request_of(plan_of(s1=""))

    with pytest.raises(RunOvertimeError, match="outlasted"):
        await engine.execute(request)

    events = [one.event async for one in journal.read(request.tenant, request.run)]
    assert "outlasted the 0.05 s" in getattr(events[-2], "reason", "")


async def test_a_stream_ends_with_its_run(opened: list[Cluster]) -> None:
    made = await cluster(opened, wall_s=60)
    engine = AdmittedEngine(Engine(MemoryJournal(), made.steps(), name="e"), made.admission)

    kinds = [type(one.event).__name__ async for one in engine.run(request_of(plan_of(s1="", s2="s1")))]

    assert kinds[-1] == "RunFinished"


async def test_a_leased_run_that_may_not_run_now_goes_back_to_the_queue(opened: list[Cluster]) -> None:
    made = await cluster(opened, runs=0)
    engine = AdmittedLeasedEngine(NeverDriven(), made.admission)

    with pytest.raises(RunLeftError):
        await engine.drive(request_of(plan_of(s1="")), (), hold=Hold(1))


class NeverDriven:
    async def drive(self, request: RunRequest, recorded: object, *, hold: Hold) -> None:
        raise AssertionError("It was driven.")

    async def end(self, request: RunRequest, recorded: object, verdict: FinishRun, *, hold: Hold) -> None:
        raise AssertionError("It was ended.")


async def test_queued_runs_are_taken_in_turn_and_never_beyond_a_quota(opened: list[Cluster]) -> None:
    made = await cluster(opened, runs=2)
    await made.turnstile.open_run("r1", "full")
    await made.turnstile.open_run("r2", "full")
    waiting = [Waiting(tenant=tenant, length=5, oldest_at=0.0) for tenant in ("full", "a", "b")]

    order = await FairTurns(made.ledger, made.terms, pools=["default"]).next(waiting, 3)

    assert order == ["a", "b", "a"]


async def test_the_run_that_has_waited_longest_is_next_where_the_turns_are_level(opened: list[Cluster]) -> None:
    made = await cluster(opened)
    waiting = [Waiting(tenant=tenant, length=5, oldest_at=at) for tenant, at in (("a", 3.0), ("b", 2.0), ("c", 1.0))]

    assert await FairTurns(made.ledger, made.terms, pools=["default"]).next(waiting, 1) == ["c"]


async def test_whose_queued_run_is_next_counts_what_was_given_in_any_pool(opened: list[Cluster]) -> None:
    made = await cluster(opened)
    await made.ledger.set_pools({"cpu": Amounts(10, 0, 0, 0)})
    await made.ledger.ask(Ticket(id="k1", tenant="a", pool="cpu", need=Amounts(steps=1)), made.settled)
    waiting = [Waiting(tenant=tenant, length=5, oldest_at=at) for tenant, at in (("a", 1.0), ("b", 2.0))]

    assert await FairTurns(made.ledger, made.terms, pools=["default", "cpu"]).next(waiting, 1) == ["b"]


async def test_priority_comes_with_a_header_and_a_wrong_one_is_refused() -> None:
    made = service()
    flow = await made.publish(ECHO)

    for said in ("2", "-5"):
        answer = await made.http.post(f"/api/v1/run/{flow}", json={}, headers={"x-flowray-priority": said})
        assert answer.status_code == 200
        assert made.steps.requests[-1].priority == int(said)
    for said in ("9", "high"):
        answer = await made.http.post(f"/api/v1/run/{flow}", json={}, headers={"x-flowray-priority": said})
        assert answer.status_code == 422


async def limited(**rates: str) -> httpx.AsyncClient:
    made = service()

    async def rates_of(_: str) -> dict[str, object]:
        return {name: rate_of(text) for name, text in rates.items()}

    limiter = RateLimiter(MemoryBuckets(clock=lambda: 0.0), rates_of)  # type: ignore[arg-type]
    return client_of(replace(made.services, limiter=limiter))


def client_of(services: Services) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app_of(services), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://flowray.test", headers={"x-api-key": KEY})


@pytest.mark.parametrize("delivery", ["polling", "streaming", "direct"])
async def test_a_build_beyond_the_quota_is_refused_before_it_is_answered_with_a_job(
    opened: list[Cluster], delivery: str
) -> None:
    made, full = service(), await cluster(opened, runs=1)
    flow = await made.publish(ECHO)
    http = client_of(replace(made.services, may_run=full.admission.check))

    async with full.admission.held("default", "r1"):
        refused = await http.post(f"/api/v1/build/{flow}/flow?event_delivery={delivery}", json={})

    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert not made.steps.requests


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/api/v1/responses", {"input": "hi"}),
    ],
)
async def test_a_stream_of_openais_api_beyond_the_quota_is_refused_with_when_to_ask_again(
    opened: list[Cluster], path: str, body: dict[str, Any]
) -> None:
    made, full = service(), await cluster(opened, runs=1)
    asked = {**body, "model": await made.publish(ECHO), "stream": True}
    http = client_of(replace(made.services, may_run=full.admission.check))

    async with full.admission.held("default", "r1"):
        refused = await http.post(path, json=asked)

    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert not made.steps.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_completion_leaves_nothing_in_the_memory_of_chats(
    opened: list[Cluster], *, stream: bool
) -> None:
    made, full = service(), await cluster(opened, runs=1)
    said = [{"role": role, "content": "hi"} for role in ("user", "assistant", "user")]
    asked = {"model": await made.publish(ECHO), "messages": said, "stream": stream}
    http = client_of(replace(made.services, may_run=full.admission.check))

    async with full.admission.held("default", "r1"):
        refused = await http.post("/v1/chat/completions", json=asked)

    assert refused.status_code == 429
    assert await made.services.chats.sessions("default") == ()


async def test_an_answer_says_what_is_left_and_a_refusal_when_to_ask_again() -> None:
    http = await limited(read="60/min+2")

    first, second, third = [await http.get("/api/v1/runs") for _ in range(3)]

    assert (first.status_code, first.headers["ratelimit"]) == (200, '"tenant-read";r=1;t=1')
    assert first.headers["ratelimit-policy"] == '"tenant-read";q=2;w=2'
    assert second.status_code == 200
    assert (third.status_code, third.json()["code"], third.headers["retry-after"]) == (429, "rate_limited", "1")
    assert third.headers["ratelimit"].startswith('"tenant-read";r=0')


async def test_one_tenants_rate_is_not_anothers_and_one_class_not_the_other() -> None:
    http = await limited(read="1/h")
    await http.get("/api/v1/runs")

    other = await http.get("/api/v1/runs", headers={"x-api-key": OTHER_KEY})
    write = await http.post("/api/v1/flows/", json=ECHO)

    assert (other.status_code, write.status_code) == (200, 201)


async def test_what_is_open_to_all_has_no_rate() -> None:
    http = await limited(read="1/h", key_read="1/h")

    assert [(await http.get("/health")).status_code for _ in range(3)] == [200, 200, 200]
