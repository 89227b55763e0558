"""A tenant's API keys, in Langflow's shapes and with roles, expiry and rotation beside."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.tenancy.permissions import Permission
from flowray_serve.answers.service import Detail
from flowray_serve.answers.tenancy import KeyList, KeyRead
from flowray_serve.auth import needs, on_record
from flowray_serve.bodies.reading import fit, parse_object, read_body
from flowray_serve.bodies.tenancy import KeyBody, KeyChangeBody, RotationBody
from flowray_serve.key_answer import keys_read
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, takes
from flowray_serve.services import Services

_BODY_LIMIT_BYTES = 64 * 1024


class KeyRoutes:
    """The handlers of `/api/v1/api_key`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/api_key", tags=["keys"])
        router.add_api_route("/", self.list, methods=["GET"], responses=says(KeyList))
        router.add_api_route("/", self.create, methods=["POST"], openapi_extra=takes(KeyBody), responses=says(KeyRead))
        router.add_api_route("/{key}", self.revoke, methods=["DELETE"], responses=says(Detail))
        router.add_api_route(
            "/{key}", self.settle, methods=["PATCH"], openapi_extra=takes(KeyChangeBody), responses=says(KeyRead)
        )
        router.add_api_route(
            "/{key}/rotate",
            self.rotate,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes(RotationBody),
            responses=says(KeyRead, status=201),
        )
        return router

    @needs(Permission.KEYS)
    async def list(self, request: Request) -> Response:
        """The tenant's keys, each by its first characters only."""
        caller = await self._services.authenticator(request)
        return reply(keys_read(caller.tenant, await self._services.keys.list(caller.tenant)))

    @needs(Permission.KEYS)
    async def create(self, request: Request) -> Response:
        """Make a key. The answer is the only time that it is said."""
        caller = await self._services.authenticator(request)
        body = fit(KeyBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        issued = await self._services.keys.create(caller.tenant, body, caller)
        on_record(request, key=issued["id"], name=issued["name"])
        return reply(issued)

    @needs(Permission.KEYS)
    async def revoke(self, request: Request, key: str) -> Response:
        """Revoke a key: it opens nothing from the next request on, whichever gateway that comes to."""
        caller = await self._services.authenticator(request)
        await self._services.keys.revoke(caller.tenant, key, caller)
        return reply({"detail": "API Key deleted"})

    @needs(Permission.KEYS)
    async def settle(self, request: Request, key: str) -> Response:
        """Change a key's roles, or when it ends; every gateway goes by it within a second."""
        caller = await self._services.authenticator(request)
        body = fit(KeyChangeBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        settled = await self._services.keys.settle(caller.tenant, key, body, caller)
        on_record(request, roles=", ".join(settled["roles"]))
        return reply(settled)

    @needs(Permission.KEYS)
    async def rotate(self, request: Request, key: str) -> Response:
        """Make a key that may the same, and revoke the old one, at once or after `grace_s`."""
        caller = await self._services.authenticator(request)
        body = fit(RotationBody, parse_object(await read_body(request, limit_bytes=_BODY_LIMIT_BYTES)))
        issued = await self._services.keys.rotate(caller.tenant, key, body, caller)
        return reply(issued, status=HTTPStatus.CREATED)
