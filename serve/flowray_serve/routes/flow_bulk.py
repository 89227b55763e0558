"""Several flows at once: created, uploaded, downloaded and deleted together; and what versions a flow is in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError, NotFoundError
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.flow import FlowRead, VersionState
from flowray_serve.answers.service import Deleted
from flowray_serve.auth import needs
from flowray_serve.bodies.flow import FlowBody, FlowsBody
from flowray_serve.bodies.reading import fit, parse_json, parse_object, read_body
from flowray_serve.bundle import MEDIA_TYPE, attachment, export, file_name, read_bundle, zipped
from flowray_serve.flow_answer import flow_read, version_token
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object, takes, takes_file, takes_ids
from flowray_serve.routes.uploads import uploaded
from flowray_serve.services import Services

_IDS = TypeAdapter(list[UUID])
_IDS_LIMIT = 10_000
_UNSET = (
    "description",
    "endpoint_name",
    "icon",
    "icon_bg_color",
    "tags",
    "action_name",
    "action_description",
    "a2a_card_overrides",
    "fs_path",
)


class FlowBulkRoutes:
    """The handlers of `/api/v1/flows/...` that are about more than one flow's document."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/flows", tags=["flows"])
        router.add_api_route(
            "/batch/",
            self.create,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(FlowsBody),
            responses=says(list[FlowRead], status=201),
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
            "/download/",
            self.download,
            methods=["POST"],
            openapi_extra=takes_ids(),
            responses=says_object(or_as=[MEDIA_TYPE]),
        )
        router.add_api_route("/", self.delete, methods=["DELETE"], openapi_extra=takes_ids(), responses=says(Deleted))
        router.add_api_route("/basic_examples/", self.examples, methods=["GET"], responses=says(list[dict[str, Any]]))
        router.add_api_route("/{flow}/version-state", self.version_state, methods=["GET"], responses=says(VersionState))
        return router

    @needs(Permission.FLOWS_WRITE)
    async def create(self, request: Request) -> Response:
        """Publish several new flows. Ids in use refuse all of them."""
        caller = await self._services.authenticator(request)
        content = await read_body(request, limit_bytes=self._services.limits.flow_bytes)
        body = fit(FlowsBody, parse_object(content))
        there = {flow.id for flow in await self._services.store.list(caller.tenant)}
        taken = [str(flow.id) for flow in body.flows if str(flow.id) in there]
        if taken:
            raise InvalidRequestError(f"There are flows with these ids already: {', '.join(taken[:10])}. Use PUT.")
        placed = [await self._services.projects.placed(caller.tenant, flow) for flow in body.flows]
        published = await self._services.publisher.create_all(caller.tenant, placed)
        return reply([flow_read(caller.tenant, one.record, one.findings) for one in published], status=201)

    @needs(Permission.FLOWS_WRITE)
    async def upload(
        self, request: Request, folder_id: Annotated[UUID | None, Query(description="The project they go to.")] = None
    ) -> Response:
        """Publish the flows of a JSON file or a zip. A flow whose id is there already is replaced."""
        caller = await self._services.authenticator(request)
        limit_bytes = self._services.limits.flow_bytes
        bundle = read_bundle((await uploaded(request, limit_bytes=limit_bytes)).content, limit_bytes=limit_bytes)
        where = {} if folder_id is None else {"folder_id": str(folder_id)}
        bodies = [fit(FlowBody, {**flow, **where}) for flow in bundle.flows]
        return reply([await self._put(caller.tenant, body) for body in bodies], status=201)

    @needs(Permission.FLOWS_READ)
    async def download(self, request: Request) -> Response:
        """One flow as JSON, several as a zip; without the values of secrets."""
        caller = await self._services.authenticator(request)
        there = {flow.id for flow in await self._services.store.list(caller.tenant)}
        ids = [one for one in await self._ids(request) if one in there]
        documents = self._documents(caller.tenant, ids)
        if len(ids) > 1:
            packed = await zipped(documents, limit_bytes=self._services.limits.download_bytes)
            return Response(packed, media_type=MEDIA_TYPE, headers=attachment(file_name("langflow_flows")))
        async for document in documents:
            return reply(export(document))
        raise NotFoundError("No flows found: none of these ids is one of yours.")

    @needs(Permission.FLOWS_WRITE)
    async def delete(self, request: Request) -> Response:
        """Forget several flows; ids that are not there are passed over."""
        caller = await self._services.authenticator(request)
        there = {flow.id for flow in await self._services.store.list(caller.tenant)}
        gone = [flow_id for flow_id in await self._ids(request) if flow_id in there]
        for flow_id in gone:
            await self._services.store.delete(caller.tenant, flow_id)
        return reply({"deleted": len(gone)})

    @needs(Permission.FLOWS_READ)
    async def examples(self, request: Request) -> Response:
        """Example flows: a service ships none."""
        await self._services.authenticator(request)
        return reply([])

    @needs(Permission.FLOWS_READ)
    async def version_state(self, request: Request, flow: UUID) -> Response:
        """The token to send as `If-Match`, and when the flow last changed."""
        caller = await self._services.authenticator(request)
        record = await self._services.library.find(caller.tenant, str(flow))
        return reply(
            {
                "version_token": version_token(record),
                "last_modified_by": tenant_uuid(caller.tenant, "user"),
                "last_modified_by_username": caller.tenant,
                "updated_at": record.document.get("updated_at"),
            }
        )

    async def _documents(self, tenant: str, ids: Sequence[str]) -> AsyncGenerator[Mapping[str, Any], None]:
        for flow_id in ids:
            record = await self._services.store.read(tenant, flow_id)
            if record is not None:
                yield {"id": record.id, **_filled(record.document)}

    async def _put(self, tenant: str, body: FlowBody) -> dict[str, Any]:
        publisher = self._services.publisher
        there = None if body.id is None else await self._services.store.find(tenant, str(body.id))
        placed = await self._services.projects.placed(tenant, body)
        if there is not None and there.id == str(body.id):
            published = await publisher.put(tenant, there.id, placed)
        else:
            published = await publisher.create(tenant, placed)
        return flow_read(tenant, published.record, published.findings)

    async def _ids(self, request: Request) -> list[str]:
        parsed = parse_json(await read_body(request, limit_bytes=self._services.limits.run_bytes) or b"null")
        try:
            ids = _IDS.validate_python(parsed)
        except ValidationError as cause:
            raise InvalidRequestError("The body must be a JSON list of ids, each a UUID.") from cause
        if len(ids) > _IDS_LIMIT:
            raise InvalidRequestError(f"The body lists {len(ids):,} ids; the most is {_IDS_LIMIT:,}.")
        return list(dict.fromkeys(str(one) for one in ids))


def _filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that every download has, whether or not they were ever set."""
    flags = dict.fromkeys(("is_component", "locked", "mcp_enabled", "a2a_enabled"), False)
    return {**dict.fromkeys(_UNSET), **flags, "flow_type": "workflow", **document}
