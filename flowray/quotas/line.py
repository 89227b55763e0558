"""What a tenant has going in one pool: those who wait, what is held, and how much of its turn is used up."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from flowray.quotas.amounts import NOTHING, Amounts
from flowray.quotas.ticket import PRIORITY_WORTH_S, Ticket

FIRST_GUESS_S = 1.0
_KEPT = 0.8  # how much of the old guess stays when a step has ended
_SHORTEST_S, _LONGEST_S = 0.01, 60.0


@dataclass(slots=True)
class Waiting:
    """A ticket that was not granted yet."""

    ticket: Ticket
    asked_at: float

    @property
    def place(self) -> float:
        """Its place in the line: the earlier the better. Priority moves it, once and by a bounded time."""
        return self.asked_at - self.ticket.priority * PRIORITY_WORTH_S


@dataclass(slots=True)
class Running:
    """A granted ticket: `rate` is the part of the pool that it takes, charged for `charged_s` seconds so far."""

    ticket: Ticket
    granted_at: float
    rate: float
    charged_s: float


class Line:
    """One tenant in one pool. `finish` is its virtual time: cost over weight of what it was given."""

    def __init__(self) -> None:
        self.finish = 0.0
        self.guess_s = FIRST_GUESS_S
        self.held: Amounts = NOTHING
        self._places: list[tuple[float, str]] = []
        self._waiting: dict[str, Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """Somebody comes."""
        self._waiting[waiting.ticket.id] = waiting
        heapq.heappush(self._places, (waiting.place, waiting.ticket.id))

    def remove(self, ticket: str) -> Waiting | None:
        """Somebody leaves; their place is forgotten when it comes up."""
        return self._waiting.pop(ticket, None)

    def head(self) -> Waiting | None:
        """Whose turn it is within the tenant."""
        while self._places:
            waiting = self._waiting.get(self._places[0][1])
            if waiting is not None and waiting.place == self._places[0][0]:
                return waiting
            heapq.heappop(self._places)
        return None

    def learn(self, took_s: float) -> None:
        """Guess better how long this tenant's steps take."""
        guess = self.guess_s * _KEPT + took_s * (1.0 - _KEPT)
        self.guess_s = min(max(guess, _SHORTEST_S), _LONGEST_S)
