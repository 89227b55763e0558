"""Whose turn it is: weighted fair queueing over tenants, with the part of a pool that a step takes as its cost.

Each tenant has a virtual time per pool, which grows by cost over weight with what it is given; the next place goes to
the tenant that is furthest behind. Cost is the step's dominant part of the pool times its seconds: a guess when it is
granted, what it really was when it ends. Who has waited for nothing starts from now, so nobody saves up turns.

Nothing here looks at a clock, waits or draws lots: the same story always gives the same decisions. The ledger in Redis
tells the same story in Lua; `tests/contract/test_ledger.py` holds both to each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from flowray.quotas.amounts import NOTHING, UNLIMITED, Amounts, dominant, stretched
from flowray.quotas.line import Line, Running, Waiting
from flowray.quotas.queue import Queue
from flowray.quotas.quota import Terms
from flowray.quotas.ticket import Grant, Ticket

# How many tenants whose next step does not fit into the pool are passed over in one decision.
_LOOKED_AT = 32
# A tenant with less than one in sixteen of a pool's steps finds it stretched.
_FEW = 16


@dataclass(frozen=True, kw_only=True)
class FairRules:
    """How turns are given.

    `fair` off is first come, first served, whosever it is. A step that has waited `patience_s` and would fit into an
    empty pool keeps it free until it does: else small ones could go round it for ever.
    """

    fair: bool = True
    patience_s: float = 10.0


@dataclass
class _Tenant:
    terms: Terms = field(default_factory=lambda: Terms(version=-1))
    ceiling: Amounts = field(default_factory=lambda: Terms().quota.ceiling)
    held: Amounts = NOTHING
    stalled: set[str] = field(default_factory=set)


@dataclass
class _Pool:
    capacity: Amounts = NOTHING
    used: Amounts = NOTHING
    virtual: float = 0.0
    lines: dict[str, Line] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)

    def finish_of(self, tenant: str) -> float:
        """How far a tenant is; whoever has had nothing here is as far as the pool."""
        line = self.lines.get(tenant)
        return self.virtual if line is None else max(line.finish, self.virtual)


class FairShare:
    """All pools, all tenants, all tickets."""

    def __init__(self, rules: FairRules | None = None) -> None:
        self._rules = rules or FairRules()
        self._pools: dict[str, _Pool] = {}
        self._tenants: dict[str, _Tenant] = {}
        self._waiting: dict[str, Waiting] = {}
        self._running: dict[str, Running] = {}

    def set_pool(self, pool: str, capacity: Amounts) -> None:
        """What a pool's Runners have together; 0 is what nobody has counted."""
        self._pool(pool).capacity = capacity

    def set_terms(self, tenant: str, terms: Terms) -> Collection[str]:
        """A tenant's quota and weight; older ones than those in force are passed over.

        Return the tickets that waited and are more than the tenant may have at all by now: they are forgotten.
        """
        known = self._tenant(tenant)
        if not terms.replaces(known.terms):
            return ()
        known.terms, known.ceiling = terms, terms.quota.ceiling
        waiting = [one.ticket for one in self._waiting.values() if one.ticket.tenant == tenant]
        too_large = [ticket.id for ticket in waiting if not self.fits(ticket.need, tenant)]
        for ticket in too_large:
            self._withdrawn(ticket)
        self._revive(tenant)
        return too_large

    def ask(self, ticket: Ticket, now: float) -> None:
        """Somebody waits."""
        waiting = Waiting(ticket=ticket, asked_at=now)
        self._waiting[ticket.id] = waiting
        pool, line = self._pool(ticket.pool), self._line(ticket)
        came_back = not line
        line.add(waiting)
        if came_back:
            line.finish = max(line.finish, pool.virtual)
        if line.head() is waiting:
            self._tenant(ticket.tenant).stalled.discard(ticket.pool)
        self._queue(ticket.pool, ticket.tenant)

    def decide(self, pool: str, now: float) -> Grant | None:
        """Grant the next ticket of a pool; None when nobody can have what there is."""
        here = self._pool(pool)
        passed: list[tuple[float, str]] = []
        grant = None
        while grant is None and len(passed) < _LOOKED_AT and (first := here.queue.pop()) is not None:
            key, tenant = first
            head = here.lines[tenant].head()
            if head is None:
                continue
            if not self._in_quota(head.ticket):
                self._tenants[tenant].stalled.add(pool)
                continue
            if self._in_pool(head.ticket, here):
                grant = self._give(head, here, now)
                continue
            passed.append((key, tenant))
            if self._insists(head, here, now):
                break
        for key, tenant in passed:
            here.queue.put(tenant, key)
        return grant

    def end(self, ticket: str, now: float) -> set[str]:
        """A granted step is over, or nobody waits any more; the pools that may have a place now."""
        running = self._running.pop(ticket, None)
        if running is None:
            return self._withdrawn(ticket)
        self._charge(running, now - running.granted_at)
        mine, pool = running.ticket, self._pool(running.ticket.pool)
        line = self._line(mine)
        line.learn(now - running.granted_at)
        line.held = line.held.minus(mine.need)
        pool.used = pool.used.minus(mine.need)
        self._tenant(mine.tenant).held = self._tenant(mine.tenant).held.minus(mine.need)
        return {mine.pool, *self._revive(mine.tenant)}

    def go_on(self, ticket: str, now: float) -> None:
        """A granted step still runs: charge what it has used beyond the guess."""
        running = self._running.get(ticket)
        if running is not None and now - running.granted_at > running.charged_s:
            self._charge(running, now - running.granted_at)

    def restore(self, ticket: Ticket, now: float) -> None:
        """A step runs that nobody here knew of: it holds what it holds, even beyond what may be granted."""
        if ticket.id not in self._running:
            self.end(ticket.id, now)
            self._hold(ticket, self._pool(ticket.pool), now)

    def held(self, tenant: str) -> Amounts:
        """What a tenant's running steps take."""
        return self._tenant(tenant).held

    def waiting(self, tenant: str) -> int:
        """How many of a tenant's steps wait."""
        return sum(len(pool.lines[tenant]) for pool in self._pools.values() if tenant in pool.lines)

    def fits(self, need: Amounts, tenant: str) -> bool:
        """Whether a tenant that ran nothing else could have this."""
        return need.fits(NOTHING, self._tenant(tenant).ceiling)

    def standing(self, tenants: Iterable[str], pools: Iterable[str]) -> list[str]:
        """These tenants in the order of their turns: who is furthest behind in all pools together comes first.

        Their sum counts: the largest would be that of the pool with the longest past, whoever uses it.
        """
        among = [self._pool(pool) for pool in pools]
        return sorted(tenants, key=lambda tenant: sum(here.finish_of(tenant) for here in among))

    def _withdrawn(self, ticket: str) -> set[str]:
        waiting = self._waiting.pop(ticket, None)
        if waiting is None:
            return set()
        line, mine = self._line(waiting.ticket), waiting.ticket
        line.remove(ticket)
        self._pool(mine.pool).queue.remove(mine.tenant)
        self._tenant(mine.tenant).stalled.discard(mine.pool)
        self._queue(mine.pool, mine.tenant)
        return {mine.pool}

    def _give(self, head: Waiting, pool: _Pool, now: float) -> Grant:
        ticket = head.ticket
        line = pool.lines[ticket.tenant]
        line.remove(ticket.id)
        del self._waiting[ticket.id]
        pool.virtual = max(pool.virtual, line.finish)
        self._hold(ticket, pool, now)
        self._queue(ticket.pool, ticket.tenant)
        return Grant(ticket=ticket.id, load=line.held.steps / self._tenants[ticket.tenant].terms.weight)

    def _hold(self, ticket: Ticket, pool: _Pool, now: float) -> None:
        line, tenant = self._line(ticket), self._tenant(ticket.tenant)
        running = Running(ticket=ticket, granted_at=now, rate=dominant(ticket.need, pool.capacity), charged_s=0.0)
        self._running[ticket.id] = running
        self._charge(running, line.guess_s)
        line.held = line.held.plus(ticket.need)
        pool.used = pool.used.plus(ticket.need)
        tenant.held = tenant.held.plus(ticket.need)

    def _charge(self, running: Running, for_s: float) -> None:
        """Have a step be charged for so many seconds in all, more or less than it was."""
        line = self._line(running.ticket)
        weight = self._tenant(running.ticket.tenant).terms.weight
        line.finish += running.rate * (for_s - running.charged_s) / weight
        running.charged_s = for_s
        if line and running.ticket.tenant in self._pool(running.ticket.pool).queue:
            self._queue(running.ticket.pool, running.ticket.tenant)

    def _queue(self, pool: str, tenant: str) -> None:
        here = self._pool(pool)
        line = here.lines[tenant]
        head = line.head()
        if head is None or pool in self._tenant(tenant).stalled:
            return
        here.queue.put(tenant, line.finish if self._rules.fair else head.place)

    def _revive(self, tenant: str) -> set[str]:
        """A tenant may have more again: let it wait where its quota had stopped it."""
        stalled, self._tenant(tenant).stalled = self._tenant(tenant).stalled, set()
        for pool in stalled:
            line, here = self._pool(pool).lines[tenant], self._pool(pool)
            line.finish = max(line.finish, here.virtual)
            self._queue(pool, tenant)
        return stalled

    def _in_quota(self, ticket: Ticket) -> bool:
        tenant = self._tenants[ticket.tenant]
        return ticket.need.fits(tenant.held, tenant.ceiling)

    def _in_pool(self, ticket: Ticket, pool: _Pool) -> bool:
        return ticket.need.fits(pool.used, _counted(_open_to(pool.lines[ticket.tenant], pool.capacity)))

    def _insists(self, head: Waiting, pool: _Pool, now: float) -> bool:
        waited_s = now - head.asked_at
        return waited_s >= self._rules.patience_s and head.ticket.need.fits(NOTHING, _counted(pool.capacity))

    def _line(self, ticket: Ticket) -> Line:
        self._tenant(ticket.tenant)
        return self._pool(ticket.pool).lines.setdefault(ticket.tenant, Line())

    def _pool(self, pool: str) -> _Pool:
        return self._pools.setdefault(pool, _Pool())

    def _tenant(self, tenant: str) -> _Tenant:
        return self._tenants.setdefault(tenant, _Tenant())


def _open_to(line: Line, capacity: Amounts) -> Amounts:
    """A pool's steps for a tenant that has few there: some more, so that it need not wait for another's to end.

    Steps cannot be taken back once they run, and who floods a pool may run long ones. Memory, and what else is
    counted, stays as it is.
    """
    if line.held.steps * _FEW >= capacity.steps:
        return capacity
    return capacity._replace(steps=stretched(capacity.steps))


def _counted(capacity: Amounts) -> Amounts:
    """A pool without steps has no room; what else it does not say, it has enough of."""
    rest = (there_is or UNLIMITED for there_is in capacity[1:])
    return Amounts(capacity.steps, *rest)
