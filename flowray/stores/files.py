"""Uploaded files, below the flow they belong to."""

from __future__ import annotations

import hashlib

from flowray.engine.values import Ref
from flowray.errors import InvalidRequestError, NotFoundError
from flowray.stores.objects import Listed, ObjectStore
from flowray.stores.paths import is_segment, path, spelled, unspelled


class Files:
    """A file's path is `flow id/name`; its key ends in its hash, so that a look-up need not read it."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def claim(self, tenant: str, file_path: str) -> bool:
        """Have a path for a file that comes; False when somebody has it. It is free again once it is deleted."""
        claim = _claim(tenant, file_path)
        if claim is None:
            raise _no_path(file_path)
        return await self._objects.create(claim, b"")

    async def save(self, tenant: str, file_path: str, content: bytes) -> Ref:
        """Keep a file; one with the same path is replaced."""
        folder = _folder(tenant, file_path)
        if folder is None:
            raise _no_path(file_path)
        former = [one.key async for one in self._objects.list(folder)]
        ref = await self._objects.put(f"{folder}/{hashlib.sha256(content).hexdigest()}", content)
        for key in former:
            if key != ref.key:
                await self._objects.delete(key)
        return ref

    async def find(self, tenant: str, file_path: str) -> Ref | None:
        """Where a file's bytes are."""
        folder = _folder(tenant, file_path)
        if folder is None:
            return None
        found = [one async for one in self._objects.list(folder)]
        return _ref(max(found, key=lambda one: one.modified)) if found else None

    async def read(self, tenant: str, file_path: str) -> bytes:
        """A file's bytes; `NotFoundError` when there is none."""
        ref = await self.find(tenant, file_path)
        if ref is None:
            raise NotFoundError(f"There is no file `{file_path[:200]}`.")
        return await self._objects.get(ref.key)

    async def names(self, tenant: str, flow_id: str) -> tuple[str, ...]:
        """The names of a flow's files."""
        if not is_segment(flow_id):
            return ()
        found = [one.key.split("/")[-2] async for one in self._objects.list(path(tenant, "files", flow_id))]
        return tuple(sorted(filter(None, map(unspelled, found))))

    async def delete(self, tenant: str, file_path: str) -> None:
        """Remove a file; it may be gone already."""
        folder, claim = _folder(tenant, file_path), _claim(tenant, file_path)
        if folder is None or claim is None:
            return
        await self._objects.clear(folder)
        # Last: whoever has the path next could lose its file.
        await self._objects.delete(claim)

    async def forget(self, tenant: str, flow_id: str) -> None:
        """Remove all files of a flow."""
        await self._objects.clear(path(tenant, "files", flow_id))
        await self._objects.clear(path(tenant, "file-claims", flow_id))


def _folder(tenant: str, file_path: str) -> str | None:
    return _below(tenant, "files", file_path)


def _claim(tenant: str, file_path: str) -> str | None:
    return _below(tenant, "file-claims", file_path)


def _below(tenant: str, kind: str, file_path: str) -> str | None:
    flow_id, _, name = file_path.partition("/")
    return path(tenant, kind, flow_id, spelled(name)) if is_segment(flow_id) and name else None


def _no_path(file_path: str) -> InvalidRequestError:
    return InvalidRequestError(f"`{file_path[:80]}` is no path of a flow's file: it has to be `flow id/name`.")


def _ref(listed: Listed) -> Ref:
    return Ref(key=listed.key, size=listed.size, sha256=listed.key.rpartition("/")[2])
