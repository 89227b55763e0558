"""One change of a flow at a time, whichever replica makes it: an object that the store lets only one of them create."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from flowray.errors import ConflictError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

_AGAIN_S = 0.05
# Longer than a change takes; then whoever made it has died.
_ABANDONED = timedelta(seconds=60)


class Latches:
    """The latches of flows. Who waits longer than `patience_s` is refused."""

    def __init__(self, objects: ObjectStore, *, patience_s: float = 15.0) -> None:
        self._objects = objects
        self._patience_s = patience_s

    @asynccontextmanager
    async def held(self, tenant: str, flow_id: str) -> AsyncIterator[None]:
        """Be the only one to change the flow; `ConflictError` when others do not come to an end."""
        key = path(tenant, "latches", flow_id)
        await self._take(key, flow_id)
        try:
            yield
        finally:
            await self._objects.delete(key)

    async def _take(self, key: str, flow_id: str) -> None:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while not await self._objects.create(key, b"taken"):
            if await self._is_abandoned(key):
                await self._objects.delete(key)
            elif asyncio.get_running_loop().time() > deadline:
                raise ConflictError(f"The flow `{flow_id}` is being changed by somebody else. Try again in a minute.")
            else:
                await asyncio.sleep(_AGAIN_S)

    async def _is_abandoned(self, key: str) -> bool:
        taken = await self._objects.modified(key)
        return taken is not None and taken < datetime.now(UTC) - _ABANDONED
