"""Whether a tenant may have one more run now: its quota of runs, and its budgets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol

from flowray.engine.events import Recorded
from flowray.engine.failures import RunFailedError
from flowray.engine.ports import RunRequest
from flowray.quotas.quota import Terms
from flowray.quotas.refusals import QuotaExceededError
from flowray.quotas.turnstile import TermsOf, Turnstile

log = logging.getLogger(__name__)


class RunOvertimeError(RunFailedError):
    """The run took longer than its tenant's quota allows."""

    code = "run_overtime"
    fault = "caller"
    status = 504


class Spending(Protocol):
    """Knows what a tenant has used up."""

    async def require_budget(self, tenant: str) -> None:
        """`BudgetSpentError` when a budget is spent."""


class NoBudgets:
    """Nobody has a budget."""

    async def require_budget(self, tenant: str) -> None:
        """See `Spending`."""


class RunningCount(Protocol):
    """Knows how many runs a tenant has going."""

    async def __call__(self, tenant: str) -> int:
        """How many, over the whole cluster."""


class RunAdmission:
    """Lets runs in. `check` is a look, to refuse before anything is answered; `held` counts the run, and decides."""

    def __init__(
        self, turnstile: Turnstile, terms_of: TermsOf, *, running: RunningCount, spending: Spending | None = None
    ) -> None:
        self._turnstile = turnstile
        self._terms_of = terms_of
        self._running = running
        self._spending: Spending = spending or NoBudgets()

    async def check(self, tenant: str) -> None:
        """`QuotaExceededError` or `BudgetSpentError` when a run would be refused as things are."""
        await self._spending.require_budget(tenant)
        terms = await self._terms_of(tenant)
        if terms.quota.runs is not None and await self._running(tenant) >= terms.quota.runs:
            raise _full(tenant, terms)

    async def may_queue(self, tenant: str) -> int | None:
        """How many runs of the tenant may wait at most; `BudgetSpentError` when another one would be refused then."""
        await self._spending.require_budget(tenant)
        return (await self._terms_of(tenant)).quota.queued

    @asynccontextmanager
    async def held(self, tenant: str, run: str, *, below: str = "") -> AsyncGenerator[Terms, None]:
        """Count a run for as long as the block lasts; gives the tenant's terms.

        A run `below` another one, which waits for it, has its place among the runs, and could not wait for one.
        """
        await self._spending.require_budget(tenant)
        terms = await self._terms_of(tenant)
        if below:
            yield terms
            return
        if await self._turnstile.open_run(run, tenant) == "full":
            raise _full(tenant, terms)
        try:
            yield terms
        finally:
            self._turnstile.close_run(run)


class DrivesRuns(Protocol):
    """The engine of runs that somebody waits for."""

    async def execute(self, request: RunRequest) -> Any:
        """All events of the run."""

    def run(self, request: RunRequest) -> AsyncGenerator[Recorded, None]:
        """The run's events as they come."""


class AdmittedEngine:
    """An engine whose runs are counted, and stopped when they outlast what their tenant's quota allows."""

    def __init__(self, engine: DrivesRuns, admission: RunAdmission) -> None:
        self._engine = engine
        self._admission = admission

    async def execute(self, request: RunRequest) -> Any:
        """See `DrivesRuns`."""
        async with self._admission.held(request.tenant, request.run, below=request.asked_by) as terms:
            return await within(request, terms, lambda: self._engine.execute(request))

    async def run(self, request: RunRequest) -> AsyncGenerator[Recorded, None]:
        """See `DrivesRuns`."""
        async with self._admission.held(request.tenant, request.run, below=request.asked_by) as terms:
            events: asyncio.Queue[Recorded | None] = asyncio.Queue(1)

            async def drive() -> None:
                async with aclosing(self._engine.run(request)) as told:
                    async for recorded in told:
                        await events.put(recorded)

            driving = asyncio.create_task(within(request, terms, drive), name=f"admitted run {request.run}")
            # Wakes the reader when the run is over; an event that waits wakes it anyway.
            driving.add_done_callback(lambda _: None if events.full() else events.put_nowait(None))
            try:
                while not (driving.done() and events.empty()):
                    if (recorded := await events.get()) is not None:
                        yield recorded
                await driving
            finally:
                driving.cancel("The caller went away.")
                await asyncio.wait([driving])


async def within(request: RunRequest, terms: Terms, drive: Callable[[], Awaitable[Any]]) -> Any:
    """Drive a run, and stop it when it outlasts its tenant's quota; the journal says why it was stopped."""
    limit_s = terms.quota.wall_s
    if limit_s is None:
        return await drive()
    task = asyncio.current_task()
    why = f"The run outlasted the {limit_s:g} s that tenant `{request.tenant}` may have for one."
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        if task is not None:
            task.cancel(why)

    timer = asyncio.get_running_loop().call_later(limit_s, stop)
    try:
        return await drive()
    except asyncio.CancelledError:
        if not stopped or task is None or task.uncancel() > 0:
            raise
        raise RunOvertimeError(why, request.run) from None
    finally:
        timer.cancel()


def _full(tenant: str, terms: Terms) -> QuotaExceededError:
    most = terms.quota.runs
    return QuotaExceededError(
        f"Tenant `{tenant}` has {most} runs going, as many as its quota allows at a time. Ask again when one is over."
    )
