"""What follows from the end of a background run, before its journal leaves the list of those to archive.

Each part may happen twice and does no harm then: who dies in between does it all again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from flowray.engine.accepted import Accepted
from flowray.engine.events import RunFinished, RunId
from flowray.stores.dead_letters import DeadLetter, DeadLetters
from flowray.stores.requests import BrokenRequestError, Requests
from flowray_serve.queueing.owing import Owing


class Endings:
    """Keeps dead letters, lets callbacks be due, and closes accepted runs."""

    def __init__(
        self,
        requests: Requests,
        letters: DeadLetters,
        owing: Owing,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._letters = letters
        self._owing = owing
        self._clock = clock

    async def __call__(self, tenant: str, run: RunId, finished: RunFinished) -> None:
        """After the run's journal was archived."""
        try:
            accepted = await self._requests.find(tenant, run)
        except BrokenRequestError as broken:
            await self._letters.add(tenant, _unread(run, broken.message, self._clock()))
            await self._requests.close(tenant, run)
            return
        if accepted is None:
            return
        if finished.status == "failed":
            await self._letters.add(tenant, _letter(accepted, finished, self._clock()))
        if accepted.facts.get("callback"):
            await self._owing.add(tenant, run)
        await self._requests.close(tenant, run)


def _unread(run: RunId, reason: str, at: float) -> DeadLetter:
    """Of a run of which nobody can say which flow's it was, or whom to call back."""
    return DeadLetter(run=run, what="run", flow="", flow_name="", kind="failed", reason=reason, at=at)


def _letter(accepted: Accepted, finished: RunFinished, at: float) -> DeadLetter:
    request = accepted.request
    return DeadLetter(
        run=request.run,
        what="run",
        flow=request.flow_id,
        flow_name=request.flow.name,
        kind=finished.kind or "failed",
        reason=finished.error,
        at=at,
        node=finished.node or "",
    )
