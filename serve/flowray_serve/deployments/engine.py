"""The engines: each replica leases queued runs and drives them, with the same engine that a gateway has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ray import serve

from flowray.engine.leasing import QueueStats
from flowray_serve.cluster.garbage import collect_seldom
from flowray_serve.cluster.niceness import be_no_lighter
from flowray_serve.cluster.side_door import shut_side_door
from flowray_serve.deployments.scaling import OLDEST_S, RUNNING, WAITING


class Works(Protocol):
    """What an engine replica holds."""

    @property
    def running(self) -> int:
        """How many runs it drives."""

    async def stats(self) -> QueueStats:
        """The queues at a glance."""

    def check(self) -> None:
        """Raise when it no longer does its work."""

    async def close(self) -> None:
        """Take nothing new, and hand over what is not over in time."""


class EngineReplica:
    """One replica. `build` is called in the replica's own process, with its name."""

    async def __init__(self, build: Callable[[str], Awaitable[Works]]) -> None:  # type: ignore[misc] # Serve awaits it
        be_no_lighter()
        collect_seldom()
        shut_side_door()
        self._works = await build(serve.get_replica_context().replica_id.unique_id)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve asks this to know how many replicas there should be."""
        stats = await self._works.stats()
        return {WAITING: stats.waiting, OLDEST_S: stats.oldest_s, RUNNING: self._works.running}

    def check_health(self) -> None:
        """Serve replaces the replica when this raises."""
        self._works.check()

    async def __del__(self) -> None:
        """Serve's word for an orderly end."""
        if hasattr(self, "_works"):
            await self._works.close()
