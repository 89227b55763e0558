"""Flows as tools for MCP clients, over streamable HTTP: of the tenant, or of one of its projects.

Each request is a conversation of its own, so any gateway can answer it, and none keeps anything of it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray_serve import mcp_tools
from flowray_serve.auth import needs
from flowray_serve.bodies import rpc
from flowray_serve.bodies.reading import read_body
from flowray_serve.bodies.version import VERSION_NAME_LIMIT
from flowray_serve.replies import reply
from flowray_serve.routes.direct import DirectRoute
from flowray_serve.routes.openapi import says_object
from flowray_serve.routes.variables import header_trace, header_variables
from flowray_serve.run_service import RunOrder
from flowray_serve.services import Services
from flowray_serve.streams import EventStream

_QUERY: Final = {
    "parameters": [
        {
            "in": "query",
            "name": "version",
            "schema": {"type": "string", "default": "", "maxLength": VERSION_NAME_LIMIT},
            "description": "The version that the tools run, such as a tag; a flow without it is no tool.",
        }
    ]
}


class McpRoutes:
    """The handlers of `/api/v1/mcp`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes. A server that begins no conversation of its own answers GET with 405."""
        router = APIRouter(prefix="/api/v1/mcp", tags=["mcp"], route_class=DirectRoute)
        # Which of the two is the choice of the protocol's own library.
        said = says_object(or_as=[EventStream.media_type])
        router.add_api_route("/streamable", self.tenant, methods=["POST"], openapi_extra=_QUERY, responses=said)
        router.add_api_route(
            "/project/{project}/streamable", self.project, methods=["POST"], openapi_extra=_QUERY, responses=said
        )
        return router

    @needs(Permission.RUNS_START)
    async def tenant(self, request: Request) -> Response:
        """Speak MCP; the tools are all flows of the tenant."""
        caller = await self._services.authenticator(request)
        flows = await self._services.store.list(caller.tenant)
        return await self._speak(request, caller.tenant, flows, by_action=False)

    @needs(Permission.RUNS_START)
    async def project(self, request: Request, project: str) -> Response:
        """Speak MCP; the tools are the flows of a project that are enabled for it."""
        caller = await self._services.authenticator(request)
        await self._services.projects.find(caller.tenant, project)
        flows = await self._services.projects.flows(caller.tenant, project)
        enabled = [flow for flow in flows if flow.document.get("mcp_enabled")]
        return await self._speak(request, caller.tenant, enabled, by_action=True)

    async def _speak(self, request: Request, tenant: str, flows: Any, *, by_action: bool) -> Response:
        content = await read_body(request, limit_bytes=self._services.limits.run_bytes)
        try:
            message = rpc.message(content)
        except InvalidRequestError as refused:
            return reply(rpc.refusal(refused), status=HTTPStatus.BAD_REQUEST)
        # A quarter of a second of importing, which few services need: whoever speaks MCP first waits, and nobody else.
        await asyncio.to_thread(import_module, "flowray_serve.routes.mcp_server")
        from flowray_serve.routes.mcp_server import Conversation, Tools

        runnable = [flow for flow in flows if not flow.document.get("is_component")]
        tools = Tools(
            self._services,
            tenant=tenant,
            named=mcp_tools.tool_names(runnable, by_action=by_action),
            by_action=by_action,
            version=_version(request),
            usual=RunOrder(variables=header_variables(request), trace=header_trace(request)),
        )
        return Conversation(tools.server(), message)


def _version(request: Request) -> str:
    version = request.query_params.get("version", "")
    if len(version) > VERSION_NAME_LIMIT:
        raise InvalidRequestError(f"`version` is a name of at most {VERSION_NAME_LIMIT} characters.")
    return version
