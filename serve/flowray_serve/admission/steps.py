"""The engine's port for steps, behind the ledger: a step goes to a lane when its tenant's turn has come."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFailed, StepStarted
from flowray.engine.ports import RunRequest, Steps
from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.quotas.needs import StepSize, amounts_of, cpu_weight
from flowray.quotas.ticket import Grant, Ticket
from flowray.quotas.turnstile import Turnstile
from flowray_serve.admission.lending import Lending, LentTurn

_ANY = StepSize()


class ForeignPoolError(FlowRayError):
    """The pool belongs to other tenants."""

    code = "foreign_pool"
    fault = "caller"
    status = 403


class AdmittedSteps:
    """Runs each step when the ledger grants it, and gives back what it held however it ends.

    `sizes` are what undeclared steps take, `owners` the only tenants of a pool, both by pool. A step waits at most
    `wait_s` for its turn. A step of a run that another step waits for runs in that one's turn when it gets none of its
    own at once; `lending` has to be one for all that runs in a process.
    """

    def __init__(
        self,
        steps: Steps,
        turnstile: Turnstile,
        *,
        sizes: Mapping[str, StepSize],
        owners: Mapping[str, frozenset[str]],
        wait_s: float,
        lending: Lending,
    ) -> None:
        self._steps = steps
        self._turnstile = turnstile
        self._sizes = sizes
        self._owners = owners
        self._wait_s = wait_s
        self._lending = lending

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """See `flowray.engine.ports.Steps`."""
        ticket, asked_at = self._ticket(request, step), time.monotonic()
        try:
            self._require_entry(ticket)
            turn = await self._turn(ticket, self._lending.for_(request, ticket))
        except FlowRayError as error:
            yield (_refused(step, error),)
            return
        waited_s = time.monotonic() - asked_at
        try:
            granted = replace(step, cpu_weight=turn.cpu_weight, lent=turn.lender is not None)
            with self._lending.offered(request, step.step, LentTurn(turn.ticket, turn.cpu_weight)):
                async with aclosing(self._steps.run(request, granted)) as happening:
                    async for events in happening:
                        yield _with_wait(events, waited_s)
        finally:
            self._end(turn)

    async def _turn(self, ticket: Ticket, lender: LentTurn | None) -> _Turn:
        if lender is None:
            return _own(ticket, await self._turnstile.take(ticket, within_s=self._wait_s))
        try:
            return _own(ticket, await self._turnstile.take(ticket, within_s=0))
        except RunnerUnavailableError:
            # A ticket is asked for once: its end and a second asking could pass each other on their way.
            return await self._either(replace(ticket, id=f"{ticket.id}+"), lender)

    async def _either(self, ticket: Ticket, lender: LentTurn) -> _Turn:
        """Whichever comes first, a turn of its own or the lent one."""
        taking = asyncio.create_task(self._turnstile.take(ticket, within_s=self._wait_s), name="wait for a turn")
        borrowing = asyncio.create_task(lender.lock.acquire(), name="wait for a lent turn")
        used = None
        try:
            await asyncio.wait({taking, borrowing}, return_when=asyncio.FIRST_COMPLETED)
            if borrowing.done():
                used = _Turn(replace(lender.ticket, id=ticket.id), lender.cpu_weight, lender)
            else:
                used = _own(ticket, taking.result())
            return used
        finally:
            await self._drop(ticket, lender, taking, borrowing, used)

    async def _drop(
        self,
        ticket: Ticket,
        lender: LentTurn,
        taking: asyncio.Task[Grant],
        borrowing: asyncio.Task[Literal[True]],
        used: _Turn | None,
    ) -> None:
        """Give back what came in the same moment as the other, or too late."""
        for task in (taking, borrowing):
            task.cancel()
        await asyncio.wait({taking, borrowing})
        is_borrowed = used is not None and used.lender is not None
        if not borrowing.cancelled() and not is_borrowed:
            lender.lock.release()
        if not taking.cancelled() and taking.exception() is None and (used is None or is_borrowed):
            self._turnstile.give_back(ticket)

    def _end(self, turn: _Turn) -> None:
        if turn.lender is not None:
            turn.lender.lock.release()
        else:
            self._turnstile.give_back(turn.ticket)

    def _require_entry(self, ticket: Ticket) -> None:
        """Nobody gets into another tenant's pool, whatever a plan says: it may be older than that."""
        owners = self._owners.get(ticket.pool)
        if owners is not None and ticket.tenant not in owners:
            raise ForeignPoolError(f"The pool `{ticket.pool}` is not open to tenant `{ticket.tenant}`.")

    def _ticket(self, request: RunRequest, step: StartStep) -> Ticket:
        planned = request.plan.by_id[step.step]
        return Ticket(
            # Unique: a step that is tried again, or driven by another engine, must not be taken for the one before.
            id=f"{request.run}/{step.step}/{step.attempt}/{uuid.uuid4().hex[:8]}",
            tenant=request.tenant,
            pool=planned.pool,
            need=amounts_of(planned.resources, self._sizes.get(planned.pool, _ANY)),
            priority=request.priority,
        )


@dataclass(frozen=True)
class _Turn:
    """What a step runs in: a turn of its own, or that of `lender`."""

    ticket: Ticket
    cpu_weight: int
    lender: LentTurn | None = None


def _own(ticket: Ticket, grant: Grant) -> _Turn:
    return _Turn(ticket, cpu_weight(grant.load))


def _with_wait(events: Sequence[StepEvent], waited_s: float) -> Sequence[StepEvent]:
    """The same, with the wait for the turn in the step's start: the Runner knows of its own only."""
    if not events or not isinstance(first := events[0], StepStarted):
        return events
    return [replace(first, queued_s=first.queued_s + waited_s), *events[1:]]


def _refused(step: StartStep, error: FlowRayError) -> StepFailed:
    """Say that nothing of the step has run; another attempt helps only where something may come back by itself."""
    retryable = error.status == RunnerUnavailableError.status and not isinstance(error, RunnerUnavailableError)
    return StepFailed(step=step.step, kind="unavailable", error=error.message, retryable=retryable)
