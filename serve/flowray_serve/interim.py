"""Flows, files, keys and components in the object store, for one gateway: until they have stores of their own."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from flowray.component.frontend import spec_of
from flowray.component.known import known_components
from flowray.component.spec import ComponentSpec
from flowray.engine.values import Ref
from flowray.errors import NotFoundError
from flowray.flow.types import Json
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path, spelled
from flowray.stores.records import FlowRecord


@dataclass(frozen=True)
class Principal:
    """Whom a key belongs to."""

    tenant: str


class Keys:
    """API keys by their SHA-256."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def caller(self, key_digest: str) -> Principal | None:
        """See `flowray_serve.auth.Callers`."""
        try:
            return Principal((await self._objects.get(f"keys/{key_digest}")).decode())
        except NotFoundError:
            return None

    async def mint(self, tenant: str) -> str:
        """Make a key of this tenant."""
        key = f"fr-{secrets.token_urlsafe(32)}"
        await self._objects.put(f"keys/{hashlib.sha256(key.encode()).hexdigest()}", tenant.encode())
        return key


class Flows:
    """See `flowray_serve.ports.FlowStore`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._tenants: dict[str, dict[str, FlowRecord]] = {}
        self._files: dict[tuple[str, str], Ref] = {}

    async def find(self, tenant: str, name: str) -> FlowRecord | None:
        """See `FlowStore`."""
        flows = await self._of(tenant)
        return flows.get(name) or next((one for one in flows.values() if one.endpoint_name == name), None)

    async def read(self, tenant: str, flow_id: str) -> FlowRecord | None:
        """See `FlowStore`."""
        found = (await self._of(tenant)).get(flow_id)
        return None if found is None else _record(await self._objects.get(path(tenant, "flows", spelled(found.id))))

    async def list(self, tenant: str) -> Sequence[FlowRecord]:
        """See `FlowStore`."""
        return list((await self._of(tenant)).values())

    async def save(self, tenant: str, record: FlowRecord) -> None:
        """See `FlowStore`."""
        await self._objects.put(path(tenant, "flows", spelled(record.id)), orjson.dumps(asdict(record)))
        (await self._of(tenant))[record.id] = _without_canvas(record)

    async def delete(self, tenant: str, flow_id: str) -> None:
        """See `FlowStore`."""
        await self._objects.delete(path(tenant, "flows", spelled(flow_id)))
        (await self._of(tenant)).pop(flow_id, None)

    async def save_file(self, tenant: str, file: str, content: bytes) -> None:
        """See `FlowStore`."""
        self._files[tenant, file] = await self._objects.put(path(tenant, "files", spelled(file)), content)

    async def find_file(self, tenant: str, file: str) -> Ref | None:
        """See `FlowStore`."""
        return self._files.get((tenant, file))

    async def _of(self, tenant: str) -> dict[str, FlowRecord]:
        if tenant not in self._tenants:
            keys = [one.key async for one in self._objects.list(path(tenant, "flows"))]
            records = [_without_canvas(_record(await self._objects.get(key))) for key in keys]
            self._tenants[tenant] = {record.id: record for record in records}
        return self._tenants[tenant]


class Components:
    """See `flowray_serve.ports.Registry`; `runner` is the handle of a pool."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._known = dict(known_components())

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """See `Registry`."""
        return {one: self._known[one] for one in digests if one in self._known}

    async def register(self, code: str, name: str) -> ComponentSpec:
        """See `Registry`."""
        said: dict[str, Json] = await self._runner.extract.remote(code, name)
        spec = spec_of(name, said["frontend"], origin="sandbox")
        self._known[spec.digest] = spec
        return spec


def _record(content: bytes) -> FlowRecord:
    return FlowRecord(**orjson.loads(content))


def _without_canvas(record: FlowRecord) -> FlowRecord:
    return replace(record, document={name: value for name, value in record.document.items() if name != "data"})
