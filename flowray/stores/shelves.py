"""All flows of a tenant, without their canvases, kept in memory for as long as nothing changes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from flowray.engine.codec import loads
from flowray.errors import NotFoundError
from flowray.stores.generations import Generations
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.records import FlowRecord


@dataclass(frozen=True)
class Shelf:
    """The flows of one tenant as of one generation. `tags` says which state of each object was read."""

    generation: str
    flows: Mapping[str, FlowRecord]
    by_endpoint: Mapping[str, FlowRecord]
    tags: Mapping[str, str]


class Shelves:
    """Shelves of the tenants that were asked for last. A shelf that is out of date reads only what has changed."""

    def __init__(self, objects: ObjectStore, generations: Generations, *, capacity: int = 1_000) -> None:
        self._objects = objects
        self._generations = generations
        self._capacity = capacity
        self._shelves: OrderedDict[str, Shelf] = OrderedDict()
        self._one_reader: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, tenant: str) -> Shelf:
        """The tenant's flows as they are now."""
        generation = await self._generations.current(tenant)
        shelf = self._shelves.get(tenant)
        if shelf is not None and shelf.generation == generation:
            self._shelves.move_to_end(tenant)
            return shelf
        async with self._one_reader[tenant]:
            return await self._renewed(tenant)

    async def _renewed(self, tenant: str) -> Shelf:
        # Asked before the record is read: a change in between shows as a newer generation.
        generation = await self._generations.current(tenant)
        old = self._shelves.get(tenant)
        if old is not None and old.generation == generation:
            return old
        self._shelves[tenant] = shelf = await self._read(tenant, generation, old)
        self._shelves.move_to_end(tenant)
        if len(self._shelves) > self._capacity:
            self._shelves.popitem(last=False)
        return shelf

    async def _read(self, tenant: str, generation: str, old: Shelf | None) -> Shelf:
        tags = {one.key: one.tag async for one in self._objects.list(path(tenant, "flows"))}
        unchanged = tags.items() & old.tags.items() if old is not None else set()
        known = {key: old.flows[flow_id_of(key)] for key, _ in unchanged} if old is not None else {}
        changed = await self._objects.get_all(tags.keys() - known.keys())
        found = [*known.values(), *(_record(kept) for kept in changed.values())]
        flows = {record.id: record for record in found}
        return Shelf(
            generation=generation,
            flows=flows,
            by_endpoint={record.endpoint_name: record for record in found if record.endpoint_name},
            tags={key: tag for key, tag in tags.items() if flow_id_of(key) in flows},
        )


async def read_head(objects: ObjectStore, key: str) -> FlowRecord | None:
    """A flow's current record without its canvas."""
    try:
        return _record(await objects.get(key))
    except NotFoundError:
        return None


def head_key(tenant: str, flow_id: str) -> str:
    """Where a flow's current record is."""
    return path(tenant, "flows", f"{flow_id}.json")


def flow_id_of(key: str) -> str:
    """The flow whose record is there."""
    return key.rpartition("/")[2].removesuffix(".json")


def _record(head: bytes) -> FlowRecord:
    kept = loads(head)
    return FlowRecord(id=kept["id"], version=kept["version"], revision=kept["revision"], document=kept["document"])
