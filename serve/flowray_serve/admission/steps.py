"""The engine's port for steps, behind the ledger: a step goes to a lane when its tenant's turn has come."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFailed
from flowray.engine.ports import RunRequest, Steps
from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.quotas.needs import StepSize, amounts_of, cpu_weight
from flowray.quotas.ticket import Ticket
from flowray.quotas.turnstile import Turnstile

_ANY = StepSize()


class ForeignPoolError(FlowRayError):
    """The pool belongs to other tenants."""

    code = "foreign_pool"
    fault = "caller"
    status = 403


class AdmittedSteps:
    """Runs each step when the ledger grants it, and gives back what it held however it ends.

    `sizes` are what undeclared steps take, `owners` the only tenants of a pool, both by pool. A step waits at most
    `wait_s` for its turn.
    """

    def __init__(
        self,
        steps: Steps,
        turnstile: Turnstile,
        *,
        sizes: Mapping[str, StepSize],
        owners: Mapping[str, frozenset[str]],
        wait_s: float,
    ) -> None:
        self._steps = steps
        self._turnstile = turnstile
        self._sizes = sizes
        self._owners = owners
        self._wait_s = wait_s

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """See `flowray.engine.ports.Steps`."""
        ticket = self._ticket(request, step)
        try:
            self._require_entry(ticket)
            grant = await self._turnstile.take(ticket, within_s=self._wait_s)
        except FlowRayError as error:
            yield (_refused(step, error),)
            return
        try:
            granted = replace(step, cpu_weight=cpu_weight(grant.load))
            async with aclosing(self._steps.run(request, granted)) as happening:
                async for events in happening:
                    yield events
        finally:
            self._turnstile.give_back(ticket)

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


def _refused(step: StartStep, error: FlowRayError) -> StepFailed:
    """Say that nothing of the step has run; another attempt helps only where something may come back by itself."""
    retryable = error.status == RunnerUnavailableError.status and not isinstance(error, RunnerUnavailableError)
    return StepFailed(step=step.step, kind="unavailable", error=error.message, retryable=retryable)
