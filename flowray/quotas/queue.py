"""Tenants by a number, the least first: what a sorted set in Redis is, in this process."""

from __future__ import annotations

import heapq


class Queue:
    """Each tenant once. Ties go by name, as Redis has it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._keys: dict[str, float] = {}

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._keys

    def put(self, tenant: str, key: float) -> None:
        """Put a tenant in, or move it."""
        if self._keys.get(tenant) != key:
            self._keys[tenant] = key
            heapq.heappush(self._heap, (key, tenant))

    def remove(self, tenant: str) -> None:
        """Take a tenant out; its old places are forgotten when they come up."""
        self._keys.pop(tenant, None)

    def pop(self) -> tuple[float, str] | None:
        """Take out who is first."""
        while self._heap:
            key, tenant = heapq.heappop(self._heap)
            if self._keys.get(tenant) == key:
                del self._keys[tenant]
                return key, tenant
        return None
