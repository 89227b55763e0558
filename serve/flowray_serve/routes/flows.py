"""Flows: publish, read, change, forget; in Langflow's shapes, so that its clients and its CLI work against this."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.stores.records import FlowRecord
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.flow import FlowHeader, FlowPage, FlowRead
from flowray_serve.answers.service import Message
from flowray_serve.auth import needs
from flowray_serve.bodies.flow import FlowBody, FlowChange
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.flow_answer import flow_header, flow_read, page, project_of
from flowray_serve.publishing import Published
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services
from flowray_serve.streams import JsonStream

_PAGE_LIMIT = 100


class VersionTokenError(InvalidRequestError):
    """`If-Match` holds no version token."""

    code = "version_token"
    status = 400


class FlowFilter(BaseModel):
    """Which flows to list, and how. There are no example flows, so leaving them out changes nothing.

    `folder_id` counts in both forms; Langflow passes over it when asked for all.
    """

    get_all: bool = Field(default=True, description="A list of all; a page object of some otherwise.")
    header_flows: bool = Field(default=False, description="Without the canvas.")
    components_only: bool = False
    remove_example_flows: bool = False
    folder_id: UUID | None = None
    page: int = Field(1, ge=1)
    size: int = Field(50, ge=1, le=_PAGE_LIMIT)

    def fits(self, tenant: str, flow: FlowRecord) -> bool:
        """Whether `flow` is among those asked for."""
        if self.components_only and not flow.document.get("is_component"):
            return False
        return self.folder_id is None or str(self.folder_id) == project_of(tenant, flow)


class FlowRoutes:
    """The handlers of `/api/v1/flows`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/flows", tags=["flows"])
        router.add_api_route(
            "/",
            self.create,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(FlowBody),
            responses=says(FlowRead, status=201),
        )
        router.add_api_route("/", self.list, methods=["GET"], responses=says(list[FlowRead | FlowHeader] | FlowPage))
        router.add_api_route("/{flow}", self.read, methods=["GET"], responses=says(FlowRead))
        router.add_api_route(
            "/{flow}", self.change, methods=["PATCH"], openapi_extra=takes(FlowChange), responses=says(FlowRead)
        )
        router.add_api_route(
            "/{flow}",
            self.put,
            methods=["PUT"],
            openapi_extra=takes(FlowBody),
            responses=says(FlowRead) | says(FlowRead, status=201),
        )
        router.add_api_route("/{flow}", self.delete, methods=["DELETE"], responses=says(Message))
        return router

    @needs(Permission.FLOWS_WRITE)
    async def create(self, request: Request) -> Response:
        """Publish a new flow."""
        caller = await self._services.authenticator(request)
        body = await self._services.projects.placed(caller.tenant, fit(FlowBody, await self._body(request)))
        published = await self._services.publisher.create(caller.tenant, body)
        return _published(caller.tenant, published)

    @needs(Permission.FLOWS_WRITE)
    async def put(self, request: Request, flow: str) -> Response:
        """Publish a flow under this id: 201 when it is new, 200 when it was there."""
        caller = await self._services.authenticator(request)
        flow_id = _uuid(flow)
        body = await self._services.projects.placed(caller.tenant, fit(FlowBody, await self._body(request)))
        put = self._services.publisher.put(caller.tenant, flow_id, body, expected=expected_token(request))
        return _published(caller.tenant, await put)

    @needs(Permission.FLOWS_WRITE)
    async def change(self, request: Request, flow: str) -> Response:
        """Change the fields that are sent."""
        caller = await self._services.authenticator(request)
        change = await self._services.projects.placed(caller.tenant, fit(FlowChange, await self._body(request)))
        found = await self._services.library.find(caller.tenant, flow)
        changing = self._services.publisher.change(caller.tenant, found.id, change, expected=expected_token(request))
        return _published(caller.tenant, await changing)

    @needs(Permission.FLOWS_READ)
    async def read(self, request: Request, flow: str) -> Response:
        """One flow, by id or endpoint name, with `@` and a version behind it if it is not the current one."""
        caller = await self._services.authenticator(request)
        return reply(flow_read(caller.tenant, await self._services.library.read(caller.tenant, flow)))

    @needs(Permission.FLOWS_WRITE)
    async def delete(self, request: Request, flow: str) -> Response:
        """Forget a flow."""
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        await self._services.store.delete(caller.tenant, found.id)
        return reply({"message": "Flow deleted successfully"})

    @needs(Permission.FLOWS_READ)
    async def list(self, request: Request, wanted: Annotated[FlowFilter, Query()]) -> Response:
        """The tenant's flows: all of them as a list, or one page as a page object."""
        caller = await self._services.authenticator(request)
        flows = [one for one in await self._services.store.list(caller.tenant) if wanted.fits(caller.tenant, one)]
        if wanted.get_all or _is_sdk(request):
            if not wanted.get_all:
                flows = flows[(wanted.page - 1) * wanted.size : wanted.page * wanted.size]
            return JsonStream(self._each(caller.tenant, flows, headers=wanted.header_flows))
        shown = flows[(wanted.page - 1) * wanted.size : wanted.page * wanted.size]
        items = [orjson.Fragment(flow) async for flow in self._each(caller.tenant, shown, headers=wanted.header_flows)]
        return reply(page(items, number=wanted.page, size=wanted.size, total=len(flows)))

    async def _each(self, tenant: str, flows: Sequence[FlowRecord], *, headers: bool) -> AsyncGenerator[bytes, None]:
        """Each flow as JSON, read one at a time: a tenant's canvases may be large together."""
        for flow in flows:
            if headers:
                yield orjson.dumps(flow_header(tenant, flow))
            elif (record := await self._services.store.read(tenant, flow.id)) is not None:
                yield orjson.dumps(flow_read(tenant, record))

    async def _body(self, request: Request) -> dict[str, object]:
        return parse_object(await read_body(request, limit_bytes=self._services.limits.flow_bytes))


def _published(tenant: str, published: Published) -> Response:
    status = HTTPStatus.CREATED if published.created else HTTPStatus.OK
    return reply(flow_read(tenant, published.record, published.findings), status=status)


def _is_sdk(request: Request) -> bool:
    """Whether langflow-sdk asks: it reads a page as a list, which Langflow's page object breaks. It announces JSON."""
    return request.headers.get("content-type") == "application/json"


def expected_token(request: Request) -> str | None:
    """The version token in `If-Match`; quotes and the mark of a weak one are accepted."""
    said = request.headers.get("if-match")
    if said is None:
        return None
    try:
        return str(UUID(said.strip().removeprefix("W/").strip().strip('"')))
    except ValueError as cause:
        raise VersionTokenError("`If-Match`: send the `version_token` of the flow you have read, a UUID.") from cause


def _uuid(flow: str) -> str:
    try:
        return str(UUID(flow))
    except ValueError as cause:
        raise InvalidRequestError(f"A flow's id must be a UUID; `{flow[:80]}` is not.") from cause
