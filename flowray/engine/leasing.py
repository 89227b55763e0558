"""The queue of accepted runs, as engines need it: a run is leased to one engine, under a number that only grows.

The number is the run's fence: a journal refuses an append that carries an older one, so an engine that lost its lease
without knowing it can write nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from flowray.engine.events import RunId
from flowray.errors import FlowRayError, StoreUnavailableError

Kept = Literal["kept", "lost", "unknown"]
"""What became of a lease: still the holder's; somebody else's, or over; or not known, since the store was emptied."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A run in the hands of one engine. `takes` counts how often it was taken, `cancel` is why it shall stop."""

    tenant: str
    run: RunId
    number: int
    takes: int = 1
    cancel: str = ""


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """What became of a lease that was to be renewed, and whether its run shall stop.

    `forgot`: the store was emptied or started again since, and may have lost what was written under a lease that is
    kept.
    """

    lease: Lease
    kept: Kept
    cancel: str = ""
    forgot: bool = False


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A tenant's queue: how many runs wait, and since when the first (seconds since the epoch)."""

    tenant: str
    length: int
    oldest_at: float


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """All queues at a glance; `oldest_s` is how long the first run has waited."""

    waiting: int = 0
    leased: int = 0
    parked: int = 0
    oldest_s: float = 0.0


class QueueFullError(FlowRayError):
    """As many runs of the tenant wait as its quota allows."""

    code = "queue_full"
    fault = "caller"
    status = 429

    @classmethod
    def of(cls, tenant: str, most: int) -> QueueFullError:
        """The error for a tenant."""
        return cls(f"{most} runs of tenant `{tenant}` wait, as many as its quota allows. Ask again when one has begun.")


class StoreForgotError(StoreUnavailableError):
    """The store was emptied or started again a moment ago: who lives has to claim again what is theirs first."""

    code = "store_forgot"


class Turns(Protocol):
    """Whose queued run is next."""

    async def next(self, waiting: Sequence[Waiting], limit: int) -> Sequence[str]:
        """At most `limit` tenants, one for each run to take; of each tenant the oldest run is taken."""


class Queue(Protocol):
    """Accepted runs that wait for an engine, are leased to one, or are parked until something happens."""

    async def offer(self, tenant: str, run: RunId, *, at: float, most: int | None = None) -> bool:
        """Let a run wait; False when it waits already, is leased, or is over. A parked run is woken.

        `QueueFullError` when `most` of the tenant's wait already. The journal of a run that never waited is forgotten
        then: what is not accepted is not to be seen, and nobody may take it for a run that was lost.
        """

    async def knows(self, tenant: str, run: RunId, *, begun: str = "") -> bool:
        """Whether it has this run, or knows that it is over; what it knows of an open run, it knows for longer then.

        `begun` is what a store that can forget said when whoever had a run had last claimed it. When it has forgotten
        something since, there is no telling, and this is a `StoreForgotError`.
        """

    async def recover(self, tenant: str, run: RunId, *, at: float, begun: str = "") -> bool:
        """Let a run wait unless the queue `knows` it; whether it does not."""

    async def take(self, holder: str, *, limit: int, for_s: float) -> Sequence[Lease]:
        """Lease what is next, first what another engine let run out. May be empty.

        Of a store that was started again a moment ago it is: what it has forgotten, who lives claims again first.
        """

    async def claim(self, tenant: str, run: RunId, *, holder: str, for_s: float) -> Lease | None:
        """Lease this very run, when it waits or is parked. `StoreForgotError` when `take` would be empty for that."""

    async def renew(self, leases: Sequence[Lease], *, for_s: float, reclaim: bool = False) -> Sequence[Renewed]:
        """Keep leases; with `reclaim`, also those that the store has forgotten and nobody else has taken since."""

    async def done(self, lease: Lease) -> None:
        """The run is over."""

    async def give_back(self, lease: Lease) -> None:
        """Let another engine go on; the run keeps its place in the queue."""

    async def park(self, lease: Lease, *, until: float | None = None) -> None:
        """Hold nothing for this run until it is offered again, or until a time.

        One that was asked to stop waits for an engine instead, which ends it.
        """

    async def parked(self, tenant: str) -> Sequence[RunId]:
        """The tenant's parked runs."""

    async def bell(self, *, within_s: float) -> bool:
        """Wait until something may be there to take; False when nothing came in time."""

    async def waiting(self) -> Sequence[Waiting]:
        """The queues that are not empty, the longest not served first."""

    async def length(self, tenant: str) -> int:
        """How many of the tenant's runs wait for an engine."""

    async def stats(self) -> QueueStats:
        """All queues at a glance."""


class Cancels(Protocol):
    """Tells whoever drives a run, wherever that is, that it shall stop."""

    async def ask(self, tenant: str, run: RunId, *, reason: str) -> None:
        """Ask a run to stop; asking again does no harm."""

    def listen(self) -> AsyncGenerator[tuple[str, RunId, str], None]:
        """Tenant, run and reason of what was asked from now on."""


def member_of(tenant: str, run: RunId) -> str:
    """A run in one word, for sets over all tenants."""
    return f"{tenant}/{run}"


def of_member(member: str) -> tuple[str, RunId]:
    """Tenant and run of `member_of`."""
    tenant, _, run = member.partition("/")
    return tenant, RunId(run)


def by_member(leases: Sequence[Lease]) -> Mapping[str, Lease]:
    """Leases by their runs."""
    return {member_of(lease.tenant, lease.run): lease for lease in leases}
