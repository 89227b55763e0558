"""The ledger of one process, and the fake of the one in Redis: the pure scheduler, with holders and leases around."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from flowray.quotas.amounts import Amounts
from flowray.quotas.fair import FairShare
from flowray.quotas.ledger import LedgerRules, NeverFitsError, Opening, Renewed, Standing
from flowray.quotas.quota import Terms
from flowray.quotas.ticket import Grant, Ticket


@dataclass
class _Holder:
    renewed_at: float
    asked: dict[str, float] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryLedgers:
    """What all holders share."""

    def __init__(self, rules: LedgerRules | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules or LedgerRules()
        self.clock = clock
        self.share = FairShare(self.rules.fair)
        self.holders: dict[str, _Holder] = {}
        self.granted: dict[str, Grant] = {}
        self.runs: dict[str, str] = {}
        self.terms: defaultdict[str, Terms] = defaultdict(lambda: Terms(version=-1))
        self.pools: set[str] = set()
        self.last: float | None = None
        self.quiet_until = 0.0

    def holder(self, name: str) -> MemoryLedger:
        """One holder's hand."""
        return MemoryLedger(self, name)

    def enter(self, name: str) -> tuple[_Holder, float]:
        """Begin whatever a holder wants: it lives, and others may not."""
        now, rules = self.clock(), self.rules
        if self.last is None or now - self.last > rules.silence_s:
            self.quiet_until = now + rules.quiet_s
            for holder in self.holders.values():
                holder.renewed_at = now
        self.last = now
        mine = self.holders.setdefault(name, _Holder(renewed_at=now))
        mine.renewed_at = now
        for other in [one for one, holder in self.holders.items() if now - holder.renewed_at > rules.lease_s]:
            for ticket in self.holders.pop(other).asked:
                self.finish(ticket, now)
        return mine, now

    def finish(self, name: str, now: float) -> None:
        """End a ticket or a run."""
        self.granted.pop(name, None)
        self.runs.pop(name, None)
        for pool in sorted(self.share.end(name, now)):
            self.serve(pool, now)

    def forget(self, tickets: Collection[str]) -> None:
        """Know nothing of these tickets: their holders hear that when they renew, ask again, and are told."""
        for holder in self.holders.values():
            for ticket in tickets:
                holder.asked.pop(ticket, None)

    def serve(self, pool: str, now: float) -> None:
        """Grant all that can be granted in a pool."""
        while now >= self.quiet_until and (grant := self.share.decide(pool, now)) is not None:
            self.granted[grant.ticket] = grant
            for holder in self.holders.values():
                if grant.ticket in holder.asked:
                    holder.grants.append(grant)
                    holder.woken.set()


class MemoryLedger:
    """See `Ledger`."""

    def __init__(self, shared: MemoryLedgers, name: str) -> None:
        self._shared = shared
        self._name = name

    async def open_run(self, run: str, tenant: str, terms: Terms) -> Opening:
        """See `Ledger`."""
        mine, now = self._shared.enter(self._name)
        if now < self._shared.quiet_until:
            return "waking"
        self._agree(tenant, terms)
        if self._runs(tenant) >= self._shared.terms[tenant].quota.most_runs:
            return "full"
        self._shared.runs[run] = tenant
        mine.asked[run] = now
        return "open"

    async def ask(self, ticket: Ticket, terms: Terms) -> Grant | None:
        """See `Ledger`."""
        shared = self._shared
        mine, now = shared.enter(self._name)
        self._agree(ticket.tenant, terms)
        if not shared.share.fits(ticket.need, ticket.tenant):
            raise NeverFitsError(never_fits(ticket))
        mine.asked[ticket.id] = now
        shared.pools.add(ticket.pool)
        shared.share.ask(ticket, now)
        shared.serve(ticket.pool, now)
        grant = shared.granted.get(ticket.id)
        mine.grants = [one for one in mine.grants if one.ticket != ticket.id]
        return grant

    async def end(self, names: Collection[str]) -> None:
        """See `Ledger`."""
        mine, now = self._shared.enter(self._name)
        for name in names:
            if mine.asked.pop(name, None) is not None:
                self._shared.finish(name, now)

    async def granted(self, *, wait_s: float) -> Sequence[Grant]:
        """See `Ledger`."""
        mine, _ = self._shared.enter(self._name)
        if not mine.grants and wait_s > 0:
            mine.woken.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await mine.woken.wait()
            except TimeoutError:
                return ()
        grants, mine.grants = mine.grants, []
        return grants

    async def renew(self, *, waiting: Collection[str], holding: Collection[str]) -> Renewed:
        """See `Ledger`."""
        mine, now = self._shared.enter(self._name)
        named = {*waiting, *holding}
        for name, asked_at in list(mine.asked.items()):
            if name not in named and now - asked_at > self._shared.rules.slack_s:
                del mine.asked[name]
                self._shared.finish(name, now)
        for name in holding:
            self._shared.share.go_on(name, now)
        for pool in sorted(self._shared.pools):
            self._shared.serve(pool, now)
        return Renewed(
            unknown=tuple(name for name in sorted(named) if name not in mine.asked),
            granted=tuple(self._shared.granted[name] for name in sorted(waiting) if name in self._shared.granted),
        )

    async def restore(self, tickets: Collection[Ticket], runs: Mapping[str, str]) -> None:
        """See `Ledger`."""
        mine, now = self._shared.enter(self._name)
        for ticket in tickets:
            mine.asked[ticket.id] = now
            self._shared.share.restore(ticket, now)
            self._shared.granted[ticket.id] = Grant(ticket=ticket.id)
        for run, tenant in runs.items():
            mine.asked[run] = now
            self._shared.runs[run] = tenant

    async def set_terms(self, tenant: str, terms: Terms) -> None:
        """See `Ledger`."""
        _, now = self._shared.enter(self._name)
        self._agree(tenant, terms)
        for pool in sorted(self._shared.pools):
            self._shared.serve(pool, now)

    async def set_pools(self, pools: Mapping[str, Amounts]) -> None:
        """See `Ledger`."""
        _, now = self._shared.enter(self._name)
        for pool, capacity in pools.items():
            self._shared.pools.add(pool)
            self._shared.share.set_pool(pool, capacity)
            self._shared.serve(pool, now)

    async def inaugurate(self) -> None:
        """See `Ledger`."""
        if self._shared.last is None:
            self._shared.last = self._shared.clock()

    async def standing(self, tenant: str) -> Standing:
        """See `Ledger`."""
        share = self._shared.share
        return Standing(runs=self._runs(tenant), held=share.held(tenant), waiting=share.waiting(tenant))

    async def turns(self, tenants: Sequence[str], pools: Collection[str]) -> Sequence[str]:
        """See `Ledger`."""
        return self._shared.share.standing(tenants, pools)

    def _agree(self, tenant: str, terms: Terms) -> None:
        if terms.replaces(self._shared.terms[tenant]):
            self._shared.terms[tenant] = terms
            self._shared.forget(self._shared.share.set_terms(tenant, terms))

    def _runs(self, tenant: str) -> int:
        return sum(1 for owner in self._shared.runs.values() if owner == tenant)


def never_fits(ticket: Ticket) -> str:
    """What to say of a step that is larger than its tenant's quota."""
    need = ticket.need
    return (
        f"A step of this run takes {need.steps} step, {need.cpu_m / 1000:g} CPU, {need.memory_mib} MiB and "
        f"{need.gpu_m / 1000:g} GPU, which is more than the quota of tenant `{ticket.tenant}` allows at all. "
        "Have the quota raised, or let the flow's components ask for less."
    )
