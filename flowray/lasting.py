"""Work that lasts as long as its process.

What such work foresees going wrong, it handles. What it does not foresee, a record of a shape that nobody wrote, say,
must not end it unheard: what it looks after would be looked after by nobody, for as long as the process lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_AGAIN_S = 5.0


def lasting(work: Callable[[], Awaitable[None]], *, name: str, again_s: float = _AGAIN_S) -> asyncio.Task[None]:
    """Begin the work; whenever it breaks or ends, that is logged, and it begins again. Cancel the task to end it."""
    return asyncio.create_task(_go_on(work, name, again_s), name=name)


async def _go_on(work: Callable[[], Awaitable[None]], name: str, again_s: float) -> None:
    while True:
        try:
            await work()
            log.error("Ended before its time, and begins again: %s", name, extra={"action": "work_ended"})
        except Exception:
            log.exception("Broke, and begins again: %s", name, extra={"action": "work_broken"})
        await asyncio.sleep(again_s)
