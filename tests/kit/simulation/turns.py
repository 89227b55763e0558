"""A cluster that exists in arithmetic only: tenants come, ask, run, fail and change, all out of one seed."""

from __future__ import annotations

import heapq
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowray.quotas.amounts import NOTHING, Amounts, dominant, stretched
from flowray.quotas.fair import FairRules, FairShare
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import Ticket

CAPACITY = {"small": Amounts(16, 16_000, 32_768, 0), "large": Amounts(64, 64_000, 262_144, 8_000)}


@dataclass
class Story:
    """What was seen on the way. `late` are the longest waits of tickets that their quota never stopped."""

    decisions: int = 0
    granted: int = 0
    took_s: list[float] = field(default_factory=list)
    longest_wait_s: float = 0.0
    trace: list[str] = field(default_factory=list)


class World:
    """Plays until so many decisions are made, and asserts on each that no limit is passed."""

    def __init__(self, seed: int, *, tenants: int = 40, rules: FairRules | None = None) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - a story, not a secret
        self.share = FairShare(rules)
        self._now = 0.0
        self._ends: list[tuple[float, str]] = []
        self._needs: dict[str, Ticket] = {}
        self._asked: dict[str, float] = {}
        self._running: dict[str, Ticket] = {}
        self._quotas: dict[str, Quota] = {}
        self._held: defaultdict[str, Amounts] = defaultdict(lambda: NOTHING)
        self._used: defaultdict[str, Amounts] = defaultdict(lambda: NOTHING)
        self._numbers = 0
        self._version = 0
        self._names = [f"t{number:04}" for number in range(tenants)]
        self.story = Story()
        for pool, capacity in CAPACITY.items():
            self.share.set_pool(pool, capacity)
        for name in self._names:
            self._change(name)

    def play(self, decisions: int) -> Story:
        """Go on until so many decisions were made."""
        while self.story.decisions < decisions:
            self._now += self._dice.expovariate(20.0)
            self._happen()
            self._finish_due()
        return self.story

    def drain(self) -> None:
        """No more arrivals; lift all quotas, and see that everybody gets their turn."""
        for name in self._names:
            self._version += 1
            self._quotas[name] = Quota()
            self.share.set_terms(name, Terms(version=self._version))
        for pool in CAPACITY:
            self._decide(pool)
        while self._ends:
            self._now = max(self._now, self._ends[0][0])
            self._finish_due()
        assert not self._asked, f"{len(self._asked)} tickets were never granted"

    def _happen(self) -> None:
        what = self._dice.random()
        if what < 0.005:
            self._change(self._dice.choice(self._names))
        elif what < 0.02 and self._asked:
            self._end(self._dice.choice(sorted(self._asked)[:50]))
        elif what < 0.04 and self._running:
            self._end(self._dice.choice(sorted(self._running)[:50]))  # a failure: it ends before its time
        elif what < 0.06 and self._running:
            self.share.go_on(self._dice.choice(sorted(self._running)[:50]), self._now)
        elif len(self._asked) < 400:
            self._arrive()

    def _arrive(self) -> None:
        tenant = self._dice.choice(self._names)
        for _ in range(self._dice.choice([1, 1, 1, 4, 12])):
            self._numbers += 1
            pool = self._dice.choice(sorted(CAPACITY))
            gpu_m = self._dice.choice([0, 0, 0, 1000]) if pool == "large" else 0
            cpu_m, memory = self._dice.choice([100, 500, 1000, 4000]), self._dice.choice([128, 512, 4096])
            need = Amounts(1, cpu_m, memory, gpu_m)
            ticket = Ticket(
                id=f"k{self._numbers}", tenant=tenant, pool=pool, need=need, priority=self._dice.randint(-2, 2)
            )
            if not self.share.fits(need, tenant):
                continue
            self._needs[ticket.id] = ticket
            self._asked[ticket.id] = self._now
            self.share.ask(ticket, self._now)
            self._decide(pool)

    def _change(self, tenant: str) -> None:
        self._version += 1
        quota = Quota(
            steps=self._dice.choice([2, 5, 20, None]),
            cpu=self._dice.choice([4.0, 16.0, None]),
            memory_mib=self._dice.choice([8_192, None]),
            gpu=self._dice.choice([1.0, 4.0, None]),
        )
        self._quotas[tenant] = quota
        self.share.set_terms(
            tenant, Terms(quota=quota, weight=self._dice.choice([0.5, 1, 2, 5]), version=self._version)
        )
        for pool in CAPACITY:
            self._decide(pool)

    def _finish_due(self) -> None:
        while self._ends and self._ends[0][0] <= self._now:
            _, ticket = heapq.heappop(self._ends)
            self._end(ticket)

    def _end(self, ticket: str) -> None:
        mine = self._running.pop(ticket, None)
        if mine is not None:
            self._held[mine.tenant] = self._held[mine.tenant].minus(mine.need)
            self._used[mine.pool] = self._used[mine.pool].minus(mine.need)
        self._asked.pop(ticket, None)
        for pool in sorted(self.share.end(ticket, self._now)):
            self._decide(pool)

    def _decide(self, pool: str) -> None:
        while True:
            began = time.perf_counter()
            grant = self.share.decide(pool, self._now)
            self.story.took_s.append(time.perf_counter() - began)
            self.story.decisions += 1
            if grant is None:
                return
            self._granted(self._needs.pop(grant.ticket))

    def _granted(self, ticket: Ticket) -> None:
        self.story.granted += 1
        self.story.trace.append(ticket.id)
        waited_s = self._now - self._asked.pop(ticket.id)
        self.story.longest_wait_s = max(self.story.longest_wait_s, waited_s)
        quota = self._quotas[ticket.tenant]
        assert ticket.need.fits(self._held[ticket.tenant], quota.ceiling), f"{ticket} passes {quota}"
        assert ticket.need.fits(self._used[ticket.pool], _most(CAPACITY[ticket.pool])), f"{ticket} has no room"
        self._held[ticket.tenant] = self._held[ticket.tenant].plus(ticket.need)
        self._used[ticket.pool] = self._used[ticket.pool].plus(ticket.need)
        assert self.share.held(ticket.tenant) == self._held[ticket.tenant]
        self._running[ticket.id] = ticket
        heapq.heappush(self._ends, (self._now + self._dice.expovariate(1.0) + 0.01, ticket.id))


