"""When each key was used last, and how often: counted in memory, and written down now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

Use = tuple[int, float]
"""How often, and when last."""


class KeyUseRecords(Protocol):
    """Where uses are kept."""

    async def add(self, tenant: str, uses: Mapping[str, Use]) -> None:
        """Count these uses too, by the keys' ids."""

    async def of(self, tenant: str) -> Mapping[str, Use]:
        """How the tenant's keys were used, by their ids."""


class MemoryKeyUseRecords:
    """Uses of one process."""

    def __init__(self) -> None:
        self._uses: dict[str, dict[str, Use]] = {}

    async def add(self, tenant: str, uses: Mapping[str, Use]) -> None:
        """See `KeyUseRecords`."""
        known = self._uses.setdefault(tenant, {})
        for key_id, (count, last_at) in uses.items():
            known[key_id] = (known.get(key_id, (0, 0.0))[0] + count, last_at)

    async def of(self, tenant: str) -> Mapping[str, Use]:
        """See `KeyUseRecords`."""
        return dict(self._uses.get(tenant, {}))


class KeyUses:
    """Notes uses, and writes them down when asked to. A crash loses what was noted since."""

    def __init__(self, records: KeyUseRecords, *, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock
        self._noted: dict[str, dict[str, Use]] = {}

    def note(self, tenant: str, key_id: str) -> None:
        """A key was used now."""
        noted = self._noted.setdefault(tenant, {})
        noted[key_id] = (noted.get(key_id, (0, 0.0))[0] + 1, self._clock())

    async def write(self) -> None:
        """Write down what was noted."""
        noted, self._noted = self._noted, {}
        for tenant, uses in noted.items():
            await self._records.add(tenant, uses)

    async def of(self, tenant: str) -> Mapping[str, Use]:
        """How the tenant's keys were used, by their ids; what other replicas noted within seconds may lack."""
        await self.write()
        return await self._records.of(tenant)
