"""A run that has just ended in this process, and whoever sees to it from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flowray.engine.events import Recorded, RunFinished, RunId


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Its whole journal. `is_queued` when it was an accepted one, `is_archived` when its journal is on record."""

    tenant: str
    recorded: Sequence[Recorded]
    is_queued: bool = False
    is_archived: bool = False

    @property
    def run(self) -> RunId:
        """Which run it is."""
        return self.recorded[-1].run

    @property
    def end(self) -> RunFinished | None:
        """How it ended."""
        last = self.recorded[-1].event
        return last if isinstance(last, RunFinished) else None


class Ends(Protocol):
    """Whoever takes runs that have ended."""

    def hold(self, ended: Ended) -> None:
        """See to it that its journal is on record, and that what follows from its end is done."""
