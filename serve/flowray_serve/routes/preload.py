"""What runs import that their zygotes could have imported for all: for operators."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flowray.tenancy.permissions import Permission
from flowray_serve.answers.service import Message
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says, says_object
from flowray_serve.services import Services


class PreloadRoutes:
    """The handlers of `/api/v1/admin/preload`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/admin/preload", tags=["admin"])
        router.add_api_route("", self.read, methods=["GET"], responses=says_object())
        router.add_api_route("", self.forget, methods=["DELETE"], responses=says(Message))
        return router

    @needs(Permission.OPERATE)
    async def read(self) -> Response:
        """By pool: the modules that steps had to import, how often, and the setting that would preload them."""
        return reply(await self._services.preloading.told())

    @needs(Permission.OPERATE)
    async def forget(self) -> Response:
        """Count anew from here."""
        await self._services.preloading.forget()
        return reply({"message": "The counts were forgotten."})
