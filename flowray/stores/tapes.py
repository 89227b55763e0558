"""What a run's HTTP clients heard, sealed in the object store."""

from __future__ import annotations

from flowray.engine.codec import dumps, loads
from flowray.engine.events import RunId
from flowray.errors import NotFoundError
from flowray.flow.types import Json
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.sealing import Seal


class Tapes:
    """One object per exchange, named by what was asked and the how manieth time."""

    def __init__(self, objects: ObjectStore, seal: Seal) -> None:
        self._objects = objects
        self._seal = seal

    async def keep(self, tenant: str, run: RunId, name: str, said: Json, content: bytes) -> None:
        """Keep an answer: its status and headers, and its body. An attempt that is made again takes its place."""
        place = path(tenant, "tapes", run, name)
        head = dumps(said)
        sealed = self._seal.seal(len(head).to_bytes(4, "big") + head + content, place=place)
        await self._objects.put(place, sealed)

    async def find(self, tenant: str, run: RunId, name: str) -> tuple[Json, bytes] | None:
        """An answer that was kept."""
        place = path(tenant, "tapes", run, name)
        try:
            opened = self._seal.open(await self._objects.get(place), place=place)
        except NotFoundError:
            return None
        end = 4 + int.from_bytes(opened[:4], "big")
        return loads(opened[4:end]), opened[end:]
