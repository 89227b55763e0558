"""Flows and their files: the object store is the record, what else is known of them can be read from it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace

from flowray.engine.codec import dumps, loads
from flowray.engine.values import Ref
from flowray.errors import NotFoundError, OvertakenError
from flowray.stores.files import Files
from flowray.stores.generations import Generations
from flowray.stores.latches import Latches
from flowray.stores.names import Names
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment
from flowray.stores.records import NEW, FlowRecord
from flowray.stores.shelves import Shelves, head_key, read_head
from flowray.stores.versions import Versions, version_key


class Documents:
    """The flows of all tenants, every version of each, and their files.

    No two flows of a tenant have the same name or the same endpoint name.
    """

    def __init__(self, objects: ObjectStore, generations: Generations) -> None:
        self._objects = objects
        self._generations = generations
        self._shelves = Shelves(objects, generations)
        self._names = Names(objects, self._head)
        self._files = Files(objects)
        self._latches = Latches(objects)
        self.versions: Versions = Versions(objects, generations, self._shelves)

    async def find(self, tenant: str, name: str) -> FlowRecord | None:
        """The flow with this id or endpoint name, without its canvas."""
        shelf = await self._shelves.of(tenant)
        return shelf.flows.get(name) or shelf.by_endpoint.get(name)

    async def list(self, tenant: str) -> tuple[FlowRecord, ...]:
        """All flows by name, without their canvases."""
        shelf = await self._shelves.of(tenant)
        return tuple(sorted(shelf.flows.values(), key=lambda flow: str(flow.name).casefold()))

    async def read(self, tenant: str, flow_id: str, *, version: str | None = None) -> FlowRecord | None:
        """The flow with its canvas, in an older version when one is named."""
        shelf = await self._shelves.of(tenant)
        head = shelf.flows.get(flow_id)
        if head is None or head.is_deleted or not is_segment(version or head.version):
            return None
        if version is not None and version != head.version:
            head = replace(head, version=version, revision=version)
        try:
            document = loads(await self._objects.get(version_key(tenant, flow_id, head.version)))
        except NotFoundError:
            return None
        return replace(head, document=document)

    async def save(
        self, tenant: str, record: FlowRecord, *, note: str | None = None, follows: str | None = None
    ) -> None:
        """Keep this as the flow's newest version; `ConflictError` when another flow has its name.

        `follows` is the revision that it was made from, or `NEW`: `OvertakenError` when the flow is another one by now.
        """
        async with self._latches.held(tenant, record.id), self._change(tenant):
            old = await self._living(tenant, record.id)
            _require_unchanged(record.id, old, follows)
            await self._names.claim(tenant, record)
            await self._objects.put(version_key(tenant, record.id, record.version), dumps(record.document))
            if old is None or old.version != record.version:
                images = record.document.get("images") or ()
                await self.versions.history.add(tenant, record.id, record.version, description=note, images=images)
            await self._put_head(tenant, record, old)
            if old is not None:
                await self._names.release(tenant, old, kept=record)

    async def delete(self, tenant: str, flow_id: str, *, follows: str | None = None) -> None:
        """Forget a flow with its versions and files.

        `follows` is the revision that is to be forgotten: `OvertakenError` when the flow is another one by now.
        """
        if not is_segment(flow_id):
            return
        async with self._latches.held(tenant, flow_id), self._change(tenant):
            head = await self._head(tenant, flow_id)
            _require_unchanged(flow_id, head, follows)
            await self._remove(tenant, flow_id, head)

    async def _remove(self, tenant: str, flow_id: str, head: FlowRecord | None) -> None:
        # The head goes last, so that the flow is found, and deleted again, should this break off. Until then it says
        # that the rest may be gone: what others remember of the flow, they remember of its last revision.
        if head is not None:
            await self._objects.put(head_key(tenant, flow_id), dumps(asdict(head.deleted())))
        await self.versions.forget_all(tenant, flow_id)
        await self._files.forget(tenant, flow_id)
        await self._objects.delete(head_key(tenant, flow_id))
        if head is not None:
            await self._names.release(tenant, head)

    async def _living(self, tenant: str, flow_id: str) -> FlowRecord | None:
        """The flow's head; what a deletion has left that broke off goes first: the next flow would inherit it."""
        head = await self._head(tenant, flow_id)
        if head is None or not head.is_deleted:
            return head
        await self._remove(tenant, flow_id, head)
        return None

    async def rebuild(self, tenant: str) -> None:
        """Have every replica read the tenant's flows anew, after the record was changed behind its back."""
        await self._generations.renew(tenant)

    async def claim_file(self, tenant: str, file_path: str) -> bool:
        """Have a path for a file that comes; False when somebody has it. `delete_file` gives it up."""
        return await self._files.claim(tenant, file_path)

    async def save_file(self, tenant: str, file_path: str, content: bytes) -> None:
        """Keep a file of a flow under `flow id/name`."""
        await self._files.save(tenant, file_path, content)

    async def find_file(self, tenant: str, file_path: str) -> Ref | None:
        """Where a file's bytes are."""
        return await self._files.find(tenant, file_path)

    async def read_file(self, tenant: str, file_path: str) -> bytes:
        """A file's bytes; `NotFoundError` when there is none."""
        return await self._files.read(tenant, file_path)

    async def file_names(self, tenant: str, flow_id: str) -> tuple[str, ...]:
        """The names of a flow's files."""
        return await self._files.names(tenant, flow_id)

    async def delete_file(self, tenant: str, file_path: str) -> None:
        """Remove a file; it may be gone already."""
        await self._files.delete(tenant, file_path)

    async def _head(self, tenant: str, flow_id: str) -> FlowRecord | None:
        return await read_head(self._objects, head_key(tenant, flow_id))

    async def _put_head(self, tenant: str, record: FlowRecord, old: FlowRecord | None) -> None:
        # Over that one only which was read: a latch that is held for too long is taken over.
        key, new = head_key(tenant, record.id), dumps(asdict(record.without_canvas()))
        if old is None and await self._objects.create(key, new):
            return
        revision = NEW if old is None else old.revision
        # Also when it could not be created: a bucket that answers late is asked twice, and what is there may be ours.
        if await self._objects.change(key, lambda at: new if loads(at)["revision"] == revision else at) != new:
            raise _overtaken(record.id)

    @asynccontextmanager
    async def _change(self, tenant: str) -> AsyncIterator[None]:
        # Renewed before as well: who dies in between leaves a generation that was read from at most one moment on.
        await self._generations.renew(tenant)
        try:
            yield
        finally:
            await self._generations.renew(tenant)


def _require_unchanged(flow_id: str, head: FlowRecord | None, follows: str | None) -> None:
    if follows is not None and follows != (NEW if head is None else head.revision):
        raise _overtaken(flow_id)


def _overtaken(flow_id: str) -> OvertakenError:
    return OvertakenError(f"Somebody else changed the flow `{flow_id}` at the same time. Try again.")
