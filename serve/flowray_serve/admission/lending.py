"""Turns that are lent: a step which waits for a run that it asked for lets that run's steps run in its place.

Otherwise flows that run flows could hold all that their tenant may have, or all of a pool, and wait for one another for
ever. One step at a time is lent a turn, one of the same pool that takes no more: whoever waits lies still meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from flowray.engine.ports import RunRequest
from flowray.plan.types import StepId
from flowray.quotas.amounts import NOTHING
from flowray.quotas.ticket import Ticket


class LentTurn:
    """A running step's turn; whoever holds `lock` runs in it."""

    def __init__(self, ticket: Ticket, cpu_weight: int) -> None:
        self.ticket = ticket
        self.cpu_weight = cpu_weight
        self.lock = asyncio.Lock()

    def fits(self, ticket: Ticket) -> bool:
        """Whether a step can run in it."""
        return ticket.pool == self.ticket.pool and ticket.need.fits(NOTHING, self.ticket.need)


class Lending:
    """The turns of the steps that run in this process; the runs that those ask for run here, too."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], LentTurn] = {}

    @contextmanager
    def offered(self, request: RunRequest, step: StepId, turn: LentTurn) -> Iterator[None]:
        """Offer a step's turn, for as long as it runs, to the runs that it asks for."""
        self._turns[request.run, step] = turn
        try:
            yield
        finally:
            del self._turns[request.run, step]

    def for_(self, request: RunRequest, ticket: Ticket) -> LentTurn | None:
        """The turn that a step of this run may be lent, free or not."""
        turn = self._turns.get((request.asked_by, request.asking_step))
        return turn if turn is not None and turn.fits(ticket) else None
