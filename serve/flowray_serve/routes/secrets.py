"""What operators do with the secrets of all tenants: have a new master key take over. Nobody can read them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import says
from flowray_serve.services import Services


class SecretRoutes:
    """The handlers of `/api/v1/admin/secrets`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/admin/secrets", tags=["admin"])
        router.add_api_route("/rewrap", self.rewrap, methods=["POST"], responses=says(dict[str, int]))
        return router

    @needs(Permission.OPERATE)
    async def rewrap(self) -> Response:
        """Have the newest master key open all variables; after that the older ones may leave the ring."""
        tenants = await self._services.tenants.list()
        counts = [await self._services.variables.rewrap(tenant.id) for tenant in tenants]
        return reply({"tenants": len(tenants), "rewrapped": sum(counts)})
