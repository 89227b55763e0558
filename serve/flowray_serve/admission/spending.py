"""What tenants have used up of their budgets: looked up once a second, warned of once, and a stop when it is all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from flowray.quotas.budget import Budgets, Finding, Span, findings, until_next
from flowray.quotas.refusals import BudgetSpentError
from flowray.quotas.usage import UsageBook

log = logging.getLogger(__name__)

Notify = Callable[[str, Budgets, Finding], Coroutine[Any, Any, None]]
_KEPT_S = 1.0


class BudgetKeeper:
    """Holds tenants to their budgets. `notify` is told of each finding, and sees to it that it is passed on once."""

    def __init__(
        self,
        usage: UsageBook,
        budgets_of: Callable[[str], Awaitable[Budgets]],
        notify: Notify,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._usage = usage
        self._budgets_of = budgets_of
        self._notify = notify
        self._clock = clock
        self._known: dict[str, tuple[datetime, tuple[Finding, ...]]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def require_budget(self, tenant: str) -> None:
        """See `flowray_serve.admission.runs.Spending`."""
        budgets = await self._budgets_of(tenant)
        if not budgets:
            return
        spent = next((one for one in await self._findings(tenant, budgets) if one.level == "spent"), None)
        if spent is not None:
            raise BudgetSpentError(_said(tenant, spent), until_next(spent.span, self._clock()))

    async def used(self, tenant: str) -> Mapping[Span, Mapping[str, float]]:
        """What a tenant has used this day and this month."""
        now = self._clock()
        today = now.strftime("%Y-%m-%d")
        month = [(now.replace(day=1) + timedelta(days=passed)).strftime("%Y-%m-%d") for passed in range(now.day)]
        return {
            "day": await self._usage.totals(tenant, [today]),
            "month": await self._usage.totals(tenant, month),
        }

    async def _findings(self, tenant: str, budgets: Budgets) -> tuple[Finding, ...]:
        now = self._clock()
        known = self._known.get(tenant)
        if known is None or now - known[0] > timedelta(seconds=_KEPT_S):
            known = now, findings(budgets, used=await self.used(tenant), at=now)
            self._known[tenant] = known
            for one in known[1]:
                telling = asyncio.create_task(self._notify(tenant, budgets, one), name=f"budget of {tenant}")
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)
        return known[1]


def notice(tenant: str, finding: Finding) -> Mapping[str, object]:
    """What a webhook is told."""
    return {"type": f"budget.{finding.level}", "data": {"tenant": tenant, **asdict(finding)}}


def _said(tenant: str, spent: Finding) -> str:
    return (
        f"Tenant `{tenant}` has used {spent.used:.6g} of the {spent.most:.6g} `{spent.measure}` that it may use in the "
        f"{spent.span} {spent.period}. Have the budget raised, or wait for the next {spent.span}."
    )
