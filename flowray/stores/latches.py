"""One change of a flow at a time, whichever replica makes it: an object that the store lets only one of them create.

It holds a token of who has it, so that nobody lets go of another one's.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from flowray.errors import ConflictError, NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

_AGAIN_S = 0.05
# Longer than a change takes; then whoever made it has died, or comes too late.
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
        token = uuid.uuid4().hex.encode()
        await self._take(key, token, flow_id)
        try:
            yield
        finally:
            await self._let_go(key, token)

    async def _take(self, key: str, token: bytes, flow_id: str) -> None:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while not (await self._objects.create(key, token) or await self._take_over(key, token)):
            if asyncio.get_running_loop().time() > deadline:
                raise ConflictError(f"The flow `{flow_id}` is being changed by somebody else. Try again in a minute.")
            await asyncio.sleep(_AGAIN_S)

    async def _take_over(self, key: str, token: bytes) -> bool:
        """Take a latch that was abandoned; of all who find it so, one does."""
        try:
            theirs = await self._objects.get(key)
        except NotFoundError:
            return False
        # Its age is asked after its content: what is old now has been theirs all that time.
        taken = await self._objects.modified(key)
        if taken is None or taken >= datetime.now(UTC) - _ABANDONED:
            return False
        return await self._objects.exchange(key, theirs, token)

    async def _let_go(self, key: str, token: bytes) -> None:
        # Written anew before it is deleted: what is fresh nobody takes over meanwhile.
        left = token + b" left"
        if await self._objects.exchange(key, token, left):
            await self._objects.delete(key)
