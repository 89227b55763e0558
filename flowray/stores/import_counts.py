"""How often runs had to import a module that their zygote had not: counted per environment image, for all tenants."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Protocol, cast

import redis.asyncio

from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

# No module is called like this.
_STEPS = ""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """`modules` counts the steps that imported each, of `steps` in all."""

    steps: int = 0
    modules: Mapping[str, int] = _field(default_factory=dict)


class ImportCounts(Protocol):
    """Where they are kept. `image` is the digest of an image's lock."""

    async def add(self, image: str, counts: Counts) -> None:
        """Count these, too."""

    async def of(self, image: str) -> Counts:
        """All that was counted."""

    async def forget(self, image: str) -> None:
        """Begin anew."""


class MemoryImportCounts:
    """Counts of one process."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def add(self, image: str, counts: Counts) -> None:
        """See `ImportCounts`."""
        self._counts[image].update({_STEPS: counts.steps, **counts.modules})

    async def of(self, image: str) -> Counts:
        """See `ImportCounts`."""
        return _counted(self._counts[image])

    async def forget(self, image: str) -> None:
        """See `ImportCounts`."""
        self._counts.pop(image, None)


class RedisImportCounts:
    """Counts of all Runners. They are worth what the last days of runs are worth, and may be lost with Redis."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._keys = Keys(prefix)

    async def add(self, image: str, counts: Counts) -> None:
        """See `ImportCounts`."""
        async with answered(), self._redis.pipeline(transaction=False) as pipeline:
            for module, count in {_STEPS: counts.steps, **counts.modules}.items():
                pipeline.hincrby(self._keys.imports(image), module, count)
            await pipeline.execute()

    async def of(self, image: str) -> Counts:
        """See `ImportCounts`."""
        async with answered():
            found = cast("Mapping[bytes, bytes]", await self._redis.hgetall(self._keys.imports(image)))
        return _counted({module.decode(): int(count) for module, count in found.items()})

    async def forget(self, image: str) -> None:
        """See `ImportCounts`."""
        async with answered():
            await self._redis.delete(self._keys.imports(image))


def _counted(counts: Mapping[str, int]) -> Counts:
    modules = {module: count for module, count in counts.items() if module != _STEPS}
    return Counts(steps=counts.get(_STEPS, 0), modules=modules)
