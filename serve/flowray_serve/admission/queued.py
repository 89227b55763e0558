"""Queued runs and the ledger: whose run an engine takes next, and that one which is taken counts like any other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter

from flowray.engine.commands import FinishRun
from flowray.engine.events import Event, Recorded
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.leasing import Waiting
from flowray.engine.ports import RunRequest
from flowray.quotas.ledger import Ledger
from flowray.quotas.refusals import BudgetSpentError, QuotaExceededError
from flowray.quotas.turnstile import TermsOf
from flowray_serve.admission.runs import RunAdmission, RunOvertimeError, within
from flowray_serve.queueing.carry import LeasedEngine


class FairTurns:
    """See `flowray.engine.leasing.Turns`: who is furthest behind in all pools together comes first.

    Of those who are level it is whose run has waited longest. A tenant whose quota of runs is used up is passed over,
    so that its queue holds up nobody.
    """

    def __init__(self, ledger: Ledger, terms_of: TermsOf, *, pools: Collection[str]) -> None:
        self._ledger = ledger
        self._terms_of = terms_of
        self._pools = pools

    async def next(self, waiting: Sequence[Waiting], limit: int) -> Sequence[str]:
        """At most `limit` tenants, one for each run to take."""
        longest_first = sorted(waiting, key=attrgetter("oldest_at"))
        order = await self._ledger.turns([one.tenant for one in longest_first], self._pools)
        room = {one.tenant: min(one.length, await self._room(one.tenant, limit)) for one in waiting}
        chosen: list[str] = []
        while len(chosen) < limit and any(room.values()):
            for tenant in order:
                if room[tenant] > 0:
                    room[tenant] -= 1
                    chosen.append(tenant)
        return chosen[:limit]

    async def _room(self, tenant: str, limit: int) -> int:
        most = (await self._terms_of(tenant)).quota.runs
        if most is None:
            return limit
        return max(0, most - (await self._ledger.standing(tenant)).runs)


class AdmittedLeasedEngine:
    """See `flowray_serve.queueing.carry.LeasedEngine`. What may not run now goes back to its place in the queue."""

    def __init__(self, engine: LeasedEngine, admission: RunAdmission) -> None:
        self._engine = engine
        self._admission = admission

    async def drive(self, request: RunRequest, recorded: Sequence[Recorded], *, hold: Hold) -> Event | None:
        """See `LeasedEngine`."""
        try:
            async with self._admission.held(request.tenant, request.run) as terms:
                last: Event | None = await within(
                    request, terms, lambda: self._engine.drive(request, recorded, hold=hold)
                )
        except QuotaExceededError as full:
            raise RunLeftError from full
        except BudgetSpentError as spent:
            verdict = FinishRun(status="failed", error=spent.message)
            await self._engine.end(request, recorded, verdict, hold=hold)
        except RunOvertimeError:
            return None  # it was cancelled, and its journal says so
        else:
            return last
        return None

    async def end(self, request: RunRequest, recorded: Sequence[Recorded], verdict: FinishRun, *, hold: Hold) -> None:
        """See `LeasedEngine`."""
        await self._engine.end(request, recorded, verdict, hold=hold)
