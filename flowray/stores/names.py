"""Names that only one flow of a tenant may have, each claimed by an object of its own: the store lets one claim win.

It holds the flow's id, and a token of who wrote it, so that nobody takes over or gives up a claim that was renewed.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from flowray.errors import ConflictError, NotFoundError, OvertakenError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path, spelled
from flowray.stores.records import FlowRecord

# A claim whose flow does not bear the name belongs to a save that is under way, or to one that died long ago.
_UNDER_WAY = timedelta(seconds=60)
_TRIES = 10
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
                await self._give_up(key, record.id)
            raise

    async def release(self, tenant: str, record: FlowRecord, *, kept: FlowRecord | None = None) -> None:
        """Give up the record's names, except those that `kept` bears as well."""
        still = _names_of(kept) if kept is not None else {}
        for field, name in _names_of(record).items():
            if still.get(field) != name:
                await self._give_up(_claim(tenant, field, name), record.id)

    async def _claim_one(self, tenant: str, field: str, name: str, flow_id: str) -> bool:
        """Whether the claim is new."""
        key, mine = _claim(tenant, field, name), _claimed_by(flow_id)
        for _ in range(_TRIES):
            if await self._objects.create(key, mine):
                return True
            claim = await self._read(key)
            if claim is None:
                continue
            holder = _holder(claim)
            if await self._bears(tenant, field, name, holder):
                if holder == flow_id:
                    return False
                raise _belongs(field, name, holder)
            # Its own is renewed as well: a save of it that died may be long ago.
            if holder != flow_id and await self._is_under_way(key):
                raise _belongs(field, name, holder)
            if await self._objects.exchange(key, claim, mine):
                return True
        raise OvertakenError(f"Others want the {_WORDS[field]} `{name}` at the same time. Try again.")

    async def _give_up(self, key: str, flow_id: str) -> None:
        claim = await self._read(key)
        if claim is None or _holder(claim) != flow_id:
            return
        # Written anew before it is deleted: what is fresh nobody takes over meanwhile.
        if await self._objects.exchange(key, claim, _claimed_by(flow_id)):
            await self._objects.delete(key)

    async def _read(self, key: str) -> bytes | None:
        try:
            return await self._objects.get(key)
        except NotFoundError:
            return None

    async def _bears(self, tenant: str, field: str, name: str, holder: str) -> bool:
        head = await self._head(tenant, holder)
        return head is not None and _names_of(head).get(field) == name

    async def _is_under_way(self, key: str) -> bool:
        # Asked after its content: what is old now has been theirs all that time.
        made = await self._objects.modified(key)
        return made is not None and made >= datetime.now(UTC) - _UNDER_WAY


def _claimed_by(flow_id: str) -> bytes:
    return f"{flow_id} {uuid.uuid4().hex}".encode()


def _holder(claim: bytes) -> str:
    return claim.decode().partition(" ")[0]


def _belongs(field: str, name: str, holder: str) -> ConflictError:
    return ConflictError(f"The {_WORDS[field]} `{name}` belongs to the flow `{holder}`. Choose another one.")


def _names_of(record: FlowRecord) -> dict[str, str]:
    found = {"name": record.name, "endpoint_name": record.endpoint_name}
    return {field: str(name) for field, name in found.items() if name}


def _claim(tenant: str, field: str, name: str) -> str:
    return path(tenant, "names", field.replace("_", "-"), spelled(name))
