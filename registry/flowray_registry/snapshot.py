"""The registry's record in the object store: a document per version, and the list of them.

There is one writer. It writes a version's document first and the list after, so a list that was cut off is mended from
the documents when it is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Protocol, TypeVar

from flowray.engine.values import Ref
from flowray.errors import NotFoundError
from flowray_registry import catalog as catalogs
from flowray_registry import entry as entries
from flowray_registry.catalog import Catalog
from flowray_registry.entry import Entry

_LIST = "registry/catalog.json"
_FOLDER = "registry/components"
_AT_ONCE = 16
T = TypeVar("T")


class Named(Protocol):
    """An object as a list shows it."""

    @property
    def key(self) -> str:
        """Its key."""


class Records(Protocol):
    """The object store, as the registry needs it."""

    async def put(self, key: str, data: bytes) -> Ref:
        """Write."""

    async def get(self, key: str) -> bytes:
        """Return the bytes; `NotFoundError` when there are none."""

    def list(self, prefix: str) -> AsyncIterator[Named]:
        """Yield what lies below a folder."""


class Snapshot:
    """Reads and writes the record."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def load(self) -> Catalog:
        """Return the catalog as it was last, with versions that the list had not taken up yet."""
        try:
            catalog = catalogs.decode(await self._records.get(_LIST))
        except NotFoundError:
            catalog = Catalog()
        kept = [one.key.rpartition("/")[2].removesuffix(".json") async for one in self._records.list(_FOLDER)]
        missed = await self.read_all(digest for digest in kept if digest not in catalog.by_digest)
        return catalog.with_(missed)

    async def read(self, digest: str) -> Entry | None:
        """Return one version; None when it was never seen."""
        try:
            return entries.decode(await self._records.get(_key(digest)))
        except NotFoundError:
            return None

    async def read_all(self, digests: Iterable[str]) -> list[Entry]:
        """Return those of the versions that were ever seen."""
        found = await _some_at_once(self.read(digest) for digest in digests)
        return [one for one in found if one is not None]

    async def write(self, new: Sequence[Entry], catalog: Catalog) -> None:
        """Keep versions, then the catalog that lists them."""
        await _some_at_once(self._records.put(_key(one.spec.digest), entries.encode(one)) for one in new)
        await self._records.put(_LIST, catalogs.encode(catalog))


async def _some_at_once(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all, a few at a time: an object store is far away, and there may be thousands."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(awaited: Awaitable[T]) -> T:
        async with places:
            return await awaited

    return await asyncio.gather(*(one(awaited) for awaited in work))


def _key(digest: str) -> str:
    return f"{_FOLDER}/{digest}.json"
