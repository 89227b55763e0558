"""What a tenant has going, may have, and has used: everything that is shown of its share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from flowray.errors import InvalidRequestError
from flowray.quotas.budget import Budgets, Span
from flowray.quotas.ledger import Standing
from flowray.quotas.quota import Terms
from flowray.quotas.rate import Rate
from flowray.quotas.usage import GROUPS, UsageBook, grouped

_LONGEST_DAYS = 400


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Reads the ledger, the queue, the settings, the book, and what is `kept`."""

    standing: Callable[[str], Awaitable[Standing]]
    queued: Callable[[str], Awaitable[int]]
    kept: Callable[[str], Awaitable[Mapping[str, float]]]
    terms: Callable[[str], Awaitable[Terms]]
    rates: Callable[[str], Awaitable[Mapping[str, Rate]]]
    budgets: Callable[[str], Awaitable[Budgets]]
    used: Callable[[str], Awaitable[Mapping[Span, Mapping[str, float]]]]
    book: UsageBook

    async def quota(self, tenant: str) -> Mapping[str, Any]:
        """What is settled, and what of it is taken."""
        terms, standing, budgets = await self.terms(tenant), await self.standing(tenant), await self.budgets(tenant)
        held = standing.held
        used = await self.used(tenant) if budgets else {}
        return {
            "tenant": tenant,
            "weight": terms.weight,
            "quota": asdict(terms.quota),
            "rates": {kind: rate.text for kind, rate in (await self.rates(tenant)).items()},
            "now": {
                "runs": standing.runs,
                "queued": await self.queued(tenant),
                "steps": held.steps,
                "steps_waiting": standing.waiting,
                "cpu": held.cpu_m / 1000,
                "memory_mib": held.memory_mib,
                "gpu": held.gpu_m / 1000,
                **await self.kept(tenant),
            },
            "budgets": {
                "day": {"most": budgets.day.most, "used": used.get("day", {})},
                "month": {"most": budgets.month.most, "used": used.get("month", {})},
                "warn_at": budgets.warn_at,
            },
        }

    async def usage(
        self, tenants: Sequence[str], *, since: date, until: date, by: Sequence[str]
    ) -> Sequence[Mapping[str, object]]:
        """What these tenants have used from one day to another, both counted, added up by some of the groups."""
        unknown = [group for group in by if group not in GROUPS]
        if unknown or not by:
            raise InvalidRequestError(f"`by`: name some of {', '.join(GROUPS)}, apart by commas.")
        days = _days(since, until)
        rows: list[Mapping[str, object]] = []
        for tenant in tenants:
            rows += grouped(await self.book.uses(tenant, days), by, tenant=tenant)
        return rows


def _days(since: date, until: date) -> Sequence[str]:
    if until < since:
        raise InvalidRequestError("`until` must not be before `since`.")
    count = (until - since).days + 1
    if count > _LONGEST_DAYS:
        raise InvalidRequestError(f"At most {_LONGEST_DAYS} days can be asked for at once.")
    return [(since + timedelta(days=passed)).isoformat() for passed in range(count)]
