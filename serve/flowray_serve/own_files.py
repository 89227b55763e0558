"""Files of a tenant's own, which any of its flows may read: uploaded, or written by a component."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Protocol

from flowray.engine.ports import RunRequest
from flowray.runner.asking import Answer, Ask
from flowray.stores.records import UploadRecord
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray_serve.ports import Drawer

_NAME_LIMIT_CHARS = 120


class FileStore(Protocol):
    """Where files lie, within what a tenant may keep."""

    async def claim_file(self, tenant: str, path: str) -> bool:
        """Have a path for a file that comes; False when somebody has it. `delete_file` gives it up."""

    async def save_file(self, tenant: str, path: str, content: bytes) -> None:
        """Keep a file under its path."""

    async def delete_file(self, tenant: str, path: str) -> None:
        """Remove a file; it may be gone already."""


class OwnFiles:
    """Keeps files, each under a name that is free."""

    def __init__(self, uploads: Drawer[UploadRecord], store: FileStore) -> None:
        self._uploads = uploads
        self._store = store

    async def keep(self, tenant: str, name: str, content: bytes) -> UploadRecord:
        """Keep a file; a name that is taken gets a number, as in Langflow."""
        path = await self._free_path(tenant, name)
        now = time.time()
        record = UploadRecord(
            id=str(uuid.uuid4()),
            name=PurePosixPath(path).stem,
            path=path,
            size=len(content),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.save_file(tenant, path, content)
            await self._uploads.save(tenant, record)
        except BaseException:  # whoever sends it may go at any moment, and what no record names can nobody remove
            await self._uploads.delete(tenant, record.id)
            await self._store.delete_file(tenant, path)
            raise
        return record

    async def written(self, request: RunRequest, ask: Ask) -> Answer:
        """Keep what a component of a run wrote, for the run's tenant."""
        record = await self.keep(request.tenant, plain_name(str(ask.details.get("name") or "")), ask.blob or b"")
        return Answer(value={"id": record.id, "name": record.name, "path": record.path, "size": record.size})

    async def _free_path(self, tenant: str, name: str) -> str:
        """A path that nobody else has from now on: not a file that is there, and not one that is being kept."""
        taken = {PurePosixPath(one.path).name for one in await self._uploads.list(tenant)}
        while True:
            free = free_name(name, taken)
            path = f"{tenant_uuid(tenant, 'user')}/{free}"
            if await self._store.claim_file(tenant, path):
                return path
            taken.add(free)


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or as Langflow writes it, `name (1).txt`."""
    path, number = PurePosixPath(name), 0
    while name in taken:
        number += 1
        name = f"{path.stem} ({number}){path.suffix}"
    return name


def plain_name(name: str) -> str:
    """The file's own name, without what a path could stumble over; its suffix tells components the type."""
    plain = re.sub(r"[^\w.-]", "_", name.replace("\\", "/").rpartition("/")[2], flags=re.ASCII)
    path = PurePosixPath(plain.lstrip("."))
    return f"{path.stem[:_NAME_LIMIT_CHARS] or 'file'}{path.suffix[:20]}"
