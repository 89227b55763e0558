"""A tenant's projects. The first is there from the beginning; every flow that names no other lies in it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from flowray.errors import ConflictError, NotFoundError, OvertakenError
from flowray.stores.records import FlowRecord, ProjectRecord
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray_serve.bodies.flow import FlowBody, FlowChange
from flowray_serve.flow_answer import project_of
from flowray_serve.ports import Drawer, FlowStore

FIRST_NAME = "Starter Project"
_FIRST_TEXT = "Manage your own flows. Download and upload projects."
_NAMES_TRIED = 1_000
_TRIES = 5
_Body = TypeVar("_Body", FlowBody, FlowChange)


class Projects:
    """The projects of all tenants, over their records and their flows."""

    def __init__(self, *, drawer: Drawer[ProjectRecord], store: FlowStore) -> None:
        self._drawer = drawer
        self._store = store

    async def list(self, tenant: str) -> Sequence[ProjectRecord]:
        """All of them, the first one first."""
        kept = await self._drawer.list(tenant)
        first = tenant_uuid(tenant, "project")
        mine = next((one for one in kept if one.id == first), _first(tenant))
        return [mine, *(one for one in kept if one.id != first)]

    async def find(self, tenant: str, project: str) -> ProjectRecord:
        """One of them."""
        found = await self._drawer.find(tenant, project)
        if found is None and project == tenant_uuid(tenant, "project"):
            return _first(tenant)
        if found is None:
            raise NotFoundError(f"There is no project with the id `{project[:80]}`.")
        return found

    async def flows(self, tenant: str, project: str) -> Sequence[FlowRecord]:
        """The flows that lie in it, without their canvases."""
        return [flow for flow in await self._store.list(tenant) if project_of(tenant, flow) == project]

    async def create(self, tenant: str, name: str, description: str | None = None) -> ProjectRecord:
        """Make one. As with flows, a name in use gets a number."""
        taken = {one.name for one in await self.list(tenant)}
        numbered = (f"{name} ({number})" for number in range(1, _NAMES_TRIED))
        free = name if name not in taken else next((one for one in numbered if one not in taken), uuid.uuid4().hex)
        made = ProjectRecord(id=str(uuid.uuid4()), name=free, description=description, created_at=time.time())
        await self._drawer.save(tenant, made)
        return made

    async def change(self, tenant: str, project: str, *, name: str | None, description: str | None) -> ProjectRecord:
        """Give it another name or description; None leaves it as it is."""
        found = await self.find(tenant, project)
        if name is not None and any(one.name == name and one.id != project for one in await self.list(tenant)):
            raise ConflictError(f"Another project has the name `{name}`. Choose another one.")
        said = found.description if description is None else description
        changed = replace(found, name=name or found.name, description=said)
        await self._drawer.save(tenant, changed)
        return changed

    async def delete(self, tenant: str, project: str) -> None:
        """Forget it with its flows. The first project stays, empty and with the name it had at first."""
        await self.find(tenant, project)
        for flow in await self.flows(tenant, project):
            await self._delete(tenant, project, flow)
        await self._drawer.delete(tenant, project)

    async def _delete(self, tenant: str, project: str, flow: FlowRecord) -> None:
        """Forget a flow, unless it was moved to another project while those before it were forgotten."""
        for _ in range(_TRIES):
            try:
                return await self._store.delete(tenant, flow.id, follows=flow.revision)
            except OvertakenError:
                there = {one.id: one for one in await self.flows(tenant, project)}
                if flow.id not in there:
                    return None
                flow = there[flow.id]
        return await self._store.delete(tenant, flow.id, follows=flow.revision)

    async def placed(self, tenant: str, body: _Body) -> _Body:
        """What is sent of a flow, in the project that it names if there is one, else in the first."""
        if body.folder_id is None:
            return body
        try:
            project = (await self.find(tenant, str(body.folder_id))).id
        except NotFoundError:
            project = tenant_uuid(tenant, "project")
        return body.model_copy(update={"folder_id": UUID(project)})


def _first(tenant: str) -> ProjectRecord:
    return ProjectRecord(id=tenant_uuid(tenant, "project"), name=FIRST_NAME, description=_FIRST_TEXT)
