"""What Prometheus reads: a tenant's own numbers for those who may look, everybody's for observers and operators."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.tenancy.permissions import Permission, allows
from flowray_serve.auth import needs
from flowray_serve.metrics.exposition import MEDIA_TYPE
from flowray_serve.routes.openapi import gives
from flowray_serve.services import Services


class MetricsRoutes:
    """The handler of `/metrics`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter(tags=["metrics"])
        router.add_api_route(
            "/metrics", self.metrics, methods=["GET"], response_class=Response, responses=gives("text/plain")
        )
        return router

    @needs(Permission.METRICS_READ)
    async def metrics(self, request: Request) -> Response:
        """What was counted and what goes on, in Prometheus's text format."""
        caller = await self._services.authenticator(request)
        tenants = None if allows(caller.roles, Permission.METRICS_OF_ALL) else (caller.tenant,)
        return Response(await self._services.exposition.text(tenants), media_type=MEDIA_TYPE)
