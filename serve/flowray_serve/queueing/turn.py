"""Work that one process does for all: whose turn it is, and how the turn is kept while the work lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from flowray.errors import FlowRayError

# Who dies at work is followed by another one after this.
HELD_S = 30


class Turn(Protocol):
    """See `flowray.stores.upkeep.RedisUpkeep`."""

    async def mine(self, work: str, *, by: str, for_s: int) -> bool:
        """Whether this work is the caller's to do now. Who has it may ask again, and has it for as long again."""


@asynccontextmanager
async def kept(turn: Turn, work: str, *, by: str) -> AsyncGenerator[None, None]:
    """Keep a turn that the caller has for as long as this lasts."""
    keeping = asyncio.create_task(_keep(turn, work, by), name=f"keep the turn to {work}")
    try:
        yield
    finally:
        keeping.cancel()


async def _keep(turn: Turn, work: str, by: str) -> None:
    while True:
        await asyncio.sleep(HELD_S / 3)
        with suppress(FlowRayError):  # asked again in time, or another one begins the same: that does no harm
            await turn.mine(work, by=by, for_s=HELD_S)
