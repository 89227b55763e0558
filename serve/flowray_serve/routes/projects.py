"""Projects, in Langflow's shapes; the older name for them, folders, leads here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flowray.errors import NotFoundError
from flowray.stores.records import FlowRecord, ProjectRecord
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.flow import FlowRead
from flowray_serve.answers.stored import ProjectPage, ProjectRead, ProjectWhole
from flowray_serve.auth import needs, open_to_all
from flowray_serve.bodies.flow import FlowBody, FlowChange, ProjectBody, ProjectChange
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bundle import MEDIA_TYPE, Bundle, attachment, file_name, read_bundle, zipped
from flowray_serve.flow_answer import flow_read, page
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says, takes, takes_file
from flowray_serve.routes.uploads import uploaded
from flowray_serve.services import Services

_PAGE_LIMIT = 100


class ProjectRoutes:
    """The handlers of `/api/v1/projects`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._projects = services.projects

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/projects", tags=["projects"])
        router.add_api_route("/", self.list, methods=["GET"], responses=says(list[ProjectRead]))
        router.add_api_route(
            "/",
            self.create,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(ProjectBody),
            responses=says(ProjectRead, status=201),
        )
        router.add_api_route(
            "/upload/",
            self.upload,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes_file(),
            responses=says(list[FlowRead], status=201),
        )
        router.add_api_route(
            "/download/{project}", self.download, methods=["GET"], response_class=Response, responses=gives(MEDIA_TYPE)
        )
        router.add_api_route("/{project}", self.read, methods=["GET"], responses=says(ProjectWhole | ProjectPage))
        router.add_api_route(
            "/{project}",
            self.change,
            methods=["PATCH"],
            openapi_extra=takes(ProjectChange),
            responses=says(ProjectRead),
        )
        router.add_api_route("/{project}", self.delete, methods=["DELETE"], status_code=204)
        return router

    @needs(Permission.FLOWS_READ)
    async def list(self, request: Request) -> Response:
        """The tenant's projects, the first one first."""
        caller = await self._services.authenticator(request)
        owner = {"owner_username": caller.tenant, "is_owner": True}
        return reply([_shown(one) | owner for one in await self._projects.list(caller.tenant)])

    @needs(Permission.FLOWS_WRITE)
    async def create(self, request: Request) -> Response:
        """Make a project, and put flows into it."""
        caller = await self._services.authenticator(request)
        body = fit(ProjectBody, await self._body(request))
        made = await self._projects.create(caller.tenant, body.name, body.description)
        await self._fill(caller.tenant, made.id, [*(body.flows_list or ()), *(body.components_list or ())])
        return reply(_shown(made), status=201)

    @needs(Permission.FLOWS_READ)
    async def read(
        self,
        request: Request,
        project: UUID,
        number: Annotated[int | None, Query(alias="page", ge=1)] = None,
        size: Annotated[int | None, Query(ge=1, le=_PAGE_LIMIT)] = None,
        search: Annotated[str, Query(max_length=256, description="Only flows whose name has this.")] = "",
    ) -> Response:
        """A project with its flows; with `page` and `size`, with one page of them."""
        caller = await self._services.authenticator(request)
        found = await self._projects.find(caller.tenant, str(project))
        flows = await self._projects.flows(caller.tenant, found.id)
        if number is None or size is None:
            return reply(_shown(found) | {"flows": await self._whole(caller.tenant, flows)})
        fitting = [flow for flow in flows if search.casefold() in str(flow.name).casefold()]
        items = await self._whole(caller.tenant, fitting[(number - 1) * size : number * size])
        shown = page(items, number=number, size=size, total=len(fitting))
        return reply({"folder": _shown(found), "flows": shown})

    @needs(Permission.FLOWS_WRITE)
    async def change(self, request: Request, project: UUID) -> Response:
        """Change name and description, and put flows into it."""
        caller = await self._services.authenticator(request)
        body = fit(ProjectChange, await self._body(request))
        changed = await self._projects.change(caller.tenant, str(project), name=body.name, description=body.description)
        await self._fill(caller.tenant, changed.id, [*body.flows, *body.components])
        return reply(_shown(changed))

    @needs(Permission.FLOWS_WRITE)
    async def delete(self, request: Request, project: UUID) -> Response:
        """Forget a project and its flows."""
        caller = await self._services.authenticator(request)
        await self._projects.delete(caller.tenant, str(project))
        return Response(status_code=204)

    @needs(Permission.FLOWS_READ)
    async def download(self, request: Request, project: UUID) -> Response:
        """All flows of a project as a zip, without the values of secrets."""
        caller = await self._services.authenticator(request)
        found = await self._projects.find(caller.tenant, str(project))
        flows = await self._projects.flows(caller.tenant, found.id)
        if not flows:
            raise NotFoundError("No flows found in project: there is nothing to download.")
        name = file_name(f"{found.name}_flows")
        packed = await zipped(self._each(caller.tenant, flows), limit_bytes=self._services.limits.download_bytes)
        return Response(packed, media_type=MEDIA_TYPE, headers=attachment(name))

    @needs(Permission.FLOWS_WRITE)
    async def upload(self, request: Request) -> Response:
        """Make a project of the flows in a zip or a JSON file. Flows whose ids are in use get new ones."""
        caller = await self._services.authenticator(request)
        limit_bytes = self._services.limits.flow_bytes
        file = await uploaded(request, limit_bytes=limit_bytes)
        bundle = read_bundle(file.content, limit_bytes=limit_bytes)
        bodies = [fit(FlowBody, flow) for flow in bundle.flows]
        made = await self._projects.create(caller.tenant, _title(bundle, file.name), bundle.description)
        placed = [body.model_copy(update={"folder_id": UUID(made.id)}) for body in bodies]
        published = await self._services.publisher.create_all(caller.tenant, placed)
        return reply([flow_read(caller.tenant, one.record, one.findings) for one in published], status=201)

    async def _fill(self, tenant: str, project: str, flows: Sequence[UUID]) -> None:
        """Put these flows into the project; those that are not there are passed over."""
        there = {flow.id for flow in await self._services.store.list(tenant)} if flows else set()
        change = FlowChange(folder_id=UUID(project))
        for flow in dict.fromkeys(flows):
            if str(flow) in there:
                await self._services.publisher.change(tenant, str(flow), change)

    async def _whole(self, tenant: str, flows: Sequence[FlowRecord]) -> Sequence[orjson.Fragment]:
        """As JSON at once: many canvases are ten times as large as objects."""
        return [orjson.Fragment(orjson.dumps(flow)) async for flow in self._each(tenant, flows)]

    async def _each(self, tenant: str, flows: Sequence[FlowRecord]) -> AsyncGenerator[dict[str, Any], None]:
        for flow in flows:
            record = await self._services.store.read(tenant, flow.id)
            if record is not None:
                yield flow_read(tenant, record)

    async def _body(self, request: Request) -> dict[str, object]:
        return parse_object(await read_body(request, limit_bytes=self._services.limits.run_bytes))


class FolderRoutes:
    """The older name of projects: Langflow's clients up to 1.3 know them as folders."""

    def __init__(self, services: Services) -> None:
        del services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["projects"])
        for path in ("/api/v1/folders/", "/api/v1/folders/{rest:path}"):
            methods = ["GET", "POST", "PATCH", "DELETE"]
            router.add_api_route(path, self.moved, methods=methods, include_in_schema=False)
        return router

    @open_to_all
    async def moved(self, request: Request) -> Response:
        """The same request goes to projects."""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(request.url.path.replace("/folders/", "/projects/", 1) + query, status_code=307)


def _shown(project: ProjectRecord) -> ProjectRead:
    return {
        "name": project.name,
        "description": project.description,
        "auth_settings": None,
        "id": project.id,
        "parent_id": None,
    }


def _title(bundle: Bundle, file: str) -> str:
    """What a project that comes as a file is called."""
    return (bundle.project or file.rpartition("/")[2].removesuffix(".zip").removesuffix(".json") or "Uploaded")[:256]
