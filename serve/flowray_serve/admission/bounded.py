"""The flows and files of tenants, within what each may keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from flowray.engine.codec import dumps
from flowray.errors import FlowRayError
from flowray.flow.types import Json
from flowray.quotas.refusals import QuotaExceededError
from flowray.quotas.turnstile import TermsOf
from flowray.stores.documents import Documents
from flowray.stores.generations import Generations
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.records import FlowRecord, VersionRecord
from flowray.stores.shelves import Shelves
from flowray.stores.versions import Versions

_MIB = 1024 * 1024


async def stored_bytes(objects: ObjectStore, tenant: str) -> int:
    """What the files of a tenant and all versions of its flows take together."""
    folders = (path(tenant, "files"), path(tenant, "versions"))
    return sum([one.size for folder in folders async for one in objects.list(folder)])


async def kept_in(objects: ObjectStore, tenant: str) -> Mapping[str, float]:
    """What a tenant keeps, by the quotas that it counts against."""
    flows = [one async for one in objects.list(path(tenant, "flows"))]
    return {"flows": len(flows), "stored_mib": round(await stored_bytes(objects, tenant) / _MIB, 3)}


Room = Callable[[str, Mapping[str, Json] | bytes], Awaitable[None]]


class BoundedVersions(Versions):
    """Versions that are refused when there is no `room` for them: it raises for a tenant and what would be kept."""

    def __init__(self, objects: ObjectStore, generations: Generations, shelves: Shelves, room: Room) -> None:
        super().__init__(objects, generations, shelves)
        self._room = room

    async def keep(
        self, tenant: str, flow_id: str, version: str, document: Mapping[str, Json], *, description: str | None = None
    ) -> VersionRecord:
        """See `Versions`."""
        await self._room(tenant, document)
        return await super().keep(tenant, flow_id, version, document, description=description)


class BoundedDocuments(Documents):
    """Documents that refuse a flow or a file too many.

    What is new is counted before it is written and once more after: of two that come at the same moment for the last
    place, both may be refused, and never are both kept.
    """

    def __init__(self, objects: ObjectStore, generations: Generations, terms_of: TermsOf) -> None:
        super().__init__(objects, generations)
        self._kept = objects
        self._terms_of = terms_of
        self.versions: Versions = BoundedVersions(objects, generations, self._shelves, self._require_room)

    async def save(
        self, tenant: str, record: FlowRecord, *, note: str | None = None, follows: str | None = None
    ) -> None:
        """See `Documents`."""
        quota = (await self._terms_of(tenant)).quota
        await self._require_room(tenant, record.document)
        most = quota.flows
        is_new = most is not None and await self.find(tenant, record.id) is None
        if is_new and len(await self.list(tenant)) >= (most or 0):
            raise _too_many(tenant, most or 0)
        await super().save(tenant, record, note=note, follows=follows)
        if is_new and len(await self.list(tenant)) > (most or 0):
            await self.delete(tenant, record.id)
            raise _too_many(tenant, most or 0)

    async def save_file(self, tenant: str, file_path: str, content: bytes) -> None:
        """See `Documents`."""
        await self._require_room(tenant, content)
        await super().save_file(tenant, file_path, content)

    async def _require_room(self, tenant: str, more: Mapping[str, Json] | bytes) -> None:
        most = (await self._terms_of(tenant)).quota.stored_mib
        if most is None:
            return
        stored = await stored_bytes(self._kept, tenant)
        size = len(more if isinstance(more, bytes) else dumps(dict(more)))
        if stored + size > most * _MIB:
            raise _too_large(tenant, most)


def _too_many(tenant: str, most: int) -> FlowRayError:
    flows = "1 flow" if most == 1 else f"{most} flows"
    return QuotaExceededError(
        f"Tenant `{tenant}` has {flows}, as many as its quota allows. Delete one, or have the quota raised."
    )


def _too_large(tenant: str, most: int) -> FlowRayError:
    return QuotaExceededError(
        f"The files and versions of flows of tenant `{tenant}` would have more than the {most} MiB that its quota "
        "allows. Delete some, or have the quota raised."
    )
