"""What is settled for a tenant's share: its own settings over the operator's defaults, as of less than a second ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from flowray.quotas.budget import Budgets
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.rate import Rate
from flowray.quotas.settled import budgets_of, rates_of, terms_of
from flowray.tenancy.tenant import Tenant

_NOBODY = Tenant(id="nobody")


class TenantFinder(Protocol):
    """The tenants there are."""

    async def find(self, tenant: str) -> Tenant | None:
        """The tenant with this id."""


class Settled:
    """Reads tenants' settings. What is read of one is remembered until its settings are others."""

    def __init__(self, tenants: TenantFinder, *, quota: Quota, rates: Mapping[str, Rate]) -> None:
        self._tenants = tenants
        self._quota = quota
        self._rates = rates
        self._terms: dict[str, tuple[str, Terms]] = {}

    async def terms(self, tenant: str) -> Terms:
        """The tenant's quota and weight."""
        found = await self._of(tenant)
        known = self._terms.get(tenant)
        if known is None or known[0] != found.revision:
            # Microseconds order the changes of one tenant: each is made after the one before, and says a later time.
            terms = terms_of(found.quotas, self._quota, version=int(found.changed_at * 1_000_000))
            known = self._terms[tenant] = (found.revision, terms)
        return known[1]

    async def rates(self, tenant: str) -> Mapping[str, Rate]:
        """The tenant's rates by route class."""
        found = await self._of(tenant)
        return rates_of(found.quotas, self._rates) if "rates" in found.quotas else self._rates

    async def budgets(self, tenant: str) -> Budgets:
        """The tenant's budgets."""
        return budgets_of((await self._of(tenant)).budgets)

    async def _of(self, tenant: str) -> Tenant:
        return await self._tenants.find(tenant) or _NOBODY
