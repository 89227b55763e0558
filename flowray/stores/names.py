"""Names that only one flow of a tenant may have, each claimed by an object of its own: the store lets one claim win."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from flowray.errors import ConflictError, NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path, spelled
from flowray.stores.records import FlowRecord

# A claim whose flow does not bear the name belongs to a save that is under way, or to one that died long ago.
_UNDER_WAY = timedelta(seconds=60)
_WORDS = {"name": "name", "endpoint_name": "endpoint name"}

Head = Callable[[str, str], Awaitable[FlowRecord | None]]


class Names:
    """The claims of flows. `head` reads a flow's current record."""

    def __init__(self, objects: ObjectStore, head: Head) -> None:
        self._objects = objects
        self._head = head

    async def claim(self, tenant: str, record: FlowRecord) -> None:
        """Make the record's names its own; `ConflictError` when another flow has one of them."""
        made: list[str] = []
        try:
            for field, name in _names_of(record).items():
                if await self._claim_one(tenant, field, name, record.id):
                    made.append(_claim(tenant, field, name))
        except ConflictError:
            for key in made:
                await self._objects.delete(key)
            raise

    async def release(self, tenant: str, record: FlowRecord, *, kept: FlowRecord | None = None) -> None:
        """Give up the record's names, except those that `kept` bears as well."""
        still = _names_of(kept) if kept is not None else {}
        for field, name in _names_of(record).items():
            if still.get(field) != name:
                await self._objects.delete(_claim(tenant, field, name))

    async def _claim_one(self, tenant: str, field: str, name: str, flow_id: str) -> bool:
        """Whether the claim is new."""
        key, content = _claim(tenant, field, name), flow_id.encode()
        if await self._objects.create(key, content):
            return True
        holder = await self._holder(key)
        if holder == flow_id:
            return False
        if holder is not None and not await self._is_abandoned(tenant, key, field, name, holder):
            raise ConflictError(f"The {_WORDS[field]} `{name}` belongs to the flow `{holder}`. Choose another one.")
        await self._objects.put(key, content)
        return True

    async def _holder(self, key: str) -> str | None:
        try:
            return (await self._objects.get(key)).decode()
        except NotFoundError:
            return None

    async def _is_abandoned(self, tenant: str, key: str, field: str, name: str, holder: str) -> bool:
        head = await self._head(tenant, holder)
        if head is not None and _names_of(head).get(field) == name:
            return False
        made = await self._objects.modified(key)
        return made is None or made < datetime.now(UTC) - _UNDER_WAY


def _names_of(record: FlowRecord) -> dict[str, str]:
    found = {"name": record.name, "endpoint_name": record.endpoint_name}
    return {field: str(name) for field, name in found.items() if name}


def _claim(tenant: str, field: str, name: str) -> str:
    return path(tenant, "names", field.replace("_", "-"), spelled(name))
