"""Who holds what, over the whole cluster: the port that engines ask before they run anything.

Whoever asks is a holder: an engine's process, with a lease that it renews. What a holder had comes back when its lease
runs out. `tests/contract/test_ledger.py` is what every implementation has to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from flowray.errors import FlowRayError
from flowray.quotas.amounts import NOTHING, Amounts
from flowray.quotas.fair import FairRules
from flowray.quotas.quota import Terms
from flowray.quotas.ticket import Grant, Ticket

Opening = Literal["open", "full", "waking"]
"""open: the run counts from now on. full: the tenant's quota is used up. waking: ask again in a moment."""


class NeverFitsError(FlowRayError):
    """The step asks for more than its tenant may ever have."""

    code = "quota_too_small"
    fault = "caller"
    status = 429


@dataclass(frozen=True, kw_only=True)
class LedgerRules:
    """How the ledger decides, and whom it believes.

    A holder that says nothing for `lease_s` is gone. A ledger that is new, or that nobody could ask for `silence_s`,
    grants nothing for `quiet_s`: by then all who hold something have renewed, and said so. What a holder does not name
    when it renews, and asked for longer than `slack_s` ago, has ended without being told.
    """

    fair: FairRules = field(default_factory=FairRules)
    lease_s: float = 15.0
    silence_s: float = 5.0
    quiet_s: float = 3.0
    slack_s: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a tenant has going."""

    runs: int = 0
    held: Amounts = NOTHING
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """What a renewal brought to light: tickets that the ledger has lost, and grants whose message was.

    A ticket that is asked for in this very moment may be among the unknown.
    """

    unknown: tuple[str, ...] = ()
    granted: tuple[Grant, ...] = ()


class Ledger(Protocol):
    """One holder's hand on the ledger. `StoreUnavailableError` when it cannot be asked."""

    async def open_run(self, run: str, tenant: str, terms: Terms) -> Opening:
        """Count a run, if the tenant may have one more. It ends by `end`."""

    async def ask(self, ticket: Ticket, terms: Terms) -> Grant | None:
        """Ask for a step's turn; None when it has to wait, and its grant will come through `granted`.

        `NeverFitsError` when the tenant may never have that much.
        """

    async def end(self, names: Collection[str]) -> None:
        """Give back what these tickets and runs hold, or stop waiting. What is not known is passed over."""

    async def granted(self, *, wait_s: float) -> Sequence[Grant]:
        """The grants that have come for tickets of this holder, as soon as there are some, or none after a while."""

    async def renew(self, *, waiting: Collection[str], holding: Collection[str]) -> Renewed:
        """Say that this holder lives, which tickets wait, and which tickets and runs are under way."""

    async def restore(self, tickets: Collection[Ticket], runs: Mapping[str, str]) -> None:
        """Tell a ledger that has lost them of steps and runs (run and tenant) that are under way."""

    async def set_terms(self, tenant: str, terms: Terms) -> None:
        """Have a tenant's terms be in force from now on, for everybody.

        Tickets that wait and are more than the tenant may have at all by now are forgotten: they are among the unknown
        of the next renewal, and whoever asks for them again is told.
        """

    async def set_pools(self, pools: Mapping[str, Amounts]) -> None:
        """Say what each pool's Runners have together."""

    async def inaugurate(self) -> None:
        """Say that nothing runs yet: a ledger that is new need not wait for holders."""

    async def standing(self, tenant: str) -> Standing:
        """What a tenant has going."""

    async def turns(self, tenants: Sequence[str], pools: Collection[str]) -> Sequence[str]:
        """These tenants in the order of their turns in all of these pools; who is level stays in the order given."""
