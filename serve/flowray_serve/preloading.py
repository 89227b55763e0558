"""What could be preloaded: what runs had to import, by pool, and the setting that would have their zygotes do it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowray.runner.learning import roots
from flowray.stores.import_counts import Counts, ImportCounts

_LEAST_SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class PoolImage:
    """A pool with its image's name and digest, what it preloads, and all that its settings say of it."""

    pool: str
    image: str
    digest: str
    preload: Sequence[str]
    settings: Mapping[str, Any]


class Preloading:
    """Answers for the pools of one service."""

    def __init__(self, pools: Sequence[PoolImage], counts: ImportCounts) -> None:
        self._pools = pools
        self._counts = counts

    async def told(self) -> dict[str, Any]:
        """Each pool's counts, the most imported first, and `FLOWRAY_POOLS` with what is worth preloading."""
        counted = {one.pool: await self._counts.of(one.digest) for one in self._pools}
        wanted = {one.pool: worth_preloading(counted[one.pool], one.preload) for one in self._pools}
        setting = {one.pool: {**one.settings, "preload": wanted[one.pool]} for one in self._pools}
        return {
            "pools": [_told(one, counted[one.pool], wanted[one.pool]) for one in self._pools],
            "setting": f"FLOWRAY_POOLS={json.dumps(setting)}",
        }

    async def forget(self) -> None:
        """Begin to count anew."""
        for one in self._pools:
            await self._counts.forget(one.digest)


def worth_preloading(counts: Counts, already: Sequence[str]) -> list[str]:
    """Return what a pool should preload: what it does already, and what enough of its steps had to import."""
    least = max(2, counts.steps * _LEAST_SHARE)
    return roots([*already, *(module for module, count in counts.modules.items() if count >= least)])


def _told(one: PoolImage, counts: Counts, wanted: Sequence[str]) -> dict[str, Any]:
    modules = sorted(counts.modules.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "pool": one.pool,
        "image": one.image,
        "steps": counts.steps,
        "preload": list(one.preload),
        "modules": dict(modules),
        "suggested": list(wanted),
    }
