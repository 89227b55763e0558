"""Results of nodes in the memory of one process, for tests and for whoever wants no Redis."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowray.stores.objects import ObjectStore


class MemoryResults:
    """See `flowray.engine.cached.Results`."""

    def __init__(self, objects: ObjectStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._objects = objects
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[bytes, float]] = {}

    async def find(self, tenant: str, key: str) -> bytes | None:
        """See `Results`."""
        content, until = self._kept.get((tenant, key), (b"", 0.0))
        return content if until > self._clock() else None

    async def keep(self, tenant: str, key: str, content: bytes, *, for_s: float) -> None:
        """See `Results`."""
        self._kept[tenant, key] = (content, self._clock() + for_s)

    async def has(self, ref_key: str) -> bool:
        """See `Results`."""
        return await self._objects.exists(ref_key)
