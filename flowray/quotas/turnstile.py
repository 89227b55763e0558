"""Where the steps and runs of one process wait for the ledger, and what keeps the ledger's word of them right.

Everything asked for is noted here first and named whenever the lease is renewed. So a grant whose message was lost
comes all the same, what the ledger has forgotten is told to it again, and what ended is given back even if nobody could
be told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.lasting import lasting
from flowray.quotas.ledger import Ledger, Opening
from flowray.quotas.quota import Terms
from flowray.quotas.ticket import Grant, Ticket

log = logging.getLogger(__name__)

TermsOf = Callable[[str], Awaitable[Terms]]
_LISTEN_S = 5.0
_AGAIN_S = 0.5
_WAKING_S = 0.25


class Turnstile:
    """One holder's tickets and runs. `terms_of` says what is settled for a tenant."""

    def __init__(self, ledger: Ledger, terms_of: TermsOf, *, renew_every_s: float = 1.0) -> None:
        self._ledger = ledger
        self._terms_of = terms_of
        self._renew_every_s = renew_every_s
        self._waiting: dict[str, tuple[Ticket, asyncio.Future[Grant]]] = {}
        # Those of them of which the ledger has said that they have to wait: it must know them from then on.
        self._in_line: set[str] = set()
        # What the ledger was told last of the tenants whose tickets these are.
        self._told: dict[str, Terms] = {}
        self._running: dict[str, Ticket] = {}
        self._runs: dict[str, str] = {}
        self._over: list[str] = []
        self._some_over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to hear of grants and to renew the lease."""
        works = {
            "hear grants": self._hear,
            "renew the ledger's lease": self._renew,
            "give back": self._give_back,
            "tell changed terms": self._tell_changes,
        }
        self._tasks = [lasting(partial(self._for_ever, work), name=name) for name, work in works.items()]

    async def close(self) -> None:
        """Give back what is over, and renew no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        left = [*self._over, *self._waiting, *self._running, *self._runs]
        try:
            await self._ledger.end(left)
        except FlowRayError as error:
            log.info("Not given back; the lease runs out", extra={"action": "end_failed", "reason": error.message})

    async def take(self, ticket: Ticket, *, within_s: float) -> Grant:
        """Wait for a step's turn; what it takes is held from then on until `give_back`.

        `RunnerUnavailableError` when its turn did not come in time, `NeverFitsError` when it never will.
        """
        turn: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiting[ticket.id] = ticket, turn
        try:
            terms = await self._terms_of(ticket.tenant)
            grant = await self._ledger.ask(ticket, terms)
            if grant is None:
                self._told[ticket.tenant] = terms
                self._in_line.add(ticket.id)
                grant = await self._awaited(ticket, turn, within_s)
            self._running[ticket.id] = ticket
        except BaseException:
            self._end(ticket.id)
            raise
        finally:
            del self._waiting[ticket.id]
            self._in_line.discard(ticket.id)
        return grant

    def give_back(self, ticket: Ticket) -> None:
        """The step is over, however it ended."""
        if self._running.pop(ticket.id, None) is not None:
            self._end(ticket.id)

    async def open_run(self, run: str, tenant: str) -> Opening:
        """Count a run, until `close_run`; a ledger that is waking is waited for."""
        terms = await self._terms_of(tenant)
        while True:
            opening = await self._ledger.open_run(run, tenant, terms)
            if opening == "open":
                self._runs[run] = tenant
            if opening != "waking":
                return opening
            await asyncio.sleep(_WAKING_S)

    def close_run(self, run: str) -> None:
        """The run is over."""
        if self._runs.pop(run, None) is not None:
            self._end(run)

    async def _awaited(self, ticket: Ticket, turn: asyncio.Future[Grant], within_s: float) -> Grant:
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                return await turn
        except TimeoutError:
            raise RunnerUnavailableError(
                f"The step waited {time.monotonic() - began:.0f} s for its turn in pool `{ticket.pool}`; others, or "
                "its tenant's own steps, hold what it needs."
            ) from None

    def _end(self, name: str) -> None:
        """Give back; not awaited, since a step may end by being cancelled."""
        self._over.append(name)
        self._some_over.set()

    async def _give_back(self) -> None:
        await self._some_over.wait()
        self._some_over.clear()
        over, self._over = self._over, []
        try:
            await self._ledger.end(over)
        except FlowRayError:
            return  # they are named no more, and so given back when the lease is renewed

    async def _hear(self) -> None:
        for grant in await self._ledger.granted(wait_s=_LISTEN_S):
            self._granted(grant)

    def _granted(self, grant: Grant) -> None:
        _, turn = self._waiting.get(grant.ticket, (None, None))
        if turn is not None and not turn.done():
            turn.set_result(grant)

    async def _renew(self) -> None:
        await asyncio.sleep(self._renew_every_s)
        holding = [*self._running, *self._runs]
        to_be_known = {*holding, *self._in_line}
        renewed = await self._ledger.renew(waiting=list(self._waiting), holding=holding)
        for grant in renewed.granted:
            self._granted(grant)
        lost = to_be_known.intersection(renewed.unknown)
        tickets = [self._running[name] for name in lost & self._running.keys()]
        runs = {run: self._runs[run] for run in lost & self._runs.keys()}
        if tickets or runs:
            log.warning(
                "Ledger restored", extra={"action": "ledger_restored", "steps": len(tickets), "runs": len(runs)}
            )
            await self._ledger.restore(tickets, runs)
        for name in lost:
            if name in self._in_line:
                await self._ask_again(*self._waiting[name])

    async def _ask_again(self, ticket: Ticket, turn: asyncio.Future[Grant]) -> None:
        try:
            grant = await self._ledger.ask(ticket, await self._terms_of(ticket.tenant))
        except FlowRayError as error:
            if not turn.done():
                turn.set_exception(error)
            return
        if grant is not None:
            self._granted(grant)
        if ticket.id not in self._waiting and ticket.id not in self._running:
            self._end(ticket.id)

    async def _tell_changes(self) -> None:
        """Tell the ledger of terms that have changed since: who waits asks no more, and nobody else may for long.

        A task of its own: the lease is renewed however long it takes to read what is settled.
        """
        await asyncio.sleep(self._renew_every_s)
        waiting = {self._waiting[name][0].tenant for name in self._in_line}
        self._told = {tenant: terms for tenant, terms in self._told.items() if tenant in waiting}
        for tenant in waiting:
            terms = await self._terms_of(tenant)
            if terms.replaces(self._told[tenant]):
                await self._ledger.set_terms(tenant, terms)
                self._told[tenant] = terms

    async def _for_ever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except FlowRayError as error:
                log.warning("Ledger not reached", extra={"action": "ledger_unreached", "reason": error.message})
                await asyncio.sleep(_AGAIN_S)
