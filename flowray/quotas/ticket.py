"""Who waits for what: one step's claim to its place in a pool."""

from __future__ import annotations

from dataclasses import dataclass

from flowray.quotas.amounts import Amounts

# A level of priority is worth this much waiting, which is also why nobody waits for ever behind those above.
PRIORITY_WORTH_S = 30.0
PRIORITIES = (-5, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A step that asks to run. `priority` counts among the tickets of its own tenant only."""

    id: str
    tenant: str
    pool: str
    need: Amounts
    priority: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A ticket whose turn has come. `load` is how many steps its tenant then runs in the pool, over its weight."""

    ticket: str
    load: float = 1.0
