"""What synchronous runs were asked for, kept after their end for those who want to run them again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

from flowray.engine.accepted import Accepted
from flowray.engine.events import RunFinished
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError
from flowray.stores.requests import Requests

log = logging.getLogger(__name__)

KeepRule = Literal["failed", "all", "none"]


class Keeping:
    """Keeps requests by a rule, and those of recorded runs; background runs have theirs kept anyway."""

    def __init__(self, requests: Requests, *, rule: KeepRule, clock: Callable[[], float] = time.time) -> None:
        self._requests = requests
        self._rule = rule
        self._clock = clock

    async def over(self, request: RunRequest, finished: RunFinished) -> None:
        """A run is over; what cannot be kept is lost to reruns, and to nobody else."""
        wanted = self._rule == "all" or (self._rule == "failed" and finished.status == "failed") or request.record
        if not wanted:
            return
        try:
            await self._requests.keep(Accepted(request=request, at=self._clock(), facts={"mode": "sync"}))
            await self._requests.close(request.tenant, request.run)
        except FlowRayError as error:
            facts = {"tenant": request.tenant, "run": request.run, "reason": error.message}
            log.warning("Request not kept", extra={"action": "request_not_kept", **facts})