def _most(capacity: Amounts) -> Amounts:
    """What a pool may hold at most: some steps more for those who have few, of all else what it has."""
    return Amounts(stretched(capacity.steps), capacity.cpu_m, capacity.memory_mib, capacity.gpu_m or 2**50)


def shares_under_saturation(
    weights: Sequence[float], *, seed: int, decisions: int, lengths_s: Sequence[float] | None = None
) -> tuple[list[float], list[float]]:
    """Everybody always has something waiting: the part of the pool each got over time, and what its weight promises."""
    dice = random.Random(seed)  # noqa: S311 - a story, not a secret
    share, capacity = FairShare(), Amounts(16, 16_000, 65_536, 0)
    share.set_pool("p", capacity)
    lengths = lengths_s or [dice.uniform(0.1, 5.0) for _ in weights]
    shapes = [Amounts(1, dice.choice([250, 1000, 2000]), dice.choice([256, 1024, 4096]), 0) for _ in weights]
    got = [0.0 for _ in weights]
    running: list[tuple[float, str, int]] = []
    now, number = 0.0, 0

    def ask(one: int) -> None:
        nonlocal number
        number += 1
        share.ask(Ticket(id=f"{one}/{number}", tenant=f"t{one:03}", pool="p", need=shapes[one]), now)

    for one, weight in enumerate(weights):
        share.set_terms(f"t{one:03}", Terms(weight=weight))
        for _ in range(20):
            ask(one)
    for done in range(decisions):
        while (grant := share.decide("p", now)) is not None:
            one = int(grant.ticket.split("/")[0])
            took_s = dice.expovariate(1 / lengths[one]) + 0.001
            if done > decisions // 3:  # by then the first guesses about how long steps take are forgotten
                got[one] += dominant(shapes[one], capacity) * took_s
            heapq.heappush(running, (now + took_s, grant.ticket, one))
            ask(one)
        now, ticket, _ = heapq.heappop(running)
        share.end(ticket, now)
    return [part / sum(got) for part in got], [weight / sum(weights) for weight in weights]
