"""Which versions a flow has been in, in order: one small object for each, only ever added."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from flowray.engine.codec import dumps, loads
from flowray.errors import StoreUnavailableError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path
from flowray.stores.records import VersionRecord

CURRENT = "latest"
_TRIES = 50
_NUMBER = re.compile(r"v?([1-9][0-9]{0,6})")  # fewer digits than a digest is named by
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class History:
    """The versions of flows. A number that was forgotten stays taken."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def all(self, tenant: str, flow_id: str) -> tuple[VersionRecord, ...]:
        """The versions of a flow, the newest first; of a flow from before there was a history, what is kept of it."""
        if not is_segment(flow_id):
            return ()
        keys = sorted([one.key async for one in self._objects.list(_folder(tenant, flow_id))], reverse=True)
        if not keys:
            return await self._from_before(tenant, flow_id)
        records = (_record(loads(kept)) for kept in (await self._objects.get_all(keys)).values())
        return tuple(one for one in records if one is not None)

    async def numbers(self, tenant: str) -> tuple[tuple[str, int], ...]:
        """Each version of each flow, by the flow's id and its number; those that were forgotten, too."""
        keys = [one.key.split("/")[-2:] async for one in self._objects.list(path(tenant, "history"))]
        return tuple((flow_id, int(name.removesuffix(".json"))) for flow_id, name in keys)

    async def add(
        self,
        tenant: str,
        flow_id: str,
        version: str,
        *,
        description: str | None = None,
        images: Sequence[str] = (),
        current: bool = True,
    ) -> VersionRecord:
        """Put on record that the flow is in this version now, or, unless `current`, that the version is kept."""
        record = VersionRecord(
            number=await self._next(tenant, flow_id, but=version),
            version=version,
            at=datetime.now(UTC).timestamp(),
            description=description,
            images=tuple(images),
            current=current,
        )
        for _ in range(_TRIES):
            if await self._objects.create(_key(tenant, flow_id, record.number), dumps(asdict(record))):
                return record
            record = replace(record, number=record.number + 1)
        raise StoreUnavailableError(f"No number was free for a version of flow `{flow_id[:80]}`. Try again.")

    async def change(self, tenant: str, flow_id: str, record: VersionRecord) -> None:
        """Keep it in place of the one with its number."""
        await self._objects.put(_key(tenant, flow_id, record.number), dumps(asdict(record)))

    async def forget(self, tenant: str, flow_id: str, number: int) -> None:
        """List a version no longer."""
        await self._objects.put(_key(tenant, flow_id, number), dumps({"number": number}))

    async def forget_all(self, tenant: str, flow_id: str) -> None:
        """Forget a flow's history with the flow."""
        await self._objects.clear(_folder(tenant, flow_id))

    async def _next(self, tenant: str, flow_id: str, *, but: str) -> int:
        keys = [one.key async for one in self._objects.list(_folder(tenant, flow_id))]
        if keys:
            return int(max(keys).rpartition("/")[2].removesuffix(".json")) + 1
        before = [one for one in await self._from_before(tenant, flow_id) if one.version != but]
        for record in before:
            await self._objects.create(_key(tenant, flow_id, record.number), dumps(asdict(record)))
        return len(before) + 1

    async def _from_before(self, tenant: str, flow_id: str) -> tuple[VersionRecord, ...]:
        found = sorted([(one.modified, one.key) async for one in self._objects.list(path(tenant, "versions", flow_id))])
        records = (
            VersionRecord(number=number, version=_digest_in(key), at=modified.timestamp())
            for number, (modified, key) in enumerate(found, 1)
        )
        return tuple(reversed(tuple(records)))


def resolved(name: str, history: Sequence[VersionRecord], current: str) -> str | None:
    """The version that a name means which is no tag: `v3`, `latest`, or a digest or its first 8 digits or more."""
    if name == CURRENT:
        return current
    if number := _NUMBER.fullmatch(name):
        wanted = int(number[1])
        return next((one.version for one in history if one.number == wanted), None)
    if not _DIGEST.fullmatch(name):
        return None
    found = {one.version for one in history if one.version.startswith(name)}
    if current.startswith(name):
        found.add(current)
    return found.pop() if len(found) == 1 else None


def is_taken_by_others(tag: str) -> bool:
    """Whether a tag would look like a number, a digest, or the word for what is current."""
    return tag == CURRENT or bool(_NUMBER.fullmatch(tag) or _DIGEST.fullmatch(tag))


def _record(kept: Mapping[str, object]) -> VersionRecord | None:
    if "version" not in kept:
        return None
    record: VersionRecord = VersionRecord(**kept)  # type: ignore[arg-type] # as it was written
    return replace(record, images=tuple(record.images))


def _digest_in(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _folder(tenant: str, flow_id: str) -> str:
    return path(tenant, "history", flow_id)


def _key(tenant: str, flow_id: str, number: int) -> str:
    return path(tenant, "history", flow_id, f"{number:09}.json")
